//! What a training run is told: one TOML file, the same fields as the command's flags.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::loss::{LossOptions, PointLoss};
use super::{Schedule, SkipStart};
use crate::data::Transform;
use crate::spec::{DataSpec, ModelSpec, from_fields, with_nearest};
use crate::weights::Init;
use crate::{Error, ErrorKind, Result};

/// A recipe file: `[model]` holds fields of `config.json`, `[data]` and `[training]` those below.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Fields of `config.json`, by their Hugging Face names.
    pub model: ModelSpec,
    /// Where the data come from and how they are split; names as the command's flags.
    pub data: DataSpec,
    /// How the model is trained.
    pub training: Training,
    /// Members of an ensemble, each by what it has other than the tables above; none = one model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// What one member of an ensemble, or one choice of a search, has other than the recipe around it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Member {
    /// Fields of `config.json`.
    pub model: Map<String, Value>,
    /// Fields of [`Training`].
    pub training: Map<String, Value>,
}

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Passes over the training windows.
    pub epochs: u32,
    /// Windows per optimiser step.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// Steps in which the learning rate rises linearly at the start.
    pub warmup_steps: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's term under the fraction.
    pub eps: f64,
    /// Largest norm of the whole gradient; longer ones are shortened to it.
    pub gradient_clip: Option<f64>,
    /// Epochs without a better validation loss after which training stops; `None` = never.
    pub patience: Option<u32>,
    /// Smallest improvement of the validation loss that counts.
    pub min_delta: f64,
    /// Train the head alone, on what the backbone gives in evaluation (linear probing).
    pub freeze_backbone: bool,
    /// Weight of each class in the cross entropy, in the order of the classes.
    pub class_weights: Option<Vec<f64>>,
    /// Share of the absolute error in the loss of a point forecast, 0 to 1; the rest is squared.
    pub mae_share: f64,
    /// Errors of a point forecast beyond this, in standardised units, cost as their size, not as
    /// its square (Huber's loss); `None` = all are squared.
    pub huber_delta: Option<f64>,
    /// Decay per step of a moving average of the weights, which is what is scored and kept; `None`
    /// keeps the weights themselves.
    pub ema_decay: Option<f64>,
    /// Where a linear skip starts.
    pub skip_start: SkipStart,
    /// Learning rate of the linear skip as a share of the others'; 0 leaves it where it starts.
    pub skip_rate: f64,
    /// Steps from one training window to the next; 1 = every window.
    pub window_step: usize,
    /// What is done to the values of the channels before they are standardised.
    pub transform: Transform,
    /// Style of the initial weights.
    pub init: Init,
    /// Seed of the initial weights, the order of the windows and dropout.
    pub seed: u64,
    /// Steps between checkpoints, besides those at the end of every epoch; 0 = none.
    pub checkpoint_steps: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            learning_rate: 1e-3,
            schedule: Schedule::OneCycle,
            warmup_steps: 0,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            gradient_clip: None,
            patience: Some(4),
            min_delta: 0.0,
            freeze_backbone: false,
            class_weights: None,
            mae_share: 0.0,
            huber_delta: None,
            ema_decay: None,
            skip_start: SkipStart::Ridge,
            skip_rate: 0.0,
            window_step: 1,
            transform: Transform::None,
            init: Init::PyTorch,
            seed: 0,
            checkpoint_steps: 200,
        }
    }
}

