//! Sums of products over sliding windows, without visiting every window.
//!
//! Letters here: L context_length, H prediction_length, k steps between window starts; z the values
//! of one channel. For raw windows the sum `G[i][j] = sum_t z[t k + i] z[t k + j]` obeys
//! `G[i + k][j + k] = G[i][j] + (entry at the end of the record) - (entry at its start)`, so only
//! the first k rows are summed over the record and each further row costs one entry per record.
//! Removing the level m of each window's context is a correction on the sums: where m is the mean,
//! with `p[i] = mean over j < L of G[i][j]` and `q = mean over i < L of p[i]`, the sum of
//! `(z_i - m)(z_j - m)` is `G[i][j] - p[i] - p[j] + q`. Where m is the last value, `p[i] = G[i][L - 1]`
//! and `q = p[L - 1]`.

use rayon::prelude::*;

use super::cholesky::add_scaled;
use crate::data::{Segment, WindowSet};
use ptsm_core::Location;

/// Columns of a directly summed row that one task takes.
const COLUMNS: usize = 96;

/// Sums over windows (one per channel) from which the level of the context was subtracted; the
/// inputs are the L context values and a constant 1, the targets the H future values.
pub(super) struct Moments {
    /// Complete windows, one for each channel.
    pub(super) rows: usize,
    /// `[L + 1, L + 1]`: inputs with inputs.
    pub(super) gram: Vec<f64>,
    /// `[L + 1, H]`: inputs with targets.
    pub(super) cross: Vec<f64>,
    /// `[H]`: squares of the targets.
    pub(super) target_squares: Vec<f64>,
}

/// A stretch of one channel without gaps, all of whose windows count.
struct Stretch {
    /// The values less their own mean: sums lose fewer digits, and each window's mean is subtracted
    /// later anyway.
    values: Vec<f64>,
    windows: usize,
}

impl Moments {
    /// Sums over every `every`-th window of each segment. Windows with a missing point in context
    /// or future are left out, channel by channel.
    pub(super) fn of(windows: &WindowSet, every: usize, location: Location) -> Self {
        let shape = windows.shape();
        let (inputs, outputs) = (shape.context_length, shape.prediction_length);
        let width = inputs + outputs;
        let spacing = shape.step.max(1) * every;
        let mut stretches = Vec::new();
        for segment in windows.segments() {
            for channel in 0..windows.num_channels() {
                add_stretches(&mut stretches, segment, channel, width, spacing);
            }
        }
        let raw = RawSums::of(&stretches, inputs, width, spacing);
        raw.without_levels(location, stretches.iter().map(|s| s.windows).sum())
    }
}

/// Cuts one channel of a segment at its gaps; `width` is the length of a window, `spacing` the
/// distance between window starts, counted from the start of the segment.
fn add_stretches(
    stretches: &mut Vec<Stretch>,
    segment: &Segment,
    channel: usize,
    width: usize,
    spacing: usize,
) {
    let Segment { series, rows } = segment;
    let at = |row: usize| (rows.start + row) * series.num_channels + channel;
    let mask = series.observed_mask.as_deref();
    let observed = |row: usize| mask.is_none_or(|mask| mask[at(row)] != 0.0);
    let mut start = 0;
    while start < rows.len() {
        let end = (start..rows.len()).find(|&row| !observed(row));
        let end = end.unwrap_or(rows.len());
        let first = start.next_multiple_of(spacing);
        if first + width <= end {
            let windows = (end - first - width) / spacing + 1;
            let used = first..first + (windows - 1) * spacing + width;
            let mut values: Vec<f64> = used.map(|row| series.values[at(row)].into()).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter_mut().for_each(|value| *value -= mean);
            stretches.push(Stretch { values, windows });
        }
        start = end + 1;
    }
}

/// Sums over windows before the level of the context is subtracted.
struct RawSums {
    inputs: usize,
    width: usize,
    /// `[inputs, width]`: products of positions i and j of a window, whole.
    products: Vec<f64>,
    /// `[width]`: values at position j.
    sums: Vec<f64>,
    /// `[width]`: squares at position j.
    squares: Vec<f64>,
}

