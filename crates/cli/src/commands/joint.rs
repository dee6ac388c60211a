//! `ptsm heads joint`: trains the heads of a model directory and their backbone together.

use std::ops::ControlFlow;
use std::path::PathBuf;

use ptsm::job::{JointHead, JointJob};
use ptsm::model_dir::ModelDir;
use ptsm::spec::{DataSpec, ModelSpec};
use ptsm::train::{JointEpoch, Recipe, Training};
use ptsm::{Error, Result};
use serde_json::json;

use crate::commands::train::TrainingArgs;
use crate::global::Global;
use crate::output::answer;
use crate::progress::Progress;

/// Options of `heads joint`.
#[derive(Debug, clap::Args)]
pub(crate) struct JointArgs {
    /// Model directory with the heads to start from
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Data of every head: main=FILE, NAME=FILE
    #[arg(long, required = true, value_name = "NAME=FILE", value_parser = parse_pair)]
    data: Vec<(String, String)>,
    /// Weight of a head's loss [default: 1]
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = parse_pair)]
    weight: Vec<(String, String)>,
    /// Columns of the labels, for labelled tables [default: label, class or target]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Share of the labelled cases by which the best epoch is chosen [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    hold_out: Option<f64>,
    /// TOML file with a table training, fields named as these flags
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    training: TrainingArgs,
}

fn parse_pair(text: &str) -> std::result::Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "wanted NAME=VALUE".into())
}

/// Reads, trains, writes.
pub(crate) fn train_together(global: &Global, args: &JointArgs) -> Result<()> {
    let out = ModelDir::new(&args.out);
    if out.is_taken() {
        let text = "holds a model already (use another folder)";
        return Err(Error::config(args.out.display().to_string(), text));
    }
    let mut training = training(args)?;
    args.training.apply(&mut training);
    let job = JointJob { from: ModelDir::new(&args.model), heads: heads(args)?, training, out };
    let names = job.names()?;
    check_names(args, &names)?;
    let mut progress = Progress::new(global, "training", u64::from(job.training.epochs));
    let outcome = job.run(&mut |epoch| {
        progress.update(u64::from(epoch.epoch), "");
        progress.line(&describe(&names, epoch));
        ControlFlow::Continue(())
    })?;
    progress.finish();
    let best = &outcome.epochs[outcome.best_epoch as usize - 1];
    let value = json!({
        "out": args.out, "heads": names, "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs.len(), "validation_losses": best.validation_losses,
    });
    answer(global, &value, &format!("{}: {}\n", args.out.display(), describe(&names, best)))
}

/// The training settings of a recipe file, which must have nothing else, because the models exist
/// already.
fn training(args: &JointArgs) -> Result<Training> {
    let Some(path) = &args.recipe else { return Ok(Training::default()) };
    let recipe = Recipe::from_file(path)?;
    let others = [
        ("model", recipe.model != ModelSpec::default()),
        ("data", recipe.data != DataSpec::default()),
        ("members", !recipe.members.is_empty()),
    ];
    if let Some((table, _)) = others.iter().find(|(_, given)| *given) {
        let text = "would not be used: heads are trained on as they are (leave it out)";
        return Err(Error::config(format!("{}: {table}", path.display()), text));
    }
    Ok(recipe.training)
}

/// The data and the weight of every head.
fn heads(args: &JointArgs) -> Result<Vec<JointHead>> {
    let one = |(name, file): &(String, String)| {
        let data =
            DataSpec { label: args.label.clone(), hold_out: args.hold_out, ..DataSpec::of(file) };
        Ok(JointHead { name: name.clone(), data, weight: weight(args, name)? })
    };
    args.data.iter().map(one).collect()
}

fn check_names(args: &JointArgs, names: &[String]) -> Result<()> {
    for (option, pairs) in [("--data", &args.data), ("--weight", &args.weight)] {
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !names.contains(name)) {
            let text = format!("there is no head \"{name}\", only {}", names.join(", "));
            return Err(Error::config(option, text));
        }
    }
    Ok(())
}

fn weight(args: &JointArgs, head: &str) -> Result<Option<f64>> {
    let Some((_, text)) = args.weight.iter().find(|(name, _)| name == head) else {
        return Ok(None);
    };
    let weight = text.parse();
    weight.map(Some).map_err(|_| Error::config("--weight", format!("\"{text}\" is no number")))
}

fn describe(names: &[String], epoch: &JointEpoch) -> String {
    let losses = epoch.train_losses.iter().zip(&epoch.validation_losses);
    let parts = names.iter().zip(losses).map(|(name, (train, validation))| {
        let validation = validation.map_or(String::new(), |loss| format!(", validation {loss:.4}"));
        format!("{name} train {train:.4}{validation}")
    });
    format!("epoch {:3}  {}", epoch.epoch, parts.collect::<Vec<_>>().join("; "))
}
