//! Training on labelled cases: classification and regression.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ptsm::data::{
    Grid, LabelOptions, LabelledSet, Labels, PreparedCases, Roles, Split, Standardiser, Transform,
};
use ptsm::train::{History, Samples, Subset, TrainData, Trainer, Training};
use ptsm::{Config, Error, LabelCoding, Model, Preprocessor, Result, Task};
use serde_json::{Map, Value, json};

use super::plan::check_fields;
use super::windows::{check_writable, optimise, save, take};
use super::{Record, TRAINING_FILE};
use crate::args::Global;
use crate::output::{remark, write_text};
use crate::source::DataArgs;

/// Everything that a training run on cases needs.
pub(crate) struct CasePlan {
    pub(crate) name: String,
    pub(crate) task: Task,
    pub(crate) train: LabelledSet,
    /// Cases that pick the epoch.
    pub(crate) validation: Option<LabelledSet>,
    /// Fields of `config.json` that are not at their default.
    pub(crate) model: Map<String, Value>,
    pub(crate) training: Training,
    /// Where the backbone comes from, with what its channels were standardised by: kept, so that
    /// one pass can serve both heads.
    pub(crate) start: Option<(Model, Standardiser)>,
    pub(crate) few_shot: Option<f64>,
    /// Whether the head of `start` is taken too.
    pub(crate) keep_head: bool,
}

/// Cases laid out for one configuration.
pub(crate) struct Laid {
    pub(crate) model: Model,
    pub(crate) preprocessor: Preprocessor,
    train: PreparedCases,
    validation: Option<PreparedCases>,
}

/// Reads labelled cases.
pub(crate) fn read_cases(
    data: &DataArgs,
    label: Option<&Vec<String>>,
    task: Task,
) -> Result<(String, LabelledSet)> {
    let Some(path) = &data.data else {
        return Err(Error::config("--data", "is missing (give a .ts file, a folder or a table)"));
    };
    let path = Path::new(path);
    if !path.exists() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io(path, "cannot be read", cause));
    }
    let roles = data.roles();
    let options = LabelOptions {
        columns: label.cloned(),
        values: Some(task == Task::Regression),
        roles: Roles { targets: data.targets.clone(), ..roles },
    };
    let set = LabelledSet::read(path, &data.read_options()?, &options)?;
    let fits = match set.labels {
        Labels::Classes { .. } => task == Task::Classification,
        Labels::Values { .. } => task == Task::Regression,
        Labels::Unknown(_) => false,
    };
    if !fits {
        let (kind, other) = match task {
            Task::Classification => ("values", "regression"),
            _ => ("classes", "classification"),
        };
        let text = format!("the labels are {kind} (use --task {other})");
        return Err(Error::input(text).at(path.display().to_string()));
    }
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    Ok((name, set))
}

impl CasePlan {
    /// Makes the model with its first weights, and lays out the cases for it.
    pub(crate) fn lay_out(&self) -> Result<Laid> {
        let standardiser = match &self.start {
            Some(start) if start.1.num_channels() == self.train.channels.len() => start.1.clone(),
            _ => self.train.standardiser(self.training.transform)?,
        };
        let (labels, targets) = self.coding()?;
        let config = self.config(&labels)?;
        let length = config.context_length;
        let mut model = Model::new(config, self.training.init, self.training.seed)?;
        if let Some((start, _)) = &self.start {
            take(&mut model, start, self.keep_head)?;
        }
        let lay =
            |set: &LabelledSet| PreparedCases::new(set, length, &standardiser, targets.as_ref());
        let validation = match (&self.validation, &labels) {
            (Some(set), LabelCoding::Classes { names }) => {
                Some(lay(&set.clone().with_classes(names)?)?)
            }
            (set, _) => set.as_ref().map(lay).transpose()?,
        };
        let preprocessor = Preprocessor {
            dataset: self.name.clone(),
            channels: self.train.channels.clone(),
            roles: Roles::default(),
            frequency: None,
            grid: Grid::Rows,
            seasonal_period: 1,
            split: Split::default(),
            standardiser: standardiser.clone(),
            labels: Some(labels),
        };
        Ok(Laid { train: lay(&self.train)?, validation, model, preprocessor })
    }

