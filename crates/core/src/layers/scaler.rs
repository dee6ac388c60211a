//! Scaling each window by its own statistics, per channel.
//!
//! Source: `PatchTSMixerStdScaler`, `PatchTSMixerMeanScaler`, `PatchTSMixerNOPScaler`,
//! transformers 5.23.0. Scaling by level is ours, see [`super::level`].

use super::level;
use crate::batch::Batch;
use crate::config::{Location, Scaler};
use crate::real::Real;

/// Shape of the windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) length: usize,
    pub(crate) channels: usize,
}

/// Scaled windows with the statistics that undo the scaling.
#[derive(Debug, Clone)]
pub(crate) struct Scaled<T> {
    /// `(x - loc) / scale`, `[B, L, C]`, of a scaling by level `ln(1 + that)`; unobserved points too.
    pub(crate) values: Vec<T>,
    /// `[B, C]`, data units.
    pub(crate) loc: Vec<T>,
    /// `[B, C]`, data units, above 0.
    pub(crate) scale: Vec<T>,
    /// 1 where a point was observed, `[B, L, C]`; `None` = everywhere.
    pub(crate) observed: Option<Vec<T>>,
}

/// Observed points and the sum of their magnitudes, per sample and channel.
struct Magnitude<T> {
    count: T,
    sum: T,
}

impl Shape {
    /// The index of the value of every step of one channel of one sample.
    fn column(
        self,
        b: usize,
        c: usize,
    ) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator + Clone {
        let Shape { length, channels, .. } = self;
        (0..length).map(move |t| (b * length + t) * channels + c)
    }
}

fn observed<T: Real>(mask: Option<&[T]>, i: usize) -> T {
    mask.map_or(T::ONE, |mask| mask[i])
}

fn magnitude<T: Real>(
    shape: Shape,
    x: &[T],
    mask: Option<&[T]>,
    b: usize,
    c: usize,
) -> Magnitude<T> {
    let size = |i: usize| (x[i] * observed(mask, i)).abs().to_f64();
    Magnitude {
        count: shape.column(b, c).map(|i| observed(mask, i)).sum(),
        sum: T::from_f64(shape.column(b, c).map(size).sum()),
    }
}

/// The input of [`forward`].
#[derive(Clone, Copy)]
pub(crate) struct Window<'a, T> {
    /// `[B, L, C]`.
    pub(crate) values: &'a [T],
    /// `[B, L, C]`, 1 = observed; `None` = everywhere.
    pub(crate) mask: Option<&'a [T]>,
    /// Where the data's zero lies, `[B, C]`; `None` = at 0.
    pub(crate) origin: Option<&'a [T]>,
}

impl<'a, T> Window<'a, T> {
    /// The past of a batch with this mask.
    pub(crate) fn of(batch: &'a Batch<T>, mask: Option<&'a [T]>) -> Self {
        Self { values: batch.past_values(), mask, origin: batch.origin() }
    }
}

impl Scaler {
    /// What a scaled forecast is multiplied by the scale, and added to the location, as.
    pub(crate) fn undo<T: Real>(self, scaled: T) -> T {
        match self {
            Scaler::Level { .. } => level::undo(scaled),
            _ => scaled,
        }
    }

    /// The derivative of [`Scaler::undo`].
    pub(crate) fn undo_slope<T: Real>(self, scaled: T) -> T {
        match self {
            Scaler::Level { .. } => level::undo_slope(scaled),
            _ => T::ONE,
        }
    }
}

