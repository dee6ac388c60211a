//! Several files that are one table: those of a folder, or those that a pattern fits.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::table::{Column, ReadOptions, Table, Values};
use super::text_cells::TextCells;
use ptsm_core::{Error, Result};

/// What partitioned data sets call a value that is missing.
const MISSING_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// The files of one table, in the order of their names.
#[derive(Debug)]
pub(super) struct FileSet {
    /// The folder or the pattern, for messages.
    source: String,
    files: Vec<TableFile>,
}

/// A file with the columns that the folders on the way to it name.
#[derive(Debug)]
struct TableFile {
    path: PathBuf,
    /// Name and value of each.
    partitions: Vec<(String, Option<String>)>,
}

impl FileSet {
    /// The files of a folder and the folders in it whose names `is_table` accepts, except hidden
    /// ones and those that begin with `_`; or the files that a pattern with `*`, `?`, `**` or
    /// `[...]` fits, except such, and with `*` alone as their names the tables among them. `None`
    /// where `path` is neither.
    pub(super) fn of(path: &Path, is_table: fn(&str) -> bool) -> Result<Option<Self>> {
        let source = path.display().to_string();
        let (base, mut paths) = if path.is_dir() {
            if path.join("config.json").is_file() && !path.join("labels.csv").is_file() {
                let text = "is the folder of a model, not of tables";
                return Err(Error::input(text).at(source));
            }
            let mut paths = Vec::new();
            tables_below(path, is_table, &mut paths)?;
            (path.to_owned(), paths)
        } else if !path.exists() && source.contains(['*', '?', '[']) {
            (base_of(path), matches(&source, is_table)?)
        } else {
            return Ok(None);
        };
        if paths.is_empty() {
            let text = "there is no table (a file such as .csv, .parquet, .arrow or .json)";
            return Err(Error::input(text).at(source));
        }
        paths.sort_by(|a, b| by_name(&a.to_string_lossy(), &b.to_string_lossy()));
        // A pattern with `**` fits a folder and the files in it.
        paths.dedup();
        let files = paths.into_iter().map(|path| {
            let partitions = partitions(path.strip_prefix(&base).unwrap_or(&path));
            TableFile { path, partitions }
        });
        Ok(Some(Self { source, files: files.collect() }))
    }
}

impl FileSet {
    /// The paths of the files.
    pub(super) fn into_paths(self) -> Vec<PathBuf> {
        self.files.into_iter().map(|file| file.path).collect()
    }
}

/// Reads each file with `read` and puts one below the other.
pub(super) fn stacked(
    set: &FileSet,
    options: &ReadOptions,
    read: fn(&Path, &ReadOptions) -> Result<Table>,
) -> Result<Table> {
    let mut all: Option<Table> = None;
    let mut names: Vec<String> = Vec::new();
    for TableFile { path, partitions } in &set.files {
        let mut table = read(path, options)?;
        for (name, value) in partitions {
            let mut cells = TextCells::default();
            cells.push_times(value.as_deref(), table.num_rows());
            table = table.with_column(Column { name: name.clone(), values: Values::Text(cells) });
            names.push(name.clone());
        }
        match &mut all {
            Some(all) => all.append(table)?,
            None => all = Some(table.first_of(&set.source)),
        }
    }
    let table = all.ok_or_else(|| Error::internal("a set of files holds none"))?;
    let mut options = options.clone();
    options.text_columns.extend(names);
    let notes = table.notes().to_vec();
    Ok(table.read_with(&options, notes))
}

fn tables_below(folder: &Path, is_table: fn(&str) -> bool, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e| Error::io(folder, "cannot be listed", e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            tables_below(&path, is_table, found)?;
        } else if is_table(&name) {
            found.push(path);
        }
    }
    Ok(())
}

/// The files that a pattern fits, and the tables in the folders that it fits.
fn matches(pattern: &str, is_table: fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let paths = glob::glob(pattern)
        .map_err(|cause| Error::input("is no pattern of file names").because(cause).at(pattern))?;
    // `in/*` means the tables there, `in/*.txt` means all of these.
    let is_wildcard = |name: &std::ffi::OsStr| name.to_string_lossy().chars().all(|c| c == '*');
    let is_any = Path::new(pattern).file_name().is_some_and(is_wildcard);
    let is_wanted =
        |path: &Path| !is_any || is_table(&path.file_name().unwrap_or_default().to_string_lossy());
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|cause| {
            let path = cause.path().to_owned();
            Error::io(&path, "cannot be listed", cause.into())
        })?;
        match path.is_dir() {
            _ if is_hidden(&path, Path::new(pattern)) => {}
            true => tables_below(&path, is_table, &mut found)?,
            false if is_wanted(&path) => found.push(path),
            false => {}
        }
    }
    if found.is_empty() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io(Path::new(pattern), "no file fits the pattern", missing));
    }
    Ok(found)
}

