//! Scaling a window by its level: differences of logarithms, so that a series of any size, and one that grows or
//! swings by shares of itself, looks alike. An extension of ours.
//!
//! Levels are distances from the data's own zero, `v = x - origin`. The location of a window is the geometric
//! mean of its last `season` observed levels, `lift` above the origin: `loc = origin + lift`,
//! `scale = lift`. A point becomes `ln(v / lift)`, which is `ln(1 + z)` of `z = (x - loc) / scale`; levels
//! below [`FLOOR`] times the window's mean level (zeros above all) count as that. A forecast s is taken back by
//! `loc + scale (exp(s) - 1)`. Unlike other scalers it does not divide by the deviation.

use crate::batch::Batch;
use crate::real::Real;

/// The least level that counts, as a share of the mean absolute level of the window.
const FLOOR: f64 = 0.02;

/// Forecasts beyond this many times the location, or this part of it, are cut: nothing becomes infinite.
const MOST: f64 = 1000.0;

/// The least `z`.
const LEAST: f64 = 1e-6 - 1.0;

/// The least floor: a window of nothing but zeros has a level, too.
const TINY: f64 = 1e-30;

/// What a window of one channel is scaled by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fitted<T> {
    /// In the units of the window.
    pub(crate) loc: T,
    /// As `loc`, above 0.
    pub(crate) scale: T,
    /// The least `z` that counts, above -1.
    pub(crate) least: T,
}

/// One point of a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// In the units of the window.
    pub(crate) value: f64,
    /// 1 if it was observed, otherwise 0.
    pub(crate) seen: f64,
}

/// The statistics before they are rounded.
struct Statistics {
    floor: f64,
    lift: f64,
    /// Observed points.
    count: f64,
    /// Points that the location is the mean of.
    tail: f64,
}

fn statistics(
    season: usize,
    origin: f64,
    points: impl DoubleEndedIterator<Item = Point> + Clone,
) -> Statistics {
    let (mut count, mut sum) = (0.0, 0.0);
    for Point { value, seen } in points.clone() {
        count += seen;
        sum += seen * (value - origin).abs();
    }
    let floor = (FLOOR * sum / f64::max(count, 1.0)).max(TINY);
    let last = points.rev().filter(|point| point.seen != 0.0).take(season);
    let (mut tail, mut logarithms) = (0.0, 0.0);
    for Point { value, .. } in last {
        tail += 1.0;
        logarithms += libm::log((value - origin).max(floor));
    }
    if tail == 0.0 {
        // A window without an observed point has the level 1: its forecast is that of the layers alone.
        return Statistics { floor: FLOOR, lift: 1.0, count, tail };
    }
    Statistics { floor, lift: libm::exp(logarithms / tail), count, tail }
}

/// Fits the scaler to a window; `origin` is where the data's own zero lies in the units of the window.
pub(crate) fn fit<T: Real>(
    season: usize,
    origin: T,
    points: impl DoubleEndedIterator<Item = Point> + Clone,
) -> Fitted<T> {
    let Statistics { floor, lift, .. } = statistics(season, origin.to_f64(), points);
    Fitted {
        loc: T::from_f64(origin.to_f64() + lift),
        scale: T::from_f64(lift),
        // In single precision a smaller one would be -1, whose logarithm is infinite.
        least: T::from_f64((floor / lift - 1.0).max(LEAST)),
    }
}

/// The scaled point.
pub(crate) fn apply<T: Real>(fitted: Fitted<T>, x: T) -> T {
    let z = (x.to_f64() - fitted.loc.to_f64()) / fitted.scale.to_f64();
    T::from_f64(libm::log1p(z.max(fitted.least.to_f64())))
}

/// What a scaled forecast is multiplied by the scale, and added to the location, as.
pub(crate) fn undo<T: Real>(s: T) -> T {
    let limit = libm::log(MOST);
    T::from_f64(libm::expm1(s.to_f64().clamp(-limit, limit)))
}

