//! One forecast out of those of all forms of a series, and of two methods that need no network.

use ptsm_classical::{History, Method};
use ptsm_core::{Distribution, LocScale};

use super::past::Past;
use super::view::{View, median_index};

/// What is forecast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Steps, H.
    pub(super) steps: usize,
    /// Levels of quantiles, Q.
    pub(super) levels: &'a [f64],
    /// Their [`normal_quantile`]s.
    pub(super) deviations: &'a [f64],
    /// Steps of a season.
    pub(super) season: usize,
}

/// How much of the variance of the network's forecasts is kept, and how often the variance between the three forecasts
/// of a step is added. Chosen on the development data that `docs/pretrained.md` names.
const WITHIN: f64 = 0.73;
const BETWEEN: f64 = 1.1;

/// Quantiles of every step, `[H, Q]`, in the units of the batch.
///
/// The median is that of three forecasts: the mean of the network's, Theta's of the same seasonally adjusted values,
/// and the seasonal naive one, of values without the component of a week. Each of them fails where the others do
/// not: trends that end, seasons that change, noise. The distances of the other quantiles from it are the network's,
/// narrower, and wider by how far the three lie apart: the variance within forecasts and that between them.
pub(super) fn combine(past: &Past, views: &[View], wanted: Wanted<'_>) -> Vec<f64> {
    let Wanted { steps, levels, deviations, season } = wanted;
    let total = past.unseen + steps;
    let network = network(past, views, Wanted { steps: total, ..wanted });
    let zero = past.positive.then_some(0.0);
    let adjusted = History { values: &past.adjusted.means, season: 1, zero };
    let theta = Method::Theta.forecast(&adjusted, past.adjusted.holding(total));
    let theta = past.with_seasons(past.adjusted.path(&theta, total));
    let values = History { values: &past.values, season, zero };
    let naive = past.with_week(Method::SeasonalNaive.forecast(&values, total));
    let own = &network[median_index(levels)];
    let step = |step: usize| {
        let three = [own[step], theta[step], naive[step]];
        let (middle, spread) = (median(three), spread(three));
        let widened = |(quantile, deviations): (&Vec<f64>, &f64)| {
            let within = WITHIN.sqrt() * (quantile[step] - own[step]);
            let between = BETWEEN.sqrt() * deviations * spread;
            past.restore(middle + within.hypot(between).copysign(*deviations))
        };
        network.iter().zip(deviations).map(widened).collect::<Vec<f64>>()
    };
    (past.unseen..total).flat_map(step).collect()
}

/// The network's quantiles, `[Q, H]`, with the seasons.
fn network(past: &Past, views: &[View], wanted: Wanted<'_>) -> Vec<Vec<f64>> {
    let Wanted { steps, levels, deviations, .. } = wanted;
    let blocks = &past.adjusted;
    let quantile = |level| mean(views, level, levels.len(), blocks.holding(steps));
    let medians = quantile(median_index(levels));
    let path = blocks.path(&medians, steps);
    let one = |(level, &deviation): (usize, &f64)| {
        let distances =
            quantile(level).iter().zip(&medians).map(|(x, y)| x - y).collect::<Vec<_>>();
        let distances = blocks.distances(&distances, deviation, steps);
        past.with_seasons(path.iter().zip(distances).map(|(x, y)| x + y).collect())
    };
    deviations.iter().enumerate().map(one).collect()
}

/// The mean of what the forms of a series say at one of `levels` levels.
fn mean(views: &[View], level: usize, levels: usize, steps: usize) -> Vec<f64> {
    let mut sum = vec![0.0; steps];
    for view in views {
        sum.iter_mut().zip(view.quantile(level, levels)).for_each(|(sum, value)| *sum += value);
    }
    sum.iter().map(|sum| sum / views.len() as f64).collect()
}

/// Where the standard normal distribution reaches a level; exactly 0 for the median.
pub(super) fn normal_quantile(level: f64) -> f64 {
    match level == 0.5 {
        true => 0.0,
        false => {
            Distribution::Normal.quantile(&[0.0, 1.0], LocScale { loc: 0.0, scale: 1.0 }, level)
        }
    }
}

fn median([a, b, c]: [f64; 3]) -> f64 {
    a.min(b).max(a.max(b).min(c))
}

/// The standard deviation of three numbers.
fn spread(three: [f64; 3]) -> f64 {
    let mean = three.iter().sum::<f64>() / 3.0;
    (three.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / 3.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_index_three() {
        for three in [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [1.0, 3.0, 2.0]] {
            assert_eq!(median(three), 2.0);
            assert!((spread(three) - (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
        }
        assert_eq!((median([1.0, 1.0, 5.0]), spread([4.0; 3])), (1.0, 0.0));
    }
}
