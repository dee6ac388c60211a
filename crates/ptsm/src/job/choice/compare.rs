//! The forecasts of the candidates for the same windows, and the mean of them that is picked.

use super::metric::{Metric, Truth};
use crate::ensemble::{MemberModel, Members};
use crate::train::Samples;
use crate::{Config, Cpu, Prediction, Result};

/// Windows that are forecast at once; the choice does not depend on it.
const AT_ONCE: usize = 64;

/// Members of the mean, counted as often as they were taken.
const PICKS: usize = 4;

/// Share by which a further member has to lower the error.
const GAIN: f64 = 0.01;

/// A member of the mean.
#[derive(Clone)]
pub(super) enum Entered {
    /// The network that sees deviations.
    Main,
    /// A network that sees levels, by its number.
    Level(usize),
    /// A ridge regression on logarithms, by its number.
    LogRidge(usize),
    /// What is no network.
    Other(MemberModel),
}

/// What every model forecasts for the compared windows, `[N, H, C']` each, and the truth.
pub(super) struct Forecasts {
    pub(super) numbers: Vec<Vec<f32>>,
    pub(super) truth: Truth,
}

impl Forecasts {
    /// Runs the models on the windows, as members of an ensemble of this configuration.
    pub(super) fn of(
        models: &[MemberModel],
        whole: &Config,
        windows: &dyn Samples,
        metric: Metric,
    ) -> Result<Self> {
        let mut sessions = Vec::with_capacity(models.len());
        for model in models {
            let alone = Members::alone(model.clone(), whole.clone());
            sessions.push(alone.load(&Cpu::default())?.session()?);
        }
        let mut found = Self { numbers: vec![Vec::new(); models.len()], truth: Truth::new(metric) };
        let indices: Vec<usize> = (0..windows.len()).collect();
        let mut output = Prediction::default();
        for part in indices.chunks(AT_ONCE) {
            let batch = windows.batch(part);
            for (numbers, session) in found.numbers.iter_mut().zip(&mut sessions) {
                session.forward(&batch, &mut output)?;
                numbers.extend(output.points());
            }
            found.truth.push(&batch, &whole.prediction_channels());
        }
        Ok(found)
    }
}

/// What may be taken into the mean: one model, or the mean of several.
pub(super) struct Entrant {
    pub(super) name: &'static str,
    pub(super) members: Vec<Entered>,
    pub(super) error: Option<f64>,
    numbers: Vec<f32>,
}

impl Entrant {
    /// Every model by itself; but the networks that see levels together, and the ridge regressions on logarithms: of
    /// them, those whose error is at most `near` times that of the best.
    pub(super) fn group(
        entered: Vec<Entered>,
        numbers: Vec<Vec<f32>>,
        truth: &Truth,
        near: f64,
    ) -> Vec<Self> {
        let (mut level, mut log_ridges) = (Vec::new(), Vec::new());
        let mut entrants: Vec<Self> = Vec::new();
        for (member, numbers) in entered.into_iter().zip(numbers) {
            let error = truth.error(&numbers);
            let (name, group) = match &member {
                Entered::Main => ("network", &mut entrants),
                Entered::Level(_) => ("level_networks", &mut level),
                Entered::LogRidge(_) => ("log_ridge", &mut log_ridges),
                Entered::Other(model) => (model.name(), &mut entrants),
            };
            group.push(Self { name, members: vec![member], error, numbers });
        }
        for mut group in [log_ridges, level] {
            let best = group.iter().filter_map(|one| one.error).fold(f64::INFINITY, f64::min);
            // Without errors (there is no validation part) all of them take part.
            group.retain(|one: &Self| one.error.is_none_or(|error| error <= near * best));
            if let Some(mean) = Self::mean(group, truth) {
                let before_main = entrants.len() - 1;
                entrants.insert(before_main, mean);
            }
        }
        entrants
    }

    fn mean(all: Vec<Self>, truth: &Truth) -> Option<Self> {
        let count = all.len() as f32;
        let mut all = all.into_iter();
        let mut sum = all.next()?;
        for one in all {
            sum.members.extend(one.members);
            sum.numbers.iter_mut().zip(&one.numbers).for_each(|(sum, x)| *sum += x);
        }
        sum.numbers.iter_mut().for_each(|x| *x /= count);
        sum.error = truth.error(&sum.numbers);
        Some(sum)
    }
}

