//! Moves the times of rows that are to be rounded.

use super::calendar::length_text;
use super::raw_series::{Origin, RawSeries};
use super::repair::RepairReport;
use super::rounding::Rounding;
use ptsm_core::{Error, Result, option};

/// Moves the times of every series.
pub(super) fn round(
    rounding: Rounding,
    series: &mut [RawSeries],
    origin: Origin<'_>,
    report: &mut RepairReport,
) -> Result<()> {
    for raw in series {
        for index in 0..raw.rows.len() {
            let Some(local) = raw.local_time(index) else { continue };
            let Some(move_by) = rounding.correction(local) else {
                return Err(too_far(rounding, raw, index, origin));
            };
            if move_by != 0 {
                raw.move_time(index, move_by);
                report.rows_rounded += 1;
                report.rounded_by = report.rounded_by.max(move_by.abs());
            }
        }
    }
    Ok(())
}

fn too_far(rounding: Rounding, raw: &RawSeries, index: usize, origin: Origin<'_>) -> Error {
    let local = raw.local_time(index).unwrap_or_default();
    let past = local.rem_euclid(rounding.step);
    let far = past.min(rounding.step - past);
    let step = length_text(rounding.step);
    let wider = format!("{step}:{}", length_text(far));
    let message = format!(
        "{} is {} from the grid of {step}, further than the {} that rounding may move it (use \
         {} if it may)",
        origin.show(raw, index),
        length_text(far),
        length_text(rounding.tolerance()),
        option("round", Some(&wider))
    );
    origin.at_row(raw, index, message)
}
