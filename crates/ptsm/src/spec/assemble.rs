//! Assembly of a [`Config`] from chosen fields, defaults, and the shape of the data.

use serde_json::{Map, Value, json};

use super::model::ModelSpec;
use crate::{Config, Error, Result, Task};
use ptsm_core::{Extension, MODEL_TYPE};

/// The facts about the data and the task that determine fields of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct DataShape<'a> {
    /// The task.
    pub task: Task,
    /// Channels, C.
    pub channels: usize,
    /// For labelled cases: time steps of the longest, which is the default context.
    pub longest: Option<usize>,
    /// The kind of labels; `None` for windows.
    pub targets: Option<Targets<'a>>,
}

/// The kind of labels of cases.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// The names of the classes, in the order of the logits.
    Classes(&'a [String]),
    /// The number of values.
    Values(usize),
}

impl DataShape<'_> {
    /// The shape of windows over `channels` channels.
    pub fn windows(task: Task, channels: usize) -> Self {
        Self { task, channels, longest: None, targets: None }
    }
}

impl ModelSpec {
    /// The configuration of a model with these fields for data of this shape.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field: a number of channels that the data do not have, or what
    /// [`Config::validate`] refuses.
    pub fn config(&self, shape: &DataShape<'_>) -> Result<Config> {
        let mut fields = self.settled(shape.longest)?;
        let given = fields.insert("num_input_channels".into(), shape.channels.into());
        if let Some(given) = given
            && given != shape.channels
        {
            let text = format!("{given} does not fit the data, which have {}", shape.channels);
            return Err(Error::config("num_input_channels", text));
        }
        fields.insert("model_type".into(), MODEL_TYPE.into());
        fields.insert("architectures".into(), json!([shape.task.architecture()]));
        match shape.targets {
            None => {}
            Some(Targets::Values(count)) => {
                fields.insert("num_targets".into(), count.into());
            }
            Some(Targets::Classes(names)) => insert_classes(&mut fields, names),
        }
        Config::from_json(&Value::Object(fields).to_string())
    }

    /// The chosen fields over [`ModelSpec::defaults`], as fields of `config.json`.
    ///
    /// # Errors
    ///
    /// `Internal` if they cannot be written.
    pub(crate) fn settled(&self, longest: Option<usize>) -> Result<Map<String, Value>> {
        let mut lower = Self::defaults();
        lower.context_length = longest.or(lower.context_length);
        let mut settled = lower.with(self);
        // Labelled cases keep Hugging Face's 1e-5: their scores were measured with it.
        if longest.is_none() {
            settled.settle_scale();
        }
        settled.fields()
    }

    /// The chosen fields alone, as fields of `config.json`.
    pub(crate) fn fields(&self) -> Result<Map<String, Value>> {
        let mut settled = self.clone();
        settled.settle();
        settled.settle_level();
        if settled.ptsm == Some(Extension::default()) {
            settled.ptsm = None;
        }
        let fields = serde_json::to_value(&settled)
            .map_err(|e| Error::internal("a model specification cannot be written").because(e))?;
        let Value::Object(mut fields) = fields else {
            return Err(Error::internal("a model specification did not become an object"));
        };
        // JSON has no other numbers, and a field that is left out is not written.
        if let Some((name, _)) = fields.iter().find(|(_, value)| holds_null(value)) {
            return Err(Error::config(name, "wanted finite numbers, NaN or an infinite one came"));
        }
        for name in ["scaling", "head_aggregation"] {
            if fields.get(name).and_then(Value::as_str) == Some("none") {
                fields.insert(name.into(), Value::Null);
            }
        }
        Ok(fields)
    }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(holds_null),
        Value::Object(values) => values.values().any(holds_null),
        _ => false,
    }
}

