//! Scores of a classifier.

use serde::{Deserialize, Serialize};

use ptsm_core::largest;

use crate::{Error, Result};

/// Scores over all cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassScores {
    /// Share of cases whose class is predicted correctly.
    pub accuracy: f64,
    /// Mean recall over the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 score (harmonic mean of precision and recall) over the classes that occur or are
    /// predicted.
    pub macro_f1: f64,
    /// Mean negative logarithm of the probability of the true class, in nats.
    pub cross_entropy: f64,
    /// Accuracy of always predicting the most frequent class of these cases.
    pub majority: f64,
    /// Number of cases.
    pub cases: usize,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Number of cases by true class (row) and predicted class (column).
    pub confusion: Vec<Vec<usize>>,
}

impl ClassScores {
    /// Scores logits `[cases, classes]` against the classes of the cases.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no case, lengths differ, or a logit is not finite.
    pub fn new(logits: &[f32], truth: &[usize], classes: &[String]) -> Result<Self> {
        let width = classes.len();
        if truth.is_empty() || logits.len() != truth.len() * width {
            let text = format!("{} logits for {} cases of {width}", logits.len(), truth.len());
            return Err(Error::input(text));
        }
        if let Some(i) = logits.iter().position(|x| !x.is_finite()) {
            let text = format!("the logit of class {} is {}", i % width, logits[i]);
            return Err(Error::input(text).at(format!("case {}", i / width)));
        }
        let mut confusion = vec![vec![0_usize; width]; width];
        let mut entropy = 0.0;
        for (row, &class) in logits.chunks_exact(width).zip(truth) {
            confusion[class][largest(row)] += 1;
            let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let sum: f64 = row.iter().map(|&x| f64::from(x - max).exp()).sum();
            entropy += sum.ln() - f64::from(row[class] - max);
        }
        let count = truth.len() as f64;
        let right = |class: usize| confusion[class][class] as f64;
        let occurs = |class: usize| confusion[class].iter().sum::<usize>() as f64;
        let said = |class: usize| confusion.iter().map(|row| row[class]).sum::<usize>() as f64;
        let recalls: Vec<f64> = (0..width)
            .filter(|&class| occurs(class) > 0.0)
            .map(|class| right(class) / occurs(class))
            .collect();
        let f1: Vec<f64> = (0..width)
            .filter(|&class| occurs(class) + said(class) > 0.0)
            .map(|class| 2.0 * right(class) / (occurs(class) + said(class)))
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Ok(Self {
            accuracy: (0..width).map(right).sum::<f64>() / count,
            balanced_accuracy: mean(&recalls),
            macro_f1: mean(&f1),
            cross_entropy: entropy / count,
            majority: (0..width).map(occurs).fold(0.0, f64::max) / count,
            cases: truth.len(),
            classes: classes.to_vec(),
            confusion,
        })
    }

    /// The scores as text for a terminal.
    pub fn table(&self) -> String {
        let mut text = format!(
            "cases              {}\naccuracy           {:.1} %   (most frequent class: {:.1} %)\n\
             balanced accuracy  {:.1} %\nmacro F1           {:.4}\ncross entropy      {:.4}\n\n",
            self.cases,
            100.0 * self.accuracy,
            100.0 * self.majority,
            100.0 * self.balanced_accuracy,
            self.macro_f1,
            self.cross_entropy
        );
        let widest = self.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let (width, names) = (widest.max(6), widest.max("true \\ predicted".len()));
        text += &format!("{:names$}", "true \\ predicted");
        self.classes.iter().for_each(|name| text += &format!("  {name:>width$}"));
        text += "\n";
        for (name, row) in self.classes.iter().zip(&self.confusion) {
            text += &format!("{name:names$}");
            row.iter().for_each(|count| text += &format!("  {count:>width$}"));
            text += "\n";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_worked_out_by_hand() {
        let names = ["a", "b", "c"].map(str::to_owned);
        // Truth a a a b, predictions a a b b.
        let logits = [2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0];
        let scores = ClassScores::new(&logits, &[0, 0, 0, 1], &names).unwrap();
        assert_eq!(scores.accuracy, 0.75);
        assert_eq!(scores.majority, 0.75);
        assert!((scores.balanced_accuracy - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
        assert!((scores.macro_f1 - (4.0 / 5.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert_eq!(scores.confusion, [[2, 1, 0], [0, 1, 0], [0, 0, 0]]);
        let lose =
            |own: f64, others: [f64; 2]| (own.exp() + others[0].exp() + others[1].exp()).ln() - own;
        let wanted =
            (lose(2.0, [0.0; 2]) + lose(1.0, [0.0; 2]) * 2.0 + lose(0.0, [3.0, 0.0])) / 4.0;
        assert!((scores.cross_entropy - wanted).abs() < 1e-9);
        assert!(scores.table().contains("75.0 %"));
    }

    #[test]
    fn a_logit_that_is_not_finite_is_named() {
        let names = ["a", "b"].map(str::to_owned);
        let text = ClassScores::new(&[0.0, f32::NAN], &[0], &names).unwrap_err().to_string();
        assert!(text.contains("case 0") && text.contains("class 1"), "{text}");
    }
}