/// Whether a wildcard of the pattern fits a name that begins with `.` or `_`: what other programs
/// put beside tables. A pattern that writes such a beginning means it.
fn is_hidden(path: &Path, pattern: &Path) -> bool {
    const MARKS: [char; 2] = ['.', '_'];
    // `./in/*` fits `in/a`.
    let plain = |path: &Path| -> PathBuf {
        path.components().filter(|part| *part != std::path::Component::CurDir).collect()
    };
    let (path, pattern) = (plain(path), plain(pattern));
    let base = base_of(&pattern);
    let begins = |part: std::path::Component<'_>, mark: char| {
        part.as_os_str().to_string_lossy().starts_with(mark)
    };
    let below = path.strip_prefix(&base).unwrap_or(&path);
    let wanted = pattern.strip_prefix(&base).unwrap_or(&pattern);
    MARKS.into_iter().any(|mark| {
        below.components().any(|part| begins(part, mark))
            && !wanted.components().any(|part| begins(part, mark))
    })
}

/// The folders of a pattern in front of its first wildcard.
fn base_of(pattern: &Path) -> PathBuf {
    let fixed = |part: &std::path::Component<'_>| {
        !part.as_os_str().to_string_lossy().contains(['*', '?', '['])
    };
    pattern.components().take_while(fixed).collect()
}

/// The columns given by folders called `name=value`.
fn partitions(path: &Path) -> Vec<(String, Option<String>)> {
    let folders = path.parent().into_iter().flat_map(Path::components);
    let named = folders.filter_map(|folder| {
        let folder = folder.as_os_str().to_string_lossy();
        let (name, value) = folder.split_once('=')?;
        let value = (value != MISSING_PARTITION).then(|| unescaped(value));
        (!name.is_empty()).then(|| (unescaped(name), value))
    });
    named.collect()
}

/// Decodes percent escapes such as `%20`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| byte == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names in the order of their letters, where digits count as the number that they write: `part-2`
/// is in front of `part-10`.
fn by_name(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (one, other) = (number(&mut left), number(&mut right));
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        } else {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
            x.cmp(&y)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Takes the digits that `text` begins with off it; without zeros in front.
fn number<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Roles, SeriesSet};

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(path: &Path) -> Result<Table> {
        Table::read(path, &ReadOptions::default())
    }

    #[test]
    fn folders_and_patterns_are_read_by_name_with_their_partitions() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "in/site=b%20c/part-10.csv", "t,x\n2024-01-04,4\n");
        write(folder, "in/site=b%20c/part-2.csv", "x,t\n3,2024-01-03\n");
        write(folder, "in/site=007/part-1.csv", "t,x\n2024-01-01,1\n2024-01-02,\n");
        write(folder, "in/site=007/_SUCCESS", "");
        write(folder, "in/site=007/.part-1.csv.crc", "x");
        write(folder, "in/site=007/readme.md", "x");
        write(folder, "in/_temporary/part-7.csv", "t,x\n2024-01-09,9\n");
        write(folder, "in/.old/part-8.csv", "t,x\n2024-01-09,9\n");
        for path in [
            "in",
            "in/*/*.csv",
            "in/site=*",
            "in/**/*.csv",
            "in/**/*",
            "in/**",
            "in/*",
            "in/*/*",
            "in/site=*/part-*",
        ] {
            let table = read(&folder.join(path)).unwrap();
            assert_eq!(table.num_rows(), 4, "{path}");
            let cell = |name: &str, row| table.column(name).unwrap().values.text(row);
            let x: Vec<_> = (0..4).map(|row| cell("x", row)).collect();
            assert_eq!(x, ["1", "", "3", "4"], "{path}");
            assert_eq!((cell("site", 0), cell("site", 3)), ("007".into(), "b c".into()));
            let place = table.place(2, "x");
            assert!(place.ends_with("part-2.csv: line 2, column \"x\""), "{place}");
            let roles = Roles::default();
            let set = SeriesSet::from_table(&table, &roles, &Default::default()).unwrap();
            assert_eq!(set.channels, ["x"]);
            let roles = Roles { id: Some("site".into()), ..roles };
            let set = SeriesSet::from_table(&table, &roles, &Default::default()).unwrap();
            assert_eq!(
                set.series.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
                ["007", "b c"]
            );
        }
        let hidden = folder.join("in/_*/*.csv");
        assert_eq!(read(&hidden).unwrap().num_rows(), 1);
        assert!(Table::is_at(&folder.join("in")) && !Table::is_at(folder.join("x").as_path()));
    }

    #[test]
    fn files_of_other_columns_are_refused_by_name() {
        for (second, says) in [
            ("t,y\n2024-01-02,1\n", "b.csv: the column \"y\" is not in"),
            ("t\n2024-01-02\n", "b.csv: there is no column \"x\", which"),
            ("t,x\n2024-01-02,rain\n", "b.csv: column \"x\" holds texts, in"),
            ("t,x\n2024-01-02\n", "b.csv: line 2: 1 cells"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), "a.csv", "t,x\n2024-01-01,1\n");
            write(folder.path(), "b.csv", second);
            let text = read(folder.path()).unwrap_err().to_string();
            assert!(text.contains(says), "{text} lacks {says}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(read(empty.path()).unwrap_err().to_string().contains("there is no table"));
        let error = read(&empty.path().join("*.csv")).unwrap_err();
        assert_eq!(error.kind(), ptsm_core::ErrorKind::Io);
        write(empty.path(), "config.json", "{}");
        assert!(read(empty.path()).unwrap_err().to_string().contains("folder of a model"));
    }
}
