//! Losses of forecasts, in which only known points of the truth count.

use super::common::{Loss, LossWeight, PercentLoss, PointLoss, missing, share, wrong_length};
use crate::batch::Batch;
use crate::config::{Config, Hierarchy};
use crate::distribution::{Distribution, LocScale, likelihood as likelihood_of};
use crate::head::OutputGradient;
use crate::model::Forward;
use crate::output_kind::OutputKind;
use crate::real::Real;
use crate::{Error, Result};

/// The truth of the forecast channels with their mask.
struct Truth<'a, T> {
    batch: &'a Batch<T>,
    values: &'a [T],
    channels: Vec<usize>,
    steps: usize,
}

/// One point of the truth.
struct Point<T> {
    /// Index in `[B, H, C']`.
    place: usize,
    /// Index in `[B, C]`.
    channel: usize,
    value: T,
    known: bool,
}

impl<'a, T: Real> Truth<'a, T> {
    fn new(config: &Config, batch: &'a Batch<T>) -> Result<Self> {
        let Some(values) = batch.future_values() else { return Err(missing("future_values")) };
        let steps = config.prediction_length;
        let wanted = batch.size() * steps * batch.num_channels();
        let mask = batch.future_observed_mask();
        for (name, found) in [("future_values", Some(values)), ("future_observed_mask", mask)] {
            if let Some(found) = found
                && found.len() != wanted
            {
                return Err(wrong_length(name, found.len(), wanted));
            }
        }
        Ok(Self { batch, values, channels: config.prediction_channels(), steps })
    }

    fn point(&self, b: usize, t: usize, k: usize) -> Point<T> {
        let row = b * self.steps + t;
        let from = row * self.batch.num_channels() + self.channels[k];
        let mask = self.batch.future_observed_mask();
        Point {
            place: row * self.channels.len() + k,
            channel: b * self.batch.num_channels() + self.channels[k],
            value: self.values[from],
            known: mask.is_none_or(|mask| mask[from] != T::ZERO),
        }
    }

    /// Every point of `[B, H, C']`, in order.
    fn points(&self) -> impl Iterator<Item = Point<T>> + '_ {
        let each = self.steps * self.channels.len();
        (0..self.batch.size() * each).map(move |i| {
            let (b, rest) = (i / each, i % each);
            self.point(b, rest / self.channels.len(), rest % self.channels.len())
        })
    }

    /// The sum of a segment of channel `k`; `None` where a point is unknown.
    fn sum(&self, b: usize, segment: usize, k: usize, length: usize) -> Option<T> {
        let mut sum = T::ZERO;
        for t in segment * length..(segment + 1) * length {
            let point = self.point(b, t, k);
            if !point.known {
                return None;
            }
            sum += point.value;
        }
        Some(sum)
    }
}

pub(super) fn weight<T: Real>(
    config: &Config,
    kind: &OutputKind,
    batch: &Batch<T>,
) -> Result<LossWeight> {
    let truth = Truth::new(config, batch)?;
    let known = truth.points().filter(|point| point.known).count() as f64;
    let mut weight = LossWeight { main: known, ..LossWeight::default() };
    if let OutputKind::Distribution(_) = kind {
        // The reference sums over channels and averages over the rest.
        weight.main = known / truth.channels.len() as f64;
    } else if let OutputKind::Quantiles(levels) = kind {
        weight.main = known * levels.len() as f64;
    } else if let Some(Hierarchy { segment_length }) = config.extension().hierarchy {
        let segments = truth.steps / segment_length;
        let each = |b: usize| {
            let truth = &truth;
            (0..segments).flat_map(move |s| {
                (0..truth.channels.len()).map(move |k| truth.sum(b, s, k, segment_length))
            })
        };
        let sums = (0..batch.size()).flat_map(each);
        weight.known_segments = sums.flatten().count() as f64;
        weight.segments = (batch.size() * segments * truth.channels.len()) as f64;
    }
    Ok(weight)
}

impl PointLoss {
    /// The cost of an error and its derivative.
    fn of<T: Real>(self, error: T) -> (T, T) {
        let two = T::from_f64(2.0);
        let size = error.abs();
        let sign = T::from_f64(if error < T::ZERO { -1.0 } else { 1.0 });
        let (cost, slope) = match self.huber_delta.map(T::from_f64) {
            Some(delta) if size > delta => (delta * (two * size - delta), two * delta * sign),
            _ => (error * error, two * error),
        };
        if self.mae_share == 0.0 {
            return (cost, slope);
        }
        let (share, rest) = (T::from_f64(self.mae_share), T::from_f64(1.0 - self.mae_share));
        (rest * cost + share * size, rest * slope + share * sign)
    }
}

impl PercentLoss {
    /// The cost of a forecast and its derivative.
    fn of<T: Real>(self, forecast: T, truth: T) -> (T, T) {
        let sign = |x: T| T::from_f64(if x < T::ZERO { -1.0 } else { 1.0 });
        let (error, two) = (forecast - truth, T::from_f64(2.0));
        let (times, size) = match self {
            Self::Smape => (two, forecast.abs() + truth.abs()),
            Self::Mape => (T::ONE, truth.abs()),
        };
        if size == T::ZERO {
            return (T::ZERO, T::ZERO);
        }
        let cost = times * error.abs() / size;
        let slope = times * sign(error) / size;
        match self {
            Self::Smape => (cost, slope - cost * sign(forecast) / size),
            Self::Mape => (cost, slope),
        }
    }
}

