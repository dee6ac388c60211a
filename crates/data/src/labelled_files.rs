//! Labelled cases from files: `.ts`, folders of tables, and long tables.

use std::path::{Path, PathBuf};

use super::labelled::{LabelledSet, Labels, class_name};
use super::repair::{Grid, Repair};
use super::roles::{NO_COLUMN, Roles};
use super::series::{Series, SeriesSet};
use super::table::{Column, ReadOptions, Table, Values};
use super::timestamp::DateOrder;
use super::{standard_input, text_file, ts_file};
use ptsm_core::{Error, Result, did_you_mean, option};

/// How labels are found in tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelOptions {
    /// Columns with the labels (one for classes, one or more for values); `label`, `class` or
    /// `target` if not given.
    pub columns: Option<Vec<String>>,
    /// Labels are values, not classes; `None` = what the file says, classes for a table.
    pub values: Option<bool>,
    /// Columns of the cases.
    pub roles: Roles,
    /// Which of day and month comes first in dates such as 7/1/2016; `None`: what every row fits.
    pub dates: Option<DateOrder>,
}

impl LabelledSet {
    /// Reads a `.ts` file (also `.gz`), a folder, or a long table.
    ///
    /// A folder holds one folder a class with a table a case in it, or tables and a `labels.csv`
    /// with the column `file` and those of the labels. A long table has a column that says which
    /// case a row belongs to, and the label in every row of a case.
    ///
    /// # Errors
    ///
    /// `Io` if something cannot be read; `InvalidInput` with file, line and column if it is not
    /// understood, a label is missing, or rows of one case are labelled differently.
    pub fn read(path: &Path, read: &ReadOptions, options: &LabelOptions) -> Result<Self> {
        let read = &reading(read, options);
        if path.is_dir() {
            return read_folder(path, read, options);
        }
        if let Some(text) = ts_on_standard_input(path)? {
            return ts_file::read(&text, standard_input::NAME);
        }
        if Self::is_ts(path) {
            let text = text_file::read_text(path)?;
            return ts_file::read(&text, &path.display().to_string());
        }
        Self::from_table(&Table::read(path, read)?, options)
    }

    /// Whether a file of this name is a `.ts` file, plain or packed, or one comes on the standard input that it
    /// means.
    pub fn is_ts(path: &Path) -> bool {
        if standard_input::is_standard_input(path) {
            return ts_on_standard_input(path).is_ok_and(|text| text.is_some());
        }
        let name = path.to_string_lossy().to_lowercase();
        [".ts", ".ts.gz", ".ts.zst"].iter().any(|ending| name.ends_with(ending))
    }

    /// Takes the cases out of a long table, which has a column that distinguishes the cases, and the
    /// label in every row of a case.
    ///
    /// # Errors
    ///
    /// As [`LabelledSet::read`].
    pub fn from_table(table: &Table, options: &LabelOptions) -> Result<Self> {
        from_long_table(table, options)
    }

    /// Takes cases that are to be labelled out of a long table: as [`LabelledSet::from_table`], but without labels.
    ///
    /// # Errors
    ///
    /// As [`LabelledSet::from_table`], but for the labels.
    pub fn unlabelled_of_table(table: &Table, options: &LabelOptions) -> Result<Self> {
        let (channels, cases, _) = cases_of_table(table, options, &[])?;
        let labels = Labels::Unknown(cases.len());
        Self::new(channels, cases, labels)
    }

    /// How cells are read where some are labels and names of cases: classes and cases are texts.
    pub fn reading(read: &ReadOptions, options: &LabelOptions) -> ReadOptions {
        reading(read, options)
    }

    /// Reads cases that are to be labelled: as [`LabelledSet::read`], but a table or folder without
    /// labels is fine, and labels that are there do not matter.
    ///
    /// # Errors
    ///
    /// As [`LabelledSet::read`], but for the labels.
    pub fn read_unlabelled(
        path: &Path,
        read: &ReadOptions,
        options: &LabelOptions,
    ) -> Result<Self> {
        let read = &reading(read, options);
        let set = if path.is_dir() {
            let files: Vec<PathBuf> =
                entries(path)?.into_iter().filter(|file| file.is_file()).collect();
            match files.is_empty() || path.join("labels.csv").is_file() {
                true => read_folder(path, read, options)?,
                false => {
                    let (channels, cases) = read_cases(&files, read, options)?;
                    let labels = Labels::Unknown(cases.len());
                    Self::new(channels, cases, labels)?
                }
            }
        } else if Self::is_ts(path) {
            Self::read(path, read, options)?
        } else {
            Self::unlabelled_of_table(&Table::read(path, read)?, options)?
        };
        Ok(Self { labels: Labels::Unknown(set.len()), ..set })
    }
}

