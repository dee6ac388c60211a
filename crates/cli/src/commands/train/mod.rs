//! `ptsm train`: trains on a table and writes a model directory.

mod covariates;
mod fields;
mod labelled;
mod reporter;
mod said;

use std::path::{Path, PathBuf};

use ptsm::data::{Roles, Split};
use ptsm::ensemble::member_dirs;
use ptsm::job::{
    Choice, ChoiceJob, Chosen, EnsembleJob, Job, JobData, Metric, Save, SaveMode, Start, Trained,
    automatic_recipe, check_lengths,
};
use ptsm::model_dir::ModelDir;
use ptsm::record::Record;
use ptsm::spec::{DataSpec, ModelSpec};
use ptsm::train::Recipe;
use ptsm::{Error, Result, Task};
use serde_json::json;

use crate::global::Global;
use crate::numbers::seconds;
use crate::output::{answer, remark};
use crate::pictures::training_curve;
use crate::plot;
use crate::run_state;
use crate::source::{DataArgs, check_named, read_series};
use crate::words::{recipe_words, words};

use covariates::{CovariateArgs, settle};
pub(crate) use fields::{ModelArgs, TRANSFORMS, TrainingArgs};
use labelled::Search;
pub(crate) use reporter::Reporter;

/// Words of `--task`.
const TASKS: [&str; 4] = ["forecasting", "classification", "regression", "pretraining"];

/// Value of `--recipe` that has a recipe chosen from the data.
const AUTO: &str = "auto";

const NO_CHOICE: &str = "is for the default answer, which trains several networks and chooses (no options of the network, no \
                         recipe but auto; --epochs shortens the training of one)";

/// Options of `train`. A flag wins over the recipe file, which wins over the default.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory to write
    #[arg(long, value_name = "DIR", required = false, required_unless_present = "resume")]
    out: PathBuf,
    /// TOML file with the tables model, data and training, fields named as these flags; or auto: one is
    /// chosen for the data
    ///
    /// It is chosen from the length, the channels and the frequency of the data, with reasons. Without any
    /// option of the network but lengths, auto is the default, and the network is kept only if no simpler
    /// forecast, nor a mean with one, is better on the validation part. For labelled cases scaler, pooling, patches,
    /// width and length of training are searched by cross-validation, but for those that are given, and the labels of
    /// three networks averaged.
    #[arg(long, value_name = "FILE|auto")]
    recipe: Option<PathBuf>,
    /// Resume the run in DIR from its last checkpoint; no other option is needed. Without DIR the
    /// one of --out is meant, and a run is started if there is none
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    /// Replace a model that is in DIR
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Work that the trainings of the default answer may take, such as 90s, 10m or 1h [default: as much as they want;
    /// the search for settings of labelled cases: 2m]
    ///
    /// It is the time that two cores of a small server take: counted, not measured, so that every machine finds the same.
    /// Forecasting: networks are trained for fewer steps where they would take longer; ridge regressions, classical
    /// methods and their comparison come on top.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    budget: Option<f64>,
    /// What the model learns
    #[arg(long, default_value = "forecasting", value_parser = recipe_words::<Task>(TASKS))]
    task: Task,
    /// Start from the backbone of this model directory, with a new head
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    /// Take the head of --init too: the same model is trained further, for instance after probing
    #[arg(long, requires = "init")]
    keep_head: bool,
    /// Train on the last share of the training windows only, such as 0.05
    #[arg(long, value_name = "SHARE")]
    few_shot: Option<f64>,
    /// Parts of the data: 7:1:2, fraction:0.7,0.1, last:18, date:VALIDATION,TEST, ett-hour or ett-minute; the data set's
    /// own, or 7:1:2, if not given
    ///
    /// 7:1:2 and fraction are shares of the rows for training, validation and test; last:18 tests on the last 18 rows; date
    /// says when validation and test begin; ett-hour and ett-minute are as published.
    #[arg(long, value_name = "SPLIT")]
    split: Option<Split>,
    /// Columns of the labels, for classification and regression from tables [default: label, class
    /// or target]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Share of the labelled cases by which the best epoch is chosen; 0 = all are trained on, and
    /// the last epoch is kept [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    hold_out: Option<f64>,
    /// Error that the default forecaster is chosen by: mae (of every series in its own standardised units), smape or
    /// mape [default: mae]
    ///
    /// Its networks on logarithms are trained for it, too. The epoch of a network that is kept is that of the least
    /// validation loss.
    #[arg(long, value_name = "METRIC", value_parser = words::<Metric>(Metric::NAMES))]
    metric: Option<Metric>,
    /// Picture of the loss by epoch (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    covariates: CovariateArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
}

