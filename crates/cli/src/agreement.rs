//! Whether a device computes what the CPU computes: bfloat16 has eight bits, which is too few for some models.

use std::path::Path;

use ptsm::data::WindowSet;
use ptsm::{Cpu, Error, ErrorKind, Forecaster, Result};

use crate::global::Global;
use crate::output::remark;

/// Least correlation with the CPU of what is taken for the same.
const LEAST: f64 = 0.999;
/// Largest root mean square of the differences, of that of the CPU's forecasts around their mean: what belongs to the
/// least correlation.
const MOST: f64 = 0.05;
/// Windows that are compared.
const COMPARED: usize = 32;

/// How the forecasts of a device and those of the CPU agree.
pub(crate) struct Agreement {
    /// `None` where one of them is constant.
    correlation: Option<f64>,
    /// Root mean square of the differences, of that of the CPU's around their mean.
    error: f64,
    windows: usize,
}

impl Agreement {
    /// That of `forecaster`, which has the model in `model`, on some of `windows`.
    pub(crate) fn new(
        forecaster: &mut Forecaster,
        model: &Path,
        windows: &WindowSet,
    ) -> Result<Self> {
        let count = windows.len().min(COMPARED);
        let indices: Vec<usize> = (0..count).map(|i| i * windows.len() / count).collect();
        let batch = windows.batch(&indices);
        let mut exact = Forecaster::from_dir(model, &Cpu::default())?;
        let widened = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let device = widened(forecaster.forward(&batch)?);
        Ok(Self::of(&device, &widened(exact.forward(&batch)?), count))
    }

    fn of(device: &[f64], exact: &[f64], windows: usize) -> Self {
        let mean = exact.iter().sum::<f64>() / exact.len() as f64;
        let squares = |sum: f64| sum / exact.len() as f64;
        let spread = squares(exact.iter().map(|x| (x - mean).powi(2)).sum());
        let differences = squares(device.iter().zip(exact).map(|(x, y)| (x - y).powi(2)).sum());
        // Forecasts that are all equal have no spread; eight bits of them are what a device may lose.
        let least = (mean / 256.0).powi(2).max(f64::MIN_POSITIVE);
        let error = (differences / spread.max(least)).sqrt();
        Self { correlation: correlation(device, exact), error, windows }
    }

    fn is_enough(&self) -> bool {
        self.error <= MOST && self.correlation.is_none_or(|found| found >= LEAST)
    }

    /// Says it; refuses scores of a device that does not agree, unless they are `wanted`.
    pub(crate) fn settle(&self, global: &Global, wanted: bool) -> Result<()> {
        let Self { correlation, error, windows } = self;
        let found =
            correlation.map_or("do not correlate".to_owned(), |r| format!("correlate to {r:.6}"));
        let text = format!(
            "device and CPU {found} on {windows} windows, with differences of {:.2} % of the spread",
            100.0 * error
        );
        if self.is_enough() {
            remark(global, &text);
            return Ok(());
        }
        let text = format!(
            "{text}; wanted are {LEAST} and {:.0} %: this model needs more digits than the device has (use --backend cpu; \
             --allow-disagreement scores it nevertheless)",
            100.0 * MOST
        );
        if wanted {
            remark(global, &text);
            return Ok(());
        }
        Err(Error::new(ErrorKind::BackendUnavailable, text))
    }
}

/// Pearson's correlation; `None` where either is constant.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a) * (a - mean_a);
        bb += (b - mean_b) * (b - mean_b);
    }
    let pcc = ab / (aa * bb).sqrt();
    pcc.is_finite().then_some(pcc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_agrees_if_neither_shape_nor_size_of_its_forecasts_differ() {
        let exact: Vec<f64> = (0..200).map(|i| 5.0 + f64::from(i).sin()).collect();
        let judged = |device: &dyn Fn(f64) -> f64| {
            let device: Vec<f64> = exact.iter().map(|&x| device(x)).collect();
            Agreement::of(&device, &exact, 4).is_enough()
        };
        assert!(judged(&|x| x) && judged(&|x| x + 0.01 * (1000.0 * x).sin()));
        assert!(!judged(&|x| x + 0.1 * (1000.0 * x).sin()), "noise");
        assert!(!judged(&|x| 1.2 * x), "another size, with a correlation of 1");
        assert!(!judged(&|_| 0.0) && !judged(&|_| 5.0), "constants");
        let flat = [2.0; 8];
        assert!(Agreement::of(&flat, &flat, 1).is_enough());
        assert!(!Agreement::of(&[2.1; 8], &flat, 1).is_enough());
    }
}
