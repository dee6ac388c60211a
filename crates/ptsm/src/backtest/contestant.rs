//! A forecaster that takes part in a backtest, and when it is trained again.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use super::origins::Origins;
use crate::data::{Series, SeriesSet, Split};
use crate::job::{Again, JobEvent, SeriesData};
use crate::{Error, Forecaster, Result};

/// A forecaster under a name.
pub struct Contestant {
    /// Its name in scores and columns.
    pub name: String,
    /// The forecaster; that of the last training where it is trained again.
    pub forecaster: Forecaster,
    /// The split of its training on these series, to tell what it has seen; `None` if it was trained on
    /// others.
    pub split: Option<Split>,
    /// Whether it was fitted to the validation part of that split, too.
    pub with_validation: bool,
    /// How it is trained again; `None` = it never is.
    pub again: Option<Again>,
}

/// When forecasters are trained again on the rows before a cutoff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refit {
    /// Never: every cutoff is forecast by the model as it is.
    #[default]
    Never,
    /// At the first cutoff and every so many cutoffs, at least 1.
    Every(usize),
}

impl FromStr for Refit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let every = text.strip_prefix("every:").and_then(|count| count.parse().ok());
        match (text, every) {
            ("never", _) => Ok(Self::Never),
            (_, Some(count)) if count > 0 => Ok(Self::Every(count)),
            _ => {
                let text = format!("\"{text}\" is not never or every:K, such as every:1");
                Err(Error::config("refit", text))
            }
        }
    }
}

impl fmt::Display for Refit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Every(count) => write!(f, "every:{count}"),
        }
    }
}

impl Refit {
    /// The cutoff before which the model for `cutoff` is trained.
    pub(super) fn cutoff(self, cutoff: usize) -> Option<usize> {
        match self {
            Self::Never => None,
            Self::Every(count) => Some(cutoff / count.max(1) * count.max(1)),
        }
    }
}

/// The rows before a cutoff, with a split that has no test part: as many training rows to a validation row as
/// `split` gives all rows.
///
/// # Errors
///
/// `InvalidInput` if no series has rows there.
pub(super) fn before(data: &SeriesData, origins: Origins, cutoff: usize) -> Result<SeriesData> {
    let rows = origins.rows_before_end(cutoff);
    let series: Vec<Series> = data
        .set
        .series
        .iter()
        .filter(|series| origins.has_past(series, cutoff))
        .map(|series| first_rows(series, series.num_rows() - rows))
        .collect();
    if series.is_empty() {
        return Err(Error::input("no series has a row before the cutoff to be trained on"));
    }
    let set = SeriesSet {
        series,
        channels: data.set.channels.clone(),
        covariates: data.set.covariates.clone(),
        frequency: data.set.frequency,
        time_style: data.set.time_style,
        times: data.set.times.clone(),
        roles: data.set.roles.clone(),
        repairs: data.set.repairs.clone(),
    };
    Ok(SeriesData {
        set,
        split: without_test(&data.set, data.split),
        name: data.name.clone(),
        missing: data.missing.clone(),
        grid: data.grid,
        seasonal_period: data.seasonal_period,
        effects: None,
        covariates: None,
    })
}

fn first_rows(series: &Series, rows: usize) -> Series {
    let points = rows * series.num_channels;
    Series {
        id: series.id.clone(),
        timestamps: series.timestamps.as_ref().map(|times| times.iter().take(rows).collect()),
        anchor: series.anchor,
        zone: series.zone.clone(),
        num_channels: series.num_channels,
        values: series.values[..points].to_vec(),
        observed: series.observed.as_ref().map(|seen| seen[..points].to_vec()),
        covariates: series.covariates.clone(),
    }
}

/// Training and validation in the proportion that a split gives all series, in thousandths.
fn without_test(set: &SeriesSet, split: Split) -> Split {
    let (mut train, mut validation) = (0, 0);
    for series in &set.series {
        let times = series.timestamps.as_ref();
        // With a context of no rows, a part is its own rows.
        if let Ok(borders) = split.borders(series.num_rows(), times, 0) {
            train += borders.train.len();
            validation += borders.validation.len();
        }
    }
    if validation == 0 {
        return Split::Ratio { train: 1, validation: 0, test: 0 };
    }
    let share = (1000.0 * train as f64 / (train + validation) as f64).round();
    let train = (share as u32).clamp(1, 999);
    Split::Ratio { train, validation: 1000 - train, test: 0 }
}

impl Contestant {
    /// Trains it again on the rows before a cutoff; `tell` hears what is done and stops it by an error.
    pub(super) fn train(
        &mut self,
        data: &SeriesData,
        tell: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        let Some(again) = &self.again else { return Ok(()) };
        let (name, mut stopped) = (&self.name, None);
        let mut observer = |event: &JobEvent<'_>| {
            let told = match event {
                JobEvent::Part(text) => tell(&format!("{name}: {text}")),
                // A chance to stop.
                _ => tell(""),
            };
            match told {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    stopped = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let fitted = again.fit(data, &mut observer);
        match stopped {
            Some(error) => Err(error),
            None => {
                self.forecaster = fitted?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_trained_before_every_so_many_cutoffs() {
        let at = |text: &str| [0, 1, 2, 3].map(|k| text.parse::<Refit>().unwrap().cutoff(k));
        assert_eq!(at("never"), [None; 4]);
        assert_eq!(at("every:1"), [0, 1, 2, 3].map(Some));
        assert_eq!(at("every:3"), [0, 0, 0, 3].map(Some));
        for text in ["every:0", "every", "2", "always"] {
            assert!(text.parse::<Refit>().is_err(), "{text}");
        }
        assert_eq!(Refit::Every(2).to_string(), "every:2");
    }
}
