//! Scores of intervals and quantiles: coverage, width, weighted quantile loss and CRPS.

use serde::{Deserialize, Serialize};

use super::formulas::pinball;

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
    /// Coverage of every series of a long table, where [`Detail::per_series`](super::Detail) asked for
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_series: Option<Vec<SeriesCoverage>>,
}

/// Coverage of the intervals over one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeriesCoverage {
    /// Name of the series.
    pub id: String,
    /// Points counted.
    pub points: u64,
    /// Share of them that each interval contained, in the order of the levels.
    pub coverage: Vec<f64>,
}

/// How the coverage of one interval differs between series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CoverageBySeries {
    /// Number of series with a known point.
    pub series: usize,
    /// The coverage in the middle.
    pub median: f64,
    /// The coverage that a tenth of the series (rounded up) do not exceed.
    pub worst_tenth: f64,
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
    /// Its coverage by series; `None` for a single series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_series: Option<CoverageBySeries>,
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
    series: Vec<SeriesHeld>,
}

/// Points of one series, and how many of them each interval contained.
#[derive(Debug, Clone)]
struct SeriesHeld {
    id: String,
    held: Vec<u64>,
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
            series: Vec::new(),
        }
    }

    /// Directs the next points to this series too; one without a name has no scores of its own.
    pub fn begin_series(&mut self, id: &str) {
        if !id.is_empty() && self.series.last().is_none_or(|last| last.id != id) {
            let held = vec![0; self.levels.len()];
            self.series.push(SeriesHeld { id: id.to_owned(), held, points: 0 });
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
        let mut series = self.series.last_mut();
        if let Some(series) = &mut series {
            series.points += 1;
        }
        for (i, &(low, high)) in intervals.iter().enumerate() {
            let inside = u64::from(low <= truth && truth <= high);
            self.held[i] += inside;
            self.widths[i] += high - low;
            if let Some(series) = &mut series {
                series.held[i] += inside;
            }
        }
        let Some(quantiles) = quantiles else { return };
        self.quantiles += 1;
        for ((sum, level), quantile) in self.pinball.iter_mut().zip(SCORED_LEVELS).zip(quantiles) {
            *sum += pinball(truth, *quantile, level);
        }
    }

    /// The scores of all points so far; `None` without any.
    pub fn scores(&self) -> Option<ProbabilisticScores> {
        if self.points == 0 {
            return None;
        }
        let count = self.points as f64;
        let per_series = self.per_series();
        let intervals = self.levels.iter().enumerate().map(|(i, &level)| IntervalScore {
            level,
            coverage: self.held[i] as f64 / count,
            width: self.widths[i] / count,
            by_series: by_series(per_series.iter().map(|one| one.coverage[i]).collect()),
        });
        let pinball = self.pinball.iter().sum::<f64>() / SCORED_LEVELS.len() as f64;
        let scored = self.quantiles > 0;
        Some(ProbabilisticScores {
            intervals: intervals.collect(),
            weighted_quantile_loss: (scored && self.truth > 0.0)
                .then(|| 2.0 * pinball / self.truth),
            crps: scored.then(|| 2.0 * pinball / self.quantiles as f64),
            points: self.points,
            per_series: (per_series.len() > 1).then_some(per_series),
        })
    }

    /// The coverage of each series with a point.
    fn per_series(&self) -> Vec<SeriesCoverage> {
        let known = self.series.iter().filter(|series| series.points > 0);
        let coverage = |SeriesHeld { id, held, points }: &SeriesHeld| SeriesCoverage {
            id: id.clone(),
            points: *points,
            coverage: held.iter().map(|&held| held as f64 / *points as f64).collect(),
        };
        known.map(coverage).collect()
    }
}

/// Median and worst tenth of the coverages of several series.
fn by_series(mut coverages: Vec<f64>) -> Option<CoverageBySeries> {
    let series = coverages.len();
    if series < 2 {
        return None;
    }
    coverages.sort_unstable_by(f64::total_cmp);
    let middle = [coverages[(series - 1) / 2], coverages[series / 2]];
    let worst_tenth = coverages[series.div_ceil(10) - 1];
    Some(CoverageBySeries { series, median: 0.5 * (middle[0] + middle[1]), worst_tenth })
}

impl ProbabilisticScores {
    /// The scores as text for a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for IntervalScore { level, coverage, width, by_series } in &self.intervals {
            text += &format!(
                "{:.0} % interval  covers {:.1} %, mean width {width:.4}",
                100.0 * level,
                100.0 * coverage
            );
            if let Some(CoverageBySeries { series, median, worst_tenth }) = by_series {
                text += &format!(
                    "; of {series} series the median {:.1} %, the worst tenth at most {:.1} %",
                    100.0 * median,
                    100.0 * worst_tenth
                );
            }
            text.push('\n');
        }
        if !self.intervals.is_empty() {
            text += "widths in the units of MAE\n";
        }
        if let (Some(loss), Some(crps)) = (self.weighted_quantile_loss, self.crps) {
            text += &format!("weighted quantile loss {loss:.4}, CRPS {crps:.4}\n");
        }
        text += &self.series_table();
        text
    }

    /// Coverage of every series in percent, where it is listed.
    fn series_table(&self) -> String {
        let Some(series) = &self.per_series else { return String::new() };
        let widest = series.iter().map(|one| one.id.chars().count()).max().unwrap_or_default();
        let first = widest.max("coverage %".len());
        let line = |name: &str, cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("  {cell:>6}")).collect();
            format!("\n{name:first$}{}", cells.concat())
        };
        let levels = self.intervals.iter();
        let levels = levels.map(|interval| format!("{:.0} %", 100.0 * interval.level));
        let mut text = line("coverage %", levels.collect());
        for SeriesCoverage { id, coverage, .. } in series {
            text += &line(id, coverage.iter().map(|x| format!("{:.1}", 100.0 * x)).collect());
        }
        text.push('\n');
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

    #[test]
    fn coverage_is_that_of_all_points_of_the_median_and_of_the_worst_series() {
        let mut sums = ProbabilisticSums::new(&[0.8]);
        // Series number k has k of ten points inside.
        for series in 0..11 {
            sums.begin_series(&format!("s{series}"));
            for point in 0..10 {
                let truth = if point < series { 0.5 } else { 2.0 };
                sums.push(truth, &[(0.0, 1.0)], None);
            }
        }
        let scores = sums.scores().unwrap();
        let found = scores.intervals[0].by_series.unwrap();
        assert_eq!((found.series, found.median, found.worst_tenth), (11, 0.5, 0.1));
        assert_eq!(scores.intervals[0].coverage, 0.5);
        assert_eq!(scores.per_series.as_ref().unwrap()[3].coverage, [0.3]);
        let table = scores.table();
        assert!(table.contains("of 11 series the median 50.0 %, the worst tenth at most 10.0 %"));
        assert!(table.contains("\ns3            30.0"), "{table}");
    }
}
