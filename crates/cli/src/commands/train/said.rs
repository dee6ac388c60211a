//! What `train` says besides its answer: that one network alone is trained, what its forecaster was chosen by, and what
//! may be typed next.

use std::path::Path;

use clap::{Args as _, Command};
use ptsm::Task;
use ptsm::calibration::Calibration;

use super::fields::{ModelArgs, TrainingArgs};
use crate::global::Global;
use crate::intervals;
use crate::output::remark;
use crate::run_state::quoted;

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
            "{given}: one network alone is trained, without a comparison with other forecasts and without calibrated \
             intervals{} (without such options the default forecaster is trained; ptsm calibrate adds intervals)",
            if automatic {
                ""
            } else {
                "; --recipe auto has its other settings chosen for the data"
            }
        ),
        Task::Classification | Task::Regression if !automatic => format!(
            "{given}: one network alone is trained, without a search for settings (--recipe auto searches those that are \
             not given)"
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

/// The commands that score the model and forecast with it.
pub(super) fn next(global: &Global, task: Task, data: Option<&str>, out: &Path) {
    let Some(data) = data.filter(|data| *data != "-" && task != Task::Pretraining) else { return };
    let (out, data) = (quoted(out), quoted(Path::new(data)));
    let (scores, forecasts) = match task {
        Task::Forecasting => (data.as_str(), "forecasts"),
        _ => ("TEST.ts", "labels cases"),
    };
    let text = format!(
        "next: ptsm evaluate --model {out} --data {scores} scores it; ptsm predict --model {out} --data {scores} {forecasts}"
    );
    remark(global, &text);
}
