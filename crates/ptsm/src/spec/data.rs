//! The data of a job: a file or a named set, how its columns are read, how it is split.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{
    CATALOG, CalendarFeature, DATA_DIR_VARIABLE, Dataset, DateOrder, Duplicates, Frequency, Grid,
    Holidays, LabelOptions, LabelledSet, Labels, NO_COLUMN, ReadOptions, Repair, Resample, Roles,
    Rounding, Series, SeriesSet, Split, Table, ThousandsMark, is_standard_input, source_name,
};
use crate::preprocessor::Preprocessor;
use crate::{Error, Result, Task};
use ptsm_core::{did_you_mean, option};

/// Where the data come from and how they are read. Unknown fields and values are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSpec {
    /// A table (CSV, JSON, Parquet, Arrow), a folder or a pattern of tables, a `.ts` file, a folder
    /// of cases, or the name of a data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Column of times; the first that holds times if not given; `none` = rows are numbered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Column that distinguishes the series of a long table; `none` = one series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Channels, in this order; every numeric column if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// Columns that are known ahead of a forecast, such as prices and promotions; they are no channels. Rows at the end
    /// without a target plan them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub future_covariates: Option<Vec<String>>,
    /// What the calendar tells of every row: `hour`, `weekday`, `weekhour`, `monthday`, `month`, `yearday`, `holiday`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Vec<CalendarFeature>>,
    /// Character between cells; detected if not given; `tab` for a tabulator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The first line holds data, not names.
    #[serde(skip_serializing_if = "is_false")]
    pub no_header: bool,
    /// Further texts that mean "missing".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// `1,5` is one and a half.
    #[serde(skip_serializing_if = "is_false")]
    pub decimal_comma: bool,
    /// The separator of thousands: `,`, `.`, a space, `'` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thousands: Option<ThousandsMark>,
    /// Lines in front of the header that are passed over.
    #[serde(skip_serializing_if = "is_zero")]
    pub skip_lines: usize,
    /// Character that begins a line which is no row; `#` in front of the header if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Sort rows by time.
    #[serde(skip_serializing_if = "is_false")]
    pub sort: bool,
    /// How several rows with the same time are treated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Duplicates>,
    /// Whether a time without a row is a missing row, or each row is one step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<Grid>,
    /// Step of the grid; the most common one if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<Frequency>,
    /// Which of day and month comes first in dates such as 7/1/2016: `day-first`, `month-first`, or
    /// `year-first` for years of two digits; what every row fits if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// Moves times that are close to a grid onto it: a step, and perhaps how far at most, such as
    /// `5min` or `5min:30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<Rounding>,
    /// Makes one row of those in a longer step: `1h:mean`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resample: Option<Resample>,
    /// A file with one date a line: working days without rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holidays: Option<PathBuf>,
    /// Steps of the season, for baselines; that of the step if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub season: Option<usize>,
    /// Borders of the parts; the data set's own, or 7:1:2, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Columns of the labels in a labelled table; `label`, `class` or `target` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Vec<String>>,
    /// Share of the labelled cases held out to pick the best epoch, 0 to below 1; 0 = none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_out: Option<f64>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A table and where it comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name for reports.
    pub name: String,
    /// The table.
    pub table: Table,
    /// The named data set, if it is one.
    pub dataset: Option<&'static Dataset>,
    /// The file of a named data set, if its checksum was verified.
    pub verified: Option<PathBuf>,
}

