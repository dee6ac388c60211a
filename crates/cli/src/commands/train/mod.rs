//! `ptsm train`: from a table to a model directory.

mod cases;
mod fields;
mod plan;
mod windows;

use std::path::{Path, PathBuf};

use ptsm::data::{LabelledSet, Split, Standardiser};
use ptsm::train::{History, Recipe, Training};
use ptsm::{
    ENSEMBLE_FILE, Error, MEMBERS_FOLDER, Model, Preprocessor, Result, Task, WEIGHTS_FILE,
    save_ensemble,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::output::answer;
use crate::plot;
use crate::source::DataArgs;
use crate::story;

use cases::train_cases;
pub(crate) use cases::{CasePlan, read_cases};
pub(crate) use fields::{ModelArgs, TrainingArgs, model_fields};
pub(crate) use plan::{Plan, config_of};
use plan::{automatic, merge_data, start_fields};
pub(crate) use windows::train;

/// Name of the record of a training run in a model directory.
pub(crate) const TRAINING_FILE: &str = "training.json";

/// The recipe that is chosen from the data.
const AUTO: &str = "auto";

/// Options of `train`. A flag wins over the recipe file, which wins over the default.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// TOML file with the tables model, data and training, fields named as these flags; or auto:
    /// one is chosen from the length, the channels and the frequency of the data, and says why
    #[arg(long, value_name = "FILE|auto")]
    recipe: Option<PathBuf>,
    /// Go on from the last checkpoint in DIR; without one, start
    #[arg(long)]
    resume: bool,
    /// Replace a model that is in DIR
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// What the model learns
    #[arg(long, default_value = "forecasting", value_parser = parse_task)]
    task: Task,
    /// Start from the backbone of this model directory, with a new head
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    /// Take the head of --init too: go on with the same model, for instance after probing
    #[arg(long, requires = "init")]
    keep_head: bool,
    /// Train on the last share of the training windows only, such as 0.05
    #[arg(long, value_name = "SHARE")]
    few_shot: Option<f64>,
    /// ett-hour, ett-minute, 7:1:2, fraction:0.7,0.1 or date:VALIDATION,TEST; the data set's own,
    /// or 7:1:2, if not given
    #[arg(long)]
    split: Option<Split>,
    /// Columns of the labels, for classification and regression from tables [default: label, class
    /// or target]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Share of the labelled cases that picks the epoch; 0 = all are trained on, and the last epoch
    /// is kept
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    hold_out: f64,
    /// Picture of the loss by epoch (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
}

/// Record of a run, `training.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: String,
    pub(crate) instruction_set: String,
    pub(crate) dataset: String,
    pub(crate) split: Split,
    pub(crate) train_windows: usize,
    pub(crate) validation_windows: usize,
    pub(crate) num_parameters: usize,
    /// Whether the backbone was that of another model.
    #[serde(default)]
    pub(crate) init: bool,
    pub(crate) training: Training,
    pub(crate) history: History,
}

/// Plans from flags and recipe, trains, and reports.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let mut recipe = match &args.recipe {
        Some(path) if path.as_os_str() == AUTO => {
            if args.task != Task::Forecasting {
                let text = "auto is for forecasting (for labelled cases, see ptsm select)";
                return Err(Error::config("--recipe", text));
            }
            automatic(global, (&args.data, args.split), &args.model)?
        }
        Some(path) => Recipe::from_file(path)?,
        None => Recipe::default(),
    };
    let mut data = args.data.clone();
    let recipe_split = merge_data(&mut data, &recipe.data)?;
    args.training.apply(&mut recipe.training);
    let start = args.init.as_deref().map(Model::from_dir).transpose()?;
    let model = model_fields(&recipe.model, &args.model, start_fields(start.as_ref())?.as_ref())?;
    let taken = [WEIGHTS_FILE, ENSEMBLE_FILE].iter().any(|name| args.out.join(name).exists());
    if !args.resume && !args.overwrite && taken {
        let text = "holds a model already (use --resume, --overwrite or another folder)";
        return Err(Error::config(args.out.display().to_string(), text));
    }
    if !recipe.members.is_empty() {
        let split = args.split.or(recipe_split);
        return train_members(global, args, (&recipe, &data, split));
    }
    let (record, seconds) = match args.task {
        Task::Classification | Task::Regression => {
            let (name, set) = read_cases(&data, args.label.as_ref(), args.task)?;
            let (train, validation) = hold_out(set, args.hold_out, recipe.training.seed)?;
            let plan = CasePlan {
                name,
                task: args.task,
                train,
                validation,
                model: case_fields(model, &recipe.model, args),
                training: recipe.training,
                start: start.map(|start| with_standardiser(args, start)).transpose()?,
                few_shot: args.few_shot,
                keep_head: args.keep_head,
            };
            train_cases(global, &plan, (args.out.clone(), args.resume))?
        }
        Task::Forecasting | Task::Pretraining => {
            let source = data.read(global)?;
            let set = data.series(&source)?;
            let plan = Plan {
                task: args.task,
                few_shot: args.few_shot,
                keep_head: args.keep_head,
                split: args.split.or(recipe_split).unwrap_or_else(|| source.default_split()),
                grid: data.repair(&source).grid,
                model,
                start,
                training: recipe.training,
                out: args.out.clone(),
                resume: args.resume,
                source,
                set,
            };
            let trained = train(global, &plan)?;
            (trained.record, trained.seconds)
        }
    };
    if let Some(path) = &args.plot {
        plot::save(path, &story::training_curve(&record.history, true))?;
    }
    report(global, &args.out, &record, seconds)
}