/// Number and names of the classes, as transformers writes them.
fn insert_classes(fields: &mut Map<String, Value>, names: &[String]) {
    let numbers = names.iter().enumerate();
    let by_number: Map<String, Value> =
        numbers.map(|(i, name)| (i.to_string(), name.clone().into())).collect();
    let numbers = names.iter().enumerate();
    let by_name: Map<String, Value> = numbers.map(|(i, name)| (name.clone(), i.into())).collect();
    fields.insert("id2label".into(), by_number.into());
    fields.insert("label2id".into(), by_name.into());
    fields.insert("num_targets".into(), names.len().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::from_fields;
    use ptsm_core::{CrossChannel, Location};

    fn spec(text: &str) -> Result<ModelSpec> {
        let Value::Object(fields) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
        from_fields("[model]", &fields)
    }

    fn config(text: &str) -> Config {
        spec(text).unwrap().config(&DataShape::windows(Task::Forecasting, 3)).unwrap()
    }

    #[test]
    fn choices_win_over_defaults_and_data_decide_the_rest() {
        let config = config("{\"d_model\": 8, \"dropout\": 0.5, \"norm_mlp\": \"BatchNorm\"}");
        assert_eq!((config.context_length, config.prediction_length), (512, 96));
        assert_eq!((config.d_model, config.num_layers, config.num_input_channels), (8, 4, 3));
        assert_eq!((config.dropout, config.norm_mlp.as_str()), (0.5, "BatchNorm"));
        assert_eq!(config.task().unwrap(), Task::Forecasting);
        assert!(config.ptsm.is_none());
        let other = spec("{\"num_input_channels\": 2}").unwrap();
        let error = other.config(&DataShape::windows(Task::Forecasting, 3)).unwrap_err();
        assert!(error.to_string().contains("num_input_channels: 2 does not fit"), "{error}");
    }

    #[test]
    fn words_that_config_json_does_not_have_become_the_extension() {
        let hybrid = config("{\"mode\": \"hybrid\"}");
        assert_eq!(hybrid.mode, "common_channel");
        assert_eq!(hybrid.extension().cross_channel, Some(CrossChannel::default()));
        let quantile = config("{\"loss\": \"quantile\"}");
        assert_eq!(quantile.loss, "mse");
        assert_eq!(quantile.extension().quantiles.as_ref().unwrap().len(), 9);
        for none in ["\"none\"", "null"] {
            let plain = config(&format!("{{\"scaling\": {none}, \"head_aggregation\": {none}}}"));
            assert_eq!((plain.scaling, plain.head_aggregation), (Value::Null, None));
        }
    }

    #[test]
    fn cases_bring_their_length_and_classes() {
        let names = ["up".to_owned(), "down".to_owned()];
        let shape = DataShape {
            task: Task::Classification,
            channels: 1,
            longest: Some(30),
            targets: Some(Targets::Classes(&names)),
        };
        let config = ModelSpec::default().config(&shape).unwrap();
        assert_eq!((config.context_length, config.num_targets), (30, 2));
        assert_eq!(config.extra["id2label"]["1"], "down");
        let chosen = ModelSpec { context_length: Some(20), ..ModelSpec::default() };
        assert_eq!(chosen.config(&shape).unwrap().context_length, 20);
    }

    #[test]
    fn a_start_gives_its_backbone_and_nothing_of_its_head() {
        let loose = Config {
            norm_mlp: "batchnorm1d".into(),
            scaling: Value::Bool(true),
            ptsm: Some(Extension {
                location: Location::Last,
                linear_skip: true,
                ..Extension::default()
            }),
            head_dropout: 0.7,
            ..Config::default()
        };
        let spec = ModelSpec::of_backbone(&loose);
        let config = spec.config(&DataShape::windows(Task::Forecasting, 1)).unwrap();
        assert_eq!((config.norm(), config.scaler()), (loose.norm(), loose.scaler()));
        assert!(!config.extension().linear_skip);
        assert_eq!((config.context_length, config.head_dropout), (32, 0.2));
    }

    #[test]
    fn unknown_fields_and_values_are_refused_with_the_known_and_the_nearest() {
        for (text, place, known, near) in [
            ("{\"mode\": \"mix_chanel\"}", "[model] mode", "`common_channel`", "`mix_channel`?"),
            (
                "{\"scaling\": \"standard\"}",
                "[model] scaling",
                "`std`, `mean`, `level`, `none`",
                "",
            ),
            ("{\"norm_mlp\": \"btach\"}", "[model] norm_mlp", "`LayerNorm` or `BatchNorm`", ""),
            ("{\"norm_mlp\": \"BachNorm\"}", "norm_mlp", "`LayerNorm`", "`BatchNorm`?"),
            ("{\"loss\": \"mae\"}", "[model] loss", "`mse`, `nll`, `quantile`", "`mse`?"),
            ("{\"d_modell\": 8}", "[model] d_modell", "unknown field", "`d_model`?"),
            ("{\"ptsm\": {\"linear_skp\": true}}", "[model] ptsm", "", "`linear_skip`?"),
            ("{\"scaling\": true}", "[model] scaling", "", ""),
        ] {
            let error = spec(text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidConfig);
            let said = error.to_string();
            for part in [place, known, near] {
                assert!(said.contains(part), "{text}: {said}");
            }
        }
    }

    #[test]
    fn a_specification_survives_json_and_lists_its_fields() {
        let text = "{\"mode\":\"hybrid\",\"scaling\":\"none\",\"num_forecast_mask_patches\":[2],\
                    \"ptsm\":{\"linear_skip\":true}}";
        let found = spec(text).unwrap();
        assert_eq!(serde_json::to_string(&found).unwrap(), text);
        assert_eq!(
            spec("{\"num_forecast_mask_patches\": 2}").unwrap().num_forecast_mask_patches,
            Some(vec![2])
        );
        assert!(ModelSpec::FIELDS.contains(&"ptsm") && ModelSpec::FIELDS.len() > 30);
    }
}
