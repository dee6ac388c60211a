//! Losses of classification and regression, whose target is in the batch's `target_values`.

use super::common::{Loss, LossOptions, LossWeight, missing, share, wrong_length};
use crate::batch::Batch;
use crate::config::Config;
use crate::distribution::{Distribution, LocScale, likelihood};
use crate::head::OutputGradient;
use crate::model::Forward;
use crate::output_kind::OutputKind;
use crate::real::Real;
use crate::{Error, Result};

/// The targets of all samples, `each` numbers a sample.
fn targets<T: Real>(batch: &Batch<T>, each: usize) -> Result<&[T]> {
    let Some(targets) = batch.target_values() else { return Err(missing("target_values")) };
    if targets.len() != batch.size() * each {
        return Err(wrong_length("target_values", targets.len(), batch.size() * each));
    }
    Ok(targets)
}

/// The class of every sample.
fn classes<T: Real>(config: &Config, batch: &Batch<T>) -> Result<Vec<usize>> {
    let targets = targets(batch, 1)?.iter().enumerate();
    targets
        .map(|(i, target)| {
            let class = target.to_f64();
            let count = config.num_targets;
            if class < 0.0 || class >= count as f64 || class.fract() != 0.0 {
                let text =
                    format!("element {i} is {class}, wanted a class from 0 to {}", count - 1);
                return Err(Error::input(text).at("target_values"));
            }
            Ok(class as usize)
        })
        .collect()
}

fn class_weight(options: &LossOptions, class: usize) -> f64 {
    options.class_weights.as_ref().map_or(1.0, |weights| weights[class])
}

pub(super) fn weight<T: Real>(
    config: &Config,
    kind: &OutputKind,
    batch: &Batch<T>,
    options: &LossOptions,
) -> Result<LossWeight> {
    let main = match kind {
        OutputKind::Logits => {
            let classes = classes(config, batch)?;
            classes.iter().map(|&class| class_weight(options, class)).sum()
        }
        OutputKind::Values(Some(_)) => batch.size() as f64,
        _ => targets(batch, config.num_targets)?.len() as f64,
    };
    Ok(LossWeight { main, ..LossWeight::default() })
}

/// Cross entropy of the logits `[B, num_targets]`.
pub(super) fn cross_entropy<T: Real>(
    config: &Config,
    batch: &Batch<T>,
    forward: &Forward<T>,
    weight: LossWeight,
    options: &LossOptions,
) -> Result<Loss<T>> {
    let mut probabilities = forward.outputs.prediction.clone();
    let share: T = share(weight.main);
    let mut value = T::ZERO;
    let rows = probabilities.chunks_exact_mut(config.num_targets);
    for (row, class) in rows.zip(classes(config, batch)?) {
        let weight = T::from_f64(class_weight(options, class));
        let max = row.iter().fold(row[0], |max, &x| if x > max { x } else { max });
        let sum: T = row.iter().map(|&x| (x - max).exp()).sum();
        value += weight * (sum.ln() + max - row[class]);
        for x in row.iter_mut() {
            *x = (*x - max).exp() / sum * weight * share;
        }
        row[class] -= weight * share;
    }
    let gradient = OutputGradient { prediction: probabilities, ..OutputGradient::default() };
    Ok(Loss { value: value * share, gradient })
}

/// Squared error, or negative log-likelihood summed over targets.
pub(super) fn regression<T: Real>(
    config: &Config,
    distribution: Option<Distribution>,
    batch: &Batch<T>,
    forward: &Forward<T>,
    weight: LossWeight,
) -> Result<Loss<T>> {
    let targets = targets(batch, config.num_targets)?;
    let prediction = &forward.outputs.prediction;
    let share: T = share(weight.main);
    let mut value = T::ZERO;
    let mut d = vec![T::ZERO; prediction.len()];
    match distribution {
        None => {
            for (i, &target) in targets.iter().enumerate() {
                let error = prediction[i] - target;
                value += error * error;
                d[i] = T::from_f64(2.0) * error * share;
            }
        }
        Some(distribution) => {
            let (count, each) = (distribution.num_parameters(), config.num_targets);
            for (i, target) in targets.iter().enumerate() {
                let target = target.to_f64();
                if let Some(text) = distribution.refuses(target) {
                    return Err(Error::input(text).at(format!("target_values, element {i}")));
                }
                let place = |k: usize| (i / each * count + k) * each + i % each;
                let parameters: Vec<f64> =
                    (0..count).map(|k| prediction[place(k)].to_f64()).collect();
                // The parameters are in the units of the target: no window scales them.
                let found = likelihood(distribution, &parameters, LocScale::NONE, target);
                value += T::from_f64(found.nll);
                for k in 0..count {
                    d[place(k)] = T::from_f64(found.d_parameters[k]) * share;
                }
            }
        }
    }
    let gradient = OutputGradient { prediction: d, ..OutputGradient::default() };
    Ok(Loss { value: value * share, gradient })
}
