//! `ptsm heads`: manages the heads of several tasks on one backbone; and the scores of
//! `evaluate --heads`.

use std::path::PathBuf;

use ptsm::data::{Part, SeriesSet, Split, WindowShape, prepare};
use ptsm::evaluate::{Detail, MaseScale, Metrics};
use ptsm::heads::{
    HeadWindows, MAIN_HEAD, SharedHead, SharedModel, add_head, list_heads, load_heads, remove_head,
    replace_head, score_heads,
};
use ptsm::{Error, Result};
use serde_json::json;

use super::joint::{JointArgs, train_together};
use crate::global::Global;
use crate::output::answer;

/// Options of `heads`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What is done with heads.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the heads of a model directory
    List {
        /// Model directory
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
    },
    /// Add the head of another model directory that has the same backbone
    Add {
        /// Model directory that gets the head
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        /// Model directory, trained with --init and --freeze backbone
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Name of the head
        #[arg(long)]
        name: String,
        /// Replace a head of that name
        #[arg(long)]
        overwrite: bool,
    },
    /// Remove a head that was added
    Remove {
        /// Model directory that loses the head
        #[arg(long, value_name = "DIR")]
        model: PathBuf,
        /// Name of the head
        name: String,
    },
    /// Train the heads of a model directory and their backbone together
    Joint(Box<JointArgs>),
}

/// Lists, adds or removes.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let dir = match &args.action {
        Action::Joint(joint) => return train_together(global, joint),
        Action::List { model } => model,
        Action::Add { model, from, name, overwrite } => {
            let add = if *overwrite { replace_head } else { add_head };
            add(model, name, from)?;
            model
        }
        Action::Remove { model, name } => {
            remove_head(model, name)?;
            model
        }
    };
    let mut names = vec![MAIN_HEAD.to_owned()];
    names.extend(list_heads(dir)?);
    let mut text = String::new();
    let mut tasks = Vec::new();
    for head in load_heads(dir, &names)? {
        let task = head.model.config().task()?;
        text += &format!("{:20} {}\n", head.name, task.architecture());
        tasks.push(json!({"name": head.name, "task": task}));
    }
    answer(global, &json!({"heads": tasks}), &text)
}

/// The scores of some heads on every window of a part, from one pass of the backbone.
pub(crate) fn evaluate(
    global: &Global,
    shared: &mut SharedModel,
    set: &SeriesSet,
    scoring: &HeadsScoring,
) -> Result<()> {
    let HeadsScoring { part, borders, batch_size, season, detail } = *scoring;
    shared.heads().iter().try_for_each(SharedHead::require_forecast)?;
    let mut windows = Vec::new();
    for head in shared.heads() {
        let (config, preprocessor) = (head.model.config(), &head.preprocessor);
        let shape = WindowShape {
            context_length: config.context_length,
            prediction_length: config.prediction_length,
            step: 1,
        };
        let split = borders.unwrap_or(preprocessor.split);
        let prepared = prepare(set, &split, shape, None, Some(&preprocessor.standardiser))?;
        let season = season.unwrap_or(preprocessor.seasonal_period);
        windows.push(HeadWindows {
            windows: prepared.part(part).clone(),
            mase_scale: Some(MaseScale::fit(prepared.train.segments(), season)?),
        });
    }
    let metrics = score_heads(shared, &windows, batch_size, detail)?;
    let mut text = format!("{:20} {:>6} {:>9} {:>9} {:>9}\n", "", "steps", "windows", "MSE", "MAE");
    let mut found = serde_json::Map::new();
    for (head, metrics) in shared.heads().iter().zip(&metrics) {
        let steps = head.model.config().prediction_length;
        let Metrics { windows, mse, mae, .. } = metrics;
        text += &format!("{:20} {steps:6} {windows:9} {mse:9.4} {mae:9.4}\n", head.name);
        let mut value = serde_json::to_value(metrics)
            .map_err(|e| Error::internal("scores cannot be written").because(e))?;
        value["prediction_length"] = steps.into();
        found.insert(head.name.clone(), value);
    }
    answer(global, &json!({"split": part.name(), "heads": found}), &text)
}

/// What `evaluate --heads` scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadsScoring {
    pub(crate) part: Part,
    pub(crate) borders: Option<Split>,
    pub(crate) batch_size: usize,
    /// Steps of the season; `None` = the model's.
    pub(crate) season: Option<usize>,
    pub(crate) detail: Detail,
}
