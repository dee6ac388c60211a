//! The default answer: networks, ridge regressions, classical methods and the network inside the library forecast the
//! validation windows, and the mean of those that do it best is what the model directory holds.
//!
//! The rule looks at validation windows only, so that what is scored on the test part was chosen
//! without it. [`RULE`] is its version.
//!
//! | file | holds |
//! |---|---|
//! | `budget.rs` | trainings that take no longer than they may |
//! | `compare.rs` | the forecasts of the candidates, and the mean that is picked |
//! | `level.rs` | the networks for positive series |
//! | `logarithms.rs` | the ridge regressions for them |
//! | `metric.rs` | by what candidates are compared |
//! | `told.rs` | what was chosen, as files and users see it |

mod budget;
mod compare;
mod level;
mod logarithms;
mod metric;
mod told;

use std::sync::Arc;

use super::automatic::check_lengths;
use super::data::{JobData, SeriesData};
use super::event::{JobEvent, Observer, stopped, tell};
use super::plan::{Job, Save, SaveMode};
use super::run::{Trained, write_model};
use crate::calibration::{Calibration, CalibrationOptions};
use crate::data::{Prepared, WindowShape, prepare};
use crate::ensemble::{
    Classical, EnsembleWindow, Linear, MemberModel, Members, Method, Place, SavedMember,
    begun_names, new_names, write_weighted,
};
use crate::evaluate::{LogRidge, fit_ridge};
use crate::model_dir::{ModelDir, RIDGE_MEMBER, ZERO_SHOT_MEMBER, write_json};
use crate::model_writer::ModelWriter;
use crate::train::{Recipe, Samples, Subset, Training};
use crate::zero_shot::{ZeroShot, builtin_model};
use crate::{Config, Cpu, Error, ErrorKind, Result, Task};
use budget::Reckoned;
use compare::{Entered, Entrant, Forecasts, Start, pick};
pub(super) use level::may_copy;
pub(super) use logarithms::LogRidges;
use ptsm_core::OutputKind;

pub use metric::Metric;
pub use told::{Candidate, Choice};

/// Version of the rule. A change of its candidates or numbers makes a new one.
pub const RULE: u32 = 4;

/// Past steps that classical methods see, or the whole of shorter series.
const CLASSICAL_CONTEXT: usize = 512;

/// Forecasts of single channels by which candidates are compared; the validation windows are thinned to
/// that many, evenly spread.
const COMPARED: usize = 600;

/// Probabilities of the intervals that come with the choice.
const LEVELS: [f64; 2] = [0.8, 0.95];

/// Error of a network that sees levels, as a multiple of that of the best of them, up to which it takes part in
/// their mean; the same for ridge regressions on logarithms.
const NEAR: f64 = 1.02;

/// Training of the default forecaster.
#[derive(Clone)]
pub struct ChoiceJob<'a> {
    /// The series.
    pub data: &'a JobData,
    /// The network.
    pub recipe: Recipe,
    /// What is small in a good forecast.
    pub metric: Metric,
    /// Where the chosen forecaster is saved.
    pub save: Save,
    /// Seconds on two cores of a small server that the trainings of networks may take together, counted from their sizes and
    /// not timed; they are shortened alike where it is less than they want. `None` = as long as they want.
    pub budget: Option<f64>,
}

/// The forecaster that was chosen, with the run of its network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Chosen {
    /// What was chosen.
    pub choice: Choice,
    /// Its intervals; `None` without a known point to fit them to.
    pub calibration: Option<Calibration>,
    /// The run of the network, whether it was chosen or not.
    pub network: Trained,
}

/// A network of the mean, and the folder that it was trained into.
struct Network {
    name: String,
    recipe: Recipe,
    trained: Trained,
}

/// What was trained or fitted.
struct Learnt {
    main: Network,
    /// Networks that see levels.
    level: Vec<Network>,
    /// Names of folders for those that are trained again.
    again: Vec<String>,
    /// Ridge regressions on logarithms.
    log_ridges: Vec<LogRidge>,
}

