//! Several tasks from one pass: extra heads on the backbone of a model directory.
//!
//! `heads/NAME.json` is the head's `config.json`, `heads/NAME.safetensors` holds its own weights
//! (everything that is not the backbone), `heads/NAME.preprocessor.json` says how its outputs become
//! labels. The backbone stands in the directory once and runs once.

use std::path::Path;

use crate::backend::Output;
use crate::cpu::SharedSession;
use crate::data::Batch;
use crate::model::{Model, NamedTensor};
use crate::model_dir::{HeadFile, ModelDir};
use crate::train::take_backbone;
use crate::weights::Init;
use crate::{
    Config, Error, Preprocessor, Result, Task, read_tensors, write_atomically, write_tensors,
};

/// Name of the head that a model directory is about.
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
}

impl SharedHead {
    fn pretrains(&self) -> bool {
        matches!(self.model.config().task(), Ok(Task::Pretraining))
    }
}

/// A backbone with some of its heads, on the CPU.
pub struct SharedModel {
    heads: Vec<SharedHead>,
    session: SharedSession,
}

fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name == MAIN_HEAD || !name.chars().all(plain) {
        let text = format!("\"{name}\" must consist of letters, digits, - and _, and not be main");
        return Err(Error::config("name", text));
    }
    Ok(())
}

fn is_backbone(name: &str) -> bool {
    name.starts_with("model.")
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
/// Both must have the same backbone, bit for bit (`train --init DIR --freeze backbone` sees to
/// it), and read their channels alike. A head of that name is replaced.
///
/// # Errors
///
/// `InvalidConfig` for an impossible name, or naming what differs; `Io`, `InvalidWeights` from the
/// files.
pub fn add_head(dir: &Path, name: &str, from: &Path) -> Result<()> {
    check_name(name)?;
    let (main, extra) = (Model::from_dir(dir)?, Model::from_dir(from)?);
    let mut joined = extra.clone();
    take_backbone(&mut joined, &main)?;
    if joined.parameters != extra.parameters {
        let text = "has another backbone: its weights were trained on (use --freeze backbone)";
        return Err(Error::config(from.display().to_string(), text));
    }
    let ours = Preprocessor::from_dir(dir, main.config())?;
    let theirs = Preprocessor::from_dir(from, extra.config())?;
    if ours.standardiser != theirs.standardiser {
        let text = "standardises its channels otherwise: one pass cannot serve both";
        return Err(Error::config(from.display().to_string(), text));
    }
    write_head(dir, &SharedHead { name: name.to_owned(), model: extra, preprocessor: theirs })
}

/// Writes heads that were trained together into the model directory `dir`, that of `main` last: the
/// directory is a model once everything is there.
///
/// # Errors
///
/// `InvalidConfig` if no head is `main`; `Io` if something cannot be written.
pub fn save_heads(dir: &Path, heads: &[SharedHead]) -> Result<()> {
    let Some(main) = heads.iter().find(|head| head.name == MAIN_HEAD) else {
        return Err(Error::config("heads", format!("wanted one of the name {MAIN_HEAD}")));
    };
    for head in heads.iter().filter(|head| head.name != MAIN_HEAD) {
        check_name(&head.name)?;
        write_head(dir, head)?;
    }
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
    main.preprocessor.save(dir)?;
    main.model.save(dir)
}

fn write_head(dir: &Path, head: &SharedHead) -> Result<()> {
    let SharedHead { name, model, preprocessor } = head;
    let files = ModelDir::new(dir);
    let folder = files.heads();
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "cannot be made", e))?;
    let tensors: Vec<NamedTensor<f32>> = model
        .name_trained("", &model.parameters.trained)
        .into_iter()
        .filter(|tensor| !is_backbone(&tensor.name))
        .collect();
    let text = serde_json::to_string_pretty(preprocessor)
        .map_err(|e| Error::internal("the preprocessor cannot be written").because(e))?;
    let write = |file: HeadFile, text: &str| {
        write_atomically(&files.head(name, file), |out| out.write_all(text.as_bytes()))
    };
    write(HeadFile::Config, &model.config().to_json()?)?;
    write(HeadFile::Preprocessor, &text)?;
    // Last: a head is there once its weights are.
    write_tensors(&files.head(name, HeadFile::Weights), &tensors)
}

impl SharedModel {
    /// Loads a model directory with the heads `names` (`main` is the directory's own).
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if there is no such head, naming those that are there; `Io` and
    /// `InvalidWeights` from the files.
    pub fn from_dir(dir: &Path, names: &[String]) -> Result<Self> {
        let main = Model::from_dir(dir)?;
        let preprocessor = Preprocessor::from_dir(dir, main.config())?;
        let known = list_heads(dir)?;
        let load = |name: &String| {
            if name == MAIN_HEAD {
                let (model, preprocessor) = (main.clone(), preprocessor.clone());
                return Ok(SharedHead { name: name.clone(), model, preprocessor });
            }
            if !known.contains(name) {
                let known = [vec![MAIN_HEAD.to_owned()], known.clone()].concat().join(", ");
                return Err(Error::config(
                    "heads",
                    format!("\"{name}\" is not there, only {known}"),
                ));
            }
            load_head(dir, name, &main)
        };
        let heads = names.iter().map(load).collect::<Result<Vec<_>>>()?;
        if heads.is_empty() {
            return Err(Error::config("heads", "wanted one or more names"));
        }
        if let Some(head) = heads.iter().find(|head| head.pretrains()) {
            let text =
                format!("\"{}\" fills in hidden patches, which others cannot share", head.name);
            return Err(Error::config("heads", text));
        }
        let session = SharedSession::new(heads.iter().map(|head| head.model.clone()))?;
        Ok(Self { heads, session })
    }

