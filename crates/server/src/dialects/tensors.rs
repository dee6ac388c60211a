//! The Open Inference Protocol as such: windows as tensors in data units, forecasts as tensors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ptsm::Forecast;
use ptsm::data::{Column, RepairReport, Roles, Series, SeriesSet, Table, TimeRules};
use ptsm::spec::DataSpec;
use serde_json::{Value, json};

use crate::failure::{Answered, Failure};
use crate::forecast::{Input, Request, TableSource, Times, beside, forecast};
use crate::limits::Limits;
use crate::registry::{Kind, Served};
use crate::state::Service;

/// The one version of every model.
pub(crate) const VERSION: &str = "1";
/// The inputs and the main output.
pub(crate) const PAST: &str = "past_values";
pub(crate) const MASK: &str = "observed_mask";
pub(crate) const POINTS: &str = "prediction_outputs";
/// What this server does beyond the protocol.
pub(crate) const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_repository", "statistics"];
/// Column of the number of a window, for models that forecast any series.
const WINDOW: &str = "window";

/// A tensor of floating-point numbers, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// FP32, or else FP64.
    pub(crate) single: bool,
    pub(crate) shape: Vec<usize>,
    /// NaN is missing.
    pub(crate) values: Vec<f64>,
}

impl Tensor {
    /// The name of its numbers.
    pub(crate) fn datatype(&self) -> &'static str {
        if self.single { "FP32" } else { "FP64" }
    }

    /// Whether a number is beyond its datatype.
    fn is_beyond(&self, x: f64) -> bool {
        x.is_infinite() || (self.single && (x as f32).is_infinite())
    }

    /// The numbers as bytes, the lowest first.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self.single {
            true => self.values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
            false => self.values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// What kind of numbers a datatype names.
pub(crate) fn is_single(name: &str, datatype: &str) -> Answered<bool> {
    match datatype {
        "FP32" => Ok(true),
        "FP64" => Ok(false),
        other => {
            let other: String = other.chars().take(16).collect();
            Err(Failure::unusable(format!("{name}: {other} is not taken (wanted FP32 or FP64)")))
        }
    }
}

/// The numbers of raw bytes, the lowest first.
pub(crate) fn of_bytes(name: &str, single: bool, bytes: &[u8]) -> Answered<Vec<f64>> {
    let width = if single { 4 } else { 8 };
    if !bytes.len().is_multiple_of(width) {
        let text = format!("{name}: {} bytes are no whole numbers of {width}", bytes.len());
        return Err(Failure::unusable(text));
    }
    Ok(match single {
        true => {
            let (numbers, _) = bytes.as_chunks::<4>();
            numbers.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect()
        }
        false => {
            let (numbers, _) = bytes.as_chunks::<8>();
            numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
        }
    })
}

/// The lengths of a tensor, if there are so many numbers.
pub(crate) fn shape_of(name: &str, shape: &[i64], numbers: usize) -> Answered<Vec<usize>> {
    let lengths: Option<Vec<usize>> = shape.iter().map(|&n| usize::try_from(n).ok()).collect();
    let product = |all: &Vec<usize>| all.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
    match lengths.filter(|lengths| product(lengths) == Some(numbers)) {
        Some(lengths) => Ok(lengths),
        None => {
            let shape: Vec<i64> = shape.iter().take(8).copied().collect();
            Err(Failure::unusable(format!("{name}: {numbers} numbers are not {shape:?}")))
        }
    }
}

/// Windows to be forecast.
#[derive(Debug, Default)]
pub(crate) struct Infer {
    pub(crate) inputs: Vec<Tensor>,
    /// Names of the outputs that are wanted; empty = all.
    pub(crate) outputs: Vec<String>,
    pub(crate) parameters: Parameters,
}

