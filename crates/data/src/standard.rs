//! One shift and scale per channel, fitted on the training rows, so that all channels, and all series
//! of a long table, count alike.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::covariates::Covariates;
use super::effects::CovariateEffects;
use super::moments::Moments;
use super::series::Series;
use super::window::PreparedSeries;
use ptsm_core::{Error, Result, Transform, option};

/// Shift and scale of every channel: `(transform(value) - mean) / scale`.
///
/// Errors of the benchmark papers are taken on values that were standardised so. The series of a
/// long table have shift and scale of their own, so that a small one counts as much as a large one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standardiser {
    /// `[C]`, in (transformed) data units; of all series together.
    pub mean: Vec<f64>,
    /// `[C]`, in (transformed) data units, above zero: the population deviation (division by the count), or 1
    /// for a channel that is constant.
    pub scale: Vec<f64>,
    /// Applied before shift and scale.
    #[serde(default, skip_serializing_if = "Transform::is_none")]
    pub transform: Transform,
    /// Shift and scale of single series by id, in place of `mean` and `scale`; empty where all rows
    /// share those. A series that is not in it is standardised by its own rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub series: BTreeMap<String, SeriesScale>,
    /// Whether rows whose mean or deviation is far from that of the training are standardised by their
    /// own statistics. Only right for a model whose forecast shifts and scales with its input.
    #[serde(default, skip_serializing_if = "is_false")]
    pub adapts: bool,
    /// What is taken off after shift and scale; `None` = nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Arc<CovariateEffects>>,
}

/// Shift and scale of the channels of one series. The scale is the population deviation; of a constant
/// its absolute value, of zeros 1; a channel without a seen point has those of all series together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesScale {
    /// `[C]`, in (transformed) data units.
    pub mean: Vec<f64>,
    /// `[C]`, in (transformed) data units, above zero.
    pub scale: Vec<f64>,
}