    /// How outputs become labels; values are standardised, unless the model says their range or
    /// counts them.
    fn coding(&self) -> Result<(LabelCoding, Option<Standardiser>)> {
        match &self.train.labels {
            Labels::Classes { names, .. } => {
                Ok((LabelCoding::Classes { names: names.clone() }, None))
            }
            Labels::Values { names, of } => {
                let text = |name: &str| self.model.get(name).and_then(Value::as_str);
                let counts = text("loss") == Some("nll")
                    && text("distribution_output") == Some("negative_binomial");
                let standardiser = match counts || self.model.contains_key("output_range") {
                    true => Standardiser::identity(names.len()),
                    false => {
                        let series = ptsm::data::Series::new("", names.len(), of.clone())?;
                        Standardiser::fit(
                            names,
                            &[(&series, 0..series.num_rows())],
                            Transform::None,
                        )?
                    }
                };
                let coding = LabelCoding::Values {
                    names: names.clone(),
                    standardiser: standardiser.clone(),
                };
                Ok((coding, Some(standardiser)))
            }
            Labels::Unknown(_) => Err(Error::input("the cases have no labels to learn")),
        }
    }

    fn config(&self, labels: &LabelCoding) -> Result<Config> {
        check_fields(&self.model)?;
        let mut fields = self.model.clone();
        if !fields.contains_key("context_length") {
            fields.insert("context_length".into(), self.train.longest().into());
        }
        fields.insert("num_input_channels".into(), self.train.channels.len().into());
        fields.insert("model_type".into(), ptsm::MODEL_TYPE.into());
        fields.insert("architectures".into(), json!([self.task.architecture()]));
        let names = match labels {
            LabelCoding::Classes { names } => {
                // As transformers names classes.
                let numbers = names.iter().enumerate();
                let by_number: Map<String, Value> =
                    numbers.map(|(i, name)| (i.to_string(), name.clone().into())).collect();
                let numbers = names.iter().enumerate();
                let by_name: Map<String, Value> =
                    numbers.map(|(i, name)| (name.clone(), i.into())).collect();
                fields.insert("id2label".into(), by_number.into());
                fields.insert("label2id".into(), by_name.into());
                names
            }
            LabelCoding::Values { names, .. } => names,
        };
        fields.insert("num_targets".into(), names.len().into());
        Config::from_json(&Value::Object(fields).to_string())
    }
}

impl Laid {
    /// Trains without talk and without files.
    pub(crate) fn fit(self, training: &Training) -> Result<(Model, Preprocessor, History)> {
        let empty = Subset::new(&self.train, Vec::new());
        let data = TrainData {
            train: &self.train,
            validation: self.validation.as_ref().map_or(&empty as &dyn Samples, |set| set),
        };
        let trainer = Trainer { training, data, dir: None, resume: false };
        let outcome = trainer.run(self.model, &mut |_| std::ops::ControlFlow::Continue(()))?;
        Ok((outcome.model, self.preprocessor, outcome.history))
    }
}

/// Trains by a plan and writes the model directory.
pub(crate) fn train_cases(
    global: &Global,
    plan: &CasePlan,
    (out, resume): (PathBuf, bool),
) -> Result<(Record, f64)> {
    let laid = plan.lay_out()?;
    let count = plan.validation.as_ref().map_or(0, LabelledSet::len);
    remark(global, &describe(plan, &laid, count));
    check_writable(&out)?;
    let empty = Subset::new(&laid.train, Vec::new());
    let few = plan.few_shot.map(|share| Subset::last(&laid.train, share)).transpose()?;
    let data = TrainData {
        train: few.as_ref().map_or(&laid.train as &dyn Samples, |few| few),
        validation: laid.validation.as_ref().map_or(&empty as &dyn Samples, |set| set),
    };
    let began = Instant::now();
    let num_parameters = laid.model.layout().num_trained();
    let run = (&plan.training, out.as_path(), resume);
    let (model, history) = optimise(global, run, data, laid.model.clone(), &laid.preprocessor)?;
    let record = Record {
        version: env!("CARGO_PKG_VERSION").into(),
        instruction_set: ptsm::instruction_set()?.name().into(),
        dataset: plan.name.clone(),
        split: Split::default(),
        train_windows: data.train.len(),
        validation_windows: count,
        num_parameters,
        init: plan.start.is_some(),
        training: plan.training.clone(),
        history,
    };
    save(&out, &model, &laid.preprocessor)?;
    let text = serde_json::to_string_pretty(&record)
        .map_err(|e| Error::internal("training.json cannot be written").because(e))?;
    write_text(&out.join(TRAINING_FILE), &(text + "\n"))?;
    Ok((record, began.elapsed().as_secs_f64()))
}

fn describe(plan: &CasePlan, laid: &Laid, validation: usize) -> String {
    let labels = match &plan.train.labels {
        Labels::Classes { names, .. } => format!("{} classes", names.len()),
        Labels::Values { names, .. } => format!("targets {}", names.join(", ")),
        Labels::Unknown(_) => "no labels".into(),
    };
    format!(
        "{}: {} training and {validation} validation cases x {} channels, up to {} steps, {labels}; \
         {} parameters",
        plan.name,
        plan.train.len(),
        plan.train.channels.len(),
        plan.train.longest(),
        laid.model.layout().num_trained()
    )
}
