//! Values far from all others: a code for "no data" such as -9999, or a typing error.

use std::borrow::Cow;

use rayon::prelude::*;

use super::series::{Series, SeriesSet};
use ptsm_core::{Note, option};

/// Distance, in usual ranges, from which a repeated value is reported.
const FAR_REPEATED: f64 = 5.0;

/// The same for a value seen once or twice: heavy-tailed data have such values too.
const FAR_SINGLE: f64 = 100.0;

/// Occurrences from which on a value repeats.
const REPEATED: usize = 3;

/// Points of one channel of a series that are looked at for its usual range.
const SAMPLE: usize = 4096;

/// Values at either end that are looked at, and of which that many are told.
const LOOKED_AT: usize = 12;
const TOLD: usize = 3;

/// Points of all series together from which on no further series is looked at.
const POINTS: usize = 20_000_000;

/// A value far from the others of its channel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outlier {
    /// Which series; empty for a wide table.
    pub series: String,
    /// Which channel.
    pub channel: String,
    /// The value.
    pub value: f64,
    /// How often it is there.
    pub count: usize,
    /// What most other values lie between: their quantiles at 2 and 98 %.
    pub usual: (f64, f64),
    /// Its distance from there, in widths of that range.
    pub distance: f64,
}

impl Outlier {
    /// A sentence with the way out.
    pub fn note(&self) -> Note {
        let Self { channel, value, count, usual: (low, high), distance, .. } = self;
        let series = match self.series.as_str() {
            "" => String::new(),
            id => format!("series \"{id}\", "),
        };
        let rows = if *count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        let missing = option("missing", Some(&value.to_string()));
        let text = format!(
            "{series}channel \"{channel}\" is {value} in {rows}, {distance:.0} times the usual range \
             ({low:.4} to {high:.4}) away: if that means a missing value, use {missing}"
        );
        text.into()
    }
}

impl SeriesSet {
    /// The values that lie far from all others of their channel and series, the most frequent ones
    /// first; of very large sets those of the first series.
    pub fn outliers(&self) -> Vec<Outlier> {
        let mut points = 0;
        // The first series is looked at however long it is.
        let few = |series: &&Series| {
            let before = points;
            points += series.values.len();
            before < POINTS
        };
        let looked_at: Vec<&Series> = self.series.iter().take_while(few).collect();
        let of_series = |series: &Series| {
            let mut found = Vec::new();
            for (channel, name) in self.channels.iter().enumerate() {
                far_values(series, channel, name, &mut found);
            }
            found
        };
        let found: Vec<Vec<Outlier>> = looked_at.into_par_iter().map(of_series).collect();
        let mut found = found.concat();
        found.sort_by_key(|outlier| std::cmp::Reverse(outlier.count));
        found
    }

    /// One sentence for each of the most frequent outliers.
    pub fn outlier_notes(&self) -> Vec<Note> {
        const SHOWN: usize = 5;
        let found = self.outliers();
        let mut notes: Vec<Note> = found.iter().take(SHOWN).map(Outlier::note).collect();
        if found.len() > SHOWN {
            notes.push(format!("and {} more values of that kind", found.len() - SHOWN).into());
        }
        notes
    }
}

/// The far values at either end of one channel of a series.
fn far_values(series: &Series, channel: usize, name: &str, found: &mut Vec<Outlier>) {
    let seen = seen_values(series, channel);
    let sample = sample_of(&seen);
    if are_near(&seen, &sample) {
        return;
    }
    let mut sorted = sample.into_owned();
    sorted.sort_unstable_by(f64::total_cmp);
    for upper in [false, true] {
        let far = far_end(&seen, &sorted, upper).into_iter();
        found.extend(far.map(|far| Outlier {
            series: series.id.clone(),
            channel: name.to_owned(),
            ..far
        }));
    }
}

/// The far values at one end, of a series and channel without a name.
fn far_end(seen: &[f64], sorted: &[f64], upper: bool) -> Vec<Outlier> {
    let mut far = Vec::new();
    for (value, count) in ends(seen, upper) {
        let Some(usual) = usual_range(sorted, value, upper) else { break };
        let off = if upper { value - usual.1 } else { usual.0 - value };
        let distance = off / (usual.1 - usual.0);
        // What follows lies nearer, so that no number of rows makes it far.
        if distance < FAR_REPEATED || far.len() == TOLD {
            break;
        }
        // A value that comes once may lie in front of one that repeats.
        if count >= REPEATED || distance >= FAR_SINGLE {
            let (series, channel) = (String::new(), String::new());
            far.push(Outlier { series, channel, value, count, usual, distance });
        }
    }
    far
}

