//! Several forecasters that are served as one: the weighted mean of their forecasts.
//!
//! `ensemble.json` in a model directory names the members, each a folder with a `config.json` and
//! a `model.safetensors` of its own; `preprocessor.json` is in the directory once. Members must
//! agree in context, horizon, channels and quantiles; everything else may differ.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::model_dir::ModelDir;
use crate::preprocessor::Preprocessor;
use crate::{Config, Error, ErrorKind, Model, Result, Task};
use ptsm_core::write_atomically;
use ptsm_core::{Backend, Loaded, OutputKind, Prediction, Session};

/// One member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    /// Name of its folder, see [`ModelDir::member`].
    name: String,
    /// Weight of its forecast in the mean; the weights of all members add up to 1.
    weight: f64,
}

/// The contents of `ensemble.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    members: Vec<Member>,
}

/// The members of a model directory with their weights; a plain model is its only member.
///
/// # Errors
///
/// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file.
pub fn load_members(dir: &Path) -> Result<Vec<(Model, f64)>> {
    let files = ModelDir::new(dir);
    let path = files.ensemble();
    if !files.is_ensemble() {
        return Ok(vec![(Model::from_dir(dir)?, 1.0)]);
    }
    let members = read_description(&files)?;
    let loaded: Vec<(Model, f64)> = members
        .iter()
        .map(|member| Ok((Model::from_dir(files.member(&member.name).path())?, member.weight)))
        .collect::<Result<_>>()?;
    let configs: Vec<&Config> = loaded.iter().map(|(model, _)| model.config()).collect();
    check_members(&configs).map_err(|e| e.at(path.display().to_string()))?;
    Ok(loaded)
}

/// The model directories of the members of an ensemble, in their order.
///
/// # Errors
///
/// `Io` or `InvalidConfig`, naming the file.
pub fn member_dirs(dir: &Path) -> Result<Vec<ModelDir>> {
    let files = ModelDir::new(dir);
    let members = read_description(&files)?;
    Ok(members.iter().map(|member| files.member(&member.name)).collect())
}

/// The contents of `ensemble.json`, validated.
fn read_description(files: &ModelDir) -> Result<Vec<Member>> {
    let path = files.ensemble();
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "cannot be read", e))?;
    let bad =
        |text: String| Error::new(ErrorKind::InvalidConfig, text).at(path.display().to_string());
    let Description { members } = serde_json::from_str(&text)
        .map_err(|e| bad("does not describe an ensemble".into()).because(e))?;
    for Member { name, .. } in &members {
        check_name(name).map_err(|e| e.at(path.display().to_string()))?;
    }
    let sum: f64 = members.iter().map(|member| member.weight).sum();
    let sound = members.iter().all(|member| member.weight.is_finite() && member.weight >= 0.0);
    if !sound || (sum - 1.0).abs() > 1e-6 {
        return Err(bad(format!("the weights add up to {sum}, wanted 1, none below 0")));
    }
    Ok(members)
}

/// Names for the folders of the `count` members of a new ensemble. None of them exists yet, so that
/// an earlier ensemble stays usable until the new `ensemble.json` is written.
pub(crate) fn new_names(files: &ModelDir, count: usize) -> Vec<String> {
    let taken = files.member_names();
    let free = (0..).map(|number| names(count, number));
    free.into_iter()
        .find(|names| !names.iter().any(|name| taken.contains(name)))
        .unwrap_or_default()
}

/// Names of the members that an interrupted run began; new ones if there was no such run.
pub(crate) fn begun_names(files: &ModelDir, count: usize) -> Vec<String> {
    let taken = files.member_names();
    let begun = (0..=taken.len()).rev().map(|number| names(count, number));
    let begun = begun.into_iter().find(|names| taken.contains(&names[0]));
    begun.unwrap_or_else(|| new_names(files, count))
}

