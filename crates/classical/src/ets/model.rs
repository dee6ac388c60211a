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
    count * (squares / count).max(NO_ERROR).ln() + 2.0 * logs.total()
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
        self.sum + self.product.ln()
    }
}
