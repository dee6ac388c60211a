//! JSON into a table, and a table as JSON: an array with one object per row, or one object a line.
//! `json_rows.rs` takes the rows apart.

use std::io::{self, Write};

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::{Deserializer, Map, Value};

use super::json_rows::{RowSeed, Rows, RowsSeed};
use super::line_numbers::LineNumbers;
use super::table::{ReadOptions, Table, Values};
use super::table_parts::TableParts;
use super::text_file::{NOT_UTF8, decoded, without_mark};
use super::timestamp::is_time_in_any_order;
use ptsm_core::{Error, Result, require_memory};

/// What JSON is read as a table.
const WANTED: &str = "wanted an array of rows [{\"time\": ..., \"x\": ...}, ...], one such object a \
                      line, or an object of columns {\"time\": [...], \"x\": [...]}";

/// Whether a file that begins so is JSON and not CSV: an array of rows, or an object with a key.
pub(super) fn starts(bytes: &[u8]) -> bool {
    let text = without_mark(bytes).trim_ascii_start();
    let (open, rest) = text.split_at(text.len().min(1));
    let next = rest.trim_ascii_start().first();
    match open {
        b"[" => matches!(next, Some(b'{' | b'[' | b']') | None),
        b"{" => matches!(next, Some(b'"' | b'}') | None),
        _ => false,
    }
}

/// Reads an array of rows (objects, or arrays of cells), objects one a line, or an object of
/// columns as pandas writes it. Strings mean what they would in a CSV file.
pub(super) fn read(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Table> {
    // Two bytes of text, as in `1,`, may become a cell of eight; most cells are longer.
    let cells = (bytes.len() as u64).saturating_mul(2);
    require_memory("reading the JSON text", cells, "a Parquet file").map_err(|e| e.at(source))?;
    let (text, other) = decoded(without_mark(bytes));
    let notes = if other { vec![NOT_UTF8.into()] } else { Vec::new() };
    let mut rows = Rows::new(options);
    let lines =
        read_text(&text, &mut rows).map_err(|error| rows.refusal().unwrap_or(error).at(source))?;
    Ok(rows.into_table(source, lines)?.read_with(options, notes))
}

/// Reads into `rows`; returns the line of each row where there is one a line.
fn read_text(text: &str, rows: &mut Rows<'_>) -> Result<Option<LineNumbers>> {
    if text.trim_start().starts_with('[') {
        let mut reader = Deserializer::from_str(text);
        let read = RowsSeed(rows).deserialize(&mut reader).and_then(|()| reader.end());
        read.map_err(|cause| damaged(cause, text))?;
        return rows.end_rows().map(|()| None);
    }
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let alone = match values.next() {
        Some(Ok(_)) => text[values.byte_offset()..].trim().is_empty(),
        // A damaged line is named when the lines are read.
        _ => !text.trim_end().contains('\n'),
    };
    if !alone {
        return read_lines(text, rows).map(Some);
    }
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|cause| damaged(cause, text))?;
    read_object(object, rows).map(|()| None)
}

fn damaged(cause: serde_json::Error, text: &str) -> Error {
    let nan = ["NaN", "Infinity"].iter().any(|word| text.contains(word));
    let way_out = if nan { " (JSON has no NaN and no Infinity: write null)" } else { "" };
    Error::input(format!("the JSON text cannot be read as a table{way_out}")).because(cause)
}

fn read_lines(text: &str, rows: &mut Rows<'_>) -> Result<LineNumbers> {
    let mut lines = LineNumbers::default();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let mut reader = Deserializer::from_str(line);
        let read = RowSeed(rows).deserialize(&mut reader).and_then(|()| reader.end());
        read.map_err(|cause| damaged(cause, line).at(format!("line {number}")))?;
        lines.push(number);
    }
    rows.end_rows()?;
    Ok(lines)
}

/// Reads an object that is the whole text: one row, or columns in one of pandas' forms.
fn read_object(object: Map<String, Value>, rows: &mut Rows<'_>) -> Result<()> {
    let nested = |value: &Value| value.is_object() || value.is_array();
    let failed = |cause| Error::input("the JSON text is no table").because(cause);
    if is_data(&object) {
        return read_data(object, rows);
    }
    if !object.values().any(nested) {
        RowSeed(&mut *rows).deserialize(Value::Object(object)).map_err(failed)?;
        return rows.end_rows();
    }
    if let Some((name, _)) = object.iter().find(|(_, value)| !nested(value)) {
        return Err(Error::input(format!("\"{name}\" is neither a column nor a row: {WANTED}")));
    }
    if is_by_row(&object) {
        for (_, row) in object {
            RowSeed(rows).deserialize(row).map_err(failed)?;
        }
        return rows.end_rows();
    }
    read_columns(object, rows)
}