/// `0`, `1`, ... for the first ensemble in a directory; `0-1`, `1-1`, ... for the next one.
fn names(count: usize, ensemble: usize) -> Vec<String> {
    let name = |member: usize| match ensemble {
        0 => member.to_string(),
        _ => format!("{member}-{ensemble}"),
    };
    (0..count).map(name).collect()
}

/// The task of a model directory; an ensemble always forecasts.
///
/// # Errors
///
/// `Io` or `InvalidConfig`, naming the file.
pub fn task_of(dir: &Path) -> Result<Task> {
    let files = ModelDir::new(dir);
    match files.is_ensemble() {
        true => Ok(Task::Forecasting),
        false => Config::from_file(&files.config())?.task(),
    }
}

/// Makes the model directory `out` an ensemble of those in `members/NAME` below it, which share
/// `preprocessor`; every member has the same weight.
///
/// # Errors
///
/// `InvalidConfig` if they cannot be averaged; `Io` if a file cannot be read or written.
pub fn save_ensemble(out: &Path, names: &[String], preprocessor: &Preprocessor) -> Result<()> {
    let files = ModelDir::new(out);
    let mut configs = Vec::new();
    for name in names {
        check_name(name)?;
        configs.push(Config::from_file(&files.member(name).config())?);
    }
    check_members(&configs.iter().collect::<Vec<_>>())?;
    files.remove_stale()?;
    preprocessor.save(out)?;
    let weight = 1.0 / names.len() as f64;
    let members = names.iter().map(|name| Member { name: name.clone(), weight }).collect();
    let text = serde_json::to_string_pretty(&Description { members })
        .map_err(|e| Error::internal("an ensemble cannot be described").because(e))?;
    write_atomically(&files.ensemble(), |file| file.write_all(text.as_bytes()))?;
    files.keep_members(names)?;
    files.remove_model()
}

/// Makes `out` an ensemble of copies of the models in `members`; returns the number of their
/// parameters.
///
/// # Errors
///
/// `InvalidConfig` if there is no member, or they cannot be averaged; `Io`, `InvalidWeights` from
/// the files.
pub fn join(out: &Path, members: &[PathBuf]) -> Result<usize> {
    let mut first: Option<Preprocessor> = None;
    let mut models = Vec::new();
    for dir in members {
        let model = Model::from_dir(dir)?;
        let preprocessor = Preprocessor::from_dir(dir, model.config())?;
        let differs = first.as_ref().is_some_and(|first| {
            (&first.channels, &first.standardiser)
                != (&preprocessor.channels, &preprocessor.standardiser)
        });
        if differs {
            let text = "reads other channels than the first member, or standardises them otherwise";
            return Err(Error::config(dir.display().to_string(), text));
        }
        first.get_or_insert(preprocessor);
        models.push(model);
    }
    check_members(&models.iter().map(Model::config).collect::<Vec<_>>())?;
    let Some(preprocessor) = first else {
        return Err(Error::config("members", "there is none, wanted at least one"));
    };
    let files = ModelDir::new(out);
    let names = new_names(&files, models.len());
    for (model, name) in models.iter().zip(&names) {
        model.save(files.member(name).path())?;
    }
    save_ensemble(out, &names, &preprocessor)?;
    Ok(models.iter().map(|model| model.layout().num_trained()).sum())
}

fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        let text = format!("\"{name}\" must consist of letters, digits, - and _");
        return Err(Error::config("members", text));
    }
    Ok(())
}

