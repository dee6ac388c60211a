//! Ensembles that label cases: networks whose probabilities, or values, are averaged.

use std::path::Path;

use super::description::{Description, Member, read_description};
use super::names::check_name;
use crate::model_dir::ModelDir;
use crate::preprocessor::Preprocessor;
use crate::{Error, Model, Result};
use ptsm_core::write_listed;

/// The networks of a directory that labels cases: its own, or those of an ensemble; at least one.
///
/// # Errors
///
/// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file; `InvalidConfig` too for an ensemble with anything but
/// networks of the same weight.
pub fn labelling_networks(dir: &Path) -> Result<Vec<Model>> {
    let files = ModelDir::new(dir);
    if !files.is_ensemble() {
        return Ok(vec![Model::from_dir(dir)?]);
    }
    let members = read_description(&files)?.members;
    let even = 1.0 / members.len() as f64;
    let network = |member: &Member| match &member.name {
        Some(name) if (member.weight - even).abs() < 1e-6 => {
            Model::from_dir(files.member(name).path())
        }
        _ => {
            let text = "wanted networks of the same weight, whose labels are averaged";
            Err(Error::config("members", text).at(files.ensemble().display().to_string()))
        }
    };
    members.iter().map(network).collect()
}

/// Writes `ensemble.json` and the preprocessor of networks that label cases into a directory that is being filled; they
/// are in `members/NAME` already, and have the same weight.
///
/// # Errors
///
/// `InvalidConfig` for a name that is none; `Io`, naming the file.
pub(crate) fn write_labelling(
    staged: &ModelDir,
    names: &[String],
    preprocessor: &Preprocessor,
) -> Result<()> {
    names.iter().try_for_each(|name| check_name(name))?;
    let weight = 1.0 / names.len() as f64;
    let member = |name: &String| Member { name: Some(name.clone()), ..Member::weighing(weight) };
    let description = Description { window: None, members: names.iter().map(member).collect() };
    preprocessor.save(staged.path())?;
    let text = serde_json::to_string_pretty(&description)
        .map_err(|e| Error::internal("an ensemble cannot be described").because(e))?;
    write_listed(&staged.ensemble(), text.as_bytes())
}
