//! What a configuration costs: multiply-adds per sequence.

use super::Config;

impl Config {
    /// Multiply-adds of one sequence through the linear layers and, if there is one, the
    /// self-attention; two floating-point operations each.
    pub fn multiply_adds(&self) -> u64 {
        let [c, n, d, e, p] = [
            self.num_input_channels,
            self.num_patches(),
            self.d_model,
            self.expansion_factor,
            self.patch_length,
        ]
        .map(|x| x as u64);
        let gate = u64::from(self.gated_attn);
        let block = |width: u64| (2 * e + gate) * width * width;
        let mix = if self.mixes_channels() { n * d * block(c) } else { 0 };
        let attention = if self.self_attn { c * (4 * n * d * d + 2 * n * n * d) } else { 0 };
        let layer = c * d * block(n) + c * n * block(d) + mix + attention;
        let head = c * n * d * self.prediction_length as u64;
        c * n * p * d + self.num_layers as u64 * layer + head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    #[test]
    fn the_reference_shape_costs_what_the_formula_says() {
        let config = Config {
            context_length: 512,
            prediction_length: 96,
            d_model: 16,
            num_layers: 4,
            num_input_channels: 7,
            ..Config::default()
        };
        assert_eq!(config.multiply_adds(), 12_214_272);
        assert_eq!(Layout::new(&config.network().unwrap()).unwrap().num_trained(), 187_120);
    }
}
