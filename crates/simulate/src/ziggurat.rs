//! Normal numbers by the ziggurat method: most of them cost one random number and one multiplication.
//!
//! Source: Marsaglia and Tsang, "The ziggurat method for generating random variables", Journal of
//! Statistical Software 5 (2000); in the form of Doornik, "An improved ziggurat method to generate
//! normal random samples" (2005).

use std::sync::LazyLock;

/// Number of layers of equal area.
const COUNT: usize = 128;
/// Where the tail begins.
const TAIL: f64 = 3.442_619_855_899;
/// Area of a layer.
const AREA: f64 = 9.912_563_035_262_17e-3;

/// Right ends of the layers, from the lowest one on, and the shares of them that lie under the next.
pub(crate) struct Layers {
    ends: [f64; COUNT + 1],
    inner: [f64; COUNT],
}

/// The layers, the same in every process.
pub(crate) static LAYERS: LazyLock<Layers> = LazyLock::new(Layers::new);

/// The density without its constant.
fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x)
}

impl Layers {
    fn new() -> Self {
        let mut ends = [0.0; COUNT + 1];
        ends[0] = AREA / density(TAIL);
        ends[1] = TAIL;
        for i in 2..COUNT {
            let height = AREA / ends[i - 1] + density(ends[i - 1]);
            ends[i] = (-2.0 * libm::log(height)).sqrt();
        }
        let inner = std::array::from_fn(|i| ends[i + 1] / ends[i]);
        Self { ends, inner }
    }
}

/// A standard normal number from a source of random bits.
pub(crate) fn normal(layers: &Layers, mut bits: impl FnMut() -> u64) -> f64 {
    loop {
        let drawn = bits();
        // The layer by the lowest bits, the place in it by the upper ones.
        let layer = (drawn % COUNT as u64) as usize;
        let place = 2.0 * unit(drawn) - 1.0;
        let x = place * layers.ends[layer];
        if place.abs() < layers.inner[layer] {
            return x;
        }
        if layer == 0 {
            return tail(place < 0.0, bits);
        }
        let [low, high] = [layers.ends[layer], layers.ends[layer + 1]].map(density);
        if low + unit(bits()) * (high - low) < density(x) {
            return x;
        }
    }
}

/// A number beyond the beginning of the tail.
fn tail(negative: bool, mut bits: impl FnMut() -> u64) -> f64 {
    loop {
        let x = libm::log(1.0 - unit(bits())) / TAIL;
        let y = libm::log(1.0 - unit(bits()));
        if -2.0 * y >= x * x {
            return if negative { x - TAIL } else { TAIL - x };
        }
    }
}

/// Uniform in [0, 1), from the upper 53 bits.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_have_equal_areas_up_to_the_top() {
        for i in 1..COUNT - 1 {
            let [right, upper] = [LAYERS.ends[i], LAYERS.ends[i + 1]];
            let area = right * (density(upper) - density(right));
            assert!((area / AREA - 1.0).abs() < 1e-9, "{i}: {area}");
        }
        // The topmost layer ends at the peak.
        let last = LAYERS.ends[COUNT - 1];
        assert!((last * (1.0 - density(last)) / AREA - 1.0).abs() < 1e-6, "{last}");
    }
}
