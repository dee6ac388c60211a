//! Where the linear skip of a forecaster starts, and how it is held back.

use serde::{Deserialize, Serialize};

use crate::config::{Location, Scaler};
use crate::data::{WindowSet, WindowShape};
use crate::evaluate::{Ridge, RidgeOptions};
use crate::model::Model;
use crate::weights::{HeadSlot, LinearSlot};
use crate::{Error, Result};

/// Penalties that are tried for the start of a skip, in units of the number of training rows: finer
/// and further up than the baseline's, whose largest is often the best one on small sets.
const PENALTIES: [f64; 10] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0];

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
}

/// The places of the skip and of the projection in front of it.
fn slots(model: &Model) -> Option<(LinearSlot, LinearSlot)> {
    match &model.layout().head {
        HeadSlot::Forecast(slot) => Some((slot.skip.clone()?, slot.projections[0].clone())),
        _ => None,
    }
}

/// Whether the model has a linear skip.
pub(super) fn has_skip(model: &Model) -> bool {
    slots(model).is_some()
}

/// Starts the linear skip of `model` at the ridge regression of every window of the segments of
/// `train`, its penalty picked on `validation`, and the projection of the mixers at 0.
///
/// The skip forecasts in the space of the window's own scaler; there the weights of the regression
/// are the same. It has no constant, which would carry the drift of the training rows on.
///
/// # Errors
///
/// `InvalidConfig` if the model has no skip or does not scale by `std`; as [`Ridge::fit`].
pub fn start_skip(model: &mut Model, train: &WindowSet, validation: &WindowSet) -> Result<Ridge> {
    let Some((skip, projection)) = slots(model) else {
        return Err(Error::config("ptsm.linear_skip", "is off: there is nothing to start"));
    };
    let Scaler::Std { location, .. } = model.config().scaler() else {
        let text = "\"ridge\" needs scaling \"std\" (or use \"zero\")";
        return Err(Error::config("skip_start", text));
    };
    let ridge = fit(train, validation, location)?;
    let (weights, _) = ridge.weights();
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
    Ok(ridge)
}

/// Closed form, so it can afford every window, whatever the mixers are trained on.
fn fit(train: &WindowSet, validation: &WindowSet, location: Location) -> Result<Ridge> {
    let every = WindowShape { step: 1, ..train.shape() };
    let train = WindowSet::new(train.segments().to_vec(), every)?;
    let options = RidgeOptions { location, constant: false, penalties: &PENALTIES };
    Ridge::fit_with(&train, validation, options)
}

/// The weights of the skip before a step of the optimiser, to hold them back afterwards.
pub(super) struct Held {
    range: std::ops::Range<usize>,
    before: Vec<f32>,
    rate: f32,
}

impl Held {
    /// `None` if there is no skip, or it learns like everything else.
    pub(super) fn new(model: &Model, rate: f64) -> Option<Self> {
        let (skip, _) = slots(model).filter(|_| rate != 1.0)?;
        let range = skip.weight.start..skip.bias.end;
        let before = model.parameters.trained[range.clone()].to_vec();
        Some(Self { range, before, rate: rate as f32 })
    }

    /// Leaves `rate` of what the step moved.
    pub(super) fn release(self, model: &mut Model) {
        let now = &mut model.parameters.trained[self.range];
        for (now, before) in now.iter_mut().zip(self.before) {
            *now = match self.rate == 0.0 {
                true => before,
                false => before + self.rate * (*now - before),
            };
        }
    }
}
