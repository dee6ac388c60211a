//! Scores of intervals and quantiles: coverage, width, weighted quantile loss and CRPS.

use serde::{Deserialize, Serialize};

/// Levels of the quantiles that are scored.
pub const SCORED_LEVELS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Scores of a forecast's quantiles over all known points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProbabilisticScores {
    /// Central intervals.
    pub intervals: Vec<IntervalScore>,
    /// Weighted quantile loss: twice the summed pinball loss over the summed absolute truth, the
    /// mean over the scored levels; `None` if every known truth is 0, or quantiles are not scored.
    pub weighted_quantile_loss: Option<f64>,
    /// Continuous ranked probability score, as twice the mean pinball loss over the scored levels,
    /// in the units of the truth.
    pub crps: Option<f64>,
    /// Points counted.
    pub points: u64,
}

/// Scores of one central interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntervalScore {
    /// Nominal probability of the interval.
    pub level: f64,
    /// Share of the known points that it contained.
    pub coverage: f64,
    /// Its mean width, in the units of the truth.
    pub width: f64,
}

/// Running sums of the scores, added point by point in double precision.
#[derive(Debug, Clone)]
pub struct ProbabilisticSums {
    levels: Vec<f64>,
    held: Vec<u64>,
    widths: Vec<f64>,
    pinball: [f64; SCORED_LEVELS.len()],
    quantiles: u64,
    truth: f64,
    points: u64,
}

impl ProbabilisticSums {
    /// Empty sums; `levels` are those of the intervals.
    pub fn new(levels: &[f64]) -> Self {
        Self {
            levels: levels.to_vec(),
            held: vec![0; levels.len()],
            widths: vec![0.0; levels.len()],
            pinball: [0.0; SCORED_LEVELS.len()],
            quantiles: 0,
            truth: 0.0,
            points: 0,
        }
    }

    /// Adds one known point: the truth, its intervals, and its quantiles at [`SCORED_LEVELS`],
    /// where the forecast has any.
    pub fn push(
        &mut self,
        truth: f64,
        intervals: &[(f64, f64)],
        quantiles: Option<&[f64; SCORED_LEVELS.len()]>,
    ) {
        self.points += 1;
        self.truth += truth.abs();
        for (i, &(low, high)) in intervals.iter().enumerate() {
            self.held[i] += u64::from(low <= truth && truth <= high);
            self.widths[i] += high - low;
        }
        let Some(quantiles) = quantiles else { return };
        self.quantiles += 1;
        for ((sum, level), quantile) in self.pinball.iter_mut().zip(SCORED_LEVELS).zip(quantiles) {
            let error = truth - quantile;
            *sum += error * if error < 0.0 { level - 1.0 } else { level };
        }
    }

    /// The scores of all points so far; `None` without any.
    pub fn scores(&self) -> Option<ProbabilisticScores> {
        if self.points == 0 {
            return None;
        }
        let count = self.points as f64;
        let intervals = self.levels.iter().enumerate().map(|(i, &level)| IntervalScore {
            level,
            coverage: self.held[i] as f64 / count,
            width: self.widths[i] / count,
        });
        let pinball = self.pinball.iter().sum::<f64>() / SCORED_LEVELS.len() as f64;
        let scored = self.quantiles > 0;
        Some(ProbabilisticScores {
            intervals: intervals.collect(),
            weighted_quantile_loss: (scored && self.truth > 0.0)
                .then(|| 2.0 * pinball / self.truth),
            crps: scored.then(|| 2.0 * pinball / self.quantiles as f64),
            points: self.points,
        })
    }
}

impl ProbabilisticScores {
    /// The scores as text for a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for IntervalScore { level, coverage, width } in &self.intervals {
            text += &format!(
                "{:.0} % interval  covers {:.1} %, mean width {width:.4}\n",
                100.0 * level,
                100.0 * coverage
            );
        }
        if let (Some(loss), Some(crps)) = (self.weighted_quantile_loss, self.crps) {
            text += &format!("weighted quantile loss {loss:.4}, CRPS {crps:.4}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_width_and_losses_are_those_worked_out_by_hand() {
        let mut sums = ProbabilisticSums::new(&[0.8]);
        sums.push(1.0, &[(0.0, 2.0)], Some(&[1.0; 9]));
        sums.push(-3.0, &[(0.0, 1.0)], Some(&[-1.0; 9]));
        let scores = sums.scores().unwrap();
        assert_eq!(scores.intervals[0].coverage, 0.5);
        assert_eq!(scores.intervals[0].width, 1.5);
        // The second truth is 2 below all quantiles: the pinball losses are 2 (1 - level).
        assert!((scores.crps.unwrap() - 2.0 * (2.0 * 0.5) / 2.0).abs() < 1e-12);
        assert!((scores.weighted_quantile_loss.unwrap() - 2.0 * 1.0 / 4.0).abs() < 1e-12);
        assert!(ProbabilisticSums::new(&[]).scores().is_none());
    }
}
