//! `ptsm inspect`: shows what a table or a model directory contains.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ptsm::core::{Layout, Scaler};
use ptsm::data::{
    Clock, Frequency, LabelOptions, LabelledSet, Labels, Series, SeriesSet, Table, Zone,
    is_standard_input, source_name,
};
use ptsm::ensemble::{
    Classical, MemberModel, Members, labelling_networks, member_dirs, member_names, task_of,
};
use ptsm::job::CaseChoice;
use ptsm::model_dir::{ModelDir, read_json};
use ptsm::preprocessor::Preprocessor;
use ptsm::zero_shot::{BUILTIN_VERSION, builtin_model, is_builtin};
use ptsm::{Config, Model, Result, Task};
use serde_json::{Value, json};

use crate::global::Global;
use crate::output::{answer, flag};
use crate::run_state::quoted;
use crate::source::{DataArgs, summary};
use crate::words::{counted, grouped};

/// Options of `inspect`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").args(["path", "data", "model"]).required(true)))]
pub(crate) struct Args {
    /// A table or several, a .ts file, - for the standard input, the name of a data set, a model directory, or
    /// builtin
    #[arg(value_name = "FILE|NAME|MODEL")]
    path: Option<String>,
    /// The same as MODEL, called as other commands call it
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    #[command(flatten)]
    data: DataArgs,
}

/// Reads and prints.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let named = args.named();
    let path = PathBuf::from(named);
    let dir = ModelDir::new(&path);
    if is_builtin(&path) {
        return describe_model(global, &path, &builtin_model()?, None);
    }
    if dir.is_ensemble() {
        return match task_of(&path)? {
            Task::Classification | Task::Regression => inspect_labelling(global, &path),
            _ => inspect_ensemble(global, &path),
        };
    }
    if dir.config().is_file() || (path.is_dir() && !Table::is_at(&path)) {
        return inspect_model(global, &path);
    }
    if LabelledSet::is_ts(&path) {
        return inspect_cases(global, args);
    }
    let data = DataArgs { data: Some(named.to_owned()), ..args.data.clone() };
    inspect_data(global, &data)
}

impl Args {
    /// What is to be described, with or without `--data` or `--model` in front of it.
    fn named(&self) -> &str {
        let named = [&self.path, &self.model, &self.data.data].into_iter().flatten().next();
        named.map(String::as_str).unwrap_or_default()
    }
}

/// The networks whose labels are averaged, a line each, and how their settings were chosen.
fn inspect_labelling(global: &Global, dir: &Path) -> Result<()> {
    let networks = labelling_networks(dir)?;
    let mut text = format!("{} (the mean of {} networks", dir.display(), networks.len());
    text += &format!(", {})\n", networks[0].config().task()?.architecture());
    let mut values = Vec::new();
    let dirs = member_dirs(dir)?;
    for (number, network) in networks.iter().enumerate() {
        let (line, value) = describe_network(network)?;
        let place = dirs.get(number).map_or(dir, |dir| dir.path());
        text += &format!("{}: {line}", place.display());
        values.push(value);
    }
    let choice: Option<CaseChoice> = read_json(&ModelDir::new(dir).choice())?;
    if let Some(choice) = &choice {
        text += &format!("chosen: {}\n{}\n", choice.described(), choice.sentence());
    }
    answer(global, &json!({"members": values, "choice": choice}), &text)
}

