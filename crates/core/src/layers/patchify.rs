//! Cuts windows into patches. The oldest `(L - p) mod s` steps are dropped; patches may overlap or
//! leave gaps.
//!
//! Source: `PatchTSMixerPatchify`, transformers 5.23.0.

use super::scaler::Shape;
use crate::real::Real;

/// How windows are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) start: usize,
    pub(crate) length: usize,
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// Calls `f(index in [B, C, N, p], index in [B, L, C])` for every point of every patch.
fn for_each_point(shape: Shape, cut: Cut, mut f: impl FnMut(usize, usize)) {
    let mut to = 0;
    for b in 0..shape.batch {
        for c in 0..shape.channels {
            for n in 0..cut.count {
                for k in 0..cut.length {
                    let t = cut.start + n * cut.stride + k;
                    f(to, (b * shape.length + t) * shape.channels + c);
                    to += 1;
                }
            }
        }
    }
}

/// `x` `[B, L, C]` gives `[B, C, N, p]`.
pub(crate) fn forward<T: Real>(shape: Shape, cut: Cut, x: &[T]) -> Vec<T> {
    let mut patches = vec![T::ZERO; shape.batch * shape.channels * cut.count * cut.length];
    for_each_point(shape, cut, |to, from| patches[to] = x[from]);
    patches
}

/// Gradient for the window; a point in several patches gets the sum.
pub(crate) fn backward<T: Real>(shape: Shape, cut: Cut, d_patches: &[T]) -> Vec<T> {
    let mut d_x = vec![T::ZERO; shape.batch * shape.length * shape.channels];
    for_each_point(shape, cut, |to, from| d_x[from] += d_patches[to]);
    d_x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leftover_is_dropped_and_overlap_adds_up() {
        let shape = Shape { batch: 1, length: 8, channels: 1 };
        let cut = Cut { start: 1, length: 3, stride: 2, count: 3 };
        let x: Vec<f64> = (0..8).map(f64::from).collect();
        let patches = forward(shape, cut, &x);
        assert_eq!(patches, [1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 6.0, 7.0]);
        let d_x = backward(shape, cut, &[1.0; 9]);
        assert_eq!(d_x, [0.0, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0, 1.0]);
    }
}
