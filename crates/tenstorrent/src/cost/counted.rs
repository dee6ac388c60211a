//! Cycles of a core's maths for a tile, counted: instructions that its maths thread issues, one a cycle, in the
//! kernels that `ttnn` 0.81.1 compiles. They were counted by running one operation on tensors of two sizes on a
//! functional simulator that was made to count instructions, and dividing the difference by that of the tiles; the
//! gap between instructions is not in them. The activation of a linear layer runs while its tile is packed.

use crate::program::{KernelWork, MathFidelity, Op};

/// GELU that is looked up, in a linear layer.
const LINEAR_GELU: f64 = 250.0;
/// The same in a kernel of ours.
const GELU: f64 = 215.0;
/// GELU from the rational approximation of the error function, as its own operation does.
const EXACT_GELU: f64 = 2663.0;
/// The exponential of a softmax in a kernel of ours.
const EXPONENTIAL: f64 = 640.0;
/// Addition of epsilon and the reciprocal root.
const ROOT: f64 = 940.0;
/// The reciprocal of a row or column of a tile.
const RECIPROCAL: f64 = 310.0;
/// Another pass of a tile through unpacker, maths and packer in a kernel of ours.
const PASS: f64 = 80.0;
/// What a unit takes beside that.
const UNIT: f64 = 150.0;

/// A product of two tiles: sixteen cycles for each pass over their bits, of which the fidelity takes one, two or four.
pub(super) fn product(fidelity: MathFidelity) -> f64 {
    match fidelity {
        MathFidelity::LoFi => 16.0,
        MathFidelity::HiFi2 => 32.0,
        MathFidelity::HiFi4 => 64.0,
    }
}

/// A tile of the output of an operation of `ttnn`, its products left out.
pub(super) fn tile(op: &Op) -> f64 {
    match op {
        Op::Linear { activation: Some(_), core_grid: Some(_), .. } => 16.0 + LINEAR_GELU,
        Op::Linear { .. } | Op::Matmul { .. } => 16.0,
        Op::MatmulAddcmul { .. } => 120.0,
        Op::LayerNorm { .. } => 1880.0,
        Op::Softmax { dim: -1 } => 1450.0,
        Op::Softmax { .. } => 2950.0,
        Op::Gelu => EXACT_GELU,
        Op::Multiply => 703.0,
        Op::Addcmul => 338.0,
        // Moved by the packer, row by row.
        Op::Permute { .. } | Op::Reshape { .. } => 253.0,
        _ => 20.0,
    }
}

/// A unit of a kernel of ours.
pub(super) fn unit(work: KernelWork, fidelity: MathFidelity) -> f64 {
    let KernelWork { products, passes, roots, gelus, exponentials, reciprocals } = work;
    UNIT + products as f64 * product(fidelity)
        + passes as f64 * PASS
        + roots as f64 * ROOT
        + gelus as f64 * GELU
        + exponentials as f64 * EXPONENTIAL
        + reciprocals as f64 * RECIPROCAL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{AttentionTiles, ChannelTiles, MixerTiles};

    #[test]
    fn units_of_the_reference_shape_take_what_was_counted() {
        // 64 patches, d_model 16, expansion 2, HiFi2: instructions of the maths thread of a unit.
        let patches = MixerTiles {
            left: true,
            rows: 2,
            columns: 1,
            hidden: 4,
            gate: true,
            layer_norm: true,
            residual: true,
        };
        let features = MixerTiles { left: false, rows: 1, hidden: 1, ..patches };
        // 130 channels at two patches of 16 features; three heads of 64 patches of 48 features.
        let (gate, layer_norm) = (true, true);
        let channels =
            ChannelTiles { rows: 5, columns: 1, hidden: 9, gate, layer_norm, side_by_side: 2 };
        let attention = AttentionTiles { rows: 2, columns: 2, heads: 3, layer_norm };
        for (work, counted) in [
            (patches.work(), 7047.0),
            (features.work(), 3157.0),
            (channels.work(), 18623.0),
            (attention.work(), 28256.0),
        ] {
            let cycles = unit(work, MathFidelity::HiFi2);
            assert!((cycles / counted - 1.0_f64).abs() < 0.03, "{cycles} of {counted}");
        }
    }
}
