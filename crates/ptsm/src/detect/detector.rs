//! [`Detector`]: sizes of residuals on rows that training did not see, and the p-values that they give.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::expected::{Ahead, Tell};
use super::rows::SeriesRows;
use crate::data::{SeriesSet, Transform};
use crate::forecast::{ForecastModel, Forecaster};
use crate::{Error, Result};
use ptsm_core::sha256;

/// Version of the file of a detector.
pub(super) const VERSION: u32 = 2;

/// A series with fewer calibration points than these of a channel is compared with those of the channel in other
/// series: 99 is what a p-value of 0.01 needs.
pub(super) const OWN_POINTS: usize = 99;

/// Fewer calibration points than these of a series and channel say too little of the size of its residuals: the upper
/// end of the interval of their median, [`SURE`], is then among the largest of them, or there is none.
pub(super) const LEAST: usize = 20;

/// The median of the residuals of a series with fewer than [`OWN_POINTS`] is below its spread with this probability,
/// since its scores are compared with those of other series: a median of so few is off by a fifth, and where it is too
/// small, scores are too large and p-values too small.
const SURE: f64 = 0.9;

/// How rows are forecast that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectorOptions {
    /// How many steps before a row its forecast is made: 1 = from all rows before it. At most the steps of the model.
    pub ahead: usize,
    /// Rows that a series must have before a forecast; `None` =
    /// [`ForecastModel::wanted_rows`](crate::forecast::ForecastModel::wanted_rows), as in a stream.
    pub min_rows: Option<usize>,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { ahead: 1, min_rows: None }
    }
}

/// How unexpected a point is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PValue {
    /// The absolute residual in spreads: medians of those calibrated on, of this series and channel.
    pub score: f64,
    /// The share of points as unexpected or more, among those calibrated on and the point itself.
    pub p: f64,
}

/// Residuals of a model on calibration rows, and the p-values that they give others.
///
/// The residual of a point is its value less its forecast, both after the transform of the model (that of most is
/// none). Its score is the absolute residual divided by the spread of its series and channel: the median absolute
/// residual on the calibration rows. With n calibration scores of the series and channel, its p-value is
/// `(1 + number of them at least as large) / (n + 1)`, so never below `1 / (n + 1)`. Where calibration points and a
/// new one are exchangeable, the p-value is at most u with probability at most u, for every u.
///
/// A series with 20 to 98 calibration points of a channel is compared with the scores of the channel in the series that
/// have 99 or more; where there are none, in all that have 20 or more. Its spread is the upper end of a 90 % interval
/// of the median then (one-sided, distribution-free), so that a median that came out small by chance flags nothing;
/// this asks that series be alike once divided by their spreads. One with fewer than 20 is not calibrated.
#[derive(Debug, Clone, PartialEq)]
pub struct Detector {
    pub(super) kept: Kept,
    /// SHA-256 of what is kept.
    pub(super) fingerprint: String,
    /// Of each channel, the scores that series with few of their own are compared with, rising.
    pooled: Vec<Vec<f64>>,
}

/// What is written to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) version: u32,
    /// SHA-256 over the model's weights.
    pub(super) model: String,
    /// Names of the channels that are forecast.
    pub(super) channels: Vec<String>,
    pub(super) ahead: usize,
    pub(super) min_rows: usize,
    pub(super) transform: Transform,
    /// The calibration rows in words.
    pub(super) calibrated_on: String,
    /// By the id of a series, for each channel; `None` with fewer than [`LEAST`] calibration points.
    pub(super) series: BTreeMap<String, Vec<Option<Scores>>>,
}

/// The calibration points of a series and channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Scores {
    /// What residuals are divided by, above 0.
    pub(super) spread: f64,
    /// Scores, rising; of a series with fewer than [`OWN_POINTS`] each by the spread that the others give it.
    pub(super) scores: Vec<f64>,
}

