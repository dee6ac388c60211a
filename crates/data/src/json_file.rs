//! A table as JSON: an array with one object per row, one row per line.

use std::io::{self, Write};

use super::table::{Table, Values};

/// Writes `table`; a missing cell is null, a time is a text in its own style.
pub(super) fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<String> = table
        .columns()
        .iter()
        .map(|column| serde_json::Value::from(column.name.as_str()).to_string())
        .collect();
    out.write_all(b"[")?;
    for row in 0..table.num_rows() {
        out.write_all(if row == 0 { b"\n{" } else { b",\n{" })?;
        for (index, (name, column)) in names.iter().zip(table.columns()).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{name}: {}", cell(&column.values, row))?;
        }
        out.write_all(b"}")?;
    }
    out.write_all(b"\n]\n")
}

fn cell(values: &Values, row: usize) -> serde_json::Value {
    let missing = match values {
        Values::Numbers(cells) => return cells[row].into(),
        Values::Text(cells) => cells[row].is_none(),
        Values::Times(cells) => cells.instants[row].is_none(),
    };
    if missing { serde_json::Value::Null } else { values.text(row).into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    #[test]
    fn rows_are_objects_in_column_order() {
        let table = Table::new(vec![
            Column::numbers("b", vec![1.5, f64::NAN]),
            Column::text("a\"", vec!["x".to_owned(), "é".to_owned()]),
        ])
        .unwrap();
        let mut out = Vec::new();
        write(&table, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let wanted = "[\n{\"b\": 1.5, \"a\\\"\": \"x\"},\n{\"b\": null, \"a\\\"\": \"é\"}\n]\n";
        assert_eq!(text, wanted);
    }
}
