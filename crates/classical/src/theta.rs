//! The dynamic optimised Theta model, DOTM (Fiorucci et al. 2016).

use crate::nelder_mead::{Found, Search, minimise};
use crate::scaled::{Scaled, Units};
use crate::seasonal::{Kind, Seasonal, is_seasonal};

/// First errors that do not count, as the states are still forming.
const SKIPPED: usize = 3;

/// The forecast of a scaled series, seasonal component included.
pub(crate) fn forecast(series: &Scaled, horizon: usize) -> Vec<f64> {
    if !is_seasonal(&series.values, series.season) {
        return without_season(&series.values, horizon);
    }
    if let (Some(values), Some(zero)) = (series.above_zero(), series.zero) {
        let forecast = with_season(&values, series.season, Kind::Multiplicative, horizon);
        if let Some(forecast) = forecast.filter(|all| all.iter().all(|&value| value > 0.0)) {
            return forecast.iter().map(|value| value + zero).collect();
        }
    }
    with_season(&series.values, series.season, Kind::Additive, horizon)
        .unwrap_or_else(|| without_season(&series.values, horizon))
}

fn with_season(values: &[f64], season: usize, kind: Kind, horizon: usize) -> Option<Vec<f64>> {
    let component = Seasonal::find(values, season, kind)?;
    let forecast = without_season(&component.remove(values), horizon);
    Some(component.put_back(&forecast, values.len()))
}

/// The forecast of a series without a seasonal component, of any units.
fn without_season(values: &[f64], horizon: usize) -> Vec<f64> {
    let Some((scaled, units)) = Units::of(values) else {
        return vec![values[0]; horizon];
    };
    let parameters = fit(&scaled);
    let mut states = States::new(parameters);
    for &value in &scaled {
        states.update(value);
    }
    let step = |_| {
        let next = states.predict();
        states.update(next);
        units.restore(next)
    };
    (0..horizon).map(step).collect()
}

/// What is fitted.
#[derive(Debug, Clone, Copy)]
struct Parameters {
    /// Where the line of theta 0 starts, whose part `1 / theta` is the initial level.
    origin: f64,
    /// The smoothing parameter of the level, from 0.1 to 0.99.
    alpha: f64,
    /// `1 - 1 / theta`, the weight of the line, from 0 (simple exponential smoothing).
    weight: f64,
}

impl Parameters {
    fn of(point: &[f64]) -> Self {
        Self { origin: point[0], alpha: point[1], weight: point[2] }
    }
}

/// The states after some values.
struct States {
    parameters: Parameters,
    count: f64,
    level: f64,
    mean: f64,
    /// Intercept and slope of the line through the values so far.
    intercept: f64,
    slope: f64,
    /// `(1 - alpha)` to the power of the number of values.
    decay: f64,
}

impl States {
    fn new(parameters: Parameters) -> Self {
        let level = parameters.origin * (1.0 - parameters.weight);
        Self { parameters, count: 0.0, level, mean: 0.0, intercept: 0.0, slope: 0.0, decay: 1.0 }
    }

    fn predict(&self) -> f64 {
        let Parameters { alpha, weight, .. } = self.parameters;
        let ahead = (1.0 - self.decay * (1.0 - alpha)) / alpha;
        self.level + weight * (self.decay * self.intercept + ahead * self.slope)
    }

    fn update(&mut self, value: f64) {
        let alpha = self.parameters.alpha;
        self.count += 1.0;
        self.level += alpha * (value - self.level);
        if self.count > 1.0 {
            let change = 6.0 * (value - self.mean) / self.count;
            self.slope = ((self.count - 2.0) * self.slope + change) / (self.count + 1.0);
        }
        self.mean += (value - self.mean) / self.count;
        self.intercept = self.mean - 0.5 * (self.count + 1.0) * self.slope;
        self.decay *= 1.0 - alpha;
    }
}

/// The sum of the squared errors one step ahead.
fn squares(values: &[f64], parameters: Parameters) -> f64 {
    let mut states = States::new(parameters);
    let skipped = SKIPPED.min(values.len() - 1);
    let mut sum = 0.0;
    for (i, &value) in values.iter().enumerate() {
        if i >= skipped {
            let error = value - states.predict();
            sum += error * error;
        }
        states.update(value);
    }
    sum
}

fn fit(values: &[f64]) -> Parameters {
    let search = |alpha: f64| {
        let search = Search {
            start: &[values[0], alpha, 0.5],
            step: &[0.3, 0.2, 0.2],
            lower: &[-1e3, 0.1, 0.0],
            upper: &[1e3, 0.99, 0.999],
            evaluations: 300,
            tolerance: 1e-7,
        };
        minimise(&search, |point| squares(values, Parameters::of(point)) + 1e-12)
    };
    let better = |a: Found, b: Found| if b.value < a.value { b } else { a };
    Parameters::of(&better(search(0.5), search(0.2)).point)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recursions as the paper has them, `t` from 1.
    fn by_hand(y: &[f64], level: f64, alpha: f64, theta: f64) -> Vec<f64> {
        let (mut l, mut a, mut b, mut mean) = (level, 0.0, 0.0, 0.0);
        let mut forecasts = Vec::new();
        for (i, value) in y.iter().enumerate() {
            let t = i as f64 + 1.0;
            let ahead = (1.0 - (1.0 - alpha).powf(t)) / alpha * b;
            let line = (1.0 - alpha).powf(t - 1.0) * a + ahead;
            forecasts.push(l + (1.0 - 1.0 / theta) * line);
            l = alpha * value + (1.0 - alpha) * l;
            let old_mean = mean;
            mean = ((t - 1.0) * mean + value) / t;
            if i > 0 {
                b = ((t - 2.0) * b + 6.0 / t * (value - old_mean)) / (t + 1.0);
            }
            a = mean - (t + 1.0) / 2.0 * b;
        }
        forecasts
    }

    #[test]
    fn the_recursions_are_those_of_the_paper() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0];
        let expected = by_hand(&values, 0.8, 0.3, 2.5);
        let parameters = Parameters { origin: 2.0, alpha: 0.3, weight: 0.6 };
        let mut states = States::new(parameters);
        let mut sum = 0.0;
        for (i, (value, expected)) in values.iter().zip(&expected).enumerate() {
            assert!((states.predict() - expected).abs() < 1e-12, "step {i}");
            states.update(*value);
            sum += if i < 3 { 0.0 } else { (value - expected).powi(2) };
        }
        assert!((squares(&values, parameters) - sum).abs() < 1e-10);
        // Intercept and slope are those of least squares.
        let centred = values.iter().enumerate().map(|(i, value)| (i as f64 - 4.0) * value);
        assert!((states.slope - centred.sum::<f64>() / 60.0).abs() < 1e-12);
        assert!((states.intercept + 5.0 * states.slope - 4.0).abs() < 1e-12);
    }

    #[test]
    fn noise_about_a_level_is_smoothed_hard() {
        let values: Vec<f64> = (0..60).map(|i| f64::from((i * i * 7 + i) % 11) - 5.0).collect();
        let got = fit(&values);
        assert!(got.alpha < 0.2, "{got:?}");
    }
}
