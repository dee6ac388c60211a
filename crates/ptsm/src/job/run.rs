//! The run of a job: samples prepared, a model made, trained and saved.

use std::ops::ControlFlow;
use std::time::Instant;

use super::data::JobData;
use super::event::{JobEvent, Observer, Ready};
use super::plan::{Job, Save, SaveMode};
use super::samples::{Laid, LaidSamples};
use crate::model_dir::{ModelDir, write_json};
use crate::model_writer::ModelWriter;
use crate::preprocessor::Preprocessor;
use crate::record::Record;
use crate::train::{Event, History, Samples, Subset, TrainData, Trainer};
use crate::{Config, Error, Model, Result, Task};
use ptsm_core::{Note, Precision};

/// A finished job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trained {
    /// The model with the weights of the kept epoch.
    pub model: Model,
    /// Reads and standardises data for the model.
    pub preprocessor: Preprocessor,
    /// Settings and history of the run.
    pub record: Record,
    /// The prepared samples.
    pub samples: LaidSamples,
    /// Seconds of training, saving included.
    pub seconds: f64,
}

/// Validation samples that are used also where fewer train. With more than both, validation would take
/// longer than training.
const ALWAYS_VALIDATED: usize = 4096;

impl Job<'_> {
    /// The configuration of the model.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field; `InvalidInput` if the data have no labels to learn.
    pub fn config(&self) -> Result<Config> {
        match (self.data, self.task) {
            (JobData::Series(data), Task::Forecasting | Task::Pretraining) => {
                self.window_config(data)
            }
            (JobData::Cases(data), Task::Classification | Task::Regression) => {
                self.case_config(data)
            }
            (JobData::Series(_), task) => Err(unfit(task, "series", "labelled cases")),
            (JobData::Cases(_), task) => Err(unfit(task, "labelled cases", "series")),
        }
    }

    pub(super) fn lay_out(&self, config: Config) -> Result<Laid> {
        match self.data {
            JobData::Series(data) => self.lay_out_windows(data, config),
            JobData::Cases(data) => self.lay_out_cases(data, config),
        }
    }

    /// Runs the job: prepares the samples, makes the model, trains it, saves it.
    ///
    /// The bits of the result depend on the job and the instruction set alone, not on the number of
    /// threads, and not on whether the run was killed and resumed in between.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, for impossible settings and for those that the job would
    /// not use; `InvalidInput` if the data do not fit; `Io` if something cannot be written.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Trained> {
        self.training.validate()?;
        self.save.as_ref().map_or(Ok(()), Save::check)?;
        self.run_as(self.config()?, observer)
    }

    /// As [`Job::run`], of a model with this configuration, in place of the one that the specification
    /// makes.
    pub(super) fn run_as(&self, config: Config, observer: &mut dyn Observer) -> Result<Trained> {
        let Laid { model, preprocessor, samples, mut notes } = self.lay_out(config)?;
        self.check_used(model.config(), &samples)?;
        let few = self.few_shot.map(|share| Subset::last(samples.train(), share)).transpose()?;
        let empty = Subset::new(samples.train(), Vec::new());
        let train: &dyn Samples = few.as_ref().map_or(samples.train(), |few| few);
        let whole = samples.validation().unwrap_or(&empty);
        let most = train.len().max(ALWAYS_VALIDATED);
        let thinned = (whole.len() > most).then(|| Subset::spread(whole, most));
        let validation = thinned.as_ref().map_or(whole, |thinned| thinned);
        if thinned.is_some() {
            let all = whole.len();
            notes.push(Note::from(format!(
                "{most} of {all} validation samples are used, evenly spread"
            )));
        }
        let data = TrainData { train, validation };
        let (train, validation) = (data.train.len(), data.validation.len());
        let steps = self.training.steps_per_epoch(train) as u64;
        let total_steps = steps * u64::from(self.training.epochs);
        let notes = &notes;
        let ready = Ready { data: self.data, model: &model, train, validation, total_steps, notes };
        let _ = observer.observe(&JobEvent::Ready(ready));
        let writer = self.save.as_ref().map(Save::hold).transpose()?;
        let began = Instant::now();
        let saved = Saved { preprocessor: &preprocessor, writer: writer.as_ref() };
        let (model, history) = self.optimise(data, model, saved, observer)?;
        let record = Record {
            version: env!("CARGO_PKG_VERSION").into(),
            instruction_set: ptsm_core::instruction_set()?.name().into(),
            dataset: self.data.name().to_owned(),
            split: preprocessor.split,
            train_windows: train,
            validation_windows: validation,
            num_parameters: model.layout().num_trained(),
            init: self.start.is_some(),
            simulation: None,
            training: self.training.clone(),
            history,
        };
        let _ = observer.observe(&JobEvent::Trained(&record));
        if let Some(writer) = &writer {
            let (preprocessor, precision) = (&preprocessor, Precision::Single);
            let finished = Finished { model: &model, preprocessor, record: &record, precision };
            save_trained(writer, &finished)?;
        }
        let seconds = began.elapsed().as_secs_f64();
        Ok(Trained { model, preprocessor, record, samples, seconds })
    }

    /// The training loop; every better epoch is saved as a complete model directory.
    fn optimise(
        &self,
        data: TrainData<'_>,
        model: Model,
        Saved { preprocessor, writer }: Saved<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(Model, History)> {
        let dir = self.save.as_ref().map(|save| save.dir.path().to_path_buf());
        let resume = self.save.as_ref().is_some_and(|save| save.mode == SaveMode::Resume);
        let trainer = Trainer { training: &self.training, data, dir, resume };
        let mut failure = None;
        let outcome = trainer.run(model, &mut |event| {
            let flow = observer.observe(&JobEvent::Training(event));
            if let (Event::Epoch { best: true, best_model, .. }, Some(writer)) = (event, writer)
                && let Err(error) = save_model(writer, best_model, preprocessor)
            {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            flow
        });
        match failure {
            Some(error) => Err(error),
            None => outcome.map(|outcome| (outcome.model, outcome.history)),
        }
    }
}

/// What a saved model comes with, and who saves it.
struct Saved<'a> {
    preprocessor: &'a Preprocessor,
    writer: Option<&'a ModelWriter>,
}

