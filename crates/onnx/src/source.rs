//! What an export is made of: the networks and regressions of a model directory, and how its data are read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ptsm::core::{WEIGHTS_INDEX_FILE, read_consistently, sha256};
use ptsm::data::LabelCoding;
use ptsm::ensemble::{
    MemberModel, Members, labelling_networks, member_dirs, member_names, task_of,
};
use ptsm::heads::{MAIN_HEAD, list_heads, load_heads};
use ptsm::model_dir::{HeadFile, ModelDir};
use ptsm::preprocessor::Preprocessor;
use ptsm::zero_shot::{is_builtin, zero_shot_network};
use ptsm::{Config, Error, Model, Result, Task};
use serde::Deserialize;

use crate::options::Options;

/// One head of a network.
pub(crate) struct Head {
    /// `main`, or the name that it was added under.
    pub(crate) name: String,
    pub(crate) model: Model,
    /// How its outputs become labels.
    pub(crate) labels: Option<LabelCoding>,
}

/// A member of an ensemble.
pub(crate) struct Member {
    /// Its folder, or what it is and its place.
    pub(crate) name: String,
    pub(crate) model: MemberModel,
    pub(crate) weight: f32,
}

/// What computes.
pub(crate) enum Parts {
    /// Heads on one backbone; all models have it. The first one is the model directory's own where that is exported.
    Heads(Vec<Head>),
    /// Forecasters whose forecasts are averaged.
    Forecasters { config: Box<Config>, members: Vec<Member> },
    /// Networks whose labels are averaged.
    Labellers { networks: Vec<(String, Model)>, labels: Option<LabelCoding> },
}

/// Everything that a file is made of.
pub(crate) struct Source {
    pub(crate) parts: Parts,
    /// How the data are read; `None` of a folder without that, as Hugging Face saves it.
    pub(crate) preprocessor: Option<Preprocessor>,
    /// SHA-256 of every file of weights, by its name in the model directory.
    pub(crate) weights: Vec<(String, String)>,
    /// What the file does not hold, in words.
    pub(crate) notes: Vec<String>,
}

impl Source {
    /// A model by itself, whose numbers are those of the network.
    pub(crate) fn of_model(model: Model, options: &Options) -> Result<Self> {
        require_use(model.config().task()?)?;
        if let Some(name) = &options.member {
            let text = format!(
                "\"{name}\": a model in memory has no members (export the directory of an ensemble)"
            );
            return Err(Error::config("member", text));
        }
        if let Some(names) = &options.heads {
            let text = format!(
                "{}: a model in memory has one head, its own (export the directory of the model to choose)",
                names.join(", ")
            );
            return Err(Error::config("heads", text));
        }
        let head = Head { name: MAIN_HEAD.to_owned(), model, labels: None };
        let (parts, weights) = (Parts::Heads(vec![head]), Vec::new());
        Ok(Self { parts, preprocessor: None, weights, notes: Vec::new() })
    }

    /// A model directory, or a folder that Hugging Face wrote.
    pub(crate) fn read(dir: &Path, options: &Options) -> Result<Self> {
        if is_builtin(dir) {
            let text = "builtin forecasts through forms of each series that are chosen by its season, which is no single \
                        graph (train a model on a table, and export that)";
            return Err(Error::config("model", text));
        }
        read_consistently(dir, || Self::read_dir(dir, options))
            .map_err(|e| e.at(dir.display().to_string()))
    }

    fn read_dir(dir: &Path, options: &Options) -> Result<Self> {
        let files = ModelDir::new(dir);
        let (task, ensemble) = (task_of(dir)?, files.is_ensemble());
        require_use(task)?;
        if zero_shot_network(dir)?.is_some() {
            let text = "forecasts any series, through forms of each that are chosen by its season, which is no single graph \
                        (train a model on a table, and export that)";
            return Err(Error::config("model", text));
        }
        if options.member.is_some() && !ensemble {
            return Err(Error::config("member", "is for ensembles; this is one network"));
        }
        if options.heads.is_some() && ensemble {
            return Err(Error::config("heads", "is for a network with several heads"));
        }
        let parts = match (&options.member, ensemble, task) {
            (Some(name), _, _) => only_member(&files, name)?,
            (None, true, Task::Forecasting) => forecasters(&files)?,
            (None, true, _) => labellers(&files)?,
            (None, false, _) => heads(&files, options)?,
        };
        let mut source = Self::of_parts(&files, parts)?;
        source.check()?;
        source.weights = weights(&files, &source.parts, options)?;
        let calibrated = match &options.member {
            Some(name) => files.member(name).calibration().is_file(),
            None => files.calibration().is_file(),
        };
        source.notes.extend(calibrated.then(|| source.calibration_note()).flatten());
        Ok(source)
    }

