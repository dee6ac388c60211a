//! Forecasts that need no training, and the scoring of all baselines side by side.

use super::metrics::Metrics;
use super::report::{BaselineOutcome, BaselineScore};
use super::ridge::Ridge;
use super::windows::{EvaluateOptions, evaluate, select_channels};
use crate::classical::Classical;
use crate::data::{Batch, Segment, WindowSet, WindowShape};
use crate::{Error, ErrorKind, Result};
use ptsm_classical::Method;

/// Repeats the last observed value of each channel.
///
/// Returns `[B, H, C]`, row-major, in the units of the batch. A channel without any observed point
/// in its context gets 0, the training mean of standardised data.
pub fn repeat_last(batch: &Batch, prediction_length: usize) -> Vec<f32> {
    every_channel(Classical { method: Method::RepeatLast, season: 1 }, batch, prediction_length)
}

fn every_channel(classical: Classical, batch: &Batch, prediction_length: usize) -> Vec<f32> {
    let channels: Vec<usize> = (0..batch.num_channels()).collect();
    classical.forecast(batch, prediction_length, &channels)
}

/// Repeats the last full season: each step gets the value `season_length` steps before it.
///
/// Returns `[B, H, C]`, row-major, in the units of the batch. Where that point is missing, earlier
/// seasons are tried in turn; where none has it, the last observed value of the channel is taken,
/// and 0 where the whole context is missing.
///
/// # Errors
///
/// `InvalidConfig` if `season_length` is 0 or longer than the context.
pub fn seasonal_naive(
    batch: &Batch,
    prediction_length: usize,
    season_length: usize,
) -> Result<Vec<f32>> {
    let context_length = batch.context_length();
    if season_length == 0 || season_length > context_length {
        return Err(Error::config(
            "season_length",
            format!("must be from 1 to context_length {context_length}, got {season_length}"),
        ));
    }
    let classical = Classical { method: Method::SeasonalNaive, season: season_length };
    Ok(every_channel(classical, batch, prediction_length))
}

/// Which baselines [`score_baselines`] scores besides repeating the last value and the drift.
#[derive(Clone, Copy, Default)]
pub struct BaselinePlan<'a> {
    /// Time steps in one season, for the seasonal naive forecast and Theta; `None` leaves the first
    /// out, and there is no seasonal component in the second.
    pub season_length: Option<usize>,
    /// Whether Theta is scored where that takes more than a few seconds, see [`THETA_LIMIT`].
    pub every_theta: bool,
    /// Training and validation windows to fit the linear baseline on; `None` leaves it out.
    pub ridge: Option<(&'a WindowSet, &'a WindowSet)>,
}

/// Scores the baselines on every window of `windows`, with the options of the model's own score.
///
/// In this order: `repeat_last`, `seasonal_naive`, `drift`, `theta`, `ridge`. A baseline that the data
/// do not allow (a season longer than the context, too few complete windows) is listed with the
/// reason. The ridge sees less of a context where there are too few training windows of it.
///
/// # Errors
///
/// Those of [`evaluate`] that do not come from one baseline: no window, impossible options, no
/// known truth, an interruption.
pub fn score_baselines(
    windows: &WindowSet,
    plan: &BaselinePlan<'_>,
    options: &EvaluateOptions<'_>,
) -> Result<Vec<BaselineScore>> {
    let steps = windows.shape().prediction_length;
    let last = score(&mut |batch| Ok(repeat_last(batch, steps)), windows, options)?;
    let mut scores = vec![BaselineScore {
        name: "repeat_last".to_owned(),
        outcome: BaselineOutcome::Scored(last),
    }];
    if let Some(season) = plan.season_length {
        let got = score(&mut |batch| seasonal_naive(batch, steps, season), windows, options);
        scores.push(listed("seasonal_naive", got)?);
    }
    for method in [Method::Drift, Method::Theta] {
        let got = score_classical(method, windows, plan, options);
        scores.push(listed(method.name(), got)?);
    }
    if let Some((train, validation)) = plan.ridge {
        let context = ridge_context(train, plan.season_length.unwrap_or(1));
        let got =
            Ridge::fit(&train.shortened(context, false), &validation.shortened(context, true))
                .and_then(|ridge| {
                    let mut forecast = |batch: &Batch| ridge.predict(&batch.shortened(context));
                    score(&mut forecast, windows, options)
                });
        scores.push(listed("ridge", got)?);
    }
    Ok(scores)
}

