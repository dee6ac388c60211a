//! Loss of pretraining: squared error of the reconstructed patches, in the scaled space.

use super::common::{Loss, LossOptions, LossWeight, missing, share};
use crate::Result;
use crate::batch::Batch;
use crate::head::OutputGradient;
use crate::model::{Forward, Model};
use crate::network::Embedding;
use crate::real::Real;

/// Added to the denominator by the reference, so that it is not 0 in a batch without hidden
/// patches.
const EPS: f64 = 1e-10;

/// Calls `f(index in [B, C, N, p])` for every point that counts.
fn for_each_point<T: Real>(
    model: &Model<T>,
    batch: &Batch<T>,
    options: &LossOptions,
    mut f: impl FnMut(usize),
) -> Result<()> {
    let Some(hidden) = batch.patch_mask() else { return Err(missing("patch_mask")) };
    let observed = match options.as_reference {
        true => None,
        false => batch.observed_mask(),
    };
    let Embedding { patch_length, patch_stride, patch_start, state, .. } =
        &model.network().embedding;
    let (patches, length) = (state.patches, *patch_length);
    for (patch, &hidden) in hidden.iter().enumerate() {
        if model.config().masked_loss && hidden == T::ZERO {
            continue;
        }
        let (channel, n) = (patch / patches, patch % patches);
        let (b, c) = (channel / batch.num_channels(), channel % batch.num_channels());
        for k in 0..length {
            let t = patch_start + n * patch_stride + k;
            let from = (b * batch.context_length() + t) * batch.num_channels() + c;
            if observed.is_none_or(|mask| mask[from] != T::ZERO) {
                f(patch * length + k);
            }
        }
    }
    Ok(())
}

/// Points that count.
pub(super) fn weight<T: Real>(
    model: &Model<T>,
    batch: &Batch<T>,
    options: &LossOptions,
) -> Result<LossWeight> {
    let mut points = 0_usize;
    for_each_point(model, batch, options, |_| points += 1)?;
    Ok(LossWeight { main: points as f64, ..LossWeight::default() })
}

pub(super) fn loss<T: Real>(
    model: &Model<T>,
    batch: &Batch<T>,
    forward: &Forward<T>,
    weight: LossWeight,
    options: &LossOptions,
) -> Result<Loss<T>> {
    let (prediction, target) = (&forward.outputs.prediction, forward.backbone.patches());
    let patch_length = model.network().embedding.patch_length;
    let eps = if model.config().masked_loss { EPS * patch_length as f64 } else { 0.0 };
    let share: T = share(weight.main + eps);
    let two = T::from_f64(2.0);
    let mut value = T::ZERO;
    let mut d = vec![T::ZERO; prediction.len()];
    for_each_point(model, batch, options, |place| {
        let error = prediction[place] - target[place];
        value += error * error;
        d[place] = two * error * share;
    })?;
    // The target is part of the input, so it has a gradient too, of the other sign.
    let patches = d.iter().map(|&d| -d).collect();
    let gradient = OutputGradient { prediction: d, patches, ..OutputGradient::default() };
    Ok(Loss { value: value * share, gradient })
}
