//! The initial weights of a forecaster's linear skip, and its own learning rate.

use serde::{Deserialize, Serialize};

use crate::config::Scaler;
use crate::model::Model;
use crate::weights::{HeadSlot, LinearSlot};
use crate::{Error, Result};

/// Where a linear skip starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SkipStart {
    /// At the ridge regression of the training windows; the mixers' projection starts at 0, so the
    /// whole model starts as that regression, and the start is scored like an epoch.
    #[default]
    Ridge,
    /// At 0.
    Zero,
    /// At the seasonal naive forecast of a scaling by level, the mixers' projection at 0; the start is scored like an
    /// epoch.
    Season,
}

/// The slots of the skip and of the mixers' projection; `None` without a skip.
fn skip_slots(model: &Model) -> Option<(LinearSlot, LinearSlot)> {
    match &model.layout().head {
        HeadSlot::Forecast(slot) => Some((slot.skip.clone()?, slot.projections[0].clone())),
        _ => None,
    }
}

/// Whether the model has a linear skip.
pub(super) fn has_skip(model: &Model) -> bool {
    skip_slots(model).is_some()
}

/// Starts the linear skip of `model` at `weights` `[L, H]`, and the projection of the mixers at 0,
/// so that the whole model starts as this regression.
///
/// # Errors
///
/// `InvalidConfig` if the model has no skip.
///
/// # Panics
///
/// If `weights` has another length than the weights of the skip.
pub fn start_skip_at(model: &mut Model, weights: &[f32]) -> Result<()> {
    let Some((skip, projection)) = skip_slots(model) else {
        return Err(Error::config("ptsm.linear_skip", "is off: there is nothing to start"));
    };
    assert_eq!(weights.len(), skip.weight.len(), "weights of the skip");
    let trained = &mut model.parameters.trained;
    let rows = trained[skip.weight.clone()].chunks_exact_mut(skip.inputs);
    for (step, row) in rows.enumerate() {
        for (i, weight) in row.iter_mut().enumerate() {
            *weight = weights[i * skip.outputs + step];
        }
    }
    trained[skip.bias].fill(0.0);
    trained[projection.weight].fill(0.0);
    trained[projection.bias].fill(0.0);
    Ok(())
}

/// Starts the linear skip of `model`, whose windows are scaled by level, at the seasonal naive forecast, and
/// the projection of the mixers at 0.
///
/// # Errors
///
/// `InvalidConfig` if the model has no skip, or another scaling.
pub fn start_skip_at_season(model: &mut Model) -> Result<()> {
    let Scaler::Level { season } = model.config().scaler() else {
        return Err(Error::config("skip_start", "\"season\" needs scaling \"level\""));
    };
    let (length, steps) = (model.config().context_length, model.config().prediction_length);
    let mut weights = vec![0.0; length * steps];
    for step in 0..steps {
        weights[(length - season + step % season) * steps + step] = 1.0;
    }
    start_skip_at(model, &weights)
}

/// One step of the skip, which is shortened after the optimiser has moved all weights alike.
pub(super) struct SkipStep {
    range: std::ops::Range<usize>,
    /// Weights before the step.
    before: Vec<f32>,
    rate: f32,
}

impl SkipStep {
    /// Keeps the weights before the step; `None` if there is no skip, or it learns as fast as the
    /// rest.
    pub(super) fn new(model: &Model, rate: f64) -> Option<Self> {
        let (skip, _) = skip_slots(model).filter(|_| rate != 1.0)?;
        let range = skip.weight.start..skip.bias.end;
        let before = model.parameters.trained[range.clone()].to_vec();
        Some(Self { range, before, rate: rate as f32 })
    }

    /// Shortens the step that was made to the share `rate`.
    pub(super) fn shorten(self, model: &mut Model) {
        let now = &mut model.parameters.trained[self.range];
        for (now, before) in now.iter_mut().zip(self.before) {
            *now = match self.rate == 0.0 {
                true => before,
                false => before + self.rate * (*now - before),
            };
        }
    }
}
