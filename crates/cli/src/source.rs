//! The options that name the data, a file or a data set, and say how they are read.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use ptsm::data::{
    DateOrder, Duplicates, Frequency, Grid, LabelOptions, LabelledSet, Labels, Part, Repair,
    Resample, Roles, Rounding, STANDARD_INPUT, SeriesSet, ThousandsMark,
};
use ptsm::job::SeriesData;
use ptsm::preprocessor::Preprocessor;
use ptsm::spec::{DataSpec, Source};
use ptsm::{Error, Result};

use crate::command_line::given_to;
use crate::global::Global;
use crate::output::{flag, message, remark};
use crate::run_state::quoted;
use crate::words::words;

/// Says which values lie far from all others.
pub(crate) fn far_values(global: &Global, set: &SeriesSet) {
    if !global.quiet {
        let notes = set.outlier_notes();
        notes.iter().for_each(|note| remark(global, &format!("  {}", note.spelled(flag))));
    }
}

/// Refuses the first option that was given and is not used, with the reason.
pub(crate) fn refuse_unused(options: &[(&str, bool)], why: &str) -> Result<()> {
    match options.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Error::config(*option, format!("{why} (leave it out)"))),
        None => Ok(()),
    }
}

/// Why `--prediction-length` is refused beside a model with steps of its own.
pub(crate) const OWN_STEPS: &str =
    "is for models that forecast any number of steps; this one has its own";

/// Reads the name of a part of the split.
pub(crate) fn part_parser() -> impl TypedValueParser<Value = Part> {
    words::<Part>(Part::ALL.map(Part::name))
}

/// Words of `--duplicates`.
const REPEATS: [&str; 4] = ["error", "first", "last", "mean"];

/// Words of `--dates`.
pub(crate) const ORDERS: [&str; 3] = ["day-first", "month-first", "year-first"];

/// How the text of a table, or of the rows of a stream, is read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct TextArgs {
    /// Character between cells; detected if not given ("tab" for a tabulator)
    #[arg(long, value_name = "CHAR")]
    pub(crate) delimiter: Option<String>,
    /// The first line holds data, not names
    #[arg(long)]
    pub(crate) no_header: bool,
    /// Further texts that mean "missing"; a number means every cell of that value. A model keeps them
    #[arg(long, value_delimiter = ',', value_name = "TEXT,...", allow_hyphen_values = true)]
    pub(crate) missing: Vec<String>,
    /// Decimal numbers have a comma: 1,5 is one and a half
    #[arg(long)]
    pub(crate) decimal_comma: bool,
    /// Separator of thousands: ',' '.' ' ' "'", or none (1.000 is one)
    #[arg(long, value_name = "MARK")]
    pub(crate) thousands: Option<ThousandsMark>,
    /// Lines in front of the header that are not read
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) skip_lines: usize,
    /// Lines that begin with this character are not read; '#' in front of the header anyway
    #[arg(long, value_name = "CHAR")]
    pub(crate) comment: Option<String>,
}

impl TextArgs {
    /// The same fields, as the library reads them.
    pub(crate) fn spec(&self) -> DataSpec {
        DataSpec {
            delimiter: self.delimiter.clone(),
            no_header: self.no_header,
            missing: self.missing.clone(),
            decimal_comma: self.decimal_comma,
            thousands: self.thousands,
            skip_lines: self.skip_lines,
            comment: self.comment.clone(),
            ..DataSpec::default()
        }
    }
}

