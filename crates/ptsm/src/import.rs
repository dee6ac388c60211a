//! A folder that Hugging Face wrote, made a complete model directory.
//!
//! `save_pretrained`, or a checkpoint of a Trainer, holds `config.json` and weights. What it lacks is
//! which columns of a table the channels are, how times are read, and how values were standardised:
//! that is taken from the data that the model was trained on.

use std::path::Path;

use serde_json::Value;

use crate::data::{LabelCoding, LabelledSet, Labels, Standardiser, Transform};
use crate::job::{CaseData, JobData, SeriesData, WindowedSeries, Windowing, counts};
use crate::model_dir::ModelDir;
use crate::preprocessor::Preprocessor;
use crate::{Config, Error, Model, Result, Task};
use ptsm_core::{Init, Note, option};

/// Channels that an error lists.
const MAX_NAMES: usize = 12;

/// What a model directory is made of.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// The folder that Hugging Face wrote.
    pub from: &'a Path,
    /// The data that the model was trained on, or data that were read alike.
    pub data: &'a JobData,
    /// Whether the model was trained on standardised channels; `None` = yes, unless it forecasts
    /// counts.
    pub standardise: Option<bool>,
    /// What was done to values in front of standardising; `None` = nothing.
    pub transform: Option<Transform>,
}

/// A model with all that it takes to use it; [`save_model`](crate::job::save_model) writes it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Imported {
    /// The model, its weights in single precision.
    pub model: Model,
    /// How tables are read.
    pub preprocessor: Preprocessor,
    /// Whether channels are standardised.
    pub standardised: bool,
    /// What a user should know of the data.
    pub notes: Vec<Note>,
}

impl Import<'_> {
    /// Reads the folder, and takes from the data how they are read for it.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file or the field; `InvalidConfig` if the
    /// data have other channels or classes than the model, if the folder is complete already, or
    /// for an option that would not be used; `InvalidInput` if the data are too short.
    pub fn run(&self) -> Result<Imported> {
        let dir = ModelDir::new(self.from);
        if dir.preprocessor().exists() {
            let text = "is there: the folder can be used as it is (remove the file to have it made \
                        again)";
            return Err(Error::config(dir.preprocessor().display().to_string(), text));
        }
        let model = in_single_precision(Model::from_dir(self.from)?)?;
        let at_config = |e: Error| e.at(dir.config().display().to_string());
        let config = model.config();
        let standardise = self.standardises(config)?;
        check_channels(config, self.channels()).map_err(at_config)?;
        let (preprocessor, notes) = match (self.data, config.task()?) {
            (JobData::Series(data), Task::Forecasting | Task::Pretraining) => {
                series(data, config, standardise)?
            }
            (JobData::Cases(data), Task::Classification | Task::Regression) => {
                (cases(data, config, standardise).map_err(at_config)?, Vec::new())
            }
            (data, task) => return Err(at_config(unfit(data, task))),
        };
        Ok(Imported { model, preprocessor, standardised: standardise.is_some(), notes })
    }

    fn channels(&self) -> &[String] {
        match self.data {
            JobData::Series(data) => &data.set.channels,
            JobData::Cases(data) => &data.train.channels,
        }
    }

    /// What is done to values in front of standardising; `None` = they are not standardised.
    fn standardises(&self, config: &Config) -> Result<Option<Transform>> {
        let counts = counts(config);
        if counts && self.standardise == Some(true) {
            let text = "cannot be: the model forecasts counts, which standardising would destroy \
                        (leave it out)";
            return Err(Error::config("standardise", text));
        }
        let standardise = self.standardise.unwrap_or(!counts);
        match (standardise, self.transform) {
            (true, transform) => Ok(Some(transform.unwrap_or_default())),
            (false, None) => Ok(None),
            (false, Some(_)) => {
                let text = "would not be used: values are not standardised (leave it out)";
                Err(Error::config("transform", text))
            }
        }
    }
}

/// The model with a configuration that names the precision that its weights are written in: read with
/// another one, transformers would round them again.
fn in_single_precision(model: Model) -> Result<Model> {
    let mut config = model.config().clone();
    for field in ["dtype", "torch_dtype"] {
        if let Some(precision) = config.extra.get_mut(field) {
            *precision = "float32".into();
        }
    }
    let parameters = model.parameters;
    let mut model = Model::new(config, Init::PyTorch, 0)?;
    model.parameters = parameters;
    Ok(model)
}

fn check_channels(config: &Config, channels: &[String]) -> Result<()> {
    let wanted = config.num_input_channels;
    if channels.len() == wanted {
        return Ok(());
    }
    let text = format!(
        "is {wanted}, the data have {} channels: {} (name those of the model, in its order, with {})",
        channels.len(),
        listed(channels),
        option("targets", Some("A,B,..."))
    );
    Err(Error::config("num_input_channels", text))
}

fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    if names.len() > MAX_NAMES { format!("{shown}, ...") } else { shown }
}

fn unfit(data: &JobData, task: Task) -> Error {
    let (got, wanted) = match data {
        JobData::Series(_) => ("series", "labelled cases"),
        JobData::Cases(_) => ("labelled cases", "series"),
    };
    let text = format!("{} reads {wanted}, the data are {got}", task.architecture());
    Error::config("architectures", text)
}

/// How series are read for a model that forecasts or is pretrained, and what a user should know.
fn series(
    data: &SeriesData,
    config: &Config,
    standardise: Option<Transform>,
) -> Result<(Preprocessor, Vec<Note>)> {
    let WindowedSeries { prepared, preprocessor } =
        data.windows(&Windowing { config, step: 1, standardise })?;
    Ok((preprocessor, prepared.notes()))
}

