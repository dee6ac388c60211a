//! The result of a backtest: scores of every forecaster, comparisons, and what the scores do not say.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::metrics::BacktestMetrics;
use super::origins::Origins;
use crate::evaluate::{PairedComparison, best_rows, number};

/// The scores of a backtest. As JSON, `models` and `baselines` are lists of objects with `name`, `overall`,
/// `by_cutoff`, `by_step` and `by_series`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BacktestReport {
    /// Name of the data.
    pub dataset: String,
    /// Cutoffs, their distance, and steps that are forecast.
    #[serde(flatten)]
    pub origins: Origins,
    /// Steps of the season that scores and the seasonal naive forecast go by; 1 = none.
    pub season: usize,
    /// When models were trained again.
    pub refit: String,
    /// Series with a forecast.
    pub series: usize,
    /// Series that are too short for any cutoff, by name.
    pub left_out: Vec<String>,
    /// Points without a known truth, which count nowhere.
    pub missing: u64,
    /// Every cutoff, the earliest first.
    pub cutoffs: Vec<CutoffReport>,
    /// The models; the first one is that which is tested.
    pub models: Vec<ContestantScores>,
    /// Simple forecasts of the same points.
    pub baselines: Vec<ContestantScores>,
    /// Simple forecasts that were not scored, and why.
    pub not_scored: Vec<String>,
    /// The first model beside each other one and the best simple forecast.
    pub comparisons: Vec<Rival>,
}

/// One cutoff.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CutoffReport {
    /// Rows between it and the end of each series.
    pub rows_before_end: usize,
    /// Time of the last row before the forecast, as the data write it; of several series the earliest. `None`
    /// without times.
    pub first_time: Option<String>,
    /// The latest one.
    pub last_time: Option<String>,
    /// Series that are forecast from it.
    pub series: usize,
    /// Series that have no known value before it.
    pub too_short: usize,
    /// The cutoff before which the models were trained again, by its number from 1; `None` = as they were.
    pub trained_before: Option<usize>,
    /// What the models had seen of the rows that are forecast, in the order of the models.
    pub seen: Vec<Seen>,
}

/// How many forecasts of a cutoff begin in rows that a model has seen in training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Seen {
    /// In the training part: the model was fitted to them.
    pub training: usize,
    /// In the validation part: the model was chosen by them.
    pub validation: usize,
}

/// Scores of one forecaster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContestantScores {
    /// Its name.
    pub name: String,
    /// Over all points.
    pub overall: BacktestMetrics,
    /// Of each cutoff, the earliest first.
    pub by_cutoff: Vec<BacktestMetrics>,
    /// Of each step ahead.
    pub by_step: Vec<BacktestMetrics>,
    /// Of each series with a forecast.
    pub by_series: Vec<NamedMetrics>,
}

/// Scores of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedMetrics {
    /// Its id; empty for a single series.
    pub id: String,
    /// Its scores.
    #[serde(flatten)]
    pub metrics: BacktestMetrics,
}

/// The first model beside another forecaster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rival {
    /// Name of the other one.
    pub with: String,
    /// Whether it is a simple forecast, the best of them by `main`.
    pub is_baseline: bool,
    /// The metric that the sentence goes by.
    pub main: String,
    /// One comparison for each metric that both have.
    pub metrics: Vec<PairedComparison>,
    /// The main one in words.
    pub sentence: String,
}

impl BacktestReport {
    /// The scores as aligned columns for a terminal, with a line break at the end; a dash is a score that is
    /// not defined, a star the best of its column.
    #[must_use]
    pub fn table(&self) -> String {
        let Origins { steps, windows, step } = self.origins;
        let Some(model) = self.models.first() else { return String::new() };
        let mut text = format!(
            "{}: {} cutoffs every {step} rows, {steps} steps, {} series, {} points\n\n",
            self.dataset,
            match self.scored() {
                scored if scored == windows => windows.to_string(),
                scored => format!("{scored} of {windows}"),
            },
            self.series,
            model.overall.points
        );
        let all: Vec<&ContestantScores> = self.models.iter().chain(&self.baselines).collect();
        let rows: Vec<Row> = all.iter().map(|one| Row::of(&one.name, &one.overall)).collect();
        text += &aligned("", rows, true);
        text += "errors in the units of the data; * the best of its column; docs/metrics.md defines them\n";
        for one in &self.models {
            text += &one.intervals(self.models.len() > 1);
        }
        text += &self.seen_note();
        for rival in &self.comparisons {
            text += &format!("\n{}\n", rival.sentence);
        }
        for reason in &self.not_scored {
            text += &format!("\nnot scored: {reason}\n");
        }
        text += &self.by_cutoff(model);
        text
    }

    /// Cutoffs with a forecast.
    fn scored(&self) -> usize {
        self.cutoffs.iter().filter(|cutoff| cutoff.series > 0).count()
    }

