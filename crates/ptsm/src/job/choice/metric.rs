//! By what candidates are compared.

use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::evaluate::{Measure, select_channels};
use crate::train::{PercentLoss, Training};
use crate::{Error, Result};
use ptsm_core::did_you_mean;

/// What is small in a good forecast; the networks of the default forecaster are trained for it, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Mean absolute error, every series in its own standardised units.
    #[default]
    Mae,
    /// Symmetric mean absolute percentage error, 0 to 200 %.
    Smape,
    /// Mean absolute percentage error; points whose truth is 0 do not count.
    Mape,
}

impl std::str::FromStr for Metric {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mae" => Ok(Self::Mae),
            "smape" => Ok(Self::Smape),
            "mape" => Ok(Self::Mape),
            _ => {
                let near = did_you_mean(text, Self::NAMES);
                let known = Self::NAMES.join(", ");
                Err(Error::config("metric", format!("\"{text}\" is none of {known}{near}")))
            }
        }
    }
}

impl Metric {
    /// The names of all metrics.
    pub const NAMES: [&str; 3] = ["mae", "smape", "mape"];

    /// The loss in percent that it is, if it is one.
    pub(super) fn percent(self) -> Option<PercentLoss> {
        match self {
            Self::Mae => None,
            Self::Smape => Some(PercentLoss::Smape),
            Self::Mape => Some(PercentLoss::Mape),
        }
    }

    /// By what a forecaster that was chosen for it is judged.
    pub fn measure(self) -> Measure {
        match self {
            Self::Mae => Measure::Mase,
            Self::Smape => Measure::Smape,
            Self::Mape => Measure::Mape,
        }
    }

    /// Has training minimise it.
    pub(super) fn train_for(self, training: &mut Training) {
        training.percent_loss = self.percent();
        training.mae_share = if self == Self::Mae { 1.0 } else { 0.0 };
    }

    pub(super) fn described(self) -> &'static str {
        match self {
            Self::Mae => "mean absolute error",
            Self::Smape => "sMAPE",
            Self::Mape => "MAPE",
        }
    }

    pub(super) fn shown(self, error: f64) -> String {
        match self {
            Self::Mae => format!("{error:.4}"),
            Self::Smape | Self::Mape if error < 1e-3 => format!("{:.6} %", 100.0 * error),
            Self::Smape | Self::Mape => format!("{:.2} %", 100.0 * error),
        }
    }
}

/// The truth of the compared windows.
#[derive(Debug, Default)]
pub(super) struct Truth {
    metric: Metric,
    values: Vec<f32>,
    mask: Option<Vec<f32>>,
    /// Where the data's zero lies, for each value.
    origins: Vec<f32>,
}

impl Truth {
    pub(super) fn new(metric: Metric) -> Self {
        Self { metric, ..Self::default() }
    }

    /// Adds the futures of a batch.
    pub(super) fn push(&mut self, batch: &Batch, channels: &[usize]) {
        let width = batch.num_channels();
        let chosen = |values: &[f32]| select_channels(values, width, channels);
        if let Some(mask) = batch.future_observed_mask().map(chosen) {
            self.mask.get_or_insert_default().extend(mask);
        }
        let values = batch.future_values().map(chosen).unwrap_or_default();
        let each = values.len() / batch.size().max(1) / channels.len().max(1);
        for window in 0..batch.size() {
            let of = |&channel: &usize| {
                batch.origin().map_or(0.0, |origin| origin[window * width + channel])
            };
            let row: Vec<f32> = channels.iter().map(of).collect();
            self.origins.extend(row.repeat(each));
        }
        self.values.extend(values);
    }

    /// Mean error over the known points; `None` if none is known or it is not finite.
    pub(super) fn error(&self, forecast: &[f32]) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0usize);
        for (i, (&x, &y)) in forecast.iter().zip(&self.values).enumerate() {
            if self.mask.as_ref().is_some_and(|mask| mask[i] == 0.0) {
                continue;
            }
            let error = f64::from((x - y).abs());
            let (f, y) = (x - self.origins[i], y - self.origins[i]);
            let size = match self.metric {
                Metric::Mae => 1.0,
                Metric::Smape => 0.5 * f64::from(f.abs() + y.abs()),
                Metric::Mape => f64::from(y.abs()),
            };
            // In single precision the zero of the data is not quite its origin; standardised values are of size 1.
            if size > f64::from(f32::EPSILON) * f64::from(1.0 + self.origins[i].abs()) {
                sum += error / size;
                count += 1;
            }
        }
        (count > 0).then(|| sum / count as f64).filter(|error| error.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BatchShape;

    fn truth(metric: Metric) -> Truth {
        let shape = BatchShape { size: 2, context_length: 1, num_channels: 1 };
        let batch = Batch::new(shape, vec![0.0; 2])
            .and_then(|batch| batch.with_future_values(vec![2.0, -1.0, 4.0, 9.0]))
            .and_then(|batch| batch.with_future_observed_mask(vec![1.0, 1.0, 1.0, 0.0]))
            .and_then(|batch| batch.with_origin(vec![-1.0, 0.0]))
            .unwrap();
        let mut truth = Truth::new(metric);
        truth.push(&batch, &[0]);
        truth
    }

    #[test]
    fn errors_in_percent_are_those_of_distances_from_the_zero_of_the_data() {
        // Levels 3, 0 (at the origin) and 4 are forecast as 6, 1 and 2; the last one is not known.
        let forecast = [5.0, 0.0, 2.0, 0.0];
        let close = |metric, wanted: f64| {
            let found = truth(metric).error(&forecast).unwrap();
            assert!((found - wanted).abs() < 1e-6, "{metric:?}: {found}");
        };
        close(Metric::Mae, (3.0 + 1.0 + 2.0) / 3.0);
        close(Metric::Smape, (3.0 / 4.5 + 1.0 / 0.5 + 2.0 / 3.0) / 3.0);
        close(Metric::Mape, (3.0 / 3.0 + 2.0 / 4.0) / 2.0);
        assert_eq!(truth(Metric::Mae).error(&[f32::NAN; 4]), None);
        // What is next to nothing counts as the zero that it stands for.
        let mut zero = Truth::new(Metric::Smape);
        let shape = BatchShape { size: 1, context_length: 1, num_channels: 1 };
        let batch = Batch::new(shape, vec![0.0]).and_then(|b| b.with_future_values(vec![0.0, 2.0]));
        zero.push(&batch.unwrap(), &[0]);
        assert_eq!(zero.error(&[1e-30, 2.0]), Some(0.0));
    }
}
