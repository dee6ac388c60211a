//! The result of an evaluation: JSON for scripts, a table for people.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::by_series::{SeriesMean, SeriesMetrics};
use super::coherence::Coherence;
use super::metrics::{DataUnits, Metrics, PartMetrics};
use super::probabilistic::ProbabilisticScores;
use super::verdict::{Best, Compared, Measure, Verdict, number};

/// A model's scores beside those of the baselines, and the data that they were measured on.
///
/// As JSON the model's [`Metrics`] lie at the top level (`mse`, `mae`, `correlation`, `windows`,
/// ...), and `baselines` is a list of objects with `name` and either the same keys or `reason`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Name of the data set.
    pub dataset: String,
    /// Which part of it was scored: `train`, `validation` or `test`.
    pub split: String,
    /// Past steps per window.
    pub context_length: usize,
    /// Past steps that are enough for a forecast: fewer where the parts of a forecaster see different lengths, some of them
    /// all rows before a forecast. 0 in a file of before there was the field.
    #[serde(default)]
    pub wanted_rows: usize,
    /// Future steps per window.
    pub prediction_length: usize,
    /// Time that the model's own pass took, in seconds.
    pub seconds: f64,
    /// The model's scores.
    #[serde(flatten)]
    pub model: Metrics,
    /// Names of the channels scored, in the order of [`Metrics::per_channel`]; may be empty.
    #[serde(default)]
    pub channel_names: Vec<String>,
    /// The baselines, in the order in which they were scored.
    #[serde(default)]
    pub baselines: Vec<BaselineScore>,
    /// The model beside the best baseline ([`Evaluation::judge`]); `None` without baselines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Scores of the intervals and quantiles, where the forecast has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilistic: Option<ProbabilisticScores>,
    /// Difference between summed steps and forecast segment sums, with the hierarchical head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coherence: Option<Coherence>,
    /// What the numbers of the table mean, in a sentence or two; not in files.
    #[serde(skip)]
    pub legend: String,
}

/// One baseline by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BaselineScore {
    /// `repeat_last`, `seasonal_naive`, `drift`, `theta` or `ridge`.
    pub name: String,
    /// Its scores, or why there are none.
    #[serde(flatten)]
    pub outcome: BaselineOutcome,
}

/// Whether a baseline was scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "there are five of them in an evaluation")]
pub enum BaselineOutcome {
    /// Scored on the same windows as the model.
    Scored(Metrics),
    /// Not scored, because these data do not allow it.
    NotScored {
        /// Why, in a sentence.
        reason: String,
    },
}

impl Evaluation {
    /// Renders the scores as aligned columns for a terminal, with a line break at the end.
    ///
    /// Lists steps and channels where the metrics hold them. A dash is a score that is not
    /// defined.
    pub fn table(&self) -> String {
        let Self { dataset, split, .. } = self;
        let (windows, points) = (self.model.windows, self.model.points);
        let mut text = format!(
            "{dataset}, {split}: every one of {windows} windows, {} steps, {points} points, {:.1} s\n\n",
            self.lengths(),
            self.seconds
        );
        let mut rows = vec![row("model", totals(&self.model))];
        let mut notes = String::new();
        for BaselineScore { name, outcome } in &self.baselines {
            match outcome {
                BaselineOutcome::Scored(metrics) => rows.push(row(name, totals(metrics))),
                BaselineOutcome::NotScored { reason } => {
                    writeln!(notes, "{name}: not scored: {reason}")
                        .expect("writing to a string does not fail");
                }
            }
        }
        mark_best(&mut rows);
        text.push_str(&aligned("", &rows));
        if !self.legend.is_empty() {
            text.push_str(&format!("{}\n", self.legend));
        }
        text.push_str(&self.series_means());
        text.push_str(&self.in_data_units());
        if let Some(verdict) = &self.verdict {
            text.push_str(&format!("\n{}\n", verdict.sentence));
        }
        if !notes.is_empty() {
            text.push('\n');
            text.push_str(&notes);
        }
        if let Some(scores) = &self.probabilistic {
            text.push('\n');
            text.push_str(&scores.table());
        }
        if let Some(coherence) = &self.coherence {
            writeln!(
                text,
                "\nsteps and segment sums differ by {:.4} a step (rms), {:.2} % of the sums",
                coherence.rmse,
                100.0 * coherence.relative
            )
            .expect("writing to a string does not fail");
        }
        if let Some(parts) = &self.model.per_channel {
            let name = |i: usize| self.channel_names.get(i).cloned();
            text.push_str(&part_table("channel", parts, |i| {
                name(i).unwrap_or_else(|| i.to_string())
            }));
        }
        if let Some(parts) = &self.model.per_step {
            text.push_str(&part_table("step", parts, |i| (i + 1).to_string()));
        }
        if let Some(series) = &self.model.per_series {
            let scores = |one: &SeriesMetrics| [one.mse, one.mae, None, one.mase, None, None, None];
            let rows: Vec<Row> = series.iter().map(|one| row(&one.id, scores(one))).collect();
            text.push_str(&format!("\n{}", aligned("series", &rows)));
        }
        text
    }

