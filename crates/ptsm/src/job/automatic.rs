//! A recipe derived from the data, with a reason for each choice.

use super::data::SeriesData;
use crate::data::Series;
use crate::spec::{LossChoice, ModelSpec};
use crate::train::{DataFacts, Recipe, auto_recipe, short_lengths};

/// The recipe for these data, with a sentence for every choice; lengths and the loss are those of
/// `wanted` where it sets them.
pub fn automatic_recipe(data: &SeriesData, wanted: &ModelSpec) -> (Recipe, Vec<String>) {
    let mut facts = facts(data, wanted);
    suit_horizon(&mut facts, wanted);
    auto_recipe(&facts)
}

/// Gives a specification without lengths those that suit series which are too short for our
/// defaults; says what it chose.
pub(super) fn suit_short_series(data: &SeriesData, spec: &mut ModelSpec) -> Option<String> {
    if spec.context_length.is_some() && spec.prediction_length.is_some() {
        return None;
    }
    let mut facts = facts(data, spec);
    let wanted = spec.context_length.or(ModelSpec::defaults().context_length).unwrap_or_default();
    if median(&facts.training_rows) >= wanted + facts.prediction_length {
        return None;
    }
    suit_horizon(&mut facts, spec);
    let (lengths, reason) = short_lengths(&facts);
    *spec = lengths.with(spec);
    Some(reason)
}

fn facts(data: &SeriesData, wanted: &ModelSpec) -> DataFacts {
    let rows = |series: &Series| -> usize {
        // Any context length will do, because the borders do not depend on it.
        let found = data.split.borders(series.num_rows(), series.timestamps.as_deref(), 1);
        found.map_or(0, |borders| borders.train.len())
    };
    let levels = wanted.ptsm.as_ref().is_some_and(|ptsm| ptsm.quantiles.is_some());
    DataFacts {
        training_rows: data.set.series.iter().map(rows).filter(|&rows| rows > 0).collect(),
        channels: data.set.channels.len(),
        seasonal_period: data.seasonal_period,
        prediction_length: wanted
            .prediction_length
            .or(ModelSpec::defaults().prediction_length)
            .unwrap_or_default(),
        context_length: wanted.context_length,
        forecasts_points: !levels && wanted.loss.is_none_or(|loss| loss == LossChoice::Mse),
    }
}

/// A horizon that nobody chose is no longer than the rows allow: one season, or a tenth of them.
fn suit_horizon(facts: &mut DataFacts, wanted: &ModelSpec) {
    let rows = median(&facts.training_rows);
    if wanted.prediction_length.is_some() || rows >= 4 * facts.prediction_length {
        return;
    }
    let season = facts.seasonal_period;
    let one_season = season > 1 && 4 * season <= rows;
    let suitable = if one_season { season } else { (rows / 10).max(1) };
    facts.prediction_length = facts.prediction_length.min(suitable);
}

fn median(rows: &[usize]) -> usize {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.get(rows.len() / 2).copied().unwrap_or_default()
}
