//! [`Labeller`]: predicts the labels of cases with the networks of a directory, one or several whose predictions are
//! averaged.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::{Column, LabelCoding, LabelledSet, Labels, PreparedCases, Standardiser, Table};
use crate::ensemble::labelling_networks;
use crate::evaluate::{ClassScores, ValueScores};
use crate::preprocessor::Preprocessor;
use crate::train::Samples;
use crate::{Config, Error, ErrorKind, Model, Result};
use ptsm_core::{Backend, Loaded, OutputKind, Prediction, Session, read_consistently, softmax};

/// Cases per forward pass.
const BATCH: usize = 64;

/// The logit of a class that no network thinks possible; its probability is 0 to rounding.
const LEAST_LOGIT: f32 = -1000.0;

/// A trained classifier or regression, ready to label cases.
pub struct Labeller {
    config: Config,
    preprocessor: Preprocessor,
    coding: LabelCoding,
    /// One for each network.
    loaded: Vec<Arc<dyn Loaded>>,
    /// One for each network.
    sessions: Vec<Box<dyn Session>>,
}

/// The predictions of a model for some cases.
#[derive(Debug, Clone, PartialEq)]
pub enum Predictions {
    /// Logits, `[cases, classes]`; of several networks the logarithms of their mean probabilities.
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
            let models = labelling_networks(dir)?;
            let preprocessor = Preprocessor::from_dir(dir, models[0].config())?;
            Ok((models, preprocessor))
        };
        let (models, preprocessor) = read_consistently(dir, read)?;
        Self::average(&models, preprocessor, backend).map_err(|e| e.at(dir.display().to_string()))
    }

    /// Puts a model onto a backend.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the model is no classifier or regression, or the preprocessor does not
    /// say how it labels; `BackendUnavailable`.
    pub fn new(model: &Model, preprocessor: Preprocessor, backend: &dyn Backend) -> Result<Self> {
        Self::average(std::slice::from_ref(model), preprocessor, backend)
    }

    /// Puts networks onto a backend, whose probabilities or values are averaged.
    ///
    /// # Errors
    ///
    /// As [`Labeller::new`]; `InvalidConfig` if there is none, or they do not take the same cases.
    pub fn average(
        models: &[Model],
        preprocessor: Preprocessor,
        backend: &dyn Backend,
    ) -> Result<Self> {
        check_alike(models)?;
        let model = &models[0];
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
        let loaded: Vec<_> = models.iter().map(|m| backend.load(m)).collect::<Result<_>>()?;
        let sessions = loaded.iter().map(|loaded| loaded.session()).collect::<Result<_>>()?;
        Ok(Self { loaded, sessions, config, preprocessor, coding })
    }

    /// A labeller that shares the weights of this one and has sessions of its own.
    ///
    /// # Errors
    ///
    /// As [`Loaded::session`].
    pub fn another(&self) -> Result<Self> {
        let sessions = self.loaded.iter().map(|loaded| loaded.session()).collect::<Result<_>>()?;
        let (loaded, config) = (self.loaded.clone(), self.config.clone());
        let (preprocessor, coding) = (self.preprocessor.clone(), self.coding.clone());
        Ok(Self { loaded, sessions, config, preprocessor, coding })
    }

    /// About how much memory the weights take, in bytes, whatever the number of labellers that share them.
    pub fn bytes(&self) -> u64 {
        self.loaded.iter().map(|loaded| loaded.bytes()).sum()
    }

    /// Predictions as a table: case, label and probabilities; or case and values.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if two columns have one name; `Internal` if the predictions are of another model.
    pub fn table(&self, set: &LabelledSet, predictions: &Predictions) -> Result<Table> {
        let ids = set.cases.iter().map(|case| case.id.clone()).collect();
        let case = match &self.coding {
            LabelCoding::Values { names, .. } if names.iter().any(|name| name == "case") => "case_",
            _ => "case",
        };
        let mut columns = vec![Column::text(case, ids)];
        let every = |cells: &[f64], first: usize, width: usize| -> Vec<f64> {
            cells.iter().skip(first).step_by(width).copied().collect()
        };
        match (predictions, &self.coding) {
            (Predictions::Logits(logits), LabelCoding::Classes { names }) => {
                let probabilities = Predictions::probabilities(logits, names.len());
                let said = probabilities.chunks_exact(names.len()).map(|row| {
                    let best =
                        (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
                    names[best].clone()
                });
                columns.push(Column::text("predicted", said.collect()));
                for (i, name) in names.iter().enumerate() {
                    let cells = every(&probabilities, i, names.len());
                    columns.push(Column::numbers(format!("probability {name}"), cells));
                }
            }
            (Predictions::Values(values), LabelCoding::Values { names, .. }) => {
                for (i, name) in names.iter().enumerate() {
                    columns.push(Column::numbers(name, every(values, i, names.len())));
                }
            }
            _ => return Err(Error::internal("predictions of another kind than their coding")),
        }
        Table::new(columns)
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

    /// What a user should know of cases of another length than those that were learnt from; empty if there is nothing.
    pub fn length_notes(&self, set: &LabelledSet) -> Vec<String> {
        let length = self.config.context_length;
        let count = |differs: fn(&usize, &usize) -> bool| {
            set.cases.iter().filter(|case| differs(&case.num_rows(), &length)).count()
        };
        let (longer, shorter) = (count(usize::gt), count(usize::lt));
        let all = set.len();
        let mut notes = Vec::new();
        if longer > 0 {
            notes.push(format!(
                "{longer} of {all} cases are longer than the {length} steps of the longest training case: only their \
                 last {length} are seen"
            ));
        }
        if shorter > 0 {
            notes.push(format!(
                "{shorter} of {all} cases are shorter than the {length} steps of the longest training case: they are \
                 padded in front"
            ));
        }
        notes
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
        let each = self.sessions.iter_mut().map(|session| numbers(session.as_mut(), &cases));
        let each: Vec<Vec<f64>> = each.collect::<Result<_>>()?;
        Ok(match &self.coding {
            LabelCoding::Classes { names } => Predictions::Logits(mean_logits(each, names.len())),
            LabelCoding::Values { standardiser, .. } => {
                Predictions::Values(in_data_units(standardiser, &mean(&each)))
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

/// Whether predictions of these networks for one case can be averaged.
fn check_alike(models: &[Model]) -> Result<()> {
    let facts = |model: &Model| {
        let Config { context_length, num_input_channels, num_targets, .. } = *model.config();
        [context_length, num_input_channels, num_targets]
    };
    let Some(first) = models.first() else {
        return Err(Error::config("members", "there is none, wanted at least one"));
    };
    for (number, model) in models.iter().enumerate() {
        if facts(model) != facts(first) || model.output().kind() != first.output().kind() {
            let text = format!("member {number} takes other cases or labels than the first");
            return Err(Error::config("members", text));
        }
    }
    Ok(())
}

/// What one network puts out for every case: logits, or standardised values.
fn numbers(session: &mut dyn Session, cases: &PreparedCases) -> Result<Vec<f64>> {
    let mut output = Prediction::default();
    let mut all = Vec::new();
    let indices: Vec<usize> = (0..cases.len()).collect();
    for part in indices.chunks(BATCH) {
        let batch = cases.batch(part).with_target_values(None)?;
        session.forward(&batch, &mut output)?;
        match output.values() {
            Some(means) => all.extend(means),
            None => all.extend(output.numbers.iter().map(|&logit| f64::from(logit))),
        }
    }
    Ok(all)
}

/// Logits `[cases, classes]` of each network as those of their mean probabilities; those of a single network as they
/// are.
fn mean_logits(mut each: Vec<Vec<f64>>, classes: usize) -> Vec<f32> {
    let as_f32 = |logits: &[f64]| logits.iter().map(|&logit| logit as f32).collect::<Vec<f32>>();
    if let [only] = each.as_slice() {
        return as_f32(only);
    }
    for logits in &mut each {
        *logits = softmax(&as_f32(logits), classes);
    }
    let logit = |share: f64| match share == 0.0 {
        true => LEAST_LOGIT,
        false => share.ln() as f32,
    };
    mean(&each).into_iter().map(logit).collect()
}

/// The mean of what each network says, number by number.
fn mean(each: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; each.first().map_or(0, Vec::len)];
    for numbers in each {
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    }
    sum.iter_mut().for_each(|sum| *sum /= each.len() as f64);
    sum
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_probabilities_come_back_from_their_logits() {
        let each = vec![vec![1.0, -1.0, 0.5, 400.0], vec![0.0, 2.0, 0.5, -400.0]];
        let logits = mean_logits(each.clone(), 2);
        let probabilities = |logits: &Vec<f64>| {
            softmax(&logits.iter().map(|&logit| logit as f32).collect::<Vec<f32>>(), 2)
        };
        let parts: Vec<Vec<f64>> = each.iter().map(probabilities).collect();
        for (case, got) in softmax(&logits, 2).chunks(2).enumerate() {
            for class in 0..2 {
                let wanted = f64::midpoint(parts[0][2 * case + class], parts[1][2 * case + class]);
                assert!((got[class] - wanted).abs() < 1e-6, "{case}: {got:?}");
            }
        }
        let certain = mean_logits(vec![vec![0.0, 2000.0], vec![0.0, 2000.0]], 2);
        assert_eq!(softmax(&certain, 2), [0.0, 1.0]);
        // A network by itself keeps its logits, and what is not a number stays that.
        assert_eq!(mean_logits(vec![vec![3.0, 4.0]], 2), [3.0, 4.0]);
        assert!(mean_logits(vec![vec![f64::NAN, 0.0], vec![0.0, 0.0]], 2)[0].is_nan());
    }
}