    /// What is said of calibrated intervals, which are those of the first head of a directory or of the whole of an
    /// ensemble; `None` where those are not exported.
    fn calibration_note(&self) -> Option<String> {
        let of = match &self.parts {
            Parts::Heads(heads) => {
                heads.iter().find(|head| head.name == MAIN_HEAD)?;
                if heads.len() > 1 { format!(" of the head {MAIN_HEAD}") } else { String::new() }
            }
            _ => String::new(),
        };
        Some(format!(
            "calibrated intervals{of} are not in the file: their widths depend on more than its outputs"
        ))
    }

    /// Numbers of all weights, those of a shared backbone once.
    pub(crate) fn numbers(&self) -> usize {
        let all = |model: &Model| model.parameters.trained.len() + model.parameters.buffers.len();
        match &self.parts {
            Parts::Heads(heads) => {
                let own = |head: &Head| -> usize {
                    head.model.layout().head_tensors().iter().map(|tensor| tensor.range.len()).sum()
                };
                all(&heads[0].model) + heads[1..].iter().map(own).sum::<usize>()
            }
            Parts::Forecasters { members, .. } => {
                let own = |member: &Member| match &member.model {
                    MemberModel::Network(model) => all(model),
                    MemberModel::Linear(linear) => linear.weights().0.len(),
                    MemberModel::Classical(_) | MemberModel::ZeroShot(_) => 0,
                };
                members.iter().map(own).sum()
            }
            Parts::Labellers { networks, .. } => networks.iter().map(|(_, model)| all(model)).sum(),
        }
    }

    fn of_parts(files: &ModelDir, mut parts: Parts) -> Result<Self> {
        let preprocessor = match files.preprocessor().is_file() {
            true => Some(Preprocessor::from_dir(files.path(), &parts_config(&parts))?),
            false => None,
        };
        if let (Parts::Heads(heads), Some(own)) = (&mut parts, &preprocessor) {
            let main = heads.iter_mut().filter(|head| head.name == MAIN_HEAD);
            main.for_each(|head| head.labels.clone_from(&own.labels));
        }
        if let (Parts::Labellers { labels, .. }, Some(own)) = (&mut parts, &preprocessor) {
            labels.clone_from(&own.labels);
        }
        Ok(Self { parts, preprocessor, weights: Vec::new(), notes: Vec::new() })
    }

    /// Refuses what no graph computes.
    fn check(&self) -> Result<()> {
        let Parts::Forecasters { members, .. } = &self.parts else { return Ok(()) };
        for member in members {
            let what = match &member.model {
                MemberModel::Network(_) | MemberModel::Linear(_) => continue,
                MemberModel::Classical(method) => {
                    format!("{} is fitted to each window anew", method.method.name())
                }
                MemberModel::ZeroShot(_) => {
                    "a network for any series forecasts through forms of each one".to_owned()
                }
            };
            let networks: Vec<&str> = members
                .iter()
                .filter(|member| member.model.network().is_some())
                .map(|member| member.name.as_str())
                .collect();
            let out = match networks.as_slice() {
                [] => "train a network, and export that: its forecasts are others".to_owned(),
                some => {
                    let option = ptsm::core::option("member", Some(some[0]));
                    let all = some.join(", ");
                    format!(
                        "{option} exports one network alone, of {all}; its forecasts are others than the ensemble's"
                    )
                }
            };
            let text = format!("member {}: {what}, which is no graph ({out})", member.name);
            return Err(Error::config("members", text));
        }
        Ok(())
    }

