//! Initialisation of a forecaster's linear skip with a ridge regression of its training windows.

use ptsm_core::train::start_skip_at;

use crate::data::{WindowSet, WindowShape};
use crate::evaluate::{Ridge, RidgeOptions};
use crate::{Error, Model, Result};
use ptsm_core::{Location, Scaler};

/// Penalties that are tried for the initial skip, in units of the number of training rows: finer
/// and further up than the baseline's, whose largest is often the best one on small sets.
const PENALTIES: [f64; 10] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0];

/// Initialises the linear skip of `model` with the ridge regression of every window of the segments
/// of `train`, its penalty picked on `validation`, and the projection of the mixers at 0.
///
/// The skip forecasts in the space of the window's own scaler; there the weights of the regression
/// are the same. It has no constant, which would extrapolate the drift of the training rows.
///
/// # Errors
///
/// `InvalidConfig` if the model has no skip or does not scale by `std`; as [`Ridge::fit`].
pub fn start_skip(model: &mut Model, train: &WindowSet, validation: &WindowSet) -> Result<Ridge> {
    if !model.config().extension().linear_skip {
        return Err(Error::config("ptsm.linear_skip", "is off: there is nothing to start"));
    }
    let Scaler::Std { location, .. } = model.config().scaler() else {
        let text = "\"ridge\" needs scaling \"std\" (or use \"zero\"; \"season\" with \"level\")";
        return Err(Error::config("skip_start", text));
    };
    let ridge = fit(train, validation, location)?;
    let (weights, _) = ridge.weights();
    start_skip_at(model, weights)?;
    Ok(ridge)
}

/// Closed form, so it can afford every window, whatever the mixers are trained on.
fn fit(train: &WindowSet, validation: &WindowSet, location: Location) -> Result<Ridge> {
    let every = WindowShape { step: 1, ..train.shape() };
    let train = WindowSet::new(train.segments().to_vec(), every)?;
    let options = RidgeOptions { location, constant: false, penalties: &PENALTIES };
    Ridge::fit_with(&train, validation, options)
}