/// The names that a column of classes has if nobody says.
const LABEL_NAMES: [&str; 3] = ["label", "class", "target"];

/// How cells are read where some are labels and names of cases: classes and cases are texts.
fn reading(read: &ReadOptions, options: &LabelOptions) -> ReadOptions {
    let mut read = read.clone();
    read.id_columns.extend(options.roles.id.clone().filter(|name| name != NO_COLUMN));
    if options.roles.id.is_none() {
        read.id_columns.push("case".into());
    }
    if options.values != Some(true) {
        let usual = || LABEL_NAMES.map(str::to_owned).to_vec();
        read.text_columns.extend(options.columns.clone().unwrap_or_else(usual));
    }
    read
}

fn read_folder(folder: &Path, read: &ReadOptions, options: &LabelOptions) -> Result<LabelledSet> {
    let list = folder.join("labels.csv");
    if list.is_file() {
        return read_listed(folder, &Table::read(&list, read)?, read, options);
    }
    let mut files = Vec::new();
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.extend(entries(&class)?.into_iter().map(|file| (file, name.clone())));
    }
    if files.is_empty() {
        let text = "holds neither folders named after classes nor a labels.csv";
        return Err(Error::input(text).at(folder.display().to_string()));
    }
    let (files, labels): (Vec<PathBuf>, Vec<String>) = files.into_iter().unzip();
    let (channels, cases) = read_cases(&files, read, options)?;
    LabelledSet::new(channels, cases, Labels::classes(labels))
}

fn read_listed(
    folder: &Path,
    list: &Table,
    read: &ReadOptions,
    options: &LabelOptions,
) -> Result<LabelledSet> {
    let Some(files) = list.column("file") else {
        return Err(Error::input("has no column \"file\"").at(list.source()));
    };
    let paths: Vec<PathBuf> =
        (0..list.num_rows()).map(|row| folder.join(files.values.text(row))).collect();
    let labels = labels_of_rows(list, options, &(0..list.num_rows()).collect::<Vec<_>>())?;
    let (channels, cases) = read_cases(&paths, read, options)?;
    LabelledSet::new(channels, cases, labels)
}

/// Everything in a folder but hidden files, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder, "cannot be listed", e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn read_cases(
    files: &[PathBuf],
    read: &ReadOptions,
    options: &LabelOptions,
) -> Result<(Vec<String>, Vec<Series>)> {
    let repair = Repair { grid: Grid::Rows, dates: options.dates, ..Repair::default() };
    let mut tables = Vec::new();
    let mut roles = options.roles.clone();
    let mut channels: Vec<String> = Vec::new();
    for file in files {
        let table = Table::read(file, read)?;
        let set = SeriesSet::from_table(&table, &roles, &repair)?;
        // A channel that one case has not seen at all looks like no channel there.
        if set.channels.len() > channels.len() {
            channels = set.channels;
        }
        tables.push(table);
    }
    roles.targets = Some(channels.clone());
    let mut cases = Vec::new();
    for (file, table) in files.iter().zip(&tables) {
        let mut case = SeriesSet::from_table(table, &roles, &repair)?.series.swap_remove(0);
        case.id = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        cases.push(case);
    }
    Ok((channels, cases))
}

/// The text of the standard input, where `path` means it and a `.ts` file comes there: its first line that is no
/// comment begins with `@`.
fn ts_on_standard_input(path: &Path) -> Result<Option<String>> {
    if !standard_input::is_standard_input(path) {
        return Ok(None);
    }
    let Ok(text) =
        String::from_utf8(text_file::unpacked(standard_input::bytes()?, standard_input::NAME)?)
    else {
        return Ok(None);
    };
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let is_ts = first.is_some_and(|line| line.starts_with('@'));
    Ok(is_ts.then_some(text))
}

/// Names of columns that say which case a row belongs to, unless another is named.
const CASE_NAMES: [&str; 3] = ["case", "id", "unique_id"];

fn label_columns(table: &Table, options: &LabelOptions) -> Result<Vec<String>> {
    if let Some(columns) = &options.columns {
        if let Some(name) = columns.iter().find(|name| table.column(name).is_none()) {
            let near =
                did_you_mean(name, table.columns().iter().map(|column| column.name.as_str()));
            let text = format!("has no column \"{name}\" with labels{near}");
            return Err(Error::input(text).at(table.source()));
        }
        return Ok(columns.clone());
    }
    let usual = |name: &str| LABEL_NAMES.contains(&name.to_lowercase().as_str());
    match table.columns().iter().find(|column| usual(&column.name)) {
        Some(column) => Ok(vec![column.name.clone()]),
        None => {
            let (label, id) = (option("label", None), option("id", None));
            let mut text =
                format!("has no column named label, class or target (name it with {label})");
            let says_case =
                |column: &Column| CASE_NAMES.contains(&column.name.to_lowercase().as_str());
            if options.roles.id.is_none() && !table.columns().iter().any(says_case) {
                text += &format!(
                    ", and none named case, id or unique_id, which says to which case a row belongs (name it with {id}); \
                     one row for each step of a case is wanted"
                );
            }
            Err(Error::input(text).at(table.source()))
        }
    }
}