/// How cases are read for a model that labels them.
fn cases(data: &CaseData, config: &Config, standardise: Option<Transform>) -> Result<Preprocessor> {
    let LabelledSet { channels, labels, .. } = &data.train;
    let standardiser = match standardise {
        Some(transform) => data.train.standardiser(transform)?,
        None => Standardiser::identity(channels.len()),
    };
    let labels = match labels {
        Labels::Classes { names, .. } => LabelCoding::Classes { names: classes(config, names)? },
        Labels::Values { names, .. } if names.len() == config.num_targets => {
            // transformers regresses the targets as they are.
            let standardiser = Standardiser::identity(names.len());
            LabelCoding::Values { names: names.clone(), standardiser }
        }
        Labels::Values { names, .. } => {
            let text = format!(
                "is {}, the data have {} targets: {} (name those of the model, in its order, with {})",
                config.num_targets,
                names.len(),
                listed(names),
                option("label", Some("A,B,..."))
            );
            return Err(Error::config("num_targets", text));
        }
        Labels::Unknown(_) => return Err(Error::input("the cases have no labels")),
    };
    Ok(data.preprocessor(standardiser, labels))
}

/// The names of the classes in the order of the logits: those of `id2label`, or the numbers of the
/// logits where the data name their classes so.
fn classes(config: &Config, of_data: &[String]) -> Result<Vec<String>> {
    let count = config.num_targets;
    let named = |number: usize| {
        let names = config.extra.get("id2label").and_then(Value::as_object);
        names?.get(&number.to_string())?.as_str().map(str::to_owned)
    };
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let fits = |names: &[String]| of_data.iter().all(|class| names.contains(class));
    match (0..count).map(named).collect::<Option<Vec<String>>>() {
        Some(names) if fits(&names) => return Ok(names),
        _ if fits(&numbers) => return Ok(numbers),
        _ => {}
    }
    let text = format!(
        "does not say which of the {count} logits is which of the {} classes of the data: {} (write it \
         as {{\"0\": \"{}\", ...}}, one name for each logit)",
        of_data.len(),
        listed(of_data),
        of_data.first().map_or("", String::as_str)
    );
    Err(Error::config("id2label", text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Grid, ReadOptions, Repair, Roles, Series, SeriesSet, Table};
    use serde_json::json;

    #[test]
    fn classes_are_those_of_id2label_or_the_numbers_of_the_logits() {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let table = [
            (json!({"0": "up", "1": "down", "2": "flat"}), &["down", "up"][..], Some("up")),
            (json!({"0": "LABEL_0", "1": "LABEL_1"}), &["0", "2"], Some("0")),
            (json!(null), &["0", "1", "2"], Some("0")),
            (json!(null), &["1", "2", "3"], None),
            (json!({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}), &["down", "up"], None),
            (json!({"0": "up", "1": "down", "2": "flat"}), &["left"], None),
        ];
        for (id2label, of_data, first) in table {
            let mut config = Config { num_targets: 3, ..Config::default() };
            config.extra.insert("id2label".into(), id2label.clone());
            let found = classes(&config, &names(of_data));
            match first {
                Some(first) => {
                    let found = found.unwrap();
                    assert_eq!((found.len(), found[0].as_str()), (3, first), "{id2label}");
                }
                None => {
                    let error = found.unwrap_err().to_string();
                    assert!(error.contains("3 logits") && error.contains(of_data[0]), "{error}");
                }
            }
        }
    }

    #[test]
    fn targets_of_a_regression_are_values_as_they_are() {
        let series = (0..3).map(|i| Series::new("", 1, vec![f64::from(i); 8]).unwrap()).collect();
        let labels = Labels::Values { names: vec!["y".into()], of: vec![1.0, 5.0, 9.0] };
        let set = LabelledSet::new(vec!["x".into()], series, labels).unwrap();
        let data = CaseData::new("t", set, 0.0, 0).unwrap();
        let config = Config { num_targets: 1, ..Config::default() };
        let found = cases(&data, &config, Some(Transform::None)).unwrap();
        let LabelCoding::Values { names, standardiser } = found.labels.unwrap() else { panic!() };
        assert_eq!((names, standardiser), (vec!["y".to_owned()], Standardiser::identity(1)));
        assert_eq!((found.standardiser.mean, found.grid), (vec![1.0], Grid::Rows));
        let two = Config { num_targets: 2, ..config };
        let error = cases(&data, &two, None).unwrap_err().to_string();
        assert!(error.contains("num_targets: is 2, the data have 1 targets: y"), "{error}");
    }

    #[test]
    fn counts_are_not_standardised() {
        let options = ReadOptions::default();
        let table = Table::from_csv(b"x\n1\n2\n", "t.csv", &options).unwrap();
        let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
        let data = SeriesData::new("t", set).into();
        let counts = Config {
            loss: "nll".into(),
            distribution_output: "negative_binomial".into(),
            ..Config::default()
        };
        let import =
            Import { from: Path::new(""), data: &data, standardise: None, transform: None };
        assert_eq!(import.standardises(&counts).unwrap(), None);
        assert_eq!(import.standardises(&Config::default()).unwrap(), Some(Transform::None));
        let asked = Import { standardise: Some(true), ..import };
        assert!(asked.standardises(&counts).is_err());
        let logarithms = Import { transform: Some(Transform::Log1p), ..import };
        assert!(logarithms.standardises(&counts).is_err());
        let wanted = Some(Transform::Log1p);
        assert_eq!(logarithms.standardises(&Config::default()).unwrap(), wanted);
    }
}
