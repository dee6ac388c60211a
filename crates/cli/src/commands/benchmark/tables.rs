//! What the reports of all suites share.

use ptsm::Result;

use crate::command_line::typed_again;
use crate::html::{Column, Table};

/// The command that was given.
pub(super) fn command() -> String {
    typed_again()
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
    for (number, row) in table.rows.iter().enumerate() {
        let bold = |(column, cell): (usize, &String)| match is_best(table, number, column) {
            true => format!("**{cell}**"),
            false => cell.clone(),
        };
        let cells: Vec<String> = row.iter().enumerate().map(bold).collect();
        text += &line(cells.iter().map(String::as_str).collect());
    }
    if !table.note.is_empty() {
        text += &format!("\n{}\n", table.note);
    }
    text
}

/// Whether a cell is the best of its column.
fn is_best(table: &Table, row: usize, column: usize) -> bool {
    table.best.get(column).is_some_and(|best| best.contains(&row))
}

/// A table for a terminal: columns aligned, the best of a column with a star after it.
pub(super) fn aligned(table: &Table) -> String {
    let starred = |row: usize, (column, cell): (usize, &String)| match table.columns[column].numeric
    {
        true => format!("{cell}{}", if is_best(table, row, column) { '*' } else { ' ' }),
        false => cell.clone(),
    };
    let head = table.columns.iter().map(|column| match column.numeric {
        true => format!("{} ", column.title),
        false => column.title.clone(),
    });
    let rows = table.rows.iter().enumerate();
    let rows =
        rows.map(|(number, row)| row.iter().enumerate().map(|c| starred(number, c)).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head.collect()).chain(rows).collect();
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).zip(&table.columns);
        let cells: Vec<String> = cells
            .map(|((cell, &width), column)| match column.numeric {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    if table.best.iter().any(|best| !best.is_empty()) {
        text += "\n* = best of its column\n";
    }
    if !table.note.is_empty() {
        text += &format!("\n{}\n", table.note);
    }
    text
}