/// Parameters of a request; others are refused.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// Levels of the intervals.
    pub(crate) levels: Option<Vec<f64>>,
    /// Steps.
    pub(crate) prediction_length: Option<usize>,
    /// Steps of the season, for models that forecast any series.
    pub(crate) season: Option<usize>,
    /// Microseconds after which the answer is late.
    pub(crate) timeout: Option<u64>,
}

impl Parameters {
    /// Takes one parameter.
    pub(crate) fn take(&mut self, name: &str, value: &Value) -> Answered<()> {
        let whole = || {
            let text = format!("parameter {name}: wanted a whole number");
            value.as_u64().ok_or_else(|| Failure::unusable(text))
        };
        match name {
            "levels" => self.levels = Some(levels(value)?),
            "prediction_length" => self.prediction_length = Some(whole()? as usize),
            "season" => self.season = Some(whole()? as usize),
            "timeout" => self.timeout = Some(whole()?),
            _ => {
                let name: String = name.chars().take(64).collect();
                let text = format!(
                    "parameter {name} is not known (there are levels, prediction_length, season, timeout)"
                );
                return Err(Failure::unusable(text));
            }
        }
        Ok(())
    }
}

/// Refuses a parameter of an input or output that is none of ours.
pub(crate) fn unknown_parameter(tensor: &str, name: &str, known: &str) -> Failure {
    let short = |text: &str| text.chars().take(64).collect::<String>();
    let (tensor, name) = (short(tensor), short(name));
    let text = format!("{tensor}: parameter {name} is not supported (there is {known})");
    Failure::unusable(text)
}

/// Numbers in a list, or in a text with commas, as gRPC has no lists.
fn levels(value: &Value) -> Answered<Vec<f64>> {
    let read = match value {
        Value::String(text) => text.split(',').map(|part| part.trim().parse().ok()).collect(),
        Value::Array(all) => all.iter().map(Value::as_f64).collect(),
        Value::Number(number) => Some(number.as_f64().into_iter().collect()),
        _ => None,
    };
    read.ok_or_else(|| Failure::unusable("parameter levels: wanted numbers such as 0.8"))
}

/// Forecasts windows; the outputs, and the time that they took.
pub(crate) async fn infer(
    service: &Arc<Service>,
    model: &Arc<Served>,
    request: Infer,
    deadline: Instant,
) -> Answered<(Vec<Tensor>, Times)> {
    let Infer { inputs, outputs, parameters } = request;
    let deadline = match parameters.timeout.filter(|&micros| micros > 0) {
        Some(micros) => deadline.min(Instant::now() + Duration::from_micros(micros)),
        None => deadline,
    };
    let bytes = inputs.iter().map(|input| 8 * input.values.len()).sum();
    let (limits, own, season) = (service.limits.clone(), Arc::clone(model), parameters.season);
    let (input, size, single) = beside(bytes, move || {
        let (windows, single) = windows(inputs, &limits)?;
        let size = windows.size;
        Ok((windows.input(&own, season)?, size, single))
    })
    .await?;
    let request = Request {
        model: Arc::clone(model),
        input,
        rows_before_end: 0,
        steps: parameters.prediction_length,
        levels: parameters.levels,
        deadline,
    };
    let answer = forecast(service, request).await?;
    if let Some(window) = answer.skipped.first() {
        let text = format!("{PAST}: window {window} has no value that is observed");
        return Err(Failure::unusable(text));
    }
    let mut tensors = tensors(&answer.forecasts, size, single);
    if let Some(tensor) = tensors.iter().find(|t| t.values.iter().any(|&x| t.is_beyond(x))) {
        let text = format!("{}: a forecast is beyond FP32 (send {PAST} as FP64)", tensor.name);
        return Err(Failure::unusable(text));
    }
    if !outputs.is_empty() {
        let names: Vec<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
        if let Some(other) = outputs.iter().find(|name| !names.contains(name)) {
            let other: String = other.chars().take(64).collect();
            let text = format!("there is no output {other} (there are {})", names.join(", "));
            return Err(Failure::unusable(text));
        }
        tensors.retain(|tensor| outputs.contains(&tensor.name));
    }
    Ok((tensors, answer.times))
}

