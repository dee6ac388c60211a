//! What a training run is told: one TOML file, the same fields as the command's flags.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Schedule;
use crate::data::Transform;
use crate::weights::Init;
use crate::{Error, ErrorKind, Result};

/// A recipe file: `[model]` holds fields of `config.json`, `[data]` and `[training]` those below.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Fields of `config.json`, by their Hugging Face names.
    pub model: Map<String, Value>,
    /// Where the data come from and how they are split; names as the command's flags.
    pub data: Map<String, Value>,
    /// How the model is trained.
    pub training: Training,
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
            window_step: 1,
            transform: Transform::None,
            init: Init::PyTorch,
            seed: 0,
            checkpoint_steps: 200,
        }
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
        let recipe: Recipe = toml::from_str(text)
            .map_err(|e| Error::new(ErrorKind::InvalidConfig, "is no recipe").because(e))?;
        recipe.training.validate()?;
        Ok(recipe)
    }

    /// The text of a recipe file.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if a model field is null, which TOML cannot say.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| {
            Error::new(ErrorKind::InvalidConfig, "a recipe cannot be written").because(e)
        })
    }
}

impl Training {
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
        for (field, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
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
        assert_eq!(recipe.model["d_model"], 16);
        assert_eq!(Recipe::from_toml(&recipe.to_toml().unwrap()).unwrap(), recipe);
    }

    #[test]
    fn bad_recipes_say_where() {
        let table = [
            ("[training]\nlerning_rate = 1", "unknown field `lerning_rate`"),
            ("[training]\nlearning_rate = 0", "learning_rate: 0 must be above 0"),
            ("[training]\nwindow_step = 0", "window_step: 0 must be at least 1"),
            ("[training]\nbatch_size = 0", "batch_size: 0 must be at least 1"),
            ("[training]\nbeta2 = 1.0", "beta2: 1 must be at least 0 and below 1"),
            ("[training]\nschedule = \"step\"", "unknown variant `step`"),
            ("[training", "line 1"),
        ];
        for (text, wanted) in table {
            let error = Recipe::from_toml(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(wanted), "{text}: {error}");
        }
    }
}
