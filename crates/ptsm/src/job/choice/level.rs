//! The networks of the default forecaster that see levels: for positive series, above all many short ones.

use super::metric::Metric;
use crate::data::{SeriesSet, Split};
use crate::job::SeriesData;
use crate::spec::{ModelSpec, ScalingChoice};
use crate::train::{Recipe, Schedule, SkipStart, Training};
use ptsm_core::Level;

/// Series from which a forecast has to be good for many, of which each says little.
pub(super) const MANY_SERIES: usize = 20;

/// Contexts of the networks for many series, in horizons.
const HORIZONS: [usize; 3] = [2, 4, 6];

/// Forecasts of single channels of an optimiser step, but 16 windows at least.
const BATCH: usize = 256;
const FEWEST_WINDOWS: usize = 16;

/// Steps of a training: eight passes, but no fewer and no more than these.
const STEPS: [usize; 2] = [200, 1500];

/// Past points that all steps of a training see, at most: long contexts and many channels have fewer steps.
const POINTS: usize = 64_000_000;

/// Epochs of a training, each a tenth of its steps: the best one on the validation part is kept.
const EPOCHS: u32 = 10;

/// Training points above which windows lie within the series: others need a copy of these.
const COPIED: usize = 20_000_000;

/// Share of zeros from which logarithms of levels are of no use.
const ZEROS: f64 = 0.25;

/// What the recipes are made from.
pub(super) struct Facts<'a> {
    pub(super) data: &'a SeriesData,
    /// Of the network that sees deviations.
    pub(super) model: &'a ModelSpec,
    pub(super) metric: Metric,
    pub(super) seed: u64,
}

impl Facts<'_> {
    /// The recipes of the networks; none where values are below zero or too often zero.
    pub(super) fn recipes(&self) -> Vec<Recipe> {
        if !positive(&self.data.set) {
            return Vec::new();
        }
        let rows = training_rows(&self.data.set, &self.data.split);
        let recipe = |context: usize| self.recipe(context, windows(&rows, context));
        self.contexts().into_iter().map(recipe).collect()
    }

    /// Past steps of each network, and of the ridge regressions on logarithms.
    pub(super) fn contexts(&self) -> Vec<usize> {
        let rows = training_rows(&self.data.set, &self.data.split);
        let longest = rows.iter().copied().max().unwrap_or_default();
        let season = self.data.seasonal_period.max(1);
        let whole = |context: usize| context.div_ceil(season) * season;
        let horizon = self.horizon();
        let contexts: Vec<usize> = match rows.len() >= MANY_SERIES {
            true => HORIZONS.map(|n| whole(n * horizon).max(2 * season)).to_vec(),
            false => vec![self.model.context_length.unwrap_or(2 * horizon)],
        };
        let mut contexts: Vec<usize> =
            contexts.into_iter().map(|context| context.min(longest).max(2)).collect();
        contexts.dedup();
        contexts
    }

    fn horizon(&self) -> usize {
        self.model.prediction_length.unwrap_or(1)
    }

    /// Whether the series are small enough to be copied for windows that reach beyond them.
    pub(super) fn may_copy(&self) -> bool {
        may_copy(&self.data.set)
    }

    fn recipe(&self, context: usize, windows: usize) -> Recipe {
        let horizon = self.horizon();
        let season = self.data.seasonal_period.max(1);
        let patch = patch(season, context);
        let mut model = ModelSpec {
            context_length: Some(context),
            prediction_length: Some(horizon),
            patch_length: Some(patch),
            patch_stride: Some(patch),
            d_model: Some(16),
            num_layers: Some(2),
            dropout: Some(0.0),
            head_dropout: Some(0.0),
            scaling: Some(ScalingChoice::Level),
            ..ModelSpec::default()
        };
        let extension = model.extension_mut();
        extension.linear_skip = true;
        extension.level = Some(Level { season: if season <= context { season } else { 1 } });
        let channels = self.data.set.channels.len();
        let batch_size = (BATCH / channels.max(1)).max(FEWEST_WINDOWS);
        let most = POINTS / (batch_size * channels * context).max(1);
        let steps =
            (8 * windows / batch_size).clamp(STEPS[0], STEPS[1]).min(most).max(EPOCHS as usize);
        let mut training = Training {
            epochs: EPOCHS,
            epoch_steps: Some((steps / EPOCHS as usize) as u32),
            patience: None,
            batch_size,
            schedule: Schedule::Cosine,
            gradient_clip: Some(1.0),
            skip_start: SkipStart::Season,
            skip_rate: 1.0,
            partial_windows: self.may_copy(),
            seed: self.seed,
            ..Training::default()
        };
        self.metric.train_for(&mut training);
        Recipe { model, training, ..Recipe::default() }
    }
}

/// Whether series are small enough to be copied for windows that reach beyond them.
pub(in crate::job) fn may_copy(set: &SeriesSet) -> bool {
    let rows = set.series.iter().map(crate::data::Series::num_rows).sum::<usize>();
    rows * set.channels.len() <= COPIED
}

/// A season, if there are at least two in the context and it is not longer than most patches; or a length of which there
/// are at least four.
fn patch(season: usize, context: usize) -> usize {
    match season {
        2..=16 if 2 * season <= context => season,
        _ => [16, 8, 4, 2].into_iter().find(|patch| 4 * patch <= context).unwrap_or(1),
    }
}

/// Whether logarithms of levels are of use: no value is below zero, and few are zero.
pub(super) fn positive(set: &SeriesSet) -> bool {
    let (mut zeros, mut count) = (0usize, 0usize);
    for series in &set.series {
        for row in 0..series.num_rows() {
            for value in (0..series.num_channels).filter_map(|channel| series.get(row, channel)) {
                if value < 0.0 {
                    return false;
                }
                count += 1;
                zeros += usize::from(value == 0.0);
            }
        }
    }
    (zeros as f64) < ZEROS * count as f64
}

/// Training rows of each series that is long enough for the split.
pub(super) fn training_rows(set: &SeriesSet, split: &Split) -> Vec<usize> {
    let rows = |series: &crate::data::Series| {
        let borders = split.borders(series.num_rows(), series.timestamps.as_ref(), 1).ok()?;
        Some(borders.train.len())
    };
    set.series.iter().filter_map(rows).collect()
}

/// Training windows, those that begin before a series included.
fn windows(rows: &[usize], context: usize) -> usize {
    rows.iter().map(|rows| rows.saturating_sub(context / 4)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_seasons_or_a_quarter_of_the_context() {
        let found = [(12, 36), (12, 12), (1, 12), (1, 8), (1, 3), (24, 96), (4, 16)];
        assert_eq!(found.map(|(season, context)| patch(season, context)), [12, 2, 2, 2, 1, 16, 4]);
    }
}
