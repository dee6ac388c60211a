//! Forecasts as a user gets them: a table on stdout or in a file, JSON, a picture.

use std::path::Path;

use ptsm::data::{SeriesSet, Table, write_table};
use ptsm::forecast::{ForecastJson, IntervalNames, forecast_table_named};
use ptsm::{Error, Forecast, Forecaster, Result};
use serde_json::json;

use crate::global::Global;
use crate::intervals;
use crate::output::{answer, answer_table, print, remark};
use crate::pictures::forecast_plot;
use crate::plot;

/// Names of the columns of intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Names {
    /// y_q0.1, y_q0.9
    Quantile,
    /// y-lo-80, y-hi-80
    Nixtla,
}

impl From<Names> for IntervalNames {
    fn from(names: Names) -> Self {
        match names {
            Names::Quantile => Self::Quantile,
            Names::Nixtla => Self::Nixtla,
        }
    }
}

/// Where forecasts go.
pub(crate) struct ForecastOutput<'a> {
    pub(crate) out: Option<&'a Path>,
    pub(crate) plot: Option<&'a Path>,
    pub(crate) interval_names: Option<Names>,
}

/// What was forecast from.
pub(crate) struct ForecastSource<'a> {
    /// Name of the data.
    pub(crate) name: &'a str,
    pub(crate) set: &'a SeriesSet,
    pub(crate) forecaster: &'a Forecaster,
}

impl ForecastOutput<'_> {
    /// Writes or prints the forecasts, and their picture.
    pub(crate) fn write(
        &self,
        global: &Global,
        from: &ForecastSource<'_>,
        forecasts: &[Forecast],
    ) -> Result<()> {
        let set = from.set;
        let calibration = from.forecaster.model().calibration();
        let shown = forecasts.iter().any(|forecast| !forecast.intervals.is_empty());
        if let Some(text) = calibration.filter(|_| shown).and_then(intervals::doubtful) {
            remark(global, &text);
        }
        let table = forecast_table_named(set, forecasts, self.names(global, forecasts)?)?;
        if let Some(path) = self.plot {
            let title = format!("Forecast of {}", from.name);
            let picture = forecast_plot(&title, from.forecaster, set, forecasts);
            plot::save(path, &picture)?;
            let of = match picture.panels.len() {
                shown if shown < picture.number => {
                    format!(" (the first {shown} of {} forecasts)", picture.number)
                }
                _ => String::new(),
            };
            remark(global, &format!("picture: {}{of}", path.display()));
        }
        if let Some(path) = self.out {
            write_table(path, &table)?;
            let what = if forecasts.len() == 1 { "forecast" } else { "forecasts" };
            remark(global, &format!("{} {what} in {}", forecasts.len(), path.display()));
            return match global.json {
                true => answer(global, &json!({"out": path, "forecasts": forecasts.len()}), ""),
                false => Ok(()),
            };
        }
        if global.json {
            let all = ForecastJson::all(set, forecasts);
            return answer(global, &json!({"forecasts": all}), "");
        }
        let mut csv = Vec::new();
        table
            .write_csv(&mut csv)
            .map_err(|e| Error::internal("a table cannot be written to memory").because(e))?;
        print(&String::from_utf8_lossy(&csv))
    }

    /// How intervals are called; an error where none would be.
    fn names(&self, global: &Global, forecasts: &[Forecast]) -> Result<IntervalNames> {
        let given = self.interval_names.is_some();
        if given && global.json && self.out.is_none() {
            let text =
                "would not be used: --json gives each interval with its level (leave it out)";
            return Err(Error::config("interval_names", text));
        }
        if given && forecasts.iter().all(|forecast| forecast.intervals.is_empty()) {
            let text = "would not be used: these forecasts have no intervals (run ptsm calibrate \
                        first, and forecast no more steps than the model's own)";
            return Err(Error::config("interval_names", text));
        }
        Ok(self.interval_names.map(IntervalNames::from).unwrap_or_default())
    }
}

/// Writes a table to the file or prints it.
pub(crate) fn write_rows(global: &Global, out: Option<&Path>, table: &Table) -> Result<()> {
    let Some(path) = out else {
        return answer_table(global, "rows", table);
    };
    write_table(path, table)?;
    match global.json {
        true => answer(global, &json!({"out": path, "rows": table.num_rows()}), ""),
        false => Ok(()),
    }
}