    /// Past and future steps of a window: `512 -> 96`, or `up to 144 -> 12`.
    #[must_use]
    pub fn lengths(&self) -> String {
        let Self { context_length: context, prediction_length, wanted_rows, .. } = self;
        let up_to = if (1..*context).contains(wanted_rows) { "up to " } else { "" };
        format!("{up_to}{context} -> {prediction_length}")
    }

    /// Compares the model with the best baseline.
    /// Resampled are whole series where there are at least 10, otherwise blocks of consecutive windows.
    /// `None` without baselines; a report that was read from JSON has no errors of units, and so no
    /// interval.
    pub fn judge(&self, measure: Measure) -> Option<Verdict> {
        let scored = self.baselines.iter().filter_map(|one| match &one.outcome {
            BaselineOutcome::Scored(metrics) => Some((one.name.as_str(), metrics)),
            BaselineOutcome::NotScored { .. } => None,
        });
        let scored: Vec<(&str, &Metrics)> = scored.collect();
        let all: Vec<&Metrics> = std::iter::once(&self.model)
            .chain(scored.iter().map(|(_, metrics)| *metrics))
            .collect();
        let score = measure.score(&all);
        let error = |metrics: &Metrics| score.of(metrics).unwrap_or(metrics.mae);
        let &(name, best) = scored.iter().min_by(|a, b| error(a.1).total_cmp(&error(b.1)))?;
        let [own, best] = [&self.model, best]
            .map(|metrics| Compared { error: error(metrics), units: &metrics.units });
        let all = scored.len() == self.baselines.len();
        Some(Verdict::new(&own, &best, Best { name, all }, score))
    }

    /// Errors in data units, where logarithms were forecast.
    fn in_data_units(&self) -> String {
        let Some(own) = self.model.data_units else { return String::new() };
        let scores = |DataUnits { mae, rmse }: DataUnits| {
            [None, Some(mae), Some(rmse), None, None, None, None]
        };
        let mut rows = vec![row("model", scores(own))];
        for BaselineScore { name, outcome } in &self.baselines {
            if let BaselineOutcome::Scored(Metrics { data_units: Some(found), .. }) = outcome {
                rows.push(row(name, scores(*found)));
            }
        }
        mark_best(&mut rows);
        format!("\n{}", aligned("in data units", &rows))
    }

    /// The scores of a long table as means over its series.
    fn series_means(&self) -> String {
        let Some(mean) = self.model.series_mean else { return String::new() };
        let scores = |mean: &SeriesMean, mase| {
            [Some(mean.mse), Some(mean.mae), None, mase, None, None, None]
        };
        let mut rows = vec![row("model", scores(&mean, self.model.mase))];
        for BaselineScore { name, outcome } in &self.baselines {
            if let BaselineOutcome::Scored(Metrics { series_mean: Some(mean), mase, .. }) = outcome
            {
                rows.push(row(name, scores(mean, *mase)));
            }
        }
        mark_best(&mut rows);
        format!("\n{}", aligned(&format!("mean over {} series", mean.series), &rows))
    }
}

const COLUMNS: [&str; 7] = ["MSE", "MAE", "RMSE", "MASE", "sMAPE %", "MAPE %", "correlation"];

type Row = [String; 8];

fn totals(metrics: &Metrics) -> [Option<f64>; 7] {
    let Metrics { mse, mae, rmse, mase, smape, mape, correlation, .. } = *metrics;
    [Some(mse), Some(mae), Some(rmse), mase, smape, mape, correlation]
}

fn part_table(title: &str, parts: &[PartMetrics], name: impl Fn(usize) -> String) -> String {
    let scores = |part: &PartMetrics| {
        [part.mse, part.mae, part.rmse, part.mase, None, None, part.correlation]
    };
    let numbered = parts.iter().enumerate();
    let rows: Vec<Row> = numbered.map(|(i, part)| row(&name(i), scores(part))).collect();
    format!("\n{}", aligned(title, &rows))
}

