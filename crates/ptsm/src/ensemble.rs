//! Several forecasters that are served as one: the weighted mean of their forecasts.
//!
//! `ensemble.json` in a model directory names the members: networks, each a folder with a
//! `config.json` and a `model.safetensors` of its own, ridge regressions, each a folder with a
//! `ridge.json`, and classical methods, which have no weights.
//! `preprocessor.json` is in the directory once. Members must agree in horizon, channels and
//! quantiles; everything else may differ. Each sees the end of the window that it needs.
//!
//! | file | holds |
//! |---|---|
//! | `check.rs` | whether forecasts of members can be averaged |
//! | `classical.rs` | a classical method as a member |
//! | `description.rs` | the list of members in the file |
//! | `labelled.rs` | networks that label cases together |
//! | `linear.rs` | a ridge regression, on values or on logarithms, as a member |
//! | `names.rs` | names of the folders of members |
//! | `save.rs` | members written into a directory |
//! | `session.rs` | the members that run as one |

mod check;
mod classical;
mod description;
mod labelled;
mod linear;
mod names;
mod save;
mod session;

use std::path::Path;
use std::sync::Arc;

use crate::model_dir::ModelDir;
use crate::train::numbers_fingerprint;
use crate::zero_shot::{LoadedZeroShot, ZERO_SHOT_RULE, ZeroShot, is_builtin};
use crate::{Config, Error, Model, Result, Task};
use ptsm_core::{Backend, Loaded, OutputSpec, read_consistently};

pub use crate::classical::Classical;
pub use check::EnsembleWindow;
use check::check_members;
use classical::LoadedClassical;
use description::{Description, Member, ZeroShotMember, read_description};
pub use labelled::labelling_networks;
pub(crate) use labelled::write_labelling;
pub use linear::Linear;
use linear::LoadedLinear;
pub(crate) use names::{begun_names, new_names};
pub use ptsm_classical::Method;
pub(crate) use save::{Place, write_weighted};
pub use save::{SavedMember, join, save_ensemble};
use session::{LoadedEnsemble, LoadedMember};

/// What forecasts as a member of an ensemble.
#[derive(Debug, Clone)]
pub enum MemberModel {
    /// A network.
    Network(Box<Model>),
    /// A ridge regression, which forecasts every channel by the same weights.
    Linear(Arc<Linear>),
    /// A classical method.
    Classical(Classical),
    /// A network that was trained on other series.
    ZeroShot(Arc<ZeroShot>),
}

/// The members of a model directory; a plain model is its only member.
#[derive(Debug, Clone)]
pub struct Members {
    /// The configuration of the whole: that of the first network, with the ensemble's context.
    pub config: Config,
    /// The members, each with its weight.
    pub all: Vec<(MemberModel, f64)>,
}

impl Members {
    /// One network.
    pub fn single(model: Model) -> Self {
        let config = model.config().clone();
        Self { config, all: vec![(MemberModel::Network(Box::new(model)), 1.0)] }
    }

    /// One member, with the configuration of the ensemble that it may become a part of.
    pub(crate) fn alone(member: MemberModel, config: Config) -> Self {
        Self { config, all: vec![(member, 1.0)] }
    }