/// Fits and applies the scaler.
///
/// `borrow_scale` lets a mean-scaled channel without observations take its scale from the other
/// samples of the batch, as the reference does; without it such a channel is scaled as if it were
/// alone.
pub(crate) fn forward<T: Real>(
    scaler: Scaler,
    shape: Shape,
    window: Window<'_, T>,
    borrow_scale: bool,
) -> Scaled<T> {
    let Window { values: x, mask, .. } = window;
    let mut least = vec![T::ZERO; shape.batch * shape.channels];
    let places = shape.batch * shape.channels;
    let mut loc = vec![T::ZERO; places];
    let mut scale = vec![T::ONE; places];
    for b in 0..shape.batch {
        for c in 0..shape.channels {
            let place = b * shape.channels + c;
            match scaler {
                Scaler::None => {}
                Scaler::Level { season } => {
                    let origin = window.origin_of(place);
                    let points = shape.column(b, c).map(|i| window.point(i));
                    let found = level::fit(season, origin, points);
                    (loc[place], scale[place], least[place]) =
                        (found.loc, found.scale, found.least);
                }
                Scaler::Std { minimum_scale, location } => {
                    let (mean, variance) = moments(shape, x, mask, b, c);
                    loc[place] = match (location, last(shape, mask, b, c)) {
                        (Location::Last, Some(i)) => x[i],
                        _ => mean,
                    };
                    scale[place] = T::from_f64((variance + minimum_scale).sqrt());
                }
                Scaler::Mean { minimum_scale, default_scale } => {
                    let own = magnitude(shape, x, mask, b, c);
                    let fitted = if own.count > T::ZERO {
                        own.sum / own.count
                    } else if let Some(default) = default_scale {
                        T::from_f64(default)
                    } else if borrow_scale {
                        let all = whole_batch(shape, x, mask, c);
                        all.sum / at_least_one(all.count)
                    } else {
                        T::ZERO
                    };
                    let minimum = T::from_f64(minimum_scale);
                    scale[place] = if fitted > minimum { fitted } else { minimum };
                }
            }
        }
    }
    let mut values = x.to_vec();
    for_each_point(shape, |i, place| {
        let (loc, scale) = (loc[place], scale[place]);
        values[i] = match scaler {
            Scaler::Level { .. } => {
                level::apply(level::Fitted { loc, scale, least: least[place] }, x[i])
            }
            _ => (x[i] - loc) / scale,
        };
    });
    Scaled { values, loc, scale, observed: mask.map(<[T]>::to_vec) }
}

/// Gradients of what [`forward`] returned.
pub(crate) struct Gradients<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) loc: Vec<T>,
    pub(crate) scale: Vec<T>,
}

impl<T: Real> Window<'_, T> {
    fn origin_of(&self, place: usize) -> T {
        self.origin.map_or(T::ZERO, |origin| origin[place])
    }

    fn point(&self, i: usize) -> level::Point {
        level::Point { value: self.values[i].to_f64(), seen: observed(self.mask, i).to_f64() }
    }
}

