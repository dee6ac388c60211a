//! Split-conformal calibration of prediction intervals, for any forecasting head: on new data an
//! interval contains the truth as often as its level states.
//!
//! On windows that training did not see, the conformity score of a point is how far the truth lies
//! outside the head's own interval, `max(low - y, y - high)` (negative inside; a point forecast has
//! an interval of width 0). The interval is then widened, or narrowed, by the score that
//! `ceil((n + 1) level) / n` of these points stay below.
//!
//! Source: Romano, Patterson, Candes: Conformalized Quantile Regression, 2019 (arXiv 1905.03222).

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::WindowSet;
use crate::model_dir::ModelDir;
use crate::{Error, ErrorKind, Result};
use ptsm_core::Config;
use ptsm_core::write_atomically;
use ptsm_core::{Prediction, Session};

/// Windows per forward pass.
const BATCH: usize = 64;

/// The offsets that widen the prediction intervals of a model, for each level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Names the windows that the offsets were fitted on, for reports.
    pub fitted_on: String,
    /// Number of those windows.
    pub windows: usize,
    /// One entry per level, ascending.
    pub intervals: Vec<CalibratedInterval>,
}

/// The offsets of one central interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibratedInterval {
    /// Probability that the interval contains the truth.
    pub level: f64,
    /// `[H, C']`, standardised units: added to the upper end and subtracted from the lower one.
    pub offsets: Vec<f64>,
}

impl Calibration {
    /// Fits the offsets of central intervals at `levels` (in (0, 1)), for every step and channel.
    /// `name` names the windows in reports.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for an impossible level; `InvalidInput` if a step of a channel has too few
    /// known points for a level, stating how many are needed, or windows do not fit the model.
    pub fn fit(
        config: &Config,
        session: &mut dyn Session,
        windows: &WindowSet,
        name: &str,
        levels: &[f64],
    ) -> Result<Self> {
        check_levels(levels)?;
        let channels = config.prediction_channels();
        let each = config.prediction_length * channels.len();
        let mut scores: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); each]; levels.len()];
        let mut output = Prediction::default();
        let indices: Vec<usize> = (0..windows.len()).collect();
        for part in indices.chunks(BATCH) {
            let batch = windows.batch(part);
            session.forward(&batch, &mut output)?;
            let truth = batch.future_values().unwrap_or_default();
            let mask = batch.future_observed_mask();
            for (level, scores) in levels.iter().zip(&mut scores) {
                let (low, high) = interval(&output, *level);
                for (i, (low, high)) in low.iter().zip(&high).enumerate() {
                    let (row, k) = (i / channels.len(), i % channels.len());
                    let from = row * batch.num_channels() + channels[k];
                    if mask.is_none_or(|mask| mask[from] != 0.0) {
                        let y = f64::from(truth[from]);
                        scores[i % each].push((low - y).max(y - high));
                    }
                }
            }
        }
        let intervals = levels.iter().zip(scores).map(|(&level, scores)| {
            let offsets = scores.into_iter().enumerate().map(|(place, scores)| {
                quantile(scores, level).map_err(|e| {
                    let (step, k) = (place / channels.len(), place % channels.len());
                    e.at(format!("step {} of channel {}", step + 1, channels[k]))
                })
            });
            Ok(CalibratedInterval { level, offsets: offsets.collect::<Result<_>>()? })
        });
        let intervals = intervals.collect::<Result<_>>()?;
        Ok(Self { fitted_on: name.to_owned(), windows: windows.len(), intervals })
    }

    /// The calibrated interval of level number `index`, from the output of a head: low and high,
    /// `[B, H, C']`, in the units of the batch. The interval of a higher level contains that of
    /// every lower one.
    pub fn apply(&self, output: &Prediction, index: usize) -> (Vec<f64>, Vec<f64>) {
        let mut found: Option<(Vec<f64>, Vec<f64>)> = None;
        for CalibratedInterval { level, offsets } in &self.intervals[..=index] {
            let (mut low, mut high) = interval(output, *level);
            for (i, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
                let offset = offsets[i % offsets.len()];
                (*low, *high) = (*low - offset, *high + offset);
                if *low > *high {
                    // A negative offset may exceed half the width.
                    let middle = 0.5 * (*low + *high);
                    (*low, *high) = (middle, middle);
                }
                if let Some((inner_low, inner_high)) = &found {
                    (*low, *high) = (low.min(inner_low[i]), high.max(inner_high[i]));
                }
            }
            found = Some((low, high));
        }
        found.unwrap_or_default()
    }

    /// Reads the calibration of a model directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be read, `InvalidConfig` if it is damaged or does not fit the model.
    pub fn from_dir(dir: &Path, config: &Config) -> Result<Option<Self>> {
        let path = ModelDir::new(dir).calibration();
        if !path.is_file() {
            return Ok(None);
        }
        let text =
            std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "cannot be read", e))?;
        let bad =
            |text: &str| Error::new(ErrorKind::InvalidConfig, text).at(path.display().to_string());
        let found: Self =
            serde_json::from_str(&text).map_err(|e| bad("is not a calibration").because(e))?;
        let wanted = config.prediction_length * config.prediction_channels().len();
        let fits = |i: &CalibratedInterval| {
            i.offsets.len() == wanted && i.offsets.iter().all(|offset| offset.is_finite())
        };
        if found.intervals.iter().all(fits) {
            Ok(Some(found))
        } else {
            Err(bad("does not fit the model (repeat ptsm calibrate)"))
        }
    }

    /// Writes the file into a model directory, atomically.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|e| Error::internal("the calibration cannot be written").because(e))?;
        write_atomically(&ModelDir::new(dir).calibration(), |out| {
            out.write_all(text.as_bytes())?;
            out.write_all(b"\n")
        })
    }
}

