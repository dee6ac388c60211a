//! Automatic exponential smoothing: all models are fitted, the one of least AICc forecasts.

mod fit;
mod model;

use crate::scaled::Scaled;
use crate::seasonal::{Kind, Seasonal, is_seasonal};
use fit::{Fitted, fit};
use model::{Form, Trend};

/// The longest season whose indices are states of the model.
const LONGEST_SEASON: usize = 24;

/// Values that seasonal models need besides two whole seasons.
const SPARE: usize = 4;

/// The forecast of a scaled series, seasonal component included.
pub(crate) fn forecast(series: &Scaled, horizon: usize) -> Vec<f64> {
    let season = series.season;
    if season <= LONGEST_SEASON && series.values.len() >= 2 * season + SPARE {
        return with_states(series, season, horizon);
    }
    let adjusted = is_seasonal(&series.values, season).then(|| adjusted(series, horizon)).flatten();
    adjusted.unwrap_or_else(|| with_states(series, 1, horizon))
}

/// Models whose states hold the seasonal component, if there is one.
fn with_states(series: &Scaled, season: usize, horizon: usize) -> Vec<f64> {
    match (series.above_zero(), series.zero) {
        (Some(values), Some(zero)) => {
            let forecast = best(&values, season, true, horizon);
            forecast.iter().map(|value| value + zero).collect()
        }
        _ => best(&series.values, season, false, horizon),
    }
}

/// Models without a season of the seasonally adjusted values, and the component put back.
fn adjusted(series: &Scaled, horizon: usize) -> Option<Vec<f64>> {
    let of = |values: &[f64], kind: Kind| {
        let component = Seasonal::find(values, series.season, kind)?;
        let positive = kind == Kind::Multiplicative;
        let forecast = best(&component.remove(values), 1, positive, horizon);
        Some(component.put_back(&forecast, values.len()))
    };
    if let (Some(values), Some(zero)) = (series.above_zero(), series.zero) {
        let forecast = of(&values, Kind::Multiplicative);
        if let Some(forecast) = forecast.filter(|all| all.iter().all(|&value| value > 0.0)) {
            return Some(forecast.iter().map(|value| value + zero).collect());
        }
    }
    of(&series.values, Kind::Additive)
}

/// The forecast of the model of least AICc; with multiplicative ones, if the values are `positive`.
fn best(values: &[f64], season: usize, positive: bool, horizon: usize) -> Vec<f64> {
    let mut best: Option<Fitted> = None;
    for form in forms(season > 1, positive) {
        let fitted = fit(values, season, form);
        if let Some(fitted) = fitted
            && best.as_ref().is_none_or(|best| fitted.aicc < best.aicc)
        {
            best = Some(fitted);
        }
    }
    match best {
        Some(best) => best.forecast(horizon),
        None => vec![values[values.len() - 1]; horizon],
    }
}

/// All models but those of unstable variance: additive errors with a multiplicative season.
fn forms(seasonal: bool, positive: bool) -> Vec<Form> {
    let mut forms = Vec::new();
    for season in [None, Some(Kind::Additive), Some(Kind::Multiplicative)] {
        for relative_errors in [false, true] {
            let stable = relative_errors || season != Some(Kind::Multiplicative);
            if stable && (seasonal || season.is_none()) && (positive || !relative_errors) {
                let trends = [Trend::None, Trend::Additive, Trend::Damped];
                forms.extend(trends.map(|trend| Form { relative_errors, trend, season }));
            }
        }
    }
    forms
}