/// Gradient for the input; it flows through `loc` and `scale` too.
pub(crate) fn backward<T: Real>(
    scaler: Scaler,
    shape: Shape,
    window: Window<'_, T>,
    scaled: &Scaled<T>,
    d: Gradients<'_, T>,
    borrow_scale: bool,
) -> Vec<T> {
    if let Scaler::Level { season } = scaler {
        return level_backward(season, shape, window, d);
    }
    let Window { values: x, mask, .. } = window;
    let mut d_x = vec![T::ZERO; x.len()];
    let Gradients { values: d_values, loc: mut d_loc, scale: mut d_scale } = d;
    for_each_point(shape, |i, place| {
        let d = d_values[i] / scaled.scale[place];
        d_x[i] = d;
        d_loc[place] -= d;
        d_scale[place] -= d * scaled.values[i];
    });
    for b in 0..shape.batch {
        for c in 0..shape.channels {
            let place = b * shape.channels + c;
            match scaler {
                Scaler::None | Scaler::Level { .. } => {}
                Scaler::Std { location, .. } => {
                    let scale = scaled.scale[place];
                    let count =
                        at_least_one(shape.column(b, c).map(|i| observed(mask, i)).sum::<T>());
                    let mut mean = scaled.loc[place];
                    if let (Location::Last, Some(i)) = (location, last(shape, mask, b, c)) {
                        d_x[i] += d_loc[place];
                        d_loc[place] = T::ZERO;
                        mean = moments(shape, x, mask, b, c).0;
                    }
                    // d variance = d scale / (2 scale), and the variance holds 2 (x - mean) / n.
                    let slope = d_scale[place] / (scale * count);
                    let centred = |i: usize| (x[i] - mean) * observed(mask, i);
                    let rest: T = shape.column(b, c).map(centred).sum();
                    let d_mean = (d_loc[place] - slope * rest) / count;
                    for i in shape.column(b, c) {
                        d_x[i] += d_mean * observed(mask, i) + slope * centred(i);
                    }
                }
                Scaler::Mean { minimum_scale, default_scale } => {
                    let own = magnitude(shape, x, mask, b, c);
                    let minimum = T::from_f64(minimum_scale);
                    if own.count > T::ZERO {
                        if own.sum / own.count >= minimum {
                            let d = d_scale[place] / own.count;
                            add_signs(window, shape.column(b, c), d, &mut d_x);
                        }
                    } else if borrow_scale && default_scale.is_none() {
                        let all = whole_batch(shape, x, mask, c);
                        let count = at_least_one(all.count);
                        if all.sum / count >= minimum {
                            for other in 0..shape.batch {
                                let d = d_scale[place] / count;
                                add_signs(window, shape.column(other, c), d, &mut d_x);
                            }
                        }
                    }
                }
            }
        }
    }
    d_x
}

/// [`backward`] of a scaling by level.
fn level_backward<T: Real>(
    season: usize,
    shape: Shape,
    window: Window<'_, T>,
    d: Gradients<'_, T>,
) -> Vec<T> {
    let mut d_x = vec![T::ZERO; window.values.len()];
    for b in 0..shape.batch {
        for c in 0..shape.channels {
            let place = b * shape.channels + c;
            let column = shape.column(b, c);
            let points: Vec<level::Point> = column.clone().map(|i| window.point(i)).collect();
            let scaled: Vec<f64> = column.clone().map(|i| d.values[i].to_f64()).collect();
            let (loc, scale) = (d.loc[place].to_f64(), d.scale[place].to_f64());
            let gradients = level::Gradients { scaled: &scaled, loc, scale };
            let origin = window.origin_of(place).to_f64();
            let found = level::backward(season, origin, &points, &gradients);
            column.zip(found).for_each(|(i, d)| d_x[i] = T::from_f64(d));
        }
    }
    d_x
}

/// Mean and population variance over observed points, in two passes and in f64: in f32 the sum of a
/// long window loses digits, the more the larger the mean is against the spread.
fn moments<T: Real>(shape: Shape, x: &[T], mask: Option<&[T]>, b: usize, c: usize) -> (T, f64) {
    let seen = |i: usize| observed(mask, i).to_f64();
    let count = shape.column(b, c).map(seen).sum::<f64>().max(1.0);
    let mean = shape.column(b, c).map(|i| x[i].to_f64() * seen(i)).sum::<f64>() / count;
    let square = |i: usize| {
        let deviation = (x[i].to_f64() - mean) * seen(i);
        deviation * deviation
    };
    (T::from_f64(mean), shape.column(b, c).map(square).sum::<f64>() / count)
}

/// Index of the last observed point of one channel of one sample.
fn last<T: Real>(shape: Shape, mask: Option<&[T]>, b: usize, c: usize) -> Option<usize> {
    shape.column(b, c).rev().find(|&i| observed(mask, i) != T::ZERO)
}

fn whole_batch<T: Real>(shape: Shape, x: &[T], mask: Option<&[T]>, c: usize) -> Magnitude<T> {
    let mut all = Magnitude { count: T::ZERO, sum: T::ZERO };
    for b in 0..shape.batch {
        let one = magnitude(shape, x, mask, b, c);
        all.count += one.count;
        all.sum += one.sum;
    }
    all
}

