//! Whether a series has a seasonal component, and classical decomposition by moving averages.

/// How a seasonal component acts on the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is added.
    Additive,
    /// It is a factor.
    Multiplicative,
}

/// Indices below this leave no level to divide by.
const LEAST_INDEX: f64 = 0.01;

/// Whether the autocorrelation at the lag of a season is significant at 90 %, as in the M3
/// competition (Makridakis and Hibon 2000). Two whole seasons are needed.
pub fn is_seasonal(values: &[f64], season: usize) -> bool {
    let count = values.len();
    if season < 2 || count / 2 < season {
        return false;
    }
    let mean = values.iter().sum::<f64>() / count as f64;
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let product = |lag: usize| -> f64 {
        centred[lag..].iter().zip(&centred).map(|(late, early)| late * early).sum()
    };
    let energy = product(0);
    let correlation = |lag: usize| product(lag) / energy;
    let squares: f64 = (1..season).map(|lag| correlation(lag).powi(2)).sum();
    let limit = 1.645 * ((1.0 + 2.0 * squares) / count as f64).sqrt();
    correlation(season).abs() > limit
}

/// The F statistic of an analysis of variance of the steps of a season: how much further their mean
/// distances from the centred moving average lie apart than chance would have it; about 1 without a
/// seasonal component. 0 where fewer than three whole seasons are there.
///
/// Unlike [`is_seasonal`], it sees a season in a series whose level wanders.
pub fn seasonal_f_statistic(values: &[f64], season: usize) -> f64 {
    if season < 2 || values.len() / 3 < season {
        return 0.0;
    }
    let trend = moving_average(values, season);
    let mut steps = vec![(0.0, 0.0, 0.0); season];
    for (i, level) in trend.iter().enumerate() {
        let place = i + season / 2;
        let distance = values[place] - level;
        let (count, sum, squares) = &mut steps[place % season];
        (*count, *sum, *squares) = (*count + 1.0, *sum + distance, *squares + distance * distance);
    }
    let count = trend.len() as f64;
    let mean = steps.iter().map(|(_, sum, _)| sum).sum::<f64>() / count;
    let between: f64 = steps.iter().map(|(n, sum, _)| n * (sum / n - mean).powi(2)).sum();
    let within: f64 = steps.iter().map(|(n, sum, squares)| squares - sum * sum / n).sum();
    let groups = season as f64;
    let ratio = (between / (groups - 1.0)) / (within / (count - groups)).max(f64::MIN_POSITIVE);
    if ratio.is_nan() { 0.0 } else { ratio }
}

/// A seasonal component that repeats.
#[derive(Debug, Clone)]
pub struct Seasonal {
    pub(crate) kind: Kind,
    /// One each step of a season, of mean 0 (additive) or 1 (multiplicative).
    pub(crate) indices: Vec<f64>,
}

impl Seasonal {
    /// Mean distances, or ratios, from a centred moving average.
    ///
    /// `None` without two whole seasons of two steps or more, or if multiplicative indices are not well above 0.
    pub fn find(values: &[f64], season: usize, kind: Kind) -> Option<Self> {
        if season < 2 || values.len() / 2 < season {
            return None;
        }
        let trend = moving_average(values, season);
        let mut sums = vec![(0.0, 0usize); season];
        for (i, level) in trend.iter().enumerate() {
            let place = i + season / 2;
            let (sum, count) = &mut sums[place % season];
            *sum += match kind {
                Kind::Additive => values[place] - level,
                Kind::Multiplicative => values[place] / level,
            };
            *count += 1;
        }
        let raw = sums.iter().map(|(sum, count)| sum / *count as f64);
        let mean = raw.clone().sum::<f64>() / season as f64;
        let indices: Vec<f64> = match kind {
            Kind::Additive => raw.map(|index| index - mean).collect(),
            Kind::Multiplicative => raw.map(|index| index / mean).collect(),
        };
        let good = kind == Kind::Additive || indices.iter().all(|&index| index >= LEAST_INDEX);
        (good && indices.iter().all(|index| index.is_finite())).then_some(Self { kind, indices })
    }

    /// With `share` of the distances of its indices from none, such as what is left without those of chance.
    pub fn shrunk(mut self, share: f64) -> Self {
        let none = if self.kind == Kind::Additive { 0.0 } else { 1.0 };
        self.indices.iter_mut().for_each(|index| *index = none + share * (*index - none));
        self
    }

