//! `ptsm detect`: points that a forecaster did not expect.

use std::path::{Path, PathBuf};

use ptsm::data::{Part, SeriesSet, Split, write_table};
use ptsm::detect::{
    Detection, Detector, DetectorOptions, FlagBy, ScanOptions, SeriesRows, TrainedOn,
    rows_before_test, rows_of_part, whole_rows,
};
use ptsm::heads::{MAIN_HEAD, load_heads};
use ptsm::job::trained_on_validation;
use ptsm::{Error, Forecaster, Result};
use ptsm_backends::open;

use crate::commands::cases::check_forecasts;
use crate::detect_output::{anomaly_plot, text};
use crate::global::Global;
use crate::opening::{Opened, Opening, Purpose};
use crate::output::{answer, remark};
use crate::plot;
use crate::progress::Progress;
use crate::source::{DataArgs, OWN_STEPS, refuse_unused, summary};

/// Options of `detect`.
///
/// Every point is compared with its forecast from the rows before it. How unusual its residual is says a p-value: the
/// share of calibration points with a residual at least as large. Calibration points are those of the validation part
/// of the model's split, and the test part is scanned; with --calibration, all rows of one table and of the other.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory, or builtin: the model inside the binary, which forecasts any series
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Table to calibrate on: rows without known anomalies that training did not see. All rows of --data are scanned
    /// then
    #[arg(long, value_name = "FILE", conflicts_with_all = ["borders", "detector"])]
    calibration: Option<PathBuf>,
    /// Borders of the parts, where they are not those of the training: the validation part is calibrated on, and
    /// the test part scanned (7:1:2, last:500, ...)
    #[arg(long, value_name = "SPLIT", conflicts_with = "detector")]
    borders: Option<Split>,
    /// Calibration that --save wrote; all rows of --data are scanned then
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ahead", "min_rows", "save"])]
    detector: Option<PathBuf>,
    /// Flag points so that of the flagged ones this share is false on average, at most
    #[arg(long, default_value_t = 0.05, value_name = "RATE", conflicts_with = "alpha")]
    fdr: f64,
    /// Flag every point with a p-value of at most this instead: so many of all points without an anomaly are flagged
    #[arg(long, value_name = "LEVEL")]
    alpha: Option<f64>,
    /// Make later forecasts without the points whose p-value is at most this, so that an anomaly does not make what
    /// follows it unexpected (of the rows before a forecast at most half are left out)
    #[arg(long, value_name = "LEVEL")]
    hide: Option<f64>,
    /// How many steps before a row its forecast is made
    #[arg(long, value_name = "STEPS", default_value_t = 1)]
    ahead: usize,
    /// Rows that a series must have before a forecast [default: the whole context; of classical methods two
    /// seasons, 8 at least]
    #[arg(long, value_name = "N")]
    min_rows: Option<usize>,
    /// Steps to forecast at a time, for models that forecast any series; the usual ones of the step if not given
    #[arg(long, value_name = "STEPS", visible_alias = "horizon")]
    prediction_length: Option<usize>,
    /// Head of the model directory in place of its own: one of `ptsm heads`
    #[arg(long, value_name = "NAME")]
    head: Option<String>,
    /// File for the scanned points, a row for each: .csv, .parquet, .arrow, .feather, .json or .jsonl
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Picture of the scanned rows with the flagged points (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// File for the calibration, for `ptsm stream --detector` and further scans
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

/// Calibrates, scans, writes.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    args.check()?;
    let mut scan = args.open(global)?;
    let detector = match &args.detector {
        Some(path) => Detector::load(path, scan.forecaster.model())?,
        None => scan.calibrate(global, args)?,
    };
    if let Some(path) = &args.save {
        detector.save(path)?;
        remark(global, &format!("calibration: {}", path.display()));
    }
    let found = scan.detect(global, &detector, args.options())?;
    let report = found.report(&scan.set, &detector);
    if let Some(path) = &args.out {
        write_table(path, &found.table(&scan.set)?)?;
        remark(global, &format!("{} points in {}", found.points.len(), path.display()));
    }
    if let Some(path) = &args.plot {
        plot::save(path, &anomaly_plot(&scan.name, &scan.set, &found))?;
        remark(global, &format!("picture: {}", path.display()));
    }
    answer(global, &report, &text(&scan.name, &report))
}

/// What is scanned, and by what.
struct Scan {
    forecaster: Forecaster,
    /// Name of the scanned data.
    name: String,
    set: SeriesSet,
    rows: SeriesRows,
    calibration: Option<Calibration>,
}

/// What is calibrated on.
struct Calibration {
    /// The rows in words.
    name: String,
    /// The series, where they are not those that are scanned.
    set: Option<SeriesSet>,
    rows: SeriesRows,
}

impl Args {
    fn check(&self) -> Result<()> {
        check_forecasts(&self.model, "detect")?;
        self.options().check()?;
        let own_parts = self.calibration.is_none() && self.detector.is_none();
        if own_parts && self.borders.is_none() && trained_on_validation(&self.model)? {
            let text = "is not given, and this model was fitted to the validation part of its split, too: residuals \
                        there are too small (give rows that training did not see, --calibration FILE, or --borders \
                        SPLIT with a validation part among them, such as 8:1:1)";
            return Err(Error::config("--calibration", text));
        }
        Ok(())
    }

    fn options(&self) -> ScanOptions {
        let flag_by = match self.alpha {
            Some(level) => FlagBy::Level(level),
            None => FlagBy::FalseDiscoveries(self.fdr),
        };
        ScanOptions { flag_by, hide: self.hide }
    }

