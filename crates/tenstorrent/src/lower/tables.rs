//! Tables of tiles: the constants of a kernel of ours, one tile below the other.

use super::builder::LinearWeights;
use crate::program::{FACE, NormPlaces, TILE};

/// Logit of padding: so low that its softmax is 0.
const PADDING_LOGIT: f32 = -1e4;
/// Added to the logits of patches that are padding, whose numbers may be as large as those of anything that was in memory before.
const MASKED: f32 = -1e30;
/// First rows of the faces of a tile.
const FACES: [usize; 2] = [0, FACE];

fn bit(x: bool) -> f32 {
    f32::from(u8::from(x))
}

/// A number of a layer's weight; 0 outside its shape.
fn weight(layer: &LinearWeights, output: usize, input: usize) -> f32 {
    match output < layer.outputs && input < layer.inputs {
        true => layer.weight[output * layer.inputs + input],
        false => 0.0,
    }
}

/// The number at `place`, or `padding` after the last one.
fn get_or(values: &[f32], place: usize, padding: f32) -> f32 {
    values.get(place).copied().unwrap_or(padding)
}

/// Weight and bias of a norm.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    pub(super) slope: Vec<f32>,
    pub(super) offset: Vec<f32>,
}

/// Which of a unit's columns are features: those of several patches may be side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Features {
    pub(super) count: usize,
    pub(super) side_by_side: usize,
}

impl Features {
    /// The patch and the feature of a column, if it is one.
    fn of(self, column: usize) -> Option<[usize; 2]> {
        let [patch, feature] = match self.side_by_side {
            1 => [0, column],
            _ => [column / FACE, column % FACE],
        };
        (feature < self.count).then_some([patch, feature])
    }

    fn get(self, values: &[f32], column: usize) -> f32 {
        self.of(column).map_or(0.0, |[_, feature]| values[feature])
    }
}

/// The constants of a kernel.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) values: Vec<f32>,
}

impl Table {
    /// Appends a matrix of `rows` by `columns` tiles, row by row of tiles; `at` gives its numbers.
    pub(super) fn push(&mut self, rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) {
        for place in 0..rows * columns {
            let (top, left) = (place / columns * TILE, place % columns * TILE);
            for i in 0..TILE {
                self.values.extend((0..TILE).map(|j| at(top + i, left + j)));
            }
        }
    }

    /// Appends the identity, ones, and what a reduction needs.
    pub(super) fn push_head(&mut self) {
        self.push(1, 1, |i, j| bit(i == j));
        self.push(1, 1, |_, _| 1.0);
        self.push(1, 1, |i, _| bit(FACES.contains(&i)));
    }

    /// Appends what hides the patches that pad `patches` to whole tiles.
    pub(super) fn push_mask(&mut self, patches: usize) {
        let last = patches - (patches.div_ceil(TILE) - 1) * TILE;
        self.push(1, 1, |_, j| if j < last { 0.0 } else { MASKED });
    }

    /// Appends what centres rows of layer norm, and takes the mean of their squares.
    pub(super) fn push_centre(&mut self, at: NormPlaces, features: Features) {
        if !at.layer_norm {
            return;
        }
        let width = features.count as f32;
        let together = |i: usize, j: usize| match (features.of(i), features.of(j)) {
            (Some([a, _]), Some([b, _])) => a == b,
            _ => false,
        };
        let columns = at.columns;
        self.push(columns, columns, |i, j| bit(together(i, j)) * (width * bit(i == j) - 1.0));
        self.push(columns, columns, |i, j| bit(together(i, j)) / width);
    }

    /// Appends weight and bias of a norm.
    pub(super) fn push_affine(&mut self, at: NormPlaces, affine: &Affine, features: Features) {
        let columns = at.columns;
        match at.layer_norm {
            true => self.push(1, columns, |_, j| features.get(&affine.slope, j)),
            false => {
                self.push(1, columns, |i, j| bit(i == j % TILE) * features.get(&affine.slope, j));
            }
        }
        self.push(1, columns, |_, j| features.get(&affine.offset, j));
    }

    /// Appends a weight of `outputs` by `inputs` tiles, whose numbers `at` gives: as it is if it
    /// multiplies the state from the left, transposed otherwise.
    fn push_weight(
        &mut self,
        left: bool,
        outputs: usize,
        inputs: usize,
        at: impl Fn(usize, usize) -> f32,
    ) {
        match left {
            true => self.push(outputs, inputs, at),
            false => self.push(inputs, outputs, |i, o| at(o, i)),
        }
    }

    /// Appends a layer and its bias.
    pub(super) fn push_layer(&mut self, left: bool, layer: &LinearWeights) {
        let [outputs, inputs] = [layer.outputs, layer.inputs].map(|side| side.div_ceil(TILE));
        self.push_weight(left, outputs, inputs, |o, i| weight(layer, o, i));
        self.push_weight(left, outputs, 1, |o, _| get_or(&layer.bias, o, 0.0));
    }

    /// Appends a layer whose outputs are logits, and its bias.
    pub(super) fn push_logits(&mut self, left: bool, layer: &LinearWeights) {
        let [outputs, inputs] = [layer.outputs, layer.inputs].map(|side| side.div_ceil(TILE));
        self.push_weight(left, outputs, inputs, |o, i| weight(layer, o, i));
        self.push_weight(left, outputs, 1, |o, _| get_or(&layer.bias, o, PADDING_LOGIT));
    }

    /// Appends a layer and, after its outputs in whole tiles, the logits of `gate`, and then the biases of both.
    pub(super) fn push_gated(&mut self, left: bool, layer: &LinearWeights, gate: &LinearWeights) {
        let [mixed, inputs] = [layer.outputs, layer.inputs].map(|side| side.div_ceil(TILE));
        let size = mixed * TILE;
        self.push_weight(left, 2 * mixed, inputs, |o, i| match o.checked_sub(size) {
            None => weight(layer, o, i),
            Some(o) => weight(gate, o, i),
        });
        self.push_weight(left, 2 * mixed, 1, |o, _| match o.checked_sub(size) {
            None => get_or(&layer.bias, o, 0.0),
            Some(o) => get_or(&gate.bias, o, PADDING_LOGIT),
        });
    }
}
