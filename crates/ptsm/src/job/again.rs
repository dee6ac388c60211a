//! A trained model directory, trained again on other rows with the settings of its records.

use std::path::Path;
use std::sync::Arc;

use super::choice::{Choice, LogRidges, Metric, may_copy};
use super::data::{JobData, SeriesData};
use super::event::{JobEvent, Observer};
use super::plan::Job;
use super::run::Trained;
use crate::calibration::{Calibration, CalibrationOptions};
use crate::data::{Prepared, WindowShape, prepare};
use crate::ensemble::{EnsembleWindow, Linear, MemberModel, Members, member_dirs};
use crate::evaluate::{LogRidge, fit_ridge};
use crate::model_dir::{ModelDir, read_json};
use crate::preprocessor::Preprocessor;
use crate::record::Record;
use crate::spec::ModelSpec;
use crate::train::{Subset, Training};
use crate::{Config, Cpu, Error, ErrorKind, Forecaster, Result, Task};

/// Validation windows that intervals are calibrated on, at most, evenly spread.
const CALIBRATED: usize = 4096;

/// What a forecaster was trained with: all that is needed to train it again, without a new search.
///
/// Networks are trained with their configuration and the settings of their `training.json` from weights
/// drawn anew; ridge regressions on values choose their penalty anew, those on logarithms keep it;
/// classical methods and the network inside the library need no training. Members and weights of an
/// ensemble stay. Intervals that were calibrated are calibrated anew, on the validation part, before
/// members that learn from that part too are trained with it.
#[derive(Debug, Clone)]
pub struct Again {
    parts: Vec<(Part, f64)>,
    window: Option<EnsembleWindow>,
    whole: Config,
    preprocessor: Preprocessor,
    /// Levels of calibrated intervals.
    levels: Option<Vec<f64>>,
    metric: Metric,
}

/// A member and how it is made.
#[derive(Debug, Clone)]
enum Part {
    Network {
        config: Box<Config>,
        training: Box<Training>,
    },
    Ridge,
    LogRidge(LogRidge),
    /// What learns nothing from the rows.
    Fixed(MemberModel),
}

/// Members that were trained, and how their data are read.
struct Fitted {
    members: Members,
    preprocessor: Preprocessor,
}

/// The rows that members are made from.
#[derive(Clone, Copy)]
struct Rows<'a> {
    job_data: &'a JobData,
    data: &'a SeriesData,
    /// Cut into windows of the whole.
    prepared: &'a Prepared,
    /// Whether members may learn from the validation part.
    with_validation: bool,
}

impl Rows<'_> {
    fn network(
        self,
        config: &Config,
        training: &Training,
        observer: &mut dyn Observer,
    ) -> Result<Trained> {
        let mut training = training.clone();
        training.with_validation &= self.with_validation;
        let trained = job(self.job_data, training).run_as(config.clone(), observer)?;
        match trained.record.is_finished() {
            true => Ok(trained),
            false => {
                let text = "stopped while a model was trained again";
                Err(Error::new(ErrorKind::Interrupted, text))
            }
        }
    }
}