    /// The configuration of the whole.
    pub(crate) fn config(&self) -> Config {
        parts_config(&self.parts)
    }
}

/// Refuses pretraining.
fn require_use(task: Task) -> Result<()> {
    if task != Task::Pretraining {
        return Ok(());
    }
    let text = "fills in hidden patches, which no runtime is asked for (train a forecaster or a classifier on its \
                backbone, and export that)";
    Err(Error::config("architectures", text))
}

fn parts_config(parts: &Parts) -> Config {
    match parts {
        Parts::Heads(heads) => heads[0].model.config().clone(),
        Parts::Forecasters { config, .. } => config.as_ref().clone(),
        Parts::Labellers { networks, .. } => networks[0].1.config().clone(),
    }
}

fn heads(files: &ModelDir, options: &Options) -> Result<Parts> {
    let dir = files.path();
    if list_heads(dir)?.is_empty() && options.heads.is_none() {
        let (name, model) = (MAIN_HEAD.to_owned(), Model::from_dir(dir)?);
        return Ok(Parts::Heads(vec![Head { name, model, labels: None }]));
    }
    let names = match &options.heads {
        Some(names) => names.clone(),
        None => std::iter::once(MAIN_HEAD.to_owned()).chain(list_heads(dir)?).collect(),
    };
    for (place, name) in names.iter().enumerate() {
        if names[..place].contains(name) {
            return Err(Error::config("heads", format!("\"{name}\" is named twice")));
        }
    }
    let heads = load_heads(dir, &names)?.into_iter();
    let head = |head: ptsm::heads::SharedHead| Head {
        name: head.name,
        model: head.model,
        labels: head.preprocessor.labels,
    };
    Ok(Parts::Heads(heads.map(head).collect()))
}

fn only_member(files: &ModelDir, name: &str) -> Result<Parts> {
    let dirs = member_dirs(files.path())?;
    let named = |dir: &ModelDir| folder_name(dir);
    let Some(dir) = dirs.iter().find(|dir| named(dir) == name) else {
        let known: Vec<String> = dirs.iter().map(named).collect();
        let text = format!("\"{name}\" is no network of this ensemble: {}", known.join(", "));
        return Err(Error::config("member", text));
    };
    let (name, model) = (MAIN_HEAD.to_owned(), Model::from_dir(dir.path())?);
    Ok(Parts::Heads(vec![Head { name, model, labels: None }]))
}