/// Windows of one length.
struct Windows {
    size: usize,
    rows: usize,
    channels: usize,
    /// `[B, L, C]`, NaN is missing.
    values: Vec<f64>,
}

/// The windows of a request, and whether their numbers are single.
fn windows(inputs: Vec<Tensor>, limits: &Limits) -> Answered<(Windows, bool)> {
    let (mut past, mut mask) = (None, None);
    for input in inputs {
        let place = match input.name.as_str() {
            PAST => &mut past,
            MASK => &mut mask,
            other => {
                let other: String = other.chars().take(64).collect();
                let text = format!("there is no input {other} (there are {PAST}, {MASK})");
                return Err(Failure::unusable(text));
            }
        };
        if place.replace(input).is_some() {
            return Err(Failure::unusable("an input is given twice"));
        }
    }
    let past = past.ok_or_else(|| Failure::unusable(format!("the input {PAST} is missing")))?;
    let &[size, rows, channels] = past.shape.as_slice() else {
        let text = format!("{PAST}: wanted [windows, steps, channels], not {:?}", past.shape);
        return Err(Failure::unusable(text));
    };
    if past.values.is_empty() {
        return Err(Failure::unusable(format!("{PAST}: there are no numbers")));
    }
    if let Some(x) = past.values.iter().find(|x| past.is_beyond(**x)) {
        let (x, kind) = (*x, past.datatype());
        return Err(Failure::unusable(format!(
            "{PAST}: {x} is no number of {kind} (NaN is missing)"
        )));
    }
    for (what, count, most) in
        [("windows", size, limits.series), ("channels", channels, limits.channels)]
    {
        if count > most {
            let text = format!("{PAST}: {count} {what}: at most {most} are taken");
            return Err(Failure::new(crate::failure::Code::TooLarge, text));
        }
    }
    let mut values = past.values;
    if let Some(mask) = mask {
        if mask.shape != past.shape {
            let text = format!("{MASK}: {:?} is not the shape of {PAST}", mask.shape);
            return Err(Failure::unusable(text));
        }
        for (value, seen) in values.iter_mut().zip(&mask.values) {
            match *seen {
                0.0 => *value = f64::NAN,
                1.0 => {}
                _ => return Err(Failure::unusable(format!("{MASK}: wanted 0 and 1"))),
            }
        }
    }
    Ok((Windows { size, rows, channels, values }, past.single))
}

impl Windows {
    /// The windows as a model reads them.
    fn input(self, model: &Served, season: Option<usize>) -> Answered<Input> {
        match &model.kind {
            Kind::Forecasts(_) if season.is_some() => {
                let text = "parameter season: is for models that forecast any series";
                Err(Failure::unusable(text))
            }
            Kind::AnySeries(_) => self.table(season),
            _ => self.set(model),
        }
    }

    fn set(self, model: &Served) -> Answered<Input> {
        let channels = model.channels();
        if channels.len() != self.channels {
            let text = format!(
                "{PAST}: {} channels; the model takes {} ({})",
                self.channels,
                channels.len(),
                channels.join(", ")
            );
            return Err(Failure::unusable(text));
        }
        let each = self.values.chunks_exact(self.rows * self.channels).enumerate();
        let series = each.map(|(number, values)| {
            Series::new(number.to_string(), self.channels, values.to_vec())
        });
        let set = SeriesSet {
            channels,
            covariates: Vec::new(),
            series: series.collect::<ptsm::Result<_>>()?,
            frequency: None,
            time_style: None,
            times: TimeRules::default(),
            roles: Roles::default(),
            repairs: RepairReport::default(),
        };
        Ok(Input::Set(Box::new(set)))
    }