/// Plans from flags and recipe, trains, and reports.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let dir = ModelDir::new(&args.out);
    if args.mode() == SaveMode::New {
        run_state::refuse_taken("train", &args.out)?;
    }
    let auto = args.recipe.as_deref().is_some_and(|path| path.as_os_str() == AUTO);
    let told = args.init.is_some() || args.resume.is_some() || (args.recipe.is_some() && !auto);
    if !told && !args.leaves_the_choice()? {
        said::one_network(global, args.task, auto);
    }
    let start = args.init.as_deref().map(|init| start_from(init, args)).transpose()?;
    let is_default =
        args.task == Task::Forecasting && args.is_automatic()? && args.leaves_the_choice()?;
    if args.metric.is_some() && !is_default {
        let text = "is for the default forecaster, without options of a network (--percent-loss trains a \
                    network for it)";
        return Err(Error::config("--metric", text));
    }
    if args.is_automatic()? {
        return automatic(global, args, start, dir);
    }
    if args.budget.is_some() {
        return Err(Error::config("--budget", NO_CHOICE));
    }
    let recipe = args.recipe.as_deref();
    let recipe = recipe.map_or(Ok(Recipe::default()), Recipe::from_file)?;
    let spec = recipe.data.clone().with(&args.data_spec());
    let seed = args.training.seed_or(&recipe.training);
    let data = match args.task {
        Task::Forecasting | Task::Pretraining => {
            check_named(&spec)?;
            let mut data = read_series(global, &spec)?.0;
            let steps = args.model.over(recipe.model.clone())?.prediction_length;
            let steps = steps.or(ModelSpec::defaults().prediction_length).unwrap_or(1);
            settle(global, &mut data, args.task, steps)?;
            data.into()
        }
        Task::Classification | Task::Regression => read_data(global, &spec, args.task, seed)?,
    };
    train_by(global, args, Plan { recipe, data, start }, dir)
}

/// What a training starts from.
struct Plan {
    recipe: Recipe,
    data: JobData,
    start: Option<Start>,
}

/// Trains one network, or the members of a recipe.
fn train_by(global: &Global, args: &Args, plan: Plan, dir: ModelDir) -> Result<()> {
    let Plan { mut recipe, data, start } = plan;
    let save = Save { dir, mode: args.mode() };
    if !recipe.members.is_empty() {
        return train_members(global, args, &recipe, &data, save);
    }
    args.training.apply(&mut recipe.training);
    let lower = start.as_ref().map(|start| ModelSpec::of_backbone(start.model.config()));
    let job = Job {
        data: &data,
        task: args.task,
        model: args.model.over(lower.unwrap_or_default().with(&recipe.model))?,
        training: recipe.training,
        start,
        few_shot: args.few_shot,
        save: Some(save),
    };
    let mut reporter = Reporter::of_run(global, &args.out);
    let trained = job.run(&mut reporter);
    reporter.finish();
    let Trained { record, seconds, preprocessor, .. } = trained?;
    if let Some(path) = &args.plot {
        plot::save(path, &training_curve(&record.history, true))?;
    }
    report(global, &args.out, &record, seconds)?;
    said::next(global, &args.done(&preprocessor.roles));
    Ok(())
}

/// Runs a job and reports its events.
pub(crate) fn run_job(global: &Global, job: &Job<'_>) -> Result<Trained> {
    let mut reporter = Reporter::new(global);
    let trained = job.run(&mut reporter);
    reporter.finish();
    trained
}

fn start_from(init: &Path, args: &Args) -> Result<Start> {
    Start::from_dir(&ModelDir::new(init), args.task, args.keep_head)
}

