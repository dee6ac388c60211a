//! `ptsm heads joint`: the heads of a model directory and their backbone, trained together.

use std::ops::ControlFlow;
use std::path::PathBuf;

use ptsm::data::{LabelledSet, PreparedCases, WindowSet, WindowShape, prepare};
use ptsm::train::{
    JointEpoch, JointOutcome, JointTask, Recipe, Samples, Subset, TrainData, train_jointly,
};
use ptsm::{
    Error, LabelCoding, MAIN_HEAD, Result, SharedHead, Task, WEIGHTS_FILE, list_heads, load_heads,
    save_heads,
};
use serde_json::json;

use crate::args::Global;
use crate::commands::train::{TrainingArgs, hold_out, read_cases};
use crate::output::{answer, write_text};
use crate::progress::Progress;
use crate::source::DataArgs;

/// Name of the record of a joint run in a model directory.
const RECORD_FILE: &str = "joint_training.json";

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
    /// What the loss of a head counts [default: 1]
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = parse_pair)]
    weight: Vec<(String, String)>,
    /// Columns of the labels, for labelled tables [default: label, class or target]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Share of the labelled cases that picks the epoch
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    hold_out: f64,
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

/// The samples of one head.
struct HeadData {
    train: Box<dyn Samples>,
    validation: Option<Box<dyn Samples>>,
}

/// Reads, trains, writes.
pub(crate) fn train_together(global: &Global, args: &JointArgs) -> Result<()> {
    if args.out.join(WEIGHTS_FILE).exists() {
        let text = "holds a model already (use another folder)";
        return Err(Error::config(args.out.display().to_string(), text));
    }
    let mut recipe = match &args.recipe {
        Some(path) => Recipe::from_file(path)?,
        None => Recipe::default(),
    };
    args.training.apply(&mut recipe.training);
    let training = &recipe.training;
    let mut names = vec![MAIN_HEAD.to_owned()];
    names.extend(list_heads(&args.model)?);
    let shared = load_heads(&args.model, &names)?;
    check_names(args, &names)?;
    let data = shared
        .iter()
        .map(|head| head_data(global, args, head, (training.seed, training.window_step)))
        .collect::<Result<Vec<_>>>()?;
    let empty = Subset::new(&*data[0].train, Vec::new());
    let tasks = shared.iter().zip(&data).map(|(head, data)| {
        let validation = data.validation.as_deref().unwrap_or(&empty);
        let data = TrainData { train: &*data.train, validation };
        Ok(JointTask { model: head.model.clone(), data, weight: weight(args, &head.name)? })
    });
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    let mut progress = Progress::new(global, "training", u64::from(training.epochs));
    let outcome = train_jointly(tasks, training, &mut |epoch| {
        progress.update(u64::from(epoch.epoch), "");
        progress.line(&describe(&names, epoch));
        ControlFlow::Continue(())
    })?;
    progress.finish();
    write(args, &shared, &outcome, training)?;
    let best = &outcome.epochs[outcome.best_epoch as usize - 1];
    let value = json!({
        "out": args.out, "heads": names, "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs.len(), "validation_losses": best.validation_losses,
    });
    answer(global, &value, &format!("{}: {}\n", args.out.display(), describe(&names, best)))
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

fn weight(args: &JointArgs, head: &str) -> Result<f64> {
    let Some((_, text)) = args.weight.iter().find(|(name, _)| name == head) else { return Ok(1.0) };
    text.parse().map_err(|_| Error::config("--weight", format!("\"{text}\" is no number")))
}

/// Samples laid out as the head was trained on: its channels, its standardisation, its labels.
fn head_data(
    global: &Global,
    args: &JointArgs,
    head: &SharedHead,
    (seed, step): (u64, usize),
) -> Result<HeadData> {
    let Some((_, file)) = args.data.iter().find(|(name, _)| *name == head.name) else {
        let text = format!("is missing for head \"{}\" (--data {0}=FILE)", head.name);
        return Err(Error::config("--data", text));
    };
    let data = DataArgs { data: Some(file.clone()), ..DataArgs::default() };
    match &head.preprocessor.labels {
        Some(coding) => {
            let task = head.model.config().task()?;
            let (_, set) = read_cases(&data, args.label.as_ref(), task)?;
            let (train, validation) = hold_out(set, args.hold_out, seed)?;
            let lay = |set: LabelledSet| Ok::<_, Error>(Box::new(lay_cases(head, coding, set)?));
            Ok(HeadData {
                train: lay(train)?,
                validation: validation
                    .map(|set| lay(set).map(|set| set as Box<dyn Samples>))
                    .transpose()?,
            })
        }
        None => {
            let (train, validation) = windows(global, &data, head, step)?;
            Ok(HeadData { train: Box::new(train), validation: Some(Box::new(validation)) })
        }
    }
}

fn lay_cases(head: &SharedHead, coding: &LabelCoding, set: LabelledSet) -> Result<PreparedCases> {
    let length = head.model.config().context_length;
    let channels = &head.preprocessor.standardiser;
    match coding {
        LabelCoding::Classes { names } => {
            PreparedCases::new(&set.with_classes(names)?, length, channels, None)
        }
        LabelCoding::Values { standardiser, .. } => {
            PreparedCases::new(&set, length, channels, Some(standardiser))
        }
    }
}

fn windows(
    global: &Global,
    data: &DataArgs,
    head: &SharedHead,
    step: usize,
) -> Result<(WindowSet, WindowSet)> {
    let (config, preprocessor) = (head.model.config(), &head.preprocessor);
    let source = data.read(global)?;
    let set = preprocessor.read(&source.table, &data.repair(&source))?;
    let prediction_length =
        if config.task()? == Task::Pretraining { 0 } else { config.prediction_length };
    let shape = WindowShape { context_length: config.context_length, prediction_length, step };
    let standardiser = Some(&preprocessor.standardiser);
    let prepared = prepare(&set, &preprocessor.split, shape, None, standardiser)?;
    Ok((prepared.train, prepared.validation))
}

fn describe(names: &[String], epoch: &JointEpoch) -> String {
    let losses = epoch.train_losses.iter().zip(&epoch.validation_losses);
    let parts = names.iter().zip(losses).map(|(name, (train, validation))| {
        let validation = validation.map_or(String::new(), |loss| format!(", validation {loss:.4}"));
        format!("{name} train {train:.4}{validation}")
    });
    format!("epoch {:3}  {}", epoch.epoch, parts.collect::<Vec<_>>().join("; "))
}

fn write(
    args: &JointArgs,
    shared: &[SharedHead],
    outcome: &JointOutcome,
    training: &ptsm::train::Training,
) -> Result<()> {
    let trained = shared.iter().zip(&outcome.models);
    let heads: Vec<SharedHead> =
        trained.map(|(head, model)| SharedHead { model: model.clone(), ..head.clone() }).collect();
    let record = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instruction_set": ptsm::instruction_set()?.name(),
        "heads": heads.iter().map(|head| &head.name).collect::<Vec<_>>(),
        "data": args.data, "weights": args.weight, "training": training,
        "best_epoch": outcome.best_epoch, "epochs": outcome.epochs,
    });
    save_heads(&args.out, &heads)?;
    let text = serde_json::to_string_pretty(&record)
        .map_err(|e| Error::internal("the record cannot be written").because(e))?;
    write_text(&args.out.join(RECORD_FILE), &(text + "\n"))
}