    /// The model, and the rows of both tables.
    fn open(&self, global: &Global) -> Result<Scan> {
        // A network for any series learns the season from the rows that it is calibrated on.
        let first = match &self.calibration {
            Some(path) => DataArgs { data: Some(path.display().to_string()), ..self.data.clone() },
            None => self.data.clone(),
        };
        let opening = Opening {
            steps: self.prediction_length,
            split: self.borders,
            ..Opening::new(&self.model, &first, Purpose::Backtest)
        };
        let opened = opening.open(global)?;
        if !opened.zero_shot {
            refuse_unused(&[("prediction_length", self.prediction_length.is_some())], OWN_STEPS)?;
            self.data.without_season()?;
        }
        match (&self.detector, &self.calibration) {
            (Some(_), _) => {
                let Opened { forecaster, source, set, .. } = opened;
                let (forecaster, rows) = (self.head(forecaster)?, whole_rows(&set));
                Ok(Scan { forecaster, name: source.name, set, rows, calibration: None })
            }
            (None, Some(_)) => self.beside(global, opened),
            (None, None) => self.parts(global, opened),
        }
    }

    /// All rows of the table that was opened are calibrated on, and those of the other scanned.
    fn beside(&self, global: &Global, opened: Opened) -> Result<Scan> {
        let Opened { forecaster, source, set: calibrated, .. } = opened;
        let forecaster = self.head(forecaster)?;
        let on = format!("all rows of {}", source.name);
        let source = self.data.read_for(global, forecaster.preprocessor())?;
        let (roles, repair) = (self.data.roles(), self.data.repair(&source)?);
        let set = forecaster.read_as(&source.table, &roles, &repair)?;
        remark(global, &summary(&source.name, &set));
        let rows = whole_rows(&calibrated);
        let calibration = Some(Calibration { name: on, set: Some(calibrated), rows });
        let rows = whole_rows(&set);
        Ok(Scan { forecaster, name: source.name, set, rows, calibration })
    }

    /// One part of the table is calibrated on, and another scanned.
    fn parts(&self, global: &Global, opened: Opened) -> Result<Scan> {
        let Opened { forecaster, source, set, any_series, .. } = opened;
        let forecaster = self.head(forecaster)?;
        let trained = forecaster.preprocessor().split;
        let split = self.borders.unwrap_or_else(|| match any_series {
            true => source.default_split(),
            false => trained,
        });
        let (on, rows) = match any_series {
            true => ("the rows before the test part", rows_before_test(&set, split)?),
            false => ("the validation part", rows_of_part(&set, split, Part::Validation)?),
        };
        let mut name = format!("{on} of {}, split {split}", source.name);
        if !any_series {
            let with_validation = trained_on_validation(&self.model)?;
            let trained_on = TrainedOn { split: trained, with_validation };
            let seen = Seen { rows: trained_on.rows_among(&set, &rows), of: total(&rows) };
            name += &seen.told(global, trained);
            if self.head.as_ref().is_some_and(|head| head != MAIN_HEAD) {
                remark(
                    global,
                    "note: whether a head was fitted to its validation part, too, is not kept (if it was, calibrate on \
                     rows of its own: --calibration)",
                );
            }
        }
        let calibration = Some(Calibration { name, set: None, rows });
        let rows = rows_of_part(&set, split, Part::Test)?;
        let name = format!("{}, test part", source.name);
        Ok(Scan { forecaster, name, set, rows, calibration })
    }

    /// The head that is asked for, as a forecaster.
    fn head(&self, own: Forecaster) -> Result<Forecaster> {
        let Some(name) = &self.head else { return Ok(own) };
        let heads = load_heads(Path::new(&self.model), std::slice::from_ref(name))?;
        match heads.first() {
            Some(head) => head.forecaster(open("cpu")?.as_ref()),
            None => Err(Error::internal("a head was not loaded")),
        }
    }
}

impl Scan {
    fn calibrate(&mut self, global: &Global, args: &Args) -> Result<Detector> {
        let Some(Calibration { name, set, rows }) = &self.calibration else {
            return Err(Error::internal("there is nothing to calibrate on"));
        };
        let set = set.as_ref().unwrap_or(&self.set);
        let options = DetectorOptions { ahead: args.ahead, min_rows: args.min_rows };
        Progress::of(global, "calibrating", |tell| {
            self.forecaster.detector(set, rows, &options, name, tell)
        })
    }

    fn detect(
        &mut self,
        global: &Global,
        detector: &Detector,
        options: ScanOptions,
    ) -> Result<Detection> {
        Progress::of(global, "scanning", |tell| {
            self.forecaster.detect(&self.set, &self.rows, detector, options, tell)
        })
    }
}

/// Rows that are calibrated on, and how many of them the model was fitted to.
struct Seen {
    rows: usize,
    of: usize,
}

impl Seen {
    /// Says so, if there are any; and names them beside the rows that are calibrated on.
    fn told(&self, global: &Global, split: Split) -> String {
        let Self { rows, of } = *self;
        if rows == 0 {
            return String::new();
        }
        remark(
            global,
            &format!(
                "note: {rows} of {of} rows to calibrate on are in the part of split {split} that this model was \
                 fitted to: if it was on these data, residuals there are too small, and too much is flagged (give \
                 --borders with a validation part after them, or --calibration FILE)"
            ),
        );
        format!(
            " ({rows} of these {of} rows are in the part of the split that the model was fitted to)"
        )
    }
}

fn total(rows: &SeriesRows) -> usize {
    rows.iter().map(ExactSizeIterator::len).sum()
}
