//! One forward pass: how it is done, and where it draws for dropout.

use super::dropout::Dropout;
use crate::real::Real;

/// One forward pass: the mode and how many samples it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) batch: usize,
    pub(crate) train_norm: bool,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) as_reference: bool,
}

/// A place of the model that draws for dropout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(u64);

impl Place {
    /// In front of the head's projection.
    pub(crate) const HEAD: Place = Place(0);

    /// The place with the number that a network gives it.
    pub(crate) fn new(number: u64) -> Self {
        Place(number)
    }

    /// Number of its first draw site.
    pub(crate) const fn site(self) -> u64 {
        4 * self.0
    }
}

/// Number of the draw site in front of the head's projections.
pub(crate) const HEAD_SITE: u64 = Place::HEAD.site();

impl Pass {
    /// Applies dropout to `x` `[B, ...]`, or its backward to a gradient. `site` tells the draws of
    /// one place apart.
    pub(crate) fn dropout<T: Real>(&self, place: Place, site: u64, probability: f64, x: &mut [T]) {
        if let Some(dropout) = self.dropout {
            dropout.apply(place.site() + site, probability, self.batch, x);
        }
    }
}
