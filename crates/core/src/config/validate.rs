//! Checks of a configuration before anything is built from it.

use super::{Config, Task};
use crate::{Error, Result};

/// Largest length or width that is accepted, so that no product of a few of them overflows.
const MAX_LENGTH: usize = 1 << 24;

/// Most parameters that a configuration may ask for: 8 GiB of f32.
const MAX_PARAMETERS: u128 = 1 << 31;

impl Config {
    /// Checks every field that the model depends on.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, what was wanted and what came. The first problem in the
    /// order of the fields is reported.
    pub fn validate(&self) -> Result<()> {
        self.validate_lengths()?;
        self.validate_blocks()?;
        self.validate_channels()?;
        self.validate_head()?;
        self.validate_masks()?;
        self.validate_extension()?;
        self.validate_size()
    }

    fn validate_lengths(&self) -> Result<()> {
        let lengths = [
            ("context_length", self.context_length),
            ("patch_length", self.patch_length),
            ("patch_stride", self.patch_stride),
            ("num_input_channels", self.num_input_channels),
            ("d_model", self.d_model),
            ("expansion_factor", self.expansion_factor),
            ("num_layers", self.num_layers),
            ("prediction_length", self.prediction_length),
            ("num_targets", self.num_targets),
        ];
        for (field, value) in lengths {
            if value == 0 || value > MAX_LENGTH {
                let text = format!("{value} must be from 1 to {MAX_LENGTH}");
                return Err(Error::config(field, text));
            }
        }
        if self.context_length <= self.patch_length {
            let text = format!(
                "{} must be less than context_length {}",
                self.patch_length, self.context_length
            );
            return Err(Error::config("patch_length", text));
        }
        Ok(())
    }

    fn validate_blocks(&self) -> Result<()> {
        let probabilities = [("dropout", self.dropout), ("head_dropout", self.head_dropout)];
        for (field, value) in probabilities {
            if !(0.0..1.0).contains(&value) {
                let text = format!("{value} must be at least 0 and below 1");
                return Err(Error::config(field, text));
            }
        }
        let positive = [("norm_eps", self.norm_eps), ("init_std", self.init_std)];
        for (field, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::config(field, format!("{value} must be above 0")));
            }
        }
        if self.self_attn
            && (self.self_attn_heads == 0 || !self.d_model.is_multiple_of(self.self_attn_heads))
        {
            let text = format!("{} must divide d_model {}", self.self_attn_heads, self.d_model);
            return Err(Error::config("self_attn_heads", text));
        }
        if self.use_positional_encoding {
            match self.positional_encoding_type.as_str() {
                "random" => {}
                "sincos" if self.d_model.is_multiple_of(2) => {}
                "sincos" => {
                    let text = format!(
                        "\"sincos\" needs an even d_model, got {} (use \"random\")",
                        self.d_model
                    );
                    return Err(Error::config("positional_encoding_type", text));
                }
                other => {
                    let text = format!("is \"{other}\", wanted \"sincos\" or \"random\"");
                    return Err(Error::config("positional_encoding_type", text));
                }
            }
        }
        Ok(())
    }

    fn validate_channels(&self) -> Result<()> {
        let lists = [
            ("prediction_channel_indices", &self.prediction_channel_indices),
            ("unmasked_channel_indices", &self.unmasked_channel_indices),
        ];
        for (field, indices) in lists {
            let Some(indices) = indices else { continue };
            if indices.is_empty() {
                return Err(Error::config(
                    field,
                    "is an empty list, wanted null or channel numbers",
                ));
            }
            let channels = self.num_input_channels;
            if let Some(index) = indices.iter().find(|&&index| index >= channels) {
                let text = format!("{index} must be below num_input_channels {channels}");
                return Err(Error::config(field, text));
            }
            let mut sorted = indices.clone();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(Error::config(field, format!("lists {} twice", pair[0])));
            }
        }
        Ok(())
    }

    fn validate_head(&self) -> Result<()> {
        let one_of = |field: &str, value: &str, wanted: &[&str]| {
            if wanted.contains(&value) {
                return Ok(());
            }
            let text = format!("is \"{value}\", wanted one of {}", wanted.join(", "));
            Err(Error::config(field, text))
        };
        one_of("loss", &self.loss, &["mse", "nll"])?;
        let families = ["student_t", "normal", "negative_binomial"];
        one_of("distribution_output", &self.distribution_output, &families)?;
        one_of("mask_type", &self.mask_type, &["random", "forecast"])?;
        if let Some(name) = &self.head_aggregation {
            one_of("head_aggregation", name, &["max_pool", "avg_pool", "use_last"])?;
        }
        if let Some([low, high]) = self.output_range
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            let text = format!("[{low}, {high}] must be two rising numbers");
            return Err(Error::config("output_range", text));
        }
        Ok(())
    }

    fn validate_masks(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.random_mask_ratio) {
            let text = format!("{} must be at least 0 and below 1", self.random_mask_ratio);
            return Err(Error::config("random_mask_ratio", text));
        }
        if self.mask_value.as_f64().is_none() {
            let text = format!("is {}, wanted a number", self.mask_value);
            return Err(Error::config("mask_value", text));
        }
        // The reference writes the lengths of forecast masks into every file, used or not.
        let used = self.task()? == Task::Pretraining && self.mask_type == "forecast";
        let patches = self.num_patches();
        let lengths = &self.num_forecast_mask_patches;
        let wrong = lengths.iter().find(|&&length| length == 0 || length >= patches);
        if used && (wrong.is_some() || lengths.is_empty()) {
            let text = format!(
                "is {lengths:?}, wanted lengths from 1 to {} (there are {patches} patches)",
                patches.saturating_sub(1)
            );
            return Err(Error::config("num_forecast_mask_patches", text));
        }
        Ok(())
    }

    /// A hostile file may hold lengths that are each acceptable, but ask for a huge model together.
    fn validate_size(&self) -> Result<()> {
        // All layers have the size of one, so the size is known before any is made.
        let network = self.with_layers(1)?;
        let layers = self.num_layers as u128 * network.stack_parameters();
        let total = network.fixed_parameters() + layers;
        if total > MAX_PARAMETERS {
            let text = format!(
                "the lengths ask for about {total} parameters, at most {MAX_PARAMETERS} are built"
            );
            return Err(Error::config("config", text));
        }
        Ok(())
    }
}
