//! Configuration: Hugging Face's `config.json`, field for field.
//!
//! [`Config`] reads what any version of transformers wrote, keeps fields that it does not know, and
//! writes a file that `PatchTSMixerConfig` reads back. Loose values (a `scaling` of `true`, a batch
//! norm under any spelling) stay as they came; the methods [`Config::scaler`],
//! [`Config::norm`] and [`Config::mixes_channels`] say what they mean.
//!
//! Source: `PatchTSMixerConfig`, transformers 5.23.0; quirks in `docs/parity.md`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checksums::{read_listed, require_listed_text};
use crate::distribution::Distribution;
use crate::{Error, ErrorKind, Result};

mod extension;
mod network;
mod validate;

pub use crate::network::Norm;
pub use extension::{ChannelMode, CrossChannel, Extension, Hierarchy, Level, Location};

/// The value of `model_type` in a `config.json` that is ours.
pub const MODEL_TYPE: &str = "patchtsmixer";

/// The value of `model_type` in the file of a model with parts that Hugging Face does not have. Its automatic
/// classes refuse a type that they do not know.
const EXTENDED_MODEL_TYPE: &str = "ptsm_patchtsmixer";

/// Under which name the file of such a model holds `norm_mlp`, in an object. Hugging Face's classes of
/// PatchTSMixer only warn of another `model_type`; but they want a text there, whatever the task, and end with an
/// error that shows this.
const EXTENDED_NORM: &str = "ptsm alone reads this model";

/// Largest `config.json` that is read, in bytes; real ones have about one thousand.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Configuration of one model; see the table in `docs/architecture.md` for how the parts meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Model classes that the weights belong to, such as `PatchTSMixerForPrediction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<String>>,
    /// Always `patchtsmixer`.
    pub model_type: String,
    /// Past time steps that the model sees, L; at least 2 and above `patch_length`.
    pub context_length: usize,
    /// Time steps per patch, p.
    pub patch_length: usize,
    /// Channels of the series, C.
    pub num_input_channels: usize,
    /// Time steps between patch starts, s: below `patch_length` overlaps, above leaves gaps.
    pub patch_stride: usize,
    /// Samples that `generate` draws from a predicted distribution.
    pub num_parallel_samples: usize,
    /// Numbers per patch, D.
    #[serde(alias = "hidden_size")]
    pub d_model: usize,
    /// Hidden width of every MLP as a multiple of its input width.
    pub expansion_factor: usize,
    /// Mixer layers.
    #[serde(alias = "num_hidden_layers")]
    pub num_layers: usize,
    /// Probability of dropping a value inside the mixers, in training.
    pub dropout: f64,
    /// `common_channel` (channels do not see each other) or `mix_channel`.
    pub mode: String,
    /// Whether every block is gated by `x * softmax(Linear(x))`.
    pub gated_attn: bool,
    /// Norm of the blocks: any text with "batch" in it is batch norm, everything else layer norm.
    pub norm_mlp: String,
    /// Whether the patch mixers have self-attention over patches in parallel with them.
    pub self_attn: bool,
    /// Heads of the self-attention; divides `d_model`.
    pub self_attn_heads: usize,
    /// Whether a positional encoding is added to the patch embedding.
    pub use_positional_encoding: bool,
    /// `sincos` (fixed) or `random` (trained).
    pub positional_encoding_type: String,
    /// `"std"` or `true`, `"mean"`, anything else means none; see [`Config::scaler`].
    pub scaling: Value,
    /// `mse` or `nll`.
    pub loss: String,
    /// Standard deviation of the normal initialisation.
    pub init_std: f64,
    /// Added to the variance in the norms.
    pub norm_eps: f64,
    /// `random` or `forecast`, for pretraining.
    pub mask_type: String,
    /// Share of patches that are masked, for `mask_type = "random"`.
    pub random_mask_ratio: f64,
    /// Patches masked at the end, for `mask_type = "forecast"`: one number or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub num_forecast_mask_patches: Vec<usize>,
    /// What a masked patch holds, in the scaled space.
    pub mask_value: Value,
    /// Whether the pretraining loss counts masked patches only.
    pub masked_loss: bool,
    /// Whether all channels share one mask.
    pub channel_consistent_masking: bool,
    /// Channels that are never masked.
    pub unmasked_channel_indices: Option<Vec<usize>>,
    /// Probability of dropping a value before the head's projection, in training.
    pub head_dropout: f64,
    /// `student_t`, `normal` or `negative_binomial`; used with `loss = "nll"`.
    pub distribution_output: String,
    /// Future time steps that are forecast, H.
    pub prediction_length: usize,
    /// Channels that are forecast, ascending; `null` = all.
    pub prediction_channel_indices: Option<Vec<usize>>,
    /// Classes, or regression targets.
    pub num_targets: usize,
    /// `[low, high]` that a regression is squeezed into.
    pub output_range: Option<[f64; 2]>,
    /// `max_pool`, `avg_pool`, `use_last` or `null`: how patches are pooled before a linear head.
    pub head_aggregation: Option<String>,
    /// What we have beyond Hugging Face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ptsm: Option<Extension>,
    /// Fields that this version does not know; kept and written back.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            architectures: None,
            model_type: MODEL_TYPE.into(),
            context_length: 32,
            patch_length: 8,
            num_input_channels: 1,
            patch_stride: 8,
            num_parallel_samples: 100,
            d_model: 8,
            expansion_factor: 2,
            num_layers: 3,
            dropout: 0.2,
            mode: "common_channel".into(),
            gated_attn: true,
            norm_mlp: "LayerNorm".into(),
            self_attn: false,
            self_attn_heads: 1,
            use_positional_encoding: false,
            positional_encoding_type: "sincos".into(),
            scaling: Value::String("std".into()),
            loss: "mse".into(),
            init_std: 0.02,
            norm_eps: 1e-5,
            mask_type: "random".into(),
            random_mask_ratio: 0.5,
            num_forecast_mask_patches: vec![2],
            mask_value: Value::from(0),
            masked_loss: true,
            channel_consistent_masking: true,
            unmasked_channel_indices: None,
            head_dropout: 0.2,
            distribution_output: "student_t".into(),
            prediction_length: 16,
            prediction_channel_indices: None,
            num_targets: 3,
            output_range: None,
            head_aggregation: Some("max_pool".into()),
            ptsm: None,
            extra: Map::new(),
        }
    }
}