/// The derivative of [`undo`].
pub(crate) fn undo_slope<T: Real>(s: T) -> T {
    let s = s.to_f64();
    T::from_f64(if s.abs() <= libm::log(MOST) { libm::exp(s) } else { 0.0 })
}

/// The past of one channel of a window, scaled by level: what a model with that scaling sees of it.
///
/// ```
/// use ptsm_core::{Batch, BatchShape, LevelWindow};
///
/// let shape = BatchShape { size: 1, context_length: 3, num_channels: 1 };
/// let batch = Batch::new(shape, vec![8.0, 2.0, 4.0])?;
/// let past = LevelWindow::of(&batch, 0, 0, 1);
/// assert!((past.scaled[0] - f32::ln(2.0)).abs() < 1e-6 && past.scaled[2] == 0.0);
/// assert!((past.value(f32::ln(2.0)) - 8.0).abs() < 1e-5);
/// # Ok::<(), ptsm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LevelWindow {
    /// Scaled points, `[L]`, oldest first; 0 where one was not observed.
    pub scaled: Vec<f32>,
    /// Whether each point was observed, `[L]`.
    pub observed: Vec<bool>,
    fitted: Fitted<f32>,
}

impl LevelWindow {
    /// The least level that counts, as a share of the mean absolute level of the window; also the floor of a window
    /// without a seen point, whose level is 1.
    pub const FLOOR: f64 = FLOOR;
    /// Forecasts beyond this many times the level, or this part of it, are cut.
    pub const MOST: f64 = MOST;
    /// The least level that counts, as a share of the level that the window is scaled by.
    pub const LEAST_SHARE: f64 = 1.0 + LEAST;
    /// The least floor, of a window of nothing but zeros.
    pub const TINY: f64 = TINY;

    /// Scales one channel of one window by the mean level of its last `season` observed points.
    ///
    /// # Panics
    ///
    /// If the batch has no such window or channel.
    pub fn of(batch: &Batch, window: usize, channel: usize, season: usize) -> Self {
        let (length, channels) = (batch.context_length(), batch.num_channels());
        let at = |step: usize| (window * length + step) * channels + channel;
        let point = |step: usize| Point {
            value: f64::from(batch.past_values()[at(step)]),
            seen: batch.observed_mask().map_or(1.0, |mask| f64::from(mask[at(step)])),
        };
        let origin = batch.origin().map_or(0.0, |origin| origin[window * channels + channel]);
        let fitted = fit(season.max(1), origin, (0..length).map(point));
        let observed: Vec<bool> = (0..length).map(|step| point(step).seen != 0.0).collect();
        let scale = |step: usize| apply(fitted, batch.past_values()[at(step)]);
        let scaled = (0..length).map(|step| if observed[step] { scale(step) } else { 0.0 });
        Self { scaled: scaled.collect(), observed, fitted }
    }

    /// A value in the units of the batch, scaled as the window is.
    pub fn scale(&self, value: f32) -> f32 {
        apply(self.fitted, value)
    }

    /// The value, in the units of the batch, of a scaled one.
    pub fn value(&self, scaled: f32) -> f32 {
        self.fitted.loc + self.fitted.scale * undo(scaled)
    }
}

/// The gradient of a loss for the scaled points and the statistics of a window.
pub(crate) struct Gradients<'a> {
    /// For each scaled point.
    pub(crate) scaled: &'a [f64],
    pub(crate) loc: f64,
    pub(crate) scale: f64,
}