impl DataSpec {
    /// The specification of a file or a named data set, with everything else detected.
    pub fn of(data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// This specification with the fields of `upper` in place of its own; switches that either sets
    /// are set, and texts for "missing" add up.
    #[must_use]
    pub fn with(mut self, upper: &Self) -> Self {
        fn set<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
            if from.is_some() {
                to.clone_from(from);
            }
        }
        set(&mut self.data, &upper.data);
        set(&mut self.timestamp, &upper.timestamp);
        set(&mut self.id, &upper.id);
        set(&mut self.targets, &upper.targets);
        set(&mut self.future_covariates, &upper.future_covariates);
        set(&mut self.calendar, &upper.calendar);
        set(&mut self.delimiter, &upper.delimiter);
        set(&mut self.thousands, &upper.thousands);
        set(&mut self.comment, &upper.comment);
        set(&mut self.duplicates, &upper.duplicates);
        set(&mut self.grid, &upper.grid);
        set(&mut self.frequency, &upper.frequency);
        set(&mut self.dates, &upper.dates);
        set(&mut self.round, &upper.round);
        set(&mut self.resample, &upper.resample);
        set(&mut self.holidays, &upper.holidays);
        set(&mut self.season, &upper.season);
        set(&mut self.split, &upper.split);
        set(&mut self.label, &upper.label);
        set(&mut self.hold_out, &upper.hold_out);
        self.no_header |= upper.no_header;
        if upper.skip_lines > 0 {
            self.skip_lines = upper.skip_lines;
        }
        self.decimal_comma |= upper.decimal_comma;
        self.sort |= upper.sort;
        self.missing.extend(upper.missing.iter().cloned());
        self
    }

    /// Reads the table: a file, or a named data set, which is fetched into [`data_dir`] if it is
    /// not there.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` without a file or name, or for a name that is not known; `Io` and
    /// `InvalidInput` from the file.
    pub fn read(&self) -> Result<Source> {
        let data = self.named()?;
        let path = Path::new(data);
        let Some(set) = self.dataset()? else {
            let name = source_name(path);
            let name = if name.is_empty() { data.to_owned() } else { name };
            let table = Table::read(path, &self.read_options()?)?;
            return Ok(Source { name, table, dataset: None, verified: None });
        };
        let name = set.name.to_owned();
        if set.is_embedded() {
            let table = Dataset::embedded_table()?;
            return Ok(Source { name, table, dataset: Some(set), verified: None });
        }
        let file = set.fetch(&data_dir())?;
        let table = Table::read(&file, &self.read_options()?)?;
        Ok(Source { name, table, dataset: Some(set), verified: Some(file) })
    }

    /// Refuses data that are not there, by their name alone: no file is read, and nothing is downloaded.
    ///
    /// # Errors
    ///
    /// As [`DataSpec::read`].
    pub fn check_there(&self) -> Result<()> {
        self.dataset().map(|_| ())
    }

