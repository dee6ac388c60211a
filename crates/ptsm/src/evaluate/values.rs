//! Scores of a regression.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Scores of all targets together, in the units of the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValueScores {
    /// Root of the mean squared error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Share of the variance that is explained; `None` where the truth is constant.
    pub r2: Option<f64>,
    /// RMSE of always predicting the mean of the training cases.
    pub training_mean_rmse: f64,
    /// Number of cases.
    pub cases: usize,
    /// Each target by itself, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetScores>,
}

/// Scores of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetScores {
    /// Its name.
    pub name: String,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Share of the variance that is explained; `None` where the truth is constant.
    pub r2: Option<f64>,
}

struct Sums {
    rmse: f64,
    mae: f64,
    r2: Option<f64>,
}

impl ValueScores {
    /// Scores predictions `[cases, targets]`; `training_mean` is one value per target.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no case, lengths differ, or a prediction is not finite.
    pub fn new(
        prediction: &[f64],
        truth: &[f64],
        names: &[String],
        training_mean: &[f64],
    ) -> Result<Self> {
        let width = names.len();
        if truth.is_empty() || prediction.len() != truth.len() || !truth.len().is_multiple_of(width)
        {
            let text = format!("{} predictions for {} targets", prediction.len(), truth.len());
            return Err(Error::input(text));
        }
        if let Some(i) = prediction.iter().position(|x| !x.is_finite()) {
            let text = format!("the prediction of {} is {}", names[i % width], prediction[i]);
            return Err(Error::input(text).at(format!("case {}", i / width)));
        }
        let column = |values: &[f64], k: usize| {
            values.iter().skip(k).step_by(width).copied().collect::<Vec<f64>>()
        };
        let targets: Vec<TargetScores> = names
            .iter()
            .enumerate()
            .map(|(k, name)| {
                let Sums { rmse, mae, r2 } = sums(&column(prediction, k), &column(truth, k));
                TargetScores { name: name.clone(), rmse, mae, r2 }
            })
            .collect();
        let constant: Vec<f64> = (0..truth.len()).map(|i| training_mean[i % width]).collect();
        let Sums { rmse, mae, r2 } = sums(prediction, truth);
        Ok(Self {
            rmse,
            mae,
            r2,
            training_mean_rmse: sums(&constant, truth).rmse,
            cases: truth.len() / width,
            targets: if width > 1 { targets } else { Vec::new() },
        })
    }

    /// The scores as text for a terminal.
    pub fn table(&self) -> String {
        let r2 = |r2: Option<f64>| r2.map_or("-".to_owned(), |r2| format!("{r2:.4}"));
        let mut text = format!(
            "cases  {}\nRMSE   {:.5}   (mean of the training cases: {:.5})\nMAE    {:.5}\nR2     {}\n",
            self.cases,
            self.rmse,
            self.training_mean_rmse,
            self.mae,
            r2(self.r2)
        );
        for target in &self.targets {
            text += &format!(
                "  {}: RMSE {:.5}, MAE {:.5}, R2 {}\n",
                target.name,
                target.rmse,
                target.mae,
                r2(target.r2)
            );
        }
        text
    }
}

fn sums(prediction: &[f64], truth: &[f64]) -> Sums {
    let count = truth.len() as f64;
    let mean = truth.iter().sum::<f64>() / count;
    let (mut squared, mut absolute, mut spread) = (0.0, 0.0, 0.0);
    for (x, y) in prediction.iter().zip(truth) {
        squared += (x - y) * (x - y);
        absolute += (x - y).abs();
        spread += (y - mean) * (y - mean);
    }
    Sums {
        rmse: (squared / count).sqrt(),
        mae: absolute / count,
        r2: (spread > 0.0).then(|| 1.0 - squared / spread),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_worked_out_by_hand() {
        let names = ["u", "v"].map(str::to_owned);
        let truth = [1.0, 5.0, 3.0, 5.0];
        let prediction = [1.0, 4.0, 1.0, 4.0];
        let scores = ValueScores::new(&prediction, &truth, &names, &[2.0, 5.0]).unwrap();
        assert!((scores.rmse - (6.0_f64 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(scores.mae, 1.0);
        assert_eq!(scores.targets[0].r2, Some(1.0 - 4.0 / 2.0));
        assert_eq!(scores.targets[1].r2, None);
        assert!((scores.training_mean_rmse - 0.5_f64.sqrt()).abs() < 1e-12);
    }
}