impl Forecaster {
    /// Takes the residuals of rows that training did not see; `calibrated_on` names these rows.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for 0 steps ahead, or more than the model has; `InvalidInput` if no series has 20 points of a
    /// channel with both a value and a forecast, or a forecast is not finite; what `tell` returns, which hears how many
    /// windows of all are done.
    pub fn detector(
        &mut self,
        set: &SeriesSet,
        rows: &SeriesRows,
        options: &DetectorOptions,
        calibrated_on: &str,
        tell: Tell<'_>,
    ) -> Result<Detector> {
        let ahead = ahead_of(self.model(), options)?;
        let expected = self.expected(set, rows, ahead, tell)?;
        let channels = self.config().prediction_channels();
        let transform = self.preprocessor().standardiser.transform;
        let of_series = |number: usize| {
            let (series, rows) = (&set.series[number], rows[number].clone());
            let of_channel = |(k, &channel): (usize, &usize)| {
                let pair = |(i, row): (usize, usize)| {
                    let forecast = expected[number][i * channels.len() + k];
                    let value = series.get(row, channel)?;
                    (!forecast.is_nan()).then(|| Pair {
                        residual: residual(transform, value, forecast),
                        size: transform.apply(value).abs(),
                    })
                };
                Scores::of(rows.clone().enumerate().filter_map(pair).collect())
            };
            let found = channels.iter().enumerate().map(of_channel).collect();
            (series.id.clone(), found)
        };
        let detector = Detector::from_kept(Kept {
            version: VERSION,
            model: self.model().fingerprint().to_owned(),
            channels: channel_names(self.model()),
            ahead: ahead.steps,
            min_rows: ahead.min_rows,
            transform,
            calibrated_on: calibrated_on.to_owned(),
            series: (0..set.series.len()).into_par_iter().map(of_series).collect(),
        })?;
        match detector.points() {
            0 => Err(too_few(calibrated_on, ahead)),
            _ => Ok(detector),
        }
    }
}

/// The error of rows that no series can be calibrated on.
fn too_few(calibrated_on: &str, ahead: Ahead) -> Error {
    Error::input(format!(
        "{calibrated_on}: no series has {LEAST} points of a channel with a value and a forecast, which needs {} rows \
         before it (calibrate on more rows)",
        ahead.rows_before()
    ))
}

/// A residual, and the size of the value, after the transform.
pub(super) struct Pair {
    pub(super) residual: f64,
    pub(super) size: f64,
}

/// The difference of a value and its forecast, after the transform.
pub(super) fn residual(transform: Transform, value: f64, forecast: f64) -> f64 {
    transform.apply(value) - transform.apply(forecast)
}

fn ahead_of(model: &ForecastModel, options: &DetectorOptions) -> Result<Ahead> {
    let (steps, own) = (options.ahead, model.config().prediction_length);
    if !(1..=own).contains(&steps) {
        let text = format!("{steps} must be from 1 to {own}, the steps of the model");
        return Err(Error::config("ahead", text));
    }
    Ok(Ahead { steps, min_rows: options.min_rows.unwrap_or_else(|| model.wanted_rows()) })
}

/// Names of the channels that a model forecasts.
pub(super) fn channel_names(model: &ForecastModel) -> Vec<String> {
    let names = &model.preprocessor().channels;
    model.output_spec().channels().iter().map(|&channel| names[channel].clone()).collect()
}

impl Scores {
    /// `None` of fewer than [`LEAST`], and of few that are mostly exact: the safe order statistic is then 0, and nothing on
    /// the safe side says how large the others are.
    pub(super) fn of(pairs: Vec<Pair>) -> Option<Self> {
        let mut sizes: Vec<f64> = pairs.iter().map(|pair| pair.residual.abs()).collect();
        if sizes.len() < LEAST {
            return None;
        }
        sizes.sort_unstable_by(f64::total_cmp);
        let few = sizes.len() < OWN_POINTS;
        let place = if few { sure_place(sizes.len()) } else { sizes.len() / 2 };
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        // Of a constant, what single precision may be off by.
        let largest = pairs.iter().map(|pair| pair.size).fold(0.0, f64::max);
        let rounding = f64::from(f32::EPSILON) * largest;
        if few && sizes[place - 1] <= rounding {
            return None;
        }
        let spread = [sizes[place], mean].into_iter().find(|&x| x > rounding).unwrap_or(rounding);
        let spread = if spread > 0.0 { spread } else { 1.0 };
        // A point in the upper part raises the spread by being there, which a new point does not.
        let without = if few { sizes[place - 1] } else { spread };
        let divided = |(i, size): (usize, f64)| size / if i < place { spread } else { without };
        Some(Self { spread, scores: sizes.into_iter().enumerate().map(divided).collect() })
    }
}

/// Which of so many sorted numbers is above the median of their distribution with probability [`SURE`] at least: the
/// number of those below the median is binomial with a probability of a half.
fn sure_place(count: usize) -> usize {
    let (mut term, mut sum) = (0.5f64.powi(count as i32), 0.0);
    for place in 0..count {
        // Now the probability of at most `place` below the median, which the number at this place is not below then.
        sum += term;
        if sum >= SURE {
            return place;
        }
        term *= (count - place) as f64 / (place + 1) as f64;
    }
    count - 1
}

