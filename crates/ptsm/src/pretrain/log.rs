//! `validation.jsonl`: the scores of a run against the windows that it has seen.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use ptsm_core::write_atomically;

/// The scores after so many windows: one line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValidationRow {
    /// Windows seen.
    pub windows: u64,
    /// Optimiser steps done.
    pub steps: u64,
    /// Seconds of training and validation so far, as far as they were not repeated.
    pub seconds: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean loss over the windows since the last row.
    pub train_loss: f64,
    /// Loss over the simulated windows that are held back.
    pub validation_loss: Option<f64>,
    /// Scores on real series, by file.
    pub real: Vec<RealScore>,
}

/// Scores on the last steps of the series of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RealScore {
    /// Name of the file, with its folder.
    pub name: String,
    /// Steps that are forecast.
    pub steps: usize,
    /// Series, with one forecast each.
    pub series: usize,
    /// Symmetric mean absolute percentage error, in percent.
    pub smape: Option<f64>,
    /// Mean absolute percentage error, in percent.
    pub mape: Option<f64>,
    /// Mean absolute scaled error, the mean over the series.
    pub mase: Option<f64>,
    /// Level and coverage of each interval that the model has.
    pub coverage: Vec<(f64, f64)>,
}

/// The rows that are there.
pub(super) fn read(path: &Path) -> Result<Vec<ValidationRow>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
    let rows = text.lines().map(serde_json::from_str::<ValidationRow>);
    rows.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| {
        let bad = "is damaged or of another version (remove it to have it begun again)";
        Error::config(path.display().to_string(), bad).because(e)
    })
}

/// Writes all rows.
pub(super) fn write(path: &Path, rows: &[ValidationRow]) -> Result<()> {
    write_atomically(path, |out| {
        for row in rows {
            serde_json::to_writer(&mut *out, row).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}
