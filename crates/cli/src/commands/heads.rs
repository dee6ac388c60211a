//! `ptsm heads`: several tasks on one backbone; and what `predict --heads` prints.

use std::path::PathBuf;

use ptsm::data::{Column, SeriesSet, Table};
use ptsm::{
    Cpu, Error, Forecaster, LabelCoding, MAIN_HEAD, Prediction, Predictions, Result, SharedHead,
    SharedModel, add_head, list_heads,
};
use serde_json::json;

use super::joint::{JointArgs, train_together};
use crate::args::Global;
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
    },
    /// Train the heads of a model directory and their backbone together
    Joint(Box<JointArgs>),
}

/// Lists or adds.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let dir = match &args.action {
        Action::Joint(joint) => return train_together(global, joint),
        Action::List { model } => model,
        Action::Add { model, from, name } => {
            add_head(model, name, from)?;
            model
        }
    };
    let mut names = vec![MAIN_HEAD.to_owned()];
    names.extend(list_heads(dir)?);
    let mut text = String::new();
    let mut tasks = Vec::new();
    for head in SharedModel::from_dir(dir, &names, &Cpu::default())?.heads() {
        let task = head.model.config().task()?;
        text += &format!("{:20} {}\n", head.name, task.architecture());
        tasks.push(json!({"name": head.name, "task": task}));
    }
    answer(global, &json!({"heads": tasks}), &text)
}

/// The answers of some heads for the end of every series, as one table: a row a step, a column
/// `HEAD.CHANNEL` for each forecast and `HEAD.label` for each class.
pub(crate) fn table(
    forecaster: &Forecaster,
    shared: &mut SharedModel,
    set: &SeriesSet,
    rows_before_end: usize,
) -> Result<Table> {
    let steps = forecaster.config().prediction_length;
    let mut columns: Vec<(String, Vec<String>)> =
        vec![("id".into(), Vec::new()), ("step".into(), Vec::new())];
    let mut push = |name: String, cells: Vec<String>| match columns
        .iter_mut()
        .find(|(known, _)| *known == name)
    {
        Some((_, all)) => all.extend(cells),
        None => columns.push((name, cells)),
    };
    for series in &set.series {
        let window = forecaster.window(series, rows_before_end)?;
        let outputs = shared.forward(&window)?;
        push("id".into(), vec![series.id.clone(); steps]);
        push("step".into(), (1..=steps).map(|step| step.to_string()).collect());
        for (head, output) in shared.heads().iter().zip(&outputs) {
            for (name, cells) in cells(head, output, steps)? {
                push(format!("{}.{name}", head.name), cells);
            }
        }
    }
    Table::new(columns.into_iter().map(|(name, cells)| Column::text(name, cells)).collect())
}

/// The columns of one head for one series.
fn cells(
    head: &SharedHead,
    output: &Prediction,
    steps: usize,
) -> Result<Vec<(String, Vec<String>)>> {
    let (config, preprocessor) = (head.model.config(), &head.preprocessor);
    let mut found = Vec::new();
    match &preprocessor.labels {
        None => {
            if config.prediction_length != steps {
                let text = format!("forecasts {} steps, not {steps}", config.prediction_length);
                return Err(Error::config(format!("--heads {}", head.name), text));
            }
            let points = output.points();
            let channels = config.prediction_channels();
            for (k, &channel) in channels.iter().enumerate() {
                let values = points.iter().skip(k).step_by(channels.len());
                let undo = |&x: &f32| preprocessor.standardiser.undo_value(channel, x).to_string();
                found.push((preprocessor.channels[channel].clone(), values.map(undo).collect()));
            }
        }
        Some(LabelCoding::Classes { names }) => {
            let shares = Predictions::probabilities(&output.prediction, names.len());
            let best = (0..names.len()).fold(0, |b, i| if shares[i] > shares[b] { i } else { b });
            found.push(("label".into(), vec![names[best].clone(); steps]));
            let share = format!("{:.6}", shares[best]);
            found.push(("probability".into(), vec![share; steps]));
        }
        Some(LabelCoding::Values { names, standardiser }) => {
            if output.kind().distribution().is_some() {
                let text =
                    "is a distribution of values, which is not shown beside others (use it alone)";
                return Err(Error::config(format!("--heads {}", head.name), text));
            }
            for (k, name) in names.iter().enumerate() {
                let value = standardiser.undo_value(k, output.prediction[k]).to_string();
                found.push((name.clone(), vec![value; steps]));
            }
        }
    }
    Ok(found)
}