/// Points of contexts, over all windows and channels, up to which Theta is scored unasked: it is fitted
/// to every one of them anew.
pub const THETA_LIMIT: usize = 1_000_000;

/// How the reason ends where Theta is not scored because of [`THETA_LIMIT`].
pub const TAKES_A_WHILE: &str = "which takes a while";

fn score_classical(
    method: Method,
    windows: &WindowSet,
    plan: &BaselinePlan<'_>,
    options: &EvaluateOptions<'_>,
) -> Result<Metrics> {
    let WindowShape { context_length, prediction_length, .. } = windows.shape();
    let channels = windows.num_channels();
    let points = windows.len() * channels * context_length;
    if method == Method::Theta && points > THETA_LIMIT && !plan.every_theta {
        let text = format!(
            "it is fitted to each of {} windows of {} channel{}, {TAKES_A_WHILE}",
            windows.len(),
            channels,
            if channels == 1 { "" } else { "s" }
        );
        return Err(Error::input(text));
    }
    let classical = Classical { method, season: plan.season_length.unwrap_or(1) };
    let mut forecast = |batch: &Batch| Ok(every_channel(classical, batch, prediction_length));
    score(&mut forecast, windows, options)
}

/// The ridge regression of these windows, or of their last steps where there are too few training
/// windows for all.
pub(crate) fn fit_ridge(train: &WindowSet, validation: &WindowSet, season: usize) -> Result<Ridge> {
    let context = ridge_context(train, season);
    Ridge::fit(&train.shortened(context, false), &validation.shortened(context, true))
}

/// Past steps that the ridge sees: all of a context, or as many (in whole seasons) as there are twice
/// as many training rows for as weights.
fn ridge_context(train: &WindowSet, season: usize) -> usize {
    let WindowShape { context_length, prediction_length, .. } = train.shape();
    let seen: Vec<usize> = train.segments().iter().map(Segment::seen_rows).collect();
    let enough = |context: usize| {
        let windows = |rows: &usize| (rows + 1).saturating_sub(context + prediction_length);
        seen.iter().map(windows).sum::<usize>() * train.num_channels() >= 2 * (context + 1)
    };
    if enough(context_length) {
        return context_length;
    }
    let whole =
        |context: usize| if context >= season { context / season * season } else { context };
    (1..context_length)
        .rev()
        .find(|&context| whole(context) == context && enough(context))
        .unwrap_or(context_length)
}

/// Scores a forecaster of all channels on the channels that the options choose.
fn score(
    forecaster: &mut dyn FnMut(&Batch) -> Result<Vec<f32>>,
    windows: &WindowSet,
    options: &EvaluateOptions<'_>,
) -> Result<Metrics> {
    let mut chosen = |batch: &Batch| {
        let forecast = forecaster(batch)?;
        Ok(match &options.channels {
            None => forecast,
            Some(channels) => select_channels(&forecast, batch.num_channels(), channels),
        })
    };
    evaluate(&mut chosen, windows, options)
}

