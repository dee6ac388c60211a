//! Named texts of a file, and the sentence that says what it is.

use ptsm::core::OutputKind;
use ptsm::data::LabelCoding;
use ptsm::heads::MAIN_HEAD;
use ptsm::{Error, Result};
use serde_json::{Value, json};

use crate::options::{Options, Standardise};
use crate::outputs::levels;
use crate::proto::StringStringEntryProto;
use crate::source::{Parts, Source};

/// The texts, in the order of their names; lists and objects are JSON.
pub(crate) fn of(source: &Source, options: &Options) -> Result<Vec<StringStringEntryProto>> {
    let config = source.config();
    let mut all: Vec<(&str, String)> = vec![
        ("ptsm.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("ptsm.missing", options.missing.to_string()),
        ("ptsm.task", name_of(&json!(config.task()?))),
        ("ptsm.prediction_channel_indices", json!(config.prediction_channels()).to_string()),
        ("ptsm.weights_sha256", object(&source.weights)),
        ("ptsm.units", units(source, options).to_owned()),
    ];
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
    all.extend(labels(source));
    if let Some(levels) = quantile_levels(source, options)? {
        all.push(("ptsm.quantiles", json!(levels).to_string()));
    }
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

/// Names of classes or targets of each head.
fn labels(source: &Source) -> Vec<(&'static str, String)> {
    let names = |coding: &LabelCoding| match coding {
        LabelCoding::Classes { names } | LabelCoding::Values { names, .. } => names.clone(),
    };
    match &source.parts {
        Parts::Labellers { labels: Some(coding), .. } => {
            vec![("ptsm.labels", json!({ MAIN_HEAD: names(coding) }).to_string())]
        }
        Parts::Heads(heads) => {
            let named = heads
                .iter()
                .filter_map(|head| Some((head.name.clone(), json!(names(head.labels.as_ref()?)))));
            let all: serde_json::Map<String, Value> = named.collect();
            match all.is_empty() {
                true => Vec::new(),
                false => vec![("ptsm.labels", Value::Object(all).to_string())],
            }
        }
        _ => Vec::new(),
    }
}

/// Levels of the quantiles of the first head that has some.
fn quantile_levels(source: &Source, options: &Options) -> Result<Option<Vec<f64>>> {
    let kinds: Vec<OutputKind> = match &source.parts {
        Parts::Heads(heads) => {
            heads.iter().map(|head| head.model.output().kind().clone()).collect()
        }
        Parts::Forecasters { config, .. } => vec![OutputKind::of(config)?],
        Parts::Labellers { .. } => Vec::new(),
    };
    for kind in kinds.iter().filter(|kind| kind.is_probabilistic()) {
        let found = levels(kind, &options.quantiles)?;
        if !found.is_empty() {
            return Ok(Some(found));
        }
    }
    Ok(None)
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
