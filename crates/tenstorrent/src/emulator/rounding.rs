//! Rounding to the number formats that the chip stores and multiplies.

use crate::program::{DataType, MathFidelity, bfloat16_bits, from_bfloat16_bits};

/// Numbers that share an exponent in `bfloat8_b`.
const BLOCK: usize = 16;

/// The nearest bfloat16; ties go to the even one.
pub(super) fn bfloat16(x: f32) -> f32 {
    from_bfloat16_bits(bfloat16_bits(x))
}

/// Rounds numbers to a data type, in place. `values` are whole tile rows: its blocks are runs of
/// sixteen neighbours.
pub(super) fn round(dtype: DataType, values: &mut [f32]) {
    match dtype {
        DataType::Float32 => {}
        DataType::Bfloat16 => values.iter_mut().for_each(|x| *x = bfloat16(*x)),
        DataType::Bfloat8B => values.chunks_mut(BLOCK).for_each(share_exponent),
    }
}

/// Rounds a block to seven bits and a sign each, with the exponent of its largest number.
fn share_exponent(block: &mut [f32]) {
    let largest = block.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return;
    }
    let exponent = largest.log2().floor() as i32;
    // The largest has its leading one in the seventh bit.
    let unit = 2.0_f32.powi(exponent - 6);
    for x in block {
        *x = (*x / unit).round_ties_even().clamp(-127.0, 127.0) * unit;
    }
}

/// An activation with the bits that are multiplied: all eight with four passes, all but the last
/// with two passes or one.
pub(super) fn activation_bits(fidelity: MathFidelity, x: f32) -> f32 {
    match fidelity {
        MathFidelity::HiFi4 => x,
        MathFidelity::HiFi2 | MathFidelity::LoFi => f32::from_bits(x.to_bits() & 0xFFFE_0000),
    }
}

/// A weight with the bits that are multiplied: five of its eight with one pass, all otherwise.
pub(super) fn weight_bits(fidelity: MathFidelity, x: f32) -> f32 {
    match fidelity {
        MathFidelity::HiFi4 | MathFidelity::HiFi2 => x,
        MathFidelity::LoFi => f32::from_bits(x.to_bits() & 0xFFF8_0000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfloat16_rounds_to_nearest_even() {
        assert_eq!(bfloat16(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(bfloat16(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(bfloat16(-0.1), -0.100_097_656);
    }

    #[test]
    fn a_block_shares_the_exponent_of_its_largest() {
        let mut block = [0.0; 16];
        (block[0], block[1], block[2]) = (1.0, 1.0 / 64.0, 1.0 / 200.0);
        round(DataType::Bfloat8B, &mut block);
        assert_eq!(block[..3], [1.0, 1.0 / 64.0, 0.0]);
        let mut apart = [0.0; 32];
        (apart[0], apart[16]) = (1.0, 1.0 / 200.0);
        round(DataType::Bfloat8B, &mut apart);
        assert!((apart[16] - 1.0 / 200.0).abs() < 1e-5, "another block has its own exponent");
    }

    #[test]
    fn fewer_passes_drop_lower_bits() {
        let x = f32::from_bits(0x3FFF_0000);
        assert_eq!(activation_bits(MathFidelity::HiFi4, x), x);
        assert_eq!(activation_bits(MathFidelity::HiFi2, x).to_bits(), 0x3FFE_0000);
        assert_eq!(weight_bits(MathFidelity::LoFi, x).to_bits(), 0x3FF8_0000);
    }
}
