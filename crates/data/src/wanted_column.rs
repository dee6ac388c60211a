//! Looks up columns that an option names.

use super::table::{Column, Table};
use ptsm_core::{Error, Result, did_you_mean, option};

/// The column that an option names.
pub(super) fn wanted_column<'a>(
    table: &'a Table,
    name: &str,
    asked_by: &str,
) -> Result<&'a Column> {
    table.column(name).ok_or_else(|| {
        let asked_by = option(asked_by, None);
        let list = column_list(table);
        let near = did_you_mean(name, table.columns().iter().map(|column| column.name.as_str()));
        let message =
            format!("there is no column \"{name}\" ({asked_by}){near}; the columns are {list}");
        Error::input(message).at(table.source())
    })
}

/// The names of a table's columns, the first twenty of many.
pub(super) fn column_list(table: &Table) -> String {
    let names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    name_list(&names)
}

/// Names one after the other, the first twenty of many.
pub(super) fn name_list(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(20).map(AsRef::as_ref).collect();
    let mut list = shown.join(", ");
    if names.len() > shown.len() {
        list.push_str(&format!(" and {} more", names.len() - shown.len()));
    }
    list
}