fn unfit(task: Task, got: &str, wanted: &str) -> Error {
    let name = serde_json::to_value(task).ok().and_then(|v| v.as_str().map(str::to_owned));
    let name = name.unwrap_or_default();
    Error::config("task", format!("\"{name}\" learns from {wanted}, not from {got}"))
}

/// Replaces the model of a directory, as a whole or not at all.
///
/// # Errors
///
/// `Io`, naming the file.
pub fn save_model(writer: &ModelWriter, model: &Model, preprocessor: &Preprocessor) -> Result<()> {
    writer.replace(|staged| {
        write_model(staged, model, preprocessor)?;
        Ok(Vec::new())
    })
}

/// A finished training.
pub(crate) struct Finished<'a> {
    pub(crate) model: &'a Model,
    pub(crate) preprocessor: &'a Preprocessor,
    pub(crate) record: &'a Record,
    /// Format of the weights.
    pub(crate) precision: Precision,
}

/// As [`save_model`], with the record of the training.
pub(crate) fn save_trained(writer: &ModelWriter, finished: &Finished<'_>) -> Result<()> {
    let Finished { model, preprocessor, record, precision } = *finished;
    writer.replace(|staged| {
        preprocessor.save(staged.path())?;
        model.save_as(staged.path(), precision)?;
        write_json(&staged.training(), record)?;
        Ok(Vec::new())
    })
}

/// Writes a model with its preprocessor into a directory that is being filled.
pub(super) fn write_model(
    staged: &ModelDir,
    model: &Model,
    preprocessor: &Preprocessor,
) -> Result<()> {
    preprocessor.save(staged.path())?;
    model.save(staged.path())
}