/// Shift and scale of one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelScale {
    /// What is taken off.
    pub mean: f64,
    /// What the rest is divided by, above zero.
    pub scale: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Standardiser {
    /// Fits shift and scale to the seen points of these rows, over all series together.
    ///
    /// `channels` are the names for messages.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the channel, if none of its points is seen.
    ///
    /// # Panics
    ///
    /// If a series has other channels than `channels`, or lacks some of the rows.
    pub fn fit(
        channels: &[String],
        parts: &[(&Series, Range<usize>)],
        transform: Transform,
    ) -> Result<Self> {
        let fitted = channels.iter().enumerate().map(|(channel, name)| {
            let seen = parts.iter().flat_map(|(series, rows)| seen(series, rows.clone(), channel));
            let Some(found) = Moments::of(seen.map(|value| transform.apply(value))) else {
                let message = format!(
                    "channel \"{name}\" has no seen value in the training rows (leave it out with \
                     {}, or train on other rows)",
                    option("targets", None)
                );
                return Err(Error::input(message));
            };
            let scale = if found.deviation > 0.0 { found.deviation } else { 1.0 };
            Ok((found.mean, scale))
        });
        let (mean, scale) = fitted.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Self { mean, scale, transform, ..Self::default() })
    }

    /// As [`Standardiser::fit`], with shift and scale of its own for each of several series that have
    /// a name.
    ///
    /// # Errors
    ///
    /// As [`Standardiser::fit`].
    ///
    /// # Panics
    ///
    /// As [`Standardiser::fit`].
    pub fn fit_each(
        channels: &[String],
        parts: &[(&Series, Range<usize>)],
        transform: Transform,
    ) -> Result<Self> {
        let mut fitted = Self::fit(channels, parts, transform)?;
        if parts.len() > 1 && parts.iter().all(|(series, _)| !series.id.is_empty()) {
            let own = |(series, rows): &(&Series, Range<usize>)| {
                (series.id.clone(), fitted.own_scale(series, rows.clone()))
            };
            fitted.series = parts.iter().map(own).collect();
        }
        Ok(fitted)
    }

    /// Shift and scale of a series by its own rows.
    fn own_scale(&self, series: &Series, rows: Range<usize>) -> SeriesScale {
        let channel = |channel| {
            let seen = seen(series, rows.clone(), channel).map(|value| self.transform.apply(value));
            self.own_channel(channel, Moments::of(seen))
        };
        (0..self.num_channels()).map(channel).collect()
    }

    /// Shift and scale of a channel by its own points. The scale of a constant is its absolute value, so
    /// that k times the rows are scaled by k times as much; that of zeros is 1.
    fn own_channel(&self, channel: usize, points: Option<Moments>) -> ChannelScale {
        match points {
            None => self.shared(channel),
            Some(Moments { mean, deviation }) if deviation > 0.0 => {
                ChannelScale { mean, scale: deviation }
            }
            Some(Moments { mean, .. }) if mean != 0.0 => ChannelScale { mean, scale: mean.abs() },
            Some(_) => ChannelScale { mean: 0.0, scale: 1.0 },
        }
    }

    /// What the training saved for series `id`; `None` for a series of a long table that it did not
    /// know.
    pub fn saved(&self, id: &str) -> Option<SeriesScale> {
        match self.series.get(id) {
            Some(own) => Some(own.clone()),
            None if self.series.is_empty() => {
                Some(SeriesScale { mean: self.mean.clone(), scale: self.scale.clone() })
            }
            None => None,
        }
    }

    fn shared(&self, channel: usize) -> ChannelScale {
        ChannelScale { mean: self.mean[channel], scale: self.scale[channel] }
    }

    /// Shift and scale for rows of series `id` whose seen points of `channel` are `points`, in data
    /// units and in row order: those saved by the training; or, for an unknown series and for points whose
    /// mean or deviation is far from that of the training, those of the points themselves.
    ///
    /// # Panics
    ///
    /// If there is no such channel.
    pub fn channel_scale(
        &self,
        id: &str,
        channel: usize,
        points: impl Iterator<Item = f64> + Clone,
    ) -> ChannelScale {
        let saved = match self.series.get(id) {
            Some(own) => Some(own.channel(channel)),
            None => self.series.is_empty().then(|| self.shared(channel)),
        };
        let moments = || Moments::of(points.map(|value| self.transform.apply(value)));
        match saved {
            Some(saved) if !self.adapts => saved,
            Some(saved) => match moments() {
                Some(found) if !saved.suits(found) => self.own_channel(channel, Some(found)),
                _ => saved,
            },
            None => self.own_channel(channel, moments()),
        }
    }

    /// The standardiser of these rows of a series: its own shift and scale as `mean` and `scale`,
    /// see [`Standardiser::channel_scale`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the series has another number of channels.
    ///
    /// # Panics
    ///
    /// If the series has no such rows.
    pub fn of_rows(&self, series: &Series, rows: Range<usize>) -> Result<Self> {
        self.check_width(series)?;
        let channel =
            |channel| self.channel_scale(&series.id, channel, seen(series, rows.clone(), channel));
        let SeriesScale { mean, scale } = (0..self.num_channels()).map(channel).collect();
        let (transform, effects) = (self.transform, self.effects.clone());
        Ok(Self { mean, scale, transform, effects, ..Self::default() })
    }

    /// Refuses what no training saves.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the series if it is one, for a mean that is not finite, a scale that
    /// is not above 0, or a wrong number of channels.
    pub fn check(&self) -> Result<()> {
        let width = self.num_channels();
        let sound = |mean: &[f64], scale: &[f64]| {
            mean.len() == width
                && scale.len() == width
                && mean.iter().all(|x| x.is_finite())
                && scale.iter().all(|x| x.is_finite() && *x > 0.0)
        };
        let bad = self.series.iter().find(|(_, own)| !sound(&own.mean, &own.scale));
        let place = match bad {
            _ if !sound(&self.mean, &self.scale) => "all series".to_owned(),
            Some((id, _)) => format!("series \"{id}\""),
            None => {
                return self.effects.as_ref().map_or(Ok(()), |effects| effects.check(width));
            }
        };
        let message = format!("wanted {width} finite means and {width} scales above 0");
        Err(Error::config(place, message))
    }

    /// Leaves every value as it is.
    pub fn identity(num_channels: usize) -> Self {
        Self { mean: vec![0.0; num_channels], scale: vec![1.0; num_channels], ..Self::default() }
    }

    /// Channels, C.
    pub fn num_channels(&self) -> usize {
        self.mean.len()
    }

    /// Standardises a series: computed in f64, then rounded to f32; a missing point becomes value 0
    /// and mask 0.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the number of channels differs, or a value is beyond the range of f32.
    pub fn apply(&self, series: &Series) -> Result<PreparedSeries> {
        let values = self.apply_rows(series, 0..series.num_rows())?;
        let mask = |seen: &Vec<bool>| seen.iter().map(|&seen| f32::from(u8::from(seen))).collect();
        Ok(PreparedSeries {
            id: series.id.clone(),
            num_channels: self.num_channels(),
            values,
            observed_mask: series.observed.as_ref().map(mask),
        })
    }

    /// The rows `rows` of a series, standardised, `[rows, C]`; 0 where a point is missing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the series has another number of channels, or a value in these rows is
    /// beyond the range of single precision.
    ///
    /// # Panics
    ///
    /// If the series has no such rows.
    pub fn apply_rows(&self, series: &Series, rows: Range<usize>) -> Result<Vec<f32>> {
        self.check_width(series)?;
        let width = self.num_channels();
        let points = rows.start * width..rows.end * width;
        let stored = &series.values[points.clone()];
        let mut values = Vec::with_capacity(stored.len());
        for row in stored.chunks_exact(width) {
            values.extend(row.iter().enumerate().map(|(c, &value)| self.apply_value(c, value)));
        }
        if let Some(effects) = self.effects(series, rows)? {
            values.iter_mut().zip(effects).for_each(|(value, effect)| *value -= effect);
        }
        if let Some(observed) = &series.observed {
            let seen = &observed[points.clone()];
            let missing = values.iter_mut().zip(seen).filter(|(_, seen)| !**seen);
            missing.for_each(|(value, _)| *value = 0.0);
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let at = points.start + index;
            let message = format!("{} is beyond the range of single precision", series.values[at]);
            let (row, channel) = (at / width, at % width);
            return Err(Error::input(message).at(format!("row {row}, channel {channel}")));
        }
        Ok(values)
    }

    /// What covariates add to the standardised values of these rows of a series, `[rows, C]`, which may be after its
    /// end; `None` where none are known to.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the series has no covariates, or others.
    pub fn effects(&self, series: &Series, rows: Range<usize>) -> Result<Option<Vec<f32>>> {
        let Some(effects) = &self.effects else { return Ok(None) };
        let (got, wanted) = (series.covariates.as_ref(), effects.names.len());
        match got.filter(|covariates| covariates.width() == wanted) {
            Some(covariates) => {
                let effects = effects.of_rows(covariates, rows);
                Ok(Some(effects.into_iter().map(|effect| effect as f32).collect()))
            }
            None => {
                let got = got.map_or(0, Covariates::width);
                let text =
                    format!("the series has {got} covariates, the model was trained with {wanted}");
                Err(Error::input(text))
            }
        }
    }

    /// The rows `rows` of a series, standardised, as the end of a window of `length` rows: what is
    /// missing in front of them is masked, see [`PreparedSeries::padded`].
    ///
    /// # Errors
    ///
    /// As [`Standardiser::apply_rows`].
    ///
    /// # Panics
    ///
    /// If the series has no such rows.
    pub fn apply_window(
        &self,
        series: &Series,
        rows: Range<usize>,
        length: usize,
    ) -> Result<PreparedSeries> {
        let width = self.num_channels();
        let points = rows.start * width..rows.end * width;
        let mask = |seen: &Vec<bool>| {
            seen[points.clone()].iter().map(|&seen| f32::from(u8::from(seen))).collect()
        };
        let pad = length.saturating_sub(rows.len());
        let window = PreparedSeries {
            id: String::new(),
            num_channels: width,
            values: self.apply_rows(series, rows)?,
            observed_mask: series.observed.as_ref().map(mask),
        };
        Ok(window.padded(pad))
    }

    fn check_width(&self, series: &Series) -> Result<()> {
        let (got, width) = (series.num_channels, self.num_channels());
        if got != width {
            let message = format!("the series has {got} channels, the standardiser has {width}");
            return Err(Error::input(message));
        }
        Ok(())
    }

    /// Where the data's zero lies in standardised units, `[C]`; `None` after a transform, which is no
    /// shift and scale.
    pub fn origin(&self) -> Option<Vec<f32>> {
        let zero = |channel| self.apply_value(channel, 0.0);
        self.transform.is_none().then(|| (0..self.num_channels()).map(zero).collect())
    }

    /// One standardised value.
    ///
    /// # Panics
    ///
    /// If there is no such channel.
    pub fn apply_value(&self, channel: usize, value: f64) -> f32 {
        ((self.transform.apply(value) - self.mean[channel]) / self.scale[channel]) as f32
    }

    /// A standardised value back in data units.
    ///
    /// # Panics
    ///
    /// If there is no such channel.
    pub fn undo_value(&self, channel: usize, value: f32) -> f64 {
        self.transform.undo(f64::from(value) * self.scale[channel] + self.mean[channel])
    }
}

