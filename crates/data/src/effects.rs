//! What covariates add to the channels: a linear effect that is taken off before a model sees the values, and added
//! to its forecast. This is regression with the model's errors, or dynamic regression.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::covariates::Covariates;
use ptsm_core::{Error, Result};

/// The linear effect of covariates on every channel, in standardised units.
///
/// The effect in row t on channel c is the sum over lags j and covariates k of
/// `weights[c][j][k] * (x[t - j][k] - mean[k]) / scale[k]`. A value that is not known counts as the mean. Source:
/// Hyndman and Athanasopoulos, *Forecasting: Principles and Practice*, dynamic regression models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CovariateEffects {
    /// Names of the covariates, K.
    pub names: Vec<String>,
    /// `[K]`, in data units.
    pub mean: Vec<f64>,
    /// `[K]`, in data units, above zero.
    pub scale: Vec<f64>,
    /// Earlier rows whose covariates act too; 0 = the row's own alone.
    pub lags: usize,
    /// `[C, lags + 1, K]`, row-major, lag 0 first.
    pub weights: Vec<f64>,
}

impl CovariateEffects {
    /// Inputs of a row: covariates times lags.
    pub fn inputs(&self) -> usize {
        self.names.len() * (self.lags + 1)
    }

    /// The standardised inputs of a row, `[lags + 1, K]`; 0 where a value is not known.
    ///
    /// # Panics
    ///
    /// If `to` is not [`CovariateEffects::inputs`] long.
    pub fn inputs_of(&self, covariates: &Covariates, row: usize, to: &mut [f64]) {
        for (lag, to) in to.chunks_exact_mut(self.names.len()).enumerate() {
            let known = row.checked_sub(lag).and_then(|row| covariates.row(row));
            for (k, to) in to.iter_mut().enumerate() {
                let value =
                    known.map_or(f64::NAN, |known| (known[k] - self.mean[k]) / self.scale[k]);
                *to = if value.is_nan() { 0.0 } else { value };
            }
        }
    }

    /// The effect on every channel in these rows, `[rows, C]`, in standardised units.
    pub fn of_rows(&self, covariates: &Covariates, rows: Range<usize>) -> Vec<f64> {
        let mut inputs = vec![0.0; self.inputs()];
        let mut effects = Vec::with_capacity(rows.len() * self.num_channels());
        for row in rows {
            self.inputs_of(covariates, row, &mut inputs);
            let channels = self.weights.chunks_exact(inputs.len().max(1));
            effects.extend(channels.map(|weights| {
                weights.iter().zip(&inputs).fold(0.0, |sum, (weight, input)| sum + weight * input)
            }));
        }
        effects
    }

    /// Channels, C.
    pub fn num_channels(&self) -> usize {
        self.weights.len() / self.inputs().max(1)
    }

    /// Refuses what no training saves.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for lengths that do not fit each other, numbers that are not finite, or scales that are not
    /// above 0.
    pub fn check(&self, channels: usize) -> Result<()> {
        let covariates = self.names.len();
        let lengths = covariates > 0
            && [self.mean.len(), self.scale.len()] == [covariates; 2]
            && self.lags < 1000
            && self.weights.len() == channels * self.inputs();
        let numbers = self.weights.iter().chain(&self.mean).all(|x| x.is_finite())
            && self.scale.iter().all(|x| x.is_finite() && *x > 0.0);
        if lengths && numbers {
            return Ok(());
        }
        let text = format!(
            "wanted a finite mean, a scale above 0 and {channels} x (lags + 1) finite weights for each of \
             {covariates} covariates"
        );
        Err(Error::config("effects", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects() -> CovariateEffects {
        CovariateEffects {
            names: vec!["a".into(), "b".into()],
            mean: vec![1.0, 10.0],
            scale: vec![2.0, 5.0],
            lags: 1,
            weights: vec![1.0, 10.0, 100.0, 1000.0, -1.0, 0.0, 0.0, 0.0],
        }
    }

    #[test]
    fn effects_are_sums_over_lags_and_covariates() {
        let nan = f64::NAN;
        let known = Covariates::new(2, vec![3.0, 15.0, 5.0, nan, 1.0, 0.0]);
        // Standardised: (1, 1), (2, unknown), (0, -2).
        let wanted = [11.0, -1.0, 2.0 + 1100.0, -2.0, -20.0 + 200.0, 0.0, -2000.0, 0.0];
        assert_eq!(effects().of_rows(&known, 0..4), wanted);
        assert_eq!(effects().of_rows(&known, 1..2), wanted[2..4]);
        assert_eq!((effects().num_channels(), effects().inputs()), (2, 4));
    }

    #[test]
    fn damaged_effects_are_refused() {
        assert!(effects().check(2).is_ok());
        assert!(effects().check(3).is_err());
        for damaged in [
            CovariateEffects { scale: vec![1.0, 0.0], ..effects() },
            CovariateEffects { mean: vec![1.0], ..effects() },
            CovariateEffects { lags: 2, ..effects() },
            CovariateEffects { weights: vec![f64::NAN; 8], ..effects() },
        ] {
            assert!(damaged.check(2).unwrap_err().to_string().contains("2 covariates"));
        }
    }
}