impl RawSums {
    fn of(stretches: &[Stretch], inputs: usize, width: usize, spacing: usize) -> Self {
        let mut products = vec![0.0; inputs * width];
        for i in 0..inputs.min(spacing) {
            let row = &mut products[i * width + i..(i + 1) * width];
            sum_row(row, stretches, i, spacing);
        }
        for i in spacing..inputs {
            let (done, rest) = products.split_at_mut(i * width);
            let from = (i - spacing) * width;
            let earlier = &done[from + i - spacing..from + width - spacing];
            let row = &mut rest[i..width];
            row.copy_from_slice(earlier);
            for Stretch { values, windows } in stretches {
                let (left, right) = (i - spacing, (windows - 1) * spacing + i);
                add_scaled(row, values[right], &values[right..]);
                add_scaled(row, -values[left], &values[left..]);
            }
        }
        for i in 0..inputs {
            for j in 0..i {
                products[i * width + j] = products[j * width + i];
            }
        }
        Self {
            inputs,
            width,
            products,
            sums: sum_positions(stretches, width, spacing, |value| value),
            squares: sum_positions(stretches, width, spacing, |value| value * value),
        }
    }

    fn without_levels(self, location: Location, rows: usize) -> Moments {
        let (inputs, width) = (self.inputs, self.width);
        let last = inputs - 1;
        let mut with_level = vec![0.0; width];
        match location {
            Location::Mean => {
                for row in self.products.chunks_exact(width) {
                    add_scaled(&mut with_level, 1.0 / inputs as f64, row);
                }
            }
            Location::Last => with_level.copy_from_slice(&self.products[last * width..]),
        }
        let level_of = |values: &[f64]| match location {
            Location::Mean => values[..inputs].iter().sum::<f64>() / inputs as f64,
            Location::Last => values[last],
        };
        let level_square = level_of(&with_level);
        let level_sum = level_of(&self.sums);

        let outputs = width - inputs;
        let mut gram = Vec::with_capacity((inputs + 1) * (inputs + 1));
        let mut cross = Vec::with_capacity((inputs + 1) * outputs);
        for (i, row) in self.products.chunks_exact(width).enumerate() {
            let centred = |j: usize| row[j] - with_level[i] - with_level[j] + level_square;
            gram.extend((0..inputs).map(centred));
            gram.push(self.sums[i] - level_sum);
            cross.extend((inputs..width).map(centred));
        }
        gram.extend(self.sums[..inputs].iter().map(|sum| sum - level_sum));
        gram.push(rows as f64);
        cross.extend(self.sums[inputs..].iter().map(|sum| sum - level_sum));
        let target = |j: usize| self.squares[j] - 2.0 * with_level[j] + level_square;
        Moments { rows, gram, cross, target_squares: (inputs..width).map(target).collect() }
    }
}

/// Adds the products of position `i` with positions `i`, `i + 1`, ... over all windows to `row`.
fn sum_row(row: &mut [f64], stretches: &[Stretch], i: usize, spacing: usize) {
    // Each task owns some columns and goes over the record in order: the same bits for any number
    // of threads.
    row.par_chunks_mut(COLUMNS).enumerate().for_each(|(n, row)| {
        for Stretch { values, windows } in stretches {
            let others = &values[n * COLUMNS..];
            for start in (0..*windows).map(|window| window * spacing + i) {
                add_scaled(row, values[start], &others[start..]);
            }
        }
    });
}