impl Again {
    /// Reads the records of a model directory.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if a network has no record of its training, or began from the weights of another
    /// model; `Io`, `InvalidConfig` or `InvalidWeights` from the files.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let files = ModelDir::new(dir);
        let Members { config: whole, all } = Members::from_dir(dir)?;
        let ensemble = files.is_ensemble();
        let mut folders = match ensemble {
            true => member_dirs(dir)?,
            false => vec![files.clone()],
        }
        .into_iter();
        let mut parts = Vec::with_capacity(all.len());
        for (member, weight) in all {
            let part = match member {
                MemberModel::Network(model) => {
                    let folder = folders.next().unwrap_or_else(|| files.clone());
                    let training = Box::new(training(&folder)?);
                    Part::Network { config: Box::new(model.config().clone()), training }
                }
                MemberModel::Linear(linear) => match linear.as_ref() {
                    Linear::Values(_) => Part::Ridge,
                    Linear::Logarithms(ridge) => Part::LogRidge(ridge.clone()),
                },
                other => Part::Fixed(other),
            };
            parts.push((part, weight));
        }
        let preprocessor = Preprocessor::from_dir(dir, &whole)?;
        if preprocessor.takes_any_series() {
            let text = "was trained on simulated series: there is nothing to train again (leave refit \
                        out)";
            return Err(Error::config("refit", text).at(dir.display().to_string()));
        }
        let levels = Calibration::from_dir(dir, &whole)?
            .map(|found| found.intervals.iter().map(|interval| interval.level).collect());
        let choice: Option<Choice> = read_json(&files.choice())?;
        let metric = choice.map_or(Metric::default(), |choice| choice.metric);
        let window = ensemble.then_some(EnsembleWindow {
            context_length: whole.context_length,
            prediction_length: whole.prediction_length,
            num_input_channels: whole.num_input_channels,
        });
        Ok(Self { parts, window, whole, preprocessor, levels, metric })
    }

    /// Trains on these series and their split, in memory.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if they are too short for the model or the split, stating the numbers; what stops the
    /// observer is `Interrupted`.
    pub fn fit(&self, data: &SeriesData, observer: &mut dyn Observer) -> Result<Forecaster> {
        let job_data = JobData::Series(Arc::new(data.clone()));
        let calibration = match &self.levels {
            Some(levels) => {
                let before = self.fit_parts(&job_data, data, false, observer)?;
                let calibration = self.calibrate(&before, data, levels)?;
                if !self.learns_from_validation() {
                    return before.load(calibration);
                }
                calibration
            }
            None => None,
        };
        self.fit_parts(&job_data, data, true, observer)?.load(calibration)
    }

    /// Whether a member is trained on the validation part, too.
    fn learns_from_validation(&self) -> bool {
        self.parts.iter().any(|(part, _)| match part {
            Part::Network { training, .. } => training.with_validation,
            Part::LogRidge(_) => true,
            Part::Ridge | Part::Fixed(_) => false,
        })
    }

    /// Makes every member; without `with_validation` none learns from the validation part.
    fn fit_parts(
        &self,
        job_data: &JobData,
        data: &SeriesData,
        with_validation: bool,
        observer: &mut dyn Observer,
    ) -> Result<Fitted> {
        let prepared = self.prepared(data)?;
        let rows = Rows { job_data, data, prepared: &prepared, with_validation };
        let (mut all, mut first) = (Vec::with_capacity(self.parts.len()), None);
        for (number, (part, weight)) in self.parts.iter().enumerate() {
            let member = match part {
                Part::Network { config, training } => {
                    let text = format!("member {} of {}", number + 1, self.parts.len());
                    let _ = observer.observe(&JobEvent::Part(&text));
                    let trained = rows.network(config, training, observer)?;
                    first.get_or_insert(trained.preprocessor);
                    MemberModel::Network(Box::new(trained.model))
                }
                Part::Ridge => {
                    let season = data.seasonal_period;
                    let ridge = fit_ridge(&prepared.train, &prepared.validation, season)?;
                    MemberModel::Linear(Arc::new(Linear::Values(ridge)))
                }
                Part::LogRidge(ridge) => {
                    let ridge = self.log_ridge(rows, ridge)?;
                    MemberModel::Linear(Arc::new(Linear::Logarithms(ridge)))
                }
                Part::Fixed(member) => member.clone(),
            };
            all.push((member, *weight));
        }
        let preprocessor = first.unwrap_or_else(|| Preprocessor {
            standardiser: prepared.standardiser.clone(),
            split: data.split,
            ..self.preprocessor.clone()
        });
        let members = match self.window {
            None => Members { config: self.whole.clone(), all },
            Some(window) => Members::new(Some(window), all)?,
        };
        Ok(Fitted { members, preprocessor })
    }

    fn log_ridge(&self, rows: Rows<'_>, ridge: &LogRidge) -> Result<LogRidge> {
        let fit = LogRidges {
            data: rows.data,
            standardiser: &rows.prepared.standardiser,
            metric: self.metric,
            prediction_length: self.whole.prediction_length,
            partial: may_copy(&rows.data.set),
        };
        fit.again(ridge, rows.with_validation)
    }

    /// The rows cut into windows of the whole.
    fn prepared(&self, data: &SeriesData) -> Result<Prepared> {
        let Config { context_length, prediction_length, .. } = self.whole;
        let shape = WindowShape { context_length, prediction_length, step: 1 };
        let saved = &self.preprocessor.standardiser;
        // Counts are not standardised.
        let counts = super::windows::counts(&self.whole);
        let transform = (!counts).then_some(saved.transform);
        let mut prepared = prepare(&data.set, &data.split, shape, transform, None)?;
        prepared.standardiser.adapts = saved.adapts;
        Ok(prepared)
    }

    /// The intervals by the windows of the validation part; `None` where there are none.
    fn calibrate(
        &self,
        fitted: &Fitted,
        data: &SeriesData,
        levels: &[f64],
    ) -> Result<Option<Calibration>> {
        let prepared = self.prepared(data)?;
        if prepared.validation.is_empty() {
            return Ok(None);
        }
        let most = (CALIBRATED / prepared.validation.num_channels()).max(1);
        let windows = Subset::spread(&prepared.validation, most);
        let mut session = fitted.members.load(&Cpu::default())?.session()?;
        let options = CalibrationOptions {
            name: &format!("{}, validation windows before a cutoff", data.name),
            levels,
            season: data.seasonal_period.max(1),
        };
        let config = &fitted.members.config;
        Calibration::fit(config, session.as_mut(), &windows, &options).map(Some)
    }
}

impl Fitted {
    fn load(self, calibration: Option<Calibration>) -> Result<Forecaster> {
        let Self { members, preprocessor } = self;
        Forecaster::assemble(&members, preprocessor, calibration, &Cpu::default())
    }
}

fn job(data: &JobData, training: Training) -> Job<'_> {
    Job {
        data,
        task: Task::Forecasting,
        model: ModelSpec::default(),
        training,
        start: None,
        few_shot: None,
        save: None,
    }
}

/// The settings of a network's training.
fn training(folder: &ModelDir) -> Result<Training> {
    let path = folder.training();
    let refused = |text: &str| Err(Error::config("refit", text).at(path.display().to_string()));
    match read_json::<Record>(&path)? {
        None => refused("is not there, so nothing says how the network was trained"),
        Some(record) if record.init || record.simulation.is_some() => refused(
            "says that training began from another model or on simulated series, which cannot be \
             trained again on the rows before a cutoff (leave refit out)",
        ),
        Some(record) if !record.is_finished() => {
            refused("is that of an unfinished training (resume it first)")
        }
        Some(record) => Ok(record.training),
    }
}