/// The gradient for the points of the window.
pub(crate) fn backward(
    season: usize,
    origin: f64,
    points: &[Point],
    d: &Gradients<'_>,
) -> Vec<f64> {
    let Statistics { floor, lift, count, tail } =
        statistics(season, origin, points.iter().copied());
    let mut d_points = vec![0.0; points.len()];
    // The location is the origin plus the lift, the scale is the lift, and ln(v / lift) holds it, too.
    let mut d_lift = d.loc + d.scale;
    let mut d_floor = 0.0;
    for ((point, d_scaled), d_point) in points.iter().zip(d.scaled).zip(&mut d_points) {
        let level = point.value - origin;
        d_lift -= d_scaled / lift;
        match level > floor {
            true => *d_point += d_scaled / level,
            false => d_floor += d_scaled / floor,
        }
    }
    let mut left = tail;
    for (point, d_point) in points.iter().zip(&mut d_points).rev() {
        if point.seen == 0.0 || left == 0.0 {
            continue;
        }
        left -= 1.0;
        let level = point.value - origin;
        match level > floor {
            true => *d_point += d_lift * lift / (tail * level),
            false => d_floor += d_lift * lift / (tail * floor),
        }
    }
    if tail > 0.0 && floor > TINY {
        let share = d_floor * FLOOR / count.max(1.0);
        for (point, d_point) in points.iter().zip(&mut d_points) {
            let sign = if point.value < origin { -1.0 } else { 1.0 };
            *d_point += share * sign * point.seen;
        }
    }
    d_points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64], seen: &[f64]) -> Vec<Point> {
        values.iter().zip(seen).map(|(&value, &seen)| Point { value, seen }).collect()
    }

    fn fitted(season: usize, origin: f64, points: &[Point]) -> Fitted<f64> {
        fit(season, origin, points.iter().copied())
    }

    #[test]
    fn a_window_is_scaled_by_the_geometric_mean_of_its_last_season() {
        let window = points(&[5.0, 2.0, 8.0, 99.0], &[1.0, 1.0, 1.0, 0.0]);
        let found = fitted(2, 0.0, &window);
        assert!((found.loc - 4.0).abs() < 1e-12 && (found.scale - 4.0).abs() < 1e-12);
        assert!((apply(found, 8.0) - f64::ln(2.0)).abs() < 1e-12);
        assert!((found.loc + found.scale * undo(f64::ln(2.0)) - 8.0).abs() < 1e-12);
        // Two percent of the mean level, 5.
        assert!((apply(found, 0.0) - f64::ln(0.1 / 4.0)).abs() < 1e-12);
    }

    #[test]
    fn shift_and_scale_of_the_units_change_nothing() {
        let (values, seen) = ([5.0, 2.0, 8.0, 3.0], [1.0; 4]);
        let moved = values.map(|x| (x - 1e6) / 7.0);
        let one = fitted(1, 0.0, &points(&values, &seen));
        let other = fitted(1, -1e6 / 7.0, &points(&moved, &seen));
        for (x, y) in values.into_iter().zip(moved) {
            assert!((apply(one, x) - apply(other, y)).abs() < 1e-8);
        }
    }

    #[test]
    fn zeros_and_windows_without_a_point_are_finite() {
        for window in [points(&[0.0; 3], &[1.0; 3]), points(&[0.0; 3], &[0.0; 3])] {
            let found = fitted(1, 0.0, &window);
            assert!(apply(found, 0.0).is_finite() && found.scale > 0.0);
        }
        assert!(undo::<f32>(1e30).is_finite() && undo::<f32>(-1e30) > -1.0);
        assert_eq!((undo_slope(-8.0), undo_slope(0.0)), (0.0, 1.0));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        // The third point lies below the floor, the last one was not observed.
        let values = [5.0, 2.0, 0.01, 4.0, 3.0, 1.0];
        let seen = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
        let weights = [0.3, -0.2, 0.5, 0.7, -0.4, 0.1];
        for season in [1, 3] {
            let loss = |values: &[f64]| {
                let found = fitted(season, -0.5, &points(values, &seen));
                let each = values.iter().zip(weights).map(|(&x, w)| w * apply(found, x));
                each.sum::<f64>() + 0.2 * found.loc - 0.6 * found.scale
            };
            let d = Gradients { scaled: &weights, loc: 0.2, scale: -0.6 };
            let found = backward(season, -0.5, &points(&values, &seen), &d);
            for (i, found) in found.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut values = values;
                    values[i] += by;
                    loss(&values)
                };
                let wanted = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((found - wanted).abs() < 1e-6, "{season} {i}: {found} {wanted}");
            }
        }
    }
}
