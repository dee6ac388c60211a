//! CSV text into a table.

use std::path::Path;

use rayon::prelude::*;

use super::csv_blocks::{Block, Blocks, Open};
use super::csv_cells::{Cells, Ragged};
use super::csv_columns::{CsvColumn, CsvColumns, Plan};
use super::csv_header::Layout;
use super::reading::Reading;
use super::table::{Column, ReadOptions, Table, Values};
use super::text_file::NOT_UTF8;
use super::text_values::placed;
use ptsm_core::{Error, MemoryBudget, Result, bytes_of};

/// Reads a text in blocks; a column is numeric if every cell is a number or missing.
pub(super) fn read(open: Open<'_>, source: &str, options: &ReadOptions) -> Result<Table> {
    let layout = Layout::find(open, source, options)?;
    let plan = |name: &String| {
        let reading = Reading::of(name, options);
        Plan { reading, texts: matches!(reading, Reading::Text | Reading::Name) }
    };
    let mut plans: Vec<Plan> = layout.header.names.iter().map(plan).collect();
    loop {
        let reader = Records { layout: &layout, plans: &plans, source, options };
        match reader.read(open)? {
            Ok(columns) => return into_table(columns, layout, source, options),
            // Earlier cells are read again, as texts.
            Err(column) => plans[column].texts = true,
        }
    }
}

/// How the records of a file are read.
struct Records<'r, 'a> {
    layout: &'r Layout,
    plans: &'r [Plan],
    source: &'r str,
    options: &'a ReadOptions,
}

impl<'a> Records<'_, 'a> {
    /// Every record; or the number of a column that does not hold numbers alone.
    fn read(&self, open: Open<'_>) -> Result<std::result::Result<CsvColumns<'a>, usize>> {
        let failed = |cause| Error::io(Path::new(self.source), "cannot be read", cause);
        let Layout { form, bytes_before, lines_before, .. } = self.layout;
        let blocks = Blocks::new(open()?, *form, *bytes_before, *lines_before);
        let mut blocks = blocks.map_err(failed)?;
        let mut sofar = SoFar::new(self);
        let mut wave = blocks.wave(1).map_err(failed)?;
        // The first rows say which columns hold texts, so that others need not find it out.
        while sofar.rows() == 0 && !wave.is_empty() {
            let found = self.columns(&wave[0], &sofar.plans, sofar.skip);
            if let Err(column) = sofar.add(vec![found])? {
                return Ok(Err(column));
            }
            wave = blocks.wave(1).map_err(failed)?;
        }
        let (plans, at_once) = (sofar.plans.clone(), 2 * rayon::current_num_threads());
        let mut found = Vec::new();
        while !wave.is_empty() {
            let parse = || wave.par_iter().map(|block| self.columns(block, &plans, 0)).collect();
            // What takes one thread is done while the others are busy with the cells.
            let ((added, next), parsed) =
                rayon::join(|| (sofar.add(found), blocks.wave(at_once)), parse);
            if let Err(column) = added? {
                return Ok(Err(column));
            }
            found = parsed;
            wave = match next {
                Ok(next) => next,
                // An error in an earlier block is reported first.
                Err(cause) => {
                    return match sofar.add(found)? {
                        Err(column) => Ok(Err(column)),
                        Ok(()) => Err(failed(cause)),
                    };
                }
            };
        }
        match sofar.add(found)? {
            Err(column) => Ok(Err(column)),
            Ok(()) => sofar.finish().map(Ok),
        }
    }

    /// The columns of a block after the first `skip` records, and how many of these it holds.
    fn columns(
        &self,
        block: &Block,
        plans: &[Plan],
        skip: usize,
    ) -> Result<(CsvColumns<'a>, usize)> {
        let width = plans.len();
        let cells = Cells::read(block, self.layout.form, width, skip);
        let cells = cells.map_err(|Ragged { line, cells }| {
            let way_out = &self.layout.ragged_way_out;
            let message = format!("{cells} cells where the first line has {width} ({way_out})");
            Error::input(message).at(format!("{}: line {line}", self.source))
        })?;
        let skipped = cells.skipped;
        Ok((CsvColumns::of(cells, plans, self.options), skipped))
    }
}

/// The columns of the blocks so far.
struct SoFar<'r, 'a> {
    plans: Vec<Plan>,
    /// Records of the header that are still to come.
    skip: usize,
    all: Option<CsvColumns<'a>>,
    budget: MemoryBudget,
    source: &'r str,
}

impl<'r, 'a> SoFar<'r, 'a> {
    /// Of no block.
    fn new(records: &Records<'r, 'a>) -> Self {
        let Records { layout, plans, source, .. } = records;
        let budget = MemoryBudget::new(format!("reading {source}"), "fewer rows or columns");
        Self { plans: plans.to_vec(), skip: layout.header.records, all: None, budget, source }
    }

