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
    windows: Vec<Vec<(Place, UnitError)>>,
    /// Sums of each series over the windows that no model has seen.
    unseen: Vec<Sums>,
    /// Whether a model has seen a window.
    pub(super) any_seen: bool,
}

/// Where a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cutoff: usize,
    pub(super) series: usize,
    /// Whether a model has seen its rows in training, or was chosen by them.
    pub(super) seen: bool,
}

impl Totals {
    pub(super) fn new(cutoffs: usize, steps: usize, series: usize) -> Self {
        Self {
            by_cutoff: vec![Sums::default(); cutoffs],
            by_step: vec![Sums::default(); steps],
            by_series: vec![Sums::default(); series],
            windows: vec![Vec::new(); if series < ENOUGH_SERIES { series } else { 0 }],
            unseen: vec![Sums::default(); series],
            any_seen: false,
        }
    }

    /// Adds the sums of a window; each series sees its cutoffs in order.
    pub(super) fn add(&mut self, place: Place, window: &Sums) {
        let Place { cutoff, series, seen } = place;
        self.by_cutoff[cutoff].merge(window);
        self.by_series[series].merge(window);
        match seen {
            true => self.any_seen = true,
            false => self.unseen[series].merge(window),
        }
        if let Some(windows) = self.windows.get_mut(series) {
            windows.push((place, window.unit()));
        }
    }

    /// The sums of all points.
    pub(super) fn overall(&self) -> Sums {
        let mut all = Sums::default();
        self.by_cutoff.iter().for_each(|sums| all.merge(sums));
        all
    }

    /// What is resampled in a comparison: series, or blocks of as many consecutive windows as have steps in
    /// common. Without windows that a model has seen, unless `all` are wanted.
    pub(super) fn units(&self, windows_of_block: usize, all: bool) -> Units {
        if self.windows.is_empty() {
            let sums = if all { &self.by_series } else { &self.unseen };
            let known = sums.iter().map(Sums::unit).filter(|unit| unit.points > 0);
            return Units { series: true, percents: true, errors: known.collect() };
        }
        let mut blocks = Blocks::new(windows_of_block);
        for series in &self.windows {
            let wanted =
                series.iter().filter(|(place, unit)| unit.points > 0 && (all || !place.seen));
            wanted.for_each(|(_, unit)| blocks.push(*unit));
            blocks.end();
        }
        Units { series: false, percents: true, errors: blocks.all }
    }
}
