//! Named texts of a file, and the sentence that says what it is.

use std::borrow::Cow;

use ptsm::core::OutputKind;
use ptsm::data::LabelCoding;
use ptsm::heads::MAIN_HEAD;
use ptsm::{Config, Error, Result};
use serde_json::{Value, json};

use crate::options::{Options, Standardise};
use crate::outputs::levels;
use crate::proto::StringStringEntryProto;
use crate::source::{Parts, Source};

/// The texts, in the order of their names; lists and objects are JSON.
pub(crate) fn of(source: &Source, options: &Options) -> Result<Vec<StringStringEntryProto>> {
    let mut all: Vec<(&str, String)> = vec![
        ("ptsm.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("ptsm.missing", options.missing.to_string()),
        ("ptsm.units", units(source, options).to_owned()),
    ];
    if !source.weights.is_empty() {
        all.push(("ptsm.weights_sha256", object(&source.weights)));
    }
    if let Some(standardise) = options.standardise {
        all.push(("ptsm.standardise", standardise.to_string()));
    }
    if let Some(own) = &source.preprocessor {
        let roles = serde_json::to_string(&own.roles)
            .map_err(|e| Error::internal("roles cannot be written").because(e))?;
        all.push(("ptsm.channels", json!(own.channels).to_string()));
        all.push(("ptsm.roles", roles));
        if let Some(frequency) = &own.frequency {
            all.push(("ptsm.frequency", name_of(&json!(frequency))));
        }
        if !own.standardiser.series.is_empty() {
            let names: Vec<&String> = own.standardiser.series.keys().collect();
            all.push(("ptsm.series", json!(names).to_string()));
        }
        if let Some(effects) = &own.standardiser.effects {
            all.push(("ptsm.covariates", json!(effects.names).to_string()));
            all.push(("ptsm.covariate_lags", effects.lags.to_string()));
        }
    }
    all.extend(by_head(source, options)?);
    all.sort();
    Ok(all
        .into_iter()
        .map(|(key, value)| StringStringEntryProto { key: key.to_owned(), value })
        .collect())
}

/// A text as it is, anything else as JSON.
fn name_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn object(pairs: &[(String, String)]) -> String {
    let fields = pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Value::Object(fields.collect()).to_string()
}

fn units(source: &Source, options: &Options) -> &'static str {
    let own = source.preprocessor.as_ref().map(|own| &own.standardiser);
    match (options.standardise, own) {
        (Some(Standardise::Inside), Some(own)) if own.transform.is_none() => "data",
        (Some(Standardise::Inside), _) => {
            "data; parameters of distributions are of the transformed values, sign(x) ln(1 + |x|)"
        }
        _ => "standardised",
    }
}

/// What is said of one head.
struct OfHead<'a> {
    name: &'a str,
    config: Cow<'a, Config>,
    labels: Option<&'a LabelCoding>,
}

/// The heads of a source; what is averaged is one, called `main`.
fn heads(source: &Source) -> Vec<OfHead<'_>> {
    let main = |config, labels| vec![OfHead { name: MAIN_HEAD, config, labels }];
    match &source.parts {
        Parts::Heads(heads) => heads
            .iter()
            .map(|head| OfHead {
                name: &head.name,
                config: Cow::Borrowed(head.model.config()),
                labels: head.labels.as_ref(),
            })
            .collect(),
        Parts::Forecasters { config, .. } => main(Cow::Borrowed(config.as_ref()), None),
        Parts::Labellers { labels, .. } => main(Cow::Owned(source.config()), labels.as_ref()),
    }
}