/// The seen points of one channel, in row order.
fn seen(
    series: &Series,
    rows: Range<usize>,
    channel: usize,
) -> impl Iterator<Item = f64> + Clone + '_ {
    rows.filter_map(move |row| series.get(row, channel))
}

impl SeriesScale {
    fn channel(&self, channel: usize) -> ChannelScale {
        ChannelScale { mean: self.mean[channel], scale: self.scale[channel] }
    }
}

impl FromIterator<ChannelScale> for SeriesScale {
    fn from_iter<I: IntoIterator<Item = ChannelScale>>(channels: I) -> Self {
        let (mean, scale) = channels.into_iter().map(|own| (own.mean, own.scale)).unzip();
        Self { mean, scale }
    }
}

impl ChannelScale {
    /// Deviations between the mean of the rows and that of the training, and between their sizes,
    /// beyond which single precision would lose what matters.
    pub const FAR: f64 = 100.0;
    /// Part of the saved deviation below which that of the rows is too small, also as a share of the distance of the
    /// means.
    pub const SMALL: f64 = 1e-3;

    /// Whether single precision holds rows of this size to a ten thousandth of their deviation.
    fn suits(self, rows: Moments) -> bool {
        let far = ((rows.mean - self.mean) / self.scale).abs();
        let spread = rows.deviation / self.scale;
        let near = far <= Self::FAR;
        match rows.deviation > 0.0 {
            true => near && spread <= Self::FAR && spread >= Self::SMALL.max(Self::SMALL * far),
            // Of a constant only the relative error of its value matters.
            false => {
                let size = self.scale.max(self.mean.abs()) / Self::FAR;
                rows.mean == 0.0 || near && rows.mean.abs() >= size
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("c{index}")).collect()
    }

    #[test]
    fn only_seen_points_of_the_training_rows_count() {
        let values = vec![1.0, 5.0, 3.0, f64::NAN, 900.0, 900.0];
        let series = Series::new("", 2, values).unwrap();
        let fitted = Standardiser::fit(&names(2), &[(&series, 0..2)], Transform::None).unwrap();
        assert_eq!(fitted.mean, [2.0, 5.0]);
        assert_eq!(fitted.scale, [1.0, 1.0]);
        let prepared = fitted.apply(&series).unwrap();
        assert_eq!(prepared.values, [-1.0, 0.0, 1.0, 0.0, 898.0, 895.0]);
        assert_eq!(prepared.observed_mask.unwrap(), [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        assert_eq!(fitted.undo_value(1, 895.0), 900.0);
    }

    #[test]
    fn the_deviation_is_that_of_the_population() {
        let first = Series::new("a", 1, vec![2.0, 4.0, 4.0, 4.0]).unwrap();
        let second = Series::new("b", 1, vec![5.0, 5.0, 7.0, 9.0]).unwrap();
        let fitted =
            Standardiser::fit(&names(1), &[(&first, 0..4), (&second, 0..4)], Transform::None)
                .unwrap();
        assert_eq!((fitted.mean[0], fitted.scale[0]), (5.0, 2.0));
    }

    #[test]
    fn logarithms_come_before_shift_and_scale_and_go_last() {
        let e = std::f64::consts::E;
        let series = Series::new("", 1, vec![e - 1.0, 1.0 - e, 0.0]).unwrap();
        let fitted = Standardiser::fit(&names(1), &[(&series, 0..3)], Transform::Log1p).unwrap();
        assert!(fitted.mean[0].abs() < 1e-15);
        assert!((fitted.scale[0] - (2.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        for x in [0.0, -3.5, 1e6] {
            assert!(
                (fitted.undo_value(0, fitted.apply_value(0, x)) / x - 1.0).abs() < 1e-5 || x == 0.0
            );
        }
        assert_eq!(fitted.undo_value(0, fitted.apply_value(0, 0.0)), 0.0);
        let text = serde_json::to_string(&fitted).unwrap();
        assert!(text.contains("\"transform\":\"log1p\""), "{text}");
        assert_eq!(serde_json::from_str::<Standardiser>(&text).unwrap(), fitted);
    }

    #[test]
    fn a_constant_channel_is_only_shifted() {
        let series = Series::new("", 1, vec![0.1; 1000]).unwrap();
        let fitted = Standardiser::fit(&names(1), &[(&series, 0..1000)], Transform::None).unwrap();
        assert_eq!(fitted.scale, [1.0]);
        assert!(fitted.apply(&series).unwrap().values[0].abs() < 1e-12);
    }

    #[test]
    fn a_channel_without_a_seen_training_value_is_named() {
        let series = Series::new("", 2, vec![1.0, f64::NAN, 2.0, 3.0]).unwrap();
        let error = Standardiser::fit(&names(2), &[(&series, 0..1)], Transform::None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("\"c1\"") && text.contains("`targets`"), "{text}");
    }

    #[test]
    fn values_beyond_single_precision_are_refused() {
        let series = Series::new("", 1, vec![0.0, 1e300]).unwrap();
        let error = Standardiser::identity(1).apply(&series).unwrap_err();
        assert!(error.to_string().contains("row 1, channel 0: 1"), "{error}");
        assert!(Standardiser::identity(2).apply(&series).is_err());
    }
}
