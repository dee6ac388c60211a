//! Classifiers and regressions of cases, `[cases, channels, steps]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ptsm::data::{LabelCoding, LabelledSet, Labels, Series};
use ptsm::job::{CASE_BUDGET, CaseChoiceJob, CaseData, CaseSearch, Save, SaveMode};
use ptsm::labeller::{LabelScores, Labeller, Predictions};
use ptsm::model_dir::ModelDir;
use ptsm::{Cpu, Error, Result, Task};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::errors::raised;
use crate::files::{Files, temporary};
use crate::forecaster::files_dict;
use crate::onnx;
use crate::settings::{from_text, split, training};
use crate::work::{Watcher, long, short};

/// A trained classifier or regression.
#[pyclass(frozen, module = "ptsm._ptsm")]
pub(crate) struct LabelCore {
    files: Arc<Files>,
    coding: LabelCoding,
    channels: Vec<String>,
    /// Labellers that nobody uses at the moment. Touched only with the interpreter's lock held.
    idle: Mutex<Vec<Labeller>>,
}

/// What a training is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    seed: Option<u64>,
    /// Seconds of two cores that the search for settings may take.
    budget: Option<f64>,
    /// Options of the networks, which are not searched then.
    options: Map<String, Value>,
}

/// Cases as Python hands them over: channels, the steps of each case, and the bytes of all numbers.
type Packed<'py> = (usize, Vec<usize>, Bound<'py, PyBytes>);

/// Cases in memory: numbers one case after the other, `[channels, steps]` each.
struct Cases {
    channels: usize,
    lengths: Vec<usize>,
    numbers: Vec<f64>,
}

impl Cases {
    fn new((channels, lengths, bytes): Packed<'_>) -> Self {
        let number = |bytes: &[u8]| {
            let mut whole = [0; 8];
            whole.copy_from_slice(bytes);
            f64::from_ne_bytes(whole)
        };
        Self { channels, lengths, numbers: bytes.as_bytes().chunks_exact(8).map(number).collect() }
    }

    /// The cases with their labels, row by row as the library has them.
    fn labelled(self, names: Vec<String>, labels: Labels) -> Result<LabelledSet> {
        let Self { channels, lengths, numbers } = self;
        let all: usize = lengths.iter().sum::<usize>() * channels;
        if all != numbers.len() {
            return Err(Error::internal("cases have another number of values than they say"));
        }
        let mut cases = Vec::with_capacity(lengths.len());
        let mut first = 0;
        for (number, &length) in lengths.iter().enumerate() {
            let own = &numbers[first..][..length * channels];
            first += length * channels;
            let at = |i: usize| own[i % channels * length + i / channels];
            let values = (0..own.len()).map(at).collect();
            let id = number.to_string();
            cases.push(
                Series::new(id, channels, values).map_err(|e| e.at(format!("case {number}")))?,
            );
        }
        LabelledSet::new(names, cases, labels)
    }
}

fn numbered(channels: usize) -> Vec<String> {
    (0..channels).map(|channel| format!("dim_{channel}")).collect()
}

/// What the cases are labelled with: names of classes, or names of values and the values `[cases, targets]`.
#[derive(FromPyObject)]
pub(crate) enum Given {
    Classes(Vec<String>),
    Values(Vec<String>, Vec<f64>),
}

impl Given {
    fn labels(self) -> Labels {
        match self {
            Self::Classes(names) => Labels::classes(names),
            Self::Values(names, of) => Labels::Values { names, of },
        }
    }
}

impl Asked {
    fn run(self, set: LabelledSet, save: Save, watcher: &mut Watcher) -> Result<Vec<String>> {
        let task = match set.labels {
            Labels::Classes { .. } => Task::Classification,
            _ => Task::Regression,
        };
        let (model, mut settings) = split(self.options)?;
        let given: Vec<&str> = settings.keys().map(String::as_str).collect();
        let mut search = CaseSearch::built_in(task, &set).settled(&model, &given);
        if let Some(seed) = self.seed {
            settings.insert("seed".to_owned(), seed.into());
        }
        search.training = training(&search.training, &settings)?;
        let data = CaseData { name: "cases".into(), train: set, validation: None }.into();
        let budget = self.budget.unwrap_or(CASE_BUDGET);
        let job = CaseChoiceJob { data: &data, search, budget, save: Some(save) };
        Ok(vec![job.run(watcher)?.choice.sentence()])
    }
}

