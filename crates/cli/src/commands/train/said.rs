//! What `train` says besides its answer: that one network alone is trained, what its forecaster was chosen by, and what
//! may be typed next.

use std::path::Path;

use clap::{Args as _, Command};
use ptsm::Task;
use ptsm::calibration::Calibration;
use ptsm::data::{NO_COLUMN, Roles};

use super::fields::{ModelArgs, TrainingArgs};
use crate::global::Global;
use crate::intervals;
use crate::output::remark;
use crate::run_state::quoted;
use crate::source::test_cases;

/// Options of the network and its training that leave the choice among forecasters open.
const OPEN: [&str; 3] = ["context-length", "prediction-length", "seed"];

/// Names the options because of which one network alone is trained, and what would be done without them; `automatic`
/// where a recipe is chosen for the data.
pub(super) fn one_network(global: &Global, task: Task, automatic: bool) {
    let given = described(global);
    if given.is_empty() {
        return;
    }
    let given = given.join(", ");
    let text = match task {
        Task::Forecasting => format!(
            "{given}: trains one network alone, without a comparison with other forecasts and without intervals \
             (ptsm calibrate adds them). Left out, the default forecaster is trained, which has both.{}",
            if automatic {
                ""
            } else {
                " --recipe auto chooses the network's other settings for the data."
            }
        ),
        Task::Classification | Task::Regression if !automatic => format!(
            "{given}: trains one network alone, without a search for settings. --recipe auto searches those that are not \
             given."
        ),
        _ => return,
    };
    remark(global, &text);
}

/// The options that describe a network or its training, as they were typed.
fn described(global: &Global) -> Vec<String> {
    let known = TrainingArgs::augment_args(ModelArgs::augment_args(Command::new("network")));
    let longs: Vec<&str> = known.get_arguments().filter_map(|arg| arg.get_long()).collect();
    let of_network = |name: &&str| longs.contains(name) && !OPEN.contains(name);
    global.asked.names().filter(of_network).map(|name| format!("--{name}")).collect()
}

/// Says on what the intervals of a model rest.
pub(super) fn interval_note(global: &Global, calibration: Option<&Calibration>) {
    if let Some(calibration) = calibration {
        remark(global, &format!("  {}", intervals::rest_on(calibration)));
    }
}

/// What was trained, for the commands that are typed next.
pub(super) struct Done<'a> {
    pub(super) task: Task,
    /// The data, as they were named.
    pub(super) data: Option<&'a str>,
    pub(super) out: &'a Path,
    /// How the columns are read.
    pub(super) roles: &'a Roles,
}

/// The commands that score the model and forecast with it, each on a line of its own.
pub(super) fn next(global: &Global, done: &Done<'_>) {
    let Done { task, data, out, roles } = *done;
    let Some(data) = data.filter(|data| *data != "-" && task != Task::Pretraining) else { return };
    let model = quoted(out);
    let (data, forecasts) = match task {
        Task::Forecasting => (quoted(Path::new(data)), "forecasts"),
        _ => (quoted(&test_cases(data)), "labels its cases"),
    };
    let mut predict = format!("ptsm predict --model {model} --data {data}");
    let mut forecasts = forecasts.to_owned();
    if !roles.future_covariates.is_empty() {
        let named = roles.id.iter().chain(&roles.timestamp).filter(|name| *name != NO_COLUMN);
        let planned: Vec<&str> =
            named.chain(&roles.future_covariates).map(String::as_str).collect();
        predict += " --future plan.csv";
        forecasts += &format!("; plan.csv has {} for the steps to come", planned.join(", "));
    }
    let evaluate = format!("ptsm evaluate --model {model} --data {data}");
    let width = evaluate.len().max(predict.len());
    remark(
        global,
        &format!("next:\n  {evaluate:width$}  # scores it\n  {predict:width$}  # {forecasts}"),
    );
}
