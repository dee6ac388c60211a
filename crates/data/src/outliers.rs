//! Values far from all others: a code for "no data" such as -9999, or a typing error.

use super::series::{Series, SeriesSet};

/// Distance, in usual ranges, from which a repeated value is reported.
const FAR_REPEATED: f64 = 5.0;

/// The same for a value seen once or twice: heavy-tailed data have such values too.
const FAR_SINGLE: f64 = 100.0;

/// Occurrences from which on a value repeats.
const REPEATED: usize = 3;

/// Points of one channel of a series that are looked at for its usual range.
const SAMPLE: usize = 4096;

/// Points of all series together that are looked at.
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
    /// A sentence with the way out; `spell` writes an option and its value.
    pub fn note(&self, spell: &dyn Fn(&str, Option<&str>) -> String) -> String {
        let Self { channel, value, count, usual: (low, high), distance, .. } = self;
        let series = match self.series.as_str() {
            "" => String::new(),
            id => format!("series \"{id}\", "),
        };
        let rows = if *count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        let missing = spell("missing", Some(&value.to_string()));
        format!(
            "{series}channel \"{channel}\" is {value} in {rows}, {distance:.0} times the usual range \
             ({low:.4} to {high:.4}) away: if that means a missing value, use {missing}"
        )
    }
}

impl SeriesSet {
    /// The values that lie far from all others of their channel and series, the most frequent ones
    /// first; of very large sets those of the first series.
    pub fn outliers(&self) -> Vec<Outlier> {
        let mut found = Vec::new();
        let mut points = 0;
        for series in &self.series {
            points += series.values.len();
            if points > POINTS && !found.is_empty() || points > 2 * POINTS {
                break;
            }
            for (channel, name) in self.channels.iter().enumerate() {
                far_values(series, channel, name, &mut found);
            }
        }
        found.sort_by_key(|outlier| std::cmp::Reverse(outlier.count));
        found
    }

    /// One sentence for each of the most frequent outliers; `spell` writes an option and its value.
    pub fn outlier_notes(&self, spell: &dyn Fn(&str, Option<&str>) -> String) -> Vec<String> {
        const SHOWN: usize = 5;
        let found = self.outliers();
        let mut notes: Vec<String> =
            found.iter().take(SHOWN).map(|outlier| outlier.note(spell)).collect();
        if found.len() > SHOWN {
            notes.push(format!("and {} more values of that kind", found.len() - SHOWN));
        }
        notes
    }
}

/// The far values at either end of one channel of a series.
fn far_values(series: &Series, channel: usize, name: &str, found: &mut Vec<Outlier>) {
    let seen = || (0..series.num_rows()).filter_map(|row| series.get(row, channel));
    let step = series.num_rows().div_ceil(SAMPLE).max(1);
    let mut sample: Vec<f64> = seen().step_by(step).collect();
    sample.sort_unstable_by(f64::total_cmp);
    for upper in [false, true] {
        // A few values in turn, such as -9999 and -8888.
        let mut inner = if upper { f64::INFINITY } else { f64::NEG_INFINITY };
        for _ in 0..3 {
            let rest = seen().filter(|&x| if upper { x < inner } else { x > inner });
            let (end, count) = extreme(rest, upper);
            if count == 0 {
                break;
            }
            inner = end;
            let Some(usual) = usual_range(&sample, end) else { break };
            let off = if upper { end - usual.1 } else { usual.0 - end };
            let distance = off / (usual.1 - usual.0);
            let far = if count >= REPEATED { FAR_REPEATED } else { FAR_SINGLE };
            if distance < far {
                break;
            }
            found.push(Outlier {
                series: series.id.clone(),
                channel: name.to_owned(),
                value: end,
                count,
                usual,
                distance,
            });
        }
    }
}

/// The smallest or largest of some values, and how often it is there.
fn extreme(values: impl Iterator<Item = f64>, upper: bool) -> (f64, usize) {
    values.fold((0.0, 0), |(end, count), x| {
        let beyond = if upper { x > end } else { x < end };
        match count {
            0 => (x, 1),
            _ if beyond => (x, 1),
            _ if x == end => (end, count + 1),
            _ => (end, count),
        }
    })
}

/// What most of the sorted values lie between that are not `end`; `None` if they are all the same or
/// fewer than ten.
fn usual_range(sorted: &[f64], end: f64) -> Option<(f64, f64)> {
    let others: Vec<f64> = sorted.iter().copied().filter(|&x| x != end).collect();
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
        let note = found[0].note(&|name, value| format!("{name} {}", value.unwrap_or_default()));
        assert!(note.contains("-9999 in 10 rows") && note.ends_with("missing -9999"), "{note}");
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