    /// The members of a model directory.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        read_consistently(dir, || Self::read_dir(dir))
    }

    fn read_dir(dir: &Path) -> Result<Self> {
        let files = ModelDir::new(dir);
        if !files.is_ensemble() {
            return Ok(Self::single(Model::from_dir(dir)?));
        }
        let Description { window, members } = read_description(&files)?;
        let load = |member: &Member| {
            let network = |name: &str| Model::from_dir(files.member(name).path());
            let model = match member {
                Member { name: Some(name), .. } => MemberModel::Network(Box::new(network(name)?)),
                Member { ridge: Some(name), .. } => {
                    MemberModel::Linear(Arc::new(linear::read(&files.member(name))?))
                }
                Member { classical: Some(classical), .. } => MemberModel::Classical(*classical),
                Member { zero_shot: Some(ZeroShotMember { name, season, .. }), .. } => {
                    MemberModel::ZeroShot(Arc::new(ZeroShot::new(network(name)?, *season)?))
                }
                _ => return Err(Error::internal("a member that was checked is none")),
            };
            Ok((model, member.weight))
        };
        let all = members.iter().map(load).collect::<Result<_>>()?;
        Self::new(window, all).map_err(|e| e.at(files.ensemble().display().to_string()))
    }

    /// Members that were checked, with the windows of the whole.
    pub(crate) fn new(
        window: Option<EnsembleWindow>,
        all: Vec<(MemberModel, f64)>,
    ) -> Result<Self> {
        let networks = all.iter().filter_map(|(member, _)| member.network().map(Model::config));
        let networks: Vec<&Config> = networks.collect();
        let config = check_members(&networks, networks.len() < all.len(), window)?;
        for (member, _) in &all {
            if let MemberModel::Linear(linear) = member
                && (linear.context_length() > config.context_length
                    || linear.prediction_length() != config.prediction_length)
            {
                return Err(Error::config("window", "does not hold the windows of the ridge"));
            }
        }
        Ok(Self { config, all })
    }

    /// What the members put out together.
    ///
    /// # Errors
    ///
    /// As [`OutputSpec::new`].
    pub fn output(&self) -> Result<Arc<OutputSpec>> {
        OutputSpec::new(&self.config).map(Arc::new)
    }

    /// The networks.
    pub fn networks(&self) -> impl Iterator<Item = &Model> {
        self.all.iter().filter_map(|(member, _)| member.network())
    }

    /// What differs for other members: SHA-256 over the numbers of networks and ridge regressions; of a
    /// mean also what each member is, what it sees and its weight.
    pub(crate) fn fingerprint(&self) -> String {
        let (mut numbers, mut described): (Vec<&[f32]>, String) = (Vec::new(), String::new());
        for (member, weight) in &self.all {
            let kind = match member {
                MemberModel::Network(model) => {
                    numbers.extend([&model.parameters.trained[..], &model.parameters.buffers]);
                    format!("network {}", model.config().context_length)
                }
                MemberModel::Linear(linear) => {
                    let (weights, bias) = linear.weights();
                    numbers.extend([weights, bias]);
                    format!("{} {}", linear.name(), linear.context_length())
                }
                MemberModel::Classical(Classical { method, season }) => {
                    format!("{} {season}", method.name())
                }
                MemberModel::ZeroShot(zero_shot) => {
                    numbers.push(&zero_shot.network().parameters.trained);
                    format!("zero_shot {ZERO_SHOT_RULE} {}", zero_shot.season())
                }
            };
            described += &format!(" {kind} {weight}");
        }
        let fingerprint = numbers_fingerprint(&numbers);
        match self.all.as_slice() {
            [(MemberModel::Network(_), _)] => fingerprint,
            _ => fingerprint + &described,
        }
    }

    /// Rows that the member which wants most of them wants, see
    /// [`ForecastModel::wanted_rows`](crate::forecast::ForecastModel::wanted_rows).
    pub(crate) fn wanted_rows(&self) -> usize {
        let rows = |(member, _): &(MemberModel, f64)| match member {
            MemberModel::Network(model) => model.config().context_length,
            MemberModel::Linear(linear) => linear.context_length(),
            MemberModel::Classical(Classical { season, .. }) => season.saturating_mul(2).max(8),
            MemberModel::ZeroShot(zero_shot) => zero_shot.wanted_rows(),
        };
        let most = self.all.iter().map(rows).max().unwrap_or_default();
        most.min(self.config.context_length)
    }

    /// Rows that the member which computes from most of them computes from, see
    /// [`ForecastModel::recent_rows`](crate::forecast::ForecastModel::recent_rows).
    pub(crate) fn recent_rows(&self) -> usize {
        let rows = |(member, _): &(MemberModel, f64)| match member {
            MemberModel::ZeroShot(zero_shot) => zero_shot.recent_rows(),
            _ => self.config.context_length,
        };
        let most = self.all.iter().map(rows).max().unwrap_or_default();
        most.min(self.config.context_length)
    }

    /// Loads the members onto a backend as one model; classical methods run on the CPU.
    ///
    /// # Errors
    ///
    /// As [`Backend::load`].
    pub(crate) fn load(&self, backend: &dyn Backend) -> Result<Arc<dyn Loaded>> {
        match self.all.as_slice() {
            [(MemberModel::Network(model), _)]
                if model.config().context_length == self.config.context_length =>
            {
                backend.load(model)
            }
            all => {
                let members = all.iter().map(|member| self.load_member(member, backend));
                Ok(Arc::new(LoadedEnsemble { members: members.collect::<Result<_>>()? }))
            }
        }
    }

    fn load_member(
        &self,
        (member, weight): &(MemberModel, f64),
        backend: &dyn Backend,
    ) -> Result<LoadedMember> {
        let output = self.output()?;
        let (loaded, context_length) = match member {
            MemberModel::Network(model) => (backend.load(model)?, model.config().context_length),
            MemberModel::Linear(linear) => {
                (LoadedLinear::shared(linear, &output), linear.context_length())
            }
            MemberModel::Classical(classical) => {
                (LoadedClassical::shared(*classical, &output), self.config.context_length)
            }
            MemberModel::ZeroShot(zero_shot) => {
                let loaded = LoadedZeroShot::load(zero_shot, &output, backend)?;
                (loaded, zero_shot.context_length())
            }
        };
        Ok(LoadedMember { loaded, context_length, weight: *weight as f32 })
    }
}