impl Member {
    /// The field of it, if any, that makes validation losses something else: another loss, or other
    /// units.
    pub fn changes_the_measure(&self) -> Option<&'static str> {
        let model = ["loss", "distribution_output"];
        let found = model.into_iter().find(|name| self.model.contains_key(*name));
        found.or_else(|| self.training.contains_key("transform").then_some("transform"))
    }
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be read, `InvalidConfig` (with line and column) if it is no recipe.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
        Self::from_toml(&text).map_err(|e| e.at(path.display().to_string()))
    }

    /// Parses the text of a recipe file.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, with line and column.
    pub fn from_toml(text: &str) -> Result<Self> {
        let recipe: Recipe = toml::from_str(text).map_err(|e| {
            let cause = with_nearest(&e.to_string());
            Error::new(ErrorKind::InvalidConfig, "is no recipe").because(cause)
        })?;
        recipe.training.validate()?;
        recipe.resolve_members()?;
        Ok(recipe)
    }

    /// The whole recipe of every member; empty for one model.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the member.
    pub fn resolve_members(&self) -> Result<Vec<Recipe>> {
        let resolve = |(number, member): (usize, &Member)| {
            let alone = Recipe { members: Vec::new(), ..self.clone() };
            alone.with_at(member, &format!("members[{number}]."))
        };
        self.members.iter().enumerate().map(resolve).collect()
    }

    /// This recipe with what `other` has otherwise.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field of the model or the training that is not understood.
    pub fn with(&self, other: &Member) -> Result<Recipe> {
        self.with_at(other, "")
    }

    /// As [`Recipe::with`]; messages name the tables behind `prefix`.
    fn with_at(&self, other: &Member, prefix: &str) -> Result<Recipe> {
        let mut recipe = self.clone();
        recipe.model.overlay(&from_fields(&format!("{prefix}model"), &other.model)?);
        let training = serde_json::to_value(&self.training)
            .map_err(|e| Error::internal("a training cannot be written").because(e))?;
        if let Value::Object(mut fields) = training {
            fields.extend(other.training.clone());
            recipe.training = from_fields(&format!("{prefix}training"), &fields)?;
        }
        recipe.training.validate().map_err(|e| e.at(format!("{prefix}training")))?;
        Ok(recipe)
    }

    /// 16 hex digits that stand for this recipe under `circumstances`, such as the data and the
    /// version of the program: another recipe or another circumstance has others.
    ///
    /// # Errors
    ///
    /// `Internal` if the recipe cannot be written.
    pub fn fingerprint(&self, circumstances: &[&str]) -> Result<String> {
        // The fields of config.json with sorted names: neither the order in a file matters nor which
        // of two words for the same thing it uses.
        let model: BTreeMap<String, Value> = self.model.fields()?.into_iter().collect();
        let parts = (model, &self.training, &self.members, circumstances);
        let text = serde_json::to_vec(&parts)
            .map_err(|e| Error::internal("a recipe cannot be written").because(e))?;
        Ok(Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text of a recipe file.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if a member has a field that is null, which TOML cannot say.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| {
            Error::new(ErrorKind::InvalidConfig, "a recipe cannot be written").because(e)
        })
    }
}

impl Training {
    /// The choices of the loss that training makes small.
    pub fn loss_options(&self) -> LossOptions {
        let Training { mae_share, huber_delta, .. } = *self;
        LossOptions {
            class_weights: self.class_weights.clone(),
            as_reference: false,
            point: PointLoss { mae_share, huber_delta },
        }
    }

    /// The choices of the loss that picks the epoch: point forecasts are always judged by their
    /// squared error.
    pub fn score_options(&self) -> LossOptions {
        LossOptions { point: PointLoss::default(), ..self.loss_options() }
    }

