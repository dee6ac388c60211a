//! [`ModelSpec`]: the fields of `config.json` that a user can choose.

use serde::{Deserialize, Deserializer, Serialize};

use super::channels::{ChannelChoice, numbered};
use super::choices::{
    AggregationChoice, ChannelModeChoice, DistributionChoice, LossChoice, MaskChoice, NormChoice,
    PositionChoice, ScalingChoice,
};
use crate::{Config, Result};
use ptsm_core::{Extension, Level, Location, Scaler};

/// Defines the specification: every field is optional, and an upper layer overrides a lower one.
macro_rules! specification {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// The chosen fields of a model. A field that is `None` is left to a lower layer: the model
        /// that training starts from, then [`ModelSpec::defaults`], then Hugging Face's defaults.
        ///
        /// Fields are named as in `config.json`. Unknown fields and values are refused.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct ModelSpec {
            $($(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$type>,)*
        }

        impl ModelSpec {
            /// Names of all fields.
            pub const FIELDS: &[&str] = &[$(stringify!($name)),*];

            /// Takes every field that `upper` has chosen.
            pub fn overlay(&mut self, upper: &Self) {
                $(if upper.$name.is_some() {
                    self.$name.clone_from(&upper.$name);
                })*
            }
        }
    };
}

specification! {
    /// Past time steps that the model sees; for labelled cases the longest case if not given.
    context_length: usize,
    /// Future time steps that are forecast.
    prediction_length: usize,
    /// Time steps per patch.
    patch_length: usize,
    /// Time steps between patch starts.
    patch_stride: usize,
    /// Channels; must be those of the data.
    num_input_channels: usize,
    /// Numbers per patch.
    d_model: usize,
    /// Mixer layers.
    num_layers: usize,
    /// Hidden width of the MLPs as a multiple of their input.
    expansion_factor: usize,
    /// Probability of dropping a value inside the mixers, 0 to below 1.
    dropout: f64,
    /// Probability of dropping a value in front of the head, 0 to below 1.
    head_dropout: f64,
    /// How channels are mixed with each other.
    mode: ChannelModeChoice,
    /// Whether every block is gated.
    gated_attn: bool,
    /// The norm of the blocks.
    norm_mlp: NormChoice,
    /// Added to the variance in the norms.
    norm_eps: f64,
    /// Whether the patch mixers have self-attention beside them.
    self_attn: bool,
    /// Heads of the self-attention; divides `d_model`.
    self_attn_heads: usize,
    /// Whether a positional encoding is added.
    use_positional_encoding: bool,
    /// The positional encoding.
    positional_encoding_type: PositionChoice,
    /// What each window is scaled by.
    #[serde(deserialize_with = "null_is_none")]
    scaling: ScalingChoice,
    /// Added to the variance in the std scaler, in the mean scaler the least mean.
    minimum_scale: f64,
    /// Channels that are forecast, by name or by number from 0; all of them if not given.
    prediction_channel_indices: Vec<ChannelChoice>,
    /// Standard deviation of the normal initialisation.
    init_std: f64,
    /// The loss that training minimises.
    loss: LossChoice,
    /// The distribution with `loss = "nll"`.
    distribution_output: DistributionChoice,
    /// Samples that are drawn from it in the reference's `generate`.
    num_parallel_samples: usize,
    /// How patches are pooled for classification and regression.
    #[serde(deserialize_with = "null_is_none")]
    head_aggregation: AggregationChoice,
    /// `[low, high]` that a regression is squeezed into.
    output_range: [f64; 2],
    /// How pretraining hides patches.
    mask_type: MaskChoice,
    /// Share of patches that random masks hide, 0 to below 1.
    random_mask_ratio: f64,
    /// Patches that forecast masks hide at the end: one number or a list.
    #[serde(deserialize_with = "one_or_many")]
    num_forecast_mask_patches: Vec<usize>,
    /// What a masked patch holds, in the scaled space.
    mask_value: f64,
    /// Whether all channels share one mask.
    channel_consistent_masking: bool,
    /// Whether the pretraining loss counts hidden patches only.
    masked_loss: bool,
    /// Channels that are never hidden, by name or by number from 0.
    unmasked_channel_indices: Vec<ChannelChoice>,
    /// Fields that Hugging Face does not have. An upper layer replaces the whole table of a lower
    /// one.
    ptsm: Extension,
}

/// Variance, in standardised units, that single-precision rounding can give to a constant channel.
const MINIMUM_SCALE: f64 = 1e-12;

/// Default number of future time steps that are forecast.
const PREDICTION_LENGTH: usize = 96;

