//! One forecast out of those of all forms of a series, and of two methods that need no network.

use ptsm_classical::{History, Method};

use super::past::Past;
use super::view::{View, median_index};

/// What is forecast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Steps, H.
    pub(super) steps: usize,
    /// Levels of quantiles, Q.
    pub(super) levels: &'a [f64],
    /// Steps of a season.
    pub(super) season: usize,
}

/// Quantiles of every step, `[H, Q]`, in the units of the batch.
///
/// The median is that of three forecasts: the mean of the network's, Theta's of the same seasonally adjusted values,
/// and the seasonal naive one. Each of them fails where the others do not: trends that end, seasons that
/// change, noise. The other quantiles keep their distances from the network's median.
pub(super) fn combine(past: &Past, views: &[View], wanted: Wanted<'_>) -> Vec<f64> {
    let Wanted { steps, levels, season } = wanted;
    let total = past.unseen + steps;
    let network: Vec<Vec<f64>> = (0..levels.len())
        .map(|level| past.with_season(mean(views, level, levels.len(), total)))
        .collect();
    let zero = past.positive.then_some(0.0);
    let adjusted = History { values: &past.adjusted, season: 1, zero };
    let theta = past.with_season(Method::Theta.forecast(&adjusted, total));
    let values = History { values: &past.values, season, zero };
    let naive = Method::SeasonalNaive.forecast(&values, total);
    let own = &network[median_index(levels)];
    let step = |step: usize| {
        let shift = median(own[step], theta[step], naive[step]) - own[step];
        network.iter().map(move |quantile| past.restore(quantile[step] + shift))
    };
    (past.unseen..total).flat_map(step).collect()
}

/// The mean of what the forms of a series say at one of `levels` levels.
fn mean(views: &[View], level: usize, levels: usize, steps: usize) -> Vec<f64> {
    let mut sum = vec![0.0; steps];
    for view in views {
        sum.iter_mut().zip(view.quantile(level, levels)).for_each(|(sum, value)| *sum += value);
    }
    sum.iter().map(|sum| sum / views.len() as f64).collect()
}

fn median(a: f64, b: f64, c: f64) -> f64 {
    a.min(b).max(a.max(b).min(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_index_three() {
        for [a, b, c] in [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [1.0, 3.0, 2.0]] {
            assert_eq!(median(a, b, c), 2.0);
        }
        assert_eq!(median(1.0, 1.0, 5.0), 1.0);
    }
}
