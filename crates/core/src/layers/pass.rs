//! The mode of one forward pass of the definition, and the numbers of the layers that draw for
//! dropout.

use super::dropout::Dropout;
use crate::real::Real;

/// One forward pass: its mode, and the number of its samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) batch: usize,
    pub(crate) train_norm: bool,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) as_reference: bool,
}

/// A block, or the head, as a place that draws for dropout at up to four sites.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(u64);

impl Place {
    /// The head, which draws before its projection.
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

/// Number of the draw site before the head's projections.
pub(crate) const HEAD_SITE: u64 = Place::HEAD.site();

impl Pass {
    /// Applies dropout to `x` `[B, ...]`, or to its gradient on the way back; `site` is the number
    /// of the site within the place.
    pub(crate) fn dropout<T: Real>(&self, place: Place, site: u64, probability: f64, x: &mut [T]) {
        if let Some(dropout) = self.dropout {
            dropout.apply(place.site() + site, probability, self.batch, x);
        }
    }
}
