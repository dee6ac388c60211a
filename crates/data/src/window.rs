//! Windows by index: nothing is copied until a batch is filled.

use std::ops::Range;
use std::sync::Arc;

use ptsm_core::train::{Samples, numbers_fingerprint};
use ptsm_core::{Batch, BatchShape, Error, Result};

/// A record on a regular time grid, in the units that the model sees (usually standardised).
///
/// A missing point holds the value 0 and the mask 0.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedSeries {
    /// Which series of a long table this is; empty for a wide table.
    pub id: String,
    /// Channels, C.
    pub num_channels: usize,
    /// `[T, C]`, row-major, finite.
    pub values: Vec<f32>,
    /// `[T, C]`, 1 = seen, 0 = missing; `None` = everything seen.
    pub observed_mask: Option<Vec<f32>>,
}

impl PreparedSeries {
    /// Number of rows, T.
    pub fn num_rows(&self) -> usize {
        self.values.len() / self.num_channels
    }

    /// The series with `rows` missing rows in front of it, so that a context may begin before its
    /// first row. Their values are the first seen one of each channel: no point counts in a missing
    /// row, but the patches of a model see a level that is not far away.
    #[must_use]
    pub fn padded(self, rows: usize) -> Self {
        if rows == 0 {
            return self;
        }
        let Self { id, num_channels, values, observed_mask } = self;
        let first = first_seen(&values, observed_mask.as_deref(), num_channels);
        let mut padded = first.repeat(rows);
        padded.extend_from_slice(&values);
        let mut mask = vec![0.0; rows * num_channels];
        match observed_mask {
            Some(observed) => mask.extend(observed),
            None => mask.resize(padded.len(), 1.0),
        }
        Self { id, num_channels, values: padded, observed_mask: Some(mask) }
    }

    /// These rows alone.
    fn cut(&self, rows: Range<usize>) -> Self {
        let points = rows.start * self.num_channels..rows.end * self.num_channels;
        Self {
            id: self.id.clone(),
            num_channels: self.num_channels,
            values: self.values[points.clone()].to_vec(),
            observed_mask: self.observed_mask.as_ref().map(|mask| mask[points].to_vec()),
        }
    }

    /// The series with `rows` missing rows after it.
    fn extended(mut self, rows: usize) -> Self {
        let points = self.values.len();
        let mut mask = self.observed_mask.unwrap_or_else(|| vec![1.0; points]);
        self.values.resize(points + rows * self.num_channels, 0.0);
        mask.resize(self.values.len(), 0.0);
        self.observed_mask = Some(mask);
        self
    }
}

/// The first seen value of each channel of `values`, `[T, C]`; 0 where none is seen.
pub(crate) fn first_seen(values: &[f32], mask: Option<&[f32]>, num_channels: usize) -> Vec<f32> {
    let channel = |channel: usize| {
        let mut places = (channel..values.len()).step_by(num_channels);
        let seen = |place: &usize| mask.is_none_or(|mask| mask[*place] != 0.0);
        places.find(seen).map_or(0.0, |place| values[place])
    };
    (0..num_channels).map(channel).collect()
}

/// Rows of one series in which whole windows (context and prediction) must lie.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The record.
    pub series: Arc<PreparedSeries>,
    /// Rows that windows may use; a validation or test segment starts `context_length` rows before
    /// its first target row.
    pub rows: Range<usize>,
}

impl Segment {
    /// Rows from the first one that has a seen point.
    pub fn seen_rows(&self) -> usize {
        let width = self.series.num_channels;
        let points = self.rows.start * width..self.rows.end * width;
        let first = match &self.series.observed_mask {
            Some(mask) => mask[points].iter().position(|&seen| seen != 0.0),
            None => Some(0),
        };
        first.map_or(0, |first| self.rows.len() - first / width)
    }
}

/// Lengths of one window and the distance between window starts, in time steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowShape {
    /// Past steps, L.
    pub context_length: usize,
    /// Future steps, H; 0 for tasks without a future.
    pub prediction_length: usize,
    /// Steps between the starts of consecutive windows, at least 1; 1 uses every window.
    pub step: usize,
}