/// What differs between heads: task, channels, levels of quantiles, names of classes or targets; each an object by the
/// names of the heads, and none of what no head has.
fn by_head(source: &Source, options: &Options) -> Result<Vec<(&'static str, String)>> {
    let (mut tasks, mut channels) = (serde_json::Map::new(), serde_json::Map::new());
    let (mut quantiles, mut names) = (serde_json::Map::new(), serde_json::Map::new());
    for OfHead { name, config, labels } in heads(source) {
        tasks.insert(name.to_owned(), json!(config.task()?));
        let kind = OutputKind::of(&config)?;
        if kind.is_forecast() {
            channels.insert(name.to_owned(), json!(config.prediction_channels()));
            let levels = levels(&kind, &options.quantiles)?;
            if !levels.is_empty() {
                quantiles.insert(name.to_owned(), json!(levels));
            }
        }
        if let Some(LabelCoding::Classes { names: all } | LabelCoding::Values { names: all, .. }) =
            labels
        {
            names.insert(name.to_owned(), json!(all));
        }
    }
    let all = [
        ("ptsm.task", tasks),
        ("ptsm.prediction_channel_indices", channels),
        ("ptsm.quantiles", quantiles),
        ("ptsm.labels", names),
    ];
    let there = all.into_iter().filter(|(_, fields)| !fields.is_empty());
    Ok(there.map(|(key, fields)| (key, Value::Object(fields).to_string())).collect())
}

/// What the file is.
pub(crate) fn sentence(source: &Source) -> Result<String> {
    let config = source.config();
    let what = match &source.parts {
        Parts::Heads(heads) if heads.len() > 1 => {
            format!("{} heads on one PatchTSMixer", heads.len())
        }
        Parts::Heads(_) => "PatchTSMixer".to_owned(),
        Parts::Forecasters { members, .. } => format!("mean of {} forecasters", members.len()),
        Parts::Labellers { networks, .. } => format!("mean of {} networks", networks.len()),
    };
    let (steps, channels) = (config.context_length, config.num_input_channels);
    let task = name_of(&json!(config.task()?));
    Ok(format!("{what}, {task}, from {steps} rows of {channels} channels"))
}

#[cfg(test)]
mod tests {
    use ptsm::Model;
    use ptsm::core::{Extension, Init};

    use super::*;
    use crate::source::Head;

    fn head(name: &str, quantiles: Option<Vec<f64>>, channels: Option<Vec<usize>>) -> Result<Head> {
        let config = Config {
            num_input_channels: 3,
            prediction_channel_indices: channels,
            ptsm: quantiles
                .map(|levels| Extension { quantiles: Some(levels), ..Extension::default() }),
            ..Config::default()
        };
        let model = Model::new(config, Init::PyTorch, 1)?;
        Ok(Head { name: name.to_owned(), model, labels: None })
    }

    #[test]
    fn what_differs_between_heads_is_told_by_head() -> Result<()> {
        let heads = vec![
            head(MAIN_HEAD, None, Some(vec![2]))?,
            head("bands", Some(vec![0.1, 0.5, 0.9]), None)?,
        ];
        let (preprocessor, weights, notes) = (None, Vec::new(), Vec::new());
        let source = Source { parts: Parts::Heads(heads), preprocessor, weights, notes };
        let found = of(&source, &Options::default())?;
        let text = |key: &str| {
            let entry = found.iter().find(|entry| entry.key == key);
            entry.map_or_else(|| panic!("no {key}"), |entry| entry.value.as_str())
        };
        assert_eq!(text("ptsm.prediction_channel_indices"), r#"{"main":[2],"bands":[0,1,2]}"#);
        assert_eq!(text("ptsm.quantiles"), r#"{"bands":[0.1,0.5,0.9]}"#);
        let tasks: Value = serde_json::from_str(text("ptsm.task"))
            .map_err(|e| Error::internal("the tasks are no JSON").because(e))?;
        assert_eq!(tasks["main"], tasks["bands"]);
        assert!(tasks["main"].is_string(), "{tasks}");
        // There are no files, and no labels.
        assert!(found.iter().all(|entry| entry.key != "ptsm.weights_sha256"));
        assert!(found.iter().all(|entry| entry.key != "ptsm.labels"));
        Ok(())
    }
}
