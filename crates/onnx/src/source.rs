//! What an export is made of: the networks and regressions of a model directory, and how its data are read.

use std::path::{Path, PathBuf};

use ptsm::core::{read_consistently, sha256};
use ptsm::data::LabelCoding;
use ptsm::ensemble::{MemberModel, Members, labelling_networks, member_dirs, task_of};
use ptsm::heads::{MAIN_HEAD, list_heads, load_heads};
use ptsm::model_dir::{HeadFile, ModelDir};
use ptsm::preprocessor::Preprocessor;
use ptsm::zero_shot::{is_builtin, zero_shot_network};
use ptsm::{Config, Error, Model, Result, Task};

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
    pub(crate) fn of_model(model: Model) -> Result<Self> {
        require_use(model.config().task()?)?;
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
        let mut source = Self::of_parts(&files, parts, options)?;
        source.check()?;
        if files.calibration().is_file() {
            source.notes.push(
                "calibrated intervals are not in the file: their widths depend on more than its outputs".into(),
            );
        }
        Ok(source)
    }

    fn of_parts(files: &ModelDir, mut parts: Parts, options: &Options) -> Result<Self> {
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
        let weights = weights(files, &parts, options)?;
        Ok(Self { parts, preprocessor, weights, notes: Vec::new() })
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
        (_, Some(name)) => paths.push(files.member(name).weights()),
        (Parts::Heads(heads), None) => {
            paths.push(files.weights());
            let further = heads.iter().filter(|head| head.name != MAIN_HEAD);
            paths.extend(further.map(|head| files.head(&head.name, HeadFile::Weights)));
        }
        _ => {
            let mut names = files.member_names();
            names.sort();
            for dir in names.iter().map(|name| files.member(name)) {
                paths.extend([dir.weights(), dir.ridge()]);
            }
        }
    }
    // Large weights of Hugging Face may be in several files; those have no one name.
    paths.retain(|path| path.is_file());
    let hash = |path: &PathBuf| {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot be read", e))?;
        let below = path.strip_prefix(files.path()).unwrap_or(path);
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        Ok((parts.join("/"), sha256(&bytes)))
    };
    paths.iter().map(hash).collect()
}