/// Trains every member of an ensemble, one after the other.
fn train_members(
    global: &Global,
    args: &Args,
    (recipe, data, split): (&Recipe, &DataArgs, Option<Split>),
) -> Result<()> {
    if args.task != Task::Forecasting || args.init.is_some() || args.plot.is_some() {
        let text = "makes an ensemble of forecasters: no other --task, no --init, no --plot";
        return Err(Error::config("recipe [[members]]", text));
    }
    let source = data.read(global)?;
    let set = data.series(&source)?;
    let mut plan = Plan {
        task: args.task,
        few_shot: args.few_shot,
        keep_head: false,
        split: split.unwrap_or_else(|| source.default_split()),
        grid: data.repair(&source).grid,
        model: Map::new(),
        start: None,
        training: Training::default(),
        out: args.out.clone(),
        resume: args.resume,
        source,
        set,
    };
    let (mut names, mut last) = (Vec::new(), None);
    let mut records = Vec::new();
    for (i, mut member) in recipe.resolve_members()?.into_iter().enumerate() {
        let name = i.to_string();
        args.training.apply(&mut member.training);
        plan.model = model_fields(&member.model, &args.model, None)?;
        plan.training = member.training;
        plan.out = args.out.join(MEMBERS_FOLDER).join(&name);
        let trained = train(global, &plan)?;
        let model = Model::from_dir(&plan.out)?;
        last = Some(Preprocessor::from_dir(&plan.out, model.config())?);
        records.push(json!({
            "out": plan.out, "validation_loss": trained.record.history.best_validation_loss,
            "best_epoch": trained.record.history.best_epoch, "seconds": trained.seconds,
            "num_parameters": trained.record.num_parameters,
        }));
        names.push(name);
    }
    let preprocessor = last.ok_or_else(|| Error::internal("an ensemble without members"))?;
    save_ensemble(&args.out, &names, &preprocessor)?;
    let text = format!("{}: ensemble of {} members\n", args.out.display(), names.len());
    answer(global, &json!({"out": args.out, "members": records}), &text)
}

/// How the model that training starts from standardised its channels.
fn with_standardiser(args: &Args, start: Model) -> Result<(Model, Standardiser)> {
    let dir = args.init.as_deref().unwrap_or(Path::new(""));
    let preprocessor = Preprocessor::from_dir(dir, start.config())?;
    Ok((start, preprocessor.standardiser))
}

/// The lengths of cases decide the context, unless somebody else does.
fn case_fields(
    mut model: Map<String, Value>,
    recipe: &Map<String, Value>,
    args: &Args,
) -> Map<String, Value> {
    let chosen = args.model.context_length.is_some()
        || recipe.contains_key("context_length")
        || args.init.is_some();
    if !chosen {
        model.remove("context_length");
    }
    model
}

/// Takes a share of the cases away to pick the epoch, each class evenly.
pub(crate) fn hold_out(
    set: LabelledSet,
    share: f64,
    seed: u64,
) -> Result<(LabelledSet, Option<LabelledSet>)> {
    if share == 0.0 {
        return Ok((set, None));
    }
    if !(share > 0.0 && share < 1.0) {
        let text = format!("{share} must be at least 0 and below 1");
        return Err(Error::config("--hold-out", text));
    }
    let parts = (1.0 / share.min(0.5)).round().max(2.0) as usize;
    let folds = set.folds(parts.min(set.len()), seed)?;
    let rest: Vec<usize> = (0..set.len()).filter(|i| !folds[0].contains(i)).collect();
    Ok((set.subset(&rest), Some(set.subset(&folds[0]))))
}

fn report(global: &Global, out: &Path, record: &Record, seconds: f64) -> Result<()> {
    let history = &record.history;
    let value = json!({
        "out": out, "best_epoch": history.best_epoch, "epochs": history.epochs.len(),
        "validation_loss": history.best_validation_loss, "stopped_by": history.stopped_by,
        "steps": history.steps, "seconds": seconds,
        "num_parameters": record.num_parameters,
    });
    let text = format!(
        "{}: best epoch {} of {}{} ({})\n",
        out.display(),
        history.best_epoch,
        history.epochs.len(),
        history.best_validation_loss.map_or(String::new(), |x| format!(", validation loss {x:.4}")),
        history.stopped_by
    );
    answer(global, &value, &text)
}

fn parse_task(text: &str) -> std::result::Result<Task, String> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| "wanted forecasting, classification, regression or pretraining".into())
}
