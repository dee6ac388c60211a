//! What a training run needs, from flags and recipe.

use std::path::PathBuf;

use ptsm::data::{Series, SeriesSet, Split};
use ptsm::train::{DataFacts, Recipe, Training, auto_recipe};
use ptsm::{Config, Error, Location, Model, Result, Task};
use serde_json::{Map, Value, json};

use super::fields::{ModelArgs, PREDICTION_LENGTH};
use crate::args::Global;
use crate::output::remark;
use crate::source::{DataArgs, Source};

/// Everything that a training run needs.
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) set: SeriesSet,
    pub(crate) task: Task,
    /// Where the backbone comes from.
    pub(crate) start: Option<Model>,
    /// Whether its head is taken too.
    pub(crate) keep_head: bool,
    /// Share of the training windows that is used.
    pub(crate) few_shot: Option<f64>,
    /// Fields of `config.json` that are not at their default.
    pub(crate) model: Map<String, Value>,
    pub(crate) training: Training,
    pub(crate) split: Split,
    pub(crate) grid: ptsm::data::Grid,
    pub(crate) out: PathBuf,
    pub(crate) resume: bool,
}

/// The recipe that the data suggest, with its reasons said (`--recipe auto`).
pub(super) fn automatic(
    global: &Global,
    (data, split): (&DataArgs, Option<Split>),
    model: &ModelArgs,
) -> Result<Recipe> {
    let source = data.read(&Global { quiet: true, ..global.clone() })?;
    let set = data.series(&source)?;
    let split = split.unwrap_or_else(|| source.default_split());
    let rows = |series: &Series| -> usize {
        // With the shortest context: the borders do not depend on it.
        let found = split.borders(series.num_rows(), series.timestamps.as_deref(), 1);
        found.map_or(0, |borders| borders.train.len())
    };
    let rows: Vec<usize> = set.series.iter().map(rows).filter(|&rows| rows > 0).collect();
    let facts = DataFacts {
        training_rows: rows,
        channels: set.channels.len(),
        seasonal_period: source.seasonal_period(&set),
        prediction_length: model.prediction_length.unwrap_or(PREDICTION_LENGTH),
        context_length: model.context_length,
        forecasts_points: model.loss.as_deref().is_none_or(|loss| loss == "mse"),
    };
    let (recipe, reasons) = auto_recipe(&facts);
    remark(global, "recipe auto:");
    reasons.iter().for_each(|reason| remark(global, &format!("  {reason}")));
    Ok(recipe)
}

/// Takes what the flags leave open from the recipe's `[data]`; returns its split.
pub(super) fn merge_data(
    data: &mut DataArgs,
    recipe: &Map<String, Value>,
) -> Result<Option<Split>> {
    let mut split = None;
    for (key, value) in recipe {
        let place = format!("recipe [data] {key}");
        let text = || match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(Error::config(place.clone(), format!("is {other}, wanted a text"))),
        };
        let flag = || match value {
            Value::Bool(flag) => Ok(*flag),
            other => Err(Error::config(place.clone(), format!("is {other}, wanted true or false"))),
        };
        let list = || {
            serde_json::from_value::<Vec<String>>(value.clone())
                .map_err(|e| Error::config(place.clone(), "wanted a list of texts").because(e))
        };
        match key.as_str() {
            "data" => data.data = data.data.take().or(Some(text()?)),
            "timestamp" => data.timestamp = data.timestamp.take().or(Some(text()?)),
            "id" => data.id = data.id.take().or(Some(text()?)),
            "delimiter" => data.delimiter = data.delimiter.take().or(Some(text()?)),
            "targets" => data.targets = data.targets.take().or(Some(list()?)),
            "missing" => data.missing.extend(list()?),
            "sort" => data.sort |= flag()?,
            "no_header" => data.no_header |= flag()?,
            "decimal_comma" => data.decimal_comma |= flag()?,
            "duplicates" => data.duplicates = data.duplicates.or(Some(text()?.parse()?)),
            "grid" => data.grid = data.grid.or(Some(text()?.parse()?)),
            "frequency" => data.frequency = data.frequency.or(Some(text()?.parse()?)),
            "split" => split = Some(text()?.parse()?),
            _ => return Err(Error::config(place, "is no option of the data")),
        }
    }
    Ok(split)
}

/// The fields that a new model takes from the one it starts from: all of the backbone's.
pub(super) fn start_fields(start: Option<&Model>) -> Result<Option<Map<String, Value>>> {
    let Some(start) = start else { return Ok(None) };
    let backbone = [
        "context_length",
        "patch_length",
        "patch_stride",
        "d_model",
        "num_layers",
        "expansion_factor",
        "dropout",
        "mode",
        "gated_attn",
        "norm_mlp",
        "norm_eps",
        "self_attn",
        "self_attn_heads",
        "use_positional_encoding",
        "positional_encoding_type",
        "scaling",
    ];
    let fields: Value = serde_json::from_str(&start.config().to_json()?)
        .map_err(|e| Error::internal("a configuration cannot be read back").because(e))?;
    let taken = backbone.iter().map(|name| ((*name).to_owned(), fields[*name].clone()));
    let mut taken: Map<String, Value> = taken.collect();
    // The backbone learnt from windows that were scaled around this.
    let location = start.config().extension().location;
    if location != Location::Mean {
        taken.insert("ptsm".into(), json!({"location": location}));
    }
    Ok(Some(taken))
}

/// The configuration of a run: the plan's fields, with what the data decide.
pub(crate) fn config_of(plan: &Plan) -> Result<Config> {
    check_fields(&plan.model)?;
    let mut fields = plan.model.clone();
    let channels = plan.set.channels.len();
    let given = fields.insert("num_input_channels".into(), channels.into());
    if let Some(given) = given
        && given != channels
    {
        let text = format!("{given} does not fit the data, which have {channels}");
        return Err(Error::config("num_input_channels", text));
    }
    fields.insert("model_type".into(), ptsm::MODEL_TYPE.into());
    fields.insert("architectures".into(), json!([plan.task.architecture()]));
    Config::from_json(&Value::Object(fields).to_string())
}

/// Only fields of `config.json` can be set.
pub(super) fn check_fields(model: &Map<String, Value>) -> Result<()> {
    let known = serde_json::to_value(Config::default())
        .map_err(|e| Error::internal("the defaults cannot be listed").because(e))?;
    let is_known = |name: &str| name == "ptsm" || known.get(name).is_some();
    if let Some(name) = model.keys().find(|name| !is_known(name)) {
        return Err(Error::config(format!("recipe [model] {name}"), "is no field of config.json"));
    }
    Ok(())
}
