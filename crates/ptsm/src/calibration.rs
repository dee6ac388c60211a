//! Split-conformal calibration of prediction intervals, for any forecasting head: on new data an
//! interval contains the truth as often as its level states, in each series and at each step.
//!
//! On windows that training did not see, the conformity score of a point is how far the truth lies
//! outside the head's own interval, `max(low - y, y - high)` (negative inside; a point forecast has
//! an interval of width 0), divided by the difficulty of its window ([`Difficulty`]), which is known
//! when the forecast is made. The interval is then widened, or narrowed, by the difficulty times the
//! score that `ceil((n + 1) level) / n` of these points stay below. So a series of large changes has
//! wide intervals and a calm one narrow ones, and k times the rows have intervals k times as wide.
//!
//! Sources: Romano, Patterson, Candes: Conformalized Quantile Regression, 2019 (arXiv 1905.03222);
//! scores divided by a difficulty: Papadopoulos, Gammerman, Vovk: Normalized nonconformity measures
//! for regression conformal prediction, 2008; by the head's own width: Sesia, Candes: A comparison of
//! some conformal quantile regression methods, 2020 (arXiv 1909.05433).
//!
//! | file | holds |
//! |---|---|
//! | `band.rs` | both ends of an interval |
//! | `difficulty.rs` | what scores are divided by |
//! | `scores.rs` | from scores to widths, also where there are few of them |

mod band;
mod difficulty;
mod scores;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::model_dir::ModelDir;
use crate::train::Samples;
use crate::{Error, ErrorKind, Result};
use ptsm_core::Config;
use ptsm_core::{OutputKind, Prediction, Session};
use ptsm_core::{read_listed_text, write_listed};

pub use band::Band;
pub use difficulty::Difficulty;
use difficulty::{Raw, typical, usable};
pub use scores::Pooling;
use scores::{Scored, Scores};

/// Windows per forward pass.
const BATCH: usize = 64;

/// Version of the file's form that this program writes.
const VERSION: u32 = 2;

fn first_version() -> u32 {
    1
}

/// The widths of the prediction intervals of a model, for each level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Version of the form. In the first one, offsets were in standardised units for every window
    /// ([`Difficulty::Unit`]).
    #[serde(default = "first_version")]
    pub version: u32,
    /// Names the windows that the widths were fitted on, for reports.
    pub fitted_on: String,
    /// Number of those windows.
    pub windows: usize,
    /// What the widths are multiples of.
    #[serde(default)]
    pub difficulty: Difficulty,
    /// One entry per level, ascending.
    pub intervals: Vec<CalibratedInterval>,
}

/// The widths of one central interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibratedInterval {
    /// Probability that the interval contains the truth.
    pub level: f64,
    /// `[H, C']`: times the difficulty of a window added to the upper end and subtracted from the
    /// lower one.
    // Under another name than in the first version, so that a program of then refuses the file.
    #[serde(rename = "multiples", alias = "offsets")]
    pub multiples: Vec<f64>,
    /// `[C']`: the median difficulty of the windows fitted on, standardised units; that of a window
    /// that does not show it, and a thousand times the smallest one that is used. Empty with
    /// [`Difficulty::Unit`].
    #[serde(default)]
    pub typical: Vec<f64>,
    /// Which scores each multiple was taken from.
    #[serde(default)]
    pub pooling: Pooling,
    /// Number of those scores; where they differ, the smallest one.
    #[serde(default)]
    pub points: usize,
}

/// What is calibrated, and on what.
#[derive(Debug, Clone)]
pub struct CalibrationOptions<'a> {
    /// Names the windows in reports.
    pub name: &'a str,
    /// Probabilities of the central intervals, each in (0, 1), ascending.
    pub levels: &'a [f64],
    /// Steps of a season; 1 = none.
    pub season: usize,
}

impl Calibration {
    /// Fits the widths of central intervals for every step and channel. Where a step has too few known
    /// points for a level, the scores of all steps, or of all channels too, are taken together; where
    /// even those are too few, the interval is that of Student's t ([`Pooling`]).
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for an impossible level; `InvalidInput` if no point is known, or windows do
    /// not fit the model.
    pub fn fit(
        config: &Config,
        session: &mut dyn Session,
        windows: &dyn Samples,
        options: &CalibrationOptions<'_>,
    ) -> Result<Self> {
        check_levels(options.levels)?;
        let difficulty = Difficulty::of(&OutputKind::of(config)?, options.season);
        // A point forecast is its own interval at every level, so its scores are the same for all.
        let distinct = match difficulty {
            Difficulty::Width => options.levels,
            _ => &options.levels[..1],
        };
        let channels = config.prediction_channels();
        let empty = Scores::new(config.prediction_length, channels.len());
        let mut scores: Vec<Scores> = vec![empty; distinct.len()];
        let mut output = Prediction::default();
        let indices: Vec<usize> = (0..windows.len()).collect();
        for part in indices.chunks(BATCH) {
            let batch = windows.batch(part);
            session.forward(&batch, &mut output)?;
            let raw = difficulty.of_windows(&batch, &channels);
            for (&level, scores) in distinct.iter().zip(&mut scores) {
                let band = interval(&output, level);
                let each = |i| difficulty.at(&raw, &band, i, scores.per_window());
                let found = known_points(&batch, &channels, &band, each);
                found.into_iter().for_each(|(place, scored)| scores.push(place, scored));
            }
        }
        let fitted = options.levels.iter().enumerate().map(|(number, &level)| {
            let scores = &scores[number.min(scores.len() - 1)];
            fit_level(scores, difficulty, level, windows.len())
        });
        Ok(Self {
            version: VERSION,
            fitted_on: options.name.to_owned(),
            windows: windows.len(),
            difficulty,
            intervals: fitted.collect::<Result<_>>()?,
        })
    }

