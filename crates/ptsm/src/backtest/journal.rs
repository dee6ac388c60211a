//! The forecasts of a backtest that are finished, in a file, so that one that was killed can be resumed.
//!
//! A line is JSON with a checksum ([`ptsm_core::seal`]): the first says which backtest it is, each other
//! one holds the forecasts of some series from one cutoff. A line that was cut off, and what follows it,
//! is dropped. Numbers are written so that they read back as the same bits.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::forecast::{ForecastInterval, ForecastQuantile, ScoredForecast};
use crate::{Error, Result};
use ptsm_core::{seal, unseal};

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
    path: PathBuf,
    file: File,
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
        let failed = |cause| Error::io(path, "cannot be written", cause);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(failed)?;
        if file.try_lock().is_err() {
            let text = "another backtest writes into it (wait for that, or give another out)";
            return Err(Error::config(path.display().to_string(), text));
        }
        let mut journal = Self { path: path.to_owned(), file, blocks: HashMap::new() };
        let end = journal.read(what)?;
        journal.file.set_len(end).map_err(failed)?;
        journal.file.seek(SeekFrom::Start(end)).map_err(failed)?;
        if end == 0 {
            let head = serde_json::to_string(what).map_err(not_written)?;
            journal.file.write_all(seal(&head).as_bytes()).map_err(failed)?;
        }
        Ok(journal)
    }

    /// Finds the blocks; returns where the sound lines end.
    fn read(&mut self, what: &str) -> Result<u64> {
        let failed = |cause| Error::io(&self.path, "cannot be read", cause);
        let mut reader = BufReader::new(&self.file);
        let (mut end, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
            let Some(content) = std::str::from_utf8(&line).ok().and_then(|text| unseal(text).ok())
            else {
                return Ok(end);
            };
            if end == 0 {
                if serde_json::from_str::<String>(content).ok().as_deref() != Some(what) {
                    let text = "holds the forecasts of another backtest: of other data, models or \
                                options (remove it, or give another out)";
                    return Err(Error::config(self.path.display().to_string(), text));
                }
            } else {
                match serde_json::from_str::<BlockName>(content) {
                    Ok(name) => self.blocks.insert(name, end),
                    Err(_) => return Ok(end),
                };
            }
            end += count;
        }
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
        let failed = |cause| Error::io(&self.path, "cannot be read", cause);
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut line = Vec::new();
        BufReader::new(&self.file).read_until(b'\n', &mut line).map_err(failed)?;
        let damaged = || Error::input("is damaged").at(self.path.display().to_string());
        let text = std::str::from_utf8(&line).map_err(|e| damaged().because(e))?;
        let found: Line = serde_json::from_str(unseal(text)?).map_err(|e| damaged().because(e))?;
        Ok(Some(found.forecasts))
    }

    /// Adds the forecasts of a block.
    pub(super) fn push(&mut self, name: BlockName, all: &[Vec<ScoredForecast>]) -> Result<()> {
        let numbers =
            |forecasts: &Vec<ScoredForecast>| forecasts.iter().map(Numbers::from).collect();
        let line = Line { name, forecasts: all.iter().map(numbers).collect() };
        let text = seal(&serde_json::to_string(&line).map_err(not_written)?);
        let failed = |cause| Error::io(&self.path, "cannot be written", cause);
        let start = self.file.seek(SeekFrom::End(0)).map_err(failed)?;
        self.file.write_all(text.as_bytes()).map_err(failed)?;
        self.blocks.insert(name, start);
        Ok(())
    }

    /// Removes the file, when all that it was for is written.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be removed.
    pub fn remove(self) -> Result<()> {
        let Self { path, file, .. } = self;
        drop(file);
        std::fs::remove_file(&path).map_err(|cause| Error::io(&path, "cannot be removed", cause))
    }
}

fn not_written(cause: serde_json::Error) -> Error {
    Error::internal("forecasts cannot be written as JSON").because(cause)
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
