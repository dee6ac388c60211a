//! From series to windows: split, standardise, and lay windows over each part.

use std::ops::Range;
use std::sync::Arc;

use super::series::SeriesSet;
use super::split::{Borders, Split};
use super::standard::Standardiser;
use super::window::{PreparedSeries, Segment, WindowSet, WindowShape};
use ptsm_core::Transform;
use ptsm_core::{Error, ErrorKind, Note, Result, bytes_of, option, require_memory};

/// Windows of each part, ready for training and scoring.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prepared {
    /// Windows of the training rows, `shape.step` apart.
    pub train: WindowSet,
    /// Every window of the validation rows; empty if the split has no such part.
    pub validation: WindowSet,
    /// Every window of the test rows; empty if the split has no such part.
    pub test: WindowSet,
    /// Shift and scale of the channels, as they are saved with a model.
    pub standardiser: Standardiser,
    /// What each used series was standardised by, in the order of `borders`.
    pub scales: Vec<Standardiser>,
    /// The series that are long enough to be used, in order, with the rows of each part.
    pub borders: Vec<Borders>,
    /// Names of the series that are too short for the split and are not used.
    pub unused_series: Vec<String>,
    /// Series whose training part is shorter than a window: their contexts begin before the first
    /// row, with missing rows.
    pub padded_series: usize,
    /// The same windows with the effects of covariates left in, for methods that do not know them; `None` where
    /// there are none, or not asked for ([`prepare_for_scores`]).
    pub with_effects: Option<Box<Prepared>>,
}

/// Splits and standardises every series of `set` and lays windows of `shape` over the parts.
///
/// The values are shifted and scaled by `fitted` where it is given (a saved model's), otherwise by
/// what the training rows say after this transform (those of each series, if there are several), or
/// not at all if `standardise` is `None`. Validation and test use every window, whatever `shape.step`
/// is.
///
/// # Errors
///
/// `InvalidInput`, with the numbers, if all series are too short for the split, if a part that
/// should have windows has none, if a channel has no seen value in the training rows, or if
/// `fitted` has another number of channels. `InvalidConfig` if the split needs times and there are
/// none.
pub fn prepare(
    set: &SeriesSet,
    split: &Split,
    shape: WindowShape,
    standardise: Option<Transform>,
    fitted: Option<&Standardiser>,
) -> Result<Prepared> {
    let (mut used, unused_series) = split_all(set, split, shape.context_length)?;
    let standardiser = match (fitted, standardise) {
        (Some(fitted), _) => fitted.clone(),
        (None, Some(transform)) => {
            let parts: Vec<_> = used
                .iter()
                .map(|(index, borders)| (&set.series[*index], borders.train.clone()))
                .collect();
            Standardiser::fit_each(&set.channels, &parts, transform)?
        }
        (None, None) => Standardiser::identity(set.channels.len()),
    };
    let rows = used.iter().map(|(index, _)| set.series[*index].num_rows()).sum();
    // Values, and whether each is known.
    let bytes = bytes_of(&[2, rows, set.channels.len()]);
    require_memory("standardising the series", bytes, "fewer channels, or a part of the rows")?;
    let mut prepared = Vec::with_capacity(used.len());
    let mut scales = Vec::with_capacity(used.len());
    let mut padded_series = 0;
    let own: Vec<Borders> = used.iter().map(|(_, borders)| borders.clone()).collect();
    for (index, borders) in &mut used {
        let series = &set.series[*index];
        let own = standardiser.of_rows(series, borders.train.clone())?;
        let pad = padding(borders.train.len(), shape);
        prepared.push(Arc::new(own.apply(series)?.padded(pad)));
        *borders = borders.padded(pad, shape.context_length);
        padded_series += usize::from(pad > 0);
        scales.push(own);
    }
    let borders: Vec<Borders> = used.into_iter().map(|(_, borders)| borders).collect();
    let every = WindowShape { step: 1, ..shape };
    let origins: Option<Vec<Vec<f32>>> = scales.iter().map(Standardiser::origin).collect();
    let part = |name: &str, shape: WindowShape, rows: fn(&Borders) -> &Range<usize>| {
        let set = windows(shape, &prepared, borders.iter().map(|b| rows(b).clone()))?;
        let longest = own.iter().map(|borders| rows(borders).len()).max().unwrap_or_default();
        match longest > 0 && set.is_empty() {
            true => Err(too_short(name, longest, shape)),
            false => Ok(set.with_origins(origins.clone())),
        }
    };
    Ok(Prepared {
        train: part("training", shape, |borders| &borders.train)?,
        validation: part("validation", every, |borders| &borders.validation)?,
        test: part("test", every, |borders| &borders.test)?,
        standardiser,
        scales,
        borders,
        unused_series,
        padded_series,
        with_effects: None,
    })
}

