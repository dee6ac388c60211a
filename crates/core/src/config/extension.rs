//! What we have beyond Hugging Face: the fields under the one key `ptsm` of `config.json`.
//!
//! A file without the key is a plain Hugging Face configuration. With it, the model has parts that
//! transformers does not know, so its file is marked ([`Config::to_file_json`]) and refused there.

use serde::{Deserialize, Serialize};

use super::{Config, Scaler, Task};
use crate::{Error, Result};

/// Most quantiles that a head may have.
const MAX_QUANTILES: usize = 999;

/// Parts of a model that are in the paper or are ours, and not in transformers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extension {
    /// Levels in (0, 1), ascending, of a quantile head; it replaces the point forecast, and `loss`
    /// is then the pinball loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Vec<f64>>,
    /// Cross-channel forecast reconciliation head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_channel: Option<CrossChannel>,
    /// Online hierarchical patch reconciliation head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hierarchy: Option<Hierarchy>,
    /// A linear layer from the scaled window straight to the scaled forecast, the same for every
    /// channel, whose outcome is added to that of the mixers; a missing point counts as `loc`.
    #[serde(skip_serializing_if = "is_off")]
    pub linear_skip: bool,
    /// What the `std` scaler subtracts from a window.
    #[serde(skip_serializing_if = "Location::is_mean")]
    pub location: Location,
    /// Scaling by level in place of `scaling`, which is `null` then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// Scaling of a window by its level: `ln(v / level)` for v the distance of a value from the data's zero, and
/// the geometric mean of the last observed ones as level. For positive series of different size, which grow and
/// swing by shares of themselves. Values below 2 % of the mean of the window count as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Last observed steps that the level is the mean of: a season, or 1 for the last value.
    pub season: usize,
}

/// What the `std` scaler subtracts from a window; the deviation is always that around the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// The mean of the observed points, as Hugging Face does.
    #[default]
    Mean,
    /// The last observed point: for series whose level drifts, so that it says more about the
    /// future than the mean.
    Last,
}

impl Extension {
    /// Everything off: a plain Hugging Face configuration.
    const NONE: Extension = Extension {
        quantiles: None,
        cross_channel: None,
        hierarchy: None,
        linear_skip: false,
        location: Location::Mean,
        level: None,
    };
}

impl Location {
    fn is_mean(&self) -> bool {
        *self == Location::Mean
    }
}

fn is_off(flag: &bool) -> bool {
    !flag
}

/// The cross-channel forecast reconciliation head: each step's forecasts of all channels are
/// corrected by those of the steps around it.
///
/// Source: TSMixer (arXiv 2306.09364), section on hybrid channel modelling; the block is that of
/// granite-tsfm's `ForecastChannelHeadMixer` without its mixer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossChannel {
    /// Steps before and after a step that its correction sees; 0 = that step alone.
    pub context_length: usize,
    /// Whether the window is gated by `x * softmax(Linear(x))` first.
    pub gated: bool,
    /// Before the first step: the last past values (true) or zeros.
    pub prepend_past: bool,
}

impl Default for CrossChannel {
    fn default() -> Self {
        Self { context_length: 2, gated: true, prepend_past: false }
    }
}

/// The online hierarchical patch reconciliation head: the horizon is cut into segments whose sums
/// are forecast too, and the steps are reconciled with them.
///
/// Source: TSMixer (arXiv 2306.09364), section on online forecast reconciliation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hierarchy {
    /// Steps per segment, sl; divides `prediction_length`.
    pub segment_length: usize,
}

/// How the channels of a model see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelMode {
    /// Not at all: `common_channel`.
    Independent,
    /// In every layer: `mix_channel`.
    Mixing,
    /// In the head only: `common_channel` with the cross-channel head.
    Hybrid,
}

impl Config {
    /// How channels see each other.
    pub fn channel_mode(&self) -> ChannelMode {
        let reconciles = self.extension().cross_channel.is_some();
        match (self.mixes_channels(), reconciles) {
            (true, _) => ChannelMode::Mixing,
            (false, true) => ChannelMode::Hybrid,
            (false, false) => ChannelMode::Independent,
        }
    }