impl MemberModel {
    /// `network`, `ridge`, `log_ridge`, or the name of a classical method.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Network(_) => "network",
            Self::Linear(linear) => linear.name(),
            Self::Classical(classical) => classical.method.name(),
            Self::ZeroShot(_) => "zero_shot",
        }
    }

    /// The network, if it is one.
    pub fn network(&self) -> Option<&Model> {
        match self {
            Self::Network(model) => Some(model),
            Self::Linear(_) | Self::Classical(_) | Self::ZeroShot(_) => None,
        }
    }
}

/// The model directories of the networks of an ensemble, in their order.
///
/// # Errors
///
/// `Io` or `InvalidConfig`, naming the file.
pub fn member_dirs(dir: &Path) -> Result<Vec<ModelDir>> {
    let files = ModelDir::new(dir);
    let members = read_description(&files)?.members;
    Ok(members.iter().filter_map(|member| member.name.as_ref()).map(|n| files.member(n)).collect())
}

/// The names of the folders of an ensemble's members below `members`, in their order; `None` for a member that has no
/// files of its own.
///
/// # Errors
///
/// `Io` or `InvalidConfig`, naming the file.
pub fn member_names(dir: &Path) -> Result<Vec<Option<String>>> {
    let Description { members, .. } = read_description(&ModelDir::new(dir))?;
    let name = |member: Member| match member {
        Member { name: Some(name), .. } | Member { ridge: Some(name), .. } => Some(name),
        Member { zero_shot: Some(ZeroShotMember { name, .. }), .. } => Some(name),
        _ => None,
    };
    Ok(members.into_iter().map(name).collect())
}

/// The task of a model directory: that of the first network of an ensemble. The model inside the library forecasts, and
/// so does an ensemble without any network.
///
/// # Errors
///
/// `Io` or `InvalidConfig`, naming the file.
pub fn task_of(dir: &Path) -> Result<Task> {
    if is_builtin(dir) {
        return Ok(Task::Forecasting);
    }
    let files = ModelDir::new(dir);
    match files.is_ensemble() {
        true => match member_dirs(dir)?.first() {
            Some(first) => Config::from_file(&first.config())?.task(),
            None => Ok(Task::Forecasting),
        },
        false => Config::from_file(&files.config())?.task(),
    }
}