/// One line for each member; the members themselves are model directories.
fn inspect_ensemble(global: &Global, dir: &Path) -> Result<()> {
    let members = Members::from_dir(dir)?;
    let mut text = format!(
        "{} (ensemble of {}, {} -> {} steps)\n",
        dir.display(),
        members.all.len(),
        members.config.context_length,
        members.config.prediction_length
    );
    let mut values = Vec::new();
    let names = member_names(dir)?;
    for (i, (member, weight)) in members.all.iter().enumerate() {
        // Where its files are; a method that has none is called by its name below.
        match names.get(i).and_then(Option::as_deref) {
            Some(name) => {
                text += &format!("{}: ", ModelDir::new(dir).member(name).path().display())
            }
            None => text += "without a file: ",
        }
        text += &format!("weight {weight:.3}, ");
        match member {
            MemberModel::Network(model) => {
                let (line, mut value) = describe_network(model)?;
                text += &line;
                value["weight"] = json!(weight);
                values.push(value);
            }
            MemberModel::Linear(linear) => {
                let (context, penalty) = (linear.context_length(), linear.penalty());
                let of = match linear.name() {
                    "log_ridge" => " on logarithms",
                    _ => "",
                };
                text += &format!("ridge regression{of} of {context} steps, penalty {penalty}\n");
                values.push(json!({
                    linear.name(): {"context_length": context, "penalty": penalty}, "weight": weight,
                }));
            }
            MemberModel::Classical(Classical { method, season }) => {
                text += &format!("{}, season {season}\n", method.name());
                values.push(json!({"method": method, "season": season, "weight": weight}));
            }
            MemberModel::ZeroShot(zero_shot) => {
                let (line, mut value) = describe_network(zero_shot.network())?;
                text += &format!("any series, season {}: {line}", zero_shot.season());
                value["season"] = json!(zero_shot.season());
                value["weight"] = json!(weight);
                values.push(value);
            }
        }
    }
    answer(global, &json!({"members": values}), &text)
}

/// A network as a member of an ensemble: a line, and its JSON.
fn describe_network(model: &Model) -> Result<(String, Value)> {
    let (config, parameters) = (model.config(), model.layout().num_trained());
    let flops = 2 * model.network().multiply_adds();
    let line = format!(
        "patch_length {}, patch_stride {}, d_model {}, num_layers {}; {} parameters, {:.2} MFLOP\n",
        config.patch_length,
        config.patch_stride,
        config.d_model,
        config.num_layers,
        grouped(parameters as u64),
        flops as f64 / 1e6
    );
    let config: Value = serde_json::from_str(&config.to_json()?).unwrap_or_default();
    Ok((line, json!({"config": config, "num_parameters": parameters, "flops": flops})))
}

fn inspect_model(global: &Global, dir: &Path) -> Result<()> {
    let model = Model::from_dir(dir)?;
    let data = preprocessor(dir, model.config())?;
    describe_model(global, dir, &model, data.as_ref())
}

/// A network, and how its data are read, if that is known.
fn describe_model(
    global: &Global,
    dir: &Path,
    model: &Model,
    data: Option<&Preprocessor>,
) -> Result<()> {
    let config = model.config();
    let blocks: Vec<(&str, usize)> = [
        "patcher",
        "positional_encoder",
        "channel_feature_mixer",
        "patch_mixer",
        "feature_mixer",
        "head",
    ]
    .into_iter()
    .map(|part| (part, count(model.layout(), part)))
    .filter(|(_, count)| *count > 0)
    .collect();
    let total = model.layout().num_trained();
    let flops = 2 * model.network().multiply_adds();
    let mut text = format!("{} ({})\n", dir.display(), config.task()?.architecture());
    let mut line = |name: &str, value: String| text += &format!("{name:24} {value}\n");
    line(
        "context -> prediction",
        format!("{} -> {} steps", config.context_length, config.prediction_length),
    );
    line("channels", config.num_input_channels.to_string());
    line(
        "patches",
        format!(
            "{} of {} steps, {} apart",
            config.num_patches(),
            config.patch_length,
            config.patch_stride
        ),
    );
    line("d_model x layers", format!("{} x {}", config.d_model, config.num_layers));
    line(
        "mode, norm, scaling",
        format!("{}, {}, {}", config.mode, config.norm_mlp, scaling(config)),
    );
    if let Some(added) = minimum_scale(config) {
        line("minimum_scale", added);
    }
    let unknown = || match is_builtin(dir) {
        true => format!("simulated series alone; forecasts any series (version {BUILTIN_VERSION})"),
        false => no_data(dir),
    };
    line("data", data.map_or_else(unknown, describe_data));
    line("parameters", total.to_string());
    for (part, count) in &blocks {
        line(&format!("  {part}"), count.to_string());
    }
    line("work per sequence", format!("{:.2} MFLOP", flops as f64 / 1e6));
    let value = json!({
        "task": config.task()?, "config": serde_json::from_str::<Value>(&config.to_json()?).unwrap_or_default(),
        "num_parameters": total, "flops": flops, "data": data,
        "parameters": blocks.iter().map(|(n, c)| json!({"part": n, "count": c})).collect::<Vec<_>>(),
    });
    answer(global, &value, &text)
}

