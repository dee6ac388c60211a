//! `ptsm backtest`: forecasts from rolling cutoffs, scored beside simple forecasts and other models.

use std::path::{Path, PathBuf};

use ptsm::backtest::{Backtest, BacktestReport, Contestant, Journal, Origins, Refit};
use ptsm::data::{Table, write_tables};
use ptsm::forecast::{IntervalNames, free_name};
use ptsm::heads::load_heads;
use ptsm::job::{Again, SeriesData, trained_on_validation};
use ptsm::spec::Source;
use ptsm::{Error, Forecast, Result};
use ptsm_backends::open;

use crate::backtest_output::{BacktestPage, Taker};
use crate::command_line;
use crate::commands::{cases, reconstruct};
use crate::forecast_output::Names;
use crate::global::Global;
use crate::interrupt::partial_of;
use crate::opening::{Opened, Opening, Purpose};
use crate::output::{answer, remark, write_text};
use crate::pictures::backtest_plot;
use crate::plot;
use crate::run_state::quoted;
use crate::scoring::{called, measure};
use crate::source::{DataArgs, refuse_unused, summary};

/// Options of `backtest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory, or builtin: the model inside the binary, which forecasts any series
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Number of cutoffs; the last one is a horizon before the end of each series
    #[arg(long, default_value_t = 5, value_name = "N")]
    windows: usize,
    /// Rows from one cutoff to the next; a horizon if not given
    #[arg(long, value_name = "ROWS")]
    step: Option<usize>,
    /// Steps to forecast from each cutoff, where they are not those of the model
    #[arg(long, value_name = "STEPS", visible_alias = "horizon")]
    prediction_length: Option<usize>,
    /// Train again on the rows before the first cutoff and every K cutoffs (every:K), or never
    #[arg(long, default_value_t = Refit::Never, value_name = "WHEN")]
    refit: Refit,
    /// Further models, or builtin, on the same points, compared with the first one in pairs
    #[arg(long, value_delimiter = ',', value_name = "DIR,...")]
    versus: Vec<PathBuf>,
    /// These heads of the model directory, the first one compared with the others: main, and those of
    /// `ptsm heads`
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    heads: Option<Vec<String>>,
    /// Leave out the simple forecasts
    #[arg(long)]
    no_baselines: bool,
    /// Score Theta among them also where that takes long: it is fitted to the past of every window anew
    #[arg(long, conflicts_with = "no_baselines")]
    every_theta: bool,
    /// File for the forecasts, a row for each step: .csv, .parquet, .arrow, .feather, .json or .jsonl. Finished
    /// ones are kept in FILE.partial, from which the same command resumes after a stop
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Picture of the first series with the forecasts from each cutoff (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// One-file HTML report
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Names of the columns of intervals: quantile (y_q0.1, y_q0.9) or nixtla (y-lo-80, y-hi-80)
    #[arg(long, value_enum, value_name = "NAMES", requires = "out")]
    interval_names: Option<Names>,
    #[command(flatten)]
    data: DataArgs,
}

