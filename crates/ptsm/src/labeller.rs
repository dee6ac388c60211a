//! From a model directory and cases to labels.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::{LabelCoding, LabelledSet, Labels, PreparedCases};
use crate::evaluate::{ClassScores, ValueScores};
use crate::train::Samples;
use crate::{Config, Error, ErrorKind, Model, Preprocessor, Result, Task};
use ptsm_core::Distribution;
use ptsm_core::{Backend, Prediction, Session};

/// Cases that go through the model at once.
const BATCH: usize = 64;

/// A trained classifier or regression, ready to label cases.
pub struct Labeller {
    config: Config,
    preprocessor: Preprocessor,
    coding: LabelCoding,
    session: Box<dyn Session>,
}

/// What a model says of some cases.
#[derive(Debug, Clone, PartialEq)]
pub enum Predictions {
    /// Logits, `[cases, classes]`.
    Logits(Vec<f32>),
    /// Values in data units, `[cases, targets]`.
    Values(Vec<f64>),
}

impl Predictions {
    /// Softmax of logits `[cases, classes]`: probabilities, each row adding up to 1.
    pub fn probabilities(logits: &[f32], classes: usize) -> Vec<f64> {
        let mut probabilities = Vec::with_capacity(logits.len());
        for row in logits.chunks_exact(classes) {
            let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let powers: Vec<f64> = row.iter().map(|&x| f64::from(x - max).exp()).collect();
            let sum: f64 = powers.iter().sum();
            probabilities.extend(powers.iter().map(|power| power / sum));
        }
        probabilities
    }
}

/// How good a labeller is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LabelScores {
    /// Of a classifier.
    Classes(ClassScores),
    /// Of a regression.
    Values(ValueScores),
}

impl Labeller {
    /// Loads a model directory onto a backend.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights` naming the file; `BackendUnavailable`.
    pub fn from_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        let model = Model::from_dir(dir)?;
        let preprocessor = Preprocessor::from_dir(dir, model.config())?;
        Self::new(&model, preprocessor, backend).map_err(|e| e.at(dir.display().to_string()))
    }

    /// Puts a model onto a backend.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the model is no classifier or regression, or the preprocessor does not
    /// say how it labels; `BackendUnavailable`.
    pub fn new(model: &Model, preprocessor: Preprocessor, backend: &dyn Backend) -> Result<Self> {
        let config = model.config().clone();
        let bad = |text: &str| Err(Error::new(ErrorKind::InvalidConfig, text));
        if !matches!(config.task()?, Task::Classification | Task::Regression) {
            return bad("is neither a classifier nor a regression");
        }
        let Some(coding) = preprocessor.labels.clone() else {
            return bad("preprocessor.json: labels is missing");
        };
        let names = match &coding {
            LabelCoding::Classes { names } | LabelCoding::Values { names, .. } => names.len(),
        };
        if names != config.num_targets {
            return bad("preprocessor.json: labels has not as many names as num_targets says");
        }
        Ok(Self { session: backend.load(model)?.session()?, config, preprocessor, coding })
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How cases are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// How outputs become labels.
    pub fn coding(&self) -> &LabelCoding {
        &self.coding
    }

    /// What the model says of the cases.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if they have other channels than the model.
    pub fn predict(&mut self, set: &LabelledSet) -> Result<Predictions> {
        let channels = &self.preprocessor.channels;
        if set.channels.len() != channels.len() {
            let (got, wanted) = (set.channels.len(), channels.len());
            let text = format!("the cases have {got} channels, the model wants {wanted}");
            return Err(Error::input(text));
        }
        let unlabelled = LabelledSet { labels: Labels::Unknown(set.len()), ..set.clone() };
        let length = self.config.context_length;
        let standardiser = &self.preprocessor.standardiser;
        let cases = PreparedCases::new(&unlabelled, length, standardiser, None)?;
        let mut output = Prediction::default();
        let mut raw = Vec::new();
        let indices: Vec<usize> = (0..cases.len()).collect();
        for part in indices.chunks(BATCH) {
            let mut batch = cases.batch(part);
            batch.target_values = None;
            self.session.forward(&batch, &mut output)?;
            raw.extend_from_slice(&output.prediction);
        }
        Ok(read_labels(&self.config, &self.coding, raw))
    }

    /// Labels the cases and compares with their own labels.
    ///
    /// # Errors
    ///
    /// As [`Labeller::predict`]; `InvalidInput` if a class was not there in training, or labels are
    /// of another kind.
    pub fn score(&mut self, set: &LabelledSet) -> Result<(Predictions, LabelScores)> {
        let predictions = self.predict(set)?;
        let scores = match (&self.coding, &predictions, &set.labels) {
            (
                LabelCoding::Classes { names },
                Predictions::Logits(logits),
                Labels::Classes { .. },
            ) => {
                let known = set.clone().with_classes(names)?;
                let Labels::Classes { of, .. } = &known.labels else {
                    return Err(Error::internal("classes became values"));
                };
                LabelScores::Classes(ClassScores::new(logits, of, names)?)
            }
            (
                LabelCoding::Values { names, standardiser },
                Predictions::Values(values),
                Labels::Values { of, .. },
            ) => LabelScores::Values(ValueScores::new(values, of, names, &standardiser.mean)?),
            _ => return Err(Error::input("the labels are of another kind than the model's")),
        };
        Ok((predictions, scores))
    }
}

/// What the outputs `raw` of a classifier or a regression say of the cases.
pub(crate) fn read_labels(config: &Config, coding: &LabelCoding, raw: Vec<f32>) -> Predictions {
    match coding {
        LabelCoding::Classes { .. } => Predictions::Logits(raw),
        LabelCoding::Values { standardiser, .. } => {
            let width = config.num_targets;
            let means = means(config.distribution(), width, &raw);
            let undo = |(i, x): (usize, &f64)| {
                x * standardiser.scale[i % width] + standardiser.mean[i % width]
            };
            Predictions::Values(means.iter().enumerate().map(undo).collect())
        }
    }
}

/// The mean of what a regression says: the value itself, or that of its law.
fn means(law: Option<Distribution>, width: usize, raw: &[f32]) -> Vec<f64> {
    let Some(law) = law else { return raw.iter().map(|&x| f64::from(x)).collect() };
    let count = law.num_parameters();
    let mut means = Vec::with_capacity(raw.len() / count);
    for case in raw.chunks_exact(count * width) {
        for target in 0..width {
            let parameters: Vec<f64> =
                (0..count).map(|k| f64::from(case[k * width + target])).collect();
            means.push(law.mean(&parameters, (0.0, 1.0)));
        }
    }
    means
}
