//! The sums of one forecaster by cutoff, step and series.

use super::sums::Sums;
use crate::evaluate::{Blocks, UnitError, Units};

/// Series from which they are the units of a comparison; below, blocks of windows are.
const ENOUGH_SERIES: usize = 10;

/// Sums of one forecaster.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    pub(super) by_cutoff: Vec<Sums>,
    pub(super) by_step: Vec<Sums>,
    pub(super) by_series: Vec<Sums>,
    /// Errors of single windows, cutoff after cutoff of each series; kept of few series alone.
    windows: Vec<Vec<UnitError>>,
}

impl Totals {
    pub(super) fn new(cutoffs: usize, steps: usize, series: usize) -> Self {
        Self {
            by_cutoff: vec![Sums::default(); cutoffs],
            by_step: vec![Sums::default(); steps],
            by_series: vec![Sums::default(); series],
            windows: vec![Vec::new(); if series < ENOUGH_SERIES { series } else { 0 }],
        }
    }

    /// Adds the sums of the window of a series at a cutoff; each series sees its cutoffs in order.
    pub(super) fn add(&mut self, cutoff: usize, series: usize, window: &Sums) {
        self.by_cutoff[cutoff].merge(window);
        self.by_series[series].merge(window);
        if let Some(windows) = self.windows.get_mut(series) {
            windows.push(window.unit());
        }
    }

    /// The sums of all points.
    pub(super) fn overall(&self) -> Sums {
        let mut all = Sums::default();
        self.by_cutoff.iter().for_each(|sums| all.merge(sums));
        all
    }

    /// What is resampled in a comparison: series, or blocks of as many consecutive windows as have steps in
    /// common.
    pub(super) fn units(&self, windows_of_block: usize) -> Units {
        if self.windows.is_empty() {
            let known = self.by_series.iter().map(Sums::unit).filter(|unit| unit.points > 0);
            return Units { series: true, percents: true, errors: known.collect() };
        }
        let mut blocks = Blocks::new(windows_of_block);
        for series in &self.windows {
            series.iter().filter(|unit| unit.points > 0).for_each(|unit| blocks.push(*unit));
            blocks.end();
        }
        Units { series: false, percents: true, errors: blocks.all }
    }
}
