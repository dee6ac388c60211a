//! [`PretrainJob`]: the run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::log::{self, ValidationRow};
use super::real::RealSeries;
use super::samples::SimulatedSamples;
use crate::ensemble::Members;
use crate::job::{Finished, Save, SaveMode, save_model, save_trained};
use crate::model_writer::ModelWriter;
use crate::preprocessor::Preprocessor;
use crate::record::{Record, Simulation};
use crate::simulate::{Effect, Family, Mix, Simulator, VERSION, WindowLengths, Windows};
use crate::spec::{DataShape, ModelSpec, ScalingChoice};
use crate::train::{
    Epoch, Event, History, Outcome, Schedule, SkipStart, TrainData, Trainer, Training,
};
use crate::{Config, Cpu, Error, Forecaster, Model, Result, Task};
use ptsm_core::{Location, Precision, Scaler, Transform};

/// Name of the data in records, and of the one channel.
const DATASET: &str = "simulated";
const CHANNEL: &str = "y";

/// Simulated windows that are held back for validation, drawn with one seed and the default mix, so
/// that their losses can be compared between runs.
const VALIDATION_WINDOWS: usize = 4096;
const VALIDATION_SEED: u64 = 0;

/// Shortest context that histories are simulated for.
const LEAST_CONTEXT: usize = 16;

/// A model's own defaults here: 512 steps in, 48 out, 32 patches of 16, and the quantiles of 80 and
/// 95 % intervals; and those of its training.
pub fn defaults() -> (ModelSpec, Training) {
    let mut model = ModelSpec {
        context_length: Some(512),
        prediction_length: Some(48),
        patch_length: Some(16),
        patch_stride: Some(16),
        d_model: Some(48),
        num_layers: Some(5),
        dropout: Some(0.0),
        head_dropout: Some(0.0),
        scaling: Some(ScalingChoice::Std),
        ..ModelSpec::default()
    };
    let extension = model.extension_mut();
    extension.quantiles = Some(vec![0.025, 0.1, 0.5, 0.9, 0.975]);
    extension.location = Location::Last;
    let training = Training {
        batch_size: 256,
        schedule: Schedule::Cosine,
        warmup_steps: 200,
        gradient_clip: Some(1.0),
        ema_decay: Some(0.998),
        patience: None,
        skip_start: SkipStart::Zero,
        skip_rate: 1.0,
        ..Training::default()
    };
    (model, training)
}

/// A training on simulated windows.
pub struct PretrainJob {
    /// Families of series and effects on them, with their weights.
    pub mix: Mix,
    /// The model, over [`ModelSpec::defaults`]; none of it with `start`, which has all of it.
    pub model: ModelSpec,
    /// The network whose training is continued, with a new optimiser; `None` = weights drawn at random.
    pub start: Option<Model>,
    /// Training settings; the seed is that of the series, too. `epochs` and `epoch_steps` follow from
    /// the fields below.
    pub training: Training,
    /// Windows that are trained on, each once; rounded up to whole validations.
    pub windows: u64,
    /// Steps from one validation to the next.
    pub validate_every: u32,
    /// Real series that are scored at each validation.
    pub real: Vec<RealSeries>,
    /// Where the model goes.
    pub save: Save,
    /// Format of the weights of the finished model.
    pub precision: Precision,
}

/// An event of a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum PretrainEvent<'a> {
    /// The model has its initial weights; training begins.
    Ready {
        /// The model.
        model: &'a Model,
        /// Windows of the whole run.
        windows: u64,
        /// Steps of the whole run.
        total_steps: u64,
    },
    /// A step or an epoch is done.
    Training(&'a Event<'a>),
    /// A validation is done.
    Validated {
        /// Its scores.
        row: &'a ValidationRow,
        /// Whether the loss on held-back simulated windows is the least so far.
        best: bool,
    },
}

/// A finished run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pretrained {
    /// The model with the weights after the last step.
    pub model: Model,
    /// What happened.
    pub record: Record,
    /// Scores of every validation.
    pub validations: Vec<ValidationRow>,
}

impl PretrainJob {
    /// The configuration of the model.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field.
    pub fn config(&self) -> Result<Config> {
        let config = match &self.start {
            Some(start) => self.started(start)?,
            None => self.model.config(&DataShape::windows(Task::Forecasting, 1))?,
        };
        if config.context_length < LEAST_CONTEXT {
            let text = format!("{} must be at least {LEAST_CONTEXT}", config.context_length);
            return Err(Error::config("context_length", text));
        }
        if !matches!(config.scaler(), Scaler::Std { .. }) {
            let text = "simulated series have neither size nor zero: wanted std";
            return Err(Error::config("scaling", text));
        }
        Ok(config)
    }

