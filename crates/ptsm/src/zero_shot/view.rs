//! [`View`]: a form of a series that the network forecasts, and the way back.

use super::past::Past;

/// Deviations of the past beyond which no forecast goes, as in the network's training.
const MOST_DEVIATIONS: f32 = 25.0;

/// How far a forecast of logarithms may go below the least and above the greatest value of the past: a hundredth, a
/// hundred times.
const MOST_GROWTH: f64 = 100.0;

/// A form of a series, with mean 0 and deviation 1 in the past that the network sees.
#[derive(Debug, Clone)]
pub(super) struct View {
    logarithms: bool,
    mean: f64,
    deviation: f64,
    /// Between which numbers forecasts lie.
    least: f32,
    most: f32,
    /// The past, and the medians of what was forecast of it.
    pub(super) path: Vec<f32>,
    /// Forecast quantiles, `[H, Q]`.
    pub(super) quantiles: Vec<f32>,
}

impl View {
    /// The forms of a series that make sense: its adjusted values, and their logarithms where all are
    /// above zero. `seen` = steps that the network sees.
    pub(super) fn all(past: &Past, seen: usize) -> Vec<Self> {
        let all = &past.adjusted.means;
        let last = &all[all.len().saturating_sub(seen)..];
        let plain = Self::new(last.to_vec(), false);
        match past.positive {
            true => vec![plain, Self::new(last.iter().map(|value| value.ln()).collect(), true)],
            false => vec![plain],
        }
    }

    fn new(values: Vec<f64>, logarithms: bool) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / count).sqrt();
        // Without any deviation there is none to be expected.
        let scale = if deviation > 0.0 { deviation.recip() } else { 0.0 };
        let path: Vec<f32> = values.iter().map(|value| ((value - mean) * scale) as f32).collect();
        let (mut least, mut most) = (-MOST_DEVIATIONS, MOST_DEVIATIONS);
        if logarithms {
            let far = (MOST_GROWTH.ln() * scale) as f32;
            least = least.max(path.iter().copied().fold(f32::INFINITY, f32::min) - far);
            most = most.min(path.iter().copied().fold(f32::NEG_INFINITY, f32::max) + far);
        }
        Self { logarithms, mean, deviation, least, most, path, quantiles: Vec::new() }
    }

    /// Appends the next forecast, `[H, Q]`, standardised: its medians to the path, and its quantiles with their
    /// distances from the median enlarged by those of the last step before it, as if the errors of both were
    /// independent (the root of the sum of squares).
    pub(super) fn follow(&mut self, forecast: &[f32], levels: &[f64]) {
        let count = levels.len();
        let median = median_index(levels);
        let start = self.quantiles.len().saturating_sub(count);
        let before: Vec<f32> = self.quantiles[start..].to_vec();
        for step in forecast.chunks_exact(count) {
            self.path.push(step[median].clamp(self.least, self.most));
            let wider = |(level, &number): (usize, &f32)| match before.get(level) {
                Some(earlier) => {
                    let (own, earlier) = (number - step[median], earlier - before[median]);
                    step[median] + own.hypot(earlier).copysign(own + earlier)
                }
                None => number,
            };
            self.quantiles.extend(step.iter().enumerate().map(wider));
        }
    }

    /// The quantile number `level` of `levels`, at every step, `[H]`, in the units of the past.
    pub(super) fn quantile(&self, level: usize, levels: usize) -> impl Iterator<Item = f64> {
        self.quantiles.iter().skip(level).step_by(levels).map(|number| {
            let value = f64::from(number.clamp(self.least, self.most)) * self.deviation + self.mean;
            if self.logarithms { value.exp() } else { value }
        })
    }
}

/// The index of the median among the levels of quantiles.
pub(super) fn median_index(levels: &[f64]) -> usize {
    levels.iter().position(|&level| level == 0.5).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [f64; 3] = [0.1, 0.5, 0.9];

    #[test]
    fn forms_come_back() {
        let values = vec![1.0, 2.0, 4.0, 8.0];
        for logarithms in [false, true] {
            let form = values.iter().map(|&x: &f64| if logarithms { x.ln() } else { x });
            let mut view = View::new(form.collect(), logarithms);
            view.quantiles = view.path.clone();
            for (got, wanted) in view.quantile(0, 1).zip(&values) {
                assert!((got / wanted - 1.0).abs() < 1e-6, "{got} {wanted}");
            }
        }
        let mut flat = View::new(vec![3.0; 5], false);
        flat.quantiles = vec![-0.5, 0.0, 0.5];
        assert_eq!(flat.quantile(2, 3).collect::<Vec<_>>(), [3.0]);
    }

    #[test]
    fn errors_add_up_when_a_forecast_goes_on() {
        let mut view = View::new(vec![0.0, 1.0], false);
        view.follow(&[-1.0, 0.0, 1.0, -3.0, 0.0, 4.0], &LEVELS);
        view.follow(&[6.0, 10.0, 13.0], &LEVELS);
        assert_eq!(view.path[2..], [0.0, 0.0, 10.0]);
        assert_eq!(view.quantiles[..6], [-1.0, 0.0, 1.0, -3.0, 0.0, 4.0]);
        assert_eq!(view.quantiles[6..], [5.0, 10.0, 15.0]);
    }
}
