//! Trained recipes that are found again by their content: what `benchmark` and `tune` are made of.
//!
//! A cell is one recipe with one seed on one data set. Its folder is named by a digest of all that
//! decides the outcome: the recipe, the data, the split, our version and the instruction set. So a
//! repeated command, or another command on the same folder, finds what was trained before, and a run
//! that was killed goes on from its checkpoint.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ptsm::data::{SeriesSet, Split};
use ptsm::evaluate::{EvaluateOptions, Metrics, evaluate};
use ptsm::train::{Recipe, Training};
use ptsm::{CONFIG_FILE, Config, Cpu, Error, Forecaster, OutputKind, Result, Task, WEIGHTS_FILE};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::args::Global;
use crate::commands::ensemble::join;
use crate::commands::train::{
    ModelArgs, Plan, Record, TRAINING_FILE, config_of, model_fields, train,
};
use crate::output::write_text;
use crate::source::{DataArgs, summary};
use crate::story::{Part, prepare_for};

/// Windows that are scored at once; does not change a bit.
const BATCH: usize = 256;

/// One data set, read once, on which recipes are trained.
pub(crate) struct Subject {
    plan: Plan,
    fingerprint: String,
}

impl Subject {
    /// Reads the data; the split is their own if none is given.
    pub(crate) fn read(global: &Global, data: &DataArgs, split: Option<Split>) -> Result<Self> {
        let source = data.read(global)?;
        let set = data.series(&source)?;
        let fingerprint = set.fingerprint();
        let plan = Plan {
            task: Task::Forecasting,
            few_shot: None,
            keep_head: false,
            split: split.unwrap_or_else(|| source.default_split()),
            grid: data.repair(&source).grid,
            model: Map::new(),
            start: None,
            training: Training::default(),
            out: PathBuf::new(),
            resume: true,
            source,
            set,
        };
        Ok(Self { plan, fingerprint })
    }

    /// The data set's name.
    pub(crate) fn name(&self) -> &str {
        &self.plan.source.name
    }

    /// One line on what was read.
    pub(crate) fn summary(&self) -> String {
        summary(&self.plan.source, &self.plan.set)
    }

    pub(crate) fn set(&self) -> &SeriesSet {
        &self.plan.set
    }

    pub(crate) fn split(&self) -> Split {
        self.plan.split
    }

    /// Steps of the usual season.
    pub(crate) fn seasonal_period(&self) -> usize {
        self.plan.source.seasonal_period(&self.plan.set)
    }

    /// Makes the recipe the one that the next run trains; returns its configuration.
    fn choose(&mut self, recipe: &Recipe) -> Result<Config> {
        self.plan.model = model_fields(&recipe.model, &ModelArgs::default(), None)?;
        self.plan.training = recipe.training.clone();
        config_of(&self.plan)
    }

    /// About how many operations the training of a recipe takes at most, in units of 1e9.
    pub(crate) fn cost(&mut self, recipe: &Recipe) -> Result<u64> {
        let config = self.choose(recipe)?;
        let rows: usize = self.plan.set.series.iter().map(|series| series.num_rows()).sum();
        let Training { epochs, window_step, .. } = recipe.training;
        let windows = (rows / window_step) as u64 * u64::from(epochs);
        // Forward and backward, two operations a multiply-add; the constant is for what is no product.
        Ok((windows * (6 * config.network()?.multiply_adds() + 1_000_000)).div_ceil(1_000_000_000))
    }
}

/// A trained recipe.
pub(crate) struct Cell {
    /// Its model directory.
    pub(crate) dir: PathBuf,
    pub(crate) record: Record,
    /// Whether it was there already.
    pub(crate) found: bool,
}

impl Cell {
    /// Mean squared error on the validation part, of the kept epoch.
    pub(crate) fn validation(&self) -> Result<f64> {
        self.record.history.best_validation_loss.ok_or_else(|| {
            Error::input("the split leaves no validation window to choose by (use another --split)")
        })
    }

    /// Its model's configuration.
    pub(crate) fn config(&self) -> Result<Config> {
        Config::from_file(&self.dir.join(CONFIG_FILE))
    }

    /// Whether its validation loss is a mean squared error: that of a point forecast, without the
    /// sums of a hierarchy.
    pub(crate) fn minimises_squares(&self) -> Result<bool> {
        let config = self.config()?;
        let points = OutputKind::of(&config)? == OutputKind::Points;
        Ok(points && config.extension().hierarchy.is_none())
    }

    /// Seconds that its training took.
    pub(crate) fn seconds(&self) -> f64 {
        self.record.history.epochs.iter().map(|epoch| epoch.seconds).sum()
    }
}

