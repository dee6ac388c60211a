//! Where data come from: a file or a named set, and how it is read.

use std::path::{Path, PathBuf};

use ptsm::data::{
    DATA_DIR_VARIABLE, Dataset, Duplicates, Frequency, Grid, ReadOptions, Repair, Roles, SeriesSet,
    Split, Table,
};
use ptsm::{Error, Result};

use crate::args::Global;
use crate::output::remark;

/// The data and how they are read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// CSV (also .gz) or Parquet file, or the name of a data set (see `ptsm data list`)
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) data: Option<String>,
    /// Column of times; the first that holds times if not given; "none" = rows are numbered
    #[arg(long, value_name = "COLUMN")]
    pub(crate) timestamp: Option<String>,
    /// Column that tells the series of a long table apart; "none" = one series
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id: Option<String>,
    /// Channels, in this order; every numeric column if not given
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    pub(crate) targets: Option<Vec<String>>,
    /// Character between cells; found out if not given ("tab" for a tabulator)
    #[arg(long, value_name = "CHAR")]
    pub(crate) delimiter: Option<String>,
    /// The first line holds data, not names
    #[arg(long)]
    pub(crate) no_header: bool,
    /// Further texts that mean "missing"
    #[arg(long, value_delimiter = ',', value_name = "TEXT,...")]
    pub(crate) missing: Vec<String>,
    /// 1,5 is one and a half
    #[arg(long)]
    pub(crate) decimal_comma: bool,
    /// Put rows into the order of their times
    #[arg(long)]
    pub(crate) sort: bool,
    /// Several rows of one time: error, first, last or mean
    #[arg(long, value_name = "RULE")]
    pub(crate) duplicates: Option<Duplicates>,
    /// regular: a time without a row is a missing row; rows: each row is one step
    #[arg(long, value_name = "GRID")]
    pub(crate) grid: Option<Grid>,
    /// Step of the grid, such as 15min, 1h, 1d, 1mo, where the most common one is not meant
    #[arg(long, value_name = "STEP")]
    pub(crate) frequency: Option<Frequency>,
}

/// A table with what is known about it.
pub(crate) struct Source {
    /// Name for reports.
    pub(crate) name: String,
    pub(crate) table: Table,
    /// The named data set, if it is one.
    pub(crate) dataset: Option<&'static Dataset>,
}

impl DataArgs {
    /// Reads the file or the named data set.
    pub(crate) fn read(&self, global: &Global) -> Result<Source> {
        let Some(data) = &self.data else {
            let text = "is missing (give a file, or a name from `ptsm data list`)";
            return Err(Error::config("--data", text));
        };
        let path = Path::new(data);
        if path.exists() {
            let name = path.file_name().map_or(data.clone(), |n| n.to_string_lossy().into_owned());
            let table = Table::read(path, &self.read_options()?)?;
            return Ok(Source { name, table, dataset: None });
        }
        let looks_like_path = data.contains(['/', '\\']) || path.extension().is_some();
        let set = match Dataset::named(data) {
            Ok(set) => set,
            Err(_) if looks_like_path => {
                let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
                return Err(Error::io(path, "cannot be read", cause));
            }
            Err(error) => return Err(error.at("--data")),
        };
        let table = if set.is_embedded() {
            Dataset::embedded_table()?
        } else {
            let file = set.fetch(&data_dir())?;
            remark(global, &format!("{}: {} (verified)", set.name, file.display()));
            Table::read(&file, &self.read_options()?)?
        };
        Ok(Source { name: set.name.to_owned(), table, dataset: Some(set) })
    }

    pub(crate) fn read_options(&self) -> Result<ReadOptions> {
        let delimiter = match self.delimiter.as_deref() {
            None => None,
            Some("tab") => Some(b'\t'),
            Some(text) if text.len() == 1 => Some(text.as_bytes()[0]),
            Some(text) => {
                let text = format!("\"{text}\" is not one ASCII character (or \"tab\")");
                return Err(Error::config("--delimiter", text));
            }
        };
        Ok(ReadOptions {
            delimiter,
            header: self.no_header.then_some(false),
            missing: self.missing.clone(),
            decimal_comma: self.decimal_comma,
        })
    }

    pub(crate) fn roles(&self) -> Roles {
        Roles {
            timestamp: self.timestamp.clone(),
            id: self.id.clone(),
            targets: self.targets.clone(),
        }
    }

    /// Which repairs are allowed. The files of the benchmark papers are read row by row.
    pub(crate) fn repair(&self, source: &Source) -> Repair {
        let papers = source.dataset.is_some_and(|set| !set.is_embedded());
        let grid = self.grid.unwrap_or(if papers { Grid::Rows } else { Grid::Regular });
        Repair {
            sort: self.sort,
            duplicates: self.duplicates.unwrap_or_default(),
            grid,
            frequency: self.frequency,
        }
    }

    /// The series of the table.
    pub(crate) fn series(&self, source: &Source) -> Result<SeriesSet> {
        SeriesSet::from_table(&source.table, &self.roles(), &self.repair(source))
    }
}

impl Source {
    /// The split of the papers, or 7:1:2.
    pub(crate) fn default_split(&self) -> Split {
        self.dataset.map_or(Split::default(), |set| set.split)
    }

    /// Steps of the usual season.
    pub(crate) fn seasonal_period(&self, set: &SeriesSet) -> usize {
        let found = set.frequency.map_or(1, Frequency::seasonal_period);
        self.dataset.map_or(found, |set| set.seasonal_period)
    }
}

/// Where fetched data sets are kept: `$PTSM_DATA_DIR`, or a folder of the user's.
pub(crate) fn data_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os(DATA_DIR_VARIABLE) {
        return PathBuf::from(dir);
    }
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = home("XDG_CACHE_HOME").or_else(|| home("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("ptsm").join("data")
}

/// One line on what was read and repaired.
pub(crate) fn summary(source: &Source, set: &SeriesSet) -> String {
    let rows: usize = set.series.iter().map(|series| series.num_rows()).sum();
    let step = set.frequency.map_or(String::new(), |step| format!(", every {step}"));
    let many = match set.series.len() {
        1 => String::new(),
        count => format!("{count} series, "),
    };
    let report = &set.repairs;
    let mut text =
        format!("{}: {many}{rows} rows x {} channels{step}", source.name, set.channels.len());
    let missing = report.missing.iter().filter(|m| m.share > 0.0);
    let worst = missing.max_by(|a, b| a.share.total_cmp(&b.share));
    if let Some(worst) = worst {
        let share = 100.0 * worst.share;
        text += &format!(", up to {share:.1} % missing ({})", worst.channel);
    }
    text
}
