//! The report of a suite: the same tables as Markdown and as one HTML page, and everything as JSON.

use std::path::Path;

use ptsm::Result;
use ptsm::job::spread;
use ptsm::model_dir::write_json;
use serde_json::json;

use super::outcome::{Outcome, RowOutcome, SeedOutcome, errors, write_page};
use super::suite::{Published, Suite};
use super::tables::{aligned, command, footer, markdown};
use crate::html::{Column, Report, Section, Table};
use crate::run_state::quoted;

/// MSE and MAE.
type Errors = (f64, Option<f64>);

/// Writes `results.json`, `report.md` and `report.html`.
pub(super) fn write(dir: &Path, suite: &Suite, outcomes: &[Outcome]) -> Result<()> {
    let footer = footer(&suite.seeds)?;
    write_json(
        &dir.join("results.json"),
        &json!({"suite": suite, "made_by": footer, "command": command(), "outcomes": outcomes}),
    )?;
    let tables = tables(suite, outcomes);
    let mut text = format!("# {}\n\n", suite.title);
    for paragraph in [suite.about.trim(), NOTE] {
        if !paragraph.is_empty() {
            text += &format!("{paragraph}\n\n");
        }
    }
    text += &format!("```sh\n{}\n```\n\n{footer}.\n", command());
    for (title, table) in &tables {
        text += &format!("\n## {title}\n\n{}", markdown(table));
    }
    write_page(dir, "report.md", &text)?;
    let paragraphs = [suite.about.trim(), NOTE].map(str::to_owned);
    let paragraphs = paragraphs.into_iter().filter(|text| !text.is_empty()).collect();
    let mut sections = vec![Section::text("What this is", paragraphs)];
    sections.extend(tables.into_iter().map(|(title, table)| Section::table(title, table)));
    sections.push(Section::code("Command", command()));
    let report = Report {
        title: suite.title.clone(),
        subtitle: "MSE / MAE in units of the training rows' deviation, lower is better".into(),
        figures: Vec::new(),
        sections,
        footer,
    };
    write_page(dir, "report.html", &report.render()?)
}

const NOTE: &str = "Every window of the test part is scored, the last partial batch included. For \
each data set and horizon a row takes the candidate with the least validation error (mean over \
seeds); only that one is scored on the test part, once.";

/// The table of averages, as text for a terminal.
pub(super) fn summary(suite: &Suite, outcomes: &[Outcome]) -> String {
    aligned(&averages(suite, outcomes))
}

fn tables(suite: &Suite, outcomes: &[Outcome]) -> Vec<(String, Table)> {
    let mut tables = vec![("Averages over the horizons".to_owned(), averages(suite, outcomes))];
    for data in &suite.data {
        if outcomes.iter().any(|outcome| &outcome.data == data) {
            tables.push((data.clone(), by_horizon(suite, outcomes, data)));
        }
    }
    tables.push(("Cost".into(), costs(suite, outcomes)));
    tables.push(("Tried, by validation error".into(), tried(outcomes)));
    tables.push(("To repeat a number".into(), models(outcomes)));
    tables
}

/// Outcomes of a data set, in the order of the horizons.
fn of<'a>(outcomes: &'a [Outcome], data: &str) -> Vec<&'a Outcome> {
    outcomes.iter().filter(|outcome| outcome.data == data).collect()
}