impl ModelSpec {
    /// Our defaults where they differ from Hugging Face's: 512 steps in, 96 out, `d_model` 16, 4
    /// layers.
    pub fn defaults() -> Self {
        Self {
            context_length: Some(512),
            prediction_length: Some(PREDICTION_LENGTH),
            d_model: Some(16),
            num_layers: Some(4),
            ..Self::default()
        }
    }

    /// All fields of the backbone of a model, which a model that starts from its weights must
    /// share.
    pub fn of_backbone(config: &Config) -> Self {
        let Extension { location, level, .. } = *config.extension();
        Self {
            context_length: Some(config.context_length),
            patch_length: Some(config.patch_length),
            patch_stride: Some(config.patch_stride),
            d_model: Some(config.d_model),
            num_layers: Some(config.num_layers),
            expansion_factor: Some(config.expansion_factor),
            dropout: Some(config.dropout),
            mode: Some(ChannelModeChoice::of(config)),
            gated_attn: Some(config.gated_attn),
            norm_mlp: Some(NormChoice::of(config)),
            norm_eps: Some(config.norm_eps),
            self_attn: Some(config.self_attn),
            self_attn_heads: Some(config.self_attn_heads),
            use_positional_encoding: Some(config.use_positional_encoding),
            positional_encoding_type: Some(PositionChoice::of(config)),
            scaling: Some(ScalingChoice::of(config)),
            minimum_scale: match config.scaler() {
                Scaler::Std { minimum_scale, .. } | Scaler::Mean { minimum_scale, .. } => {
                    Some(minimum_scale)
                }
                Scaler::Level { .. } | Scaler::None => None,
            },
            // The backbone was trained on windows that were scaled around this location or level.
            ptsm: (location != Location::Mean || level.is_some()).then(|| Extension {
                location,
                level,
                ..Extension::default()
            }),
            ..Self::default()
        }
    }

    /// This specification with every field that `upper` has chosen.
    #[must_use]
    pub fn with(mut self, upper: &Self) -> Self {
        self.overlay(upper);
        self
    }

    /// This specification with numbers in place of the names of channels, for data with channels of these names.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, for a name that no channel has.
    pub fn with_channels(mut self, names: &[String]) -> Result<Self> {
        numbered("prediction_channel_indices", &mut self.prediction_channel_indices, names)?;
        numbered("unmasked_channel_indices", &mut self.unmasked_channel_indices, names)?;
        Ok(self)
    }

    /// The extension, for changes; created with its defaults if it is not set.
    pub fn extension_mut(&mut self) -> &mut Extension {
        self.ptsm.get_or_insert_default()
    }

    /// Sets the default of what the std scaler adds to the variance of a window. It is negligible,
    /// so that windows of small and large variance are forecast alike. (Hugging Face adds 1e-5.)
    pub(super) fn settle_scale(&mut self) {
        if matches!(self.scaling, None | Some(ScalingChoice::Std)) {
            self.minimum_scale.get_or_insert(MINIMUM_SCALE);
        }
    }

    /// Replaces `scaling = "level"`, for which `config.json` has no word, by the field of the extension: the level
    /// of the last value, if no season was chosen before.
    pub(super) fn settle_level(&mut self) {
        if self.scaling == Some(ScalingChoice::Level) {
            self.scaling = Some(ScalingChoice::None);
            self.extension_mut().level.get_or_insert(Level { season: 1 });
        }
    }

    /// Replaces `mode = "hybrid"` and `loss = "quantile"`, for which `config.json` has no words, by
    /// fields of the extension: the cross-channel head, and the levels 0.1 to 0.9 if none are
    /// given.
    pub fn settle(&mut self) {
        if self.mode == Some(ChannelModeChoice::Hybrid) {
            self.mode = Some(ChannelModeChoice::CommonChannel);
            self.extension_mut().cross_channel.get_or_insert_default();
        }
        if self.loss == Some(LossChoice::Quantile) {
            self.loss = Some(LossChoice::Mse);
            let tenths = || (1..10).map(|i| f64::from(i) / 10.0).collect();
            self.extension_mut().quantiles.get_or_insert_with(tenths);
        }
    }
}

/// A choice that has the word `none`, which `null` means too.
trait HasNone {
    const NONE: Self;
}

impl HasNone for ScalingChoice {
    const NONE: Self = Self::None;
}

impl HasNone for AggregationChoice {
    const NONE: Self = Self::None;
}

fn null_is_none<'de, T, D>(from: D) -> std::result::Result<Option<T>, D::Error>
where
    T: HasNone + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Some(Option::<T>::deserialize(from)?.unwrap_or(T::NONE)))
}

fn one_or_many<'de, D>(from: D) -> std::result::Result<Option<Vec<usize>>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number of patches or a list of them")]
    enum OneOrMany {
        One(usize),
        Many(Vec<usize>),
    }
    Ok(Option::<OneOrMany>::deserialize(from)?.map(|found| match found {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    }))
}