    /// Checks every number.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("epochs", u64::from(self.epochs)),
            ("batch_size", self.batch_size as u64),
            ("window_step", self.window_step as u64),
        ];
        for (field, value) in counts {
            if value == 0 {
                return Err(Error::config(field, "0 must be at least 1"));
            }
        }
        let positive = [
            ("learning_rate", Some(self.learning_rate)),
            ("eps", Some(self.eps)),
            ("gradient_clip", self.gradient_clip),
            ("huber_delta", self.huber_delta),
        ];
        for (field, value) in positive {
            if let Some(value) = value
                && !(value.is_finite() && value > 0.0)
            {
                return Err(Error::config(field, format!("{value} must be above 0")));
            }
        }
        for (field, value) in [("weight_decay", self.weight_decay), ("min_delta", self.min_delta)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::config(field, format!("{value} must be at least 0")));
            }
        }
        for (field, value) in [("mae_share", self.mae_share), ("skip_rate", self.skip_rate)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(field, format!("{value} must be 0 to 1")));
            }
        }
        let ema_decay = self.ema_decay.unwrap_or_default();
        let decays = [("beta1", self.beta1), ("beta2", self.beta2), ("ema_decay", ema_decay)];
        for (field, value) in decays {
            if !(0.0..1.0).contains(&value) {
                let text = format!("{value} must be at least 0 and below 1");
                return Err(Error::config(field, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_survives_its_file() {
        let text = "[model]\nd_model = 16\nscaling = \"std\"\n[training]\nlearning_rate = 5e-4\n\
                    schedule = \"cosine\"\ninit = \"normal\"\npatience = 3\n";
        let recipe = Recipe::from_toml(text).unwrap();
        assert_eq!(recipe.training.schedule, Schedule::Cosine);
        assert_eq!(recipe.model.d_model, Some(16));
        assert_eq!(Recipe::from_toml(&recipe.to_toml().unwrap()).unwrap(), recipe);
    }

    #[test]
    fn members_of_an_ensemble_take_the_rest_from_the_recipe() {
        let text = "[model]\nd_model = 16\npatch_length = 8\n[training]\nepochs = 3\n\
                    [[members]]\nmodel = { patch_length = 16 }\n\
                    [[members]]\ntraining = { seed = 7 }\n";
        let recipe = Recipe::from_toml(text).unwrap();
        let members = recipe.resolve_members().unwrap();
        let read = |i: usize| {
            let Recipe { model, training, .. } = &members[i];
            (model.d_model, model.patch_length, training.epochs, training.seed)
        };
        assert_eq!(read(0), (Some(16), Some(16), 3, 0));
        assert_eq!(read(1), (Some(16), Some(8), 3, 7));
        let error = Recipe::from_toml("[[members]]\ntraining = { sed = 7 }").unwrap_err();
        assert!(error.to_string().contains("members[0].training"), "{error}");
        assert_eq!(Recipe::from_toml(&recipe.to_toml().unwrap()).unwrap(), recipe);
    }

    #[test]
    fn a_fingerprint_stands_for_all_that_decides_a_run() {
        let read = |text: &str| Recipe::from_toml(text).unwrap();
        let of = |text: &str, data: &str| read(text).fingerprint(&[data]).unwrap();
        let base = of("[model]\nd_model = 8\npatch_length = 4", "x");
        assert_eq!(base.len(), 16);
        assert_eq!(base, of("[model]\npatch_length = 4\nd_model = 8", "x"));
        assert_ne!(base, of("[model]\nd_model = 8\npatch_length = 4", "y"));
        assert_ne!(base, of("[model]\nd_model = 9\npatch_length = 4", "x"));
        let seeded = "[model]\nd_model = 8\npatch_length = 4\n[training]\nseed = 1";
        assert_ne!(base, of(seeded, "x"));
    }

    #[test]
    fn bad_recipes_say_where() {
        let table = [
            ("[training]\nlerning_rate = 1", "unknown field `lerning_rate`"),
            ("[training]\nlearning_rate = 0", "learning_rate: 0 must be above 0"),
            ("[training]\nwindow_step = 0", "window_step: 0 must be at least 1"),
            ("[training]\nmae_share = 2", "mae_share: 2 must be 0 to 1"),
            ("[training]\nhuber_delta = 0", "huber_delta: 0 must be above 0"),
            ("[training]\nema_decay = 1", "ema_decay: 1 must be at least 0 and below 1"),
            ("[training]\nbatch_size = 0", "batch_size: 0 must be at least 1"),
            ("[training]\nbeta2 = 1.0", "beta2: 1 must be at least 0 and below 1"),
            ("[training]\nschedule = \"step\"", "unknown variant `step`"),
            ("[training]\nschedule = \"cosin\"", "did you mean `cosine`?"),
            ("[training", "line 1"),
            ("[model]\nmode = \"mix_chanel\"", "did you mean `mix_channel`?"),
            ("[model]\nscaling = \"standard\"", "expected one of `std`, `mean`, `none`"),
            ("[model]\nnorm_mlp = \"btach\"", "expected `LayerNorm` or `BatchNorm`"),
            ("[model]\nd_modell = 8", "did you mean `d_model`?"),
            ("[data]\ntarget = [\"x\"]", "did you mean `targets`?"),
            ("[[members]]\nmodel = { mode = \"hybird\" }", "members[0].model mode"),
        ];
        for (text, wanted) in table {
            let error = Recipe::from_toml(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(wanted), "{text}: {error}");
        }
    }
}
