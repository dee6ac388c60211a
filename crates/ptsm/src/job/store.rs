//! [`RecipeStore`]: a folder of trained recipes, which benchmarks and searches look up by content.
//!
//! The folder of a trained recipe is named by a digest of everything that determines the result:
//! the recipe, the data, the split, the version of this crate and the instruction set. So a
//! repeated command, or another one on the same folder, reuses earlier results, and a run that was
//! killed is resumed from its checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::data::{JobData, SeriesData};
use super::event::Observer;
use super::plan::{Job, Save, SaveMode};
use crate::data::{SeriesSet, Split, WindowShape, prepare};
use crate::ensemble::join;
use crate::evaluate::{EvaluateOptions, Metrics, evaluate};
use crate::model_dir::{ModelDir, read_json, write_json};
use crate::model_writer::ModelWriter;
use crate::record::Record;
use crate::spec::ModelSpec;
use crate::train::{NUMERICS, Recipe, Training};
use crate::{Config, Cpu, Error, Forecaster, Result, Task};
use ptsm_core::{OutputKind, read_consistently};

/// Windows per forward pass when scoring; does not affect the scores.
const BATCH: usize = 256;

/// One data set, read once, on which recipes are trained.
pub struct Subject {
    series: Arc<SeriesData>,
    data: JobData,
    fingerprint: String,
}

impl Subject {
    /// Series on which recipes are trained.
    pub fn new(data: SeriesData) -> Self {
        let fingerprint = data.set.fingerprint();
        let series = Arc::new(data);
        Self { data: JobData::Series(Arc::clone(&series)), series, fingerprint }
    }

    /// The series with their name, split and season.
    pub fn data(&self) -> &SeriesData {
        &self.series
    }

    /// The same as the data of a job.
    pub fn job_data(&self) -> &JobData {
        &self.data
    }

    /// The series.
    pub fn set(&self) -> &SeriesSet {
        &self.data().set
    }

    /// Borders of the parts.
    pub fn split(&self) -> Split {
        self.data().split
    }

    /// The job that trains a recipe.
    pub(super) fn job(&self, recipe: &Recipe) -> Job<'_> {
        Job {
            data: &self.data,
            task: Task::Forecasting,
            model: recipe.model.clone(),
            training: recipe.training.clone(),
            start: None,
            few_shot: None,
            save: None,
        }
    }

    /// A rough upper bound of the operations that training a recipe takes, in units of 1e9.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the recipe does not fit the data.
    pub fn cost(&self, recipe: &Recipe) -> Result<u64> {
        let config = self.job(recipe).config()?;
        let rows: usize = self.set().series.iter().map(|series| series.num_rows()).sum();
        let Training { epochs, window_step, .. } = recipe.training;
        let windows = (rows / window_step) as u64 * u64::from(epochs);
        // Forward and backward, two operations a multiply-add; the constant is for all other work.
        Ok((windows * (6 * config.network()?.multiply_adds() + 1_000_000)).div_ceil(1_000_000_000))
    }
}

/// A recipe that was trained.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrainedRecipe {
    /// Its model directory.
    pub dir: ModelDir,
    /// The record of its training.
    pub record: Record,
    /// Whether it was already in the store.
    pub found: bool,
}

impl TrainedRecipe {
    /// Loss on the validation part, of the kept epoch.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the split leaves no validation window.
    pub fn validation(&self) -> Result<f64> {
        self.record.history.best_validation_loss.ok_or_else(|| {
            Error::input("the split leaves no validation window to choose by (use another split)")
        })
    }

    /// Its model's configuration.
    ///
    /// # Errors
    ///
    /// `Io` or `InvalidConfig`, naming the file.
    pub fn config(&self) -> Result<Config> {
        Config::from_file(&self.dir.config())
    }

    /// Whether its validation loss is a mean squared error: that of a point forecast, without the
    /// sums of a hierarchy.
    ///
    /// # Errors
    ///
    /// As [`TrainedRecipe::config`].
    pub fn minimises_squares(&self) -> Result<bool> {
        let config = self.config()?;
        let points = OutputKind::of(&config)? == OutputKind::Points;
        Ok(points && config.extension().hierarchy.is_none())
    }

    /// Seconds that its training took.
    pub fn seconds(&self) -> f64 {
        self.record.seconds()
    }
}

/// The score of a model directory, stored in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Score {
    /// Errors over all windows.
    pub metrics: Metrics,
    /// Time of the pass over all windows, in seconds, on the machine's threads.
    pub seconds: f64,
}

/// A folder of trained recipes.
#[derive(Debug)]
pub struct RecipeStore {
    dir: PathBuf,
    instruction_set: &'static str,
}