/// Which statistics a window is scaled by, with the constants that the configuration may change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaler {
    /// Mean (or the last) and population deviation of the observed points; the minimum is added to
    /// the variance.
    Std {
        /// Added to the variance, in squared data units.
        minimum_scale: f64,
        /// What is subtracted.
        location: Location,
    },
    /// Mean absolute value of the observed points; `loc` is 0.
    Mean {
        /// Smallest scale, in data units.
        minimum_scale: f64,
        /// Scale of a channel without any observation; `None` = borrowed from the batch.
        default_scale: Option<f64>,
    },
    /// Differences of logarithms from the level at the end of the window; ours, see
    /// [`Extension::level`].
    Level {
        /// Last observed steps whose geometric mean is the level.
        season: usize,
    },
    /// `loc` 0 and `scale` 1.
    None,
}

/// What a model does; known from `architectures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// `PatchTSMixerForPrediction`.
    Forecasting,
    /// `PatchTSMixerForPretraining`.
    Pretraining,
    /// `PatchTSMixerForTimeSeriesClassification`.
    Classification,
    /// `PatchTSMixerForRegression`.
    Regression,
}

impl Task {
    /// Name of the Hugging Face class.
    pub fn architecture(self) -> &'static str {
        match self {
            Task::Forecasting => "PatchTSMixerForPrediction",
            Task::Pretraining => "PatchTSMixerForPretraining",
            Task::Classification => "PatchTSMixerForTimeSeriesClassification",
            Task::Regression => "PatchTSMixerForRegression",
        }
    }

    /// The task of a Hugging Face class name.
    fn from_architecture(name: &str) -> Option<Self> {
        [Task::Forecasting, Task::Pretraining, Task::Classification, Task::Regression]
            .into_iter()
            .find(|task| task.architecture() == name)
    }
}

