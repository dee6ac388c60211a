//! Scales the window of one channel with the kernels, as [`crate::layers::scaler`] defines it.

use ptsm_kernels::{Isa, mean_magnitude, moments, standardise};

use crate::config::{Location, Scaler};
use crate::layers::level::{self, Fitted};

/// How windows are scaled, and with which instructions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowScaling {
    pub(crate) scaler: Scaler,
    pub(crate) isa: Isa,
}

impl WindowScaling {
    /// What a window `[L]` is scaled by, of which `mask` is 1 where a point was observed; `origin` is where the
    /// data's zero lies in its units.
    pub(crate) fn fit(self, x: &[f32], mask: Option<&[f32]>, origin: f32) -> Fitted<f32> {
        let least = 0.0;
        match self.scaler {
            Scaler::None => Fitted { loc: 0.0, scale: 1.0, least },
            Scaler::Level { season } => {
                let point = |i: usize| level::Point {
                    value: f64::from(x[i]),
                    seen: mask.map_or(1.0, |mask| f64::from(mask[i])),
                };
                level::fit(season, origin, (0..x.len()).map(point))
            }
            Scaler::Std { minimum_scale, location } => {
                let moments = moments(self.isa, x, mask);
                let scale = (moments.variance + minimum_scale).sqrt() as f32;
                let loc = match (location, last_observed(x, mask)) {
                    (Location::Last, Some(x)) => x,
                    _ => moments.mean as f32,
                };
                Fitted { loc, scale, least }
            }
            Scaler::Mean { minimum_scale, default_scale } => {
                let fitted = mean_magnitude(self.isa, x, mask).or(default_scale).unwrap_or(0.0);
                Fitted { loc: 0.0, scale: fitted.max(minimum_scale) as f32, least }
            }
        }
    }

    /// Scales a window, in place.
    pub(crate) fn apply(self, x: &mut [f32], fitted: Fitted<f32>) {
        match self.scaler {
            Scaler::None => {}
            Scaler::Level { .. } => x.iter_mut().for_each(|x| *x = level::apply(fitted, *x)),
            Scaler::Std { .. } | Scaler::Mean { .. } => {
                standardise(self.isa, x, fitted.loc, fitted.scale);
            }
        }
    }
}

fn last_observed(x: &[f32], mask: Option<&[f32]>) -> Option<f32> {
    match mask {
        None => x.last().copied(),
        Some(mask) => x.iter().zip(mask).rfind(|(_, seen)| **seen != 0.0).map(|(&x, _)| x),
    }
}