    /// The data set that is named; `None` for a file, a pattern or the standard input.
    fn dataset(&self) -> Result<Option<&'static Dataset>> {
        let data = self.named()?;
        let path = Path::new(data);
        if is_standard_input(path) || path.exists() || data.contains(['*', '?', '[']) {
            return Ok(None);
        }
        let looks_like_path = data.contains(['/', '\\']) || path.extension().is_some();
        match Dataset::named(data) {
            Ok(set) => Ok(Some(set)),
            Err(_) if looks_like_path => Err(not_found(path)),
            Err(_) => Err(near_file(path).unwrap_or_else(|| nothing_named(data))),
        }
    }

    /// As [`DataSpec::read`], for a trained model: the names of its series are kept to the letter, and
    /// what meant "missing" in training does so here.
    ///
    /// # Errors
    ///
    /// As [`DataSpec::read`].
    pub fn read_for(&self, preprocessor: &Preprocessor) -> Result<Source> {
        self.for_model(preprocessor).read()
    }

    /// How a table is read for a trained model, see [`DataSpec::read_for`].
    #[must_use]
    pub fn for_model(&self, preprocessor: &Preprocessor) -> Self {
        let Preprocessor { roles, missing, .. } = preprocessor;
        let missing = self.missing.iter().chain(missing).cloned().collect();
        let id = self.id.clone().or_else(|| roles.id.clone());
        Self { id, missing, ..self.clone() }
    }

    fn named(&self) -> Result<&str> {
        self.data.as_deref().ok_or_else(|| {
            Error::config("data", "is missing (give a file, a folder or the name of a data set)")
        })
    }

    /// Reads labelled cases; returns them with their name for reports.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` without a file; `Io` and `InvalidInput` from the file, or if the labels are
    /// not what `task` learns.
    pub fn read_cases(&self, task: Task) -> Result<(String, LabelledSet)> {
        let path = Path::new(self.named()?);
        if !path.exists() && !is_standard_input(path) {
            return Err(not_found(path));
        }
        let set = LabelledSet::read(path, &self.read_options()?, &self.label_options(task))?;
        let fits = match set.labels {
            Labels::Classes { .. } => task == Task::Classification,
            Labels::Values { .. } => task == Task::Regression,
            Labels::Unknown(_) => false,
        };
        if !fits {
            let (kind, other) = match task {
                Task::Classification => ("values", "regression"),
                _ => ("classes", "classification"),
            };
            let text = format!("the labels are {kind} (use {})", option("task", Some(other)));
            return Err(Error::input(text).at(path.display().to_string()));
        }
        Ok((source_name(path), set))
    }

    /// How labels are found in tables.
    pub fn label_options(&self, task: Task) -> LabelOptions {
        LabelOptions {
            columns: self.label.clone(),
            values: Some(task == Task::Regression),
            roles: self.roles(),
            dates: self.dates,
        }
    }

    /// How cells are read.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the delimiter or the mark of comments is not one character, or a comma
    /// marks both decimals and thousands.
    pub fn read_options(&self) -> Result<ReadOptions> {
        let delimiter = one_byte("delimiter", self.delimiter.as_deref())?;
        let comment = one_byte("comment", self.comment.as_deref())?;
        let comma = self.thousands == Some(ThousandsMark::Comma);
        if comma && self.decimal_comma {
            let decimals = option("decimal_comma", None);
            let text = format!("\",\" is the mark of decimals too (leave out {decimals})");
            return Err(Error::config("thousands", text));
        }
        Ok(ReadOptions {
            delimiter,
            header: self.no_header.then_some(false),
            missing: self.missing.clone(),
            decimal_comma: self.decimal_comma,
            thousands: self.thousands,
            skip_lines: self.skip_lines,
            comment,
            id_columns: self.id.iter().filter(|name| *name != NO_COLUMN).cloned().collect(),
            text_columns: Vec::new(),
            most_cells: None,
        })
    }

    /// What the columns are.
    pub fn roles(&self) -> Roles {
        Roles {
            timestamp: self.timestamp.clone(),
            id: self.id.clone(),
            targets: self.targets.clone(),
            future_covariates: self.future_covariates.clone().unwrap_or_default(),
            calendar: self.calendar.clone().unwrap_or_default(),
            planned: false,
        }
    }

    /// Which repairs are allowed. The files of the benchmark papers are read row by row.
    ///
    /// # Errors
    ///
    /// `Io` and `InvalidInput` from the file of holidays.
    pub fn repair(&self, source: &Source) -> Result<Repair> {
        let papers = source.dataset.is_some_and(|set| !set.is_embedded());
        let grid = self.grid.unwrap_or(if papers { Grid::Rows } else { Grid::Regular });
        let holidays = self.holidays.as_deref().map(Holidays::read).transpose()?;
        Ok(Repair {
            // The rows of one time span may lie in several files.
            sort: self.sort || source.table.num_files() > 1,
            duplicates: self.duplicates.unwrap_or_default(),
            grid,
            frequency: self.frequency,
            dates: self.dates,
            round: self.round,
            resample: self.resample,
            holidays: holidays.unwrap_or_default(),
            model: None,
        })
    }

    /// Steps of the season: those asked for, or the usual ones of the data; 1 = none. Where the rows
    /// have no dates, the training rows of each series show it, which a remark of the set says.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if 0 are asked for.
    pub fn seasonal_period(&self, source: &Source, set: &mut SeriesSet) -> Result<usize> {
        match self.season {
            Some(0) => Err(Error::config("season", "0 must be at least 1 (1 = no season)")),
            Some(season) => Ok(season),
            None => {
                let split = self.split.unwrap_or_else(|| source.default_split());
                Ok(source.usual_season(set, split))
            }
        }
    }

    /// The series of the table.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    pub fn series(&self, source: &Source) -> Result<SeriesSet> {
        SeriesSet::from_table(&source.table, &self.roles(), &self.repair(source)?)
    }
}

/// An option that is one ASCII character, or `tab`.
fn one_byte(field: &str, text: Option<&str>) -> Result<Option<u8>> {
    match text {
        None => Ok(None),
        Some("tab") => Ok(Some(b'\t')),
        Some(text) if text.len() == 1 => Ok(Some(text.as_bytes()[0])),
        Some(text) => {
            let text = format!("\"{text}\" is not one ASCII character (or \"tab\")");
            Err(Error::config(field, text))
        }
    }
}