/// Where the mean starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// At the best entrant.
    Best,
    /// At the mean of those that are good on many short series, each once, if it is not clearly worse than the best
    /// entrant: see [`CORE`].
    Core,
}

/// Entrants that a mean for many series starts with. One forecast of each series says little of which of them is the best,
/// and their mean is better than a choice by that (chosen on shortened series: docs/accuracy.md).
const CORE: [&str; 5] = ["level_networks", "log_ridge", "theta", "ets", "zero_shot"];

/// Error of one of them, as a multiple of that of the best entrant, up to which it takes part.
const CORE_NEAR: f64 = 1.15;

/// Error of their mean, as a multiple of that of the best entrant, up to which it is taken all the same: on shortened
/// series it was better on the rows after the validation part even where it was a little worse on that.
const CORE_WORSE: f64 = 1.05;

/// The mean that many series start with.
struct Core {
    counts: Vec<usize>,
    /// Of the forecasts that are taken.
    sum: Vec<f32>,
    error: f64,
}

impl Core {
    /// `None` if fewer than two are near `best`, the error of the best entrant, or their mean is clearly worse than
    /// that, see [`CORE_WORSE`].
    fn of(entrants: &[Entrant], truth: &Truth, best: f64) -> Option<Self> {
        let takes_part = |one: &Entrant| {
            CORE.contains(&one.name) && one.error.is_some_and(|error| error <= CORE_NEAR * best)
        };
        let counts: Vec<usize> = entrants.iter().map(|one| usize::from(takes_part(one))).collect();
        let taken: usize = counts.iter().sum();
        let mut sum = vec![0.0; entrants[0].numbers.len()];
        for one in entrants.iter().filter(|one| takes_part(one)) {
            sum.iter_mut().zip(&one.numbers).for_each(|(sum, x)| *sum += x);
        }
        let mean: Vec<f32> = sum.iter().map(|x| x / taken as f32).collect();
        let error = truth.error(&mean).filter(|error| taken >= 2 && *error <= CORE_WORSE * best)?;
        Some(Self { counts, sum, error })
    }
}

/// How often each entrant is taken, and the error of their mean.
#[derive(Debug, PartialEq)]
pub(super) struct Picked {
    pub(super) counts: Vec<usize>,
    pub(super) error: Option<f64>,
}

