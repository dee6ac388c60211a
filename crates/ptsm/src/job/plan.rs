//! [`Job`]: the inputs of a training run (data, task, model, training, start and place to save to).

use std::path::PathBuf;

use super::data::JobData;
use crate::data::Standardiser;
use crate::model_dir::ModelDir;
use crate::model_writer::ModelWriter;
use crate::preprocessor::Preprocessor;
use crate::spec::ModelSpec;
use crate::train::{Training, take_backbone};
use crate::zero_shot::{builtin_model, is_builtin};
use crate::{Error, Model, Result, Task};

/// One training run.
#[derive(Clone)]
pub struct Job<'a> {
    /// The data to train on.
    pub data: &'a JobData,
    /// The task.
    pub task: Task,
    /// The chosen fields of the model.
    pub model: ModelSpec,
    /// Training settings.
    pub training: Training,
    /// The model that training starts from; `None` = weights drawn at random.
    pub start: Option<Start>,
    /// Share of the training samples that is used, the last ones; `None` = all.
    pub few_shot: Option<f64>,
    /// Where the model, the record and the checkpoints go; `None` writes nothing.
    pub save: Option<Save>,
}

/// The model that training starts from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The model whose backbone is taken.
    pub model: Model,
    /// Its standardiser. Labelled cases with as many channels use it too, so that one pass of the
    /// backbone can serve both heads.
    pub standardiser: Option<Standardiser>,
    /// Whether its head is taken too.
    pub keep_head: bool,
}

/// Where a run writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// The model directory.
    pub dir: ModelDir,
    /// How a model that is already there is treated.
    pub mode: SaveMode,
}

/// How a model that is already in the directory of a run is treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SaveMode {
    /// It is an error.
    #[default]
    New,
    /// It is replaced.
    Replace,
    /// Its run is resumed from the checkpoint; without a checkpoint a new run begins.
    Resume,
}

impl Save {
    /// Saves into a directory that must not hold a model.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: ModelDir::new(dir), mode: SaveMode::New }
    }

    /// Holds the directory for the whole of a run, so that no other one writes there.
    ///
    /// # Errors
    ///
    /// `Io` as [`ModelWriter::new`]; `InvalidConfig` as [`Save::check`].
    pub(crate) fn hold(&self) -> Result<ModelWriter> {
        let writer = ModelWriter::new(&self.dir)?;
        // Another run may have ended there since the first check.
        self.check()?;
        Ok(writer)
    }

    /// Refuses a directory that holds a model, unless it is to be replaced.
    pub(crate) fn check(&self) -> Result<()> {
        if self.mode == SaveMode::New && self.dir.is_taken() {
            let text = "holds a model already (replace it, resume its run, or use another folder)";
            return Err(Error::config(self.dir.path().display().to_string(), text));
        }
        Ok(())
    }
}

impl Start {
    /// Loads the model directory that training for `task` starts from, or the model inside the library for
    /// its name.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file.
    pub fn from_dir(dir: &ModelDir, task: Task, keep_head: bool) -> Result<Self> {
        if is_builtin(dir.path()) {
            return Ok(Self { model: builtin_model()?, standardiser: None, keep_head });
        }
        let model = Model::from_dir(dir.path())?;
        let standardiser = match task {
            Task::Forecasting | Task::Pretraining => None,
            Task::Classification | Task::Regression => {
                Some(Preprocessor::from_dir(dir.path(), model.config())?.standardiser)
            }
        };
        Ok(Self { model, standardiser, keep_head })
    }

    /// Copies the backbone into a new model, and the head if `keep_head` is set.
    pub(super) fn give(&self, model: &mut Model) -> Result<()> {
        take_backbone(model, &self.model).map_err(|e| e.at("start"))?;
        if !self.keep_head {
            return Ok(());
        }
        let tensors = |model: &Model| -> Vec<(String, Vec<usize>)> {
            let all = model.layout().tensors().iter();
            all.map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect()
        };
        if tensors(model) != tensors(&self.model) {
            let text = "needs the same head in both models: the same task, lengths and loss";
            return Err(Error::config("keep_head", text));
        }
        model.parameters.clone_from(&self.model.parameters);
        Ok(())
    }
}

impl Job<'_> {
    /// The chosen fields of the model, over those of the backbone that training starts from.
    pub fn specification(&self) -> ModelSpec {
        let lower = self.start.as_ref().map(|start| ModelSpec::of_backbone(start.model.config()));
        lower.unwrap_or_default().with(&self.model)
    }
}