/// Forecasts, scores and prints.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    for model in std::iter::once(&args.model).chain(&args.versus) {
        if cases::labels(model)? || reconstruct::reconstructs(model)? {
            let text = "does not forecast (give a forecaster)";
            return Err(Error::config("model", text).at(model.display().to_string()));
        }
    }
    let opened = args.opening(&args.model).open(global)?;
    let steps =
        args.prediction_length.unwrap_or_else(|| opened.forecaster.config().prediction_length);
    let origins = Origins::new(steps, args.windows, args.step)?;
    let Entered { data, mut contestants, source } = args.enter(global, opened, steps)?;
    let backtest = Backtest {
        data: &data,
        origins,
        refit: args.refit,
        baselines: !args.no_baselines,
        every_theta: args.every_theta,
        measure: measure(&args.model)?,
    };
    let levels = contestants.iter().map(|one| one.forecaster.interval_levels().len());
    if args.interval_names.is_some() && levels.sum::<usize>() == 0 {
        let text =
            "would not be used: these forecasts have no intervals (run ptsm calibrate first)";
        return Err(Error::config("interval_names", text));
    }
    let context = contestants[0].forecaster.config().context_length;
    let pictured = args.plot.is_some() || args.report.is_some();
    let (report, shown) = args.forecast(global, &backtest, &mut contestants, pictured)?;
    say_what_was_left_out(global, &report);
    if let Some(path) = &args.plot {
        let title = format!("Backtest on {}", report.dataset);
        plot::save(path, &backtest_plot(&title, context, &data.set, &shown))?;
        remark(global, &format!("picture: {}", path.display()));
    }
    if let Some(path) = &args.report {
        let page = BacktestPage {
            report: &report,
            set: &data.set,
            context,
            shown: &shown,
            data: summary(&source, &data.set),
            model: &args.model,
        };
        write_text(path, &page.render()?)?;
        remark(global, &format!("report: {}", path.display()));
    }
    if let Some(path) = &args.out {
        remark(global, &format!("forecasts: {}", path.display()));
    }
    answer(global, &report, &report.table())?;
    if args.refit == Refit::Never && !report.seen_note().is_empty() {
        let words = command_line::given();
        let words = words.iter().skip(1).filter(|word| *word != "--refit=never");
        let command = words.map(|word| quoted(Path::new(word))).collect::<Vec<_>>().join(" ");
        let command = command.replace(" --refit never", "");
        remark(global, &format!("fair at every cutoff: ptsm {command} --refit every:1"));
    }
    Ok(())
}

/// Who takes part, and on what.
struct Entered {
    data: SeriesData,
    contestants: Vec<Contestant>,
    /// Name of the data.
    source: String,
}

impl Args {
    fn opening<'a>(&'a self, model: &'a Path) -> Opening<'a> {
        Opening {
            steps: self.prediction_length,
            ..Opening::new(model, &self.data, Purpose::Backtest)
        }
    }

    /// The data, and all models on them.
    fn enter(&self, global: &Global, opened: Opened, steps: usize) -> Result<Entered> {
        let Opened { forecaster, source, set, season, any_series, .. } = opened;
        let Source { name, .. } = source;
        let preprocessor = forecaster.preprocessor();
        let data = SeriesData {
            name: name.clone(),
            split: preprocessor.split,
            missing: preprocessor.missing.clone(),
            grid: preprocessor.grid,
            seasonal_period: season.unwrap_or(preprocessor.seasonal_period),
            set,
            effects: None,
            covariates: None,
        };
        let split = (!any_series).then_some(preprocessor.split);
        let name_of_first = called(&self.model);
        let with_validation = trained_on_validation(&self.model)?;
        let first =
            Contestant { name: name_of_first, forecaster, split, with_validation, again: None };
        let mut contestants = match &self.heads {
            None => vec![first],
            Some(names) => self.heads_of(names, first.split)?,
        };
        if self.heads.is_none() {
            self.set_refit(&mut contestants[0], &self.model, any_series)?;
        }
        for model in &self.versus {
            let quiet = Global { quiet: true, ..global.clone() };
            let opening = Opening { steps: Some(steps), ..self.opening(model) };
            let Opened { forecaster, set, any_series, .. } = opening.open(&quiet)?;
            if set.channels != data.set.channels || set.series != data.set.series {
                let text = "reads other series out of these data than the first model";
                return Err(Error::config("versus", text).at(model.display().to_string()));
            }
            let names: Vec<String> = contestants.iter().map(|one| one.name.clone()).collect();
            let name = free_name(&called(model), &names);
            let split = (!any_series).then_some(forecaster.preprocessor().split);
            let with_validation = trained_on_validation(model)?;
            let mut one = Contestant { name, forecaster, split, with_validation, again: None };
            self.set_refit(&mut one, model, any_series)?;
            contestants.push(one);
        }
        if self.refit != Refit::Never && contestants.iter().all(|one| one.again.is_none()) {
            let text = "would not be used: no model here is trained on the data (leave it out)";
            return Err(Error::config("refit", text));
        }
        Ok(Entered { data, contestants, source: name })
    }