impl Detector {
    pub(super) fn from_kept(kept: Kept) -> Result<Self> {
        let of_channel = |channel: usize| {
            let all = || kept.series.values().filter_map(|channels| channels[channel].as_ref());
            let long = all().any(|one| one.scores.len() >= OWN_POINTS);
            let used = all().filter(|one| !long || one.scores.len() >= OWN_POINTS);
            let mut scores: Vec<f64> = used.flat_map(|one| one.scores.iter().copied()).collect();
            scores.sort_unstable_by(f64::total_cmp);
            scores
        };
        let pooled = (0..kept.channels.len()).into_par_iter().map(of_channel).collect();
        let fingerprint = sha256(kept.content()?.as_bytes());
        Ok(Self { kept, fingerprint, pooled })
    }

    /// The p-value of a value of series `id` and of a channel (by its number among those that are forecast), beside
    /// its forecast; `None` if the series is not calibrated for this channel, there is no such channel, or value or
    /// forecast is NaN.
    pub fn p_value(&self, id: &str, channel: usize, pair: ValueAndForecast) -> Option<PValue> {
        let own = self.own(id, channel)?;
        let residual = residual(self.kept.transform, pair.value, pair.forecast);
        let score = Some(residual.abs() / own.spread).filter(|score| !score.is_nan())?;
        let scores = self.compared(own, channel);
        let below = scores.partition_point(|&x| x < score);
        let p = (1 + scores.len() - below) as f64 / (scores.len() + 1) as f64;
        Some(PValue { score, p })
    }

    fn own(&self, id: &str, channel: usize) -> Option<&Scores> {
        self.kept.series.get(id)?.get(channel)?.as_ref()
    }

    /// The scores that a point of a series is compared with.
    fn compared<'a>(&'a self, own: &'a Scores, channel: usize) -> &'a [f64] {
        match own.scores.len() < OWN_POINTS {
            true => &self.pooled[channel],
            false => &own.scores,
        }
    }

    /// The smallest p-value that a point of this series and channel can have; `None` if the series is not calibrated
    /// for this channel, or there is no such channel.
    pub fn smallest_p(&self, id: &str, channel: usize) -> Option<f64> {
        let scores = self.compared(self.own(id, channel)?, channel);
        Some(1.0 / (scores.len() + 1) as f64)
    }

    /// Points calibrated on.
    pub fn points(&self) -> usize {
        self.each_scores(|_, own| own.scores.len())
    }

    /// Series and channels of them with calibration points too few for their own p-values, which are compared with
    /// those of other series.
    pub fn pooled(&self) -> usize {
        self.each_scores(|channel, own| {
            let count = own.scores.len();
            usize::from(count < OWN_POINTS && count < self.pooled[channel].len())
        })
    }

    /// The sum of a number of each series and channel.
    fn each_scores(&self, of: impl Fn(usize, &Scores) -> usize) -> usize {
        let channels = self.kept.series.values().flat_map(|channels| channels.iter().enumerate());
        channels.filter_map(|(channel, own)| Some(of(channel, own.as_ref()?))).sum()
    }

    /// SHA-256 of all that it holds.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The calibration rows in words.
    pub fn calibrated_on(&self) -> &str {
        &self.kept.calibrated_on
    }

    /// Steps from the last row that a forecast is made from to the row that it is of.
    pub fn ahead(&self) -> usize {
        self.kept.ahead
    }

    /// Rows that a series must have before a forecast.
    pub fn min_rows(&self) -> usize {
        self.kept.min_rows
    }

    /// Names of the channels that are looked at.
    pub fn channels(&self) -> &[String] {
        &self.kept.channels
    }

    pub(super) fn reach(&self) -> Ahead {
        Ahead { steps: self.kept.ahead, min_rows: self.kept.min_rows }
    }
}

