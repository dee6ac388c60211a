//! Forecasters by a network that was trained on other series.

use std::sync::Arc;

use super::{ForecastModel, Forecaster};
use crate::data::{Frequency, SeriesSet};
use crate::ensemble::{MemberModel, Members};
use crate::preprocessor::Preprocessor;
use crate::zero_shot::{MOST_ZERO_SHOT_STEPS, ZeroShot};
use crate::{Error, Result};
use ptsm_core::Backend;

/// Steps that people usually want to know in advance of series with this season: the usual ones of the
/// step of their rows, or two seasons, or a tenth of the rows and no more than 24.
pub fn usual_steps(set: &SeriesSet, season: usize) -> usize {
    let usual = set.frequency.and_then(Frequency::usual_horizon);
    let mut rows: Vec<usize> = set.series.iter().map(|series| series.num_rows()).collect();
    rows.sort_unstable();
    let median = rows.get(rows.len() / 2).copied().unwrap_or_default();
    let steps = usual.unwrap_or(if season > 1 { 2 * season } else { (median / 10).min(24) });
    steps.max(1)
}

/// What [`Forecaster::zero_shot`] forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct ZeroShotOptions {
    /// Steps, at least 1.
    pub steps: usize,
    /// Levels of the intervals; `None` = those of the network.
    pub levels: Option<Vec<f64>>,
}

impl Forecaster {
    /// A forecaster of the channels of `set` by a network that was trained on other
    /// series. Every channel is forecast from its own past.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for 0 steps, or a level beyond the network's; as [`Backend::load`].
    pub fn zero_shot(
        zero_shot: ZeroShot,
        set: &SeriesSet,
        options: &ZeroShotOptions,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let ZeroShotOptions { steps, ref levels } = *options;
        if !(1..=MOST_ZERO_SHOT_STEPS).contains(&steps) {
            let text = format!("{steps} must be from 1 to {MOST_ZERO_SHOT_STEPS}");
            return Err(Error::config("prediction_length", text));
        }
        let preprocessor = Preprocessor {
            roles: set.roles.clone(),
            frequency: set.frequency,
            times: set.times.clone(),
            seasonal_period: zero_shot.season(),
            ..Preprocessor::of_any_series("any series", &set.channels)
        };
        let config = zero_shot.config(set.channels.len(), steps);
        let members = Members::alone(MemberModel::ZeroShot(Arc::new(zero_shot)), config);
        let mut model = ForecastModel::assemble(&members, preprocessor, None, backend)?;
        if let Some(levels) = levels {
            model.interface.set_levels(levels)?;
        }
        Self::new(Arc::new(model))
    }
}