/// Averages over the horizons: rows are forecasters, columns data sets. A cell is empty unless
/// every horizon is there.
fn averages(suite: &Suite, outcomes: &[Outcome]) -> Table {
    let row = |name: String, cell: &dyn Fn(&str) -> Option<Errors>| -> Vec<String> {
        let cells = suite.data.iter().map(|data| text(cell(data)));
        std::iter::once(name).chain(cells).collect()
    };
    let mean = |data: &str, pick: &dyn Fn(&Outcome) -> Option<Errors>| -> Option<Errors> {
        let found: Vec<Errors> = of(outcomes, data).into_iter().map(pick).collect::<Option<_>>()?;
        (found.len() == suite.horizons.len()).then(|| average(&found))
    };
    let ours = suite.rows.iter().enumerate().map(|(i, suite_row)| {
        let pick = |outcome: &Outcome| own(&outcome.rows[i]);
        row(suite_row.name.clone(), &|data| mean(data, &pick))
    });
    let baselines = baseline_names(outcomes).into_iter().map(|name| {
        let pick = |outcome: &Outcome| baseline(outcome, &name);
        row(format!("{name} (ours)"), &|data| mean(data, &pick))
    });
    let published = suite
        .published
        .iter()
        .map(|theirs| row(theirs.name.clone(), &|data| average_of(theirs, data)));
    Table {
        columns: columns("Forecaster", suite.data.iter().cloned()),
        rows: ours.chain(baselines).chain(published).collect(),
        best: Vec::new(),
        note: sources(suite),
    }
}

fn by_horizon(suite: &Suite, outcomes: &[Outcome], data: &str) -> Table {
    let stages = of(outcomes, data);
    let cells = |name: String, pick: &dyn Fn(&Outcome) -> String| -> Vec<String> {
        std::iter::once(name).chain(stages.iter().map(|stage| pick(stage))).collect()
    };
    let mut rows = Vec::new();
    for (i, row) in suite.rows.iter().enumerate() {
        rows.push(cells(row.name.clone(), &|stage| with_spread(&stage.rows[i])));
    }
    for name in baseline_names(outcomes) {
        rows.push(cells(format!("{name} (ours)"), &|stage| text(baseline(stage, &name))));
    }
    for theirs in &suite.published {
        let number = |numbers: Option<&Vec<f64>>, stage: &Outcome| {
            let place = suite.horizons.iter().position(|&h| h == stage.horizon)?;
            numbers.filter(|n| n.len() == suite.horizons.len())?.get(place).copied()
        };
        if theirs.mse.get(data).is_some_and(|numbers| numbers.len() == suite.horizons.len()) {
            rows.push(cells(theirs.name.clone(), &|stage| {
                let mse = number(theirs.mse.get(data), stage);
                text(mse.map(|mse| (mse, number(theirs.mae.get(data), stage))))
            }));
        }
    }
    let titles =
        stages.iter().map(|stage| format!("{} ({} windows)", stage.horizon, stage.windows));
    Table { columns: columns("Forecaster", titles), rows, best: Vec::new(), note: String::new() }
}

fn costs(suite: &Suite, outcomes: &[Outcome]) -> Table {
    let mut rows = Vec::new();
    for data in &suite.data {
        for (i, row) in suite.rows.iter().enumerate() {
            let seeds: Vec<&SeedOutcome> =
                of(outcomes, data).into_iter().flat_map(|stage| &stage.rows[i].seeds).collect();
            if seeds.is_empty() {
                continue;
            }
            let parameters = |pick: fn(&[usize]) -> Option<usize>| {
                let all: Vec<usize> = seeds.iter().map(|seed| seed.parameters).collect();
                pick(&all).unwrap_or_default()
            };
            let seconds: f64 = seeds.iter().map(|seed| seed.training_seconds).sum();
            let fewest =
                seeds.iter().map(|seed| seed.sequences_per_s).fold(f64::INFINITY, f64::min);
            rows.push(vec![
                data.clone(),
                row.name.clone(),
                format!(
                    "{} to {}",
                    parameters(|all| all.iter().min().copied()),
                    parameters(|all| all.iter().max().copied())
                ),
                format!("{:.0}", seconds / suite.seeds.len() as f64),
                format!("{fewest:.0}"),
            ]);
        }
    }
    let mut columns = columns(
        "Data",
        ["Forecaster", "Parameters", "Training s, one seed, all horizons", "Sequences/s, at least"]
            .map(str::to_owned),
    );
    columns[1].numeric = false;
    let note = "The time is that of the models that were picked; candidates that were not picked \
                cost theirs too."
        .into();
    Table { columns, rows, best: Vec::new(), note }
}