/// What was chosen, the members of the mean with their weights, and their intervals.
struct Compared {
    choice: Choice,
    members: Vec<(Entered, f64)>,
    /// Of the members before they are fitted again; `None` without a known point to fit it to.
    calibration: Option<Calibration>,
}

impl ChoiceJob<'_> {
    /// Trains the networks, compares them with the classical methods and saves what was chosen.
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `InvalidConfig` if the network does not forecast points of series; `Interrupted` if the
    /// observer stops the job, which can be resumed.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Chosen> {
        let JobData::Series(series) = self.data else {
            return Err(Error::config("task", "the default forecaster is for series"));
        };
        check_lengths(series, &self.recipe.model)?;
        let writer = self.save.hold()?;
        let mut learnt = self.train(series, observer)?;
        learnt.log_ridges = match level::positive(&series.set) {
            true => self.log_ridges(series, &learnt).fit(&self.facts(series).contexts())?,
            false => Vec::new(),
        };
        let window = window(series, &learnt);
        tell(observer, &JobEvent::Part("comparing forecasters on validation windows"))?;
        let mut compared = compare(series, self.metric, &learnt, window)?;
        let folders = self.refit(series, &mut learnt, &mut compared, observer)?;
        self.write(&writer, &learnt, &folders, &compared, window)?;
        let Compared { choice, calibration, .. } = compared;
        Ok(Chosen { choice, calibration, network: learnt.main.trained })
    }

    fn facts<'a>(&'a self, data: &'a SeriesData) -> level::Facts<'a> {
        let Training { seed, .. } = self.recipe.training;
        level::Facts { data, model: &self.recipe.model, metric: self.metric, seed }
    }

    fn log_ridges<'a>(&self, data: &'a SeriesData, learnt: &'a Learnt) -> LogRidges<'a> {
        let main = &learnt.main.trained;
        LogRidges {
            data,
            standardiser: &main.preprocessor.standardiser,
            metric: self.metric,
            prediction_length: main.model.config().prediction_length,
            partial: self.facts(data).may_copy(),
        }
    }

    /// Trains every network into a folder of its own.
    fn train(&self, series: &SeriesData, observer: &mut dyn Observer) -> Result<Learnt> {
        let mut recipes = self.facts(series).recipes();
        let mut first = self.recipe.clone();
        if let Some(seconds) = self.budget {
            let share = self.shorten(series, seconds, &mut first, &mut recipes)?;
            if share < 1.0 {
                let percent = 100.0 * share;
                let text = format!(
                    "networks are trained for {percent:.2} % of their steps, by the budget"
                );
                tell(observer, &JobEvent::Part(&text))?;
            }
        }
        let count = 1 + 2 * recipes.len();
        let mut names = match self.save.mode {
            SaveMode::Resume => begun_names(&self.save.dir, count),
            SaveMode::New | SaveMode::Replace => new_names(&self.save.dir, count),
        };
        let again = names.split_off(1 + recipes.len());
        let main = self.save.dir.member(&names[0]);
        if self.save.mode == SaveMode::Resume
            && self.save.dir.is_taken()
            && !main.checkpoint().exists()
        {
            let text = "holds a finished model: there is nothing to resume (replace it, or use \
                        another folder)";
            return Err(Error::config(self.save.dir.path().display().to_string(), text));
        }
        let config = self.job(&first, main).config()?;
        if OutputKind::of(&config)? != OutputKind::Points {
            let text = "the default forecaster forecasts points";
            return Err(Error::config("loss", text));
        }
        if config.prediction_channel_indices.is_some() {
            let text = "the default forecaster forecasts every channel";
            return Err(Error::config("prediction_channel_indices", text));
        }
        let mut trained = Vec::new();
        let count = 1 + recipes.len();
        for (number, (recipe, name)) in
            std::iter::once(&first).chain(&recipes).zip(names).enumerate()
        {
            let kind = if number == 0 { "network" } else { "network on logarithms" };
            let part = format!("{kind} ({} of {count} trainings)", number + 1);
            tell(observer, &JobEvent::Part(&part))?;
            let job = self.job(recipe, self.save.dir.member(&name));
            let run = whole(job.run(observer)?)?;
            trained.push(Network { name, recipe: recipe.clone(), trained: run });
        }
        let level = trained.split_off(1);
        match trained.pop() {
            Some(main) => Ok(Learnt { main, level, again, log_ridges: Vec::new() }),
            None => Err(Error::internal("no network was trained")),
        }
    }

    /// Shortens the trainings of the network and of those on logarithms to the budget; the share that is left.
    fn shorten(
        &self,
        series: &SeriesData,
        seconds: f64,
        first: &mut Recipe,
        level: &mut [Recipe],
    ) -> Result<f64> {
        let rows = level::training_rows(&series.set, &series.split);
        let mut trainings = Vec::new();
        for (number, recipe) in std::iter::once(first).chain(level).enumerate() {
            let config = self.job(recipe, self.save.dir.clone()).config()?;
            let taken = config.context_length + config.prediction_length - 1;
            let all: usize = rows.iter().map(|rows| rows.saturating_sub(taken)).sum();
            trainings.push(Reckoned {
                multiply_adds: config.network()?.multiply_adds(),
                windows: all.div_ceil(recipe.training.window_step.max(1)),
                times: if number == 0 { 1.0 } else { 2.0 },
                recipe,
            });
        }
        budget::shorten(seconds, &mut trainings)
    }

    fn job(&self, recipe: &Recipe, dir: ModelDir) -> Job<'_> {
        Job {
            data: self.data,
            task: Task::Forecasting,
            model: recipe.model.clone(),
            training: recipe.training.clone(),
            start: None,
            few_shot: None,
            save: Some(Save { dir, mode: self.save.mode }),
        }
    }

    /// Fits the chosen members that see logarithms again, with the validation part, which holds the latest rows:
    /// networks for as many steps as were best, ridge regressions with the same penalty. Returns the folder of each
    /// network, by its number.
    fn refit(
        &self,
        series: &SeriesData,
        learnt: &mut Learnt,
        compared: &mut Compared,
        observer: &mut dyn Observer,
    ) -> Result<Vec<String>> {
        let mut folders: Vec<String> =
            learnt.level.iter().map(|network| network.name.clone()).collect();
        if compared.choice.windows == 0 {
            return Ok(folders);
        }
        for (member, _) in &compared.members {
            match *member {
                Entered::Level(number) => {
                    // The start of a network is the same whichever rows it is trained on.
                    if learnt.level[number].trained.record.history.best_epoch == 0 {
                        continue;
                    }
                    self.train_again(learnt, number, observer)?;
                    folders[number].clone_from(&learnt.again[number]);
                }
                Entered::LogRidge(number) => {
                    let fitted =
                        self.log_ridges(series, learnt).refit(&learnt.log_ridges[number])?;
                    learnt.log_ridges[number] = fitted;
                }
                Entered::Main | Entered::Other(_) => continue,
            }
            compared.choice.refitted = true;
        }
        Ok(folders)
    }

    /// Trains a network that sees levels into a folder of its own, with the validation part.
    fn train_again(
        &self,
        learnt: &Learnt,
        number: usize,
        observer: &mut dyn Observer,
    ) -> Result<Trained> {
        let Network { recipe, trained, .. } = &learnt.level[number];
        let mut recipe = recipe.clone();
        recipe.training.epochs = trained.record.history.best_epoch;
        recipe.training.with_validation = true;
        let part =
            format!("network on logarithms ({} again, with the validation part)", number + 2);
        tell(observer, &JobEvent::Part(&part))?;
        whole(self.job(&recipe, self.save.dir.member(&learnt.again[number])).run(observer)?)
    }

    /// Saves the chosen forecaster in place of what the directory held; `level` are the folders of the networks that see
    /// levels.
    fn write(
        &self,
        writer: &ModelWriter,
        learnt: &Learnt,
        level: &[String],
        Compared { choice, members, calibration }: &Compared,
        window: EnsembleWindow,
    ) -> Result<()> {
        let main = &learnt.main;
        let saved = |(member, weight): &(Entered, f64)| {
            let member = match member {
                Entered::Main => SavedMember::Network(main.name.clone()),
                Entered::Level(number) => SavedMember::Network(level[*number].clone()),
                Entered::LogRidge(number) => {
                    let ridge = Linear::Logarithms(learnt.log_ridges[*number].clone());
                    let name = format!("{}{RIDGE_MEMBER}", learnt.level[*number].name);
                    SavedMember::Linear(name, Arc::new(ridge))
                }
                Entered::Other(MemberModel::Linear(ridge)) => {
                    SavedMember::Linear(format!("{}{RIDGE_MEMBER}", main.name), Arc::clone(ridge))
                }
                Entered::Other(MemberModel::Classical(classical)) => {
                    SavedMember::Classical(*classical)
                }
                Entered::Other(MemberModel::ZeroShot(zero_shot)) => SavedMember::ZeroShot(
                    format!("{}{ZERO_SHOT_MEMBER}", main.name),
                    Arc::clone(zero_shot),
                ),
                Entered::Other(MemberModel::Network(_)) => {
                    return Err(Error::internal("a network without a folder"));
                }
            };
            Ok((member, *weight))
        };
        let trained = &main.trained;
        writer.replace(|staged| {
            let kept = match members.as_slice() {
                [(Entered::Main, _)] => {
                    write_model(staged, &trained.model, &trained.preprocessor)?;
                    write_json(&staged.training(), &trained.record)?;
                    Vec::new()
                }
                all => {
                    let all: Vec<(SavedMember, f64)> =
                        all.iter().map(saved).collect::<Result<_>>()?;
                    let place = Place { dir: writer.dir(), staged };
                    write_weighted(place, &all, Some(window), &trained.preprocessor)?
                }
            };
            if let Some(calibration) = calibration {
                calibration.save(staged.path())?;
            }
            write_json(&staged.choice(), choice)?;
            Ok(kept)
        })
    }
}

