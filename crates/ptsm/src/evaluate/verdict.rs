//! Whether a model is better than the best baseline, by how much, and how sure that is.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::units::{UnitError, Units};

/// Percent of error that are no difference.
const SAME_PERCENT: f64 = 0.5;

/// Draws of the bootstrap, their seed, and units below which there is no interval.
const RESAMPLES: usize = 1000;
const SEED: u64 = 0;
const FEWEST_UNITS: usize = 5;

/// Probability of the interval of a difference.
const LEVEL: f64 = 0.95;

/// By what a model and baselines are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Measure {
    /// MASE where it is defined for all, otherwise MAE.
    #[default]
    Mase,
    /// sMAPE where it is defined for all, otherwise as `Mase`.
    Smape,
    /// MAPE where it is defined for all, otherwise as `Mase`.
    Mape,
}

/// The error that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Score {
    Mae,
    Mase,
    Smape,
    Mape,
}

impl Measure {
    /// The error that is defined for all of these.
    pub(super) fn score(self, all: &[&Metrics]) -> Score {
        let defined = |score: &Score| all.iter().all(|metrics| score.of(metrics).is_some());
        self.wanted().into_iter().find(defined).unwrap_or(Score::Mae)
    }

    /// The errors that are taken where they are defined, in this order, before MAE.
    pub(crate) fn wanted(self) -> [Score; 2] {
        let first = match self {
            Self::Mase => Score::Mase,
            Self::Smape => Score::Smape,
            Self::Mape => Score::Mape,
        };
        [first, Score::Mase]
    }
}

impl Score {
    pub(super) fn of(self, metrics: &Metrics) -> Option<f64> {
        match self {
            Self::Mae => Some(metrics.mae),
            Self::Mase => metrics.mase,
            Self::Smape => metrics.smape,
            Self::Mape => metrics.mape,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mae => "MAE",
            Self::Mase => "MASE",
            Self::Smape => "sMAPE",
            Self::Mape => "MAPE",
        }
    }

    /// The mean over resampled units.
    pub(super) fn mean(self, sum: &UnitError) -> f64 {
        let [smape, mape] = sum.percents;
        match self {
            Self::Mae => sum.absolute / sum.points as f64,
            Self::Mase => sum.scaled / sum.scaled_points as f64,
            Self::Smape => smape / sum.points as f64,
            Self::Mape => mape / sum.points as f64,
        }
    }
}

/// The model's error beside that of the best baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The baseline with the smallest error.
    pub best_baseline: String,
    /// Whether every baseline was scored.
    #[serde(default = "yes")]
    pub all_scored: bool,
    /// Which error: `MASE`, `MAE`, `sMAPE` or `MAPE`; see [`Measure`].
    pub measure: String,
    /// The model's error.
    pub error: f64,
    /// The baseline's error.
    pub baseline_error: f64,
    /// The model's error over the baseline's, less 1: below 0 where the model is better. `None` where
    /// the baseline makes no error.
    pub relative_difference: Option<f64>,
    /// In which range the relative difference lies by a paired bootstrap; `None` for fewer than 5
    /// units.
    pub interval: Option<DifferenceInterval>,
    /// Number of units that were resampled, or would have been.
    pub units: usize,
    /// What they are: `series`, or `blocks of windows`.
    pub unit: String,
    /// All this in words.
    pub sentence: String,
}

/// For a verdict of before there was the field.
fn yes() -> bool {
    true
}

/// The best of the baselines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Whether every baseline was scored.
    pub(super) all: bool,
}

/// Range of a relative difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DifferenceInterval {
    /// Share of the resamples that lie in it.
    pub level: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// One side of a comparison.
pub(super) struct Compared<'a> {
    /// Mean error.
    pub(super) error: f64,
    /// Errors of the units.
    pub(super) units: &'a Units,
}

