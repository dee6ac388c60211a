//! The numbers that this library computes, by the names of the outputs of a file.

use std::collections::BTreeMap;

use ptsm::core::{Distribution, LocScale, OutputKind, softmax};
use ptsm::data::{LabelCoding, Standardiser};
use ptsm::forecast::ForecastUnits;
use ptsm::{Prediction, Result};

use crate::outputs::{
    LEAST_LOGARITHM, LEAST_LOGIT, LOGITS, MEAN, POINTS, PROBABILITIES, QUANTILES, VALUES, levels,
};

/// Numbers of every output, `[B, ...]`, row-major.
pub type Numbers = BTreeMap<String, Vec<f64>>;

/// What the forecasts of a batch are in: units for each window; none = they are what comes out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InUnits<'a>(pub(crate) Option<&'a [ForecastUnits]>);

/// Where a number of a forecast `[B, H, C']` belongs.
struct Place {
    window: usize,
    step: usize,
    /// Among all channels.
    channel: usize,
}

impl InUnits<'_> {
    /// A forecast in the units before the transform is undone.
    fn shifted(&self, at: &Place, x: f64) -> f64 {
        let Some(all) = self.0 else { return x };
        let ForecastUnits { scale, effects } = &all[at.window];
        let width = scale.num_channels();
        let effect = effects.as_ref().map_or(0.0, |all| all[at.step * width + at.channel]);
        (x + f64::from(effect)) * scale.scale[at.channel] + scale.mean[at.channel]
    }

    fn widened(&self, at: &Place, x: f64) -> f64 {
        self.0.map_or(x, |all| x * all[at.window].scale.scale[at.channel])
    }

    fn undo(&self, at: &Place, x: f64) -> f64 {
        let shifted = self.shifted(at, x);
        self.0.map_or(shifted, |all| all[at.window].scale.transform.undo(shifted))
    }
}

/// The places of a forecast's points, in their order.
fn places(prediction: &Prediction) -> impl Iterator<Item = Place> + '_ {
    let spec = prediction.spec();
    let channels = spec.channels();
    let each = spec.prediction_length() * channels.len();
    (0..).map(move |i| Place {
        window: i / each,
        step: i % each / channels.len(),
        channel: channels[i % channels.len()],
    })
}

/// The outputs of a head that forecasts; `asked` are levels of quantiles.
pub(crate) fn forecast(
    prediction: &Prediction,
    units: InUnits<'_>,
    asked: &[f64],
) -> Result<Numbers> {
    let mut found = Numbers::new();
    let points = prediction.points();
    let undone: Vec<f64> =
        places(prediction).zip(&points).map(|(at, &x)| units.undo(&at, x.into())).collect();
    let distribution = match prediction.kind() {
        OutputKind::Distribution(distribution) => Some(*distribution),
        _ => None,
    };
    found.insert(if distribution.is_some() { MEAN } else { POINTS }.to_owned(), undone);
    if let Some(distribution) = distribution {
        let names = distribution.parameter_names();
        for (k, &name) in names.iter().enumerate() {
            found.insert(name.to_owned(), parameter(prediction, units, distribution, k));
        }
    }
    let levels = levels(prediction.kind(), asked)?;
    if !levels.is_empty() {
        let each: Vec<Vec<f64>> = levels.iter().map(|&level| prediction.quantiles(level)).collect();
        let mut all = Vec::with_capacity(points.len() * levels.len());
        for (i, at) in places(prediction).take(points.len()).enumerate() {
            all.extend(each.iter().map(|values| units.undo(&at, values[i])));
        }
        found.insert(QUANTILES.to_owned(), all);
    }
    Ok(found)
}

/// Parameter `k` of the distribution of every point, `[B, H, C']`, in the units of the outputs.
fn parameter(
    prediction: &Prediction,
    units: InUnits<'_>,
    distribution: Distribution,
    k: usize,
) -> Vec<f64> {
    let spec = prediction.spec();
    let (each, all) = (spec.prediction_length() * spec.channels().len(), spec.num_input_channels());
    let count = distribution.num_parameters();
    let number = |i: usize| prediction.numbers[(i / each * count + k) * each + i % each];
    let points = prediction.numbers.len() / count;
    let counts = distribution == Distribution::NegativeBinomial;
    places(prediction)
        .take(points)
        .enumerate()
        .map(|(i, at)| {
            let place = at.window * all + at.channel;
            let window = match counts {
                true => LocScale::NONE,
                false => LocScale {
                    loc: prediction.loc[place].into(),
                    scale: prediction.scale[place].into(),
                },
            };
            let x = f64::from(number(i));
            match distribution.parameter_names()[k] {
                "loc" => units.shifted(&at, window.loc + window.scale * x),
                "scale" => units.widened(&at, window.scale * x),
                _ => x,
            }
        })
        .collect()
}

