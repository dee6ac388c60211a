//! A recipe derived from the shape of the data (`--recipe auto`).
//!
//! The rules come from the ablations in `docs/accuracy.md`; each gives a reason for its choice.
//! They look at lengths, channels and season only, never at a score.

use super::recipe::Recipe;
use crate::spec::{ChannelModeChoice, ModelSpec};

/// The context that the benchmark papers use, where the data are long enough.
const CONTEXT: usize = 512;

/// The context where the horizon leaves no room for a longer one.
const SHORTEST_CONTEXT: usize = 8;

/// Windows times channels of an epoch beyond which neighbouring windows are left out.
const EPOCH: usize = 400_000;

/// Number of channels from which mixing them helps, and a linear map shared by all does not.
const MANY_CHANNELS: usize = 10;

/// Number of training windows from which weaker regularisation is enough.
const MANY_WINDOWS: usize = 20_000;

/// The facts about the data from which a recipe is derived.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DataFacts {
    /// Rows of the training part of each series that is used.
    pub training_rows: Vec<usize>,
    /// Channels, C.
    pub channels: usize,
    /// Steps of the season that the frequency suggests (24 for hourly rows); 1 = none known.
    pub seasonal_period: usize,
    /// Future steps, H.
    pub prediction_length: usize,
    /// Past steps, if the user chose them.
    pub context_length: Option<usize>,
    /// Whether there are the complete training and validation windows that a ridge regression takes.
    pub complete_windows: bool,
    /// Whether points are forecast, not a distribution or quantiles; a linear skip requires it.
    pub forecasts_points: bool,
}

impl DataFacts {
    /// Training rows of a series than which a quarter of all are shorter.
    fn short_rows(&self) -> usize {
        let mut rows = self.training_rows.clone();
        rows.sort_unstable();
        rows.get(rows.len() / 4).copied().unwrap_or_default()
    }

    /// Training windows of all series.
    fn windows(&self, context_length: usize) -> usize {
        let taken = context_length + self.prediction_length - 1;
        self.training_rows.iter().map(|rows| rows.saturating_sub(taken)).sum()
    }
}

/// The recipe for such data, and a sentence for every choice.
pub fn auto_recipe(facts: &DataFacts) -> (Recipe, Vec<String>) {
    let mut choice = Choice::default();
    let context_length = choice.context(facts);
    choice.patches(facts, context_length);
    let windows = facts.windows(context_length);
    choice.strength(facts, windows);
    choice.paths(facts, windows, context_length);
    choice.pace(facts, windows);
    choice.recipe.model.context_length = Some(context_length);
    choice.recipe.model.prediction_length = Some(facts.prediction_length);
    (choice.recipe, choice.reasons)
}

/// Lengths that suit short series, where `facts` does not give them, with the reason.
pub(crate) fn short_lengths(facts: &DataFacts) -> (ModelSpec, String) {
    let mut choice = Choice::default();
    let context_length = choice.context(facts);
    choice.patches(facts, context_length);
    let mut spec = choice.recipe.model;
    spec.context_length = Some(context_length);
    spec.prediction_length = Some(facts.prediction_length);
    let reason = format!(
        "context_length {context_length}, prediction_length {}, patches of {}: chosen for series of \
         {} training rows",
        facts.prediction_length,
        spec.patch_length.unwrap_or_default(),
        facts.short_rows()
    );
    (spec, reason)
}

#[derive(Default)]
struct Choice {
    recipe: Recipe,
    reasons: Vec<String>,
}

impl Choice {
    fn because(&mut self, reason: String) {
        self.reasons.push(reason);
    }

    /// The context of the benchmark papers, but no more than a third of a short series (less the
    /// horizon), in whole seasons; one whole season at least, where it fits.
    fn context(&mut self, facts: &DataFacts) -> usize {
        if let Some(context_length) = facts.context_length {
            self.because(format!("context of {context_length} steps: as chosen"));
            return context_length;
        }
        let rows = facts.short_rows().saturating_sub(facts.prediction_length);
        let room = rows / 3;
        if room >= CONTEXT {
            self.because(format!("context of {CONTEXT} steps: the series are long enough"));
            return CONTEXT;
        }
        let season = facts.seasonal_period;
        if season > 1 && season > room && season + season / 2 <= rows {
            self.because(format!("context of {season} steps: one season, the series are short"));
            return season;
        }
        let whole = if season > 1 && season <= room { season } else { 4 };
        let context_length = (room / whole * whole).max(SHORTEST_CONTEXT);
        let why = match room / whole * whole {
            0..SHORTEST_CONTEXT => "few rows are left beside the horizon",
            _ if whole == season => "a third of a short training part, in whole seasons",
            _ => "a third of a short training part",
        };
        self.because(format!("context of {context_length} steps: {why}"));
        context_length
    }

    fn patches(&mut self, facts: &DataFacts, context_length: usize) {
        let many = facts.windows(context_length) >= MANY_WINDOWS;
        let wanted = if many && facts.channels < MANY_CHANNELS { 8 } else { 16 };
        // At least eight patches.
        let length = [wanted, 8, 4, 2, 1].into_iter().find(|p| p * 8 <= context_length);
        let length = length.unwrap_or(1).min(wanted);
        let model = &mut self.recipe.model;
        (model.patch_length, model.patch_stride) = (Some(length), Some(length));
        self.because(format!("patches of {length} steps, side by side"));
    }