impl Config {
    /// Reads and validates a `config.json`.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidConfig` if it is no configuration of this model
    /// or [`Config::validate`] refuses it.
    pub fn from_file(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let missing = |e: std::io::Error| match path.parent() {
            Some(folder) if e.kind() == std::io::ErrorKind::NotFound && !folder.is_dir() => {
                Error::io(folder, "cannot be read", e)
            }
            _ => Error::io(
                path,
                "cannot be read (a model folder that train writes holds it, or ensemble.json)",
                e,
            ),
        };
        let size = match std::fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            // Says so if it should be there.
            Err(e) => return read_listed(path).and(Err(missing(e))),
        };
        if size > MAX_CONFIG_BYTES {
            let text = format!("has {size} bytes, at most {MAX_CONFIG_BYTES} are read");
            return Err(Error::config(place, text));
        }
        let text = require_listed_text(path)?;
        Self::from_json(&text).map_err(|e| e.at(place))
    }

    /// Parses and validates the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field.
    pub fn from_json(text: &str) -> Result<Self> {
        let not_ours = |message: String| Error::new(ErrorKind::InvalidConfig, message);
        // Some editors write a byte-order mark.
        let text = text.trim_start_matches('\u{feff}');
        let value: Value =
            serde_json::from_str(text).map_err(|e| not_ours("is not JSON".into()).because(e))?;
        let Value::Object(mut fields) = value else {
            return Err(not_ours("is JSON, but no object of fields".into()));
        };
        match fields.get("model_type").and_then(Value::as_str) {
            Some(MODEL_TYPE) => {}
            Some(EXTENDED_MODEL_TYPE) => {
                fields.insert("model_type".into(), MODEL_TYPE.into());
                if let Some(Value::Object(held)) = fields.get("norm_mlp")
                    && let Some(norm) = held.get(EXTENDED_NORM).cloned()
                {
                    fields.insert("norm_mlp".into(), norm);
                }
            }
            Some(other) => {
                let text = format!("is \"{other}\", wanted \"{MODEL_TYPE}\"");
                return Err(Error::config("model_type", text));
            }
            None => {
                let text = format!("is missing, wanted \"{MODEL_TYPE}\"");
                return Err(Error::config("model_type", text));
            }
        }
        // A file may have both spellings of an aliased field; the model's own name wins.
        for (alias, name) in [("hidden_size", "d_model"), ("num_hidden_layers", "num_layers")] {
            if fields.contains_key(name) {
                fields.remove(alias);
            }
        }
        let mut config: Config = serde_path(Value::Object(fields))?;
        // Derived, and always computed from the fields it follows from.
        for derived in ["num_patches", "patch_last"] {
            config.extra.remove(derived);
        }
        if let Some(indices) = &mut config.prediction_channel_indices {
            indices.sort_unstable();
        }
        if let Some(indices) = &mut config.unmasked_channel_indices {
            indices.sort_unstable();
        }
        config.validate()?;
        Ok(config)
    }

    /// The fields as JSON, derived ones included. Of a plain configuration this is the `config.json` that
    /// Hugging Face reads; what a directory holds is [`Config::to_file_json`].
    ///
    /// # Errors
    ///
    /// `Internal` if a number cannot be written as JSON (validation refuses those first).
    pub fn to_json(&self) -> Result<String> {
        self.sorted_json(Vec::new())
    }

    /// The text of a `config.json`. That of a model with parts that Hugging Face does not have is marked so that
    /// its classes refuse it, where they would load the weights that they know and give other numbers.
    ///
    /// # Errors
    ///
    /// As [`Config::to_json`].
    pub fn to_file_json(&self) -> Result<String> {
        if *self.extension() == Extension::default() {
            return self.to_json();
        }
        let norm = Map::from_iter([(EXTENDED_NORM.to_owned(), self.norm_mlp.clone().into())]);
        self.sorted_json(vec![
            ("model_type", EXTENDED_MODEL_TYPE.into()),
            ("norm_mlp", Value::Object(norm)),
        ])
    }

    /// The fields in the order of their names, some of them with other values.
    fn sorted_json(&self, others: Vec<(&str, Value)>) -> Result<String> {
        let value = serde_json::to_value(self)
            .map_err(|e| Error::internal("the configuration cannot be written").because(e))?;
        let Value::Object(mut fields) = value else {
            return Err(Error::internal("a configuration did not become a JSON object"));
        };
        fields.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
        fields.push(("num_patches".into(), self.num_patches().into()));
        fields.push(("patch_last".into(), true.into()));
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let sorted = Value::Object(fields.into_iter().collect());
        let text = serde_json::to_string_pretty(&sorted)
            .map_err(|e| Error::internal("the configuration cannot be written").because(e))?;
        Ok(text + "\n")
    }

    /// Number of patches, N.
    pub fn num_patches(&self) -> usize {
        let room = self.context_length.max(self.patch_length) - self.patch_length;
        room / self.patch_stride.max(1) + 1
    }

    /// Oldest time steps of the context that no patch covers: `(L - p) mod s`.
    pub fn patch_start(&self) -> usize {
        self.context_length - self.patch_length - self.patch_stride * (self.num_patches() - 1)
    }

    /// Whether layers have a channel mixer. An unknown mode has none, as in the reference.
    pub fn mixes_channels(&self) -> bool {
        self.mode == "mix_channel"
    }

    /// The norm that `norm_mlp` asks for.
    pub fn norm(&self) -> Norm {
        if self.norm_mlp.to_lowercase().contains("batch") { Norm::Batch } else { Norm::Layer }
    }

    /// The scaler that `scaling` asks for: `true` is the std scaler, whatever the reference's
    /// documentation says.
    pub fn scaler(&self) -> Scaler {
        if let Some(Level { season }) = self.extension().level {
            return Scaler::Level { season };
        }
        let number = |key: &str| self.extra.get(key).and_then(Value::as_f64);
        let std = || Scaler::Std {
            minimum_scale: number("minimum_scale").unwrap_or(1e-5),
            location: self.ptsm.as_ref().map_or(Location::Mean, |extension| extension.location),
        };
        match &self.scaling {
            Value::Bool(true) => std(),
            Value::String(name) if name == "std" => std(),
            Value::String(name) if name == "mean" => Scaler::Mean {
                minimum_scale: number("minimum_scale").unwrap_or(1e-10),
                default_scale: number("default_scale"),
            },
            _ => Scaler::None,
        }
    }

    /// The distribution of a head with `loss = "nll"`; `None` with `loss = "mse"`.
    pub fn distribution(&self) -> Option<Distribution> {
        match (self.loss.as_str(), self.distribution_output.as_str()) {
            ("nll", "student_t") => Some(Distribution::StudentT),
            ("nll", "normal") => Some(Distribution::Normal),
            ("nll", "negative_binomial") => Some(Distribution::NegativeBinomial),
            _ => None,
        }
    }

    /// Channels that are forecast, ascending.
    pub fn prediction_channels(&self) -> Vec<usize> {
        match &self.prediction_channel_indices {
            Some(indices) => indices.clone(),
            None => (0..self.num_input_channels).collect(),
        }
    }

    /// The task that `architectures` names; a file without it is taken for a forecaster.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if none of the classes is one of PatchTSMixer's.
    pub fn task(&self) -> Result<Task> {
        let names = self.architectures.as_deref().unwrap_or_default();
        if names.is_empty() {
            return Ok(Task::Forecasting);
        }
        names.iter().find_map(|name| Task::from_architecture(name)).ok_or_else(|| {
            let text = format!("is {names:?}, wanted one of PatchTSMixer's model classes");
            Error::config("architectures", text)
        })
    }
}

/// Deserialises, naming the field in the error where serde knows only the value.
fn serde_path(value: Value) -> Result<Config> {
    let Value::Object(fields) = &value else { unreachable!("the caller checked for an object") };
    match serde_json::from_value::<Config>(value.clone()) {
        Ok(config) => Ok(config),
        Err(error) => {
            // Each field by itself over the defaults: the first one that fails is the wrong one.
            let wrong = fields.iter().find(|(name, field)| {
                let alone = Map::from_iter([((*name).clone(), (*field).clone())]);
                serde_json::from_value::<Config>(Value::Object(alone)).is_err()
            });
            let place = wrong.map_or("config.json".to_owned(), |(name, _)| name.clone());
            Err(Error::config(place, "has an impossible value").because(error))
        }
    }
}

fn one_or_many<'de, D>(from: D) -> std::result::Result<Vec<usize>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(usize),
        Many(Vec<usize>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

#[cfg(test)]
mod tests;
