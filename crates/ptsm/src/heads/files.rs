//! The files of the heads in a model directory: listed, added, removed, read.
//!
//! `heads/NAME.json` is the head's `config.json`, `heads/NAME.safetensors` holds its own weights
//! (everything that is not the backbone), `heads/NAME.preprocessor.json` says how its outputs become
//! labels.

use std::path::Path;

use crate::calibration::Calibration;
use crate::ensemble::Members;
use crate::labeller::{Predictions, read_labels};
use crate::model_dir::{HeadFile, ModelDir};
use crate::model_writer::ModelWriter;
use crate::preprocessor::Preprocessor;
use crate::train::take_backbone;
use crate::{Backend, Error, Forecaster, Result};
use ptsm_core::option;
use ptsm_core::{Architecture, Init, Model, NamedTensor, OutputKind, Prediction};
use ptsm_core::{
    read_consistently, read_listed, require_listed_text, tensors_in, write_listed, write_tensors,
};

/// Name of the head that `config.json` of the model directory itself describes.
pub const MAIN_HEAD: &str = "main";

/// One head of a shared backbone.
#[derive(Debug, Clone)]
pub struct SharedHead {
    /// `main`, or the name that it was added under.
    pub name: String,
    /// The head with the shared backbone.
    pub model: Model,
    /// How its outputs become forecasts or labels.
    pub preprocessor: Preprocessor,
    /// How its intervals were calibrated; `None` for further heads, which `calibrate` does not read.
    pub calibration: Option<Calibration>,
}

impl SharedHead {
    /// Refuses a head that does not forecast, where forecasts are scored.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the head.
    pub fn require_forecast(&self) -> Result<()> {
        if self.model.output().kind().is_forecast() {
            return Ok(());
        }
        let text = format!("\"{}\" forecasts nothing (score it by itself)", self.name);
        Err(Error::config("heads", text))
    }

    /// The head by itself, as a forecaster of its own.
    ///
    /// # Errors
    ///
    /// As [`SharedHead::require_forecast`], and [`Backend::load`].
    pub fn forecaster(&self, backend: &dyn Backend) -> Result<Forecaster> {
        self.require_forecast()?;
        let members = Members::single(self.model.clone());
        let (preprocessor, calibration) = (self.preprocessor.clone(), self.calibration.clone());
        Forecaster::assemble(&members, preprocessor, calibration, backend)
    }

    /// The predictions of the head for the cases of a batch, as a
    /// [`Labeller`](crate::labeller::Labeller) reads it; `None` from a head that forecasts.
    pub fn labels(&self, output: &Prediction) -> Option<Predictions> {
        let coding = self.preprocessor.labels.as_ref()?;
        Some(read_labels(coding, output))
    }
}

fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name == MAIN_HEAD || !name.chars().all(plain) {
        let text = format!("\"{name}\" must consist of letters, digits, - and _, and not be main");
        return Err(Error::config("name", text));
    }
    Ok(())
}