    /// Dropout and learning rate: the fewer windows, the more dropout.
    fn strength(&mut self, facts: &DataFacts, windows: usize) {
        let (dropout, rate) = match (windows >= MANY_WINDOWS, facts.channels >= MANY_CHANNELS) {
            (true, true) => (0.1, 3e-3),
            (true, false) => (0.3, 1e-3),
            (false, _) => (0.5, 1e-3),
        };
        let model = &mut self.recipe.model;
        (model.d_model, model.num_layers) = (Some(16), Some(3));
        (model.dropout, model.head_dropout) = (Some(dropout), Some(dropout));
        self.recipe.training.learning_rate = rate;
        self.because(format!(
            "dropout {dropout} and learning rate {rate}: {windows} training windows of {} channels",
            facts.channels
        ));
    }

    /// A linear skip, or mixed channels.
    fn paths(&mut self, facts: &DataFacts, windows: usize, context_length: usize) {
        if facts.channels >= MANY_CHANNELS && windows >= MANY_WINDOWS {
            self.recipe.model.mode = Some(ChannelModeChoice::MixChannel);
            self.because(format!("channels are mixed: there are {}", facts.channels));
        } else if !facts.forecasts_points {
            self.because("no linear skip: it forecasts points only".into());
        } else if !facts.complete_windows {
            self.because(
                "no linear skip: too few windows without a missing point, or no validation part, for \
                 a ridge regression"
                    .into(),
            );
        } else if windows * facts.channels >= 2 * (context_length + 1) {
            self.recipe.model.extension_mut().linear_skip = true;
            self.recipe.training.skip_rate = 0.1;
            self.because(
                "a linear skip that starts as the ridge regression: it is hard to beat on few \
                 channels"
                    .into(),
            );
        } else {
            self.because("no linear skip: too few windows for a ridge regression".into());
        }
    }

    fn pace(&mut self, facts: &DataFacts, windows: usize) {
        let step = (windows * facts.channels).div_ceil(EPOCH).max(1);
        let training = &mut self.recipe.training;
        (training.epochs, training.patience, training.window_step) = (8, Some(4), step);
        if windows < 2_000 {
            (training.epochs, training.batch_size) = (30, 16);
            self.because(format!("30 epochs in batches of 16: only {windows} training windows"));
        }
        if step > 1 {
            self.because(format!(
                "every {step}th training window: neighbouring windows are nearly the same"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::spec::DataShape;

    fn facts(rows: usize, channels: usize) -> DataFacts {
        DataFacts {
            training_rows: vec![rows],
            channels,
            seasonal_period: 24,
            prediction_length: 24,
            context_length: None,
            complete_windows: true,
            forecasts_points: true,
        }
    }

    fn lengths(recipe: &Recipe) -> (usize, usize) {
        (recipe.model.context_length.unwrap(), recipe.model.patch_length.unwrap())
    }

    #[test]
    fn choices_follow_length_and_channels() {
        let (small, reasons) = auto_recipe(&facts(8640, 7));
        assert_eq!(lengths(&small), (512, 16));
        assert!(small.model.ptsm.as_ref().unwrap().linear_skip);
        assert_eq!(small.model.dropout, Some(0.5));
        assert!(reasons.iter().any(|reason| reason.contains("ridge")), "{reasons:?}");
        let (wide, _) = auto_recipe(&facts(36_000, 21));
        assert_eq!(wide.model.mode, Some(ChannelModeChoice::MixChannel));
        assert_eq!(wide.training.window_step, 2);
        assert!(wide.model.ptsm.is_none());
        let (long, _) = auto_recipe(&facts(34_000, 7));
        assert_eq!((lengths(&long).1, long.training.window_step), (8, 1));
    }

    #[test]
    fn series_without_a_season_that_are_hardly_longer_than_the_horizon_have_a_context() {
        let short = DataFacts { seasonal_period: 1, ..facts(26, 1) };
        assert_eq!(lengths(&auto_recipe(&short).0), (8, 1));
    }

    #[test]
    fn many_short_series_are_not_one_long_one() {
        let many = DataFacts { training_rows: vec![40; 1000], ..facts(40, 1) };
        let (recipe, reasons) = auto_recipe(&many);
        assert_eq!(recipe.model.dropout, Some(0.5));
        assert!(reasons.iter().any(|text| text.contains("9000 training windows")), "{reasons:?}");
        let uncertain = DataFacts { forecasts_points: false, ..facts(8640, 7) };
        assert!(auto_recipe(&uncertain).0.model.ptsm.is_none());
        let gaps = DataFacts { complete_windows: false, ..facts(8640, 7) };
        let (recipe, reasons) = auto_recipe(&gaps);
        assert!(recipe.model.ptsm.is_none() && reasons.iter().any(|text| text.contains("missing")));
    }

    #[test]
    fn every_choice_is_a_possible_model() {
        for rows in [1, 10, 50, 100, 200, 500, 1000, 5000, 100_000] {
            for channels in [1, 9, 300] {
                let facts = facts(rows, channels);
                let (recipe, reasons) = auto_recipe(&facts);
                let (context, patch) = lengths(&recipe);
                assert!(context > patch && patch >= 1, "{rows} rows: {context} {patch}");
                recipe.training.validate().unwrap();
                let shape = DataShape::windows(Task::Forecasting, channels);
                recipe.model.config(&shape).unwrap();
                assert!(reasons.len() >= 4);
            }
        }
        let asked = DataFacts { context_length: Some(100), ..facts(10_000, 1) };
        assert_eq!(lengths(&auto_recipe(&asked).0).0, 100);
    }
}