    /// How it acts.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The values without the component; the first one is at the first step of a season.
    pub fn remove(&self, values: &[f64]) -> Vec<f64> {
        let indices = self.indices.iter().cycle();
        let adjust = |(value, index): (&f64, &f64)| match self.kind {
            Kind::Additive => value - index,
            Kind::Multiplicative => value / index,
        };
        values.iter().zip(indices).map(adjust).collect()
    }

    /// Values from step `first` on, with the component.
    pub fn put_back(&self, values: &[f64], first: usize) -> Vec<f64> {
        let indices = self.indices.iter().cycle().skip(first % self.indices.len());
        let adjust = |(value, index): (&f64, &f64)| match self.kind {
            Kind::Additive => value + index,
            Kind::Multiplicative => value * index,
        };
        values.iter().zip(indices).map(adjust).collect()
    }
}

/// The centred moving average over a season, from place `season / 2` on.
///
/// An even season is covered by `season + 1` values, the outer ones with half weight.
fn moving_average(values: &[f64], season: usize) -> Vec<f64> {
    let even = season.is_multiple_of(2);
    let width = season + usize::from(even);
    let mean = |window: &[f64]| {
        let ends = if even { 0.5 * (window[0] + window[season]) } else { 0.0 };
        (window.iter().sum::<f64>() - ends) / season as f64
    };
    values.windows(width).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_averages_are_centred() {
        let line: Vec<f64> = (0..9).map(f64::from).collect();
        assert_eq!(moving_average(&line, 4), [2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(moving_average(&line, 3), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn indices_are_found_exactly_and_come_back() {
        for season in [4usize, 5] {
            let waves = [1.0, -2.0, 3.0, -2.0, 0.0];
            let wave = |i: usize| if i % season == 4 { 0.0 } else { waves[i % season] };
            let values: Vec<f64> = (0..23).map(|i| 5.0 + 0.5 * i as f64 + wave(i)).collect();
            let found = Seasonal::find(&values, season, Kind::Additive).unwrap();
            for (i, index) in found.indices.iter().enumerate() {
                assert!((index - wave(i)).abs() < 1e-12, "{found:?}");
            }
            let flat = found.remove(&values);
            assert!((flat[7] - 8.5).abs() < 1e-12, "{flat:?}");
            for (a, b) in found.put_back(&flat[7..], 7).iter().zip(&values[7..]) {
                assert!((a - b).abs() < 1e-12);
            }
        }
        let factors = [0.5, 1.5, 1.2, 0.8];
        let values: Vec<f64> = (0..16).map(|i| 7.0 * factors[i % 4]).collect();
        let found = Seasonal::find(&values, 4, Kind::Multiplicative).unwrap();
        for (a, b) in found.indices.iter().zip(factors) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn the_ratio_sees_a_season_on_a_level_that_wanders() {
        let mut state = 7u64;
        let mut step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let mut level = 0.0;
        let mut walk = || {
            level += step();
            level
        };
        let walks: Vec<f64> = (0..120).map(|_| walk()).collect();
        assert!(seasonal_f_statistic(&walks, 12) < 3.0);
        let wave = |i: usize| 2.0 * (i as f64 * std::f64::consts::TAU / 12.0).sin();
        let both: Vec<f64> =
            walks.iter().enumerate().map(|(i, x)| 4.0 * x + 3.0 * wave(i)).collect();
        assert!(seasonal_f_statistic(&both, 12) > 3.0);
        assert_eq!(seasonal_f_statistic(&both[..35], 12), 0.0);
        assert_eq!(
            [seasonal_f_statistic(&both, 1), seasonal_f_statistic(&[1.0; 60], 12)],
            [0.0; 2]
        );
    }

    #[test]
    fn the_test_sees_seasons_and_not_walks() {
        let wave: Vec<f64> = (0..24).map(|i| f64::from(i % 4)).collect();
        assert!(is_seasonal(&wave, 4));
        assert!(!is_seasonal(&wave[..7], 4) && !is_seasonal(&wave, 1));
        let line: Vec<f64> = (0..24).map(f64::from).collect();
        assert!(!is_seasonal(&line, 6));
        assert!(!is_seasonal(&[1.0; 24], 4));
    }
}
