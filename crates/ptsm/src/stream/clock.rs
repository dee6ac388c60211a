//! Finds the number of a row on the stream's time grid from its time.

use serde::{Deserialize, Serialize};

use crate::data::{Anchor, Calendar, Grid};
use crate::forecast::ForecastModel;
use crate::preprocessor::Preprocessor;
use crate::{Error, Result};

/// Which stream it is: the model, and the id of the series.
#[derive(Clone, Copy)]
pub(super) struct StreamOf<'a> {
    pub(super) model: &'a ForecastModel,
    pub(super) id: &'a str,
}

/// The place of the newest row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// Rows of the grid so far, gaps included.
    rows: u64,
    /// Time of the newest row.
    newest: Option<i64>,
    /// The day of the month that the rows keep to, where the model does not say it.
    #[serde(default, skip_serializing_if = "Anchor::is_none")]
    anchor: Anchor,
    /// How far apart the first rows came.
    #[serde(default)]
    apart: Apart,
}

/// Steps from row to row, until two rows come one step apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Apart {
    /// Steps between the newest two rows; 1 once two rows came one step apart.
    steps: u64,
    /// How many pairs in a row came so.
    pairs: u32,
}

/// Pairs of rows as far apart as each other that show another step than the model's.
const PAIRS_THAT_SHOW: u32 = 2;

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
    pub(super) fn place(&self, time: Option<i64>, of: StreamOf<'_>) -> Result<Step> {
        let model = of.model;
        let next = Step::Next { skipped: 0, time };
        let Some(calendar) = self.calendar(of).filter(|_| has_grid(model.preprocessor())) else {
            return Ok(next);
        };
        let step = calendar.step;
        let Some(time) = time else {
            let text = format!("the row has no time; the model's rows come every {step}");
            return Err(Error::input(text));
        };
        let Some(newest) = self.newest else {
            // Without a day of its own a calendar of months holds every day.
            let held = calendar.holds(time) || calendar.without_anchor().holds(time);
            let off = || Error::input(format!("the time is not on the calendar of {step}"));
            return if held { Ok(next) } else { Err(off()) };
        };
        let steps = calendar.steps_between(newest, time);
        // The first rows may all have been last days of short months.
        let steps = steps.or_else(|| self.later_day(&calendar, time)?.steps_between(newest, time));
        match steps {
            Some(steps) if steps > 0 => {
                self.check_apart(steps as u64, &calendar)?;
                Ok(Step::Next { skipped: steps as u64 - 1, time: Some(time) })
            }
            Some(0) => Ok(Step::Again),
            Some(steps) => Ok(Step::Late { rows: steps.unsigned_abs() }),
            None => Err(Error::input(format!(
                "the time is not a whole number of steps ({step}) from the row before"
            ))),
        }
    }

    /// Moves on to a row after the newest one.
    pub(super) fn append(&mut self, skipped: u64, time: Option<i64>, of: StreamOf<'_>) {
        if let (Some(calendar), Some(time)) = (self.calendar(of), time) {
            if !calendar.holds(time) || (self.newest.is_none() && calendar.anchor.is_none()) {
                self.anchor = calendar.anchored_at(time).anchor;
            }
            if self.newest.is_some() && self.apart.steps != 1 {
                let (steps, same) = (skipped + 1, skipped + 1 == self.apart.steps);
                let pairs = if same { self.apart.pairs.saturating_add(1) } else { 1 };
                self.apart = Apart { steps, pairs };
            }
        }
        self.rows += skipped + 1;
        self.newest = time;
    }

    /// Times of the rows that are forecast; `None` where rows have none.
    pub(super) fn times_after(&self, of: StreamOf<'_>, times: &mut Option<Vec<i64>>) {
        let (Some(newest), Some(calendar)) = (self.newest, self.calendar(of)) else {
            *times = None;
            return;
        };
        let steps = of.model.config().prediction_length as i64;
        let times = times.get_or_insert_default();
        times.clear();
        times.extend((1..=steps).map(|step| calendar.after(newest, step)));
    }

    /// The calendar of the stream; `None` where rows are only numbered.
    fn calendar(&self, of: StreamOf<'_>) -> Option<Calendar> {
        let calendar = of.model.preprocessor().calendar(of.id)?;
        Some(match self.anchor.is_none() {
            true => calendar,
            false => Calendar { anchor: self.anchor, ..calendar },
        })
    }

    /// The calendar with the later day of the month that `time` shows, if the newest row fits it too.
    fn later_day(&self, calendar: &Calendar, time: i64) -> Option<Calendar> {
        let later = calendar.anchored_at(time);
        self.newest.filter(|&newest| later.holds(newest)).map(|_| later)
    }

    /// Refuses rows that come with another step than the model's from the start.
    fn check_apart(&self, steps: u64, calendar: &Calendar) -> Result<()> {
        let Apart { steps: before, pairs } = self.apart;
        if steps == 1 || steps != before || pairs < PAIRS_THAT_SHOW {
            return Ok(());
        }
        Err(Error::input(format!(
            "the rows come every {steps} steps of {}; the model was trained on rows every {} (use a \
             model of the rows' step)",
            calendar.step, calendar.step
        )))
    }
}

/// Whether the rows of this model lie on a grid of times.
fn has_grid(preprocessor: &Preprocessor) -> bool {
    preprocessor.grid == Grid::Regular && preprocessor.frequency.is_some()
}
