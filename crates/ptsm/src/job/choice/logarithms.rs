//! The ridge regressions on logarithms, which need no training: for positive series, as the networks in `level.rs`.

use super::metric::Metric;
use crate::data::{Prepared, Standardiser, WindowShape, prepare};
use crate::evaluate::{LogRidge, LogRidgeOptions};
use crate::job::SeriesData;
use crate::{ErrorKind, Result};

/// What they are fitted on and for.
pub(in crate::job) struct LogRidges<'a> {
    pub(in crate::job) data: &'a SeriesData,
    /// That of the networks.
    pub(in crate::job) standardiser: &'a Standardiser,
    pub(in crate::job) metric: Metric,
    pub(in crate::job) prediction_length: usize,
    /// Whether windows may begin before a series and end after it, which copies the series.
    pub(in crate::job) partial: bool,
}

impl LogRidges<'_> {
    /// One for each context, where there are rows enough for its weights; where there are not, for as many whole seasons
    /// as there are.
    pub(super) fn fit(&self, contexts: &[usize]) -> Result<Vec<LogRidge>> {
        let season = self.data.seasonal_period.max(1);
        let mut found: Vec<LogRidge> = Vec::new();
        for &context in contexts {
            let shorter = (1..=3).rev().map(|n| n * season).filter(|&n| n > 1 && n < context);
            for length in std::iter::once(context).chain(shorter) {
                if found.iter().any(|one| one.context_length() == length) {
                    break;
                }
                let prepared = self.prepared(length)?;
                match self.on(&prepared, None) {
                    Ok(ridge) => {
                        found.push(ridge);
                        break;
                    }
                    Err(error) if error.kind() == ErrorKind::InvalidInput => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(found)
    }

    /// The same with the rows of the validation part.
    pub(super) fn refit(&self, ridge: &LogRidge) -> Result<LogRidge> {
        self.again(ridge, true)
    }

    /// One with the context and the penalty of `ridge`.
    pub(in crate::job) fn again(
        &self,
        ridge: &LogRidge,
        with_validation: bool,
    ) -> Result<LogRidge> {
        let mut prepared = self.prepared(ridge.context_length())?;
        if with_validation {
            prepared = prepared.with_validation()?;
        }
        self.on(&prepared, Some(ridge.penalty()))
    }

    fn prepared(&self, context_length: usize) -> Result<Prepared> {
        let SeriesData { set, split, .. } = self.data;
        let prediction_length = self.prediction_length;
        let shape = WindowShape { context_length, prediction_length, step: 1 };
        prepare(set, split, shape, None, Some(self.standardiser))
    }

    fn on(&self, prepared: &Prepared, penalty: Option<f64>) -> Result<LogRidge> {
        let context_length = prepared.train.shape().context_length;
        let season = self.data.seasonal_period.max(1);
        let season = if season <= context_length { season } else { 1 };
        let options = LogRidgeOptions { season, loss: self.metric.percent(), penalty };
        match self.partial {
            true => LogRidge::fit(&prepared.train.partial()?, &prepared.validation, options),
            false => LogRidge::fit(&prepared.train, &prepared.validation, options),
        }
    }
}