/// All windows of some segments, numbered from 0 in segment order, then by start.
#[derive(Debug, Clone)]
pub struct WindowSet {
    segments: Vec<Segment>,
    shape: WindowShape,
    /// Number of windows before each segment, and the total at the end.
    before: Vec<usize>,
    /// Whether some series has missing points.
    masked: bool,
    /// Of each segment, where the data's zero lies, `[C]`.
    origins: Option<Vec<Vec<f32>>>,
}

impl WindowSet {
    /// Lays windows of `shape` over `segments`; a segment shorter than one window gives none.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the segments disagree on the number of channels or there is no segment.
    pub fn new(segments: Vec<Segment>, shape: WindowShape) -> Result<Self> {
        let Some(first) = segments.first() else {
            return Err(Error::input("there is no series to take windows from"));
        };
        let channels = first.series.num_channels;
        let mut before = vec![0];
        let mut total = 0;
        for segment in &segments {
            let got = segment.series.num_channels;
            if got != channels {
                let id = &segment.series.id;
                return Err(Error::input(format!(
                    "series \"{id}\" has {got} channels, the first one has {channels}"
                )));
            }
            let room = segment.rows.len() + 1;
            let length = shape.context_length + shape.prediction_length;
            total += room.saturating_sub(length).div_ceil(shape.step.max(1));
            before.push(total);
        }
        let masked = segments.iter().any(|segment| segment.series.observed_mask.is_some());
        Ok(Self { segments, shape, before, masked, origins: None })
    }

    /// Sets where the data's zero lies in each segment, `[C]`, for
    /// [`Batch::with_origin`](ptsm_core::Batch::with_origin).
    ///
    /// # Panics
    ///
    /// If there is not one for each segment.
    #[must_use]
    pub fn with_origins(self, origins: Option<Vec<Vec<f32>>>) -> Self {
        assert!(origins.as_ref().is_none_or(|all| all.len() == self.segments.len()));
        Self { origins, ..self }
    }

    /// The windows of these segments with a shorter context. With `keep_futures` they have the same
    /// futures; without, there are more of them, from the first row on.
    ///
    /// # Panics
    ///
    /// If the context would be longer.
    #[must_use]
    pub fn shortened(&self, context_length: usize, keep_futures: bool) -> Self {
        let cut = self.shape.context_length - context_length;
        let cut = if keep_futures { cut } else { 0 };
        let segment = |segment: &Segment| Segment {
            rows: (segment.rows.start + cut).min(segment.rows.end)..segment.rows.end,
            ..segment.clone()
        };
        let segments = self.segments.iter().map(segment).collect();
        let shape = WindowShape { context_length, ..self.shape };
        Self::new(segments, shape)
            .expect("the segments were a set before")
            .with_origins(self.origins.clone())
    }

    /// The windows of copies of these segments that begin up to three quarters of a context before the first
    /// row and end up to all steps but one after the last row; what lies outside is missing.
    ///
    /// # Errors
    ///
    /// As [`WindowSet::new`].
    pub fn partial(&self) -> Result<Self> {
        let WindowShape { context_length, prediction_length, .. } = self.shape;
        let before = context_length - (context_length / 4).max(1);
        let segment = |segment: &Segment| {
            let rows = segment.rows.end - segment.seen_rows()..segment.rows.end;
            let series = segment.series.cut(rows).padded(before);
            let series = series.extended(prediction_length.saturating_sub(1));
            Segment { rows: 0..series.num_rows(), series: Arc::new(series) }
        };
        self.with_segments(self.segments.iter().map(segment).collect())
    }

    /// Windows of the same shape over other rows of the same series.
    pub(crate) fn with_segments(&self, segments: Vec<Segment>) -> Result<Self> {
        Ok(Self::new(segments, self.shape)?.with_origins(self.origins.clone()))
    }

    /// Number of windows.
    pub fn len(&self) -> usize {
        self.before[self.segments.len()]
    }

    /// Whether no window fits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lengths of one window.
    pub fn shape(&self) -> WindowShape {
        self.shape
    }