fn row(name: &str, scores: [Option<f64>; 7]) -> Row {
    let [a, b, c, d, e, f, g] = scores.map(number);
    [name.to_owned(), a, b, c, d, e, f, g]
}

/// Marks the best cell of each column with a star, where there are several rows; the others get a space,
/// so that the numbers stay below each other. Of equal cells all are marked.
fn mark_best(rows: &mut [Row]) {
    if rows.len() < 2 {
        return;
    }
    for (column, name) in COLUMNS.iter().enumerate().map(|(i, name)| (i + 1, *name)) {
        let best = best_rows(name, rows.iter().map(|row| row[column].parse().ok()));
        for (number, row) in rows.iter_mut().enumerate().filter(|(_, row)| row[column] != "-") {
            row[column].push(if best.contains(&number) { '*' } else { ' ' });
        }
    }
}

/// Numbers of the rows that are best in a metric of this name: the largest correlation, the smallest
/// error. `None` is a score that is not defined.
pub fn best_rows(metric: &str, scores: impl Iterator<Item = Option<f64>>) -> Vec<usize> {
    let sign = if metric.eq_ignore_ascii_case("correlation") { -1.0 } else { 1.0 };
    let scores: Vec<Option<f64>> = scores.map(|score| score.map(|score| sign * score)).collect();
    let best = scores.iter().flatten().copied().min_by(f64::total_cmp);
    (0..scores.len()).filter(|&row| best.is_some() && scores[row] == best).collect()
}

