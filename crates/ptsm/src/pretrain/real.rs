//! Real series that a run is scored on, and learns nothing from.

use std::str::FromStr;

use super::log::RealScore;
use crate::data::{Part, SeriesSet, Split};
use crate::score::ScoreOptions;
use crate::spec::DataSpec;
use crate::{Error, Forecaster, Result};

/// A file of real series of one channel, of which the last steps are forecast.
#[derive(Debug, Clone)]
pub struct RealSeries {
    name: String,
    set: SeriesSet,
    steps: usize,
    season: usize,
}

/// `FILE:STEPS`, or `FILE:STEPS:SEASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    file: String,
    steps: usize,
    season: Option<usize>,
}

impl FromStr for Named {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let text = format!("\"{text}\" is not FILE:STEPS or FILE:STEPS:SEASON");
            Error::config("validate", text)
        };
        let (rest, last) = text.rsplit_once(':').ok_or_else(wrong)?;
        let last: usize = last.parse().ok().filter(|&n| n > 0).ok_or_else(wrong)?;
        let earlier = rest.rsplit_once(':').and_then(|(file, steps)| {
            steps.parse::<usize>().ok().filter(|&n| n > 0).map(|steps| (file, steps))
        });
        Ok(match earlier {
            Some((file, steps)) => Self { file: file.into(), steps, season: Some(last) },
            None => Self { file: rest.into(), steps: last, season: None },
        })
    }
}

/// The file with its folder, since many collections have a `monthly.csv`.
fn short_name(file: &str) -> String {
    let parts: Vec<&str> = file.split('/').filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

impl RealSeries {
    /// Reads `FILE:STEPS` or `FILE:STEPS:SEASON`: a table of one channel, wide or long, whose last
    /// `STEPS` rows of each series are forecast. The season is for MASE; it is looked for if it is not
    /// given.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for another text; `Io` and `InvalidInput` from the file, or if it has several
    /// channels.
    pub fn read(text: &str) -> Result<Self> {
        let Named { file, steps, season } = text.parse()?;
        let split = Some(Split::Last { rows: steps });
        let name = short_name(&file);
        let spec = DataSpec { season, split, ..DataSpec::of(file) };
        let source = spec.read()?;
        let mut set = spec.series(&source)?;
        if set.channels.len() != 1 {
            let names = set.channels.join(", ");
            let text = format!("has several channels, {names}; wanted one");
            return Err(Error::input(text).at(source.name));
        }
        let season = spec.seasonal_period(&source, &mut set)?;
        Ok(Self { name, set, steps, season })
    }

    /// Scores the forecasts of the last steps.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::prepare_up_to`] and [`Forecaster::score`].
    pub fn score(&self, forecaster: &mut Forecaster) -> Result<RealScore> {
        let split = Split::Last { rows: self.steps };
        let prepared = forecaster.prepare_up_to(&self.set, Some(split))?;
        let options = ScoreOptions {
            dataset: self.name.clone(),
            part: Part::Test,
            baselines: false,
            season: Some(self.season),
            ..ScoreOptions::default()
        };
        let evaluation = forecaster.score(&prepared, &options)?;
        let intervals = evaluation.probabilistic.into_iter().flat_map(|scores| scores.intervals);
        Ok(RealScore {
            name: self.name.clone(),
            steps: evaluation.prediction_length,
            series: evaluation.model.windows,
            smape: evaluation.model.smape,
            mape: evaluation.model.mape,
            mase: evaluation.model.mase,
            coverage: intervals.map(|interval| (interval.level, interval.coverage)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_with_its_steps() {
        let read = |text: &str| text.parse::<Named>();
        let named = |file: &str, steps, season| Named { file: file.into(), steps, season };
        assert_eq!(read("a.csv:6").unwrap(), named("a.csv", 6, None));
        assert_eq!(read("c:/a.csv:6:12").unwrap(), named("c:/a.csv", 6, Some(12)));
        assert_eq!(read("c:a.csv:6").unwrap(), named("c:a.csv", 6, None));
        assert_eq!(short_name("/data/m3/yearly.csv"), "m3/yearly.csv");
        assert_eq!(short_name("yearly.csv"), "yearly.csv");
        for text in ["a.csv", "a.csv:x", "a.csv:0"] {
            assert!(read(text).unwrap_err().to_string().starts_with("validate: "), "{text}");
        }
    }
}