/// As [`prepare`] by a saved standardiser, with the windows beside it that leave the effects of covariates in, where it
/// takes some off: for scores beside methods that do not know covariates.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_for_scores(
    set: &SeriesSet,
    split: &Split,
    shape: WindowShape,
    fitted: &Standardiser,
) -> Result<Prepared> {
    let mut prepared = prepare(set, split, shape, None, Some(fitted))?;
    if fitted.effects.is_some() {
        let plain = Standardiser { effects: None, ..fitted.clone() };
        prepared.with_effects = Some(Box::new(prepare(set, split, shape, None, Some(&plain))?));
    }
    Ok(prepared)
}

impl Prepared {
    /// The windows for methods that do not know covariates.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if effects are taken off and the windows beside them are not there.
    pub fn without_covariates(&self) -> Result<&Self> {
        match (&self.with_effects, &self.standardiser.effects) {
            (Some(plain), _) => Ok(plain),
            (None, None) => Ok(self),
            (None, Some(_)) => {
                let text =
                    "the windows without the effects of covariates are not there to be scored";
                Err(Error::input(text))
            }
        }
    }

    /// The same with training windows up to the end of the validation part, which is empty then.
    ///
    /// # Errors
    ///
    /// As [`WindowSet::new`].
    pub fn with_validation(self) -> Result<Self> {
        let pairs = self.train.segments().iter().zip(self.validation.segments());
        let joined = |(train, validation): (&Segment, &Segment)| {
            let end = train.rows.end.max(validation.rows.end);
            Segment { rows: train.rows.start..end, ..train.clone() }
        };
        let none = |segment: &Segment| {
            let end = segment.rows.end;
            Segment { rows: end..end, ..segment.clone() }
        };
        let train: Vec<Segment> = pairs.map(joined).collect();
        let validation = self.validation.segments().iter().map(none).collect();
        Ok(Self {
            train: self.train.with_segments(train)?,
            validation: self.validation.with_segments(validation)?,
            with_effects: match self.with_effects {
                Some(plain) => Some(Box::new(plain.with_validation()?)),
                None => None,
            },
            ..self
        })
    }

    /// What a user should know of the series: which are not used, and how many are padded.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes: Vec<Note> = Vec::new();
        let unused = &self.unused_series;
        if let Some(first) = unused.first() {
            let (count, s) = (unused.len(), if unused.len() == 1 { " is" } else { " are" });
            let text = format!("{count} series{s} too short for the split, such as \"{first}\"");
            notes.push(text.into());
        }
        let (padded, all) = (self.padded_series, self.scales.len());
        if padded > 0 {
            let text = format!(
                "{padded} of {all} series are shorter than a window: what is missing in front of them \
                 is masked"
            );
            notes.push(text.into());
        }
        notes
    }
}

/// Missing rows in front of a series whose `training` rows hold no whole window: as many as let
/// contexts begin when a quarter of them is there, or less where even that leaves no window.
fn padding(training: usize, shape: WindowShape) -> usize {
    let WindowShape { context_length, prediction_length, .. } = shape;
    if training >= context_length + prediction_length {
        return 0;
    }
    let seen = (context_length / 4).min(training.saturating_sub(prediction_length)).max(1);
    context_length - seen
}

/// Number and borders of each series that can be split, and the names of the others.
type SplitSeries = (Vec<(usize, Borders)>, Vec<String>);