/// The data and how they are read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// Table (CSV, JSON, Parquet, Arrow; .gz, .zst), a folder or pattern of tables ('in/*.parquet'),
    /// the name of a data set (see `ptsm data list`), or - for the standard input
    #[arg(long, value_name = "FILE|NAME|-", allow_hyphen_values = false)]
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
    #[command(flatten)]
    pub(crate) text: TextArgs,
    /// Put rows into the order of their times
    #[arg(long)]
    pub(crate) sort: bool,
    /// Several rows of one time: error, first, last or mean
    #[arg(long, value_name = "RULE", value_parser = words::<Duplicates>(REPEATS))]
    pub(crate) duplicates: Option<Duplicates>,
    /// regular: a time without a row is a missing row; rows: each row is one step
    #[arg(long, value_name = "GRID", value_parser = words::<Grid>(["regular", "rows"]))]
    pub(crate) grid: Option<Grid>,
    /// Step of the grid, such as 15min, 1h, 1d, 1b (Monday to Friday), 1mo, 1mo-end, where the one
    /// that fits the rows is not meant
    #[arg(long, value_name = "STEP")]
    pub(crate) frequency: Option<Frequency>,
    /// Order of dates such as 7/1/2016: day-first or month-first (year-first for 16-07-01); what
    /// every row fits, or what the model was trained with, if not given
    #[arg(long, value_name = "ORDER", value_parser = words::<DateOrder>(ORDERS))]
    pub(crate) dates: Option<DateOrder>,
    /// Move times to a grid that they are close to, such as 5min; they may be a quarter of the step
    /// away, or as much as is said: 5min:30s
    #[arg(long, value_name = "STEP[:FAR]")]
    pub(crate) round: Option<Rounding>,
    /// Make one row of those in a longer step: mean, sum, first, last, min or max
    #[arg(long, value_name = "STEP:RULE")]
    pub(crate) resample: Option<Resample>,
    /// File with one date a line: working days without rows, for steps of working days
    #[arg(long, value_name = "FILE")]
    pub(crate) holidays: Option<PathBuf>,
    /// Steps of the season, for baselines and scores; that of the step if not given
    #[arg(long, value_name = "N")]
    pub(crate) season: Option<usize>,
}

impl DataArgs {
    /// The same fields, as the library reads them.
    pub(crate) fn spec(&self) -> DataSpec {
        DataSpec {
            data: self.data.clone(),
            timestamp: self.timestamp.clone(),
            id: self.id.clone(),
            targets: self.targets.clone(),
            sort: self.sort,
            duplicates: self.duplicates,
            grid: self.grid,
            frequency: self.frequency,
            dates: self.dates,
            round: self.round,
            resample: self.resample,
            holidays: self.holidays.clone(),
            season: self.season,
            ..self.text.spec()
        }
    }

    /// Reads the file or the named data set.
    pub(crate) fn read(&self, global: &Global) -> Result<Source> {
        let spec = self.spec();
        check_series(&spec, None)?;
        let source = spec.read()?;
        remark_source(global, &source);
        Ok(source)
    }

    /// As [`DataArgs::read`], for a model that was trained with `roles`.
    pub(crate) fn read_for(&self, global: &Global, preprocessor: &Preprocessor) -> Result<Source> {
        let spec = self.spec();
        check_series(&spec, Some("the model forecasts series"))?;
        let source = spec.read_for(preprocessor)?;
        remark_source(global, &source);
        Ok(source)
    }

    /// The repairs that the options allow.
    pub(crate) fn repair(&self, source: &Source) -> Result<Repair> {
        self.spec().repair(source)
    }

    /// Steps of the season that was asked for.
    pub(crate) fn season(&self) -> Result<Option<usize>> {
        match self.season {
            Some(0) => Err(Error::config("season", "0 must be at least 1 (1 = no season)")),
            season => Ok(season),
        }
    }

    /// Refuses a season where nothing is scored against one.
    pub(crate) fn without_season(&self) -> Result<()> {
        let why = "is for train and evaluate, which score against it";
        refuse_unused(&[("season", self.season.is_some())], why)
    }

    /// The columns that were asked for.
    pub(crate) fn roles(&self) -> Roles {
        self.spec().roles()
    }

    /// The series of the table.
    pub(crate) fn series(&self, source: &Source) -> Result<SeriesSet> {
        self.spec().series(source)
    }
}

