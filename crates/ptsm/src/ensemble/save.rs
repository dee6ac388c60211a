//! Members of an ensemble, written into a model directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::{EnsembleWindow, check_members};
use super::description::{Description, Member, ZeroShotMember};
use super::linear::{self, Linear};
use super::names::{check_name, new_names};
use crate::classical::Classical;
use crate::model_dir::ModelDir;
use crate::model_writer::ModelWriter;
use crate::preprocessor::Preprocessor;
use crate::zero_shot::{ZERO_SHOT_RULE, ZeroShot};
use crate::{Config, Error, Model, Result};
use ptsm_core::{list_all, write_listed};

/// A member of an ensemble that is saved.
#[derive(Debug, Clone)]
pub enum SavedMember {
    /// The network that is in `members/NAME` of the model directory already.
    Network(String),
    /// A ridge regression, to be written into `members/NAME`.
    Linear(String, Arc<Linear>),
    /// A classical method.
    Classical(Classical),
    /// A network that was trained on other series, to be written into `members/NAME`.
    ZeroShot(String, Arc<ZeroShot>),
}

/// Makes the directory an ensemble of the networks in `members/NAME` below it, which share
/// `preprocessor`; every member has the same weight.
///
/// # Errors
///
/// `InvalidConfig` if they cannot be averaged; `Io` if a file cannot be read or written.
pub fn save_ensemble(
    writer: &ModelWriter,
    names: &[String],
    preprocessor: &Preprocessor,
) -> Result<()> {
    writer.replace(|staged| {
        let place = Place { dir: writer.dir(), staged };
        write_weighted(place, &evenly(names), None, preprocessor)
    })
}

/// These networks, all with the same weight.
fn evenly(names: &[String]) -> Vec<(SavedMember, f64)> {
    let weight = 1.0 / names.len() as f64;
    names.iter().map(|name| (SavedMember::Network(name.clone()), weight)).collect()
}

/// A model directory and the one that is filled to replace it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a ModelDir,
    pub(crate) staged: &'a ModelDir,
}

impl Place<'_> {
    /// The folder of a member, which is new or there already.
    fn member(&self, name: &str) -> ModelDir {
        let new = self.staged.member(name);
        if new.path().is_dir() { new } else { self.dir.member(name) }
    }
}

/// As [`save_ensemble`], with classical methods and weights, into a directory that is being filled; gives
/// the names of the members. `window` is that of the whole, where classical methods are among them.
///
/// # Errors
///
/// As [`save_ensemble`].
pub(crate) fn write_weighted(
    place: Place<'_>,
    members: &[(SavedMember, f64)],
    window: Option<EnsembleWindow>,
    preprocessor: &Preprocessor,
) -> Result<Vec<String>> {
    let (mut configs, mut names, mut described) = (Vec::new(), Vec::new(), Vec::new());
    for (member, weight) in members {
        let mut one = Member::weighing(*weight);
        match member {
            SavedMember::Network(name) => {
                check_name(name)?;
                configs.push(Config::from_file(&place.member(name).config())?);
                names.push(name.clone());
                one.name = Some(name.clone());
            }
            SavedMember::Linear(name, linear) => {
                check_name(name)?;
                linear::write(&place.staged.member(name), linear)?;
                names.push(name.clone());
                one.ridge = Some(name.clone());
            }
            SavedMember::Classical(classical) => one.classical = Some(*classical),
            SavedMember::ZeroShot(name, zero_shot) => {
                check_name(name)?;
                let folder = place.staged.member(name);
                zero_shot.network().save(folder.path())?;
                list_all(folder.path())?;
                names.push(name.clone());
                let (name, season) = (name.clone(), zero_shot.season());
                one.zero_shot = Some(ZeroShotMember { name, rule: ZERO_SHOT_RULE, season });
            }
        }
        described.push(one);
    }
    let networks: Vec<&Config> = configs.iter().collect();
    let whole = check_members(&networks, networks.len() < members.len(), window)?;
    let differs = networks.first().is_none_or(|c| c.context_length != whole.context_length);
    let window = EnsembleWindow {
        context_length: whole.context_length,
        prediction_length: whole.prediction_length,
        num_input_channels: whole.num_input_channels,
    };
    preprocessor.save(place.staged.path())?;
    let description = Description { window: differs.then_some(window), members: described };
    let text = serde_json::to_string_pretty(&description)
        .map_err(|e| Error::internal("an ensemble cannot be described").because(e))?;
    write_listed(&place.staged.ensemble(), text.as_bytes())?;
    Ok(names)
}

/// Makes `out` an ensemble of copies of the models in `members`; returns the number of their
/// parameters.
///
/// # Errors
///
/// `InvalidConfig` if there is no member, or they cannot be averaged; `Io`, `InvalidWeights` from
/// the files.
pub fn join(out: &Path, members: &[PathBuf]) -> Result<usize> {
    let mut first: Option<(&Path, Preprocessor)> = None;
    let mut models = Vec::new();
    for dir in members {
        let model = Model::from_dir(dir)?;
        let preprocessor = Preprocessor::from_dir(dir, model.config())?;
        if let Some((first, theirs)) = &first {
            let first = first.display();
            let text = if theirs.channels != preprocessor.channels {
                Some(format!(
                    "reads {}, and {first} reads {}: the members of a mean read the same channels",
                    preprocessor.channels.join(", "),
                    theirs.channels.join(", ")
                ))
            } else if theirs.standardiser != preprocessor.standardiser {
                Some(format!(
                    "standardises the channels otherwise than {first}, as they were trained on other rows (train them \
                     on the same data with the same split)"
                ))
            } else {
                None
            };
            if let Some(text) = text {
                return Err(Error::config(dir.display().to_string(), text));
            }
        }
        first.get_or_insert((dir, preprocessor));
        models.push(model);
    }
    check_members(&models.iter().map(Model::config).collect::<Vec<_>>(), false, None)?;
    let Some((_, preprocessor)) = first else {
        return Err(Error::config("members", "there is none, wanted at least one"));
    };
    let writer = ModelWriter::new(&ModelDir::new(out))?;
    let names = new_names(writer.dir(), models.len());
    writer.replace(|staged| {
        for (model, name) in models.iter().zip(&names) {
            let member = staged.member(name);
            model.save(member.path())?;
            list_all(member.path())?;
        }
        let place = Place { dir: writer.dir(), staged };
        write_weighted(place, &evenly(&names), None, &preprocessor)
    })?;
    Ok(models.iter().map(|model| model.layout().num_trained()).sum())
}