/// Checks that forecasts of these models can be averaged.
fn check_members(configs: &[&Config]) -> Result<()> {
    let Some(first) = configs.first() else {
        return Err(Error::config("members", "there is none, wanted at least one"));
    };
    for (i, config) in configs.iter().enumerate() {
        let fields = [
            ("context_length", config.context_length, first.context_length),
            ("prediction_length", config.prediction_length, first.prediction_length),
            ("num_input_channels", config.num_input_channels, first.num_input_channels),
        ];
        for (field, got, wanted) in fields {
            if got != wanted {
                let text = format!("member {i} has {got}, the first one {wanted}");
                return Err(Error::config(field, text));
            }
        }
        if config.prediction_channel_indices != first.prediction_channel_indices
            || config.extension().quantiles != first.extension().quantiles
        {
            let text = format!("member {i} forecasts other channels or quantiles than the first");
            return Err(Error::config("members", text));
        }
        if !matches!(OutputKind::of(config)?, OutputKind::Points | OutputKind::Quantiles(_)) {
            let text = format!(
                "member {i} forecasts neither points nor quantiles: its output has no useful mean"
            );
            return Err(Error::config("members", text));
        }
    }
    Ok(())
}

/// Loads members onto a backend as one model.
///
/// # Errors
///
/// As [`Backend::load`].
pub(crate) fn load_together(
    members: &[(Model, f64)],
    backend: &dyn Backend,
) -> Result<Arc<dyn Loaded>> {
    if let [(model, _)] = members {
        return backend.load(model);
    }
    let load = |(model, weight): &(Model, f64)| Ok((backend.load(model)?, *weight as f32));
    let members = members.iter().map(load).collect::<Result<_>>()?;
    Ok(Arc::new(LoadedEnsemble { members }))
}

/// Every member, ready to run, with its weight.
struct LoadedEnsemble {
    members: Vec<(Arc<dyn Loaded>, f32)>,
}

impl Loaded for LoadedEnsemble {
    fn bytes(&self) -> u64 {
        self.members.iter().map(|(member, _)| member.bytes()).sum()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let session = |(member, weight): &(Arc<dyn Loaded>, f32)| Ok((member.session()?, *weight));
        let members = self.members.iter().map(session).collect::<Result<_>>()?;
        Ok(Box::new(EnsembleSession { members, output: Prediction::default() }))
    }
}

/// Runs one member after the other.
struct EnsembleSession {
    members: Vec<(Box<dyn Session>, f32)>,
    /// Output of the member that ran last.
    output: Prediction,
}

impl Session for EnsembleSession {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        for (i, (session, weight)) in self.members.iter_mut().enumerate() {
            session.forward(batch, &mut self.output)?;
            if i == 0 {
                out.reset(self.output.spec());
            }
            let forecast = &self.output.numbers;
            out.numbers.resize(forecast.len(), 0.0);
            // A fixed order of members: the same bits in every batch.
            for (sum, x) in out.numbers.iter_mut().zip(forecast) {
                *sum += *weight * x;
            }
        }
        out.loc.clone_from(&self.output.loc);
        out.scale.clone_from(&self.output.scale);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::data::BatchShape;
    use ptsm_core::{ForwardOptions, Init};

    fn model(patch_length: usize, seed: u64) -> Model {
        let config = Config { patch_length, patch_stride: patch_length, ..Config::default() };
        Model::new(config, Init::PyTorch, seed).unwrap()
    }

    fn preprocessor() -> Preprocessor {
        Preprocessor {
            dataset: "t".into(),
            channels: vec!["x".into()],
            roles: crate::data::Roles::default(),
            frequency: None,
            times: Default::default(),
            missing: Vec::new(),
            grid: crate::data::Grid::Regular,
            seasonal_period: 1,
            split: crate::data::Split::default(),
            standardiser: crate::data::Standardiser {
                mean: vec![0.0],
                scale: vec![1.0],
                ..crate::data::Standardiser::default()
            },
            labels: None,
        }
    }

    fn batch() -> Batch {
        let shape = BatchShape { size: 3, context_length: 32, num_channels: 1 };
        Batch::new(shape, (0..96).map(|i| (i as f32 * 0.3).sin()).collect()).unwrap()
    }