    /// The heads, in the order in which they were asked for.
    pub fn heads(&self) -> &[SharedHead] {
        &self.heads
    }

    /// Runs the backbone once and every head on what it gives; one output for each head, with the
    /// same bits as that head alone.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<Output>> {
        self.session.forward(batch)
    }
}

fn load_head(dir: &Path, name: &str, main: &Model) -> Result<SharedHead> {
    let file = |file: HeadFile| ModelDir::new(dir).head(name, file);
    let config = Config::from_file(&file(HeadFile::Config))?;
    let mut model = Model::new(config, Init::PyTorch, 0)?;
    take_backbone(&mut model, main)
        .map_err(|e| e.at(file(HeadFile::Config).display().to_string()))?;
    let path = file(HeadFile::Weights);
    let tensors = read_tensors(&path)?;
    let place = |tensor: &str| format!("{}: {tensor}", path.display());
    let layout = model.layout().clone();
    for tensor in layout.tensors().iter().filter(|tensor| !is_backbone(&tensor.name)) {
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
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "cannot be read", e))?;
    let preprocessor = serde_json::from_str(&text).map_err(|e| {
        Error::config(path.display().to_string(), "is not a preprocessor file").because(e)
    })?;
    Ok(SharedHead { name: name.to_owned(), model, preprocessor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Grid, Roles, Split, Standardiser, Transform};
    use crate::labeller::LabelCoding;
    use crate::{Backend, Cpu};

    fn model(task: Task, seed: u64) -> Model {
        let config = Config {
            architectures: Some(vec![task.architecture().into()]),
            num_input_channels: 2,
            num_targets: 2,
            ..Config::default()
        };
        Model::new(config, Init::PyTorch, seed).unwrap()
    }

    fn save(model: &Model, dir: &Path, scale: f64) {
        std::fs::create_dir_all(dir).unwrap();
        model.save(dir).unwrap();
        let names = vec!["up".into(), "down".into()];
        let preprocessor = Preprocessor {
            dataset: "t".into(),
            channels: vec!["x".into(), "y".into()],
            roles: Roles::default(),
            frequency: None,
            grid: Grid::Rows,
            seasonal_period: 1,
            split: Split::default(),
            standardiser: Standardiser {
                mean: vec![0.0; 2],
                scale: vec![scale; 2],
                transform: Transform::None,
            },
            labels: Some(LabelCoding::Classes { names }),
        };
        preprocessor.save(dir).unwrap();
    }

    fn batch() -> Batch {
        Batch {
            size: 3,
            context_length: 32,
            num_channels: 2,
            past_values: (0..192).map(|i| (i as f32 * 0.37).sin()).collect(),
            observed_mask: Some((0..192).map(|i| f32::from(i % 5 != 0)).collect()),
            future_values: None,
            future_observed_mask: None,
            target_values: None,
            patch_mask: None,
        }
    }

    #[test]
    fn heads_on_one_backbone_answer_as_each_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (main_dir, extra_dir) = (folder.path().join("main"), folder.path().join("extra"));
        let main = model(Task::Forecasting, 1);
        let mut extra = model(Task::Classification, 2);
        save(&main, &main_dir, 1.0);
        save(&extra, &extra_dir, 1.0);
        let text = add_head(&main_dir, "class", &extra_dir).unwrap_err().to_string();
        assert!(text.contains("another backbone"), "{text}");
        take_backbone(&mut extra, &main).unwrap();
        save(&extra, &extra_dir, 2.0);
        let text = add_head(&main_dir, "class", &extra_dir).unwrap_err().to_string();
        assert!(text.contains("standardises"), "{text}");
        save(&extra, &extra_dir, 1.0);
        assert!(add_head(&main_dir, "../x", &extra_dir).is_err());
        add_head(&main_dir, "class", &extra_dir).unwrap();
        assert_eq!(list_heads(&main_dir).unwrap(), ["class"]);

        let names = ["class".to_owned(), MAIN_HEAD.to_owned()];
        let mut shared = SharedModel::from_dir(&main_dir, &names).unwrap();
        let outputs = shared.forward(&batch()).unwrap();
        for (output, alone) in outputs.iter().zip([&extra, &main]) {
            let mut wanted = Output::default();
            Cpu.load(alone).unwrap().forward(&batch(), &mut wanted).unwrap();
            assert_eq!(output.prediction, wanted.prediction);
        }
        let text = SharedModel::from_dir(&main_dir, &["quant".into()]).err().unwrap().to_string();
        assert!(text.contains("\"quant\"") && text.contains("main, class"), "{text}");
    }
}
