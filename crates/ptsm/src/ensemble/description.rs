//! `ensemble.json`: the members of an ensemble, by name and weight.

use serde::{Deserialize, Serialize};

use super::check::EnsembleWindow;
use super::names::check_name;
use crate::classical::Classical;
use crate::model_dir::ModelDir;
use crate::zero_shot::ZERO_SHOT_RULE;
use crate::{Error, ErrorKind, Result};
use ptsm_core::require_listed_text;

/// One member of a description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    /// Name of the folder of a network, see [`ModelDir::member`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Name of the folder of a ridge regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ridge: Option<String>,
    /// The classical method that it is, if it is no network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) classical: Option<Classical>,
    /// The network that forecasts any series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zero_shot: Option<ZeroShotMember>,
    /// Weight of its forecast in the mean; the weights of all members add up to 1.
    pub(super) weight: f64,
}

/// A network that was trained on other series, as a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZeroShotMember {
    /// Name of its folder.
    pub(super) name: String,
    /// Version of the rule by which it forecasts.
    pub(super) rule: u32,
    /// Steps of a season.
    pub(super) season: usize,
}

impl Member {
    /// A member that is nothing yet.
    pub(super) fn weighing(weight: f64) -> Self {
        Self { name: None, ridge: None, classical: None, zero_shot: None, weight }
    }

    /// The name of its folder; `None` for a classical method.
    fn folder(&self) -> Option<&String> {
        let zero_shot = self.zero_shot.as_ref().map(|zero_shot| &zero_shot.name);
        self.name.as_ref().or(self.ridge.as_ref()).or(zero_shot)
    }
}

/// The contents of `ensemble.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    /// Of the ensemble, where the first network does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<EnsembleWindow>,
    pub(super) members: Vec<Member>,
}

/// The contents of `ensemble.json`, validated.
pub(super) fn read_description(files: &ModelDir) -> Result<Description> {
    let path = files.ensemble();
    let text = require_listed_text(&path)?;
    let bad =
        |text: String| Error::new(ErrorKind::InvalidConfig, text).at(path.display().to_string());
    let description: Description = serde_json::from_str(&text)
        .map_err(|e| bad("does not describe an ensemble".into()).because(e))?;
    let members = &description.members;
    for (number, member) in members.iter().enumerate() {
        let Member { name, ridge, classical, zero_shot, .. } = member;
        let given = [name.is_some(), ridge.is_some(), classical.is_some(), zero_shot.is_some()];
        if given.into_iter().filter(|&given| given).count() != 1 {
            let text = format!(
                "member {number} wants a name, a ridge, a classical method or a network for any series"
            );
            return Err(bad(text));
        }
        if let Some(other) = zero_shot.as_ref().map(|one| one.rule).filter(|&r| r != ZERO_SHOT_RULE)
        {
            let text = format!(
                "member {number} forecasts by rule {other} for networks that were trained on other \
                 series; this version knows rule {ZERO_SHOT_RULE} (train again)"
            );
            return Err(bad(text));
        }
        if let Some(name) = member.folder() {
            check_name(name).map_err(|e| e.at(path.display().to_string()))?;
        }
    }
    let sum: f64 = members.iter().map(|member| member.weight).sum();
    let sound = members.iter().all(|member| member.weight.is_finite() && member.weight >= 0.0);
    if !sound || (sum - 1.0).abs() > 1e-6 {
        return Err(bad(format!("the weights add up to {sum}, wanted 1, none below 0")));
    }
    Ok(description)
}