    /// The extension; everything off where the file has none.
    pub fn extension(&self) -> &Extension {
        self.ptsm.as_ref().unwrap_or(&Extension::NONE)
    }

    pub(super) fn validate_extension(&self) -> Result<()> {
        let Some(extension) = &self.ptsm else { return Ok(()) };
        let Extension { quantiles, cross_channel, hierarchy, linear_skip, location, level } =
            extension;
        if let Some(level) = level {
            self.validate_level(*level)?;
        }
        if *location == Location::Last && !matches!(self.scaler(), Scaler::Std { .. }) {
            let text = "\"last\" needs scaling \"std\"";
            return Err(Error::config("ptsm.location", text));
        }
        let used =
            quantiles.is_some() || cross_channel.is_some() || hierarchy.is_some() || *linear_skip;
        if used && self.task()? != Task::Forecasting {
            let text = "has parts of a forecaster, but architectures names another task";
            return Err(Error::config("ptsm", text));
        }
        let reconciles = cross_channel.is_some() || hierarchy.is_some();
        if self.loss == "nll" && used {
            let text = "cannot be used with loss \"nll\" (use \"mse\")";
            return Err(Error::config("ptsm", text));
        }
        if reconciles && quantiles.is_some() {
            let text = "reconciliation needs a point forecast (leave out quantiles)";
            return Err(Error::config("ptsm", text));
        }
        if *linear_skip && quantiles.is_some() {
            let text = "needs a point forecast (leave out quantiles)";
            return Err(Error::config("ptsm.linear_skip", text));
        }
        if let Some(levels) = quantiles {
            validate_levels(levels).map_err(|e| e.at("ptsm.quantiles"))?;
        }
        if let Some(Hierarchy { segment_length }) = hierarchy {
            let steps = self.prediction_length;
            if *segment_length < 2 || !steps.is_multiple_of(*segment_length) {
                let text = format!(
                    "{segment_length} must be at least 2 and divide prediction_length {steps}"
                );
                return Err(Error::config("ptsm.hierarchy.segment_length", text));
            }
        }
        if let Some(CrossChannel { context_length, prepend_past, .. }) = cross_channel {
            let limit = self.prediction_length.max(self.context_length);
            let past = if *prepend_past { self.context_length } else { limit };
            if *context_length > past {
                let text = format!("{context_length} must be at most {past}");
                return Err(Error::config("ptsm.cross_channel.context_length", text));
            }
        }
        Ok(())
    }
}

impl Config {
    fn validate_level(&self, Level { season }: Level) -> Result<()> {
        let place = "ptsm.level";
        if self.task()? != Task::Forecasting || self.loss == "nll" {
            return Err(Error::config(place, "needs a forecaster of points or quantiles"));
        }
        if self.extension().hierarchy.is_some() {
            let text = "cannot be used with hierarchical reconciliation: sums of logarithms are no \
                        logarithms of sums";
            return Err(Error::config(place, text));
        }
        if !self.scaling.is_null() {
            let text = format!("is in place of scaling, which is {} (wanted null)", self.scaling);
            return Err(Error::config(place, text));
        }
        if season == 0 || season > self.context_length {
            let length = self.context_length;
            let text = format!("{season} must be 1 to {length}, the context_length");
            return Err(Error::config("ptsm.level.season", text));
        }
        Ok(())
    }
}

/// Levels must lie inside (0, 1) and ascend.
///
/// # Errors
///
/// `InvalidConfig` naming the first that does not.
fn validate_levels(levels: &[f64]) -> Result<()> {
    let text = if levels.is_empty() || levels.len() > MAX_QUANTILES {
        format!("has {} levels, wanted 1 to {MAX_QUANTILES}", levels.len())
    } else if let Some(level) = levels.iter().find(|&&level| !(level > 0.0 && level < 1.0)) {
        format!("{level} must be above 0 and below 1")
    } else if let Some(pair) = levels.windows(2).find(|pair| pair[0] >= pair[1]) {
        format!("{} comes before {}, wanted ascending levels", pair[0], pair[1])
    } else {
        return Ok(());
    };
    Err(Error::new(crate::ErrorKind::InvalidConfig, text))
}
