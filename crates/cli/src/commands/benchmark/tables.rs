//! What the reports of all suites share.

use ptsm::Result;

use crate::command_line::given;
use crate::html::{Column, Table};

/// The command that was given.
pub(super) fn command() -> String {
    let words: Vec<String> = given().into_iter().skip(1).collect();
    format!("ptsm {}", words.join(" "))
}

/// What made a report, in a line.
pub(super) fn footer(seeds: &[u64]) -> Result<String> {
    let isa = ptsm::core::instruction_set()?.name();
    Ok(format!(
        "ptsm {}, instruction set {isa}, {} threads, seeds {}",
        env!("CARGO_PKG_VERSION"),
        rayon::current_num_threads(),
        list(seeds)
    ))
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// A table in Markdown's form.
pub(super) fn markdown(table: &Table) -> String {
    let line = |cells: Vec<&str>| {
        let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", escaped.join(" | "))
    };
    let mut text = line(table.columns.iter().map(|column| column.title.as_str()).collect());
    let rule = |column: &Column| if column.numeric { "---:" } else { "---" };
    text += &line(table.columns.iter().map(rule).collect());
    for row in &table.rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    if !table.note.is_empty() {
        text += &format!("\n{}\n", table.note);
    }
    text
}