/// Names of the extra heads in a model directory, ascending.
///
/// # Errors
///
/// `Io` if the folder cannot be listed.
pub fn list_heads(dir: &Path) -> Result<Vec<String>> {
    let folder = ModelDir::new(dir).heads();
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |e| Error::io(&folder, "cannot be listed", e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".safetensors") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Adds the head of the model directory `from` to the model directory `dir`, under `name`.
///
/// Both must have the same backbone, bit for bit (`train --init DIR --freeze backbone` ensures
/// it), and read their channels alike. On an error the directory is as it was.
///
/// # Errors
///
/// `InvalidConfig` for an impossible name or that of a head that is there, or naming what differs or
/// cannot be joined; `Io`, `InvalidWeights` from the files.
pub fn add_head(dir: &Path, name: &str, from: &Path) -> Result<()> {
    if list_heads(dir)?.iter().any(|known| known == name) {
        let overwrite = option("overwrite", None);
        let text = format!("\"{name}\" is there already (use {overwrite} or another name)");
        return Err(Error::config("name", text));
    }
    replace_head(dir, name, from)
}

/// As [`add_head`]; a head of that name is replaced.
///
/// # Errors
///
/// As [`add_head`].
pub fn replace_head(dir: &Path, name: &str, from: &Path) -> Result<()> {
    check_name(name)?;
    let writer = ModelWriter::existing(&ModelDir::new(dir))?;
    let (main, extra) = (Model::from_dir(dir)?, Model::from_dir(from)?);
    check_joined(MAIN_HEAD, &main, &main)?;
    check_joined(name, &extra, &main).map_err(|e| e.at(from.display().to_string()))?;
    let mut joined = extra.clone();
    take_backbone(&mut joined, &main)?;
    if joined.parameters != extra.parameters {
        let frozen = option("freeze_backbone", None);
        let text =
            format!("has another backbone: its weights were trained on (train it with {frozen})");
        return Err(Error::config(from.display().to_string(), text));
    }
    let ours = Preprocessor::from_dir(dir, main.config())?;
    let theirs = Preprocessor::from_dir(from, extra.config())?;
    if ours.standardiser != theirs.standardiser {
        let text = "standardises its channels otherwise: one pass cannot serve both";
        return Err(Error::config(from.display().to_string(), text));
    }
    let head =
        SharedHead { name: name.to_owned(), model: extra, preprocessor: theirs, calibration: None };
    writer.add(|staged| write_head(staged.path(), &head, &main))
}

/// Removes the extra head `name` from a model directory.
///
/// # Errors
///
/// `InvalidConfig` if there is no such head, naming those that are there; `Io` if a file cannot be
/// removed.
pub fn remove_head(dir: &Path, name: &str) -> Result<()> {
    let known = list_heads(dir)?;
    if !known.iter().any(|known| known == name) {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let text = format!("there is no head \"{name}\" to remove, only {known}");
        return Err(Error::config("name", text));
    }
    let files = HeadFile::ALL.map(|file| ModelDir::head_file(name, file));
    ModelWriter::existing(&ModelDir::new(dir))?.remove(&files)
}

/// Checks that a head can share a pass of the backbone of `main`.
pub(super) fn check_joined(name: &str, head: &Model, main: &Model) -> Result<()> {
    let (config, wanted) = (head.config(), main.config());
    if *head.output().kind() == OutputKind::Patches {
        let text = format!("\"{name}\" fills in hidden patches, which others cannot share");
        return Err(Error::config("heads", text));
    }
    // Fields that the shapes of the weights do not reveal.
    let fields = [
        ("context_length", config.context_length == wanted.context_length),
        ("patch_length", config.patch_length == wanted.patch_length),
        ("patch_stride", config.patch_stride == wanted.patch_stride),
        ("mode", config.mixes_channels() == wanted.mixes_channels()),
        ("norm_mlp", config.norm() == wanted.norm()),
        ("norm_eps", config.norm_eps.to_bits() == wanted.norm_eps.to_bits()),
        ("self_attn_heads", !config.self_attn || config.self_attn_heads == wanted.self_attn_heads),
        ("scaling", config.scaler() == wanted.scaler()),
    ];
    match fields.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((field, _)) => {
            let text = format!("\"{name}\" has another one than the head {MAIN_HEAD}");
            Err(Error::config(*field, text))
        }
    }
}

/// Writes heads that were trained together into a directory that is being filled.
///
/// # Errors
///
/// `InvalidConfig` if no head is `main`; `Io` if something cannot be written.
pub fn save_heads(dir: &Path, heads: &[SharedHead]) -> Result<()> {
    let Some(main) = heads.iter().find(|head| head.name == MAIN_HEAD) else {
        return Err(Error::config("heads", format!("wanted one of the name {MAIN_HEAD}")));
    };
    let extra = || heads.iter().filter(|head| head.name != MAIN_HEAD);
    extra().try_for_each(|head| check_name(&head.name))?;
    extra().try_for_each(|head| write_head(dir, head, &main.model))?;
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
    main.preprocessor.save(dir)?;
    main.model.save(dir)
}

/// Writes the files of a head into a directory that is being filled, and reads them back as a check.
fn write_head(staged: &Path, head: &SharedHead, main: &Model) -> Result<()> {
    let folder = ModelDir::new(staged).heads();
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "cannot be made", e))?;
    write_files(&folder, head)?;
    read_head(&folder, &head.name, main).map(|_| ())
}