/// Trains a classifier or a regression; what is asked for is JSON.
#[pyfunction]
pub(crate) fn fit_cases(
    py: Python<'_>,
    cases: Packed<'_>,
    labels: Given,
    asked: &str,
    observer: Option<&Bound<'_, PyAny>>,
) -> PyResult<(LabelCore, Vec<String>)> {
    let asked: Asked = raised(py, from_text(asked))?;
    let cases = Cases::new(cases);
    let labels = labels.labels();
    long(py, observer, move |shared| {
        let names = numbered(cases.channels);
        let set = cases.labelled(names, labels)?;
        let folder = temporary()?;
        let save = Save { dir: ModelDir::new(folder.path()), mode: SaveMode::New };
        let notes = asked.run(set, save, &mut Watcher(shared))?;
        Ok((LabelCore::load(Files::of_dir(folder.path())?)?, notes))
    })
}

impl LabelCore {
    fn load(files: Files) -> Result<Self> {
        let labeller = files.in_folder(|dir| Labeller::from_dir(dir, &Cpu::default()))?;
        Ok(Self {
            files: Arc::new(files),
            coding: labeller.coding().clone(),
            channels: labeller.preprocessor().channels.clone(),
            idle: Mutex::new(vec![labeller]),
        })
    }

    fn take(&self) -> Option<Labeller> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Runs `ask` with a labeller that nobody else uses.
    fn with<T: Send + 'static>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&mut Labeller) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let (idle, files) = (self.take(), Arc::clone(&self.files));
        let (answer, labeller) = long(py, None, move |_| {
            let mut labeller = match idle {
                Some(idle) => idle,
                None => files.in_folder(|dir| Labeller::from_dir(dir, &Cpu::default()))?,
            };
            let answer = ask(&mut labeller)?;
            Ok((answer, labeller))
        })?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(labeller);
        Ok(answer)
    }
}

#[pymethods]
impl LabelCore {
    /// Loads a model directory.
    #[staticmethod]
    fn from_dir(py: Python<'_>, dir: PathBuf) -> PyResult<Self> {
        short(py, || Self::load(Files::of_dir(&dir)?))
    }

    /// Loads a model from its files by their names.
    #[staticmethod]
    fn from_files(py: Python<'_>, files: BTreeMap<String, Vec<u8>>) -> PyResult<Self> {
        short(py, || Self::load(Files(files)))
    }

    /// Its files by their names below the model directory.
    fn files<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        files_dict(py, &self.files)
    }

    /// Writes the model as an ONNX file; what is asked for, and what the file takes and gives, is JSON.
    fn to_onnx(&self, py: Python<'_>, path: std::path::PathBuf, asked: &str) -> PyResult<String> {
        short(py, || onnx::write(&self.files, &path, asked))
    }

    /// Writes the model directory, as a whole or not at all.
    fn save(&self, py: Python<'_>, dir: PathBuf, overwrite: bool) -> PyResult<()> {
        short(py, || self.files.save(&dir, overwrite))
    }

    /// Names of the classes, or of the values that are predicted.
    #[getter]
    fn names(&self) -> Vec<String> {
        match &self.coding {
            LabelCoding::Classes { names } | LabelCoding::Values { names, .. } => names.clone(),
        }
    }

    /// Whether classes are predicted, and not values.
    #[getter]
    fn classifies(&self) -> bool {
        matches!(self.coding, LabelCoding::Classes { .. })
    }

    /// Names of the channels.
    #[getter]
    fn channels(&self) -> Vec<String> {
        self.channels.clone()
    }

    /// Probabilities `[cases, classes]`, or values `[cases, targets]`, row by row.
    fn predict(&self, py: Python<'_>, cases: Packed<'_>) -> PyResult<Vec<f64>> {
        let cases = Cases::new(cases);
        let (count, classes) = (cases.lengths.len(), self.names().len());
        let names = self.names_for(cases.channels);
        self.with(py, move |labeller| {
            let set = cases.labelled(names, Labels::Unknown(count))?;
            Ok(match labeller.predict(&set)? {
                Predictions::Logits(logits) => Predictions::probabilities(&logits, classes),
                Predictions::Values(values) => values,
            })
        })
    }

    /// Scores against labels, as JSON.
    fn score(&self, py: Python<'_>, cases: Packed<'_>, labels: Given) -> PyResult<String> {
        let cases = Cases::new(cases);
        let names = self.names_for(cases.channels);
        let labels = labels.labels();
        self.with(py, move |labeller| {
            let set = cases.labelled(names, labels)?;
            let scores: LabelScores = labeller.score(&set)?.1;
            serde_json::to_string(&scores)
                .map_err(|e| Error::internal("scores cannot be written").because(e))
        })
    }
}

impl LabelCore {
    /// Names of the channels of new cases, which are the model's in order.
    fn names_for(&self, channels: usize) -> Vec<String> {
        match channels == self.channels.len() {
            true => self.channels.clone(),
            false => numbered(channels),
        }
    }
}