/// The labels of `rows`.
fn labels_of_rows(table: &Table, options: &LabelOptions, rows: &[usize]) -> Result<Labels> {
    let names = label_columns(table, options)?;
    let values = options.values.unwrap_or(names.len() > 1);
    let mut texts = Vec::new();
    for &row in rows {
        for name in &names {
            let column = table.column(name).map(|column| column.values.text(row));
            texts.push((row, name, column.unwrap_or_default()));
        }
    }
    let gaps: Vec<_> = texts.iter().filter(|(_, _, text)| text.trim().is_empty()).collect();
    if let Some((row, name, _)) = gaps.first() {
        let text = format!("{} labels are missing, the first here", gaps.len());
        return Err(Error::input(text).at(table.place(*row, name)));
    }
    if !values {
        return Ok(Labels::classes(texts.into_iter().map(|(_, _, text)| text).collect()));
    }
    let number = |(row, name, text): (usize, &String, String)| match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            let message = format!("the target \"{text}\" is no finite number");
            Err(Error::input(message).at(table.place(row, name)))
        }
    };
    let of = texts.into_iter().map(number).collect::<Result<Vec<f64>>>()?;
    Ok(Labels::Values { names, of })
}

fn from_long_table(table: &Table, options: &LabelOptions) -> Result<LabelledSet> {
    let names = label_columns(table, options)?;
    let (channels, cases, rows) = cases_of_table(table, options, &names)?;
    let mut first_rows = Vec::new();
    for (case, rows) in cases.iter().zip(&rows) {
        for name in &names {
            let label =
                |row: usize| table.column(name).map(|c| class_name(&c.values.text(row)).to_owned());
            if let Some(&row) = rows.iter().find(|&&row| label(row) != label(rows[0])) {
                let id = &case.id;
                let text = format!("the label differs from that of the rows before of \"{id}\"");
                return Err(Error::input(text).at(table.place(row, name)));
            }
        }
        first_rows.push(rows[0]);
    }
    let labels = labels_of_rows(table, options, &first_rows)?;
    LabelledSet::new(channels, cases, labels)
}

/// Channels, cases, and the rows of each case.
type Cases = (Vec<String>, Vec<Series>, Vec<Vec<usize>>);

fn cases_of_table(table: &Table, options: &LabelOptions, labels: &[String]) -> Result<Cases> {
    let mut roles = options.roles.clone();
    if roles.id.is_none() && table.column("case").is_some() {
        roles.id = Some("case".into());
    }
    if roles.targets.is_none() {
        let used = |name: &String| {
            let usual = ["id", "unique_id", "label", "class", "target"];
            labels.contains(name)
                || options.columns.as_ref().is_some_and(|columns| columns.contains(name))
                || roles.id.as_ref() == Some(name)
                || roles.timestamp.as_ref() == Some(name)
                || usual.contains(&name.to_lowercase().as_str())
        };
        let numeric = |column: &&Column| matches!(column.values, Values::Numbers(_));
        let free = table.columns().iter().filter(numeric).filter(|column| !used(&column.name));
        roles.targets = Some(free.map(|column| column.name.clone()).collect());
    }
    let repair = Repair { grid: Grid::Rows, dates: options.dates, ..Repair::default() };
    let set = SeriesSet::from_table(table, &roles, &repair)?;
    let Some(id) = set.roles.id.as_ref().and_then(|id| table.column(id)) else {
        let id = option("id", None);
        let text =
            format!("has no column that says which case a row belongs to (name it with {id})");
        return Err(Error::input(text).at(table.source()));
    };
    let mut by_id: std::collections::BTreeMap<String, Vec<usize>> = Default::default();
    for row in 0..table.num_rows() {
        by_id.entry(id.values.text(row)).or_default().push(row);
    }
    let rows = set.series.iter().map(|case| by_id.remove(&case.id).unwrap_or_default());
    let rows: Vec<Vec<usize>> = rows.collect();
    if let Some(i) = rows.iter().position(Vec::is_empty) {
        let text = format!("the case \"{}\" has no rows in the table", set.series[i].id);
        return Err(Error::internal(text));
    }
    Ok((set.channels, set.series, rows))
}

#[cfg(test)]
#[path = "labelled_tests.rs"]
mod tests;