/// What a model directory scored, kept in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Score {
    pub(crate) metrics: Metrics,
    /// Time of the pass over all windows, in seconds, on the machine's threads.
    pub(crate) seconds: f64,
}

/// A folder of trained recipes.
pub(crate) struct Cells {
    dir: PathBuf,
    instruction_set: &'static str,
}

impl Cells {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
        let instruction_set = ptsm::instruction_set()?.name();
        Ok(Self { dir: dir.to_path_buf(), instruction_set })
    }

    /// A file beside the cells, for what some data give under some circumstance.
    pub(crate) fn path(&self, name: &str, of: (&Subject, &str)) -> Result<PathBuf> {
        let key = self.key(of.0, &Recipe::default(), of.1)?;
        Ok(self.dir.join(format!("{name}-{key}.json")))
    }

    /// Digest of everything that decides what a recipe gives on a subject.
    fn key(&self, subject: &Subject, recipe: &Recipe, more: &str) -> Result<String> {
        let split = subject.plan.split.to_string();
        let version = format!("{}/{}", env!("CARGO_PKG_VERSION"), ptsm::train::NUMERICS);
        recipe.fingerprint(&[&subject.fingerprint, &split, &version, self.instruction_set, more])
    }

    /// Trains the recipe, or finds it trained.
    pub(crate) fn obtain(
        &self,
        global: &Global,
        subject: &mut Subject,
        recipe: &Recipe,
    ) -> Result<Cell> {
        subject.choose(recipe)?;
        let resolved = Recipe { model: subject.plan.model.clone(), ..recipe.clone() };
        let dir = self.dir.join(self.key(subject, &resolved, "")?);
        if let Some(record) = finished(&dir)? {
            return Ok(Cell { dir, record, found: true });
        }
        subject.plan.out = dir.clone();
        let quiet = Global { quiet: true, ..global.clone() };
        let record = train(&quiet, &subject.plan)?.record;
        let checkpoints = dir.join(ptsm::train::CHECKPOINT_FOLDER);
        if checkpoints.is_dir() {
            std::fs::remove_dir_all(&checkpoints)
                .map_err(|e| Error::io(&checkpoints, "cannot be removed", e))?;
        }
        Ok(Cell { dir, record, found: false })
    }

    /// The model directory of the mean of some cells; that of the cell itself if it is one.
    pub(crate) fn average(&self, cells: &[&Cell]) -> Result<PathBuf> {
        if let [only] = cells {
            return Ok(only.dir.clone());
        }
        let names = cells.iter().filter_map(|cell| cell.dir.file_name()?.to_str());
        let out = self.dir.join(names.collect::<Vec<_>>().join("+"));
        if !out.join(ptsm::ENSEMBLE_FILE).is_file() {
            let members: Vec<PathBuf> = cells.iter().map(|cell| cell.dir.clone()).collect();
            join(&out, &members)?;
        }
        Ok(out)
    }

    /// Scores a model directory on every window of a part, once: the score is kept in it.
    pub(crate) fn score(&self, subject: &Subject, dir: &Path, part: Part) -> Result<Score> {
        let path = dir.join(format!("score-{}.json", part.name()));
        if let Some(score) = read_json(&path)? {
            return Ok(score);
        }
        let mut forecaster = Forecaster::from_dir(dir, &Cpu::default())?;
        let prepared = prepare_for(&forecaster, &subject.plan.set, None)?;
        let options = EvaluateOptions {
            batch_size: BATCH,
            channels: Some(forecaster.config().prediction_channels()),
            ..EvaluateOptions::default()
        };
        let began = Instant::now();
        let windows = part.windows(&prepared);
        let metrics = evaluate(&mut |batch| forecaster.forward(batch), windows, &options)?;
        let score = Score { metrics, seconds: began.elapsed().as_secs_f64() };
        write_json(&path, &score)?;
        Ok(score)
    }
}

/// The record of a run that is over; `None` if there is none, or it was interrupted.
fn finished(dir: &Path) -> Result<Option<Record>> {
    if !dir.join(WEIGHTS_FILE).is_file() {
        return Ok(None);
    }
    let record: Option<Record> = read_json(&dir.join(TRAINING_FILE))?;
    Ok(record.filter(|record| record.history.stopped_by != "interrupted"))
}

/// What a file of ours holds; `None` if there is no such file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
    let bad = "is not what we wrote there (remove it to have it made again)";
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::config(path.display().to_string(), bad).because(e))
}

/// Writes a file of ours.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::internal("a result cannot be written").because(e))?;
    write_text(path, &(text + "\n"))
}
