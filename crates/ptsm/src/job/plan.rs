//! [`Job`]: the inputs of a training run (data, task, model, training, start and place to save to).

use std::path::PathBuf;

use super::data::JobData;
use crate::data::Standardiser;
use crate::model_dir::ModelDir;
use crate::preprocessor::Preprocessor;
use crate::spec::ModelSpec;
use crate::train::{Training, take_backbone};
use crate::{Error, Model, Result, Task};

/// One training run.
#[derive(Clone)]
pub struct Job<'a> {
    /// What is learnt from.
    pub data: &'a JobData,
    /// What is learnt.
    pub task: Task,
    /// What is chosen of the model.
    pub model: ModelSpec,
    /// How it is trained.
    pub training: Training,
    /// The model that training starts from; `None` = drawn weights.
    pub start: Option<Start>,
    /// Share of the training samples that is used, the last ones; `None` = all.
    pub few_shot: Option<f64>,
    /// Where the model, the record and the checkpoints go; `None` writes nothing.
    pub save: Option<Save>,
}

/// The model that training starts from.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its backbone is taken.
    pub model: Model,
    /// What its channels were standardised by: labelled cases keep it where their channels are as
    /// many, so that one pass can serve both heads.
    pub standardiser: Option<Standardiser>,
    /// Whether its head is taken too.
    pub keep_head: bool,
}

/// Where a run writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// The model directory.
    pub dir: ModelDir,
    /// What becomes of a model that is in it.
    pub mode: SaveMode,
}

/// What becomes of a model that is in the directory of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SaveMode {
    /// It is an error.
    #[default]
    New,
    /// It is replaced.
    Replace,
    /// The run is resumed from the checkpoint beside it; without a checkpoint it is begun.
    Resume,
}

impl Save {
    /// Into a directory that must not hold a model.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: ModelDir::new(dir), mode: SaveMode::New }
    }

    /// Refuses a directory that holds a model, unless it is to be replaced.
    pub(super) fn check(&self) -> Result<()> {
        if self.mode == SaveMode::New && self.dir.is_taken() {
            let text = "holds a model already (replace it, resume its run, or use another folder)";
            return Err(Error::config(self.dir.path().display().to_string(), text));
        }
        Ok(())
    }
}

impl Start {
    /// Loads the model directory that training for `task` starts from.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file.
    pub fn from_dir(dir: &ModelDir, task: Task, keep_head: bool) -> Result<Self> {
        let model = Model::from_dir(dir.path())?;
        let standardiser = match task {
            Task::Forecasting | Task::Pretraining => None,
            Task::Classification | Task::Regression => {
                Some(Preprocessor::from_dir(dir.path(), model.config())?.standardiser)
            }
        };
        Ok(Self { model, standardiser, keep_head })
    }

    /// Gives a new model the backbone, and the head where that is asked for.
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
    /// What is chosen of the model, over the backbone that training starts from.
    pub fn specification(&self) -> ModelSpec {
        let lower = self.start.as_ref().map(|start| ModelSpec::of_backbone(start.model.config()));
        lower.unwrap_or_default().with(&self.model)
    }
}
