//! The recursions of exponential smoothing and their likelihood (Hyndman et al. 2002).

use crate::seasonal::Kind;

/// Mean squared errors below this, in squares of the deviation of the series, count as none.
const NO_ERROR: f64 = 1e-20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trend {
    None,
    Additive,
    Damped,
}

/// The components of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// Whether errors are relative to the forecast.
    pub(super) relative_errors: bool,
    pub(super) trend: Trend,
    pub(super) season: Option<Kind>,
}

/// The smoothing parameters; those of absent components are 0, and `phi` without damping is 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Smoothing {
    /// Of the level.
    pub(super) alpha: f64,
    /// Of the trend; less than `alpha`.
    pub(super) beta: f64,
    /// Of the seasonal component; less than `1 - alpha`.
    pub(super) gamma: f64,
    /// The damping of the trend.
    pub(super) phi: f64,
}

/// The states after some values.
#[derive(Debug, Clone)]
pub(super) struct States {
    pub(super) level: f64,
    /// The trend of one step; 0 if there is none.
    pub(super) slope: f64,
    /// Seasonal indices, one each step of a season; empty without a season.
    pub(super) indices: Vec<f64>,
    /// The place of the next step among the indices.
    pub(super) place: usize,
}

impl States {
    /// The next value, and the same without its seasonal component.
    pub(super) fn predict(&self, season: Option<Kind>, phi: f64) -> (f64, f64) {
        let base = self.level + phi * self.slope;
        let value = match season {
            None => base,
            Some(Kind::Additive) => base + self.indices[self.place],
            Some(Kind::Multiplicative) => base * self.indices[self.place],
        };
        (value, base)
    }

    /// Takes in the next value; `base` is its forecast without the seasonal component.
    pub(super) fn update(
        &mut self,
        value: f64,
        base: f64,
        season: Option<Kind>,
        smoothing: &Smoothing,
    ) {
        let index = if season.is_some() { self.indices[self.place] } else { 0.0 };
        let (adjusted, new_index) = match season {
            None => (value, 0.0),
            Some(Kind::Additive) => (value - index, value - base),
            Some(Kind::Multiplicative) => (value / index, value / base),
        };
        let error = adjusted - base;
        self.level = base + smoothing.alpha * error;
        self.slope = smoothing.phi * self.slope + smoothing.beta * error;
        if season.is_some() {
            self.indices[self.place] = index + smoothing.gamma * (new_index - index);
            self.place = (self.place + 1) % self.indices.len();
        }
    }

    /// The values to come, each forecast from those before.
    pub(super) fn extend(mut self, form: Form, smoothing: &Smoothing, horizon: usize) -> Vec<f64> {
        let step = |_| {
            let (value, base) = self.predict(form.season, smoothing.phi);
            self.update(value, base, form.season, smoothing);
            value
        };
        (0..horizon).map(step).collect()
    }
}

/// Minus twice the logarithm of the likelihood, but for a constant.
///
/// Takes `states` through all values. Infinite if a forecast of relative errors is not above 0.
pub(super) fn deviance(
    values: &[f64],
    form: Form,
    smoothing: &Smoothing,
    states: &mut States,
) -> f64 {
    let mut squares = 0.0;
    let mut logs = Logs { sum: 0.0, product: 1.0 };
    for &value in values {
        let (forecast, base) = states.predict(form.season, smoothing.phi);
        let mut error = value - forecast;
        if form.relative_errors {
            if !(forecast > 0.0 && forecast < f64::INFINITY) {
                return f64::INFINITY;
            }
            error /= forecast;
            logs.add(forecast);
        }
        squares += error * error;
        states.update(value, base, form.season, smoothing);
    }
    let count = values.len() as f64;
    count * libm::log((squares / count).max(NO_ERROR)) + 2.0 * logs.total()
}

/// A sum of logarithms, which takes few of them.
struct Logs {
    sum: f64,
    product: f64,
}