fn folder_name(dir: &ModelDir) -> String {
    dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn forecasters(files: &ModelDir) -> Result<Parts> {
    let Members { config, all } = Members::from_dir(files.path())?;
    let mut folders =
        member_dirs(files.path())?.iter().map(folder_name).collect::<Vec<_>>().into_iter();
    let member = |(number, (model, weight)): (usize, (MemberModel, f64))| {
        let folder = match &model {
            MemberModel::Network(_) => folders.next(),
            _ => None,
        };
        let name = folder.unwrap_or_else(|| format!("{}.{number}", model.name()));
        Member { name, model, weight: weight as f32 }
    };
    let members = all.into_iter().enumerate().map(member).collect();
    Ok(Parts::Forecasters { config: Box::new(config), members })
}

fn labellers(files: &ModelDir) -> Result<Parts> {
    let names = member_dirs(files.path())?.iter().map(folder_name).collect::<Vec<_>>();
    let networks = names.into_iter().zip(labelling_networks(files.path())?).collect();
    Ok(Parts::Labellers { networks, labels: None })
}

/// SHA-256 of every file of weights, by its name below the directory.
fn weights(files: &ModelDir, parts: &Parts, options: &Options) -> Result<Vec<(String, String)>> {
    let mut paths = Vec::new();
    match (parts, &options.member) {
        (_, Some(name)) => paths.extend(network_files(&files.member(name))?),
        (Parts::Heads(heads), None) => {
            paths.extend(network_files(files)?);
            let further = heads.iter().filter(|head| head.name != MAIN_HEAD);
            paths.extend(further.map(|head| files.head(&head.name, HeadFile::Weights)));
        }
        _ => {
            let names = member_names(files.path())?;
            for dir in names.iter().flatten().map(|name| files.member(name)) {
                match dir.ridge().is_file() {
                    true => paths.push(dir.ridge()),
                    false => paths.extend(network_files(&dir)?),
                }
            }
        }
    }
    let hash = |path: &PathBuf| {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot be read", e))?;
        let below = path.strip_prefix(files.path()).unwrap_or(path);
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        Ok((parts.join("/"), sha256(&bytes)))
    };
    paths.iter().map(hash).collect()
}

/// The files of a network's weights: one, or those that its index names.
fn network_files(dir: &ModelDir) -> Result<Vec<PathBuf>> {
    let index = dir.path().join(WEIGHTS_INDEX_FILE);
    if dir.weights().is_file() || !index.is_file() {
        return Ok(vec![dir.weights()]);
    }
    let text =
        std::fs::read_to_string(&index).map_err(|e| Error::io(&index, "cannot be read", e))?;
    let Index { weight_map } = serde_json::from_str(&text).map_err(|e| {
        Error::weights("is no index of safetensors files")
            .at(index.display().to_string())
            .because(e)
    })?;
    let names: BTreeSet<&String> = weight_map.values().collect();
    Ok(names.into_iter().map(|name| dir.path().join(name)).collect())
}

/// Which file each tensor is in; the names of the files were checked when the weights were read.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use ptsm::core::Init;

    use super::*;

    fn text_of<T>(found: Result<T>) -> String {
        match found {
            Ok(_) => panic!("nothing was refused"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_model_in_memory_has_neither_members_nor_heads_to_choose() -> Result<()> {
        let model = Model::new(Config::default(), Init::PyTorch, 1)?;
        let member = Options { member: Some("0".into()), ..Options::default() };
        let text = text_of(Source::of_model(model.clone(), &member));
        assert!(text.contains("member") && text.contains("ensemble"), "{text}");
        let heads = Options { heads: Some(vec!["long".into()]), ..Options::default() };
        let text = text_of(Source::of_model(model.clone(), &heads));
        assert!(text.contains("heads: long") && text.contains("one head"), "{text}");
        let source = Source::of_model(model, &Options::default())?;
        assert!(source.weights.is_empty() && source.notes.is_empty());
        Ok(())
    }

    #[test]
    fn the_note_on_calibration_names_the_head_it_is_of() -> Result<()> {
        let model = Model::new(Config::default(), Init::PyTorch, 1)?;
        let note = |names: &[&str]| {
            let head =
                |name: &&str| Head { name: (*name).to_owned(), model: model.clone(), labels: None };
            let parts = Parts::Heads(names.iter().map(head).collect());
            let source =
                Source { parts, preprocessor: None, weights: Vec::new(), notes: Vec::new() };
            source.calibration_note()
        };
        let text = note(&["main"]).unwrap_or_default();
        assert!(text.starts_with("calibrated intervals are not"), "{text}");
        let text = note(&["long", "main"]).unwrap_or_default();
        assert!(text.contains("of the head main"), "{text}");
        assert_eq!(note(&["long"]), None);
        Ok(())
    }

    #[test]
    fn weights_in_several_files_have_a_checksum_each() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::internal("no folder").because(e))?;
        let dir = ModelDir::new(folder.path());
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).map_err(|e| Error::io(&path, "cannot be written", e))
        };
        write("model-1.safetensors", "one")?;
        write("model-2.safetensors", "two")?;
        let map = r#"{"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}"#;
        write(WEIGHTS_INDEX_FILE, map)?;
        let model = Model::new(Config::default(), Init::PyTorch, 1)?;
        let head = Head { name: MAIN_HEAD.to_owned(), model, labels: None };
        let found = weights(&dir, &Parts::Heads(vec![head]), &Options::default())?;
        let wanted = [("model-1.safetensors", "one"), ("model-2.safetensors", "two")];
        let wanted = wanted.map(|(name, text)| (name.to_owned(), sha256(text.as_bytes())));
        assert_eq!(found, wanted);
        Ok(())
    }
}