    /// Channels, C.
    pub fn num_channels(&self) -> usize {
        self.segments[0].series.num_channels
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Number of the segment that window `index` lies in.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`WindowSet::len`].
    pub fn segment_of(&self, index: usize) -> usize {
        assert!(index < self.len(), "window {index} of {}", self.len());
        self.before.partition_point(|&before| before <= index) - 1
    }

    /// The series and the first context row of window `index`.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`WindowSet::len`].
    pub fn locate(&self, index: usize) -> (&PreparedSeries, usize) {
        let segment = self.segment_of(index);
        let offset = (index - self.before[segment]) * self.shape.step.max(1);
        let Segment { series, rows } = &self.segments[segment];
        (series, rows.start + offset)
    }

    /// Copies the windows with these numbers into one batch.
    ///
    /// The masks are left out where every series is complete.
    ///
    /// # Panics
    ///
    /// If an index is not below [`WindowSet::len`].
    pub fn batch(&self, indices: &[usize]) -> Batch {
        let WindowShape { context_length, prediction_length, .. } = self.shape;
        let channels = self.num_channels();
        let masked = self.masked;
        let shape = BatchShape { size: indices.len(), context_length, num_channels: channels };
        let mut past_values = Vec::with_capacity(indices.len() * context_length * channels);
        let mut observed_mask = masked.then(Vec::new);
        let mut future_values = (prediction_length > 0).then(Vec::new);
        let mut future_observed_mask = (masked && prediction_length > 0).then(Vec::new);
        let mut origin =
            self.origins.as_ref().map(|_| Vec::with_capacity(indices.len() * channels));
        for &index in indices {
            if let (Some(origin), Some(origins)) = (&mut origin, &self.origins) {
                origin.extend_from_slice(&origins[self.segment_of(index)]);
            }
            let (series, start) = self.locate(index);
            let past = start * channels..(start + context_length) * channels;
            let future = past.end..past.end + prediction_length * channels;
            past_values.extend_from_slice(&series.values[past.clone()]);
            if let Some(values) = &mut future_values {
                values.extend_from_slice(&series.values[future.clone()]);
            }
            append_mask(&mut observed_mask, series, past);
            append_mask(&mut future_observed_mask, series, future);
        }
        Batch::new(shape, past_values)
            .and_then(|batch| batch.with_observed_mask(observed_mask))
            .and_then(|batch| batch.with_future_values(future_values))
            .and_then(|batch| batch.with_future_observed_mask(future_observed_mask))
            .and_then(|batch| batch.with_origin(origin))
            .expect("the windows of a set have one length")
    }
}

fn append_mask(mask: &mut Option<Vec<f32>>, series: &PreparedSeries, range: Range<usize>) {
    let Some(mask) = mask else { return };
    match &series.observed_mask {
        Some(observed) => mask.extend_from_slice(&observed[range]),
        None => mask.resize(mask.len() + range.len(), 1.0),
    }
}

impl Samples for WindowSet {
    fn len(&self) -> usize {
        WindowSet::len(self)
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        WindowSet::batch(self, indices)
    }

    fn fingerprint(&self) -> String {
        let mut text = format!("{:?}", self.shape());
        for segment in self.segments() {
            let mask = segment.series.observed_mask.as_deref().unwrap_or_default();
            let numbers = numbers_fingerprint(&[&segment.series.values, mask]);
            text += &format!(" {:?} {numbers}", segment.rows);
        }
        text
    }

    fn describe(&self) -> String {
        let shape = self.shape();
        format!(
            "windows of context_length {} and prediction_length {}",
            shape.context_length, shape.prediction_length
        )
    }

