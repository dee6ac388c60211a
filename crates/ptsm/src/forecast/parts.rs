//! Series of several sets, forecast together.

use std::borrow::Cow;
use std::ops::Range;

use super::answer::Forecast;
use super::{Forecaster, add_times};
use crate::Result;
use crate::data::{Series, SeriesSet};

/// Some series of a set.
#[derive(Debug, Clone)]
pub struct SetPart<'a> {
    /// The set.
    pub set: &'a SeriesSet,
    /// Which of its series.
    pub series: Range<usize>,
}

impl Forecaster {
    /// As [`Forecaster::predict_steps`] of series of several sets, which are forecast together; each forecast has the
    /// bits that it has alone. One list of forecasts for each part.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::predict_steps`], without saying in which part; nothing is forecast then.
    ///
    /// # Panics
    ///
    /// If a part has series that its set has not.
    pub fn predict_parts(
        &mut self,
        parts: &[SetPart<'_>],
        rows_before_end: usize,
        steps: usize,
    ) -> Result<Vec<Vec<Forecast>>> {
        let mut known = Vec::with_capacity(parts.len());
        for part in parts {
            known.push(self.known_part(part, rows_before_end, steps)?);
        }
        let series: Vec<&Series> = known.iter().flat_map(|series| series.iter()).collect();
        let mut all = Vec::with_capacity(series.len());
        self.each_batch(&series, rows_before_end, |_, _, forecasts| {
            all.extend(forecasts);
            Ok(())
        })?;
        let mut all = all.into_iter();
        let mut answers = Vec::with_capacity(parts.len());
        for (part, series) in parts.iter().zip(&known) {
            let mut forecasts: Vec<Forecast> = all.by_ref().take(series.len()).collect();
            add_times(&mut forecasts, part.set, series, 1);
            self.over_steps(&mut forecasts, part.set, series, steps)?;
            answers.push(forecasts);
        }
        Ok(answers)
    }

    /// The series of a part, with all covariates that their forecasts need.
    fn known_part<'a>(
        &self,
        part: &SetPart<'a>,
        rows_before_end: usize,
        steps: usize,
    ) -> Result<Cow<'a, [Series]>> {
        let series = &part.set.series[part.series.clone()];
        if self.preprocessor().standardiser.effects.is_none() {
            return Ok(Cow::Borrowed(series));
        }
        let mut planned = part.set.with_series(series.to_vec());
        planned.require_plan(rows_before_end, steps)?;
        Ok(Cow::Owned(planned.series))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::data::{Dataset, Repair};
    use crate::fit::FitOptions;

    #[test]
    fn parts_have_the_bits_of_their_sets_alone() {
        let table = Dataset::embedded_table().unwrap();
        let options = FitOptions::steps(6).context(24).epochs(1);
        let mut forecaster = Forecaster::fit(&table, &options).unwrap();
        let set = forecaster.read(&table, &Repair::default()).unwrap();
        let mut shorter = set.clone();
        let width = shorter.series[0].num_channels;
        shorter.series[0] =
            Series::new("", width, set.series[0].values[..7 * width].to_vec()).unwrap();
        for steps in [4, 6, 15] {
            let parts =
                [&set, &shorter, &set].map(|set| SetPart { set, series: 0..set.series.len() });
            let together = forecaster.predict_parts(&parts, 0, steps).unwrap();
            for (part, forecasts) in parts.iter().zip(&together) {
                assert_eq!(forecaster.predict_steps(part.set, 0, steps).unwrap(), *forecasts);
            }
        }
        let _ = Cpu::default();
    }
}
