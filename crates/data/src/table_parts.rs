//! A file of tables that come one after the other: their rows, one below the other, written as they come.

use std::io::{self, Write};

use super::table::Table;

/// What writes the rows of tables with the same columns into one file.
pub(super) trait TableParts {
    /// Writes the rows of one more table.
    fn push(&mut self, table: &Table) -> io::Result<()>;

    /// Writes what ends the file.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Begins a file in some format.
pub(super) type Begin = for<'a> fn(&'a mut dyn Write) -> Box<dyn TableParts + 'a>;

/// Writes one table as a whole file.
pub(super) fn write_whole(begin: Begin, table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let mut parts = begin(out);
    parts.push(table)?;
    parts.finish()
}