    fn groups(&self) -> Vec<Range<usize>> {
        self.before.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(rows: usize, masked: bool) -> Arc<PreparedSeries> {
        let values: Vec<f32> = (0..2 * rows).map(|i| i as f32).collect();
        let observed_mask = masked.then(|| vec![0.0; values.len()]);
        Arc::new(PreparedSeries { id: String::new(), num_channels: 2, values, observed_mask })
    }

    fn shape(step: usize) -> WindowShape {
        WindowShape { context_length: 3, prediction_length: 2, step }
    }

    #[test]
    fn a_segment_of_n_rows_has_n_minus_window_plus_one_windows() {
        for (rows, step, windows) in [(5, 1, 1), (4, 1, 0), (10, 1, 6), (10, 4, 2), (0, 1, 0)] {
            let segment = Segment { series: counting(10, false), rows: 0..rows };
            let set = WindowSet::new(vec![segment], shape(step)).unwrap();
            assert_eq!(set.len(), windows, "{rows} rows, step {step}");
        }
    }

    #[test]
    fn a_padded_series_begins_with_missing_rows_of_its_first_seen_level() {
        let series = PreparedSeries {
            id: "a".into(),
            num_channels: 2,
            values: vec![0.0, 5.0, 3.0, 6.0],
            observed_mask: Some(vec![0.0, 1.0, 1.0, 1.0]),
        };
        let padded = series.clone().padded(2);
        assert_eq!(padded.values, [3.0, 5.0, 3.0, 5.0, 0.0, 5.0, 3.0, 6.0]);
        assert_eq!(padded.observed_mask.unwrap(), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(series.clone().padded(0), series);
    }

    #[test]
    fn partial_windows_begin_before_the_first_row_and_end_after_the_last() {
        let segment = Segment { series: counting(10, false), rows: 4..8 };
        let shape = WindowShape { context_length: 4, prediction_length: 3, step: 1 };
        let set = WindowSet::new(vec![segment], shape).unwrap();
        assert!(set.is_empty());
        let partial = set.partial().unwrap();
        // With 1 to 3 of the 4 rows as context, and at least one known row after it.
        assert_eq!(partial.len(), 3);
        let batch = partial.batch(&[0, 2]);
        let first = |values: &[f32]| values.iter().step_by(2).copied().collect::<Vec<_>>();
        assert_eq!(first(&batch.past_values()[..8]), [8.0, 8.0, 8.0, 8.0]);
        assert_eq!(first(&batch.observed_mask().unwrap()[..8]), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(first(&batch.future_values().unwrap()[..6]), [10.0, 12.0, 14.0]);
        assert_eq!(first(&batch.past_values()[8..]), [8.0, 8.0, 10.0, 12.0]);
        // The row after the segment exists, but is not of this part.
        assert_eq!(first(&batch.future_observed_mask().unwrap()[6..]), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn shortened_windows_keep_their_futures_or_begin_earlier() {
        let segment = Segment { series: counting(10, false), rows: 2..10 };
        let set = WindowSet::new(vec![segment], shape(1)).unwrap();
        let same = set.shortened(1, true);
        assert_eq!(same.len(), set.len());
        let indices: Vec<usize> = (0..set.len()).collect();
        assert_eq!(same.batch(&indices).future_values(), set.batch(&indices).future_values());
        assert_eq!(set.shortened(1, false).len(), set.len() + 2);
        let masked = Segment { series: counting(10, true), rows: 2..10 };
        assert_eq!((set.segments()[0].seen_rows(), masked.seen_rows()), (8, 0));
    }

    #[test]
    fn windows_run_on_over_segments_and_masks_are_filled_in() {
        let first = Segment { series: counting(10, false), rows: 4..10 };
        let second = Segment { series: counting(6, true), rows: 0..6 };
        let set = WindowSet::new(vec![first, second], shape(1)).unwrap();
        assert_eq!(set.len(), 4);
        assert_eq!(set.locate(1).1, 5);
        assert_eq!(set.locate(2).1, 0);
        let batch = set.batch(&[1, 3]);
        assert_eq!(batch.past_values()[..2], [10.0, 11.0]);
        assert_eq!(batch.past_values()[6..8], [2.0, 3.0]);
        assert_eq!(batch.future_values().unwrap()[..2], [16.0, 17.0]);
        assert_eq!(batch.observed_mask().unwrap(), [[1.0; 6], [0.0; 6]].concat());
        assert_eq!(batch.future_observed_mask().unwrap(), [[1.0; 4], [0.0; 4]].concat());
    }
}