/// A point and its forecast, data units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueAndForecast {
    /// What came.
    pub value: f64,
    /// What was expected.
    pub forecast: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Residuals of the standard normal distribution.
    fn residuals(draws: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
        let mut uniform = || 1.0 - draws.random::<f64>();
        let mut normal =
            || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        (0..count).map(|_| normal()).collect()
    }

    fn pairs(residuals: &[f64]) -> Vec<Pair> {
        residuals.iter().map(|&residual| Pair { residual, size: 1.0 }).collect()
    }

    /// Of series of so many residuals each, beside one of so many.
    fn detector(draws: &mut ChaCha8Rng, short: usize, long: usize) -> Detector {
        let scores = |draws: &mut ChaCha8Rng, count: usize| {
            vec![Scores::of(pairs(&residuals(draws, count)))]
        };
        let mut series: BTreeMap<String, Vec<Option<Scores>>> =
            (0..SERIES).map(|number| (number.to_string(), scores(draws, short))).collect();
        series.insert("long".into(), scores(draws, long));
        Detector::from_kept(Kept {
            version: VERSION,
            model: String::new(),
            channels: vec!["x".into()],
            ahead: 1,
            min_rows: 1,
            transform: Transform::None,
            calibrated_on: String::new(),
            series,
        })
        .unwrap()
    }

    const SERIES: usize = 4000;

    /// The share of p-values of new points that are at most `level`, of the short series.
    fn share(p_values: &[f64], level: f64) -> f64 {
        p_values.iter().filter(|&&p| p <= level).count() as f64 / p_values.len() as f64
    }

    /// Four deviations of a share, if all points of a series were one.
    fn bound(level: f64) -> f64 {
        level + 4.0 * (level * (1.0 - level) / SERIES as f64).sqrt()
    }

    #[test]
    fn short_series_under_gaussian_noise_have_p_values_that_are_uniform_or_larger() {
        const LEVELS: [f64; 6] = [0.5, 0.2, 0.1, 0.05, 0.01, 0.005];
        let mut draws = ChaCha8Rng::seed_from_u64(17);
        // Compared with a long series, or with one another.
        for (short, long) in [(20, 5000), (40, 5000), (98, 5000), (20, 0), (40, 0), (98, 0)] {
            let detector = detector(&mut draws, short, long);
            let mut p_values = Vec::new();
            for number in 0..SERIES {
                for value in residuals(&mut draws, 5) {
                    let pair = ValueAndForecast { value, forecast: 0.0 };
                    p_values.push(detector.p_value(&number.to_string(), 0, pair).unwrap().p);
                }
            }
            for level in LEVELS {
                let found = share(&p_values, level);
                assert!(found <= bound(level), "{short} {long} {level}: {found}");
                // One another's scores have the same spread, so nothing is lost.
                assert!(long > 0 || found > 0.6 * level, "{short} {level}: {found}");
            }
        }
    }

    #[test]
    fn the_median_of_few_would_flag_too_much_beside_a_long_series() {
        let mut draws = ChaCha8Rng::seed_from_u64(18);
        let detector = detector(&mut draws, 20, 5000);
        let mut p_values = Vec::new();
        for _ in 0..SERIES {
            let mut sizes: Vec<f64> = residuals(&mut draws, 20).iter().map(|x| x.abs()).collect();
            sizes.sort_by(f64::total_cmp);
            let pool = &detector.pooled[0];
            for value in residuals(&mut draws, 5) {
                let below = pool.partition_point(|&x| x < value.abs() / sizes[10]);
                p_values.push((1 + pool.len() - below) as f64 / (pool.len() + 1) as f64);
            }
        }
        assert!(share(&p_values, 0.005) > bound(0.005), "{}", share(&p_values, 0.005));
    }

    #[test]
    fn fewer_residuals_than_twenty_are_no_calibration() {
        let mut draws = ChaCha8Rng::seed_from_u64(19);
        let residuals = residuals(&mut draws, LEAST);
        assert!(Scores::of(pairs(&residuals[1..])).is_none());
        let own = Scores::of(pairs(&residuals)).unwrap();
        let mut sizes: Vec<f64> = residuals.iter().map(|x| x.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        // Of 20 draws at most 13 are below the median with a probability of 0.94, at most 12 with 0.87.
        assert_eq!(own.spread, sizes[13]);
        // The binomial distribution at its ends.
        assert_eq!((sure_place(1), sure_place(2)), (0, 1));
        assert!(own.scores.is_sorted());
    }

    #[test]
    fn few_residuals_that_are_mostly_zero_are_no_calibration() {
        let mut draws = ChaCha8Rng::seed_from_u64(20);
        let mut residuals = residuals(&mut draws, 20);
        residuals[..12].fill(0.0);
        assert!(Scores::of(pairs(&residuals)).is_some(), "the 13th is not 0");
        residuals[12] = 0.0;
        assert!(Scores::of(pairs(&residuals)).is_none());
        // Of many that are mostly exact the mean says how large the others are.
        residuals.resize(OWN_POINTS, 0.0);
        assert!(Scores::of(pairs(&residuals)).is_some_and(|own| own.spread > 0.0));
    }
}
