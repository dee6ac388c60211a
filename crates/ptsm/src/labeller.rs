//! [`Labeller`]: predicts the labels of cases with the model of a directory.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::{LabelCoding, LabelledSet, Labels, PreparedCases, Standardiser};
use crate::evaluate::{ClassScores, ValueScores};
use crate::preprocessor::Preprocessor;
use crate::train::Samples;
use crate::{Config, Error, ErrorKind, Model, Result};
use ptsm_core::{Backend, OutputKind, Prediction, Session, read_consistently, softmax};

/// Cases per forward pass.
const BATCH: usize = 64;

/// A trained classifier or regression, ready to label cases.
pub struct Labeller {
    config: Config,
    preprocessor: Preprocessor,
    coding: LabelCoding,
    session: Box<dyn Session>,
}

/// The predictions of a model for some cases.
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
        softmax(logits, classes)
    }
}

/// The scores of a labeller.
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
        let read = || {
            let model = Model::from_dir(dir)?;
            let preprocessor = Preprocessor::from_dir(dir, model.config())?;
            Ok((model, preprocessor))
        };
        let (model, preprocessor) = read_consistently(dir, read)?;
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
        if !matches!(model.output().kind(), OutputKind::Logits | OutputKind::Values(_)) {
            return bad("is neither a classifier nor a regression");
        }
        let Some(coding) = preprocessor.labels.clone() else {
            return bad("preprocessor.json: labels is missing");
        };
        let names = match &coding {
            LabelCoding::Classes { names } | LabelCoding::Values { names, .. } => names.len(),
        };
        let classifies = *model.output().kind() == OutputKind::Logits;
        if classifies != matches!(coding, LabelCoding::Classes { .. }) {
            return bad("preprocessor.json: labels is of another task than architectures names");
        }
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

    /// Predicts the labels of the cases.
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
        let (mut logits, mut values) = (Vec::new(), Vec::new());
        let indices: Vec<usize> = (0..cases.len()).collect();
        for part in indices.chunks(BATCH) {
            let batch = cases.batch(part).with_target_values(None)?;
            self.session.forward(&batch, &mut output)?;
            match output.values() {
                Some(means) => values.extend(means),
                None => logits.extend_from_slice(&output.numbers),
            }
        }
        Ok(match &self.coding {
            LabelCoding::Classes { .. } => Predictions::Logits(logits),
            LabelCoding::Values { standardiser, .. } => {
                Predictions::Values(in_data_units(standardiser, &values))
            }
        })
    }

    /// Predicts the labels of the cases and scores them against their own.
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

/// The predictions in the output of a classifier or a regression, for the cases of one batch.
pub(crate) fn read_labels(coding: &LabelCoding, output: &Prediction) -> Predictions {
    match (coding, output.values()) {
        (LabelCoding::Values { standardiser, .. }, Some(means)) => {
            Predictions::Values(in_data_units(standardiser, &means))
        }
        _ => Predictions::Logits(output.numbers.clone()),
    }
}

/// Standardised values `[cases, targets]` in the units of the data.
fn in_data_units(standardiser: &Standardiser, values: &[f64]) -> Vec<f64> {
    let width = standardiser.num_channels();
    let undo =
        |(i, x): (usize, &f64)| x * standardiser.scale[i % width] + standardiser.mean[i % width];
    values.iter().enumerate().map(undo).collect()
}