    /// The calibrated intervals of a batch and of the output of a head for it, one for each level, in
    /// the units of the batch. The interval of a higher level contains that of every lower one.
    pub fn bands(&self, batch: &Batch, output: &Prediction) -> Vec<Band> {
        let raw = self.difficulty.of_windows(batch, output.spec().channels());
        let mut found: Vec<Band> = Vec::with_capacity(self.intervals.len());
        for interval in &self.intervals {
            let own = self::interval(output, interval.level);
            let mut band = interval.widened(self.difficulty, &raw, own);
            if let Some(inner) = found.last() {
                band.cover(inner);
            }
            found.push(band);
        }
        found
    }

    /// Reads the calibration of a model directory; `None` if there is none. One of the first version
    /// gives the intervals that it gave then.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be read, `InvalidConfig` if it is damaged, of a later version, or does not
    /// fit the model.
    pub fn from_dir(dir: &Path, config: &Config) -> Result<Option<Self>> {
        let path = ModelDir::new(dir).calibration();
        let Some(text) = read_listed_text(&path)? else { return Ok(None) };
        let bad =
            |text: &str| Error::new(ErrorKind::InvalidConfig, text).at(path.display().to_string());
        let found: Self = serde_json::from_str(&text)
            .map_err(|e| bad("is not a calibration (repeat ptsm calibrate)").because(e))?;
        if found.version > VERSION {
            let text = format!(
                "is of version {}, this program reads up to {VERSION} (repeat ptsm calibrate)",
                found.version
            );
            return Err(bad(&text));
        }
        let channels = config.prediction_channels().len();
        match found.fits(config.prediction_length * channels, channels) {
            true => Ok(Some(found)),
            false => Err(bad("does not fit the model (repeat ptsm calibrate)")),
        }
    }

    /// Whether it is for this many points of a window and channels.
    fn fits(&self, points: usize, channels: usize) -> bool {
        let typical = if self.difficulty == Difficulty::Unit { 0 } else { channels };
        self.intervals.iter().all(|interval| {
            let CalibratedInterval { multiples, typical: found, .. } = interval;
            multiples.len() == points
                && multiples.iter().all(|multiple| multiple.is_finite())
                && found.len() == typical
                && found.iter().all(|typical| typical.is_finite() && *typical > 0.0)
        })
    }

    /// Writes the file into a model directory, atomically; where that has checksums, its line is renewed.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|e| Error::internal("the calibration cannot be written").because(e))?;
        write_listed(&ModelDir::new(dir).calibration(), (text + "\n").as_bytes())
    }
}

impl CalibratedInterval {
    /// The head's own interval with this one's multiples of the difficulties.
    fn widened(&self, difficulty: Difficulty, raw: &Raw, own: Band) -> Band {
        let each = self.multiples.len();
        let found: Vec<Option<f64>> =
            (0..own.lower.len()).map(|i| difficulty.at(raw, &own, i, each)).collect();
        let Band { mut lower, mut upper } = own;
        for (i, (low, high)) in lower.iter_mut().zip(&mut upper).enumerate() {
            let scale = match self.typical.len() {
                0 => 1.0,
                channels => usable(found[i], self.typical[i % channels]),
            };
            let offset = self.multiples[i % each] * scale;
            (*low, *high) = (*low - offset, *high + offset);
            if *low > *high {
                // A negative offset may exceed half the width.
                let middle = 0.5 * (*low + *high);
                (*low, *high) = (middle, middle);
            }
        }
        Band { lower, upper }
    }

    /// How the widths were found, in words.
    pub fn method(&self) -> String {
        self.pooling.method(self.points)
    }
}

/// The head's own central interval.
pub(crate) fn interval(output: &Prediction, level: f64) -> Band {
    let tail = 0.5 * (1.0 - level);
    Band { lower: output.quantiles(tail), upper: output.quantiles(1.0 - tail) }
}

/// The known points of a batch, each with its place in `[H, C']`; `difficulty` gives that of point
/// `i` of `[B, H, C']`.
fn known_points(
    batch: &Batch,
    channels: &[usize],
    band: &Band,
    difficulty: impl Fn(usize) -> Option<f64>,
) -> Vec<(usize, Scored)> {
    let each = band.lower.len() / batch.size();
    let truth = batch.future_values().unwrap_or_default();
    let mask = batch.future_observed_mask();
    let mut found = Vec::with_capacity(band.lower.len());
    for (i, (low, high)) in band.lower.iter().zip(&band.upper).enumerate() {
        let from = i / channels.len() * batch.num_channels() + channels[i % channels.len()];
        if mask.is_none_or(|mask| mask[from] != 0.0) {
            let y = f64::from(truth[from]);
            let miss = (low - y).max(y - high) as f32;
            let difficulty = difficulty(i).map_or(f32::NAN, |x| x as f32);
            found.push((i % each, Scored { miss, difficulty }));
        }
    }
    found
}

/// The interval of one level from the scores of points.
fn fit_level(
    scores: &Scores,
    difficulty: Difficulty,
    level: f64,
    windows: usize,
) -> Result<CalibratedInterval> {
    let typical: Vec<f64> = scores.by_channel(typical);
    let fitted = scores.fit(&typical, difficulty, level, windows)?;
    let scores::Fitted { multiples, pooling, points } = fitted;
    Ok(CalibratedInterval { level, multiples, typical, pooling, points })
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

#[cfg(test)]
mod tests;