    fn table(self, season: Option<usize>) -> Answered<Input> {
        let numbers = (0..self.size).flat_map(|b| std::iter::repeat_n(b.to_string(), self.rows));
        let mut columns = vec![Column::text(WINDOW, numbers.collect())];
        for channel in 0..self.channels {
            let cells = self.values.iter().skip(channel).step_by(self.channels).copied();
            columns.push(Column::numbers(format!("channel_{channel}"), cells.collect()));
        }
        let data = DataSpec {
            id: Some(WINDOW.into()),
            timestamp: Some(ptsm::data::NO_COLUMN.into()),
            season,
            ..DataSpec::default()
        };
        let rows = TableSource::Held(Box::new(Table::new(columns)?));
        Ok(Input::Table { rows, data: Box::new(data), future: None })
    }
}

/// The outputs of forecasts of windows, `[B, H, C']` each.
fn tensors(forecasts: &[Forecast], size: usize, single: bool) -> Vec<Tensor> {
    let Some(first) = forecasts.first() else { return Vec::new() };
    let shape = vec![size, first.prediction_length(), first.channels.len()];
    let tensor = |name: String, of: &dyn Fn(&Forecast) -> &[f64]| Tensor {
        name,
        single,
        shape: shape.clone(),
        values: forecasts.iter().flat_map(|forecast| of(forecast).iter().copied()).collect(),
    };
    let mut all = vec![tensor(POINTS.into(), &|forecast| &forecast.values)];
    for (i, interval) in first.intervals.iter().enumerate() {
        let level = interval.level;
        all.push(tensor(format!("lower_{level}"), &|forecast| &forecast.intervals[i].lower));
        all.push(tensor(format!("upper_{level}"), &|forecast| &forecast.intervals[i].upper));
    }
    for (i, quantile) in first.quantiles.iter().enumerate() {
        let name = format!("quantile_{}", quantile.level);
        all.push(tensor(name, &|forecast| &forecast.quantiles[i].values));
    }
    all
}

/// Name, shape and datatype of an input or output.
pub(crate) struct TensorMetadata {
    pub(crate) name: String,
    pub(crate) shape: [i64; 3],
}

impl TensorMetadata {
    pub(crate) fn to_json(&self) -> Value {
        json!({"name": self.name, "datatype": "FP32", "shape": self.shape})
    }
}

/// The inputs and the outputs of a model; -1 is any length.
pub(crate) fn metadata(model: &Served) -> (Vec<TensorMetadata>, Vec<TensorMetadata>) {
    let config = model.config();
    let (steps, channels, forecast) = match &model.kind {
        Kind::AnySeries(_) => (-1, -1, -1),
        _ => {
            let forecast = config.prediction_channels().len() as i64;
            (config.prediction_length as i64, config.num_input_channels as i64, forecast)
        }
    };
    let input = |name: &str| TensorMetadata { name: name.to_owned(), shape: [-1, -1, channels] };
    let output = |name: String| TensorMetadata { name, shape: [-1, steps, forecast] };
    let levels = model.interval_levels();
    let ends =
        levels.iter().flat_map(|level| ["lower", "upper"].map(|end| format!("{end}_{level}")));
    let outputs = std::iter::once(POINTS.to_owned()).chain(ends).map(output).collect();
    (vec![input(PAST), input(MASK)], outputs)
}

/// The levels of the intervals whose ends are these quantiles; the point forecast is that of 0.5.
///
/// # Errors
///
/// `Unusable` for a number that is not between 0 and 1.
pub(crate) fn quantile_levels(quantiles: &[f64]) -> Answered<Vec<f64>> {
    let mut levels = Vec::new();
    for &quantile in quantiles {
        if !(quantile > 0.0 && quantile < 1.0) {
            return Err(Failure::unusable(format!("quantiles: {quantile} is not between 0 and 1")));
        }
        // 1 - 2 * 0.1 is not quite 0.8.
        let level = ((1.0 - 2.0 * quantile).abs() * 1e9).round() / 1e9;
        if level > 0.0 && !levels.contains(&level) {
            levels.push(level);
        }
    }
    Ok(levels)
}