fn tried(outcomes: &[Outcome]) -> Table {
    let mut rows = Vec::new();
    for outcome in outcomes {
        for tried in &outcome.tried {
            rows.push(vec![
                format!("{} {}", outcome.data, outcome.horizon),
                tried.row.clone(),
                tried.candidate.clone(),
                format!("{:.4}", tried.validation_mse),
                if tried.picked { "taken".into() } else { String::new() },
            ]);
        }
    }
    let titles = ["Forecaster", "Candidate", "Validation MSE", ""].map(str::to_owned);
    let mut columns = columns("Data", titles);
    [1, 2, 4].into_iter().for_each(|i: usize| columns[i].numeric = false);
    Table { columns, rows, best: Vec::new(), note: String::new() }
}

/// The command that repeats each number of the first seed.
fn models(outcomes: &[Outcome]) -> Table {
    let mut rows = Vec::new();
    for outcome in outcomes {
        for row in &outcome.rows {
            if let Some(seed) = row.seeds.first() {
                rows.push(vec![
                    row.row.clone(),
                    format!(
                        "ptsm evaluate --model {} --data {}",
                        quoted(&seed.model),
                        quoted(Path::new(&outcome.data))
                    ),
                    format!("{:.4} / {:.4}", seed.mse, seed.mae),
                ]);
            }
        }
    }
    let mut columns = columns("Forecaster", ["Command", "gives"].map(str::to_owned));
    columns[1].numeric = false;
    Table { columns, rows, best: Vec::new(), note: String::new() }
}

fn columns(first: &str, rest: impl IntoIterator<Item = String>) -> Vec<Column> {
    std::iter::once(Column::text(first)).chain(rest.into_iter().map(Column::number)).collect()
}

fn sources(suite: &Suite) -> String {
    let of = |row: &Published| format!("{}: {}", row.name, row.source);
    suite.published.iter().map(of).collect::<Vec<_>>().join("; ")
}

fn own(row: &RowOutcome) -> Option<Errors> {
    let (mse, mae) = row.means();
    Some((mse, Some(mae)))
}

fn with_spread(row: &RowOutcome) -> String {
    let all = |of: fn(&SeedOutcome) -> f64| row.seeds.iter().map(of).collect::<Vec<f64>>();
    let ((mse, mse_spread), (mae, mae_spread)) =
        (spread(&all(|seed| seed.mse)), spread(&all(|seed| seed.mae)));
    match row.seeds.len() {
        1 => format!("{mse:.4} / {mae:.4}"),
        _ => format!("{mse:.4} ± {mse_spread:.4} / {mae:.4} ± {mae_spread:.4}"),
    }
}

fn baseline_names(outcomes: &[Outcome]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for baseline in outcomes.iter().flat_map(|outcome| &outcome.baselines) {
        if !names.contains(&baseline.name) {
            names.push(baseline.name.clone());
        }
    }
    names
}

fn baseline(outcome: &Outcome, name: &str) -> Option<Errors> {
    let found = outcome.baselines.iter().find(|baseline| baseline.name == name)?;
    errors(found).map(|(mse, mae)| (mse, Some(mae)))
}

fn average(errors: &[Errors]) -> Errors {
    let mse: Vec<f64> = errors.iter().map(|pair| pair.0).collect();
    let mae: Option<Vec<f64>> = errors.iter().map(|pair| pair.1).collect();
    (spread(&mse).0, mae.map(|mae| spread(&mae).0))
}

fn average_of(theirs: &Published, data: &str) -> Option<Errors> {
    let mean = |numbers: &Vec<f64>| spread(numbers).0;
    Some((mean(theirs.mse.get(data)?), theirs.mae.get(data).map(mean)))
}

fn text(errors: Option<Errors>) -> String {
    match errors {
        None => "-".into(),
        Some((mse, None)) => format!("{mse:.4}"),
        Some((mse, Some(mae))) => format!("{mse:.4} / {mae:.4}"),
    }
}