fn split_all(set: &SeriesSet, split: &Split, context_length: usize) -> Result<SplitSeries> {
    let mut used = Vec::new();
    let mut unused = Vec::new();
    let mut first_error = None;
    for (index, series) in set.series.iter().enumerate() {
        let times = series.timestamps.as_ref();
        match split.borders(series.num_rows(), times, context_length) {
            Ok(borders) => used.push((index, borders)),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                unused.push(series.id.clone());
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match first_error {
        Some(error) if used.is_empty() => Err(match set.series.len() {
            1 => error,
            count => error.at(format!("all of the {count} series are too short; the first")),
        }),
        _ => Ok((used, unused)),
    }
}

/// Windows of one part.
fn windows(
    shape: WindowShape,
    series: &[Arc<PreparedSeries>],
    rows: impl Iterator<Item = Range<usize>>,
) -> Result<WindowSet> {
    let segment = |(series, rows): (&Arc<PreparedSeries>, Range<usize>)| Segment {
        series: Arc::clone(series),
        rows,
    };
    let segments: Vec<Segment> = series.iter().zip(rows).map(segment).collect();
    WindowSet::new(segments, shape)
}

/// That a part has rows, `longest` of them in one series, but no window.
fn too_short(part: &str, longest: usize, shape: WindowShape) -> Error {
    let WindowShape { context_length, prediction_length, .. } = shape;
    let context = if part == "training" { "" } else { ", with those of its context" };
    let [of_context, of_steps] =
        [("context_length", context_length), ("prediction_length", prediction_length)]
            .map(|(name, length)| option(name, Some(&length.to_string())));
    Error::input(format!(
        "the {part} part has {longest} rows{context}: too few for a window of {context_length} + \
         {prediction_length} steps (use a longer series, another {}, or shorter lengths than {of_context} and \
         {of_steps})",
        option("split", None)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadOptions, Repair, Roles, Table};

    fn set(lengths: &[usize]) -> SeriesSet {
        let mut text = "unique_id,x\n".to_owned();
        for (index, &length) in lengths.iter().enumerate() {
            for row in 0..length {
                text.push_str(&format!("s{index},{row}\n"));
            }
        }
        let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
        SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap()
    }

    const SHAPE: WindowShape = WindowShape { context_length: 4, prediction_length: 2, step: 3 };

    #[test]
    fn short_series_are_padded_and_every_forecast_of_them_is_scored() {
        // 9 and 40 rows, contexts of 8 and forecasts of 3.
        let split: Split = "last:3".parse().unwrap();
        let shape = WindowShape { context_length: 8, prediction_length: 3, step: 1 };
        let got = prepare(&set(&[9, 40]), &split, shape, Some(Transform::None), None).unwrap();
        assert_eq!(got.padded_series, 1);
        assert_eq!((got.validation.len(), got.test.len()), (2, 2));
        // 3 rows are trained on, so there is no training window of the short series.
        assert_eq!(got.train.len(), 34 - 11 + 1);
        let batch = got.test.batch(&[0]);
        assert_eq!(batch.observed_mask().unwrap(), [[0.0; 2].as_slice(), &[1.0; 6]].concat());
        assert_eq!(batch.future_observed_mask().unwrap(), [1.0; 3]);
        let undo = |x: f32| (got.scales[0].undo_value(0, x) * 1e4).round() / 1e4;
        let future: Vec<f64> = batch.future_values().unwrap().iter().map(|&x| undo(x)).collect();
        assert_eq!(future, [6.0, 7.0, 8.0]);
        assert!(got.notes()[0].to_string().contains("1 of 2 series"), "{:?}", got.notes());
    }

    #[test]
    fn parts_are_standardised_by_the_training_rows() {
        let split = Split::default();
        let got = prepare(&set(&[100]), &split, SHAPE, Some(Transform::None), None).unwrap();
        assert_eq!(got.standardiser.mean, [34.5]);
        let zero = got.test.batch(&[3]).origin().unwrap()[0];
        assert!(got.standardiser.undo_value(0, zero).abs() < 1e-5);
        // 70, 10 and 20 rows; only training windows are three apart.
        assert_eq!((got.train.len(), got.validation.len(), got.test.len()), (22, 9, 19));
        let first = got.test.batch(&[0]).future_values().unwrap()[0];
        assert!((got.standardiser.undo_value(0, first) - 80.0).abs() < 1e-4);
        let plain = prepare(&set(&[100]), &split, SHAPE, None, None).unwrap();
        assert_eq!(plain.test.batch(&[0]).future_values().unwrap()[0], 80.0);
        let other = Standardiser { mean: vec![80.0], scale: vec![2.0], ..Standardiser::default() };
        let fitted =
            prepare(&set(&[100]), &split, SHAPE, Some(Transform::None), Some(&other)).unwrap();
        assert_eq!(fitted.test.batch(&[0]).future_values().unwrap(), [0.0, 0.5]);
    }

    #[test]
    fn series_that_are_too_short_are_left_out_and_named() {
        let got = prepare(&set(&[3, 100]), &Split::default(), SHAPE, Some(Transform::None), None)
            .unwrap();
        assert_eq!(got.unused_series, ["s0"]);
        assert_eq!(got.borders.len(), 1);
        let error = prepare(&set(&[3, 2]), &Split::default(), SHAPE, Some(Transform::None), None)
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("all of the 2 series are too short"), "{text}");
    }

    #[test]
    fn training_windows_may_go_on_to_the_end_of_the_validation_part() {
        let split: Split = "last:5".parse().unwrap();
        let shape = WindowShape { step: 1, ..SHAPE };
        let got = prepare(&set(&[30]), &split, shape, Some(Transform::None), None).unwrap();
        assert_eq!((got.train.len(), got.validation.len()), (15, 4));
        let whole = got.clone().with_validation().unwrap();
        assert_eq!((whole.train.len(), whole.validation.len()), (20, 0));
        assert_eq!((whole.test.len(), &whole.scales), (4, &got.scales));
        let future = |windows: &WindowSet, last: usize| {
            windows.batch(&[last]).future_values().map(<[f32]>::to_vec)
        };
        assert_eq!(future(&whole.train, 19), future(&got.validation, 3));
    }

    #[test]
    fn a_part_without_a_window_is_refused_with_numbers() {
        let long = WindowShape { prediction_length: 5, ..SHAPE };
        let error =
            prepare(&set(&[12]), &Split::default(), long, Some(Transform::None), None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("validation part has 6 rows, with those of its context"), "{text}");
        assert!(text.contains("`prediction_length = 5`"), "{text}");
        let none: Split = "1:0:0".parse().unwrap();
        let got = prepare(&set(&[12]), &none, SHAPE, Some(Transform::None), None).unwrap();
        assert!(got.test.is_empty());
    }
}
