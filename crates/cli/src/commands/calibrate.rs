//! `ptsm calibrate`: calibrates prediction intervals on the validation part.

use std::path::PathBuf;

use ptsm::calibration::{CalibratedInterval, Calibration, CalibrationOptions, Difficulty};
use ptsm::data::{Part, Split};
use ptsm::job::trained_on_validation;
use ptsm::model_dir::ModelDir;
use ptsm::model_writer::ModelWriter;
use ptsm::{Error, Forecaster, Result};
use ptsm_backends::open;
use serde_json::{Value, json};

use crate::commands::cases::check_forecasts;
use crate::global::Global;
use crate::numbers::level;
use crate::output::{answer, remark, remark_note};
use crate::source::{DataArgs, part_parser, summary};

/// Options of `calibrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory of a forecaster; the calibration is written into it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Part that is calibrated on: one that training did not see
    #[arg(long, default_value = "validation", value_parser = part_parser())]
    split: Part,
    /// Borders of the parts, where they are not those of the training: ett-hour, 7:1:2, ...
    #[arg(long, value_name = "SPLIT")]
    borders: Option<Split>,
    /// Probabilities of the central intervals, ascending, as 80,95 or 0.8,0.95
    #[arg(long, value_delimiter = ',', default_value = "0.8,0.95", value_name = "LEVEL,...", value_parser = level)]
    levels: Vec<f64>,
    #[command(flatten)]
    data: DataArgs,
}

/// Fits and writes.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    args.data.without_season()?;
    check_forecasts(&args.model, "calibrate")?;
    let validation = args.split == Part::Validation && args.borders.is_none();
    if validation && trained_on_validation(&args.model)? {
        let kept = ModelDir::new(&args.model).calibration();
        let text = format!(
            "a member of this model was fitted to the validation part, too: intervals from it would be too \
             narrow{} (use other rows: --split test, or --data of later rows)",
            if kept.exists() { "; those that training fitted before are kept" } else { "" }
        );
        return Err(Error::config("--split", text));
    }
    // From here on, so that the calibration is of the model that it is written beside.
    let writer = ModelWriter::existing(&ModelDir::new(&args.model))?;
    let mut forecaster = Forecaster::from_dir(&args.model, open("cpu")?.as_ref())?;
    let source = args.data.read_for(global, forecaster.preprocessor())?;
    let set = forecaster.read_as(&source.table, &args.data.roles(), &args.data.repair(&source)?)?;
    remark(global, &summary(&source.name, &set));
    let prepared = forecaster.prepare(&set, args.borders)?;
    prepared.notes().iter().for_each(|note| remark_note(global, note));
    let windows = prepared.part(args.split);
    let config = forecaster.config().clone();
    let name = format!("{}, {}", source.name, args.split.name());
    let season = forecaster.preprocessor().seasonal_period;
    let options = CalibrationOptions { name: &name, levels: &args.levels, season };
    let calibration = Calibration::fit(&config, forecaster.session(), windows, &options)?;
    writer.add(|staged| calibration.save(staged.path()))?;
    let mut text = format!(
        "{}: {} windows of {name}\n",
        ModelDir::new(&args.model).calibration().display(),
        calibration.windows
    );
    for interval in &calibration.intervals {
        text += &format!("{:.0} % interval: {}\n", 100.0 * interval.level, interval.method());
    }
    text += &format!("{}\n", in_words(calibration.difficulty));
    let intervals: Vec<Value> = calibration.intervals.iter().map(describe).collect();
    let value = json!({
        "windows": calibration.windows, "fitted_on": name, "difficulty": calibration.difficulty,
        "intervals": intervals,
    });
    answer(global, &value, &text)
}

fn describe(interval: &CalibratedInterval) -> Value {
    let CalibratedInterval { level, multiples, pooling, points, .. } = interval;
    let mean = multiples.iter().sum::<f64>() / multiples.len().max(1) as f64;
    json!({
        "level": level, "mean_multiple": mean, "pooling": pooling, "points": points,
        "method": interval.method(),
    })
}

/// What the intervals of a window are as wide as.
fn in_words(difficulty: Difficulty) -> String {
    match difficulty {
        Difficulty::Change { season: 1 } => {
            "widths go with the mean change from step to step in the context of each forecast"
                .into()
        }
        Difficulty::Change { season } => format!(
            "widths go with the mean change over a season of {season} in the context of each forecast"
        ),
        _ => "widths go with those of the model's own intervals".into(),
    }
}
