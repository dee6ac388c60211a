//! `evaluate` and `predict` for models that label cases (classification and regression).

use std::path::{Path, PathBuf};

use ptsm::data::{LabelledSet, Labels, write_table};
use ptsm::ensemble::member_dirs;
use ptsm::job::CaseChoice;
use ptsm::labeller::{LabelScores, Labeller, Predictions};
use ptsm::model_dir::{ModelDir, read_json};
use ptsm::record::Record;
use ptsm::spec::DataSpec;
use ptsm::{Error, ErrorKind, Result, Task};
use serde_json::json;

use crate::global::Global;
use crate::output::{answer, answer_table, remark};
use crate::plot;
use crate::run_state::quoted;
use crate::source::{DataArgs, check_named};
use crate::words::counted;
use ptsm_backends::open;

/// What a labelling command reads, and where it writes to.
pub(crate) struct Request<'a> {
    pub(crate) model: &'a Path,
    pub(crate) data: &'a DataArgs,
    pub(crate) label: Option<&'a Vec<String>>,
    pub(crate) backend: &'a str,
    pub(crate) plot: Option<&'a PathBuf>,
    pub(crate) out: Option<&'a PathBuf>,
}

impl Request<'_> {
    /// The data with the columns of the labels.
    fn spec(&self) -> Result<DataSpec> {
        let spec = DataSpec { label: self.label.cloned(), ..self.data.spec() };
        check_named(&spec)?;
        Ok(spec)
    }
}

/// Whether the model in `dir` labels cases.
pub(crate) fn labels(dir: &Path) -> Result<bool> {
    Ok(matches!(ptsm::ensemble::task_of(dir)?, Task::Classification | Task::Regression))
}

/// Refuses a model that does not forecast, for a `command` that needs one that does.
///
/// # Errors
///
/// `InvalidConfig` with what the model does, and what it is for; those of reading its configuration.
pub(crate) fn check_forecasts(dir: &Path, command: &str) -> Result<()> {
    let (does, instead) = match ptsm::ensemble::task_of(dir)? {
        Task::Forecasting => return Ok(()),
        Task::Pretraining => ("fills in hidden patches", "ptsm train --data FILE --init"),
        _ => ("labels cases", "ptsm predict --data CASES --model"),
    };
    let dir = quoted(dir);
    let text =
        format!("{does}, and {command} needs a model that forecasts ({instead} {dir} uses it)");
    Err(Error::config(dir, text))
}

/// The error of data that are no labelled cases, which the model wants.
fn of_labelling(model: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidInput => error.at(format!("{} labels cases", model.display())),
        _ => error,
    }
}

/// Scores the model on every case.
pub(crate) fn evaluate(global: &Global, request: &Request<'_>) -> Result<()> {
    let mut labeller = Labeller::from_dir(request.model, open(request.backend)?.as_ref())?;
    let task = labeller.config().task()?;
    let spec = request.spec()?;
    let (name, set) = spec.read_cases(task).map_err(|e| of_labelling(request.model, e))?;
    remark(global, &format!("{name}: {}", counted(set.len(), "case")));
    if were_trained_on(request.model, &name, set.len())? {
        let text = format!(
            "{name} has the name and the number of the cases that the model was trained on: scores of these say little of \
             others"
        );
        remark(global, &text);
    }
    labeller.length_notes(&set).iter().for_each(|note| remark(global, note));
    let began = std::time::Instant::now();
    let (predictions, scores) = labeller.score(&set)?;
    let seconds = began.elapsed().as_secs_f64();
    if let Some(path) = request.plot {
        draw(path, &name, &scores, &predictions, &set)?;
        remark(global, &format!("picture: {}", path.display()));
    }
    let mut value = serde_json::to_value(&scores)
        .map_err(|e| ptsm::Error::internal("scores cannot be written").because(e))?;
    value["dataset"] = name.into();
    value["seconds"] = seconds.into();
    let mut text = match &scores {
        LabelScores::Classes(scores) => scores.table(),
        LabelScores::Values(scores) => scores.table(),
    };
    if let Some(choice) = read_json::<CaseChoice>(&ModelDir::new(request.model).choice())? {
        text += &format!("\nin training: {}\n", choice.sentence());
        value["choice"] = json!(choice);
    }
    answer(global, &value, &text)
}

/// Whether a model was trained on data of this name with as many cases.
fn were_trained_on(model: &Path, name: &str, cases: usize) -> Result<bool> {
    let dir = ModelDir::new(model);
    let dirs = if dir.is_ensemble() { member_dirs(model)? } else { vec![dir] };
    for dir in dirs {
        let Some(record) = read_json::<Record>(&dir.training())? else { continue };
        if record.dataset == name && record.train_windows + record.validation_windows == cases {
            return Ok(true);
        }
    }
    Ok(false)
}

fn draw(
    path: &Path,
    name: &str,
    scores: &LabelScores,
    predictions: &Predictions,
    set: &LabelledSet,
) -> Result<()> {
    match (scores, predictions, &set.labels) {
        (LabelScores::Classes(scores), _, _) => {
            let counts = |row: &Vec<usize>| row.iter().map(|&count| count as u64).collect();
            let picture = plot::ConfusionPlot {
                title: format!("Classes of {name}"),
                subtitle: format!(
                    "accuracy {:.1} % of {} cases",
                    100.0 * scores.accuracy,
                    scores.cases
                ),
                classes: scores.classes.clone(),
                counts: scores.confusion.iter().map(counts).collect(),
            };
            plot::save(path, &picture)
        }
        (
            LabelScores::Values(scores),
            Predictions::Values(values),
            Labels::Values { names, of },
        ) => {
            let width = names.len();
            let panel = |(k, target): (usize, &String)| plot::ScatterPanel {
                target: target.clone(),
                points: (k..of.len()).step_by(width).map(|i| (of[i], values[i])).collect(),
            };
            let picture = plot::ScatterPlot {
                title: format!("Targets of {name}"),
                subtitle: format!("RMSE {:.5} over {} cases", scores.rmse, scores.cases),
                panels: names.iter().enumerate().map(panel).collect(),
            };
            plot::save(path, &picture)
        }
        _ => Err(ptsm::Error::internal("scores of another kind than their labels")),
    }
}

/// Labels every case.
pub(crate) fn predict(global: &Global, request: &Request<'_>) -> Result<()> {
    let mut labeller = Labeller::from_dir(request.model, open(request.backend)?.as_ref())?;
    let task = labeller.config().task()?;
    let set = read_unlabelled(request, task)?;
    labeller.length_notes(&set).iter().for_each(|note| remark(global, note));
    let predictions = labeller.predict(&set)?;
    let table = labeller.table(&set, &predictions)?;
    if let Some(path) = request.out {
        write_table(path, &table)?;
        remark(global, &format!("{} in {}", counted(set.len(), "case"), path.display()));
        return match global.json {
            true => answer(global, &json!({"out": path, "cases": set.len()}), ""),
            false => Ok(()),
        };
    }
    answer_table(global, "cases", &table)
}

/// Cases whose labels do not matter; a table may have none.
fn read_unlabelled(request: &Request<'_>, task: Task) -> Result<LabelledSet> {
    let spec = request.spec()?;
    let path = Path::new(spec.data.as_deref().unwrap_or_default());
    LabelledSet::read_unlabelled(path, &spec.read_options()?, &spec.label_options(task))
        .map_err(|e| of_labelling(request.model, e))
}