    /// Number of rows.
    fn rows(&self) -> usize {
        self.all.as_ref().map_or(0, |all| all.lines.len())
    }

    /// Puts the columns of further blocks below these; the number of a column that does not go on with
    /// numbers is returned as an inner error.
    fn add(
        &mut self,
        found: Vec<Result<(CsvColumns<'a>, usize)>>,
    ) -> Result<std::result::Result<(), usize>> {
        for found in found {
            let (columns, skipped) = found?;
            self.skip -= skipped;
            // Columns that grow hold their old and their new cells for a moment.
            self.budget.take(bytes_of(&[4, columns.lines.len(), self.plans.len() + 1]))?;
            match &mut self.all {
                Some(all) if all.lines.len() > 0 => {
                    if let Err(column) = all.append(columns) {
                        return Ok(Err(column));
                    }
                }
                _ => {
                    self.plans.iter_mut().zip(columns.texts()).for_each(|(plan, texts)| {
                        plan.texts |= texts && columns.lines.len() > 0;
                    });
                    self.all = Some(columns);
                }
            }
        }
        Ok(Ok(()))
    }

    /// All columns.
    fn finish(self) -> Result<CsvColumns<'a>> {
        let all = self.all.filter(|all| all.lines.len() > 0);
        all.ok_or_else(|| Error::input("there are no rows after the header").at(self.source))
    }
}