/// Names to the left, numbers to the right; a column of dashes is left out.
fn aligned(title: &str, rows: &[Row]) -> String {
    let kept: Vec<usize> =
        (1..=COLUMNS.len()).filter(|&column| rows.iter().any(|row| row[column] != "-")).collect();
    let width = |column: usize, head: &str| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(head.len())
    };
    let first = width(0, title);
    let mut text = format!("{title:first$}");
    for &column in &kept {
        let head = COLUMNS[column - 1];
        text.push_str(&format!("  {head:>width$}", width = width(column, head)));
    }
    for row in rows {
        text.push_str(&format!("\n{:first$}", row[0]));
        for &column in &kept {
            let width = width(column, COLUMNS[column - 1]);
            text.push_str(&format!("  {:>width$}", row[column]));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(mse: f64) -> Metrics {
        Metrics {
            mse,
            mae: 0.25,
            rmse: mse.sqrt(),
            mase: None,
            smape: None,
            mape: None,
            correlation: Some(0.5),
            windows: 3,
            series_mean: None,
            points: 12,
            per_step: None,
            per_channel: None,
            per_series: None,
            data_units: None,
            units: Default::default(),
        }
    }

    fn evaluation() -> Evaluation {
        let mut evaluation = Evaluation {
            verdict: None,
            probabilistic: None,
            coherence: None,
            legend: String::new(),
            dataset: "ETTh2".to_owned(),
            split: "test".to_owned(),
            context_length: 512,
            wanted_rows: 512,
            prediction_length: 96,
            seconds: 1.25,
            model: metrics(0.25),
            channel_names: vec!["OT".to_owned()],
            baselines: vec![
                BaselineScore {
                    name: "repeat_last".to_owned(),
                    outcome: BaselineOutcome::Scored(metrics(1e9)),
                },
                BaselineScore {
                    name: "ridge".to_owned(),
                    outcome: BaselineOutcome::NotScored { reason: "too few".to_owned() },
                },
            ],
        };
        evaluation.verdict = evaluation.judge(Measure::Mase);
        evaluation
    }

    #[test]
    fn json_has_the_keys_that_scripts_read_and_reads_back() {
        let mut evaluation = evaluation();
        evaluation.model.correlation = None;
        let json = serde_json::to_value(&evaluation).unwrap();
        assert_eq!(json["mse"], 0.25);
        assert_eq!(json["mae"], 0.25);
        assert_eq!(json["windows"], 3);
        assert!(json["correlation"].is_null());
        assert!(json.get("per_step").is_none());
        assert_eq!(json["baselines"][0]["name"], "repeat_last");
        assert_eq!(json["baselines"][0]["mse"], 1e9);
        assert_eq!(json["baselines"][1]["reason"], "too few");
        assert_eq!(json["verdict"]["best_baseline"], "repeat_last");
        assert_eq!(json["verdict"]["relative_difference"], 0.0);
        assert!(json["verdict"]["interval"].is_null(), "{json}");
        let text = json.to_string();
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);
    }

    #[test]
    fn the_table_is_aligned_and_leaves_out_what_nobody_has() {
        let want = "\
ETTh2, test: every one of 3 windows, 512 -> 96 steps, 12 points, 1.2 s

                 MSE     MAE       RMSE  correlation
model         0.2500*  0.2500*     0.5000*       0.5000*
repeat_last  1.000e9  0.2500*  3.162e4       0.5000*

its errors are those of the best baseline that was scored, repeat last (MAE 0.2500 and 0.2500)

ridge: not scored: too few
";
        let want =
            want.replace("3.162e4 ", "31622.7766").replace("31622.7766      ", "31622.7766       ");
        let table = evaluation().table();
        let squeeze = |text: &str| {
            let words: Vec<&str> = text.split_whitespace().collect();
            words.join(" ")
        };
        assert_eq!(squeeze(&table), squeeze(&want));
        let lines: Vec<&str> = table.lines().collect();
        let width = lines[2].chars().count();
        assert!(lines[2..5].iter().all(|line| line.chars().count() == width), "{table}");
    }

    #[test]
    fn the_verdict_names_the_best_baseline() {
        let mut evaluation = evaluation();
        let scored =
            |mase: f64| BaselineOutcome::Scored(Metrics { mase: Some(mase), ..metrics(1.0) });
        evaluation.baselines[0].outcome = scored(2.0);
        evaluation.baselines[1].outcome = scored(0.5);
        let verdict = |mase: f64| {
            let model = Metrics { mase: Some(mase), ..metrics(1.0) };
            Evaluation { model, ..evaluation.clone() }.judge(Measure::Mase).unwrap().sentence
        };
        let text = verdict(0.4);
        assert_eq!(
            text,
            "better than the best baseline, ridge, by 20.0 % (no interval: 0 blocks of windows without common steps, 5 are \
             needed; MASE 0.4000 and 0.5000)"
        );
        assert!(verdict(1.0).contains("worse than the best baseline, ridge, by 100.0 %"));
        assert!(verdict(0.501).starts_with("as good as"));
        let mut percent = evaluation.clone();
        percent.model = Metrics { smape: Some(9.0), mase: Some(1.0), ..metrics(1.0) };
        // Not every baseline has the measure that was wanted.
        let found = percent.judge(Measure::Smape).unwrap();
        assert_eq!((found.measure.as_str(), found.best_baseline.as_str()), ("MASE", "ridge"));
        for (number, baseline) in percent.baselines.iter_mut().enumerate() {
            let smape = Some(10.0 + number as f64);
            baseline.outcome = BaselineOutcome::Scored(Metrics { smape, ..metrics(1.0) });
        }
        let found = percent.judge(Measure::Smape).unwrap();
        assert_eq!(
            (found.measure.as_str(), found.best_baseline.as_str()),
            ("sMAPE", "repeat_last")
        );
        assert!((found.relative_difference.unwrap() + 0.1).abs() < 1e-12);
        evaluation.baselines[1].outcome = scored(0.0);
        let model = Metrics { mase: Some(1.0), ..metrics(1.0) };
        let text =
            Evaluation { model, ..evaluation.clone() }.judge(Measure::Mase).unwrap().sentence;
        assert!(text.contains("makes no error"), "{text}");
        evaluation.baselines.clear();
        assert_eq!(evaluation.judge(Measure::Mase), None);
    }

    #[test]
    fn the_best_row_of_each_metric_is_marked() {
        let scores = [Some(2.0), None, Some(1.0), Some(1.0)];
        assert_eq!(best_rows("MSE", scores.into_iter()), [2, 3]);
        assert_eq!(best_rows("Correlation", scores.into_iter()), [0]);
        assert!(best_rows("MASE", [None, None].into_iter()).is_empty());
    }

    #[test]
    fn parts_are_listed_under_their_names() {
        let mut evaluation = evaluation();
        let part = |mse, points| PartMetrics {
            mse,
            mae: mse,
            rmse: mse,
            mase: None,
            correlation: None,
            points,
        };
        evaluation.model.per_channel = Some(vec![part(Some(0.125), 8), part(None, 0)]);
        evaluation.model.per_step = Some(vec![part(Some(0.5), 8)]);
        let table = evaluation.table();
        let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap();
        assert_eq!(line("OT"), "OT       0.1250  0.1250  0.1250");
        assert_eq!(line("1 "), "1             -       -       -");
        assert!(table.contains("step     MSE"), "{table}");
    }
}
