//! The linear baseline of a backtest: one ridge regression for all cutoffs.

use std::sync::Arc;

use super::block::Plan;
use super::contestant::before;
use super::origins::Origins;
use crate::data::{Transform, WindowShape, prepare};
use crate::ensemble::{Linear, MemberModel, Members};
use crate::evaluate::fit_ridge;
use crate::job::SeriesData;
use crate::preprocessor::Preprocessor;
use crate::{Config, Cpu, Forecaster, Result};

/// The ridge regression of the rows before the first cutoff, so that it has seen no row that is forecast;
/// `first` is the model that is tested.
///
/// # Errors
///
/// `InvalidInput` if there are too few complete windows of training and validation before that cutoff.
pub(super) fn ridge(
    data: &SeriesData,
    origins: Origins,
    plan: &Plan,
    first: &Forecaster,
) -> Result<Forecaster> {
    let rows = before(data, origins, 0)?;
    let shape = WindowShape { context_length: plan.past, prediction_length: plan.steps, step: 1 };
    let prepared = prepare(&rows.set, &rows.split, shape, Some(Transform::None), None)?;
    let ridge = fit_ridge(&prepared.train, &prepared.validation, plan.season)?;
    let config = Config {
        context_length: ridge.context_length(),
        prediction_length: plan.steps,
        num_input_channels: data.set.channels.len(),
        prediction_channel_indices: first.config().prediction_channel_indices.clone(),
        ..Config::default()
    };
    let preprocessor =
        Preprocessor { standardiser: prepared.standardiser, ..first.preprocessor().clone() };
    let member = MemberModel::Linear(Arc::new(Linear::Values(ridge)));
    Forecaster::assemble(&Members::alone(member, config), preprocessor, None, &Cpu::default())
}
