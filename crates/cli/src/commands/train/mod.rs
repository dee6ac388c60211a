//! `ptsm train`: from a table to a model directory.

mod fields;
mod plan;
mod windows;

use std::path::PathBuf;

use ptsm::data::Split;
use ptsm::train::{History, Recipe, Training};
use ptsm::{Error, Model, Result, Task, WEIGHTS_FILE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::Global;
use crate::output::answer;
use crate::plot;
use crate::source::DataArgs;
use crate::story;

use fields::{ModelArgs, TrainingArgs, model_fields};
pub(crate) use plan::Plan;
use plan::{merge_data, start_fields};
pub(crate) use windows::{Trained, train};

/// Name of the record of a training run in a model directory.
pub(crate) const TRAINING_FILE: &str = "training.json";

/// Options of `train`. A flag wins over the recipe file, which wins over the default.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// TOML file with the tables model, data and training, fields named as these flags
    #[arg(long, value_name = "FILE")]
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
    /// Train on the last share of the training windows only, such as 0.05
    #[arg(long, value_name = "SHARE")]
    few_shot: Option<f64>,
    /// ett-hour, ett-minute, 7:1:2, fraction:0.7,0.1 or date:VALIDATION,TEST; the data set's own,
    /// or 7:1:2, if not given
    #[arg(long)]
    split: Option<Split>,
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
        Some(path) => Recipe::from_file(path)?,
        None => Recipe::default(),
    };
    let mut data = args.data.clone();
    let recipe_split = merge_data(&mut data, &recipe.data)?;
    args.training.apply(&mut recipe.training);
    let start = args.init.as_deref().map(Model::from_dir).transpose()?;
    let source = data.read(global)?;
    let set = data.series(&source)?;
    let plan = Plan {
        task: args.task,
        few_shot: args.few_shot,
        split: args.split.or(recipe_split).unwrap_or_else(|| source.default_split()),
        grid: data.repair(&source).grid,
        model: model_fields(&recipe.model, &args.model, start_fields(start.as_ref())?.as_ref())?,
        start,
        training: recipe.training,
        out: args.out.clone(),
        resume: args.resume,
        source,
        set,
    };
    if !args.resume && !args.overwrite && args.out.join(WEIGHTS_FILE).exists() {
        let text = "holds a model already (use --resume, --overwrite or another folder)";
        return Err(Error::config(args.out.display().to_string(), text));
    }
    let trained = train(global, &plan)?;
    if let Some(path) = &args.plot {
        plot::save(path, &story::training_curve(&trained.record.history, true))?;
    }
    report(global, &plan, &trained)
}

fn report(global: &Global, plan: &Plan, trained: &Trained) -> Result<()> {
    let history = &trained.record.history;
    let value = json!({
        "out": plan.out, "best_epoch": history.best_epoch, "epochs": history.epochs.len(),
        "validation_loss": history.best_validation_loss, "stopped_by": history.stopped_by,
        "steps": history.steps, "seconds": trained.seconds,
        "num_parameters": trained.record.num_parameters,
    });
    let text = format!(
        "{}: best epoch {} of {}{} ({})\n",
        plan.out.display(),
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