/// The scaler of the windows, by the words of the options.
fn scaling(config: &Config) -> String {
    match config.scaler() {
        Scaler::Level { season: 1 } => "level (around the last value)".into(),
        Scaler::Level { season } => format!("level (around the last {season} values)"),
        _ => config.scaling.to_string(),
    }
}

/// The constant of the scaler of the windows, and whose it is; `None` without a scaler.
pub(crate) fn minimum_scale(config: &Config) -> Option<String> {
    let (added, what) = match config.scaler() {
        Scaler::Std { minimum_scale, .. } => (minimum_scale, "added to the variance of a window"),
        Scaler::Mean { minimum_scale, .. } => (minimum_scale, "the least mean of a window"),
        Scaler::Level { .. } | Scaler::None => return None,
    };
    let whose = match config.extra.contains_key("minimum_scale") {
        true => "",
        false => "; that of Hugging Face, which config.json does not change",
    };
    Some(format!("{added:e} ({what}{whose})"))
}

/// How the model's data are read; `None` if the folder does not say, as one from Hugging Face.
fn preprocessor(dir: &Path, config: &Config) -> Result<Option<Preprocessor>> {
    let there = ModelDir::new(dir).preprocessor().exists();
    there.then(|| Preprocessor::from_dir(dir, config)).transpose()
}

fn describe_data(data: &Preprocessor) -> String {
    let step = data.frequency.map_or(String::new(), |step| format!(", every {step}"));
    format!("{}{step}; channels {}", data.dataset, data.channels.join(", "))
}

fn no_data(dir: &Path) -> String {
    let dir = quoted(dir);
    format!("not known (`ptsm import {dir} --data TRAINING.csv --out MODEL` makes it usable)")
}

fn count(layout: &Layout, part: &str) -> usize {
    let within = |name: &str| name.split('.').any(|piece| piece == part);
    let trained = layout.tensors().iter().filter(|t| t.store == ptsm::core::TensorStore::Trained);
    trained.filter(|t| within(&t.name)).map(|t| t.range.len()).sum()
}

/// The labelled cases of a `.ts` file.
fn inspect_cases(global: &Global, args: &Args) -> Result<()> {
    let named = args.named();
    let path = Path::new(named);
    let options = LabelOptions::default();
    let set = LabelledSet::read(path, &args.data.spec().read_options()?, &options)?;
    let lengths = || set.cases.iter().map(Series::num_rows);
    let (shortest, longest) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
    let channels = set.channels.len();
    let name = if is_standard_input(path) { source_name(path) } else { named.to_owned() };
    let mut text = format!(
        "{name}: {} of {} x {}\n",
        counted(set.len(), "case"),
        match shortest == longest {
            true => counted(longest, "point"),
            false => format!("{shortest} to {}", counted(longest, "point")),
        },
        counted(channels, "channel")
    );
    let mut labels = json!(null);
    match &set.labels {
        Labels::Classes { names, of } => {
            let count = |class: usize| of.iter().filter(|&&c| c == class).count();
            let classes: Vec<Value> = (0..names.len())
                .map(|class| json!({"class": names[class], "cases": count(class)}))
                .collect();
            for (class, name) in names.iter().enumerate() {
                text += &format!("class {name}: {}\n", counted(count(class), "case"));
            }
            labels = json!({"classes": classes});
        }
        Labels::Values { of, .. } => {
            let (min, max) =
                of.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &x| {
                    (min.min(x), max.max(x))
                });
            text += &format!("values from {min} to {max}\n");
            labels = json!({"min": min, "max": max});
        }
        _ => {}
    }
    let points = || set.cases.iter().map(|case| case.values.len()).sum::<usize>();
    let missing =
        set.cases.iter().flat_map(|case| case.observed.iter().flatten()).filter(|&&seen| !seen);
    let share = missing.count() as f64 / points().max(1) as f64;
    if share > 0.0 {
        text += &format!("missing: {:.2} % of the points\n", 100.0 * share);
    }
    let value = json!({
        "name": named, "cases": set.len(), "channels": set.channels,
        "points": {"min": shortest, "max": longest}, "labels": labels, "missing_share": share,
    });
    answer(global, &value, &text)
}

