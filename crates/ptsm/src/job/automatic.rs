//! A recipe derived from the data, with a reason for each choice.

use std::ops::Range;

use super::data::SeriesData;
use crate::Result;
use crate::data::{Borders, Series, Split, Transform, WindowShape, prepare, usual_horizon};
use crate::evaluate::Ridge;
use crate::spec::{LossChoice, ModelSpec};
use crate::train::{DataFacts, Recipe, auto_recipe, short_lengths};

/// The recipe for these data, with a sentence for every choice; lengths and the loss are those of
/// `wanted` where it sets them.
pub fn automatic_recipe(data: &SeriesData, wanted: &ModelSpec) -> (Recipe, Vec<String>) {
    let mut wanted = wanted.clone();
    let chosen = wanted.prediction_length;
    let horizon = chosen.unwrap_or_else(|| fitting_horizon(data));
    wanted.prediction_length = Some(horizon);
    let mut facts = facts(data, &wanted);
    let (mut recipe, mut reasons) = auto_recipe(&facts);
    let skips = recipe.model.ptsm.as_ref().is_some_and(|ptsm| ptsm.linear_skip);
    if skips && !ridge_fits(data, &recipe) {
        facts.complete_windows = false;
        (recipe, reasons) = auto_recipe(&facts);
    }
    if chosen.is_none() {
        let reason = match data.split {
            Split::Last { .. } => "as the split has it".to_owned(),
            _ => match usual(data) {
                usual if usual == horizon => "usual for such rows".to_owned(),
                usual => format!(
                    "{usual} are usual for such rows, and the parts of the split hold no more"
                ),
            },
        };
        reasons.insert(0, format!("horizon of {horizon} steps: {reason}"));
    }
    (recipe, reasons)
}

/// Refuses a horizon that the parts of the split do not hold, before anything is trained.
///
/// # Errors
///
/// `InvalidInput`, with the numbers, if a part has no window with as much of a context as there is.
pub fn check_lengths(data: &SeriesData, model: &ModelSpec) -> Result<()> {
    let defaults = ModelSpec::defaults();
    let length = |chosen: Option<usize>, default: Option<usize>| chosen.or(default).unwrap_or(1);
    let shape = WindowShape {
        context_length: length(model.context_length, defaults.context_length),
        prediction_length: length(model.prediction_length, defaults.prediction_length),
        step: 1,
    };
    prepare(&data.set, &data.split, shape, None, None).map(|_| ())
}

/// Whether the data have the complete windows that the start of a linear skip takes.
fn ridge_fits(data: &SeriesData, recipe: &Recipe) -> bool {
    let complete = data.set.series.iter().all(|series| series.observed.is_none());
    if complete && borders(data).iter().all(|borders| !borders.validation.is_empty()) {
        return true;
    }
    let shape = WindowShape {
        context_length: recipe.model.context_length.unwrap_or_default(),
        prediction_length: recipe.model.prediction_length.unwrap_or_default(),
        step: 1,
    };
    prepare(&data.set, &data.split, shape, Some(Transform::None), None)
        .and_then(|parts| Ridge::fit(&parts.train, &parts.validation))
        .is_ok()
}

/// A horizon that nobody chose: that of the split (`last:H`); else the usual one of the frequency; else
/// two seasons, or a tenth of the training part and no more than 24; and no more than the parts hold.
fn fitting_horizon(data: &SeriesData) -> usize {
    if let Split::Last { rows } = data.split {
        return rows;
    }
    let borders = borders(data);
    let (horizon, room) = (usual(data), room(&borders, training_rows(&borders)));
    match data.seasonal_period {
        // A horizon that has to be cut is cut to whole seasons.
        season if season > 1 && horizon > room && room >= season => room / season * season,
        _ => horizon.min(room).max(1),
    }
}

/// Rows of the training part of a middle series.
fn training_rows(borders: &[Borders]) -> usize {
    median(&borders.iter().map(|borders| borders.train.len()).collect::<Vec<_>>())
}

/// The horizon that is usual for the step of the rows, their season and their number.
fn usual(data: &SeriesData) -> usize {
    let rows = training_rows(&borders(data));
    usual_horizon(data.set.frequency, data.seasonal_period, rows)
}

/// The parts of every series that can be split.
pub(super) fn borders(data: &SeriesData) -> Vec<Borders> {
    let borders = |series: &Series| {
        // With a context of one row, since the own rows of a part do not depend on it.
        data.split.borders(series.num_rows(), series.timestamps.as_ref(), 1).ok()
    };
    data.set.series.iter().filter_map(borders).collect()
}

/// Future steps that the parts of a split hold, with a training part of `rows`.
fn room(borders: &[Borders], rows: usize) -> usize {
    let part = |of: fn(&Borders) -> &Range<usize>| {
        // One row of each part is the context.
        let own: Vec<usize> = borders.iter().map(|b| of(b).len().saturating_sub(1)).collect();
        Some(median(&own)).filter(|&rows| rows > 0)
    };
    let scored = [part(|borders| &borders.validation), part(|borders| &borders.test)];
    scored.into_iter().flatten().min().unwrap_or(rows).min(rows / 4)
}

/// Gives a specification without lengths those that suit series which are too short for our
/// defaults; says what it chose.
pub(super) fn suit_short_series(data: &SeriesData, spec: &mut ModelSpec) -> Option<String> {
    if spec.context_length.is_some() && spec.prediction_length.is_some() {
        return None;
    }
    let facts = facts(data, spec);
    let defaults = ModelSpec::defaults();
    let context_length = spec.context_length.or(defaults.context_length).unwrap_or_default();
    let horizon = spec.prediction_length.or(defaults.prediction_length);
    let fits = median(&facts.training_rows) >= context_length + facts.prediction_length;
    if fits && horizon == Some(facts.prediction_length) {
        return None;
    }
    let (lengths, reason) = short_lengths(&facts);
    *spec = lengths.with(spec);
    Some(reason)
}

fn facts(data: &SeriesData, wanted: &ModelSpec) -> DataFacts {
    let borders = borders(data);
    let training_rows: Vec<usize> = borders.iter().map(|borders| borders.train.len()).collect();
    let levels = wanted.ptsm.as_ref().is_some_and(|ptsm| ptsm.quantiles.is_some());
    DataFacts {
        prediction_length: wanted
            .prediction_length
            .unwrap_or_else(|| suitable_horizon(data, &training_rows, &borders)),
        training_rows,
        channels: data.set.channels.len(),
        seasonal_period: data.seasonal_period,
        context_length: wanted.context_length,
        complete_windows: true,
        forecasts_points: !levels && wanted.loss.is_none_or(|loss| loss == LossChoice::Mse),
    }
}

/// A horizon that nobody chose: that of the split (`last:H`), or our default where the training part
/// is four times as long and the other parts hold it; else one season, or a tenth of the training
/// part, and no more than the other parts hold.
fn suitable_horizon(data: &SeriesData, training_rows: &[usize], borders: &[Borders]) -> usize {
    if let Split::Last { rows } = data.split {
        return rows;
    }
    let rows = median(training_rows);
    let room = room(borders, rows);
    let default = ModelSpec::defaults().prediction_length.unwrap_or_default();
    let season = data.seasonal_period;
    match room {
        _ if room >= default => default,
        _ if season > 1 && season <= room => season,
        _ => (rows / 10).min(room).max(1),
    }
}

/// The middle one, the upper of two; 0 of none.
pub(super) fn median(rows: &[usize]) -> usize {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.get(rows.len() / 2).copied().unwrap_or_default()
}