#[cfg(test)]
mod tests {
    use super::names::check_name;
    use super::*;
    use crate::Cpu;
    use crate::data::{Batch, BatchShape};
    use crate::model_dir::ZERO_SHOT_MEMBER;
    use crate::model_writer::ModelWriter;
    use crate::preprocessor::Preprocessor;
    use crate::verify::verify;
    use crate::zero_shot::builtin_model;
    use ptsm_core::{ForwardOptions, Init, Prediction};

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
            covariates: None,
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
        let member = |name: &String| Member { name: Some(name.clone()), ..Member::weighing(0.0) };
        let members = names.iter().map(member);
        let text = |weights: [f64; 3]| {
            let members =
                members.clone().zip(weights).map(|(member, weight)| Member { weight, ..member });
            serde_json::to_string(&Description { window: None, members: members.collect() })
                .unwrap()
        };
        let path = ModelDir::new(folder.path()).ensemble();
        std::fs::write(&path, text([0.5, 0.25, 0.25])).unwrap();
        let loaded = Members::from_dir(folder.path()).unwrap();
        let mut out = Prediction::default();
        let together = loaded.load(&Cpu::default()).unwrap();
        together.session().unwrap().forward(&batch(), &mut out).unwrap();
        let parts = loaded.networks().map(|model| Cpu::default().load(model).unwrap().bytes());
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
        let error = Members::from_dir(folder.path()).unwrap_err().to_string();
        assert!(error.contains("add up to 1.5"), "{error}");
        let error = Model::from_dir(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is the mean of several forecasts"), "{error}");
    }

    #[test]
    fn a_network_for_any_series_is_a_member_and_other_rules_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ModelWriter::new(&ModelDir::new(folder.path())).unwrap();
        let zero_shot = Arc::new(ZeroShot::new(builtin_model().unwrap(), 12).unwrap());
        let saved = [(SavedMember::ZeroShot(format!("0{ZERO_SHOT_MEMBER}"), zero_shot), 1.0)];
        let window =
            EnsembleWindow { context_length: 32, prediction_length: 5, num_input_channels: 1 };
        let written = writer.replace(|staged| {
            let place = Place { dir: writer.dir(), staged };
            write_weighted(place, &saved, Some(window), &preprocessor())
        });
        written.unwrap();
        let weights = ModelDir::new(folder.path()).member("0-zero-shot").weights();
        let verified = verify(folder.path()).unwrap();
        assert!(verified.iter().any(|file| file.path == weights), "{verified:?}");
        let loaded = Members::from_dir(folder.path()).unwrap();
        assert_eq!(loaded.all[0].0.name(), "zero_shot");
        let mut out = Prediction::default();
        let session = loaded.load(&Cpu::default()).unwrap();
        session.session().unwrap().forward(&batch(), &mut out).unwrap();
        assert_eq!(out.numbers.len(), 3 * 5);
        let path = ModelDir::new(folder.path()).ensemble();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(&format!("\"rule\": {ZERO_SHOT_RULE}"), "\"rule\": 99"))
            .unwrap();
        std::fs::remove_file(folder.path().join("SHA256SUMS")).unwrap();
        let error = Members::from_dir(folder.path()).unwrap_err().to_string();
        writer.replace(|staged| model(4, 1).save(staged.path()).map(|()| Vec::new())).unwrap();
        assert!(!weights.exists(), "a member of the ensemble that was replaced");
        assert!(error.contains("by rule 99") && error.contains("train again"), "{error}");
    }

    #[test]
    fn members_that_cannot_be_averaged_are_refused_by_field() {
        let plain = Config::default();
        let refused =
            |other: Config| check_members(&[&plain, &other], false, None).unwrap_err().to_string();
        assert!(refused(Config { prediction_length: 7, ..plain.clone() }).contains("has 7"));
        assert!(refused(Config { loss: "nll".into(), ..plain.clone() }).contains("no useful mean"));
        assert!(check_members(&[], true, None).is_err());
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
        assert_eq!(
            Members::from_dir(&out).unwrap().networks().next().unwrap().parameters,
            model(8, 2).parameters
        );
        assert_eq!(member_dirs(&out).unwrap().len(), 2);
    }
}