/// Reads the data of a task.
pub(crate) fn read_data(
    global: &Global,
    spec: &DataSpec,
    task: Task,
    seed: u64,
) -> Result<JobData> {
    check_named(spec)?;
    match task {
        Task::Forecasting | Task::Pretraining => Ok(read_series(global, spec)?.0.into()),
        Task::Classification | Task::Regression => JobData::read(spec, task, seed),
    }
}

/// Trains a network by a recipe that is chosen for the data, whose reasons are printed, and keeps it or
/// classical methods or a mean of them, whichever forecasts the validation part best.
fn automatic(global: &Global, args: &Args, start: Option<Start>, dir: ModelDir) -> Result<()> {
    match args.task {
        Task::Forecasting => {}
        Task::Classification | Task::Regression => {
            args.search(dir)?.run(global)?;
            said::next(global, &args.done(&Roles::default()));
            return Ok(());
        }
        Task::Pretraining => {
            let text = "auto is for forecasting, classification and regression";
            return Err(Error::config("--recipe", text));
        }
    }
    let (mut data, _) = read_series(global, &args.data_spec())?;
    let (mut recipe, reasons) = automatic_recipe(&data, &args.model.over(ModelSpec::default())?);
    check_lengths(&data, &recipe.model)?;
    remark(global, "recipe auto:");
    reasons.iter().for_each(|reason| remark(global, &format!("  {reason}")));
    settle(global, &mut data, args.task, recipe.model.prediction_length.unwrap_or(1))?;
    let data = data.into();
    let wanted = args.model.over(recipe.model.clone())?;
    if !args.leaves_the_choice()? {
        if args.budget.is_some() {
            return Err(Error::config("--budget", NO_CHOICE));
        }
        return train_by(global, args, Plan { recipe, data, start }, dir);
    }
    args.training.apply(&mut recipe.training);
    recipe.model = wanted;
    let metric = args.metric.unwrap_or_default();
    let save = Save { dir, mode: args.mode() };
    let job = ChoiceJob { data: &data, recipe, metric, save, budget: args.budget };
    let mut reporter = Reporter::of_run(global, &args.out);
    let chosen = job.run(&mut reporter);
    reporter.finish();
    let Chosen { choice, network, calibration, .. } = chosen?;
    if let Some(path) = &args.plot {
        plot::save(path, &training_curve(&network.record.history, true))?;
    }
    remark(global, choice.table().trim_end());
    said::interval_note(global, calibration.as_ref());
    report_choice(global, &args.out, &choice, &network)?;
    said::next(global, &args.done(&network.preprocessor.roles));
    Ok(())
}

fn report_choice(global: &Global, out: &Path, choice: &Choice, network: &Trained) -> Result<()> {
    let Trained { record, seconds, .. } = network;
    let history = &record.history;
    let diverged = history.divergence();
    let value = json!({
        "out": out, "choice": choice, "sentence": choice.sentence(),
        "covariates": network.preprocessor.covariates,
        "best_epoch": history.best_epoch, "epochs": history.epochs.len(),
        "validation_loss": history.best_validation_loss, "stopped_by": history.stopped_by,
        "steps": history.steps, "seconds": seconds,
        "num_parameters": record.num_parameters, "diverged": diverged,
    });
    let warning = diverged.map_or(String::new(), |why| divergence_warning("the network", &why));
    let text = format!("{}: {}\n{warning}", out.display(), choice.sentence());
    answer(global, &value, &text)
}

/// Trains every member of an ensemble, one after the other.
fn train_members(
    global: &Global,
    args: &Args,
    recipe: &Recipe,
    data: &JobData,
    save: Save,
) -> Result<()> {
    if args.task != Task::Forecasting || args.init.is_some() || args.plot.is_some() {
        let text = "makes an ensemble of forecasters: no other --task, no --init, no --plot";
        return Err(Error::config("recipe [[members]]", text));
    }
    let mut members = recipe.resolve_members()?;
    for member in &mut members {
        args.training.apply(&mut member.training);
        member.model = args.model.over(member.model.clone())?;
    }
    let job = EnsembleJob { data, members, few_shot: args.few_shot, save };
    let mut reporter = Reporter::of_run(global, &args.out);
    let trained = job.run(&mut reporter);
    reporter.finish();
    report_members(global, args, trained?)
}