fn listed(name: &str, result: Result<Metrics>) -> Result<BaselineScore> {
    let outcome = match result {
        Ok(metrics) => BaselineOutcome::Scored(metrics),
        Err(error) => match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::InvalidConfig => {
                BaselineOutcome::NotScored { reason: error.to_string() }
            }
            _ => return Err(error.at(name)),
        },
    };
    Ok(BaselineScore { name: name.to_owned(), outcome })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{BatchShape, PreparedSeries, Segment, WindowShape};

    fn batch(past: &[f32], mask: Option<&[f32]>, context_length: usize) -> Batch {
        let num_channels = 2;
        let size = past.len() / context_length / num_channels;
        let shape = BatchShape { size, context_length, num_channels };
        Batch::new(shape, past.to_vec())
            .and_then(|batch| batch.with_observed_mask(mask.map(<[f32]>::to_vec)))
            .unwrap()
    }

    #[test]
    fn repeat_last_takes_the_last_observed_point_of_each_channel() {
        let past = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let got = repeat_last(&batch(&past, None, 2), 2);
        assert_eq!(got, [3.0, 4.0, 3.0, 4.0, 7.0, 8.0, 7.0, 8.0]);
        let mask = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let got = repeat_last(&batch(&past, Some(&mask), 2), 1);
        assert_eq!(got, [1.0, 4.0, 0.0, 6.0], "nothing seen gives 0");
    }

    #[test]
    fn seasonal_naive_repeats_the_last_full_season() {
        let past = [9.0, 9.0, 1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0];
        let got = seasonal_naive(&batch(&past, None, 5), 5, 2).unwrap();
        assert_eq!(got, [3.0, 30.0, 4.0, 40.0, 3.0, 30.0, 4.0, 40.0, 3.0, 30.0]);
    }

    #[test]
    fn a_missing_point_is_taken_from_an_earlier_season_then_from_the_last_point() {
        let past = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0];
        // Channel 0 misses the last season's first point, channel 1 has only its third point.
        let mask = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        let got = seasonal_naive(&batch(&past, Some(&mask), 4), 2, 2).unwrap();
        assert_eq!(got, [1.0, 3.0, 4.0, 3.0]);
    }

    #[test]
    fn a_season_must_fit_into_the_context() {
        for season in [0, 5] {
            let error = seasonal_naive(&batch(&[0.0; 8], None, 4), 2, season).unwrap_err();
            assert!(error.to_string().contains("from 1 to context_length 4"), "{error}");
        }
    }

    #[test]
    fn a_baseline_that_cannot_be_scored_is_listed_with_its_reason() {
        let series = Arc::new(PreparedSeries {
            id: String::new(),
            num_channels: 2,
            values: (0..40).map(|i| (i * i % 17) as f32).collect(),
            observed_mask: None,
        });
        let shape = WindowShape { context_length: 4, prediction_length: 1, step: 1 };
        let set = |rows| {
            let series = Arc::clone(&series);
            WindowSet::new(vec![Segment { series, rows }], shape).unwrap()
        };
        let (few, rest) = (set(0..2), set(6..20));
        let ridge = Some((&few, &rest));
        let plan = BaselinePlan { season_length: Some(9), every_theta: false, ridge };
        let options = EvaluateOptions { channels: Some(vec![1]), ..Default::default() };
        let scores = score_baselines(&rest, &plan, &options).unwrap();
        assert_eq!(scores.len(), 5);
        let BaselineOutcome::Scored(last) = &scores[0].outcome else {
            panic!("{scores:?}");
        };
        assert_eq!(last.points, 10);
        for (score, word) in [(&scores[1], "season_length"), (&scores[4], "complete")] {
            let BaselineOutcome::NotScored { reason } = &score.outcome else {
                panic!("{score:?}");
            };
            assert!(reason.contains(word), "{reason}");
        }
        let ridge = Some((&rest, &rest));
        let plan = BaselinePlan { season_length: Some(2), every_theta: false, ridge };
        let scores = score_baselines(&rest, &plan, &options).unwrap();
        let scored = |score: &BaselineScore| matches!(score.outcome, BaselineOutcome::Scored(_));
        assert!(scores.iter().all(scored), "{scores:?}");
    }
}