/// `d_x += d * sign(x) * mask` along one channel of one sample.
fn add_signs<T: Real>(
    window: Window<'_, T>,
    column: impl Iterator<Item = usize>,
    d: T,
    d_x: &mut [T],
) {
    let Window { values: x, mask, .. } = window;
    for i in column {
        let seen = observed(mask, i);
        if x[i] > T::ZERO {
            d_x[i] += d * seen;
        } else if x[i] < T::ZERO {
            d_x[i] -= d * seen;
        }
    }
}

/// Calls `f(index of the value, index of its statistics)` for every point.
fn for_each_point(shape: Shape, mut f: impl FnMut(usize, usize)) {
    for b in 0..shape.batch {
        for t in 0..shape.length {
            for c in 0..shape.channels {
                f((b * shape.length + t) * shape.channels + c, b * shape.channels + c);
            }
        }
    }
}

fn at_least_one<T: Real>(count: T) -> T {
    if count > T::ONE { count } else { T::ONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STD: Scaler = Scaler::Std { minimum_scale: 1e-5, location: Location::Mean };
    const MEAN: Scaler = Scaler::Mean { minimum_scale: 1e-10, default_scale: None };
    const SHAPE: Shape = Shape { batch: 1, length: 4, channels: 1 };

    fn window<'a>(values: &'a [f64], mask: Option<&'a [f64]>) -> Window<'a, f64> {
        Window { values, mask, origin: None }
    }

    #[test]
    fn missing_points_do_not_count() {
        let mask = [1.0, 0.0, 1.0, 0.0];
        let scaled = forward(STD, SHAPE, window(&[1.0, 0.0, 3.0, 0.0], Some(&mask)), false);
        assert_eq!(scaled.loc, [2.0]);
        assert!((scaled.scale[0] - (1.0 + 1e-5_f64).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_constant_window_gets_the_floor() {
        let scaled = forward(STD, SHAPE, window(&[3.0; 4], None), false);
        assert!((scaled.scale[0] - 1e-5_f64.sqrt()).abs() < 1e-15);
        assert_eq!(scaled.values, [0.0; 4]);
    }

    #[test]
    fn the_last_observed_point_may_be_the_location() {
        let scaler = Scaler::Std { minimum_scale: 1e-5, location: Location::Last };
        let mask = [1.0, 1.0, 1.0, 0.0];
        let scaled = forward(scaler, SHAPE, window(&[1.0, 2.0, 6.0, 0.0], Some(&mask)), false);
        assert_eq!(scaled.loc, [6.0]);
        // The deviation is that around the mean, 3.
        assert!((scaled.scale[0] - (14.0 / 3.0 + 1e-5_f64).sqrt()).abs() < 1e-15);
        let unseen = forward(scaler, SHAPE, window(&[0.0; 4], Some(&[0.0; 4])), false);
        assert_eq!(unseen.loc, [0.0]);
    }

    #[test]
    fn an_unseen_mean_scaled_channel_borrows_only_when_asked() {
        let shape = Shape { batch: 2, ..SHAPE };
        let x = [2.0, -2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0];
        let mask = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let borrowed = forward(MEAN, shape, window(&x, Some(&mask)), true);
        assert_eq!(borrowed.scale, [2.0, 2.0]);
        let alone = forward(MEAN, shape, window(&x, Some(&mask)), false);
        assert_eq!(alone.scale, [2.0, 1e-10]);
    }

    #[test]
    fn a_default_scale_replaces_borrowing() {
        let scaler = Scaler::Mean { minimum_scale: 1e-10, default_scale: Some(7.0) };
        let scaled = forward(scaler, SHAPE, window(&[0.0; 4], Some(&[0.0; 4])), true);
        assert_eq!(scaled.scale, [7.0]);
    }
}