fn report_members(global: &Global, args: &Args, trained: Vec<Trained>) -> Result<()> {
    let mut text = format!("{}: ensemble of {} members\n", args.out.display(), trained.len());
    let mut records = Vec::new();
    for (Trained { record, seconds, .. }, dir) in trained.into_iter().zip(member_dirs(&args.out)?) {
        let diverged = record.history.divergence();
        if let Some(why) = &diverged {
            let member = format!("the training of {}", dir.path().display());
            text += &divergence_warning(&member, why);
        }
        records.push(json!({
            "out": dir.path(),
            "validation_loss": record.history.best_validation_loss,
            "best_epoch": record.history.best_epoch, "seconds": seconds,
            "num_parameters": record.num_parameters, "diverged": diverged,
        }));
    }
    answer(global, &json!({"out": args.out, "members": records}), &text)
}

impl Args {
    /// Whether a recipe is chosen for the data: asked for, or nothing else was.
    fn is_automatic(&self) -> Result<bool> {
        match &self.recipe {
            Some(path) => Ok(path.as_os_str() == AUTO),
            None => Ok(self.task != Task::Pretraining && self.leaves_the_choice()?),
        }
    }

    /// Whether the network may be kept or not, whichever forecasts best: nothing is said of it but
    /// lengths and the seed.
    fn leaves_the_choice(&self) -> Result<bool> {
        let network = self.init.is_some() || self.few_shot.is_some() || self.hold_out.is_some();
        Ok(!network && self.model.only_lengths()? && self.training.only_seed())
    }

    /// What was trained.
    fn done<'a>(&'a self, roles: &'a Roles) -> said::Done<'a> {
        said::Done { task: self.task, data: self.data.data.as_deref(), out: &self.out, roles }
    }

    /// The data of the flags.
    fn data_spec(&self) -> DataSpec {
        let spec = DataSpec {
            split: self.split,
            label: self.label.clone(),
            hold_out: self.hold_out,
            ..self.data.spec()
        };
        self.covariates.over(spec)
    }

    /// The search for settings of labelled cases.
    fn search(&self, dir: ModelDir) -> Result<Search<'_>> {
        let unused = [
            ("--init", self.init.is_some()),
            ("--few-shot", self.few_shot.is_some()),
            ("--hold-out", self.hold_out.is_some()),
            ("--plot", self.plot.is_some()),
        ];
        if let Some((flag, _)) = unused.iter().find(|(_, given)| *given) {
            let text = "is not used by the search for settings, which trains many networks (leave it out, or state an \
                        option of the network in place of --recipe auto)";
            return Err(Error::config(*flag, text));
        }
        Ok(Search {
            data: self.data_spec(),
            task: self.task,
            model: &self.model,
            training: &self.training,
            budget: self.budget,
            save: Save { dir, mode: self.mode() },
        })
    }

    fn mode(&self) -> SaveMode {
        match (self.resume.is_some(), self.overwrite) {
            (true, _) => SaveMode::Resume,
            (false, true) => SaveMode::Replace,
            (false, false) => SaveMode::New,
        }
    }
}

fn report(global: &Global, out: &Path, record: &Record, seconds: f64) -> Result<()> {
    let history = &record.history;
    let diverged = history.divergence();
    let value = json!({
        "out": out, "best_epoch": history.best_epoch, "epochs": history.epochs.len(),
        "validation_loss": history.best_validation_loss, "stopped_by": history.stopped_by,
        "steps": history.steps, "seconds": seconds,
        "num_parameters": record.num_parameters, "diverged": diverged,
    });
    let warning = diverged.map_or(String::new(), |why| divergence_warning("the training", &why));
    let text = format!(
        "{}: best epoch {} of {}{} ({})\n{warning}",
        out.display(),
        history.best_epoch,
        history.epochs.len(),
        history.best_validation_loss.map_or(String::new(), |x| format!(", validation loss {x:.4}")),
        history.stopped_by
    );
    answer(global, &value, &text)
}

/// One line on a training that diverged.
pub(crate) fn divergence_warning(training: &str, why: &str) -> String {
    let way_out = "try a smaller --learning-rate, --gradient-clip, or --scaling std";
    format!("{training} diverged: {why} ({way_out})\n")
}