/// The values of a channel that are there.
fn seen_values(series: &Series, channel: usize) -> Cow<'_, [f64]> {
    if series.num_channels == 1 && series.observed.is_none() {
        return Cow::Borrowed(&series.values);
    }
    (0..series.num_rows()).filter_map(|row| series.get(row, channel)).collect()
}

/// Whether a few comparisons show that neither end is far, as in nearly all series: sorting takes longer.
///
/// Where enough values lie below 0.3 of the way from one end to the other, and as many above 0.45, the
/// usual range reaches from below the one to above the other. So no end is more than 0.55 / 0.15 of such
/// ranges away, and what is not an end is nearer.
fn are_near(seen: &[f64], sample: &[f64]) -> bool {
    const { assert!(0.55 / 0.15 < FAR_REPEATED && FAR_REPEATED < FAR_SINGLE) };
    let smallest = seen.iter().fold(f64::INFINITY, |end, &x| if x < end { x } else { end });
    let largest = seen.iter().fold(f64::NEG_INFINITY, |end, &x| if x > end { x } else { end });
    let [low, high] = [0.3, 0.45].map(|share| smallest + share * (largest - smallest));
    let below = sample.iter().filter(|&&x| x > smallest && x <= low).count();
    let above = sample.iter().filter(|&&x| x < largest && x >= high).count();
    // Two in a hundred, rounded up, lie outside of the usual range on either side, whichever end is
    // compared with it.
    let enough = sample.len() / 50 + 2;
    below >= enough && above >= enough
}

/// Some of the values, one of each stretch of equal length: not the same one of each, since rows of
/// hours with a step of 24 would all be of one time of day.
fn sample_of(seen: &[f64]) -> Cow<'_, [f64]> {
    let step = seen.len().div_ceil(SAMPLE);
    if step <= 1 {
        return Cow::Borrowed(seen);
    }
    let chosen = |(number, stretch): (usize, &[f64])| {
        // The golden ratio in 64 bits: a multiple of it is anywhere, but the same in every run.
        let random = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        stretch[random as usize % stretch.len()]
    };
    seen.chunks(step).enumerate().map(chosen).collect()
}

/// The smallest or the largest of some values, the outermost first, and how often each is there.
fn ends(seen: &[f64], upper: bool) -> Vec<(f64, usize)> {
    let is_beyond = |a: f64, b: f64| if upper { a > b } else { a < b };
    let mut found: Vec<(f64, usize)> = Vec::with_capacity(LOOKED_AT + 1);
    for &x in seen {
        if found.len() == LOOKED_AT && is_beyond(found[LOOKED_AT - 1].0, x) {
            continue;
        }
        let at = found.partition_point(|&(end, _)| is_beyond(end, x));
        match found.get_mut(at) {
            Some((end, count)) if *end == x => *count += 1,
            _ => {
                found.insert(at, (x, 1));
                found.truncate(LOOKED_AT);
            }
        }
    }
    found
}

