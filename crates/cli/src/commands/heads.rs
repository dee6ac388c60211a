//! `ptsm heads`: manages the heads of several tasks on one backbone; and the tables of
//! `predict --heads` and `evaluate --heads`.

use std::path::PathBuf;

use ptsm::data::{
    Column, LabelCoding, Part, SeriesSet, Split, Standardiser, Table, Values, WindowShape, prepare,
};
use ptsm::evaluate::{Detail, MaseScale, Metrics};
use ptsm::forecast::Contexts;
use ptsm::heads::{
    HeadWindows, MAIN_HEAD, SharedHead, SharedModel, add_head, list_heads, load_heads, remove_head,
    score_heads,
};
use ptsm::labeller::Predictions;
use ptsm::{Error, Forecaster, Prediction, Result};
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
        Action::Add { model, from, name } => {
            add_head(model, name, from)?;
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

/// The answers of some heads for the end of every series, as one table: a row for each step, a
/// column `HEAD.CHANNEL` for each forecast and `HEAD.label` for each class. There are as many steps as in
/// the longest horizon; shorter forecasts leave the last cells empty, labels are repeated.
pub(crate) fn table(
    forecaster: &Forecaster,
    shared: &mut SharedModel,
    set: &SeriesSet,
    rows_before_end: usize,
) -> Result<Table> {
    let horizons = shared.heads().iter().filter(|head| head.preprocessor.labels.is_none());
    let steps = horizons.map(|head| head.model.config().prediction_length).max();
    let steps = steps.unwrap_or(forecaster.config().prediction_length);
    let mut columns: Vec<(String, Cells)> =
        vec![("id".into(), Vec::new()), ("step".into(), Vec::new())];
    let mut push =
        |name: String, cells: Cells| match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.extend(cells),
            None => columns.push((name, cells)),
        };
    for series in &set.series {
        let Contexts { batch, scales } = forecaster.context(series, rows_before_end)?;
        let outputs = shared.forward(&batch)?;
        push("id".into(), vec![Some(series.id.clone()); steps]);
        push("step".into(), (1..=steps).map(|step| Some(step.to_string())).collect());
        for (head, output) in shared.heads().iter().zip(&outputs) {
            check_finite(&head.name, &series.id, output)?;
            for (name, mut cells) in cells(head, output, &scales[0], steps) {
                cells.resize(steps, None);
                push(format!("{}.{name}", head.name), cells);
            }
        }
    }
    let column = |(name, cells): (String, Cells)| Column {
        name,
        values: Values::Text(cells.into_iter().collect()),
    };
    Table::new(columns.into_iter().map(column).collect())
}

/// Refuses the output of a head that is not finite.
fn check_finite(head: &str, series: &str, output: &Prediction) -> Result<()> {
    match output.numbers.iter().find(|x| !x.is_finite()) {
        Some(x) => {
            let place = format!("head \"{head}\", series \"{series}\"");
            let text = format!(
                "the output is {x}, not a finite number: the model does not suit these values"
            );
            Err(Error::input(text).at(place))
        }
        None => Ok(()),
    }
}

/// Cells of one column; `None` where a head has no value.
type Cells = Vec<Option<String>>;

/// The columns of one head for one series: as many rows as it has steps, or `steps` of a label.
fn cells(
    head: &SharedHead,
    output: &Prediction,
    scale: &Standardiser,
    steps: usize,
) -> Vec<(String, Cells)> {
    let (config, preprocessor) = (head.model.config(), &head.preprocessor);
    let names = match &preprocessor.labels {
        Some(LabelCoding::Classes { names } | LabelCoding::Values { names, .. }) => &names[..],
        None => &[],
    };
    let everywhere = |text: String| vec![Some(text); steps];
    match head.labels(output) {
        None => {
            let points = output.points();
            let channels = config.prediction_channels();
            let column = |(k, &channel): (usize, &usize)| {
                let values = points.iter().skip(k).step_by(channels.len());
                let undo = |&x: &f32| Some(scale.undo_value(channel, x).to_string());
                (preprocessor.channels[channel].clone(), values.map(undo).collect())
            };
            channels.iter().enumerate().map(column).collect()
        }
        Some(Predictions::Logits(logits)) => {
            let shares = Predictions::probabilities(&logits, names.len());
            let best = (0..names.len()).fold(0, |b, i| if shares[i] > shares[b] { i } else { b });
            let share = format!("{:.6}", shares[best]);
            let label = ("label".into(), everywhere(names[best].clone()));
            vec![label, ("probability".into(), everywhere(share))]
        }
        Some(Predictions::Values(values)) => {
            let column = |(name, x): (&String, &f64)| (name.clone(), everywhere(x.to_string()));
            names.iter().zip(&values).map(column).collect()
        }
    }
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