/// That a name without an ending is no data set, where a file is called much like it: `load` for `load.csv`.
fn near_file(path: &Path) -> Option<Error> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.file_name().into()).collect();
    names.sort_unstable();
    let found = names.iter().find(|name| {
        let stem = name.to_str().and_then(|name| name.split('.').next());
        stem.is_some_and(|stem| !stem.is_empty() && Path::new(stem) == path)
    })?;
    let (name, found) = (path.display(), found.display());
    let text = format!("there is no file and no data set \"{name}\" (did you mean {found}?)");
    Some(Error::input(text))
}

/// That a name is neither a file or folder nor a data set, with the data set that was probably meant.
fn nothing_named(name: &str) -> Error {
    let near = did_you_mean(name, CATALOG.iter().map(|set| set.name));
    let text = format!("no such file or folder, nor a data set (ptsm data list names them){near}");
    Error::input(text).at(name)
}

fn not_found(path: &Path) -> Error {
    Error::io(path, "cannot be read", std::io::Error::from(std::io::ErrorKind::NotFound))
}

impl Source {
    /// A table that is in memory already, named as it names itself.
    pub fn of_table(table: Table) -> Self {
        Self { name: table.source().to_owned(), table, dataset: None, verified: None }
    }

    /// The split of the papers, or 7:1:2.
    pub fn default_split(&self) -> Split {
        self.dataset.map_or(Split::default(), |set| set.split)
    }

    /// Steps of the usual season; 1 = none.
    fn usual_season(&self, set: &mut SeriesSet, split: Split) -> usize {
        if let Some(known) = self.dataset {
            return known.seasonal_period;
        }
        if let Some(step) = set.frequency.filter(|step| !step.is_index()) {
            return step.seasonal_period();
        }
        let training_rows = |series: &Series| {
            let borders = split.borders(series.num_rows(), series.timestamps.as_ref(), 1);
            borders.map_or(series.num_rows(), |borders| borders.train.len())
        };
        let found = set.find_season(training_rows);
        if found > 1 {
            let stated = option("season", Some("N"));
            let all = set.series.iter().all(|series| training_rows(series) == series.num_rows());
            let rows = if all { "rows" } else { "training rows" };
            let note = format!("the {rows} have a season of {found} ({stated} states another)");
            set.repairs.remarks.push(note.into());
        }
        found
    }
}

/// Where fetched data sets are kept: the folder that `PTSM_DATA_DIR` names, or one of the user's
/// cache.
pub fn data_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os(DATA_DIR_VARIABLE) {
        return PathBuf::from(dir);
    }
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = home("XDG_CACHE_HOME").or_else(|| home("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("ptsm").join("data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upper_specification_wins_and_switches_add_up() {
        let lower: DataSpec = toml::from_str(
            "data = \"a.csv\"\nmissing = [\"-\"]\nsort = true\nsplit = \"8:1:1\"\ngrid = \"rows\"",
        )
        .unwrap();
        let upper = DataSpec {
            data: Some("b.csv".into()),
            missing: vec!["?".into()],
            split: Some("7:1:2".parse().unwrap()),
            ..DataSpec::default()
        };
        let both = lower.clone().with(&upper);
        assert_eq!((both.data.as_deref(), both.sort), (Some("b.csv"), true));
        assert_eq!((both.missing.len(), both.split, both.grid), (2, upper.split, lower.grid));
        let text = toml::to_string(&both).unwrap();
        assert_eq!(toml::from_str::<DataSpec>(&text).unwrap(), both);
    }

    #[test]
    fn unknown_fields_and_values_are_refused() {
        for (text, says) in [
            ("target = [\"x\"]", "unknown field `target`"),
            ("grid = \"regulr\"", "unknown variant `regulr`"),
            ("split = \"half\"", "7:1:2"),
            ("sort = \"yes\"", "boolean"),
        ] {
            let error = toml::from_str::<DataSpec>(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(
            DataSpec::default().read().unwrap_err().to_string().starts_with("data: is missing")
        );
    }
}
