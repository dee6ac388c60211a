//! The season of rows whose step does not say it: that of an index, or of rows without times.

use super::series::{Series, SeriesSet};

/// Series that are looked at, evenly spread over all.
const SERIES: usize = 200;

/// Last rows of each that are looked at.
const ROWS: usize = 4000;

/// The longest season that is looked for: days of a year, and hours of a week.
const LONGEST: usize = 370;

/// Correlation that a season needs at least.
const LEAST: f64 = 0.3;

impl SeriesSet {
    /// The season that the first rows of each series show, as many as `rows` says; 1 if they show none.
    ///
    /// It is where the autocorrelation of the differences between neighbouring rows, averaged over
    /// series and channels, has its first high peak: at least 0.3, and 3.5 deviations of what white
    /// noise has; 0.2 above a lag in front of it; 0.9 of the highest one. Three seasons must have been
    /// seen. A random walk has no season so, as its differences are noise.
    pub fn find_season(&self, rows: impl Fn(&Series) -> usize) -> usize {
        let step = self.series.len().div_ceil(SERIES).max(1);
        let mut sums = vec![(0.0, 0usize); LONGEST + 2];
        for series in self.series.iter().step_by(step) {
            let end = rows(series).min(series.num_rows());
            for channel in 0..series.num_channels {
                add_correlations(&differences(series, channel, end), &mut sums);
            }
        }
        first_peak(&sums)
    }
}

/// Differences between neighbouring rows that are both seen; else 0, which is their mean.
fn differences(series: &Series, channel: usize, end: usize) -> Vec<f64> {
    let pair = |row: usize| Some(series.get(row, channel)? - series.get(row - 1, channel)?);
    let found: Vec<Option<f64>> = (end.saturating_sub(ROWS) + 1..end).map(pair).collect();
    let seen = found.iter().flatten();
    let mean = seen.clone().sum::<f64>() / seen.count().max(1) as f64;
    found.into_iter().map(|difference| difference.map_or(0.0, |x| x - mean)).collect()
}

/// Adds the autocorrelation at every lag that was seen three times, and at the next one, which is compared with the last
/// of them; and the number of differences.
fn add_correlations(differences: &[f64], sums: &mut [(f64, usize)]) {
    let energy = |part: &[f64]| part.iter().map(|x| x * x).sum::<f64>();
    let (count, all) = (differences.len(), energy(differences));
    if !(all.is_finite() && all > 0.0) {
        return;
    }
    let rows = count + 1;
    let longest = (rows / 3 + 1).min(sums.len() - 1).min(count - 1);
    for (lag, (sum, weight)) in sums.iter_mut().enumerate().take(longest + 1).skip(1) {
        // By the energy of the rows at hand, since smooth waves else seem to peak early.
        let (early, late) = (&differences[..count - lag], &differences[lag..]);
        let covariance: f64 = early.iter().zip(late).map(|(a, b)| a * b).sum();
        let scale = (energy(early) * energy(late)).sqrt();
        *sum += if scale > 0.0 { covariance / scale * count as f64 } else { 0.0 };
        *weight += count;
    }
}

fn first_peak(sums: &[(f64, usize)]) -> usize {
    let mean = |lag: usize| {
        let (sum, count) = sums[lag];
        if count == 0 { f64::NEG_INFINITY } else { sum / count as f64 }
    };
    let is_peak = |&lag: &usize| {
        if sums[lag + 1].1 == 0 {
            return false; // What comes after it is not known.
        }
        let noise = 3.5 / (sums[lag].1.max(1) as f64).sqrt();
        let dip = (1..lag).map(mean).fold(f64::INFINITY, f64::min);
        let here = mean(lag);
        here >= LEAST.max(noise)
            && here > mean(lag - 1)
            && here >= mean(lag + 1)
            && here - dip >= 0.2
    };
    let peaks: Vec<usize> = (2..=LONGEST).filter(is_peak).collect();
    let highest = peaks.iter().map(|&lag| mean(lag)).fold(0.0, f64::max);
    peaks.into_iter().find(|&lag| mean(lag) >= 0.9 * highest).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadOptions, Repair, Roles, Table};

    /// A step of a fixed pseudo-random walk, from -1 to 1.
    fn noise(i: usize) -> f64 {
        let bits = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as f64 / 2f64.powi(63) - 1.0
    }

    fn season(rows: usize, value: impl Fn(usize) -> f64) -> usize {
        let rows: String = (0..rows).map(|i| format!("{i},{}\n", value(i))).collect();
        let table = format!("time_idx,y\n{rows}");
        let table = Table::from_csv(table.as_bytes(), "t", &ReadOptions::default()).unwrap();
        let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
        set.find_season(Series::num_rows)
    }

    #[test]
    fn seasons_are_found_and_walks_and_trends_have_none() {
        let wave = |period: usize| {
            move |i: usize| (i as f64 * std::f64::consts::TAU / period as f64).sin()
        };
        let with_noise = |period, share: f64| {
            move |i| 5.0 * wave(period)(i) + 0.01 * i as f64 + share * noise(i)
        };
        for period in [4, 7, 12, 24, 52, 168] {
            assert_eq!(season(6 * period, with_noise(period, 0.0)), period, "{period}");
        }
        for period in [4, 7, 12, 24] {
            assert_eq!(season(12 * period, with_noise(period, 0.3)), period, "{period} with noise");
        }
        assert_eq!(season(36, with_noise(12, 0.3)), 12);
        assert_eq!(season(35, with_noise(12, 0.3)), 1, "not 11: what comes after it is not known");
        // Sales of a shop that is shut on Sundays.
        assert_eq!(season(60, |i| if i % 7 == 6 { 0.0 } else { 10.0 + noise(i) }), 7);
        let walk = |n: usize| (0..n).map(noise).sum::<f64>();
        assert_eq!(season(500, walk), 1);
        assert_eq!(season(500, noise), 1);
        assert_eq!(season(100, |i| 3.0 * i as f64), 1);
        assert_eq!(season(100, |i| 1.1f64.powi(i as i32)), 1);
        assert_eq!(season(16, |i| i as f64 + noise(i)), 1);
        assert_eq!(season(2, |i| i as f64), 1);
    }
}
