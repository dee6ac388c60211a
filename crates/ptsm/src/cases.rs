//! [`Classifier`] and [`Regressor`]: trained models that predict classes or values of cases.

use std::path::Path;

use crate::data::LabelCoding;
use crate::data::LabelledSet;
use crate::evaluate::{ClassScores, ValueScores};
use crate::labeller::{LabelScores, Labeller, Predictions};
use crate::preprocessor::Preprocessor;
use crate::{Config, Error, ErrorKind, Result};
use ptsm_core::Backend;

/// A trained classifier, ready to predict the classes of cases.
pub struct Classifier {
    labeller: Labeller,
    classes: Vec<String>,
}

/// The predicted class of one case.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Classified {
    /// The most probable class.
    pub class: String,
    /// Probability of every class, in the order of [`Classifier::classes`]; they add up to 1.
    pub probabilities: Vec<f64>,
}

/// A trained regression, ready to predict the values of cases.
pub struct Regressor {
    labeller: Labeller,
    targets: Vec<String>,
}

fn other_kind(wanted: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, format!("the model is not a {wanted}"))
}

impl Classifier {
    /// Wraps a model that is loaded already.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is a regression.
    pub fn new(labeller: Labeller) -> Result<Self> {
        let LabelCoding::Classes { names } = labeller.coding() else {
            return Err(other_kind("classifier"));
        };
        Ok(Self { classes: names.clone(), labeller })
    }

    /// Loads a model directory onto a backend.
    ///
    /// # Errors
    ///
    /// As [`Labeller::from_dir`]; `InvalidConfig` if it is a regression.
    pub fn from_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        let found = Self::new(Labeller::from_dir(dir, backend)?);
        found.map_err(|e| e.at(dir.display().to_string()))
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        self.labeller.config()
    }

    /// How cases are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        self.labeller.preprocessor()
    }

    /// Predicts the class of every case; labels in `set` are ignored.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if they have other channels than the model.
    pub fn classify(&mut self, set: &LabelledSet) -> Result<Vec<Classified>> {
        let Predictions::Logits(logits) = self.labeller.predict(set)? else {
            return Err(Error::internal("a classifier predicted values"));
        };
        let probabilities = Predictions::probabilities(&logits, self.classes.len());
        let rows = probabilities.chunks_exact(self.classes.len());
        let one = |row: &[f64]| {
            let best = (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
            Classified { class: self.classes[best].clone(), probabilities: row.to_vec() }
        };
        Ok(rows.map(one).collect())
    }

    /// Scores the predictions against the labels of the cases.
    ///
    /// # Errors
    ///
    /// As [`Labeller::score`].
    pub fn score(&mut self, set: &LabelledSet) -> Result<ClassScores> {
        match self.labeller.score(set)?.1 {
            LabelScores::Classes(scores) => Ok(scores),
            LabelScores::Values(_) => Err(Error::internal("a classifier was scored by values")),
        }
    }
}

impl Regressor {
    /// Wraps a model that is loaded already.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is a classifier.
    pub fn new(labeller: Labeller) -> Result<Self> {
        let LabelCoding::Values { names, .. } = labeller.coding() else {
            return Err(other_kind("regression"));
        };
        Ok(Self { targets: names.clone(), labeller })
    }

    /// Loads a model directory onto a backend.
    ///
    /// # Errors
    ///
    /// As [`Labeller::from_dir`]; `InvalidConfig` if it is a classifier.
    pub fn from_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        let found = Self::new(Labeller::from_dir(dir, backend)?);
        found.map_err(|e| e.at(dir.display().to_string()))
    }

    /// Names of the predicted values.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        self.labeller.config()
    }

    /// How cases are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        self.labeller.preprocessor()
    }

    /// Predicts the values of every case, `[cases, targets]`, in data units; labels in `set` are
    /// ignored.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if they have other channels than the model.
    pub fn predict(&mut self, set: &LabelledSet) -> Result<Vec<f64>> {
        match self.labeller.predict(set)? {
            Predictions::Values(values) => Ok(values),
            Predictions::Logits(_) => Err(Error::internal("a regression predicted classes")),
        }
    }

    /// Scores the predictions against the values of the cases.
    ///
    /// # Errors
    ///
    /// As [`Labeller::score`].
    pub fn score(&mut self, set: &LabelledSet) -> Result<ValueScores> {
        match self.labeller.score(set)?.1 {
            LabelScores::Values(scores) => Ok(scores),
            LabelScores::Classes(_) => Err(Error::internal("a regression was scored by classes")),
        }
    }
}