fn into_table(
    columns: CsvColumns<'_>,
    layout: Layout,
    source: &str,
    options: &ReadOptions,
) -> Result<Table> {
    let CsvColumns { columns, lines, quoted, decoded } = columns;
    let Layout { form, header, mut notes, .. } = layout;
    if columns.len() == 1 && form.comment.is_none() && !quoted {
        // Empty lines are no records; in a file of one column that would lose a row.
        let before = header.line.into_iter().chain((0..lines.len()).map(|row| lines.line(row)));
        let mut pairs = before.clone().zip(before.skip(1));
        if let Some((line, _)) = pairs.find(|(line, next)| *next > line + 1) {
            let message = "the line is empty (write NaN for a missing value)";
            return Err(Error::input(message).at(format!("{source}: line {}", line + 1)));
        }
    }
    let mut named = Vec::with_capacity(columns.len());
    for (name, column) in header.names.into_iter().zip(columns) {
        let values = match column {
            CsvColumn::Texts(texts) => Values::Text(texts),
            CsvColumn::Numbers(numbers) => Values::Numbers(placed(numbers.finish(), |row| {
                format!("{source}: line {}, column \"{name}\"", lines.line(row))
            })?),
        };
        named.push(Column { name, values });
    }
    if decoded {
        notes.insert(0, NOT_UTF8.into());
    }
    let table = Table::with_source(named, source.to_owned(), Some(lines))?;
    Ok(table.read_with(options, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], source: &str, options: &ReadOptions) -> Result<Table> {
        super::read(&|| Ok(Box::new(text)), source, options)
    }

    fn table(text: &str) -> Table {
        read(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
    }

    fn names(table: &Table) -> Vec<&str> {
        table.columns().iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn marks_line_ends_quotes_and_a_missing_last_newline_do_not_matter() {
        let plain = table("date,x y\n2020-01-01,1.5\n2020-01-02,\n");
        for text in [
            "\u{feff}date,x y\n2020-01-01,1.5\n2020-01-02,\n",
            "date,x y\r\n2020-01-01,1.5\r\n2020-01-02,NA\r\n",
            "date;x y\n2020-01-01; 1.5\n2020-01-02;null",
            "\"date\"\t\"x y\"\n\n2020-01-01\t\"1.5\"\n2020-01-02\t-",
        ] {
            let got = table(text);
            assert_eq!(names(&got), names(&plain), "{text:?}");
            let x = &got.columns()[1].values;
            assert_eq!((x.text(0), x.text(1)), ("1.5".to_owned(), String::new()), "{text:?}");
            assert_eq!(got.columns()[0], plain.columns()[0], "{text:?}");
        }
    }

    #[test]
    fn columns_without_a_header_are_numbered() {
        let got = table("1,2\n3,4\n");
        assert_eq!(names(&got), ["0", "1"]);
        assert_eq!(got.num_rows(), 2);
        assert_eq!(got.place(1, "0"), "t.csv: line 2, column \"0\"");
        let options = ReadOptions { header: Some(true), ..ReadOptions::default() };
        let got = read(b"1,2\n3,4\n", "t.csv", &options).unwrap();
        assert_eq!(names(&got), ["1", "2"]);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_letters_of_latin_1() {
        let got = read(b"date,W/m\xb2,\n2020-01-01,1,2\n", "t.csv", &ReadOptions::default());
        assert_eq!(names(&got.unwrap()), ["date", "W/m²", "unnamed 3"]);
    }

    #[test]
    fn numbers_are_read_exactly() {
        let got = table("x\n0.1\n5.827000141143799\n1e-320\n-0.0\n");
        let Values::Numbers(cells) = &got.columns()[0].values else {
            panic!("not numeric");
        };
        let wanted: [f64; 4] = [0.1, 5.827000141143799, 1e-320, -0.0];
        let bits = |cells: &[f64]| cells.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(cells), bits(&wanted));
    }

    #[test]
    fn options_override_what_is_found_out() {
        let options = ReadOptions {
            delimiter: Some(b':'),
            header: Some(false),
            missing: vec!["-1".to_owned()],
            decimal_comma: true,
            ..ReadOptions::default()
        };
        let got = read(b"1,5:-1\n", "t.csv", &options).unwrap();
        assert_eq!(got.columns()[0].values.text(0), "1.5");
        assert_eq!(got.columns()[1].values.text(0), "");
    }

    /// A text of several blocks: a counter, and a cell that the row gives.
    fn long(cell: impl Fn(usize) -> String) -> String {
        let rows: String = (0..400_000).map(|row| format!("{row},{}\n", cell(row))).collect();
        format!("i,x\n{rows}")
    }

    #[test]
    fn columns_of_many_blocks_are_whole() {
        let last = |row: usize, usual: &str, last: &str| {
            if row == 399_999 { last.to_owned() } else { usual.to_owned() }
        };
        let got = table(&long(|row| format!("{}.5", row % 7)));
        let (i, x) = (&got.columns()[0].values, &got.columns()[1].values);
        assert_eq!((i.text(399_999), x.text(399_999)), ("399999".to_owned(), "5.5".to_owned()));
        assert_eq!(got.place(399_999, "x"), "t.csv: line 400001, column \"x\"");
        // A column is read again as texts where its last cell is one.
        for (usual, other) in [("1", "x"), ("", "x"), ("1", "true"), ("true", "1")] {
            let got = table(&long(|row| last(row, usual, other)));
            let x = &got.columns()[1].values;
            assert!(matches!(x, Values::Text(_)), "{usual} {other}");
            assert_eq!((x.text(0), x.text(399_999)), (usual.to_owned(), other.to_owned()));
        }
        let empty = table(&long(|row| last(row, "", "2.5")));
        assert_eq!(empty.columns()[1].values.text(399_999), "2.5");
        for (text, wanted) in [
            (long(|row| last(row, "1", "inf")), "line 400001, column \"x\": \"inf\""),
            (long(|row| last(row, "1", "1,2")), "t.csv: line 400001: 3 cells"),
            (long(|row| last(row, "994", "1.000")), "line 400001, column \"x\""),
        ] {
            let error = read(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let note = "the text is not UTF-8";
        let mut latin = long(|_| "a".to_owned()).into_bytes();
        let end = latin.len() - 2;
        latin[end] = 0xe9;
        let got = read(&latin, "t.csv", &ReadOptions::default()).unwrap();
        assert_eq!(got.columns()[1].values.text(399_999), "é");
        assert!(got.notes().iter().any(|told| told.to_string().contains(note)));
    }

    #[test]
    fn bad_text_is_refused_with_its_place() {
        for (text, wanted) in [
            (&b""[..], "t.csv: the file is empty"),
            (b"\n \r\n", "t.csv: the file is empty"),
            (b"a,b\n", "t.csv: there are no rows after the header"),
            (b"a,b\n1,2\n3\n", "t.csv: line 3: 1 cells where the first line has 2"),
            (b"a,b\n1,2\n\n3,4,5\n", "t.csv: line 4: 3 cells"),
            (b"a,b\n1,2\ninf,3\n", "line 3, column \"a\": \"inf\" is not a finite number"),
            (b"a,b\n1,1e400\n", "line 2, column \"b\": \"1e400\" is not a finite"),
            (b"a,a\n1,2\n", "columns 1 and 2 are both called \"a\""),
            (b"x\n1\n\n2\n", "t.csv: line 3: the line is empty (write NaN"),
            (b"\xff\xfea\0", "UTF-16 (save it as UTF-8)"),
            (b"a,b\0\n", "neither text nor a file of a format"),
        ] {
            let error = read(text, "t.csv", &ReadOptions::default()).unwrap_err();
            assert_eq!(error.kind(), ptsm_core::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(wanted), "{error} lacks {wanted}");
        }
    }

    #[test]
    fn a_column_of_one_empty_cell_keeps_its_row() {
        let wanted = Table::new(vec![Column::numbers("x", vec![1.0, f64::NAN, 2.0])]).unwrap();
        let mut text = Vec::new();
        wanted.write_csv(&mut text).unwrap();
        let back = read(&text, "t.csv", &ReadOptions::default()).unwrap();
        assert_eq!(back.num_rows(), 3);
    }
}