    /// The configuration of the network whose training is continued.
    fn started(&self, start: &Model) -> Result<Config> {
        if self.model != ModelSpec::default() {
            let text = "is that of the network whose training is continued (leave its fields out)";
            return Err(Error::config("model", text));
        }
        let config = start.config();
        if config.task()? != Task::Forecasting || config.num_input_channels != 1 {
            let text = "wanted a forecaster of one channel";
            return Err(Error::config("start", text));
        }
        Ok(config.clone())
    }

    /// Simulates, trains, validates and saves.
    ///
    /// The bits of the result depend on the job and the instruction set alone, not on the number of
    /// threads, and not on whether the run was killed and resumed in between.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, for impossible settings and for those that the job does not
    /// use; `Io` if something cannot be written.
    pub fn run(
        &self,
        observe: &mut dyn FnMut(&PretrainEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Pretrained> {
        self.save.check()?;
        let training = self.settled()?;
        let config = self.config()?;
        let windows = self.whole_windows();
        let model = match &self.start {
            Some(start) => start.clone(),
            None => Model::new(config, training.init, training.seed)?,
        };
        let train = SimulatedSamples::new(self.simulated(&model), windows as usize);
        let held_back = SimulatedSamples::held_back(validation_windows(&model), VALIDATION_WINDOWS);
        let writer = self.save.hold()?;
        let total_steps = windows / training.batch_size as u64;
        let _ = observe(&PretrainEvent::Ready { model: &model, windows, total_steps });
        let resume = self.save.mode == SaveMode::Resume;
        let mut run = Run {
            job: self,
            writer: &writer,
            preprocessor: Preprocessor::of_any_series(DATASET, &[CHANNEL.to_owned()]),
            batch: training.batch_size as u64,
            rows: if resume { log::read(&self.save.dir.validation())? } else { vec![] },
            failure: None,
            observe,
        };
        let trainer = Trainer {
            training: &training,
            data: TrainData { train: &train, validation: &held_back },
            dir: Some(self.save.dir.path().to_path_buf()),
            resume,
        };
        let outcome = trainer.run(model, &mut |event| run.follow(event));
        let Run { preprocessor, rows, failure, .. } = run;
        if let Some(error) = failure {
            return Err(error);
        }
        // The learning rate has come down: the last weights have seen most, and no noise of a validation picks them.
        let Outcome { last: model, history, .. } = outcome?;
        let record = self.record(&model, training, history)?;
        let (preprocessor, precision) = (&preprocessor, self.precision);
        let finished = Finished { model: &model, preprocessor, record: &record, precision };
        save_trained(&writer, &finished)?;
        Ok(Pretrained { model, record, validations: rows })
    }

    /// The windows of the whole run.
    fn whole_windows(&self) -> u64 {
        let block = u64::from(self.validate_every) * self.training.batch_size as u64;
        self.windows.div_ceil(block.max(1)) * block
    }

    /// The training settings, complete.
    fn settled(&self) -> Result<Training> {
        for (field, value) in
            [("windows", self.windows), ("validate_every", u64::from(self.validate_every))]
        {
            if value == 0 {
                return Err(Error::config(field, "0 must be at least 1"));
            }
        }
        self.refuse_unused()?;
        let given = &self.training;
        let block = u64::from(self.validate_every) * given.batch_size as u64;
        let epochs = u32::try_from(self.whole_windows() / block.max(1))
            .map_err(|_| Error::config("windows", format!("{} are too many", self.windows)))?;
        let training = Training { epochs, epoch_steps: Some(self.validate_every), ..given.clone() };
        training.validate()?;
        Ok(training)
    }

    /// Refuses settings that a run over windows that are each seen once has no use for.
    fn refuse_unused(&self) -> Result<()> {
        let plain = Training::default();
        let given = &self.training;
        let unused = [
            ("epochs", given.epochs != plain.epochs),
            ("epoch_steps", given.epoch_steps.is_some()),
            ("patience", given.patience.is_some()),
            ("min_delta", given.min_delta != plain.min_delta),
            ("window_step", given.window_step != plain.window_step),
            ("partial_windows", given.partial_windows),
            ("with_validation", given.with_validation),
            ("transform", given.transform != Transform::None),
            ("percent_loss", given.percent_loss.is_some()),
            ("freeze_backbone", given.freeze_backbone),
            ("class_weights", given.class_weights.is_some()),
            ("skip_start", given.skip_start != SkipStart::Zero),
        ];
        if let Some((field, _)) = unused.iter().find(|(_, given)| *given) {
            let text =
                "is not used by a training on simulated windows, each seen once (leave it out)";
            return Err(Error::config(*field, text));
        }
        Ok(())
    }

    fn simulated(&self, model: &Model) -> Windows {
        Windows::new(Simulator::new(self.training.seed, self.mix.clone()), lengths(model))
    }

    fn record(&self, model: &Model, training: Training, history: History) -> Result<Record> {
        let windows = history.steps * training.batch_size as u64;
        let hours = history.epochs.iter().map(|epoch| epoch.seconds).sum::<f64>() / 3600.0;
        let named = |name: &'static str, weight| (name.to_owned(), weight);
        let families =
            Family::ALL.iter().map(|&family| named(family.name(), self.mix.weight(family)));
        let effects =
            Effect::ALL.iter().map(|&effect| named(effect.name(), self.mix.chance(effect)));
        let simulation = Simulation {
            version: VERSION,
            seed: training.seed,
            windows,
            families: families.collect::<BTreeMap<_, _>>(),
            effects: effects.collect::<BTreeMap<_, _>>(),
            hours,
        };
        Ok(Record {
            version: env!("CARGO_PKG_VERSION").into(),
            instruction_set: ptsm_core::instruction_set()?.name().into(),
            dataset: DATASET.into(),
            split: crate::data::Split::default(),
            train_windows: windows as usize,
            validation_windows: VALIDATION_WINDOWS,
            num_parameters: model.layout().num_trained(),
            init: self.start.is_some(),
            simulation: Some(simulation),
            training,
            history,
        })
    }
}

fn lengths(model: &Model) -> WindowLengths {
    let Config { context_length, prediction_length, .. } = *model.config();
    WindowLengths { context: context_length, horizon: prediction_length }
}

fn validation_windows(model: &Model) -> Windows {
    Windows::new(Simulator::new(VALIDATION_SEED, Mix::default()), lengths(model))
}

/// What happens beside the training loop.
struct Run<'a> {
    job: &'a PretrainJob,
    writer: &'a ModelWriter,
    preprocessor: Preprocessor,
    batch: u64,
    rows: Vec<ValidationRow>,
    failure: Option<Error>,
    observe: &'a mut dyn FnMut(&PretrainEvent<'_>) -> ControlFlow<()>,
}

