//! The model inside the library.

use std::path::Path;

use crate::model_dir::ModelDir;
use crate::preprocessor::Preprocessor;
use crate::{Config, Model, Result};
use ptsm_core::{Layout, OutputKind, Parameters, read_consistently};

/// Name of the model inside the library, in place of a model directory. A directory of this name is
/// `./builtin`.
pub const BUILTIN: &str = "builtin";

/// Version of the weights of the model inside the library; other weights get another one.
pub const BUILTIN_VERSION: u32 = 3;

const CONFIG: &str = include_str!("../../pretrained/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../pretrained/model.safetensors");

/// The network inside the library: one channel, quantiles; trained on simulated series alone, see
/// `docs/pretrained.md`.
///
/// # Errors
///
/// `OutOfMemory` where there is no room for it.
pub fn builtin_model() -> Result<Model> {
    let config = Config::from_json(CONFIG)?;
    let layout = Layout::new(&config.network()?)?;
    let parameters = Parameters::from_bytes(WEIGHTS, &layout)?;
    Model::from_parameters(config, parameters)
}

/// SHA-256 of the weights (a file of safetensors) of the model inside the library, in hex digits.
pub fn builtin_sha256() -> String {
    ptsm_core::sha256(WEIGHTS)
}

/// Whether a name is that of the model inside the library.
pub fn is_builtin(model: &Path) -> bool {
    model == Path::new(BUILTIN)
}

/// The network that forecasts any series: the one inside the library for its name, or that of a
/// directory of `ptsm pretrain`; `None` for other model directories.
///
/// # Errors
///
/// As [`Model::from_dir`].
pub fn zero_shot_network(model: &Path) -> Result<Option<Model>> {
    if is_builtin(model) {
        return builtin_model().map(Some);
    }
    read_consistently(model, || network_of_dir(model))
}

/// As [`zero_shot_network`], of a directory.
fn network_of_dir(model: &Path) -> Result<Option<Model>> {
    let files = ModelDir::new(model);
    if files.is_ensemble() || !files.config().is_file() || !files.preprocessor().is_file() {
        return Ok(None);
    }
    let config = Config::from_file(&files.config())?;
    let median = |levels: &[f64]| levels.contains(&0.5);
    if !matches!(OutputKind::of(&config)?, OutputKind::Quantiles(levels) if median(&levels)) {
        return Ok(None);
    }
    match Preprocessor::from_dir(model, &config)?.takes_any_series() {
        true => Model::from_dir(model).map(Some),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zero_shot::ZeroShot;

    #[test]
    fn the_model_inside_the_library_is_small_and_whole() {
        assert!(WEIGHTS.len() <= 1_000_000, "{}", WEIGHTS.len());
        let model = zero_shot_network(Path::new(BUILTIN)).unwrap().unwrap();
        assert_eq!(model.config().num_input_channels, 1);
        let zero_shot = ZeroShot::new(model, 12).unwrap();
        assert_eq!(zero_shot.levels(), [0.025, 0.1, 0.5, 0.9, 0.975]);
        assert!(!is_builtin(Path::new("./builtin/")) || cfg!(windows));
    }

    #[test]
    fn other_models_forecast_no_other_series() {
        let folder = tempfile::tempdir().unwrap();
        assert!(zero_shot_network(folder.path()).unwrap().is_none());
        builtin_model().unwrap().save(folder.path()).unwrap();
        assert!(zero_shot_network(folder.path()).unwrap().is_none());
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Preprocessor::of_any_series("t", &names)
        };
        of(&["y"]).save(folder.path()).unwrap();
        assert!(zero_shot_network(folder.path()).unwrap().is_some());
        let mut own = of(&["y"]);
        own.roles.timestamp = Some("t".into());
        own.save(folder.path()).unwrap();
        assert!(zero_shot_network(folder.path()).unwrap().is_none());
        let wide = Config { num_input_channels: 2, ..Config::default() };
        let wide = Model::new(wide, ptsm_core::Init::PyTorch, 1).unwrap();
        let error = ZeroShot::new(wide, 1).unwrap_err().to_string();
        assert!(error.contains("num_input_channels: 2 must be 1"), "{error}");
    }
}
