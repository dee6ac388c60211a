//! The report of a suite of panels: one table as Markdown and as an HTML page, and everything as JSON.

use std::path::Path;

use ptsm::Result;
use ptsm::evaluate::best_rows;
use ptsm::job::{Metric, RULE};
use ptsm::model_dir::write_json;
use serde_json::json;

use super::scored::{OURS, Scored};
use super::suite::{Panel, PanelSuite, PublishedRow};
use crate::commands::benchmark::outcome::write_page;
use crate::commands::benchmark::tables::{aligned, command, footer, markdown};
use crate::html::{Column, Report, Section, Table};

/// Rows in their order, ours first.
const FORECASTERS: [&str; 6] = [OURS, "repeat_last", "seasonal_naive", "drift", "theta", "ridge"];

const NOTE: &str = "The default forecaster is chosen by the validation part alone and scored on every window of the \
test part, once. Errors are in percent (sMAPE, MAPE) or multiples of the mean change of the training part (MASE); the \
mean over a group is weighted by points. Bold: the best of a column, of those that were computed here.";

/// Writes `results.json`, `report.md` and `report.html`.
pub(super) fn write(dir: &Path, suite: &PanelSuite, all: &[Scored]) -> Result<()> {
    let footer = footer(&suite.seeds)?;
    let value = json!({
        "suite": suite, "made_by": footer, "rule": RULE, "command": command(), "scores": all,
    });
    write_json(&dir.join("results.json"), &value)?;
    let tables = [("Errors", errors(suite, all)), ("What was chosen", chosen(all))];
    let paragraphs = [suite.about.trim(), NOTE].into_iter().filter(|text| !text.is_empty());
    let mut text = format!("# {}\n\n", suite.title);
    paragraphs.clone().for_each(|paragraph| text += &format!("{paragraph}\n\n"));
    text += &format!("```sh\n{}\n```\n\n{footer}. Rule {RULE}.\n", command());
    for (title, table) in &tables {
        text += &format!("\n## {title}\n\n{}", markdown(table));
    }
    write_page(dir, "report.md", &text)?;
    let mut sections = vec![Section::text("What this is", paragraphs.map(str::to_owned).collect())];
    sections.extend(tables.map(|(title, table)| Section::table(title, table)));
    sections.push(Section::code("Command", command()));
    let report = Report {
        title: suite.title.clone(),
        subtitle: "Errors of the default forecaster beside baselines, lower is better".into(),
        figures: Vec::new(),
        sections,
        footer,
    };
    write_page(dir, "report.html", &report.render()?)
}

/// The table as text for a terminal.
pub(super) fn summary(suite: &PanelSuite, all: &[Scored]) -> String {
    aligned(&errors(suite, all))
}

/// Rows are forecasters, columns panels and groups.
fn errors(suite: &PanelSuite, all: &[Scored]) -> Table {
    let columns = suite.columns();
    let numbers = |name: &str| -> Vec<Option<f64>> {
        columns.iter().map(|column| error(suite, all, column, name)).collect()
    };
    let computed: Vec<(&str, Vec<Option<f64>>)> =
        FORECASTERS.iter().map(|&name| (name, numbers(name))).collect();
    let best: Vec<Vec<usize>> = (0..columns.len())
        .map(|column| best_rows("error", computed.iter().map(|(_, row)| row[column])))
        .collect();
    let mut rows = Vec::new();
    for (name, errors) in &computed {
        let cells = errors.iter().map(|error| shown(*error));
        rows.push(std::iter::once(name.replace('_', " ")).chain(cells).collect());
    }
    for PublishedRow { name, errors, .. } in &suite.published {
        let cells = columns.iter().map(|column| shown(errors.get(*column).copied()));
        rows.push(std::iter::once(name.clone()).chain(cells).collect());
    }
    let headed = columns.iter().map(|column| Column::number(heading(suite, column)));
    let sources = suite.published.iter().map(|row| format!("{}: {}", row.name, row.source));
    Table {
        columns: std::iter::once(Column::text("Forecaster")).chain(headed).collect(),
        rows,
        // The names of the forecasters are a column, too.
        best: std::iter::once(Vec::new()).chain(best).collect(),
        note: sources.collect::<Vec<_>>().join("; "),
    }
}