/// The head's own central interval.
pub(crate) fn interval(output: &Prediction, level: f64) -> (Vec<f64>, Vec<f64>) {
    let tail = 0.5 * (1.0 - level);
    (output.quantiles(tail), output.quantiles(1.0 - tail))
}

fn check_levels(levels: &[f64]) -> Result<()> {
    if let Some(level) = levels.iter().find(|&&level| !(level > 0.0 && level < 1.0)) {
        return Err(Error::config("levels", format!("{level} must be above 0 and below 1")));
    }
    if levels.is_empty() || levels.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(Error::config("levels", "wanted one or more, ascending"));
    }
    Ok(())
}

/// The smallest score that `ceil((n + 1) level)` of `n` scores do not exceed.
fn quantile(mut scores: Vec<f64>, level: f64) -> Result<f64> {
    let count = scores.len();
    // The rank of exact arithmetic: 100 x 0.55 is 55, though the rounded product is larger.
    let up = |x: f64| libm::ceil(x - 1e-9);
    let rank = up((count + 1) as f64 * level) as usize;
    if rank == 0 || rank > count {
        let needed = up(level / (1.0 - level));
        let text = format!(
            "{count} known points are too few for the level {level}, which needs {needed} (use more \
             validation rows or a lower level)"
        );
        return Err(Error::input(text));
    }
    scores.sort_unstable_by(f64::total_cmp);
    Ok(scores[rank - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_the_corrected_one_and_needs_enough_points() {
        let scores: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(quantile(scores.clone(), 0.8).unwrap(), 8.0);
        assert_eq!(quantile(scores.clone(), 0.9).unwrap(), 9.0);
        let hundred: Vec<f64> = (1..=99).map(f64::from).collect();
        assert_eq!(quantile(hundred, 0.55).unwrap(), 55.0);
        assert!(quantile(vec![0.0; 4], 0.8).is_ok());
        let text = quantile(scores, 0.95).unwrap_err().to_string();
        assert!(text.contains("9 known points") && text.contains("needs 19"), "{text}");
    }

    #[test]
    fn a_wider_level_holds_the_narrower_one() {
        let mut output = Prediction::default();
        output.numbers.push(5.0);
        let interval = |level, offset| CalibratedInterval { level, offsets: vec![offset] };
        let calibration = Calibration {
            fitted_on: String::new(),
            windows: 1,
            intervals: vec![interval(0.5, 2.0), interval(0.8, 1.0), interval(0.9, -3.0)],
        };
        for index in 0..3 {
            assert_eq!(calibration.apply(&output, index), (vec![3.0], vec![7.0]));
        }
    }
}
