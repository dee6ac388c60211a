//! Finds the number of a row on the stream's time grid from its time.

use serde::{Deserialize, Serialize};

use crate::data::Grid;
use crate::forecast::ForecastModel;
use crate::preprocessor::Preprocessor;
use crate::{Error, Result};

/// The place of the newest row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// Rows of the grid so far, gaps included.
    rows: u64,
    /// Time of the newest row.
    newest: Option<i64>,
}

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// After the newest one and `skipped` rows that did not come.
    Next { skipped: u64, time: Option<i64> },
    /// It is the newest one again.
    Again,
    /// Before the newest one.
    Late { rows: u64 },
}

impl Clock {
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Finds the place of a row with this time.
    pub(super) fn place(&self, time: Option<i64>, model: &ForecastModel) -> Result<Step> {
        let preprocessor = model.preprocessor();
        let next = Step::Next { skipped: 0, time };
        let Some(frequency) = preprocessor.frequency.filter(|_| has_grid(preprocessor)) else {
            return Ok(next);
        };
        let Some(time) = time else {
            let text = format!("the row has no time; the model's rows come every {frequency}");
            return Err(Error::input(text));
        };
        let Some(newest) = self.newest else { return Ok(next) };
        match frequency.steps_between(newest, time) {
            Some(steps) if steps > 0 => {
                Ok(Step::Next { skipped: steps as u64 - 1, time: Some(time) })
            }
            Some(0) => Ok(Step::Again),
            Some(steps) => Ok(Step::Late { rows: steps.unsigned_abs() }),
            None => Err(Error::input(format!(
                "the time is not a whole number of steps ({frequency}) from the row before"
            ))),
        }
    }

    pub(super) fn append(&mut self, skipped: u64, time: Option<i64>) {
        self.rows += skipped + 1;
        self.newest = time;
    }

    /// Times of the rows that are forecast; `None` where rows have none.
    pub(super) fn times_after(&self, model: &ForecastModel, times: &mut Option<Vec<i64>>) {
        let (Some(newest), Some(frequency)) = (self.newest, model.preprocessor().frequency) else {
            *times = None;
            return;
        };
        let steps = model.config().prediction_length as i64;
        let times = times.get_or_insert_default();
        times.clear();
        times.extend((1..=steps).map(|step| frequency.after(newest, step)));
    }
}

/// Whether the rows of this model lie on a grid of times.
fn has_grid(preprocessor: &Preprocessor) -> bool {
    preprocessor.grid == Grid::Regular && preprocessor.frequency.is_some()
}