/// Sums `f(value)` at each position of a window over all windows.
fn sum_positions(
    stretches: &[Stretch],
    width: usize,
    spacing: usize,
    f: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::with_capacity(width);
    for j in 0..width {
        let mut sum = if j < spacing { 0.0 } else { sums[j - spacing] };
        for Stretch { values, windows } in stretches {
            sum += if j < spacing {
                values[j..].iter().step_by(spacing).take(*windows).map(|&v| f(v)).sum::<f64>()
            } else {
                f(values[(windows - 1) * spacing + j]) - f(values[j - spacing])
            };
        }
        sums.push(sum);
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::data::{PreparedSeries, WindowShape};

    /// The same sums, window by window.
    fn by_hand(windows: &WindowSet, every: usize, location: Location) -> Moments {
        let shape = windows.shape();
        let (inputs, outputs) = (shape.context_length, shape.prediction_length);
        let channels = windows.num_channels();
        let mut all = vec![0.0; (inputs + 1 + outputs) * (inputs + 1 + outputs)];
        let mut rows = 0;
        let mut first_of_segment = 0;
        for segment in windows.segments() {
            let alone = WindowSet::new(vec![segment.clone()], shape).unwrap();
            for index in (0..alone.len()).step_by(every) {
                let batch = windows.batch(&[first_of_segment + index]);
                let past = [batch.past_values(), batch.future_values().unwrap()].concat();
                let ones = vec![1.0; inputs.max(outputs) * channels];
                let (before, after) = (&ones[..inputs * channels], &ones[..outputs * channels]);
                let mask = [
                    batch.observed_mask().unwrap_or(before),
                    batch.future_observed_mask().unwrap_or(after),
                ]
                .concat();
                for c in 0..channels {
                    if mask.iter().skip(c).step_by(channels).any(|&m| m == 0.0) {
                        continue;
                    }
                    let mut row: Vec<f64> =
                        past.iter().skip(c).step_by(channels).map(|&v| v.into()).collect();
                    let level = match location {
                        Location::Mean => row[..inputs].iter().sum::<f64>() / inputs as f64,
                        Location::Last => row[inputs - 1],
                    };
                    row.iter_mut().for_each(|value| *value -= level);
                    row.insert(inputs, 1.0);
                    for (i, a) in row.iter().enumerate() {
                        add_scaled(&mut all[i * row.len()..(i + 1) * row.len()], *a, &row);
                    }
                    rows += 1;
                }
            }
            first_of_segment += alone.len();
        }
        let side = inputs + 1 + outputs;
        let part = |i: usize, from: usize, to: usize| all[i * side + from..i * side + to].to_vec();
        Moments {
            rows,
            gram: (0..=inputs).flat_map(|i| part(i, 0, inputs + 1)).collect(),
            cross: (0..=inputs).flat_map(|i| part(i, inputs + 1, side)).collect(),
            target_squares: (inputs + 1..side).map(|i| all[i * side + i]).collect(),
        }
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    prop_compose! {
        /// One or two series of two channels, some points missing in the first one.
        fn sets()(
            shape in (1usize..6, 1usize..4, 1usize..5),
            values in prop::collection::vec(-2.0f32..2.0, 60..100),
            missing in prop::collection::vec(0usize..60, 0..6),
            second in any::<bool>(),
            every in 1usize..9,
        ) -> (WindowSet, usize) {
            let values = values[..values.len() / 2 * 2].to_vec();
            let rows = values.len() / 2;
            let mut mask = vec![1.0; values.len()];
            missing.iter().for_each(|&place| mask[place] = 0.0);
            let series = |mask: Option<Vec<f32>>| Arc::new(PreparedSeries {
                id: String::new(),
                num_channels: 2,
                values: values.iter().map(|v| v + 100.0).collect(),
                observed_mask: mask,
            });
            let mut segments = vec![Segment { series: series(Some(mask)), rows: 1..rows }];
            if second {
                segments.push(Segment { series: series(None), rows: 3..rows - 2 });
            }
            let shape = WindowShape {
                context_length: shape.0,
                prediction_length: shape.1,
                step: shape.2,
            };
            (WindowSet::new(segments, shape).unwrap(), every)
        }
    }

    proptest! {
        #[test]
        fn running_sums_equal_the_sums_over_windows((windows, every) in sets()) {
            for location in [Location::Mean, Location::Last] {
                let got = Moments::of(&windows, every, location);
                let want = by_hand(&windows, every, location);
                prop_assert_eq!(got.rows, want.rows);
                prop_assert!(close(&got.gram, &want.gram), "{:?} {:?}", got.gram, want.gram);
                prop_assert!(close(&got.cross, &want.cross));
                prop_assert!(close(&got.target_squares, &want.target_squares));
            }
        }
    }
}
