//! Writes results to stdout, messages to stderr, and text files.

use std::io::{self, Write};
use std::path::Path;

use ptsm::core::Note;
use ptsm::data::{Column, Table};
use ptsm::model_dir::ModelDir;
use ptsm::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::global::Global;
use crate::wrapping::{columns_of, wrapped};

/// An option of the library as the command's flag: `--name`, or `--name value`.
pub(crate) fn flag(name: &str, value: Option<&str>) -> String {
    if name == "freeze_backbone" {
        return "--freeze backbone".to_owned();
    }
    let name = name.replace('_', "-");
    value.map_or_else(|| format!("--{name}"), |value| format!("--{name} {value}"))
}

/// Prints data to stdout.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Error::new(ErrorKind::Io, "stdout cannot be written").because(e))
}

/// Prints one JSON object with `--json`, or else the text.
pub(crate) fn answer(global: &Global, value: &impl Serialize, text: &str) -> Result<()> {
    if !global.json {
        let columns = columns_of(&io::stdout());
        return print(&columns.map_or_else(|| text.to_owned(), |columns| wrapped(text, columns)));
    }
    let json = serde_json::to_string(value)
        .map_err(|e| Error::internal("the answer cannot be written as JSON").because(e))?;
    print(&(json + "\n"))
}

/// Prints a table: CSV, or with `--json` one object that holds its rows under `key`.
pub(crate) fn answer_table(global: &Global, key: &str, table: &Table) -> Result<()> {
    if global.json {
        let rows: Vec<Value> = (0..table.num_rows())
            .map(|row| {
                let cell = |c: &Column| (c.name.clone(), Value::from(c.values.text(row)));
                Value::Object(table.columns().iter().map(cell).collect())
            })
            .collect();
        return answer(global, &json!({ key: rows }), "");
    }
    let mut csv = Vec::new();
    table
        .write_csv(&mut csv)
        .map_err(|e| Error::internal("a table cannot be written to memory").because(e))?;
    print(&String::from_utf8_lossy(&csv))
}

/// A number to five digits.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_owned(),
        _ if (1e-3..1e6).contains(&size) => {
            let digits = (4.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
            format!("{value:.digits$}")
        }
        _ => format!("{value:.4e}"),
    }
}

/// Writes a message to stderr; if stderr is closed, the message is dropped.
pub(crate) fn message(text: &str) {
    let columns = columns_of(&io::stderr());
    let text = columns.map_or_else(|| text.to_owned(), |columns| wrapped(text, columns));
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a message to stderr unless `--quiet`.
pub(crate) fn remark(global: &Global, text: &str) {
    if !global.quiet {
        message(text);
    }
}

/// Writes a note of the library to stderr unless `--quiet`.
pub(crate) fn remark_note(global: &Global, note: &Note) {
    remark(global, &note.spelled(flag));
}

/// Whether the error is that the reader of stdout closed it, as `head` does, which is no failure.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    cause.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Refuses to write into a folder that holds a model, unless it is to be replaced.
pub(crate) fn refuse_taken(out: &Path, overwrite: bool) -> Result<()> {
    if overwrite || !ModelDir::new(out).is_taken() {
        return Ok(());
    }
    let text = "holds a model already (use --overwrite or another folder)";
    Err(Error::config(out.display().to_string(), text))
}

/// Writes a text file, whole or not at all.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<()> {
    ptsm::core::write_atomically(path, |out| out.write_all(text.as_bytes()))
}