/// Whether an object has its rows under `data`, as pandas' `split` and `table` have; a column or a
/// cell may have that name too.
fn is_data(object: &Map<String, Value>) -> bool {
    let Some(Value::Array(rows)) = object.get("data") else { return false };
    rows.iter().all(|row| row.is_array() || row.is_object())
}

/// Reads rows of cells below the names under `columns`, or rows that name their cells.
fn read_data(mut object: Map<String, Value>, rows: &mut Rows<'_>) -> Result<()> {
    let failed = |cause| Error::input("the JSON text is no table").because(cause);
    let names = object.remove("columns").map(Vec::<String>::deserialize).transpose();
    let names = names.map_err(failed)?;
    let Some(Value::Array(data)) = object.remove("data") else { return Ok(()) };
    let count = data.len();
    for row in data {
        let row = match (&names, row) {
            (Some(names), Value::Array(cells)) if cells.len() == names.len() => {
                Value::Object(names.iter().cloned().zip(cells).collect())
            }
            (_, row) => row,
        };
        RowSeed(rows).deserialize(row).map_err(failed)?;
    }
    rows.end_rows()?;
    match object.remove("index") {
        Some(Value::Array(labels)) if labels.len() == count => push_labels(labels, rows),
        _ => Ok(()),
    }
}

/// The labels of rows as a column, unless they only number them or each has several.
fn push_labels(labels: Vec<Value>, rows: &mut Rows<'_>) -> Result<()> {
    let label = |label: Value| match label {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match labels.into_iter().map(label).collect::<Option<Vec<String>>>() {
        Some(labels) if !number_rows(&labels) => rows.push_labels(labels),
        _ => Ok(()),
    }
}

/// Whether labels are 0, 1, 2, ...
fn number_rows(labels: &[String]) -> bool {
    labels.iter().enumerate().all(|(row, label)| label.parse() == Ok(row))
}

fn is_label(text: &str) -> bool {
    text.parse::<i64>().is_ok() || is_time_in_any_order(text)
}

/// Whether an object of objects has the labels of rows outside, and the names of columns inside.
fn is_by_row(object: &Map<String, Value>) -> bool {
    let names = |value: &Value| {
        value.as_object().is_some_and(|row| !row.is_empty() && !row.keys().all(|k| is_label(k)))
    };
    object.keys().all(|key| is_label(key)) && object.values().all(names)
}

/// Columns as arrays, or as objects whose keys are the labels of rows, the same in each.
fn read_columns(object: Map<String, Value>, rows: &mut Rows<'_>) -> Result<()> {
    let mut labels: Option<Vec<String>> = None;
    for (name, column) in object {
        let cells = match column {
            Value::Array(cells) => cells,
            Value::Object(cells) => {
                let own: Vec<String> = cells.keys().cloned().collect();
                if labels.get_or_insert_with(|| own.clone()) != &own {
                    let message = "has other rows than the columns before it";
                    return Err(Error::input(message).at(format!("\"{name}\"")));
                }
                cells.into_iter().map(|(_, cell)| cell).collect()
            }
            _ => return Err(Error::input(WANTED)),
        };
        for cell in cells {
            let failed = |cause| Error::input("the JSON text is no table").because(cause);
            rows.push_below(&name, Deserialize::deserialize(cell).map_err(failed)?)?;
        }
    }
    if let Some(labels) = labels.filter(|labels| !number_rows(labels)) {
        rows.push_labels(labels)?;
    }
    rows.end_columns()
}

/// Begins an array with one object per row; a missing cell is null, a time is a text in its own style.
pub(super) fn begin<'a>(out: &'a mut dyn Write) -> Box<dyn TableParts + 'a> {
    let (first, later, end) = (b"[\n" as &[u8], b",\n" as &[u8], b"\n]\n" as &[u8]);
    Box::new(JsonParts { out, next: first, later, end, none: b"[" })
}

/// Begins a file with one object a line.
pub(super) fn begin_lines<'a>(out: &'a mut dyn Write) -> Box<dyn TableParts + 'a> {
    Box::new(JsonParts { out, next: b"", later: b"\n", end: b"\n", none: b"" })
}

/// Rows of JSON that are being written.
struct JsonParts<'a> {
    out: &'a mut dyn Write,
    /// What is written before the next row.
    next: &'a [u8],
    /// What stands between rows.
    later: &'a [u8],
    end: &'a [u8],
    /// What a file without a row has in front of its end.
    none: &'a [u8],
}