impl Verdict {
    /// Compares the model with the baseline of this name.
    pub(super) fn new(
        own: &Compared<'_>,
        best: &Compared<'_>,
        baseline: Best<'_>,
        score: Score,
    ) -> Self {
        let ratio = own.error / best.error - 1.0;
        let mut verdict = Self {
            best_baseline: baseline.name.to_owned(),
            all_scored: baseline.all,
            measure: score.name().to_owned(),
            error: own.error,
            baseline_error: best.error,
            relative_difference: ratio.is_finite().then_some(ratio),
            interval: interval(own.units, best.units, score),
            units: own.units.errors.len(),
            unit: own.units.name().to_owned(),
            sentence: String::new(),
        };
        verdict.sentence = verdict.in_words();
        verdict
    }

    fn in_words(&self) -> String {
        let scored = if self.all_scored { "" } else { " that was scored" };
        let name = format!("the best baseline{scored}, {}", self.best_baseline.replace('_', " "));
        let numbers = format!(
            "{} {} and {}",
            self.measure,
            number(Some(self.error)),
            number(Some(self.baseline_error))
        );
        let Some(ratio) = self.relative_difference else {
            return match self.error > 0.0 {
                true => format!("worse than {name}, which makes no error ({numbers})"),
                false => format!("as good as {name} ({numbers})"),
            };
        };
        let (change, range) = (100.0 * ratio, self.range());
        if ratio == 0.0
            && self.interval.is_none_or(|found| found.lower == 0.0 && found.upper == 0.0)
        {
            return format!("its errors are those of {name} ({numbers})");
        }
        let chance = match self.interval {
            Some(found) if found.lower <= 0.0 && found.upper >= 0.0 => ", which may be chance",
            _ => "",
        };
        match change {
            change if change > SAME_PERCENT => {
                let advice = match (self.interval, chance) {
                    (Some(_), "") => {
                        ": the default forecaster compares such forecasts on the validation part and takes the best \
                         (ptsm train without options of a network)"
                    }
                    _ => "",
                };
                format!("worse than {name}, by {change:.1} %{chance} ({range}; {numbers}){advice}")
            }
            change if change < -SAME_PERCENT => {
                format!("better than {name}, by {:.1} %{chance} ({range}; {numbers})", -change)
            }
            _ => format!("as good as {name} ({range}; {numbers})"),
        }
    }

    /// The interval in words, of what the model is better or worse by.
    fn range(&self) -> String {
        let Self { units, unit, .. } = self;
        let unit = match (units, unit.as_str()) {
            (1, "blocks of windows") => "block of windows",
            (_, unit) => unit,
        };
        let Some(interval) = self.interval else {
            let apart = if unit == "series" { "" } else { " without common steps" };
            return format!("no interval: {units} {unit}{apart}, {FEWEST_UNITS} are needed");
        };
        let better = self.relative_difference.is_some_and(|ratio| 100.0 * ratio < -SAME_PERCENT);
        format!("{} over {units} {unit}", interval.in_words(better))
    }
}

impl DifferenceInterval {
    /// Of how much better is said if `better`, otherwise of how much worse: `95 % interval 1.0 to 5.2 %`.
    pub(super) fn in_words(self, better: bool) -> String {
        let Self { level, lower, upper } = self;
        let (low, high) = if better { (-upper, -lower) } else { (lower, upper) };
        format!("{:.0} % interval {:.1} to {:.1} %", 100.0 * level, percent(low), percent(high))
    }
}

/// A share in percent, rounded to one digit after the decimal point, and never to minus zero.
fn percent(share: f64) -> f64 {
    (1000.0 * share).round() / 10.0 + 0.0
}

/// A score as it is printed; a dash where it is not defined.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) => {
            format!("{value:.3e}")
        }
        Some(value) => format!("{value:.4}"),
    }
}

