//! Joint training: all heads of a model directory together with their shared backbone.

use std::ops::ControlFlow;

use serde_json::json;

use super::data::CaseData;
use super::used::{Usage, check_used};
use crate::data::{LabelledSet, PreparedCases, WindowSet, WindowShape, prepare};
use crate::heads::{MAIN_HEAD, SharedHead, list_heads, load_heads, save_heads};
use crate::model_dir::{ModelDir, write_json};
use crate::model_writer::ModelWriter;
use crate::spec::DataSpec;
use crate::train::{
    JointEpoch, JointOutcome, JointTask, Samples, Subset, TrainData, Training, train_jointly,
};
use crate::{Config, Error, Result, Task};
use ptsm_data::LabelCoding;

/// The data of one head.
#[derive(Debug, Clone, PartialEq)]
pub struct JointHead {
    /// Name of the head; the directory's own is `main`.
    pub name: String,
    /// The data to train it on.
    pub data: DataSpec,
    /// Weight of its loss in the total, above 0; 1 if not given.
    pub weight: Option<f64>,
}

/// The training of all heads of a model directory.
#[derive(Debug, Clone, PartialEq)]
pub struct JointJob {
    /// The model directory with the heads to start from.
    pub from: ModelDir,
    /// The data of every head, in any order.
    pub heads: Vec<JointHead>,
    /// Training settings; the seed also draws the cases that are held out.
    pub training: Training,
    /// The model directory to write.
    pub out: ModelDir,
}

/// The result of joint training.
#[derive(Debug)]
#[non_exhaustive]
pub struct JointTrained {
    /// The heads, `main` first.
    pub heads: Vec<SharedHead>,
    /// History of every epoch.
    pub epochs: Vec<JointEpoch>,
    /// The epoch that was kept, from 1.
    pub best_epoch: u32,
}

/// The samples of one head.
struct HeadSamples {
    train: Box<dyn Samples>,
    validation: Option<Box<dyn Samples>>,
}