/// Cost of the errors at known points, divided by `count`; `prediction` is `[B, H, C']`.
pub(super) fn point<T: Real>(
    config: &Config,
    batch: &Batch<T>,
    prediction: &[T],
    count: f64,
    cost: PointLoss,
) -> Result<Loss<T>> {
    let truth = Truth::new(config, batch)?;
    let share: T = share(count);
    let mut value = T::ZERO;
    let mut d = vec![T::ZERO; prediction.len()];
    for point in truth.points().filter(|point| point.known) {
        let forecast = prediction[point.place];
        let (cost, slope) = match cost.percent {
            None => cost.of(forecast - point.value),
            Some(percent) => {
                let origin = batch.origin().map_or(T::ZERO, |origin| origin[point.channel]);
                percent.of(forecast - origin, point.value - origin)
            }
        };
        value += cost;
        d[point.place] = slope * share;
    }
    let gradient = OutputGradient { prediction: d, ..OutputGradient::default() };
    Ok(Loss { value: value * share, gradient })
}

/// Pinball loss over known points and levels; the prediction is `[B, H, C', Q]`.
pub(super) fn pinball<T: Real>(
    config: &Config,
    levels: &[f64],
    batch: &Batch<T>,
    forward: &Forward<T>,
    weight: LossWeight,
) -> Result<Loss<T>> {
    let truth = Truth::new(config, batch)?;
    let prediction = &forward.outputs.prediction;
    let share: T = share(weight.main);
    let mut value = T::ZERO;
    let mut d = vec![T::ZERO; prediction.len()];
    for point in truth.points().filter(|point| point.known) {
        for (q, &level) in levels.iter().enumerate() {
            let place = point.place * levels.len() + q;
            let error = point.value - prediction[place];
            let slope = T::from_f64(if error < T::ZERO { level - 1.0 } else { level });
            value += error * slope;
            d[place] = -(slope * share);
        }
    }
    let gradient = OutputGradient { prediction: d, ..OutputGradient::default() };
    Ok(Loss { value: value * share, gradient })
}

/// `L(Yrec, Y*) + (L(H, H*) + L(BU(Yrec), H)) / sl^2`, L being the mean squared error.
pub(super) fn hierarchical<T: Real>(
    config: &Config,
    &Hierarchy { segment_length: length }: &Hierarchy,
    batch: &Batch<T>,
    forward: &Forward<T>,
    weight: LossWeight,
) -> Result<Loss<T>> {
    let truth = Truth::new(config, batch)?;
    let Forward { outputs, .. } = forward;
    let mut total = point(config, batch, &outputs.prediction, weight.main, PointLoss::default())?;
    let (segments, channels) = (truth.steps / length, truth.channels.len());
    let damp = 1.0 / (length * length) as f64;
    let (truth_share, bottom_up_share): (T, T) = (
        share::<T>(weight.known_segments) * T::from_f64(damp),
        share::<T>(weight.segments) * T::from_f64(damp),
    );
    let two = T::from_f64(2.0);
    let mut d_sums = vec![T::ZERO; outputs.aggregates.len()];
    for (i, d_sum) in d_sums.iter_mut().enumerate() {
        let (b, s, k) = (i / (segments * channels), i / channels % segments, i % channels);
        let sum = outputs.aggregates[i];
        if let Some(wanted) = truth.sum(b, s, k, length) {
            let error = sum - wanted;
            total.value += error * error * truth_share;
            *d_sum += two * error * truth_share;
        }
        let places = (s * length..(s + 1) * length)
            .map(|t| (b * truth.steps + t) * channels + k)
            .collect::<Vec<_>>();
        let bottom_up: T = places.iter().map(|&place| outputs.prediction[place]).sum();
        let error = bottom_up - sum;
        total.value += error * error * bottom_up_share;
        let d = two * error * bottom_up_share;
        *d_sum -= d;
        places.iter().for_each(|&place| total.gradient.prediction[place] += d);
    }
    total.gradient.aggregates = d_sums;
    Ok(total)
}

/// Negative log-likelihood; the prediction is `[B, K, H, C']`, in the scaled space.
pub(super) fn likelihood<T: Real>(
    config: &Config,
    distribution: Distribution,
    batch: &Batch<T>,
    forward: &Forward<T>,
    weight: LossWeight,
) -> Result<Loss<T>> {
    let truth = Truth::new(config, batch)?;
    let count = distribution.num_parameters();
    let each = truth.steps * truth.channels.len();
    let prediction = &forward.outputs.prediction;
    let (loc, scale) = (forward.backbone.loc(), forward.backbone.scale());
    let share: T = share(weight.main);
    let mut value = T::ZERO;
    let mut gradient = OutputGradient {
        prediction: vec![T::ZERO; prediction.len()],
        loc: vec![T::ZERO; loc.len()],
        scale: vec![T::ZERO; scale.len()],
        ..OutputGradient::default()
    };
    for point in truth.points().filter(|point| point.known) {
        if let Some(text) = distribution.refuses(point.value.to_f64()) {
            let place = format!("future_values, element {} of the forecast", point.place);
            return Err(Error::input(text).at(place));
        }
        let (b, rest) = (point.place / each, point.place % each);
        let place = |k: usize| (b * count + k) * each + rest;
        let parameters: Vec<f64> = (0..count).map(|k| prediction[place(k)].to_f64()).collect();
        let (loc, scale) = (loc[point.channel].to_f64(), scale[point.channel].to_f64());
        let window = LocScale { loc, scale };
        let found = likelihood_of(distribution, &parameters, window, point.value.to_f64());
        value += T::from_f64(found.nll);
        for k in 0..count {
            gradient.prediction[place(k)] = T::from_f64(found.d_parameters[k]) * share;
        }
        gradient.loc[point.channel] += T::from_f64(found.d_loc) * share;
        gradient.scale[point.channel] += T::from_f64(found.d_scale) * share;
    }
    Ok(Loss { value: value * share, gradient })
}