/// The flags that say what was understood of the times.
fn time_flags(set: &SeriesSet) -> String {
    let name = set.roles.timestamp.as_deref().unwrap_or_default();
    let mut flags = format!("--timestamp {}", quoted(Path::new(name)));
    if let Some(step) = set.frequency {
        flags += &format!(" --frequency {step}");
    }
    if let Some(order) = set.times.order {
        flags += &format!(" --dates {order}");
    }
    let days: BTreeSet<&[u8]> = set.series.iter().map(|series| series.anchor.as_slice()).collect();
    let days: Vec<String> = days
        .iter()
        .filter(|days| !days.is_empty())
        .map(|days| days.iter().map(u8::to_string).collect::<Vec<_>>().join(" and "))
        .collect();
    let says_days = !matches!(set.frequency, Some(Frequency::MonthEnds(_)));
    if !days.is_empty() && says_days {
        flags += &format!(" (on day {} of the month)", days.join(", "));
    }
    if set.series.iter().any(|series| series.zone != Zone::default()) {
        flags += match set.times.clock {
            Clock::Local => " (steps in local time)",
            Clock::Utc => " (steps in UTC)",
        };
    }
    flags
}

/// Series whose rows are told one by one.
const SERIES_SHOWN: usize = 10;

fn inspect_data(global: &Global, data: &DataArgs) -> Result<()> {
    let source = data.read(global)?;
    let mut set = data.series(&source)?;
    let mut text = summary(&source.name, &set) + "\n";
    let mut channels = Vec::new();
    let width = set.channels.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let width = width.max("channel".len());
    text += &format!(
        "{:width$}  {:>9}  {:>12} {:>12} {:>12}\n",
        "channel", "missing", "min", "mean", "max"
    );
    for (c, name) in set.channels.iter().enumerate() {
        let points =
            set.series.iter().flat_map(|s| (0..s.num_rows()).map(move |row| s.get(row, c)));
        let seen = points.flatten();
        let share = set.repairs.missing.get(c).map_or(0.0, |missing| missing.share);
        let (min, max) = (seen.clone().reduce(f64::min), seen.clone().reduce(f64::max));
        let (count, sum) = seen.fold((0usize, 0.0), |(count, sum), x| (count + 1, sum + x));
        let mean = (count > 0).then(|| sum / count as f64);
        let cell = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.4}"));
        text += &format!(
            "{name:width$}  {:>7.2} %  {:>12} {:>12} {:>12}\n",
            100.0 * share,
            cell(min),
            cell(mean),
            cell(max)
        );
        channels.push(
            json!({"name": name, "missing_share": share, "min": min, "mean": mean, "max": max}),
        );
    }
    for note in set.repairs.notes().iter().chain(&set.outlier_notes()) {
        text += &format!("note: {}\n", note.spelled(flag));
    }
    // After the notes, one of which it would be.
    let season = data.spec().seasonal_period(&source, &mut set)?;
    let mut repairs = json!(set.repairs);
    repairs["remarks"] = set.repairs.remarks.iter().map(|note| note.spelled(flag)).collect();
    let span = |s: &Series| {
        let times = s.timestamps.as_ref()?;
        Some([set.time_text(s, times.first()?), set.time_text(s, times.last()?)])
    };
    let series: Vec<Value> = set
        .series
        .iter()
        .map(|s| json!({"id": s.id, "rows": s.num_rows(), "span": span(s)}))
        .collect();
    for s in set.series.iter().take(SERIES_SHOWN) {
        if let Some([from, to]) = span(s) {
            text += &format!("rows: {} {} from {from} to {to}\n", s.num_rows(), s.id);
        }
    }
    if let more @ 1.. = set.series.len().saturating_sub(SERIES_SHOWN) {
        let lengths = || set.series.iter().map(Series::num_rows);
        let (least, most) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
        text += &format!("and {more} more series, of {least} to {most} rows\n");
    }
    if set.frequency.is_some() {
        text += &format!("times understood as by: {}\n", time_flags(&set));
    }
    text += &match season {
        1 => "season: none found in the training rows (--season N states one)\n".to_owned(),
        steps => {
            format!("season: {steps} steps, for baselines and scores (--season N states another)\n")
        }
    };
    let value = json!({
        "season": season, "name": source.name, "times": set.times, "frequency": set.frequency, "roles": set.roles, "series": series,
        "channels": channels, "repairs": repairs,
    });
    answer(global, &value, &text)
}