/// Takes the start, then whichever lowers the error of the mean most, as long as it lowers it by
/// [`GAIN`].
pub(super) fn pick(entrants: &[Entrant], truth: &Truth, start: Start) -> Picked {
    let mut counts = vec![0; entrants.len()];
    let with_error = entrants.iter().enumerate().filter_map(|(i, one)| Some((i, one.error?)));
    let Some((best, first)) = with_error.min_by(|a, b| a.1.total_cmp(&b.1)) else {
        // Nothing to compare by: the network, which is the last one.
        counts[entrants.len() - 1] = 1;
        return Picked { counts, error: None };
    };
    counts[best] = 1;
    let (mut sum, mut error) = (entrants[best].numbers.clone(), first);
    if start == Start::Core
        && let Some(core) = Core::of(entrants, truth, first)
    {
        counts = core.counts;
        (sum, error) = (core.sum, core.error);
    }
    let started: usize = counts.iter().sum();
    for taken in started + 1..=PICKS {
        let mean_with = |one: &Entrant| -> Vec<f32> {
            sum.iter().zip(&one.numbers).map(|(s, x)| (s + x) / taken as f32).collect()
        };
        let tried = entrants.iter().map(|one| truth.error(&mean_with(one))).enumerate();
        let tried = tried.filter_map(|(number, error)| Some((number, error?)));
        let Some((next, lower)) = tried.min_by(|a, b| a.1.total_cmp(&b.1)) else { break };
        if lower >= error * (1.0 - GAIN) {
            break;
        }
        counts[next] += 1;
        sum.iter_mut().zip(&entrants[next].numbers).for_each(|(s, x)| *s += x);
        error = lower;
    }
    Picked { counts, error: Some(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Batch, BatchShape};
    use crate::ensemble::{Classical, Method};

    /// Zeros, the last of which is not known.
    fn truth(known: bool) -> Truth {
        let mut truth = Truth::new(Metric::Mae);
        if known {
            let shape = BatchShape { size: 1, context_length: 1, num_channels: 1 };
            let batch = Batch::new(shape, vec![0.0])
                .and_then(|batch| batch.with_future_values(vec![0.0; 4]))
                .and_then(|batch| batch.with_future_observed_mask(vec![1.0, 1.0, 1.0, 0.0]))
                .unwrap();
            truth.push(&batch, &[0]);
        }
        truth
    }

    fn entrants(numbers: &[&[f32]], truth: &Truth) -> Vec<Entrant> {
        let last = Classical { method: Method::RepeatLast, season: 1 };
        let other = || Entered::Other(MemberModel::Classical(last));
        let entered = (1..numbers.len()).map(|_| other()).chain([Entered::Main]);
        let numbers = numbers.iter().map(|numbers| numbers.to_vec()).collect();
        Entrant::group(entered.collect(), numbers, truth, 1.0)
    }

    #[test]
    fn the_mean_grows_while_its_error_falls() {
        let truth = truth(true);
        let all = [&[1.0, 1.0, 1.0, 99.0], &[-1.5, -1.5, -1.5, 99.0], &[9.0, 9.0, 9.0, 0.0]];
        let all = entrants(&all.map(|x| x.as_slice()), &truth);
        let errors: Vec<Option<f64>> = all.iter().map(|one| one.error).collect();
        assert_eq!(errors, [Some(1.0), Some(1.5), Some(9.0)]);
        let Picked { counts, error } = pick(&all, &truth, Start::Best);
        // 1, then the mean with -1.5, then 1 again: -0.25, 1/6; a fourth does not help.
        assert_eq!(counts, [2, 1, 0]);
        assert!((error.unwrap() - 1.0 / 6.0).abs() < 1e-6);
        let alone = entrants(&[&[f32::NAN; 4], &[0.0; 4]], &truth);
        let found = pick(&alone, &truth, Start::Best);
        assert_eq!(found, Picked { counts: vec![0, 1], error: Some(0.0) });
    }

    #[test]
    fn without_a_validation_part_the_network_is_taken() {
        let truth = truth(false);
        let none = entrants(&[&[], &[]], &truth);
        assert_eq!(pick(&none, &truth, Start::Core), Picked { counts: vec![0, 1], error: None });
    }

    #[test]
    fn a_mean_for_many_series_starts_with_all_that_are_nearly_as_good() {
        let truth = truth(true);
        let method =
            |method| Entered::Other(MemberModel::Classical(Classical { method, season: 1 }));
        let entered =
            vec![method(Method::Theta), method(Method::Ets), Entered::Level(0), Entered::Main];
        let of = |numbers: [f32; 4]| {
            let numbers = numbers.map(|x| vec![x; 4]).to_vec();
            pick(&Entrant::group(entered.clone(), numbers, &truth, 1.0), &truth, Start::Core).counts
        };
        // ETS, at 1.2, is too far off the network, which is the best one.
        assert_eq!(of([1.1, 1.2, -1.05, 1.0]), [1, 0, 1, 0]);
        // All errors have one sign: the mean of the others is worse than the network.
        assert_eq!(of([1.1, 1.1, 1.05, 1.0]), [0, 0, 0, 1]);
        // A little worse than the network: it is the start, and the network comes into it.
        assert_eq!(of([1.06, 1.2, 1.03, 1.0]), [1, 0, 1, 1]);
        // Without two of them, the best one is the start.
        assert_eq!(of([1.1, 1.2, -1.3, 1.0])[3], 1);
    }

    #[test]
    fn members_of_one_kind_are_one_entrant_without_those_that_are_far_off() {
        let truth = truth(true);
        let level = [Entered::Level(0), Entered::Level(1), Entered::Level(2)];
        let log_ridges = [Entered::LogRidge(0), Entered::LogRidge(1)];
        let entered = log_ridges.into_iter().chain(level).chain([Entered::Main]).collect();
        let numbers = [3.0, 3.0, 2.0, -2.0, 9.0, 1.0].map(|x| vec![x; 4]).to_vec();
        let found = Entrant::group(entered, numbers, &truth, 1.02);
        assert_eq!(
            found.iter().map(|one| one.name).collect::<Vec<_>>(),
            ["log_ridge", "level_networks", "network"]
        );
        assert_eq!((found[0].members.len(), found[0].error), (2, Some(3.0)));
        assert_eq!((found[1].members.len(), found[1].error), (2, Some(0.0)));
    }
}
