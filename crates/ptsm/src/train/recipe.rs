//! [`Recipe`]: the settings of a training run as a TOML file, with the same names as the command's
//! flags.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use ptsm_core::train::Training;

use crate::spec::{DataSpec, ModelSpec, from_fields, with_nearest};
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
    /// Members of an ensemble, each by its differences from the tables above; none = one model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// The differences of one member of an ensemble, or one choice of a search, from the recipe around
/// it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Member {
    /// Fields of `config.json`.
    pub model: Map<String, Value>,
    /// Fields of [`Training`].
    pub training: Map<String, Value>,
}

impl Member {
    /// The field, if any, that makes validation losses incomparable with those of the recipe:
    /// another loss, or other units.
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
    /// `Io` if it cannot be read, `InvalidConfig` (with line and column) if it is not a recipe.
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
            Error::new(ErrorKind::InvalidConfig, "is not a valid recipe").because(cause)
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

    /// This recipe with the differences of `other`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field of the model or the training that is not understood.
    pub fn with(&self, other: &Member) -> Result<Recipe> {
        self.with_at(other, "")
    }

    /// As [`Recipe::with`]; messages put `prefix` before the names of the tables.
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

    /// A digest, in 16 hex digits, of this recipe and `circumstances`, such as the data and the
    /// version of the program.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Schedule;

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
            ("[model]\nscaling = \"standard\"", "expected one of `std`, `mean`, `level`, `none`"),
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