impl JointJob {
    /// Names of the heads of the directory, `main` first.
    ///
    /// # Errors
    ///
    /// `Io` if they cannot be listed.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names = vec![MAIN_HEAD.to_owned()];
        names.extend(list_heads(self.from.path())?);
        Ok(names)
    }

    /// Reads the data of every head, trains, and writes the model directory.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, for a head without data, data without a head, and settings
    /// that are impossible or would not be used; `Io`, `InvalidInput` and `InvalidWeights` from the
    /// files.
    pub fn run(
        &self,
        observe: &mut dyn FnMut(&JointEpoch) -> ControlFlow<()>,
    ) -> Result<JointTrained> {
        let names = self.names()?;
        let shared = load_heads(self.from.path(), &names)?;
        if let Some(head) = self.heads.iter().find(|head| !names.contains(&head.name)) {
            let text = format!("there is no head \"{}\", only {}", head.name, names.join(", "));
            return Err(Error::config("heads", text));
        }
        let samples = shared.iter().map(|head| self.samples(head)).collect::<Result<Vec<_>>>()?;
        self.check(&shared, &samples)?;
        let empty = Subset::new(&*samples[0].train, Vec::new());
        let tasks = shared.iter().zip(&samples).map(|(head, samples)| {
            let validation = samples.validation.as_deref().unwrap_or(&empty);
            let data = TrainData { train: &*samples.train, validation };
            let weight = self.head(&head.name)?.weight.unwrap_or(1.0);
            Ok(JointTask { model: head.model.clone(), data, weight })
        });
        let tasks = tasks.collect::<Result<Vec<_>>>()?;
        let writer = ModelWriter::new(&self.out)?;
        let outcome = train_jointly(tasks, &self.training, observe)?;
        self.save(&writer, &shared, outcome)
    }

    fn head(&self, name: &str) -> Result<&JointHead> {
        self.heads
            .iter()
            .find(|head| head.name == name)
            .ok_or_else(|| Error::config("data", format!("is missing for head \"{name}\"")))
    }

    fn check(&self, shared: &[SharedHead], samples: &[HeadSamples]) -> Result<()> {
        let configs: Vec<&Config> = shared.iter().map(|head| head.model.config()).collect();
        let cases = shared.iter().filter(|head| head.preprocessor.labels.is_some()).count();
        let usage = Usage {
            models: &configs,
            joint: true,
            windows: cases < configs.len(),
            validation: samples
                .iter()
                .any(|samples| samples.validation.as_ref().is_some_and(|set| !set.is_empty())),
            saved: false,
            drawn: false,
            standardised: false,
        };
        check_used(&self.training, &usage)
    }

    /// Samples prepared as in the training of the head: its channels, standardisation and labels.
    fn samples(&self, head: &SharedHead) -> Result<HeadSamples> {
        let data = &self.head(&head.name)?.data;
        match &head.preprocessor.labels {
            Some(coding) => {
                let task = head.model.config().task()?;
                let cases = CaseData::read(data, task, self.training.seed)?;
                let lay = |set: LabelledSet| {
                    let laid = lay_cases(head, coding, set)?;
                    Ok::<_, Error>(Box::new(laid) as Box<dyn Samples>)
                };
                let validation = cases.validation.map(lay).transpose()?;
                Ok(HeadSamples { train: lay(cases.train)?, validation })
            }
            None => {
                let (train, validation) = windows(data, head, self.training.window_step)?;
                Ok(HeadSamples { train: Box::new(train), validation: Some(Box::new(validation)) })
            }
        }
    }

    fn save(
        &self,
        writer: &ModelWriter,
        shared: &[SharedHead],
        outcome: JointOutcome,
    ) -> Result<JointTrained> {
        let JointOutcome { models, epochs, best_epoch, .. } = outcome;
        let trained = shared.iter().zip(models);
        let heads: Vec<SharedHead> =
            trained.map(|(head, model)| SharedHead { model, ..head.clone() }).collect();
        let data: Vec<(&str, &str)> = self
            .heads
            .iter()
            .map(|head| (head.name.as_str(), head.data.data.as_deref().unwrap_or_default()))
            .collect();
        let weights = self.heads.iter().filter_map(|head| Some((&head.name, head.weight?)));
        let weights: Vec<(&String, String)> =
            weights.map(|(name, weight)| (name, weight.to_string())).collect();
        let record = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instruction_set": ptsm_core::instruction_set()?.name(),
            "heads": heads.iter().map(|head| &head.name).collect::<Vec<_>>(),
            "data": data, "weights": weights, "training": self.training,
            "best_epoch": best_epoch, "epochs": epochs,
        });
        writer.replace(|staged| {
            save_heads(staged.path(), &heads)?;
            write_json(&staged.joint_training(), &record)?;
            Ok(Vec::new())
        })?;
        Ok(JointTrained { heads, epochs, best_epoch })
    }
}

fn lay_cases(head: &SharedHead, coding: &LabelCoding, set: LabelledSet) -> Result<PreparedCases> {
    let length = head.model.config().context_length;
    let channels = &head.preprocessor.standardiser;
    match coding {
        LabelCoding::Classes { names } => {
            PreparedCases::new(&set.with_classes(names)?, length, channels, None)
        }
        LabelCoding::Values { standardiser, .. } => {
            PreparedCases::new(&set, length, channels, Some(standardiser))
        }
    }
}

fn windows(data: &DataSpec, head: &SharedHead, step: usize) -> Result<(WindowSet, WindowSet)> {
    let (config, preprocessor) = (head.model.config(), &head.preprocessor);
    let source = data.read_for(preprocessor)?;
    let set = preprocessor.read_as(&source.table, &data.roles(), &data.repair(&source)?)?;
    let prediction_length =
        if config.task()? == Task::Pretraining { 0 } else { config.prediction_length };
    let shape = WindowShape { context_length: config.context_length, prediction_length, step };
    let standardiser = Some(&preprocessor.standardiser);
    let prepared = prepare(&set, &preprocessor.split, shape, None, standardiser)?;
    Ok((prepared.train, prepared.validation))
}
