//! Errors of the units that a comparison resamples: whole series, or blocks of consecutive windows.

/// Series from which they are the units.
const ENOUGH_SERIES: usize = 10;

/// Summed errors of one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct UnitError {
    /// Absolute errors.
    pub(crate) absolute: f64,
    pub(crate) points: u64,
    /// Errors in units of the MASE scale; of a series, its own MASE alone.
    pub(crate) scaled: f64,
    pub(crate) scaled_points: u64,
    /// Terms of sMAPE and of MAPE, in percent; 0 where [`Units::percents`] is false.
    pub(crate) percents: [f64; 2],
}

impl UnitError {
    pub(crate) fn add(&mut self, other: Self) {
        self.absolute += other.absolute;
        self.points += other.points;
        self.scaled += other.scaled;
        self.scaled_points += other.scaled_points;
        self.percents[0] += other.percents[0];
        self.percents[1] += other.percents[1];
    }
}

/// The errors of one forecaster, unit by unit. Of two forecasters on the same windows the units are the
/// same.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Units {
    /// Whether they are series.
    pub(crate) series: bool,
    /// Whether errors in percent of each unit are known.
    pub(crate) percents: bool,
    pub(crate) errors: Vec<UnitError>,
}

impl Units {
    /// Series where there are enough, otherwise blocks.
    pub(crate) fn new(series: Vec<UnitError>, blocks: &[UnitError]) -> Self {
        match series.len() >= ENOUGH_SERIES {
            true => Self { series: true, percents: false, errors: series },
            false => Self { series: false, percents: false, errors: blocks.to_vec() },
        }
    }

    /// The same with sums of sMAPE and MAPE by series, where series are the units.
    pub(crate) fn with_percents(mut self, percents: &[[f64; 2]]) -> Self {
        self.percents = self.series && percents.len() == self.errors.len();
        if self.percents {
            self.errors.iter_mut().zip(percents).for_each(|(unit, &sums)| unit.percents = sums);
        }
        self
    }

    /// What they are called.
    pub(crate) fn name(&self) -> &'static str {
        if self.series { "series" } else { "blocks of windows" }
    }
}

/// Blocks of as many consecutive windows of one series as a horizon has steps: windows further apart
/// have no step in common.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    length: usize,
    /// Windows that still go into the last block.
    left: usize,
    pub(crate) all: Vec<UnitError>,
}

impl Blocks {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, left: 0, all: Vec::new() }
    }

    /// Ends the last block.
    pub(crate) fn end(&mut self) {
        self.left = 0;
    }

    /// Adds the errors of the next window.
    pub(crate) fn push(&mut self, window: UnitError) {
        match self.all.last_mut().filter(|_| self.left > 0) {
            Some(block) => block.add(window),
            None => {
                self.all.push(window);
                self.left = self.length;
            }
        }
        self.left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_a_horizon_long_and_of_one_series() {
        let mut blocks = Blocks::new(2);
        let one = UnitError { absolute: 1.0, points: 1, ..UnitError::default() };
        (0..3).for_each(|_| blocks.push(one));
        blocks.end();
        blocks.push(one);
        let sizes: Vec<u64> = blocks.all.iter().map(|block| block.points).collect();
        assert_eq!(sizes, [2, 1, 1]);
        assert!(!Units::new(vec![one; 9], &blocks.all).series);
        let series = Units::new(vec![one; 10], &blocks.all);
        assert!(series.series && !series.percents);
        assert_eq!(series.clone().with_percents(&[[3.0, 4.0]; 10]).errors[9].percents, [3.0, 4.0]);
        assert!(!series.with_percents(&[[3.0, 4.0]; 9]).percents);
    }
}
