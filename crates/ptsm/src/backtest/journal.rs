//! The forecasts of a backtest that are finished, in a file, so that one that was killed can be resumed.
//!
//! A line ([`SealedLines`]) holds the forecasts of some series from one cutoff.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::forecast::{ForecastInterval, ForecastQuantile, ScoredForecast};
use crate::sealed_lines::{Job, SealedLines};

/// The numbers of one forecast; the rest is known from the series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Numbers {
    values: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    intervals: Vec<ForecastInterval>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quantiles: Vec<ForecastQuantile>,
    /// The scored quantiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scored: Vec<ForecastQuantile>,
}

impl From<&ScoredForecast> for Numbers {
    fn from(one: &ScoredForecast) -> Self {
        Self {
            values: one.forecast.values.clone(),
            intervals: one.forecast.intervals.clone(),
            quantiles: one.forecast.quantiles.clone(),
            scored: one.quantiles.clone(),
        }
    }
}

impl Numbers {
    /// Puts the numbers into a forecast that has none.
    pub(super) fn fill(self, empty: crate::Forecast) -> ScoredForecast {
        let Self { values, intervals, quantiles, scored } = self;
        let forecast = crate::Forecast { values, intervals, quantiles, ..empty };
        ScoredForecast { forecast, quantiles: scored }
    }
}

/// Which block of a backtest: cutoff and number of the block of series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct BlockName {
    pub(super) cutoff: usize,
    pub(super) block: usize,
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    name: BlockName,
    /// Of each forecaster, of each series.
    forecasts: Vec<Vec<Numbers>>,
}

/// The file, open for more lines, held by this process alone.
pub struct Journal {
    lines: SealedLines,
    /// Where the line of each finished block begins.
    blocks: HashMap<BlockName, u64>,
}

impl Journal {
    /// Opens the file, or makes it, for the backtest that `what` describes.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is of another backtest; `Io` if it cannot be read or written, or another
    /// process writes into it.
    pub fn open(path: &Path, what: &str) -> Result<Self> {
        let mut blocks = HashMap::new();
        let lines =
            SealedLines::open(path, &Job { name: "backtest", what }, &mut |start, line| {
                let name = serde_json::from_str::<BlockName>(line);
                name.map(|name| blocks.insert(name, start)).is_ok()
            })?;
        Ok(Self { lines, blocks })
    }

    /// Blocks that are finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether no block is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The forecasts of a finished block; `None` if it is not.
    pub(super) fn get(&mut self, name: BlockName) -> Result<Option<Vec<Vec<Numbers>>>> {
        let Some(&start) = self.blocks.get(&name) else { return Ok(None) };
        let line: Line = self.lines.read(start)?;
        Ok(Some(line.forecasts))
    }

    /// Adds the forecasts of a block.
    pub(super) fn push(&mut self, name: BlockName, all: &[Vec<ScoredForecast>]) -> Result<()> {
        let numbers =
            |forecasts: &Vec<ScoredForecast>| forecasts.iter().map(Numbers::from).collect();
        let start =
            self.lines.push(&Line { name, forecasts: all.iter().map(numbers).collect() })?;
        self.blocks.insert(name, start);
        Ok(())
    }

    /// Removes the file, when all that it was for is written.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be removed.
    pub fn remove(self) -> Result<()> {
        self.lines.remove()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(value: f64) -> Vec<ScoredForecast> {
        let forecast = crate::Forecast {
            id: String::new(),
            channels: vec!["y".into()],
            timestamps: None,
            first_row: 0,
            values: vec![value, 0.1 + 0.2, -0.0],
            intervals: vec![ForecastInterval {
                level: 0.8,
                lower: vec![1e-300; 3],
                upper: vec![value; 3],
            }],
            quantiles: Vec::new(),
        };
        vec![ScoredForecast { forecast, quantiles: Vec::new() }]
    }

    #[test]
    fn blocks_come_back_with_their_bits_and_a_cut_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv.partial");
        let names = [0, 1].map(|block| BlockName { cutoff: 3, block });
        let mut journal = Journal::open(&path, "this").unwrap();
        assert!(journal.is_empty());
        assert!(Journal::open(&path, "this").is_err(), "two at once");
        for (name, value) in names.into_iter().zip([1.0 / 3.0, 2.0]) {
            journal.push(name, &[numbers(value)]).unwrap();
        }
        let wanted: Vec<Numbers> = numbers(1.0 / 3.0).iter().map(Numbers::from).collect();
        assert_eq!(journal.get(names[0]).unwrap().unwrap()[0], wanted);
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let mut journal = Journal::open(&path, "this").unwrap();
        assert_eq!(journal.len(), 1);
        assert_eq!(journal.get(names[0]).unwrap().unwrap()[0], wanted);
        journal.push(names[1], &[numbers(2.0)]).unwrap();
        drop(journal);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        let text = Journal::open(&path, "that").err().unwrap().to_string();
        assert!(text.contains("another backtest"), "{text}");
        Journal::open(&path, "this").unwrap().remove().unwrap();
        assert!(!path.exists());
    }
}