/// The outputs of heads that label, one prediction for each network.
pub(crate) fn labels(predictions: &[Prediction], coding: Option<&LabelCoding>) -> Numbers {
    let mut found = Numbers::new();
    let first = &predictions[0];
    let targets = first.spec().num_targets();
    if *first.kind() == OutputKind::Logits {
        let each: Vec<Vec<f64>> =
            predictions.iter().map(|one| softmax(&one.numbers, targets)).collect();
        let mean = mean(&each);
        let logits = match predictions {
            [only] => only.numbers.iter().map(|&x| f64::from(x)).collect(),
            _ => mean_logits(predictions, targets),
        };
        found.insert(LOGITS.to_owned(), logits);
        found.insert(PROBABILITIES.to_owned(), mean);
        return found;
    }
    let standardiser = match coding {
        Some(LabelCoding::Values { standardiser, .. }) => standardiser.clone(),
        _ => Standardiser::identity(targets),
    };
    let each: Vec<Vec<f64>> = predictions.iter().filter_map(Prediction::values).collect();
    let undo = |(i, x): (usize, &f64)| {
        x * standardiser.scale[i % targets] + standardiser.mean[i % targets]
    };
    found.insert(VALUES.to_owned(), mean(&each).iter().enumerate().map(undo).collect());
    if let (Some(distribution), [only]) = (first.kind().distribution(), predictions) {
        let count = distribution.num_parameters();
        for (k, &name) in distribution.parameter_names().iter().enumerate() {
            let rows = only.numbers.chunks_exact(count * targets);
            let numbers = rows.flat_map(|row| row[k * targets..][..targets].to_vec());
            let in_units = |(i, x): (usize, f32)| match name {
                "loc" => undo((i, &f64::from(x))),
                "scale" => f64::from(x) * standardiser.scale[i % targets],
                _ => x.into(),
            };
            found.insert(name.to_owned(), numbers.enumerate().map(in_units).collect());
        }
    }
    found
}

/// Logarithms of mean probabilities of `[B, K]` logits, from logarithms: the probabilities themselves have few digits
/// near the least number of double precision. [`LEAST_LOGIT`] from there on.
fn mean_logits(predictions: &[Prediction], classes: usize) -> Vec<f64> {
    let logarithms = |prediction: &Prediction| -> Vec<f64> {
        let of_case = |logits: &[f32]| {
            let most = logits.iter().fold(f64::NEG_INFINITY, |most, &x| most.max(x.into()));
            let sum: f64 = logits.iter().map(|&x| (f64::from(x) - most).exp()).sum();
            let whole = most + sum.ln();
            logits.iter().map(|&x| f64::from(x) - whole).collect::<Vec<f64>>()
        };
        prediction.numbers.chunks(classes).flat_map(of_case).collect()
    };
    let each: Vec<Vec<f64>> = predictions.iter().map(logarithms).collect();
    let of_class = |place: usize| {
        let most = each.iter().fold(f64::NEG_INFINITY, |most, values| most.max(values[place]));
        let sum: f64 = each.iter().map(|values| (values[place] - most).exp()).sum();
        let logit = most + (sum / each.len() as f64).ln();
        if logit > f64::from(LEAST_LOGARITHM) { logit } else { LEAST_LOGIT.into() }
    };
    (0..each.first().map_or(0, Vec::len)).map(of_class).collect()
}

fn mean(each: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; each.first().map_or(0, Vec::len)];
    for values in each {
        sum.iter_mut().zip(values).for_each(|(sum, x)| *sum += x / each.len() as f64);
    }
    sum
}

/// The numbers of a prediction of one head by the names of its outputs, as the network gives them; for comparisons with
/// a file of [`export_model`](crate::export_model()).
///
/// # Errors
///
/// `InvalidConfig` for a level of `asked` that the file would not have.
pub fn numbers_of(prediction: &Prediction, asked: &[f64]) -> Result<Numbers> {
    match prediction.kind().is_forecast() {
        true => forecast(prediction, InUnits(None), asked),
        false => Ok(labels(std::slice::from_ref(prediction), None)),
    }
}