impl Run<'_> {
    fn follow(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        if let Event::Resumed { step, .. } = event {
            let seen = step * self.batch;
            self.rows.retain(|row| row.windows <= seen);
        }
        let flow = (self.observe)(&PretrainEvent::Training(event));
        let Event::Epoch { epoch, best, model, .. } = event else { return flow };
        let saved = save_model(self.writer, model, &self.preprocessor);
        match saved.and_then(|()| self.validate(epoch, model)) {
            Ok(row) => {
                let shown = (self.observe)(&PretrainEvent::Validated { row: &row, best: *best });
                if flow.is_break() { flow } else { shown }
            }
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Scores the real series and writes the log.
    fn validate(&mut self, epoch: &Epoch, model: &Model) -> Result<ValidationRow> {
        let mut real = Vec::new();
        if !self.job.real.is_empty() {
            let members = Members::single(model.clone());
            let preprocessor = self.preprocessor.clone();
            let mut forecaster =
                Forecaster::assemble(&members, preprocessor, None, &Cpu::default())?;
            for series in &self.job.real {
                real.push(series.score(&mut forecaster)?);
            }
        }
        let steps = u64::from(epoch.epoch) * u64::from(self.job.validate_every);
        let before = self.rows.last().map_or(0.0, |row| row.seconds);
        let row = ValidationRow {
            windows: steps * self.batch,
            steps,
            seconds: before + epoch.seconds,
            learning_rate: epoch.learning_rate,
            train_loss: epoch.train_loss,
            validation_loss: epoch.validation_loss,
            real,
        };
        self.rows.retain(|earlier| earlier.windows < row.windows);
        self.rows.push(row.clone());
        log::write(&self.job.save.dir.validation(), &self.rows)?;
        Ok(row)
    }
}