/// A run that went to its end: what was stopped can be resumed, and nothing is chosen by it.
fn whole(run: Trained) -> Result<Trained> {
    if run.record.is_finished() { Ok(run) } else { Err(stopped()) }
}

/// The windows of the mean: as long as those of its networks, and long enough for classical methods.
fn window(series: &SeriesData, learnt: &Learnt) -> EnsembleWindow {
    let longest = series.set.series.iter().map(crate::data::Series::num_rows).max();
    let classical = longest.unwrap_or_default().min(CLASSICAL_CONTEXT);
    let config = |network: &Network| network.trained.model.config().clone();
    let main = config(&learnt.main);
    let level = learnt.level.iter().map(|network| config(network).context_length);
    let log_ridges = learnt.log_ridges.iter().map(LogRidge::context_length);
    EnsembleWindow {
        context_length: level
            .chain(log_ridges)
            .fold(main.context_length.max(classical), usize::max),
        prediction_length: main.prediction_length,
        num_input_channels: main.num_input_channels,
    }
}

/// Compares the candidates on validation windows and chooses the mean.
fn compare(
    series: &SeriesData,
    metric: Metric,
    learnt: &Learnt,
    window: EnsembleWindow,
) -> Result<Compared> {
    let EnsembleWindow { context_length, prediction_length, .. } = window;
    let shape = WindowShape { context_length, prediction_length, step: 1 };
    let main = &learnt.main.trained;
    let standardiser = &main.preprocessor.standardiser;
    let prepared = prepare(&series.set, &series.split, shape, None, Some(standardiser))?;
    let windows = Subset::spread(
        &prepared.validation,
        (COMPARED / prepared.validation.num_channels()).max(1),
    );
    let whole = Config { context_length, ..main.model.config().clone() };
    let model = |entered: &Entered| -> MemberModel {
        match entered {
            Entered::Main => MemberModel::Network(Box::new(main.model.clone())),
            Entered::Level(number) => {
                MemberModel::Network(Box::new(learnt.level[*number].trained.model.clone()))
            }
            Entered::LogRidge(number) => {
                let ridge = learnt.log_ridges[*number].clone();
                MemberModel::Linear(Arc::new(Linear::Logarithms(ridge)))
            }
            Entered::Other(member) => member.clone(),
        }
    };
    let entered = entrants(series, learnt, &prepared)?;
    let models: Vec<MemberModel> = entered.iter().map(model).collect();
    let Forecasts { numbers, truth } = Forecasts::of(&models, &whole, &windows, metric)?;
    let entrants = Entrant::group(entered, numbers, &truth, NEAR);
    let start = match series.set.series.len() >= level::MANY_SERIES {
        true => Start::Core,
        false => Start::Best,
    };
    let picked = pick(&entrants, &truth, start);
    let picks: usize = picked.counts.iter().sum();
    let (mut candidates, mut members) = (Vec::new(), Vec::new());
    for (Entrant { name, error, members: own, .. }, count) in
        entrants.into_iter().zip(picked.counts)
    {
        let weight = count as f64 / picks as f64;
        candidates.push(Candidate { name: name.to_owned(), error, weight });
        if count > 0 {
            let each = weight / own.len() as f64;
            members.extend(own.into_iter().map(|member| (member, each)));
        }
    }
    candidates.sort_by(|a, b| {
        let error = |candidate: &Candidate| candidate.error.unwrap_or(f64::INFINITY);
        error(a).total_cmp(&error(b))
    });
    let models = members.iter().map(|(entered, weight)| (model(entered), *weight)).collect();
    let calibration = match picked.error {
        Some(_) => Some(calibrate(Members::new(Some(window), models)?, &windows, series)?),
        None => None,
    };
    let (all_windows, windows, error) = (prepared.validation.len(), windows.len(), picked.error);
    let choice =
        Choice { rule: RULE, metric, windows, all_windows, candidates, error, refitted: false };
    Ok(Compared { choice, members, calibration })
}