/// Checks that data are named; the error names the flag.
pub(crate) fn check_named(spec: &DataSpec) -> Result<()> {
    let Some(data) = &spec.data else {
        let text =
            "is missing (give a file, a name from `ptsm data list`, or - for the standard input)";
        return Err(Error::config("--data", text));
    };
    if data == STANDARD_INPUT && std::io::stdin().is_terminal() {
        message("reading rows from the terminal: end them with Ctrl-D");
    }
    Ok(())
}

/// As [`check_named`], where series are wanted, for the reason `why`: labelled cases are none.
fn check_series(spec: &DataSpec, why: Option<&str>) -> Result<()> {
    check_named(spec)?;
    match &spec.data {
        Some(data) if LabelledSet::is_ts(Path::new(data)) => {
            let why = why.unwrap_or("series are wanted");
            let text = format!("holds labelled cases, and {why} ({})", learn_labels(spec, data));
            Err(Error::config(data.clone(), text))
        }
        _ => Ok(()),
    }
}

/// How archives of labelled cases end the names of their files.
const TRAINING_CASES: &str = "_TRAIN.ts";
const TEST_CASES: &str = "_TEST.ts";

/// The test cases beside training cases, or a name that stands for such.
pub(crate) fn test_cases(train: &str) -> PathBuf {
    let beside = PathBuf::from(train.replace(TRAINING_CASES, TEST_CASES));
    match train.ends_with(TRAINING_CASES) && beside.is_file() {
        true => beside,
        false => PathBuf::from("TEST.ts"),
    }
}

/// The command that trains a model for labelled cases: as what the labels of these are, where they can be read.
fn learn_labels(spec: &DataSpec, data: &str) -> String {
    let read = |options| LabelledSet::read(Path::new(data), &options, &LabelOptions::default());
    let task = match spec.read_options().and_then(read).map(|set| set.labels) {
        Ok(Labels::Values { .. }) => "regression",
        _ => "classification",
    };
    let out = given_to("train", "out").unwrap_or_else(|| "cases".into());
    // A model is not trained on what it is tested on.
    let train = data.replace(TEST_CASES, TRAINING_CASES);
    format!(
        "a model that labels such cases: ptsm train --data {} --task {task} --out {}",
        quoted(Path::new(&train)),
        quoted(Path::new(&out))
    )
}

/// Reads series with what a model directory records about them.
pub(crate) fn read_series(global: &Global, spec: &DataSpec) -> Result<(SeriesData, Source)> {
    check_series(spec, None)?;
    let (data, source) = SeriesData::read(spec)?;
    remark_source(global, &source);
    Ok((data, source))
}

/// What the user is told of how a source was read.
fn remark_source(global: &Global, source: &Source) {
    for note in source.table.notes() {
        remark(global, &format!("{}: {}", source.name, note.spelled(flag)));
    }
    if let Some(file) = &source.verified {
        remark(global, &format!("{}: {} (verified)", source.name, file.display()));
    }
}

/// One line on what was read and repaired.
pub(crate) fn summary(name: &str, set: &SeriesSet) -> String {
    let rows: usize = set.series.iter().map(|series| series.num_rows()).sum();
    let step = match set.frequency {
        Some(step) if step.is_index() => format!(", an index in steps of {step}"),
        Some(step) => format!(", every {step}"),
        None => String::new(),
    };
    let many = match set.series.len() {
        1 => String::new(),
        count => format!("{count} series, "),
    };
    let report = &set.repairs;
    let s = if set.channels.len() == 1 { "" } else { "s" };
    let mut text = format!("{name}: {many}{rows} rows x {} channel{s}{step}", set.channels.len());
    let missing = report.missing.iter().filter(|m| m.share > 0.0);
    let worst = missing.max_by(|a, b| a.share.total_cmp(&b.share));
    if let Some(worst) = worst {
        let share = 100.0 * worst.share;
        text += &format!(", up to {share:.1} % missing ({})", worst.channel);
    }
    text
}
