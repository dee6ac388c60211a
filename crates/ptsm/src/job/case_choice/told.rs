//! What was chosen for labelled cases, as files and users see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Task;
use crate::job::SearchCell;

/// The settings that were chosen for labelled cases, and by which scores; `choice.json` in the model directory.
///
/// Scores are shares of correct classes, or root mean squared errors in the units of the data, over cases that were held
/// out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CaseChoice {
    /// Version of the rule.
    pub rule: u32,
    /// Classification or regression.
    pub task: Task,
    /// Labelled cases, all of which the kept networks are trained on.
    pub cases: usize,
    /// Settings that could be chosen.
    pub settings: usize,
    /// Those of them that were trained and scored.
    pub tried: usize,
    /// Cases that were held out in the last comparison: all of them, unless the budget was too small for that.
    pub held_out: usize,
    /// Networks, each with a seed of its own, whose mean is scored and kept.
    pub networks: usize,
    /// The best setting of the last comparison.
    pub chosen: SearchCell,
    /// The others of it, the better ones first.
    pub others: Vec<SearchCell>,
    /// Score of the most frequent class, or of the mean, of the other cases.
    pub constant: f64,
    /// Score of the label of the nearest of the other cases (1-NN).
    pub nearest: f64,
}

impl CaseChoice {
    /// The cross-validated score beside the simple ones, and whether it is better, in a sentence.
    pub fn sentence(&self) -> String {
        let score = self.chosen.score;
        let regression = self.task == Task::Regression;
        let (metric, constant) = match regression {
            true => ("RMSE", "the mean"),
            false => ("accuracy", "the most frequent class"),
        };
        let better = |other: f64| if regression { score < other } else { score > other };
        let simple = [(constant, self.constant), ("the nearest case (1-NN)", self.nearest)];
        let beside = simple.map(|(name, other)| format!("{name}: {}", self.shown(other)));
        let worse = simple.iter().find(|(_, other)| !better(*other));
        let held_out = match self.held_out < self.cases {
            true => format!(" on {} of the cases", self.held_out),
            false => String::new(),
        };
        let verdict = match worse {
            Some((name, _)) => {
                format!("; {name} is as good or better: what tells these cases apart was not found")
            }
            None => String::new(),
        };
        let (score, beside) = (self.shown(score), beside.join(", "));
        format!("cross-validated {metric} {score}{held_out} ({beside}){verdict}")
    }

    /// The chosen setting, as `name=value` pairs.
    pub fn described(&self) -> String {
        let pairs = self.chosen.setting.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        });
        pairs.collect::<Vec<_>>().join(", ")
    }

    fn shown(&self, score: f64) -> String {
        match self.task {
            Task::Regression => format!("{score:.4}"),
            _ => format!("{:.1} %", 100.0 * score),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn choice(task: Task, score: f64) -> CaseChoice {
        let setting = Map::from_iter([("d_model".to_owned(), Value::from(16))]);
        CaseChoice {
            rule: 1,
            task,
            cases: 40,
            settings: 10,
            tried: 5,
            held_out: 40,
            networks: 3,
            chosen: SearchCell { setting, score, loss: 0.1 },
            others: Vec::new(),
            constant: 0.25,
            nearest: 0.5,
        }
    }

    #[test]
    fn the_sentence_says_when_something_simple_is_as_good() {
        let text = choice(Task::Classification, 0.975).sentence();
        assert_eq!(
            text,
            "cross-validated accuracy 97.5 % (the most frequent class: 25.0 %, the nearest case (1-NN): 50.0 %)"
        );
        let text = choice(Task::Classification, 0.5).sentence();
        assert!(text.contains("; the nearest case (1-NN) is as good or better"), "{text}");
        let text = choice(Task::Regression, 0.3).sentence();
        assert!(text.contains("RMSE 0.3000 (the mean: 0.2500"), "{text}");
        assert!(text.contains("; the mean is as good or better"), "{text}");
        let some = CaseChoice { held_out: 8, ..choice(Task::Classification, 0.975) };
        assert!(some.sentence().contains("97.5 % on 8 of the cases ("), "{}", some.sentence());
        assert_eq!(choice(Task::Regression, 0.3).described(), "d_model 16");
    }
}
