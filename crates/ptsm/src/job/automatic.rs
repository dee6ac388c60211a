//! A recipe derived from the data, with a reason for each choice.

use super::data::SeriesData;
use crate::data::Series;
use crate::spec::{LossChoice, ModelSpec};
use crate::train::{DataFacts, Recipe, auto_recipe};

/// The recipe for these data, with a sentence for every choice; lengths and the loss are those of
/// `wanted` where it sets them.
pub fn automatic_recipe(data: &SeriesData, wanted: &ModelSpec) -> (Recipe, Vec<String>) {
    let rows = |series: &Series| -> usize {
        // Any context length will do, because the borders do not depend on it.
        let found = data.split.borders(series.num_rows(), series.timestamps.as_deref(), 1);
        found.map_or(0, |borders| borders.train.len())
    };
    let rows: Vec<usize> = data.set.series.iter().map(rows).filter(|&rows| rows > 0).collect();
    let defaults = ModelSpec::defaults();
    let levels = wanted.ptsm.as_ref().is_some_and(|ptsm| ptsm.quantiles.is_some());
    auto_recipe(&DataFacts {
        training_rows: rows,
        channels: data.set.channels.len(),
        seasonal_period: data.seasonal_period,
        prediction_length: wanted
            .prediction_length
            .or(defaults.prediction_length)
            .unwrap_or_default(),
        context_length: wanted.context_length,
        forecasts_points: !levels && wanted.loss.is_none_or(|loss| loss == LossChoice::Mse),
    })
}