impl RecipeStore {
    /// A store in `dir`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be made.
    pub fn new(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
        let instruction_set = ptsm_core::instruction_set()?.name();
        Ok(Self { dir: dir.to_path_buf(), instruction_set })
    }

    /// Path of a file beside the models for a result that depends on the data and a circumstance,
    /// such as a parameter; its name has a digest of both.
    ///
    /// # Errors
    ///
    /// `Internal` if there is no digest.
    pub fn path(&self, name: &str, subject: &Subject, circumstance: &str) -> Result<PathBuf> {
        let key = self.key(subject, &Recipe::default(), circumstance)?;
        Ok(self.dir.join(format!("{name}-{key}.json")))
    }

    /// Digest of everything that determines the result of a recipe on a subject.
    fn key(&self, subject: &Subject, recipe: &Recipe, more: &str) -> Result<String> {
        let split = subject.split().to_string();
        let version = format!("{}/{}", env!("CARGO_PKG_VERSION"), NUMERICS);
        recipe.fingerprint(&[&subject.fingerprint, &split, &version, self.instruction_set, more])
    }

    /// Trains the recipe, or finds it already trained; `observer` receives the training's events.
    ///
    /// # Errors
    ///
    /// As [`Job::run`].
    pub fn obtain(
        &self,
        subject: &Subject,
        recipe: &Recipe,
        observer: &mut dyn Observer,
    ) -> Result<TrainedRecipe> {
        let mut job = subject.job(recipe);
        job.config()?;
        // Defaults for the fields that a recipe leaves open are part of the key, too.
        let whole = ModelSpec::defaults().with(&recipe.model);
        let whole = Recipe { model: whole, ..recipe.clone() };
        let dir = ModelDir::new(self.dir.join(self.key(subject, &whole, "")?));
        if let Some(record) = finished(&dir)? {
            return Ok(TrainedRecipe { dir, record, found: true });
        }
        job.save = Some(Save { dir: dir.clone(), mode: SaveMode::Resume });
        let record = job.run(observer)?.record;
        dir.remove_checkpoints()?;
        Ok(TrainedRecipe { dir, record, found: false })
    }

    /// The model directory of an ensemble of trained recipes; that of the recipe itself if there is
    /// only one.
    ///
    /// # Errors
    ///
    /// As [`join`].
    pub fn average(&self, members: &[&TrainedRecipe]) -> Result<ModelDir> {
        if let [only] = members {
            return Ok(only.dir.clone());
        }
        let names = members.iter().filter_map(|member| member.dir.path().file_name()?.to_str());
        let out = ModelDir::new(self.dir.join(names.collect::<Vec<_>>().join("+")));
        if !out.is_ensemble() {
            let dirs: Vec<PathBuf> =
                members.iter().map(|member| member.dir.path().to_path_buf()).collect();
            join(out.path(), &dirs)?;
        }
        Ok(out)
    }

    /// Scores a model directory on every window of the validation or the test part, once: the score
    /// is kept in it.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::from_dir`], and `InvalidInput` if the data do not fit.
    pub fn score(&self, subject: &Subject, dir: &ModelDir, test: bool) -> Result<Score> {
        let part = if test { "test" } else { "validation" };
        if let Some(score) = read_consistently(dir.path(), || read_json(&dir.score(part)))? {
            return Ok(score);
        }
        let mut forecaster = Forecaster::from_dir(dir.path(), &Cpu::default())?;
        let Config { context_length, prediction_length, .. } = *forecaster.config();
        let shape = WindowShape { context_length, prediction_length, step: 1 };
        let preprocessor = forecaster.preprocessor();
        let fitted = Some(&preprocessor.standardiser);
        let prepared = prepare(subject.set(), &preprocessor.split, shape, None, fitted)?;
        let options = EvaluateOptions {
            batch_size: BATCH,
            channels: Some(forecaster.config().prediction_channels()),
            ..EvaluateOptions::default()
        };
        let began = Instant::now();
        let windows = if test { &prepared.test } else { &prepared.validation };
        let metrics = evaluate(&mut |batch| forecaster.forward(batch), windows, &options)?;
        let score = Score { metrics, seconds: began.elapsed().as_secs_f64() };
        ModelWriter::new(dir)?.add(|staged| write_json(&staged.score(part), &score))?;
        Ok(score)
    }
}

/// The record of a finished run; `None` if there is none, or it was interrupted.
fn finished(dir: &ModelDir) -> Result<Option<Record>> {
    if !dir.weights().is_file() {
        return Ok(None);
    }
    let read = || read_json(&dir.training());
    let record: Option<Record> = read_consistently(dir.path(), read)?;
    Ok(record.filter(Record::is_finished))
}