/// The intervals of the mean, by the windows that it was chosen by.
fn calibrate(members: Members, windows: &dyn Samples, series: &SeriesData) -> Result<Calibration> {
    let mut session = members.load(&Cpu::default())?.session()?;
    let options = CalibrationOptions {
        name: &format!("{}, validation windows of the choice", series.name),
        levels: &LEVELS,
        season: series.seasonal_period.max(1),
    };
    Calibration::fit(&members.config, session.as_mut(), windows, &options)
}

/// All that forecast, the simplest first, so that it is taken where errors are equal: classical methods, the
/// ridge regressions where the data allow them, the networks.
fn entrants(series: &SeriesData, learnt: &Learnt, prepared: &Prepared) -> Result<Vec<Entered>> {
    let season = series.seasonal_period;
    let context_length = prepared.train.shape().context_length;
    let fits = |method: &Method| {
        *method != Method::SeasonalNaive || (2..=context_length).contains(&season)
    };
    let classical = Method::ALL.into_iter().filter(fits);
    let classical = classical.map(|method| MemberModel::Classical(Classical { method, season }));
    let ridge = match fit_ridge(&prepared.train, &prepared.validation, season) {
        Ok(ridge) => Some(MemberModel::Linear(Arc::new(Linear::Values(ridge)))),
        Err(error) if error.kind() == ErrorKind::InvalidInput => None,
        Err(error) => return Err(error.at("ridge")),
    };
    let zero_shot = ZeroShot::new(builtin_model()?, season)?;
    let zero_shot = [MemberModel::ZeroShot(Arc::new(zero_shot))];
    let others = classical.chain(ridge).chain(zero_shot).map(Entered::Other);
    let log_ridges = (0..learnt.log_ridges.len()).map(Entered::LogRidge);
    let level = (0..learnt.level.len()).map(Entered::Level);
    Ok(others.chain(log_ridges).chain(level).chain([Entered::Main]).collect())
}