    fn by_cutoff(&self, model: &ContestantScores) -> String {
        if self.cutoffs.len() < 2 {
            return String::new();
        }
        let name = |cutoff: &CutoffReport| match (&cutoff.first_time, &cutoff.last_time) {
            (Some(first), Some(last)) if first != last => format!("{first} ... {last}"),
            (Some(first), _) => first.clone(),
            _ => format!("{} rows before the end", cutoff.rows_before_end),
        };
        let rows =
            self.cutoffs.iter().zip(&model.by_cutoff).filter(|(cutoff, _)| cutoff.series > 0);
        let rows = rows.map(|(cutoff, metrics)| {
            let mut row = Row::of(&name(cutoff), metrics);
            let mark = match cutoff.seen.first() {
                Some(seen) if seen.training > 0 => " (trained on)",
                Some(seen) if seen.validation > 0 => " (validated by)",
                _ => "",
            };
            row.name += mark;
            row
        });
        format!("\n{}", aligned(&format!("{} from cutoff", model.name), rows.collect(), false))
    }

    /// Which cutoffs say little, because a model has seen the rows after them; empty if none.
    #[must_use]
    pub fn seen_note(&self) -> String {
        let mut text = String::new();
        for (number, model) in self.models.iter().enumerate() {
            let of = |pick: fn(&Seen) -> usize| {
                let seen = self.cutoffs.iter().filter_map(|cutoff| cutoff.seen.get(number));
                seen.filter(|seen| pick(seen) > 0).count()
            };
            let (training, validation) = (of(|seen| seen.training), of(|seen| seen.validation));
            if training + validation == 0 {
                continue;
            }
            let count = self.cutoffs.len();
            let mut parts = Vec::new();
            if training > 0 {
                parts.push(format!(
                    "{training} of {count} cutoffs lie in rows that it was trained on"
                ));
            }
            if validation > 0 {
                parts.push(format!("{validation} of {count} in rows that it was chosen by"));
            }
            writeln!(
                text,
                "\n{}: {}, so its scores there are not those of an unseen future; a refit before \
                 each cutoff gives such",
                model.name,
                parts.join(", ")
            )
            .expect("writing to a string does not fail");
        }
        text
    }
}

impl ContestantScores {
    /// Coverage and losses of the intervals, a line each.
    fn intervals(&self, named: bool) -> String {
        let mut text = String::new();
        let name = if named { format!("{}: ", self.name) } else { String::new() };
        for one in &self.overall.intervals {
            writeln!(
                text,
                "{name}{:.0} % interval  covers {:.1} %, mean width {}, MSIS {}",
                100.0 * one.level,
                100.0 * one.coverage,
                number(Some(one.width)),
                number(one.msis)
            )
            .expect("writing to a string does not fail");
        }
        if self.overall.pinball.is_some() {
            let BacktestMetrics { pinball, wql, crps, .. } = self.overall;
            let levels = self.overall.quantiles.iter().map(|one| short(one.level));
            let crps = match crps {
                Some(_) => format!(", CRPS {}", number(crps)),
                None => String::new(),
            };
            writeln!(
                text,
                "{name}pinball {}, weighted quantile loss {}{crps} (levels {})",
                number(pinball),
                number(wql),
                levels.collect::<Vec<_>>().join(" ")
            )
            .expect("writing to a string does not fail");
        }
        if text.is_empty() { text } else { format!("\n{text}") }
    }
}

/// A level without the rounding of its computation.
fn short(level: f64) -> String {
    ((level * 1e9).round() / 1e9).to_string()
}

/// A row of a table.
struct Row {
    name: String,
    scores: Vec<(&'static str, Option<f64>)>,
}

impl Row {
    fn of(name: &str, metrics: &BacktestMetrics) -> Self {
        Self { name: name.to_owned(), scores: metrics.points_table().to_vec() }
    }
}

/// Names to the left, numbers to the right; a column of dashes is left out.
fn aligned(title: &str, rows: Vec<Row>, marked: bool) -> String {
    let names = rows.iter().map(|row| row.name.chars().count());
    let first = names.max().unwrap_or(0).max(title.chars().count());
    let mut lines: Vec<String> = vec![format!("{title:first$}")];
    lines.extend(rows.iter().map(|row| format!("{:first$}", row.name)));
    let columns = rows.first().map_or(0, |row| row.scores.len());
    for column in 0..columns {
        let head = rows[0].scores[column].0;
        let values: Vec<Option<f64>> = rows.iter().map(|row| row.scores[column].1).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        // Of cells that look the same all are the best.
        let shown = |value: &Option<f64>| number(*value).parse::<f64>().ok();
        let best = best_rows(head, values.iter().map(shown));
        let cell = |(row, value): (usize, &Option<f64>)| {
            let star = match (marked && rows.len() > 1, best.contains(&row) && value.is_some()) {
                (true, true) => "*",
                (true, false) => " ",
                (false, _) => "",
            };
            format!("{}{star}", number(*value))
        };
        let cells: Vec<String> = values.iter().enumerate().map(cell).collect();
        let widest = cells.iter().map(String::len).max().unwrap_or(0).max(head.len());
        let cells = std::iter::once(head).chain(cells.iter().map(String::as_str));
        for (line, cell) in lines.iter_mut().zip(cells) {
            line.push_str(&format!("  {cell:>widest$}"));
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}