/// The paired percentile bootstrap of the relative difference of two forecasters.
pub(super) fn interval(own: &Units, other: &Units, score: Score) -> Option<DifferenceInterval> {
    let count = own.errors.len();
    let known = match score {
        Score::Mae | Score::Mase => true,
        Score::Smape | Score::Mape => own.percents && other.percents,
    };
    if count < FEWEST_UNITS || other.errors.len() != count || !known {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let (mut ours, mut theirs) = (UnitError::default(), UnitError::default());
        for _ in 0..count {
            let unit = random.random_range(0..count);
            ours.add(own.errors[unit]);
            theirs.add(other.errors[unit]);
        }
        let ratio = score.mean(&ours) / score.mean(&theirs) - 1.0;
        // A draw of units without points, or in which the baseline makes no error.
        ratios.extend(ratio.is_finite().then_some(ratio));
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let last = ratios.len().checked_sub(1)?;
        ratios.get((share * last as f64).round() as usize).copied()
    };
    let tail = 0.5 * (1.0 - LEVEL);
    Some(DifferenceInterval { level: LEVEL, lower: at(tail)?, upper: at(1.0 - tail)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(errors: &[f64]) -> Units {
        let unit = |&absolute: &f64| UnitError { absolute, points: 1, ..UnitError::default() };
        Units { series: true, percents: false, errors: errors.iter().map(unit).collect() }
    }

    #[test]
    fn the_pairs_of_a_comparison_stay_together() {
        // Ten per cent less in every unit, though the units differ by far more than that.
        let other: Vec<f64> = (1..=20).map(f64::from).collect();
        let own: Vec<f64> = other.iter().map(|x| 0.9 * x).collect();
        let found = interval(&units(&own), &units(&other), Score::Mae).unwrap();
        assert!((found.lower + 0.1).abs() < 1e-12 && (found.upper + 0.1).abs() < 1e-12);
        let again = interval(&units(&own), &units(&other), Score::Mae).unwrap();
        assert_eq!(found, again);
    }

    #[test]
    fn a_difference_of_few_units_is_uncertain_and_of_fewer_unknown() {
        let found =
            interval(&units(&[1.0, 3.0, 1.0, 3.0, 1.0]), &units(&[2.0; 5]), Score::Mae).unwrap();
        assert!(found.lower < 0.0 && found.upper > 0.0, "{found:?}");
        assert_eq!(interval(&units(&[1.0; 4]), &units(&[2.0; 4]), Score::Mae), None);
        assert_eq!(interval(&units(&[1.0; 5]), &units(&[0.0; 5]), Score::Mae), None);
        // In percent only where the percentages of the units are known.
        let percents = |own: f64| units(&[1.0; 5]).with_percents(&[[own, 2.0 * own]; 5]);
        assert_eq!(interval(&units(&[1.0; 5]), &units(&[1.0; 5]), Score::Smape), None);
        let found = interval(&percents(3.0), &percents(4.0), Score::Smape).unwrap();
        assert_eq!((found.lower, found.upper), (-0.25, -0.25));
    }

    #[test]
    fn the_sentence_says_range_units_and_chance() {
        let verdict = |ratio, interval: Option<(f64, f64)>| Verdict {
            best_baseline: "seasonal_naive".into(),
            all_scored: true,
            measure: "MASE".into(),
            error: 0.97,
            baseline_error: 1.0,
            relative_difference: Some(ratio),
            interval: interval.map(|(lower, upper)| DifferenceInterval {
                level: 0.95,
                lower,
                upper,
            }),
            units: 645,
            unit: "series".into(),
            sentence: String::new(),
        };
        assert_eq!(
            verdict(-0.031, Some((-0.052, -0.01))).in_words(),
            "better than the best baseline, seasonal naive, by 3.1 % (95 % interval 1.0 to 5.2 % over \
             645 series; MASE 0.9700 and 1.0000)"
        );
        let text = verdict(-0.031, Some((-0.052, 0.01))).in_words();
        assert!(text.contains("by 3.1 %, which may be chance (95 % interval"), "{text}");
        let text = verdict(-0.031, Some((-0.052, 0.0004))).in_words();
        assert!(text.contains("interval 0.0 to 5.2 %"), "{text}");
        let text = verdict(-0.031, Some((-0.052, 0.01))).in_words();
        assert!(text.contains("interval -1.0 to 5.2 %"), "{text}");
        let text = verdict(0.2, Some((0.1, 0.3))).in_words();
        assert!(text.contains("10.0 to 30.0 %") && text.contains("ptsm train without"), "{text}");
        let text = verdict(0.2, None).in_words();
        assert!(text.contains("no interval: 645 series, 5 are needed"), "{text}");
        let text = verdict(0.0, Some((0.0, 0.0))).in_words();
        assert!(text.starts_with("its errors are those of the best baseline"), "{text}");
    }
}
