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

    pub(crate) fn block(layer: usize, block: u64) -> Self {
        Place(1 + 3 * layer as u64 + block)
    }
}

/// Number of the draw site in front of the head's projections.
pub(crate) const HEAD_SITE: u64 = 4 * Place::HEAD.0;

/// Number of the first draw site of a block: channel (0), patch (1) or feature mixer (2).
pub(crate) fn draw_site(layer: usize, block: u64) -> u64 {
    4 * Place::block(layer, block).0
}

impl Pass {
    /// Applies dropout to `x` `[B, ...]`, or its backward to a gradient. `site` tells the draws of
    /// one place apart.
    pub(crate) fn dropout<T: Real>(&self, place: Place, site: u64, probability: f64, x: &mut [T]) {
        if let Some(dropout) = self.dropout {
            dropout.apply(4 * place.0 + site, probability, self.batch, x);
        }
    }
}