/// What most of the sorted values lie between that are nearer than `end`; `None` if they are all the
/// same or fewer than ten.
fn usual_range(sorted: &[f64], end: f64, upper: bool) -> Option<(f64, f64)> {
    let nearer = |&x: &f64| if upper { x < end } else { x > end };
    let others: Vec<f64> = sorted.iter().copied().filter(nearer).collect();
    if others.len() < 10 {
        return None;
    }
    let at = |share: f64| others[((others.len() - 1) as f64 * share).round() as usize];
    let (low, high) = (at(0.02), at(0.98));
    match high > low {
        true => Some((low, high)),
        false => {
            let (low, high) = (others[0], others[others.len() - 1]);
            (high > low).then_some((low, high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Repair, Roles, Table};

    fn set(values: Vec<f64>) -> SeriesSet {
        let table = Table::new(vec![Column::numbers("x", values)]).unwrap();
        SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap()
    }

    fn wave(rows: usize) -> Vec<f64> {
        (0..rows).map(|row| 10.0 + (row as f64 * 0.7).sin()).collect()
    }

    #[test]
    fn sentinels_and_slips_are_told_with_count_and_way_out() {
        let mut values = wave(1000);
        (0..10).for_each(|k| values[k * 90 + 5] = -9999.0);
        values[500] = 1e6;
        values[501] = -8888.0;
        let found = set(values).outliers();
        let seen: Vec<(f64, usize)> = found.iter().map(|o| (o.value, o.count)).collect();
        assert_eq!(seen, [(-9999.0, 10), (-8888.0, 1), (1e6, 1)]);
        let note = found[0].note().to_string();
        assert!(note.contains("-9999 in 10 rows") && note.ends_with("`missing = -9999`"), "{note}");
    }

    #[test]
    fn a_step_of_the_sample_may_be_a_day() {
        // From 6 to 9 hours the sun shines on the panel, in steps of 24 hours never or always.
        for step in [24, 48, 7 * 24] {
            let rows = SAMPLE * step;
            let hour = |row: usize| match row % 24 {
                hour @ 6..9 => 1000.0 * (hour + row % 7) as f64,
                hour => (hour + row % 5) as f64 / 10.0,
            };
            assert_eq!(set((0..rows).map(hour).collect()).outliers(), [], "{step}");
        }
    }

    #[test]
    fn a_single_value_does_not_hide_one_that_repeats() {
        let mut values = wave(1000);
        values[3] = -200.0;
        (0..10).for_each(|k| values[k * 90 + 5] = -99.0);
        let found = set(values).outliers();
        assert!(found.iter().any(|o| (o.value, o.count) == (-99.0, 10)), "{found:?}");
    }

    #[test]
    fn heavy_tails_bursts_and_constants_are_left_alone() {
        // Log-normal with a deviation of 2: the sum of twelve uniform numbers is nearly normal.
        let uniform = |k: usize| ((k * 7919) % 10_007) as f64 / 10_007.0;
        let normal = |row: usize| (0..12).map(|k| uniform(row * 12 + k)).sum::<f64>() - 6.0;
        let heavy: Vec<f64> = (0..10_000).map(|row| (2.0 * normal(row)).exp()).collect();
        let burst = |row: usize| if row.is_multiple_of(10) { row as f64 } else { 0.0 };
        let zeros: Vec<f64> = (0..1000).map(burst).collect();
        let steps: Vec<f64> = (0..1000).map(|row| f64::from(u8::from(row > 500))).collect();
        for values in [heavy, zeros, steps, vec![3.0; 100], wave(100)] {
            assert_eq!(set(values).outliers(), []);
        }
    }

    #[test]
    fn no_end_is_far_where_few_comparisons_say_so() {
        let uniform = |k: usize| ((k * 7919 + 13) % 10_007) as f64 / 10_007.0;
        let (mut near, mut far) = (0, 0);
        for case in 0..4000 {
            let rows = 3 + case % 150;
            let power = 1.0 + (case % 9) as f64;
            let end = (case % 7) as f64 * if case % 2 == 0 { 1.0 } else { -1.0 };
            let mut seen: Vec<f64> =
                (0..rows).map(|row| uniform(case * 31 + row).powf(power)).collect();
            seen[rows / 2..rows / 2 + case % 5 % rows.div_ceil(2)].fill(end);
            let mut sorted = seen.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let found = [far_end(&seen, &sorted, false), far_end(&seen, &sorted, true)].concat();
            far += usize::from(!found.is_empty());
            if are_near(&seen, &seen) {
                near += 1;
                assert_eq!(found, [], "case {case}");
            }
        }
        assert!(near > 500 && far > 100, "{near} near, {far} far");
    }

    #[test]
    fn each_series_has_a_size_of_its_own() {
        let ids = [("a", 100), ("b", 100)];
        let values = wave(100).into_iter().chain(wave(100).into_iter().map(|x| x * 1e6));
        let table = Table::new(vec![
            Column::repeated_texts("unique_id", ids.into_iter()),
            Column::numbers("x", values.collect()),
        ]);
        let set = SeriesSet::from_table(&table.unwrap(), &Roles::default(), &Repair::default());
        assert_eq!(set.unwrap().outliers(), []);
    }
}
