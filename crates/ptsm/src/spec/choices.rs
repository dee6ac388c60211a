//! Enumerations for the fields of a model specification that take one of a few words.

use serde::{Deserialize, Serialize};

use crate::{Config, Error, Result};
use ptsm_core::{Norm, Scaler};

/// Defines an enumeration whose variants are written as the words of `config.json`.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every choice, by its word.
            pub const WORDS: &[&str] = &[$($word),*];
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    other => Err(unknown(other, Self::WORDS)),
                }
            }
        }
    };
}

fn unknown(word: &str, known: &[&str]) -> Error {
    let nearest = super::strict::nearest(word, known.iter().copied());
    let hint = nearest.map_or(String::new(), |near| format!(" (did you mean \"{near}\"?)"));
    let text = format!("\"{word}\" is none of {}{hint}", known.join(", "));
    Error::new(crate::ErrorKind::InvalidConfig, text)
}

choice! {
    /// How channels are mixed with each other.
    ChannelModeChoice {
        /// Not at all.
        CommonChannel = "common_channel",
        /// In every layer.
        MixChannel = "mix_channel",
        /// In the head only: `common_channel` with the cross-channel head.
        Hybrid = "hybrid",
    }
}

choice! {
    /// The norm of the blocks.
    NormChoice {
        /// Over the features of one patch.
        Layer = "LayerNorm",
        /// Over batch, channels and patches together, per feature.
        Batch = "BatchNorm",
    }
}

choice! {
    /// What each window is scaled by.
    ScalingChoice {
        /// Mean (or last value) and deviation.
        Std = "std",
        /// Mean absolute value.
        Mean = "mean",
        /// Differences of logarithms from the level at the end of the window; ours, see
        /// [`Extension::level`](ptsm_core::Extension::level).
        Level = "level",
        /// Nothing; `null` means the same.
        None = "none",
    }
}

choice! {
    /// The loss that training minimises.
    LossChoice {
        /// Squared error of points.
        Mse = "mse",
        /// Negative log-likelihood of a distribution.
        Nll = "nll",
        /// Pinball loss of quantiles.
        Quantile = "quantile",
    }
}

choice! {
    /// The distribution of a head with `loss = "nll"`.
    DistributionChoice {
        /// Student's t.
        StudentT = "student_t",
        /// Normal.
        Normal = "normal",
        /// Negative binomial, for counts.
        NegativeBinomial = "negative_binomial",
    }
}

choice! {
    /// How patches are pooled in front of the head of a classifier or a regression.
    AggregationChoice {
        /// Largest of each feature.
        MaxPool = "max_pool",
        /// Mean of each feature.
        AvgPool = "avg_pool",
        /// The last patch.
        UseLast = "use_last",
        /// Not at all: all patches side by side; `null` means the same.
        None = "none",
    }
}

choice! {
    /// How pretraining hides patches.
    MaskChoice {
        /// Patches drawn at random.
        Random = "random",
        /// The last patches.
        Forecast = "forecast",
    }
}

choice! {
    /// The positional encoding.
    PositionChoice {
        /// Sines and cosines, fixed.
        Sincos = "sincos",
        /// Trained.
        Random = "random",
    }
}

impl ChannelModeChoice {
    /// The choice that a configuration makes.
    pub(super) fn of(config: &Config) -> Self {
        if config.mixes_channels() { Self::MixChannel } else { Self::CommonChannel }
    }
}

impl NormChoice {
    /// The choice that a configuration makes.
    pub(super) fn of(config: &Config) -> Self {
        match config.norm() {
            Norm::Layer => Self::Layer,
            Norm::Batch => Self::Batch,
        }
    }
}

impl ScalingChoice {
    /// The choice that a configuration makes.
    pub(super) fn of(config: &Config) -> Self {
        match config.scaler() {
            Scaler::Std { .. } => Self::Std,
            Scaler::Mean { .. } => Self::Mean,
            Scaler::Level { .. } => Self::Level,
            Scaler::None => Self::None,
        }
    }
}

impl PositionChoice {
    /// The choice that a configuration makes.
    pub(super) fn of(config: &Config) -> Self {
        match config.positional_encoding_type.as_str() {
            "random" => Self::Random,
            _ => Self::Sincos,
        }
    }
}
