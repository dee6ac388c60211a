//! Tables as CSV text.

use std::io::{self, Write};

use hashbrown::HashMap;
use rayon::prelude::*;

use super::csv_sniff::DELIMITERS;
use super::table::{Table, Values};
use super::table_parts::TableParts;

/// Rows that a thread makes the text of at once.
const BLOCK_ROWS: usize = 1 << 13;

/// Times of a block whose texts are kept.
const TIMES_KEPT: usize = 1 << 12;

/// Begins a file with commas and `\n`, whose header is that of the first table.
pub(super) fn begin<'a>(out: &'a mut dyn Write) -> Box<dyn TableParts + 'a> {
    Box::new(CsvParts { out, began: false })
}

/// A CSV file that is being written.
struct CsvParts<'a> {
    out: &'a mut dyn Write,
    /// Whether the header is written.
    began: bool,
}

impl TableParts for CsvParts<'_> {
    fn push(&mut self, table: &Table) -> io::Result<()> {
        if !std::mem::replace(&mut self.began, true) {
            let alone = table.columns().len() == 1;
            let names: Vec<String> =
                table.columns().iter().map(|c| quoted(&c.name, alone)).collect();
            writeln!(self.out, "{}", names.join(","))?;
        }
        let rows = table.num_rows();
        let starts: Vec<usize> = (0..rows).step_by(BLOCK_ROWS).collect();
        // Few at once, so that memory does not grow with the table.
        for wave in starts.chunks(2 * rayon::current_num_threads()) {
            let block = |&start: &usize| lines(table, start..rows.min(start + BLOCK_ROWS));
            let blocks: Vec<String> = wave.par_iter().map(block).collect();
            blocks.iter().try_for_each(|lines| self.out.write_all(lines.as_bytes()))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of some rows.
fn lines(table: &Table, rows: std::ops::Range<usize>) -> String {
    let alone = table.columns().len() == 1;
    let mut cells: Vec<Shown<'_>> =
        table.columns().iter().map(|column| Shown::of(&column.values, alone)).collect();
    let mut lines = String::new();
    for row in rows {
        for (number, shown) in cells.iter_mut().enumerate() {
            if number > 0 {
                lines.push(',');
            }
            shown.push(row, &mut lines);
        }
        lines.push('\n');
    }
    lines
}

/// The cells of a column as a line has them.
struct Shown<'a> {
    values: &'a Values,
    /// Whether a line has one cell.
    alone: bool,
    /// The last text, which mostly comes again, and its cell.
    last: Option<(&'a str, String)>,
    /// Cells of times, which come again for every series of a panel; the offset of a row may differ.
    times: HashMap<(i64, i32), String>,
}

impl<'a> Shown<'a> {
    fn of(values: &'a Values, alone: bool) -> Self {
        Self { values, alone, last: None, times: HashMap::new() }
    }

    fn push(&mut self, row: usize, line: &mut String) {
        match self.values {
            Values::Numbers(cells) if self.alone && cells[row].is_nan() => line.push_str(EMPTY),
            Values::Numbers(_) => self.values.push_text(row, line),
            Values::Text(cells) => {
                let text = cells.get(row).unwrap_or_default();
                if self.last.as_ref().is_none_or(|last| last.0 != text) {
                    self.last = Some((text, quoted(text, self.alone)));
                }
                line.push_str(self.last.as_ref().map_or("", |last| &last.1));
            }
            Values::Times(cells) => {
                let cell = || quoted(&cells.text(row), self.alone);
                let key = (cells.instants[row], cells.offset(row));
                if self.times.len() >= TIMES_KEPT && !self.times.contains_key(&key) {
                    return line.push_str(&cell());
                }
                line.push_str(self.times.entry(key).or_insert_with(cell));
            }
        }
    }
}

/// An empty cell that is alone in its line: an empty line is no row.
const EMPTY: &str = "\"\"";

/// A text as a cell: in quotes where a reader may take something in it for a delimiter.
fn quoted(text: &str, alone: bool) -> String {
    let special = |byte: u8| matches!(byte, b'"' | b'\n' | b'\r') || DELIMITERS.contains(&byte);
    match text {
        "" if alone => EMPTY.to_owned(),
        text if text.bytes().any(special) => format!("\"{}\"", text.replace('"', "\"\"")),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table_parts::write_whole;
    use crate::{Column, TimeStyle};

    /// As one thread writes it, and as several do.
    fn written(table: &Table) -> String {
        let mut texts = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut text = Vec::new();
            pool.install(|| write_whole(begin, table, &mut text).map(|()| text)).unwrap()
        });
        assert!(texts[0] == texts[1]);
        String::from_utf8(std::mem::take(&mut texts[0])).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let ids = ["plain", "a;b", "\"q\"", ""].map(str::to_owned).to_vec();
        let times = vec![0, 1_000_000_000, crate::TimeCells::MISSING, 0];
        let table = Table::new(vec![
            Column::text("id, one", ids),
            Column::times("time", times, TimeStyle::PLAIN),
            Column::numbers("x", vec![1.5, f64::NAN, -0.0, 1e-5]),
        ]);
        let wanted = "\"id, one\",time,x\nplain,1970-01-01 00:00:00,1.5\n\"a;b\",1970-01-01 \
                      00:00:01,\n\"\"\"q\"\"\",,-0\n,1970-01-01 00:00:00,1e-5\n";
        assert_eq!(written(&table.unwrap()), wanted);
        let alone = Table::new(vec![Column::numbers("x", vec![f64::NAN, 2.0])]);
        assert_eq!(written(&alone.unwrap()), "x\n\"\"\n2\n");
    }

    #[test]
    fn numbers_have_the_texts_of_the_standard_library() {
        let bits = |k: u64| k.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let any = (1..200_000).map(|k| f64::from_bits(bits(k)));
        let usual = (1..100_000).map(|k| {
            let exponent = 1023 - 15 + k % 46;
            f64::from_bits(exponent << 52 | bits(k) >> 12)
        });
        // Many of these lie halfway between two texts of 17 digits.
        let halfway = (1..100_000).map(|k| (k * 7919) as f64 / f64::from(1 << (10 + k % 16)));
        let short = (1..20_000).map(|k| k as f64 / 1000.0).chain(usual).chain(halfway);
        let of_size = (-6..18).flat_map(|size| {
            let ten = 10_f64.powi(size);
            (1..2000).flat_map(move |k| [ten, -ten * k as f64, ten * (1.0 + k as f64 / 3.0)])
        });
        let mut tried = 0;
        for number in any.chain(short).chain(of_size).filter(|number| number.is_finite()) {
            let wanted = match number.fract() == 0.0 && number.abs() < 1e15 {
                true => format!("{number}"),
                false => format!("{number:?}"),
            };
            assert_eq!(crate::table::number_text(number), wanted);
            tried += 1;
        }
        assert!(tried > 300_000, "{tried}");
    }

    #[test]
    fn rows_of_many_blocks_come_in_their_order() {
        let rows = 9 * BLOCK_ROWS + 7;
        let times: Vec<i64> = (0..rows).map(|row| row as i64 % 9000 * 1_000_000_000).collect();
        let numbers: Vec<f64> = (0..rows).map(|row| row as f64).collect();
        let table = Table::new(vec![
            Column::times("time", times.clone(), TimeStyle::PLAIN),
            Column::numbers("x", numbers),
        ]);
        let text = written(&table.unwrap());
        for (row, line) in text.lines().skip(1).enumerate() {
            let cells = crate::TimeCells {
                instants: vec![times[row]],
                offsets: crate::Offsets::Fixed(0),
                style: TimeStyle::PLAIN,
            };
            assert_eq!(line, format!("{},{row}", cells.text(0)));
        }
        assert_eq!(text.lines().count(), rows + 1);
    }
}
