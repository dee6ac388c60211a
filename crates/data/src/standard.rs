//! One shift and scale per channel, fitted on the training rows, so that all channels count alike.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::series::Series;
use super::window::PreparedSeries;
use ptsm_core::{Error, Result, Transform, option};

/// Shift and scale of every channel: `(transform(value) - mean) / scale`.
///
/// The same for all series of a long table. Errors of the benchmark papers are taken on values that
/// were standardised so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standardiser {
    /// `[C]`, in (transformed) data units.
    pub mean: Vec<f64>,
    /// `[C]`, in (transformed) data units, above zero: the population deviation (division by the count), or 1
    /// for a channel that is constant.
    pub scale: Vec<f64>,
    /// What comes first.
    #[serde(default, skip_serializing_if = "Transform::is_none")]
    pub transform: Transform,
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
            fit_channel(channel, parts, transform).ok_or_else(|| {
                let message = format!(
                    "channel \"{name}\" has no seen value in the training rows (leave it out with \
                     {}, or train on other rows)",
                    option("targets", None)
                );
                Error::input(message)
            })
        });
        let (mean, scale) = fitted.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Self { mean, scale, transform })
    }

    /// Leaves every value as it is.
    pub fn identity(num_channels: usize) -> Self {
        Self {
            mean: vec![0.0; num_channels],
            scale: vec![1.0; num_channels],
            transform: Transform::None,
        }
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
        let width = self.num_channels();
        if series.num_channels != width {
            let got = series.num_channels;
            let message = format!("the series has {got} channels, the standardiser has {width}");
            return Err(Error::input(message));
        }
        let mut values = Vec::with_capacity(rows.len() * width);
        for row in rows {
            for channel in 0..width {
                let scaled = match series.get(row, channel) {
                    Some(value) => self.apply_value(channel, value),
                    None => 0.0,
                };
                if !scaled.is_finite() {
                    let value = series.values[row * width + channel];
                    let message = format!("{value} is beyond the range of single precision");
                    return Err(Error::input(message).at(format!("row {row}, channel {channel}")));
                }
                values.push(scaled);
            }
        }
        Ok(values)
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

/// Mean and scale of one channel; `None` without a seen point. Always summed in row order.
fn fit_channel(
    channel: usize,
    parts: &[(&Series, Range<usize>)],
    transform: Transform,
) -> Option<(f64, f64)> {
    let points = || {
        let part = |(series, rows): &(&Series, Range<usize>)| {
            let seen = rows.clone().filter_map(|row| series.get(row, channel));
            seen.map(|value| transform.apply(value)).collect::<Vec<f64>>()
        };
        parts.iter().flat_map(part)
    };
    let count = points().count();
    if count == 0 {
        return None;
    }
    let mean = points().sum::<f64>() / count as f64;
    let variance = points().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
    let deviation = variance.sqrt();
    // A constant such as 0.1 has a mean that is rounded, so its deviation is not quite zero.
    let rounding = count as f64 * f64::EPSILON * mean.abs();
    let constant = deviation <= rounding || !deviation.is_finite();
    Some((mean, if constant { 1.0 } else { deviation }))
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