impl Logs {
    fn add(&mut self, value: f64) {
        self.product *= value;
        if !(1e-100..1e100).contains(&self.product) || !(1e-100..1e100).contains(&value) {
            self.sum = self.total();
            self.product = 1.0;
        }
    }

    fn total(&self) -> f64 {
        self.sum + libm::log(self.product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 9] = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0, 5.0];
    const SMOOTHING: Smoothing = Smoothing { alpha: 0.3, beta: 0.1, gamma: 0.2, phi: 0.9 };

    /// Holt and Winters in the form of weighted means; deviance and three values to come.
    fn by_hand(form: Form, smoothing: Smoothing, start: &States) -> (f64, Vec<f64>) {
        let (mut l, mut b, mut s) = (start.level, start.slope, start.indices.clone());
        let Smoothing { alpha, beta, gamma, phi } = smoothing;
        let (mut squares, mut logs) = (0.0, 0.0f64);
        for y in VALUES {
            let old = if s.is_empty() { 0.0 } else { s.remove(0) };
            let base = l + phi * b;
            let (forecast, level, index) = match form.season {
                None => (base, y, 0.0),
                Some(Kind::Additive) => (base + old, y - old, y - base),
                Some(Kind::Multiplicative) => (base * old, y / old, y / base),
            };
            let error = if form.relative_errors { (y - forecast) / forecast } else { y - forecast };
            squares += error * error;
            logs += if form.relative_errors { libm::log(forecast) } else { 0.0 };
            let new = alpha * level + (1.0 - alpha) * base;
            b = beta / alpha * (new - l) + (1.0 - beta / alpha) * phi * b;
            l = new;
            if form.season.is_some() {
                s.push(gamma * index + (1.0 - gamma) * old);
            }
        }
        let count = VALUES.len() as f64;
        let ahead = |h: usize| {
            let base = l + (0..=h).map(|i| phi.powi(i as i32 + 1) * b).sum::<f64>();
            match form.season {
                None => base,
                Some(Kind::Additive) => base + s[h % s.len()],
                Some(Kind::Multiplicative) => base * s[h % s.len()],
            }
        };
        (count * (squares / count).ln() + 2.0 * logs, (0..3).map(ahead).collect())
    }

    #[test]
    fn the_recursions_are_those_of_holt_and_winters() {
        let none = Smoothing { beta: 0.0, phi: 1.0, ..SMOOTHING };
        let additive = Smoothing { phi: 1.0, ..SMOOTHING };
        let trends = [(Trend::None, none), (Trend::Additive, additive), (Trend::Damped, SMOOTHING)];
        for (trend, smoothing) in trends {
            for season in [None, Some(Kind::Additive), Some(Kind::Multiplicative)] {
                for relative_errors in [false, true] {
                    let form = Form { relative_errors, trend, season };
                    let indices = if season.is_none() { vec![] } else { vec![1.2, 0.8] };
                    let slope = if trend == Trend::None { 0.0 } else { 0.4 };
                    let start = States { level: 2.0, slope, indices, place: 0 };
                    let (expected, ahead) = by_hand(form, smoothing, &start);
                    let mut states = start;
                    let got = deviance(&VALUES, form, &smoothing, &mut states);
                    assert!((got - expected).abs() < 1e-10, "{form:?}: {got} for {expected}");
                    for (got, expected) in states.extend(form, &smoothing, 3).iter().zip(&ahead) {
                        assert!((got - expected).abs() < 1e-10, "{form:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn logarithms_add_up_over_any_size() {
        let mut logs = Logs { sum: 0.0, product: 1.0 };
        let values: Vec<f64> = (0..200).map(|i| 10f64.powi(i * 37 % 601 - 300)).collect();
        values.iter().for_each(|&value| logs.add(value));
        let expected: f64 = values.iter().map(|value| value.ln()).sum();
        assert!((logs.total() - expected).abs() < 1e-8 * 3e4, "{} {expected}", logs.total());
    }
}