    /// Heads of the model directory, each as a forecaster.
    fn heads_of(
        &self,
        names: &[String],
        split: Option<ptsm::data::Split>,
    ) -> Result<Vec<Contestant>> {
        let why = "is for whole models; heads on one backbone are not trained again";
        refuse_unused(&[("refit", self.refit != Refit::Never)], why)?;
        let backend = open("cpu")?;
        let heads = load_heads(&self.model, names)?;
        let contestant = |head: &ptsm::heads::SharedHead| {
            let forecaster = head.forecaster(backend.as_ref())?;
            let name = head.name.clone();
            Ok(Contestant { name, forecaster, split, with_validation: false, again: None })
        };
        heads.iter().map(contestant).collect()
    }

    fn set_refit(&self, one: &mut Contestant, model: &Path, any_series: bool) -> Result<()> {
        if self.refit != Refit::Never && !any_series {
            if one.forecaster.preprocessor().standardiser.effects.is_some() {
                let text = "models with covariates are not trained again yet (leave it out)";
                return Err(Error::config("refit", text).at(model.display().to_string()));
            }
            one.again = Some(Again::from_dir(model)?);
        }
        Ok(())
    }

    /// Runs the backtest, with rows into the file as they come; gives the scores, and the forecasts for the
    /// picture.
    fn forecast(
        &self,
        global: &Global,
        backtest: &Backtest<'_>,
        contestants: &mut [Contestant],
        pictured: bool,
    ) -> Result<(BacktestReport, Vec<Vec<Forecast>>)> {
        let names = self.interval_names.map(IntervalNames::from).unwrap_or_default();
        let Some(out) = &self.out else {
            let mut taker = Taker::new(global, None, names, pictured);
            let report = backtest.run(contestants, None, &mut taker)?;
            return Ok((report, taker.into_shown()));
        };
        let mut journal = Journal::open(&partial_of(out), &backtest.described(contestants)?)?;
        if !journal.is_empty() {
            let (partial, blocks) = (partial_of(out), journal.len());
            let text = format!("resumes from {} ({blocks} finished parts)", partial.display());
            remark(global, &text);
            // What a killed run had written of the file itself.
            let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
            ptsm::core::sweep_temporaries(folder.unwrap_or(Path::new(".")));
        }
        let mut found = None;
        let written = write_tables(out, |push: &mut dyn FnMut(&Table) -> Result<()>| {
            let mut taker = Taker::new(global, Some(push), names, pictured);
            let report = backtest.run(contestants, Some(&mut journal), &mut taker)?;
            found = Some((report, taker.into_shown()));
            Ok(())
        });
        if let Err(error) = written {
            // Nothing to resume from.
            if journal.is_empty() {
                journal.remove()?;
            }
            return Err(error);
        }
        journal.remove()?;
        found.ok_or_else(|| Error::internal("a backtest without a result"))
    }
}

/// Names that are told.
const NAMED: usize = 3;

/// Says which series and points have no score.
fn say_what_was_left_out(global: &Global, report: &BacktestReport) {
    let left = &report.left_out;
    if !left.is_empty() {
        let named: Vec<&str> = left.iter().take(NAMED).map(String::as_str).collect();
        let more = match left.len() - named.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let text = format!(
            "left out, as no value is known before the last cutoff: {}{more}",
            named.join(", ")
        );
        remark(global, &text);
    }
    let cutoffs = report.cutoffs.len();
    let none = report.cutoffs.iter().filter(|cutoff| cutoff.series == 0).count();
    if none > 0 {
        let text = format!(
            "{} of {cutoffs} cutoffs have a forecast: before the other {none} no series has a known value (fewer --windows, \
             or a smaller --step)",
            cutoffs - none
        );
        remark(global, &text);
    }
    for (number, cutoff) in report.cutoffs.iter().enumerate().filter(|(_, one)| one.series > 0) {
        let short = cutoff.too_short - left.len();
        if short > 0 {
            let are = if short == 1 { "is" } else { "are" };
            let text = format!(
                "cutoff {} of {cutoffs}: {short} series {are} too short for it",
                number + 1
            );
            remark(global, &text);
        }
    }
    if report.missing > 0 {
        let text = format!("{} points have no known value and do not count", report.missing);
        remark(global, &text);
    }
}