fn write_files(folder: &Path, head: &SharedHead) -> Result<()> {
    let SharedHead { name, model, preprocessor, .. } = head;
    let own = model.layout().head_tensors();
    let tensors: Vec<NamedTensor<f32>> = model
        .name_trained("", &model.parameters.trained)
        .into_iter()
        .filter(|tensor| own.iter().any(|head| head.name == tensor.name))
        .collect();
    let text = serde_json::to_string_pretty(preprocessor)
        .map_err(|e| Error::internal("the preprocessor cannot be written").because(e))?;
    let write = |file: HeadFile, text: &str| {
        let path = folder.join(file.name_for(name));
        write_listed(&path, text.as_bytes())
    };
    write(HeadFile::Config, &model.architecture().to_json()?)?;
    write(HeadFile::Preprocessor, &text)?;
    write_tensors(&folder.join(HeadFile::Weights.name_for(name)), &tensors)
}

/// Reads the heads `names` of a model directory (`main` is the directory's own).
///
/// # Errors
///
/// `InvalidConfig` if there is no such head, naming those that are there, or no name; `Io` and
/// `InvalidWeights` from the files.
pub fn load_heads(dir: &Path, names: &[String]) -> Result<Vec<SharedHead>> {
    read_consistently(dir, || read_heads(dir, names))
}

fn read_heads(dir: &Path, names: &[String]) -> Result<Vec<SharedHead>> {
    let main = Model::from_dir(dir)?;
    let preprocessor = Preprocessor::from_dir(dir, main.config())?;
    let known = list_heads(dir)?;
    let load = |name: &String| {
        if name == MAIN_HEAD {
            let (model, preprocessor) = (main.clone(), preprocessor.clone());
            let calibration = Calibration::from_dir(dir, main.config())?;
            return Ok(SharedHead { name: name.clone(), model, preprocessor, calibration });
        }
        if !known.contains(name) {
            let known = [vec![MAIN_HEAD.to_owned()], known.clone()].concat().join(", ");
            let text = format!("\"{name}\" is not there, only {known}");
            return Err(Error::config("heads", text));
        }
        read_head(&ModelDir::new(dir).heads(), name, &main)
    };
    let heads = names.iter().map(load).collect::<Result<Vec<_>>>()?;
    match heads.is_empty() {
        true => Err(Error::config("heads", "wanted one or more names")),
        false => Ok(heads),
    }
}

fn place_of(path: &Path) -> String {
    path.display().to_string()
}

/// Reads the files of one head from a folder; the backbone is that of `main`.
fn read_head(folder: &Path, name: &str, main: &Model) -> Result<SharedHead> {
    let file = |file: HeadFile| folder.join(file.name_for(name));
    let architecture = Architecture::from_file(&file(HeadFile::Config))?;
    let mut model = Model::new(architecture, Init::PyTorch, 0)?;
    take_backbone(&mut model, main)
        .map_err(|e| e.at(file(HeadFile::Config).display().to_string()))?;
    let path = file(HeadFile::Weights);
    let bytes =
        read_listed(&path)?.ok_or_else(|| Error::weights("is not there").at(place_of(&path)))?;
    let tensors = tensors_in(&bytes).map_err(|e| e.at(place_of(&path)))?;
    let place = |tensor: &str| format!("{}: {tensor}", path.display());
    let layout = model.layout().clone();
    for tensor in layout.head_tensors() {
        let Some(found) = tensors.get(&tensor.name) else {
            return Err(Error::weights("is missing").at(place(&tensor.name)));
        };
        if found.shape != tensor.shape {
            let text = format!("has shape {:?}, wanted {:?}", found.shape, tensor.shape);
            return Err(Error::weights(text).at(place(&tensor.name)));
        }
        let values = &mut model.parameters.trained[tensor.range.clone()];
        values.iter_mut().zip(&found.values).for_each(|(to, &from)| *to = from as f32);
    }
    let path = file(HeadFile::Preprocessor);
    let text = require_listed_text(&path)?;
    let preprocessor = serde_json::from_str(&text).map_err(|e| {
        Error::config(path.display().to_string(), "is not a preprocessor file").because(e)
    })?;
    Ok(SharedHead { name: name.to_owned(), model, preprocessor, calibration: None })
}