    #[test]
    fn an_ensemble_forecasts_the_mean_of_its_members() {
        let folder = tempfile::tempdir().unwrap();
        let models = [model(4, 1), model(8, 2), model(16, 3)];
        let names = ["a", "b", "c"].map(str::to_owned);
        for (model, name) in models.iter().zip(&names) {
            model.save(ModelDir::new(folder.path()).member(name).path()).unwrap();
        }
        let members = names.iter().map(|name| Member { name: name.clone(), weight: 0.0 });
        let text = |weights: [f64; 3]| {
            let members =
                members.clone().zip(weights).map(|(member, weight)| Member { weight, ..member });
            serde_json::to_string(&Description { members: members.collect() }).unwrap()
        };
        let path = ModelDir::new(folder.path()).ensemble();
        std::fs::write(&path, text([0.5, 0.25, 0.25])).unwrap();
        let loaded = load_members(folder.path()).unwrap();
        let mut out = Prediction::default();
        let together = load_together(&loaded, &Cpu::default()).unwrap();
        together.session().unwrap().forward(&batch(), &mut out).unwrap();
        let parts = loaded.iter().map(|(model, _)| Cpu::default().load(model).unwrap().bytes());
        assert_eq!(together.bytes(), parts.sum::<u64>());
        let each = models.each_ref().map(|model| {
            model.forward(&batch(), ForwardOptions::default()).unwrap().outputs.prediction
        });
        assert_eq!(out.numbers.len(), each[0].len());
        for (i, x) in out.numbers.iter().enumerate() {
            let wanted = 0.5 * each[0][i] + 0.25 * each[1][i] + 0.25 * each[2][i];
            assert!((x - wanted).abs() < 1e-5, "{x} {wanted}");
        }
        std::fs::write(&path, text([0.5, 0.5, 0.5])).unwrap();
        let error = load_members(folder.path()).unwrap_err().to_string();
        assert!(error.contains("add up to 1.5"), "{error}");
        let error = Model::from_dir(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is an ensemble"), "{error}");
    }

    #[test]
    fn members_that_cannot_be_averaged_are_refused_by_field() {
        let plain = Config::default();
        let refused = |other: Config| check_members(&[&plain, &other]).unwrap_err().to_string();
        assert!(refused(Config { prediction_length: 7, ..plain.clone() }).contains("has 7"));
        assert!(refused(Config { loss: "nll".into(), ..plain.clone() }).contains("no useful mean"));
        assert!(check_members(&[]).is_err());
        assert!(check_name("../x").is_err());
    }

    #[test]
    fn a_directory_keeps_its_ensemble_until_the_next_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, model: &Model| {
            let dir = folder.path().join(name);
            model.save(&dir).unwrap();
            preprocessor().save(&dir).unwrap();
            dir
        };
        let (a, b) = (save("a", &model(4, 1)), save("b", &model(8, 2)));
        let longer = Config { prediction_length: 7, ..Config::default() };
        let other = save("other", &Model::new(longer, Init::PyTorch, 3).unwrap());
        let out = folder.path().join("out");
        let seen = || {
            let mut names = ModelDir::new(&out).member_names();
            names.sort();
            names
        };
        join(&out, &[a.clone(), b.clone(), a.clone()]).unwrap();
        assert_eq!(seen(), ["0", "1", "2"]);
        let before = std::fs::read(ModelDir::new(&out).ensemble()).unwrap();
        assert!(join(&out, &[b.clone(), other]).is_err());
        assert_eq!(seen(), ["0", "1", "2"]);
        assert_eq!(std::fs::read(ModelDir::new(&out).ensemble()).unwrap(), before);
        join(&out, &[b, a]).unwrap();
        assert_eq!(seen(), ["0-1", "1-1"]);
        assert_eq!(begun_names(&ModelDir::new(&out), 2), ["0-1", "1-1"]);
        assert_eq!(load_members(&out).unwrap()[0].0.parameters, model(8, 2).parameters);
        assert_eq!(member_dirs(&out).unwrap().len(), 2);
    }
}