/// The mean over the seeds of a forecaster's error on a panel, or on a group, weighted by points; `None` unless it is
/// known for all.
fn error(suite: &PanelSuite, all: &[Scored], column: &str, name: &str) -> Option<f64> {
    let panels: Vec<&str> = match suite.panels.iter().find(|panel| panel.name == column) {
        Some(panel) => vec![&panel.name],
        None => suite.members(column).map(|panel| panel.name.as_str()).collect(),
    };
    let (mut sum, mut points) = (0.0, 0u64);
    for panel in panels {
        let scored = || all.iter().filter(|one| one.panel == panel);
        if scored().count() < suite.seeds.len() {
            return None;
        }
        for one in scored() {
            sum += one.errors.get(name)? * one.points as f64;
            points += one.points;
        }
    }
    (points > 0).then(|| sum / points as f64)
}

/// The name of a column with its measure.
fn heading(suite: &PanelSuite, column: &str) -> String {
    let member = |panel: &&Panel| panel.name == column || panel.group.as_deref() == Some(column);
    let measure = match suite.panels.iter().find(member).map(|panel| panel.metric) {
        Some(Metric::Smape) => "sMAPE %",
        Some(Metric::Mape) => "MAPE %",
        _ => "MASE",
    };
    format!("{column}, {measure}")
}

fn shown(error: Option<f64>) -> String {
    match error {
        None => "-".into(),
        Some(error) if error < 5.0 => format!("{error:.3}"),
        Some(error) => format!("{error:.2}"),
    }
}

/// What the forecaster of each panel and seed is.
fn chosen(all: &[Scored]) -> Table {
    let row = |one: &Scored| {
        vec![
            format!("{}, seed {}", one.panel, one.seed),
            one.chosen.clone(),
            format!("{:.0}", one.seconds),
        ]
    };
    Table {
        columns: vec![Column::text("Panel"), Column::text("Chosen"), Column::number("Seconds")],
        rows: all.iter().map(row).collect(),
        best: Vec::new(),
        note: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(panel: &str, seed: u64, points: u64, error: f64) -> Scored {
        Scored {
            panel: panel.into(),
            seed,
            model: "m".into(),
            chosen: "Theta 100 %".into(),
            seconds: 1.0,
            points,
            errors: [(OURS.to_owned(), error), ("ridge".to_owned(), 9.0)].into(),
        }
    }

    #[test]
    fn groups_are_weighted_by_points_and_wait_for_all_their_panels() {
        let text = r#"
            title = "t"
            seeds = [0, 1]
            panels = [
                { name = "a", group = "all", metric = "mape", source = { data = "a" } },
                { name = "b", group = "all", metric = "mape", source = { data = "b" } },
            ]
            published = [{ name = "theirs", source = "a paper", errors = { all = 4.5 } }]
        "#;
        let suite = PanelSuite::from_toml(text).unwrap();
        let mut all =
            vec![scored("a", 0, 10, 10.0), scored("a", 1, 10, 20.0), scored("b", 0, 30, 30.0)];
        let text = markdown(&errors(&suite, &all));
        assert!(text.contains("| ptsm | 15.00 | - | - |"), "{text}");
        assert!(text.contains("| ridge | **9.00** | - | - |"), "{text}");
        // A page and a terminal have marks of their own for the best.
        let (table, shown) = (errors(&suite, &all), summary(&suite, &all));
        let ridge = table.rows.iter().position(|row| row[0] == "ridge").unwrap();
        assert_eq!(table.best[1], [ridge]);
        assert!(table.rows.iter().flatten().all(|cell| !cell.contains('*')), "{table:?}");
        assert!(shown.contains("9.00*") && !shown.contains('|'), "{shown}");
        all.push(scored("b", 1, 30, 5.0));
        let text = markdown(&errors(&suite, &all));
        // (10 x 15 + 30 x 17.5) / 40
        assert!(text.contains("| ptsm | 15.00 | 17.50 | 16.88 |"), "{text}");
        assert!(text.contains("| theirs | - | - | 4.500 |"), "{text}");
        assert!(text.contains("| Forecaster | a, MAPE % | b, MAPE % | all, MAPE % |"), "{text}");
    }
}