impl TableParts for JsonParts<'_> {
    fn push(&mut self, table: &Table) -> io::Result<()> {
        let names: Vec<String> = table
            .columns()
            .iter()
            .map(|column| serde_json::Value::from(column.name.as_str()).to_string())
            .collect();
        for row in 0..table.num_rows() {
            self.out.write_all(self.next)?;
            (self.next, self.none) = (self.later, b"");
            self.out.write_all(b"{")?;
            for (index, (name, column)) in names.iter().zip(table.columns()).enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(self.out, "{comma}{name}: {}", cell(&column.values, row))?;
            }
            self.out.write_all(b"}")?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.out.write_all(self.none)?;
        self.out.write_all(self.end)
    }
}

fn cell(values: &Values, row: usize) -> serde_json::Value {
    let missing = match values {
        Values::Numbers(cells) => return cells[row].into(),
        Values::Text(cells) => cells.get(row).is_none(),
        Values::Times(cells) => cells.get(row).is_none(),
    };
    if missing { serde_json::Value::Null } else { values.text(row).into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;
    use crate::table_parts::write_whole;

    #[test]
    fn rows_are_objects_in_column_order() {
        let table = Table::new(vec![
            Column::numbers("b", vec![1.5, f64::NAN]),
            Column::text("a\"", vec!["x".to_owned(), "é".to_owned()]),
        ])
        .unwrap();
        let mut out = Vec::new();
        write_whole(begin, &table, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let wanted = "[\n{\"b\": 1.5, \"a\\\"\": \"x\"},\n{\"b\": null, \"a\\\"\": \"é\"}\n]\n";
        assert_eq!(text, wanted);
    }

    fn rows(text: &str) -> Vec<String> {
        let table = read(text.as_bytes(), "t.json", &ReadOptions::default()).unwrap();
        let cells = |row| {
            let cells =
                table.columns().iter().map(|c| format!("{}={}", c.name, c.values.text(row)));
            cells.collect::<Vec<_>>().join(" ")
        };
        (0..table.num_rows()).map(cells).collect()
    }

    #[test]
    fn every_form_of_a_table_gives_the_same_rows() {
        let wanted = ["t=2024-01-01 x=1.5", "t=2024-01-02 x="];
        for text in [
            r#"[{"t": "2024-01-01", "x": 1.5}, {"t": "2024-01-02", "x": null}]"#,
            "\u{feff}[\n{\"t\": \"2024-01-01\", \"x\": \"1.5\"},\n{\"t\": \"2024-01-02\"}\n]",
            "{\"t\": \"2024-01-01\", \"x\": 1.5}\r\n\n{\"t\": \"2024-01-02\", \"x\": \"NA\"}\n",
            r#"{"t": ["2024-01-01", "2024-01-02"], "x": [1.5, null]}"#,
            r#"{"t": {"0": "2024-01-01", "1": "2024-01-02"}, "x": {"0": 1.5, "1": null}}"#,
            r#"{"columns": ["t", "x"], "index": [0, 1],
                "data": [["2024-01-01", 1.5], ["2024-01-02", null]]}"#,
            r#"{"schema": {"fields": []},
                "data": [{"t": "2024-01-01", "x": 1.5}, {"t": "2024-01-02", "x": null}]}"#,
            r#"{"0": {"t": "2024-01-01", "x": 1.5}, "1": {"t": "2024-01-02", "x": null}}"#,
        ] {
            assert!(starts(text.as_bytes()), "{text}");
            assert_eq!(rows(text), wanted, "{text}");
        }
        assert_eq!(
            rows(r#"{"x": {"1704067200000": 1, "1704070800000": 2}}"#)[1],
            "x=2 date=1704070800000"
        );
        assert_eq!(rows(r#"{"x": {"a": 1, "b": 2}}"#)[1], "x=2 index=b");
        for label in ["31/01/2024", "01/31/2024", "2024-01-31"] {
            let text = format!("{{\"x\": {{\"{label}\": 1}}}}");
            assert_eq!(rows(&text), [format!("x=1 date={label}")]);
            let text = format!("{{\"{label}\": {{\"x\": 1}}}}");
            assert_eq!(rows(&text), ["x=1"], "{text}");
        }
        assert_eq!(rows(r#"{"x": {"a-1": 1, "b/2": 2}}"#)[0], "x=1 index=a-1");
        let split =
            r#"{"columns": ["x"], "index": ["2024-01-01", "2024-01-02"], "data": [[1], [2]]}"#;
        assert_eq!(rows(split), ["x=1 date=2024-01-01", "x=2 date=2024-01-02"]);
        assert_eq!(rows("[[1, 2], [3, 4]]"), ["0=1 1=2", "0=3 1=4"]);
        assert_eq!(rows(r#"{"a": true, "b": 9007199254740993}"#), ["a=1 b=9007199254740992.0"]);
        let ids =
            r#"[{"id": 7}, {"id": 9007199254740993}, {"id": null}, {"id": 9007199254740992}]"#;
        assert_eq!(rows(ids), ["id=7", "id=9007199254740993", "id=", "id=9007199254740992"]);
        assert_eq!(rows(r#"[{"id": 7}, {"id": 8}]"#), ["id=7", "id=8"]);
        assert_eq!(
            rows(r#"[{"unique_id": 9007199254740993, "y": [1]}]"#),
            ["unique_id=9007199254740993 y=an array"]
        );
    }

    #[test]
    fn rows_that_name_other_columns_are_counted_before_their_gaps_are_made() {
        let one_each: Vec<String> = (0..100_000).map(|row| format!("{{\"{row}\":1}}")).collect();
        let last: Vec<String> = (0..100_000).map(|column| format!("\"{column}\":1")).collect();
        let options = ReadOptions { most_cells: Some(1_000_000), ..ReadOptions::default() };
        for text in [
            format!("[{}]", one_each.join(",")),
            one_each.join("\n"),
            format!("[{}{{{}}}]", "{},".repeat(100_000), last.join(",")),
            format!("{{\"data\": [{}]}}", one_each.join(",")),
        ] {
            let error = read(text.as_bytes(), "t.json", &options).unwrap_err();
            assert_eq!(error.kind(), ptsm_core::ErrorKind::OutOfMemory, "{error}");
            assert!(
                error.to_string().starts_with("t.json: ") && error.to_string().contains("cells")
            );
        }
        let text = r#"[{"a": 1}, {}, {"b": "x"}, {"a": 2, "c": 3}]"#;
        let wanted = ["a=1 b= c=", "a= b= c=", "a= b=x c=", "a=2 b= c=3"];
        assert_eq!(rows(text), wanted);
        let most = |cells| ReadOptions { most_cells: Some(cells), ..ReadOptions::default() };
        assert!(read(text.as_bytes(), "t.json", &most(12)).is_ok());
        assert!(read(text.as_bytes(), "t.json", &most(11)).is_err());
    }

    #[test]
    fn a_column_or_a_cell_may_be_called_data() {
        for (text, wanted) in [
            (r#"{"t": "2024-01-01", "data": 5}"#, "t=2024-01-01 data=5"),
            (r#"{"t": ["2024-01-01"], "data": [5]}"#, "t=2024-01-01 data=5"),
            (r#"{"t": {"0": "2024-01-01"}, "data": {"0": 5}}"#, "t=2024-01-01 data=5"),
            (r#"[{"t": "2024-01-01", "data": 5}]"#, "t=2024-01-01 data=5"),
            (r#"{"t": "2024-01-01", "columns": 5, "index": 6}"#, "t=2024-01-01 columns=5 index=6"),
        ] {
            assert_eq!(rows(text), [wanted], "{text}");
        }
    }

    #[test]
    fn csv_that_looks_like_json_is_csv() {
        for text in ["[time],[x]\n", "{t},x\n", "x\n", ""] {
            assert!(!starts(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_place() {
        for (text, says) in [
            ("[{\"x\": 1}, 5]", "line 1 column 12"),
            ("{\"x\": 1}\n{\"x\": }\n", "t.json: line 2: the JSON text cannot be read"),
            ("[{\"x\": NaN}]", "write null"),
            ("{\"x\": [1, 2], \"y\": 3}", "\"y\" is neither a column nor a row"),
            ("{\"x\": {\"0\": 1}, \"y\": {\"1\": 1}}", "\"y\": has other rows"),
            ("{\"x\": [1, 2], \"y\": [3]}", "column \"y\" has 1 rows, the first has 2"),
            ("[{\"x\": 1, \"x\": 2}]", "\"x\" comes twice"),
            ("[{\"unique_id\": 1e300}]", "write it as a text"),
            ("[]", "there are no rows"),
            ("[{}]", "there is no column"),
            ("[{\"x\": \"inf\"}]", "row 1, column \"x\": \"inf\" is not a finite number"),
        ] {
            let error = read(text.as_bytes(), "t.json", &ReadOptions::default()).unwrap_err();
            assert!(error.to_string().contains(says), "{error} lacks {says}");
        }
    }

    #[test]
    fn lines_hold_one_object_each() {
        let table = Table::new(vec![Column::numbers("x", vec![1.0, f64::NAN])]).unwrap();
        let mut out = Vec::new();
        write_whole(begin_lines, &table, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"x\": 1.0}\n{\"x\": null}\n");
        let back = read(b"{\"x\": 1}\n\n{\"x\": 2}\n", "t", &ReadOptions::default()).unwrap();
        assert_eq!(back.place(1, "x"), "t: line 3, column \"x\"");
    }
}
