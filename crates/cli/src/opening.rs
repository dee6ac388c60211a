//! A forecaster opened together with the series that it forecasts: a model directory, or a network that
//! forecasts any series, such as the one inside the binary.

use std::path::Path;

use clap::ArgMatches;
use ptsm::data::{Series, SeriesSet, Split};
use ptsm::forecast::{AnySeries, AnySeriesOptions};
use ptsm::spec::{DataSpec, Source};
use ptsm::zero_shot::{BUILTIN, BUILTIN_VERSION, is_builtin, zero_shot_network};
use ptsm::{Error, Forecaster, Model, Result};
use ptsm_backends::open;

use crate::command_line::innermost;
use crate::global::Global;
use crate::output::{remark, remark_note};
use crate::source::{DataArgs, OWN_STEPS, far_values, refuse_unused, summary};

/// Commands whose `--model` may be the model inside the binary.
const TAKE_BUILTIN: [&str; 9] = [
    "forecast", "predict", "evaluate", "backtest", "detect", "explain", "stream", "serve",
    "inspect",
];

/// Refuses the name of the model inside the binary where a directory is needed.
pub(crate) fn check_names(matches: &ArgMatches) -> Result<()> {
    let (name, command) = innermost(matches);
    let names_builtin = |option: &str| {
        let mut values = command.try_get_raw(option).ok().flatten().into_iter().flatten();
        values.any(|value| value == BUILTIN)
    };
    let heads = ["head", "heads"]
        .iter()
        .any(|name| command.try_get_raw(name).is_ok_and(|heads| heads.is_some()));
    if names_builtin("model") && (heads || !TAKE_BUILTIN.contains(&name)) {
        let text = "builtin is no model directory (forecast, predict, evaluate, backtest, detect, explain and stream \
                    without heads, inspect and train --init take it; train a model for anything else)";
        return Err(Error::config("model", text));
    }
    if names_builtin("out") {
        let text = "builtin is the name of the model inside the binary (use ./builtin)";
        return Err(Error::config("out", text));
    }
    Ok(())
}

/// What a model is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Forecasts past the end of the series; the season is looked for in all rows.
    Forecast,
    /// Scores; only training rows may show the season, and a trained model has its own steps.
    Scores,
    /// Scores of forecasts from rolling cutoffs; a trained model may forecast more or fewer steps than its own.
    Backtest,
    /// Forecasts by a network that was trained on other series; other models are refused.
    ZeroShot,
}

/// What is opened.
pub(crate) struct Opening<'a> {
    /// A model directory, or `builtin`.
    pub(crate) model: &'a Path,
    pub(crate) data: &'a DataArgs,
    pub(crate) purpose: Purpose,
    pub(crate) backend: &'a str,
    /// Steps to forecast, for networks that forecast any number of them.
    pub(crate) steps: Option<usize>,
    /// Levels of the intervals, for the same networks.
    pub(crate) levels: Option<&'a [f64]>,
    /// The split, where it is not that of the training.
    pub(crate) split: Option<Split>,
}

/// A forecaster and its series.
pub(crate) struct Opened {
    pub(crate) forecaster: Forecaster,
    pub(crate) source: Source,
    pub(crate) set: SeriesSet,
    /// Steps of the season for scores, where it is not that of the training.
    pub(crate) season: Option<usize>,
    /// Whether the forecaster was trained on other series than these.
    pub(crate) any_series: bool,
    /// Whether it forecasts by the rule for such networks, any number of steps.
    pub(crate) zero_shot: bool,
}

impl<'a> Opening<'a> {
    /// A model and data, with everything else as it usually is, on the CPU.
    pub(crate) fn new(model: &'a Path, data: &'a DataArgs, purpose: Purpose) -> Self {
        Self { model, data, purpose, backend: "cpu", steps: None, levels: None, split: None }
    }

    /// Reads the model and the series, and says what was read.
    pub(crate) fn open(&self, global: &Global) -> Result<Opened> {
        let opened = match zero_shot_network(self.model)? {
            Some(network) => self.open_any_series(global, network)?,
            None => self.open_trained(global)?,
        };
        remark(global, &summary(&opened.source.name, &opened.set));
        far_values(global, &opened.set);
        opened.set.repairs.time_notes().iter().for_each(|note| remark_note(global, note));
        if opened.zero_shot {
            remark(global, &self.describe(&opened));
            say_what_has_no_past(global, &opened);
        }
        Ok(opened)
    }

    fn open_trained(&self, global: &Global) -> Result<Opened> {
        match self.purpose {
            Purpose::Forecast => self.data.without_season()?,
            Purpose::Scores => {
                refuse_unused(&[("prediction_length", self.steps.is_some())], OWN_STEPS)?;
            }
            Purpose::Backtest => {}
            Purpose::ZeroShot => {
                let text =
                    "was trained on a table, and forecasts tables like that (use ptsm predict)";
                return Err(Error::config("model", text).at(self.model.display().to_string()));
            }
        }
        let forecaster = Forecaster::from_dir(self.model, open(self.backend)?.as_ref())?;
        let source = self.data.read_for(global, forecaster.preprocessor())?;
        let (roles, repair) = (self.data.roles(), self.data.repair(&source)?);
        let mut set = forecaster.read_as(&source.table, &roles, &repair)?;
        let any_series = forecaster.preprocessor().takes_any_series();
        let season = match self.data.season()? {
            None if any_series => {
                let spec = DataSpec { split: self.split, ..self.data.spec() };
                Some(spec.seasonal_period(&source, &mut set)?)
            }
            season => season,
        };
        Ok(Opened { forecaster, source, set, season, any_series, zero_shot: false })
    }

    fn open_any_series(&self, global: &Global, network: Model) -> Result<Opened> {
        let source = self.data.read(global)?;
        let season_from = match self.purpose {
            // Only training rows may show it.
            Purpose::Scores | Purpose::Backtest => {
                Some(self.split.unwrap_or_else(|| source.default_split()))
            }
            _ => None,
        };
        let data = self.data.spec();
        let options =
            AnySeriesOptions { data: &data, steps: self.steps, levels: self.levels, season_from };
        let AnySeries { forecaster, set, season } =
            AnySeries::open(network, &source, &options, open(self.backend)?.as_ref())?;
        let (season, any_series) = (Some(season), true);
        Ok(Opened { forecaster, source, set, season, any_series, zero_shot: true })
    }

    /// The model, with its version if it is the one inside the binary.
    fn name(&self) -> String {
        match is_builtin(self.model) {
            true => format!("{BUILTIN} {BUILTIN_VERSION}"),
            false => self.model.display().to_string(),
        }
    }

    /// One line on a forecaster that was trained on other series.
    fn describe(&self, Opened { forecaster, set, season, .. }: &Opened) -> String {
        let season = match season {
            Some(season) if *season > 1 => format!("a season of {season} steps"),
            _ => "no season".into(),
        };
        let steps = forecaster.config().prediction_length;
        let wanted = forecaster.model().wanted_rows();
        let short = set.series.iter().filter(|series: &&Series| series.num_rows() < wanted).count();
        let short = match short {
            0 => String::new(),
            count => {
                format!("; {count} series of fewer than {wanted} rows, of which little is known")
            }
        };
        format!(
            "{}: trained on simulated series, not on these; {steps} steps ahead, {season}{short}",
            self.name()
        )
    }
}

/// Leaves out the series of which nothing is known before the forecast, which begins `rows_before_end` rows before
/// their ends, and says so; and says which are shorter than what the forecaster sees.
///
/// # Errors
///
/// `InvalidInput` if no series is left.
pub(crate) fn leave_out_short(
    global: &Global,
    opened: &mut Opened,
    rows_before_end: usize,
) -> Result<()> {
    let Opened { set, forecaster, zero_shot, .. } = opened;
    let before = |series: &Series| series.num_rows().saturating_sub(rows_before_end);
    let left = set.leave_out_unknown(rows_before_end);
    if set.series.is_empty() {
        let longest = left.iter().map(Series::num_rows).max().unwrap_or_default();
        let text = format!(
            "no series has a value before the forecast, which begins {rows_before_end} rows before the end (the \
             longest has {longest} rows; forecast from fewer rows before the end, or give more rows)"
        );
        return Err(Error::input(text));
    }
    if !left.is_empty() {
        let text =
            format!("  skipped, as no value is known before the forecast: {}", named(left.iter()));
        remark(global, &text);
    }
    let wanted = forecaster.model().wanted_rows();
    let short: Vec<&Series> = set.series.iter().filter(|one| before(one) < wanted).collect();
    // A network for any series says so itself.
    if !short.is_empty() && !*zero_shot {
        let text = format!(
            "  fewer rows than the {wanted} that the model sees; what they lack counts as missing: {}",
            named(short.into_iter())
        );
        remark(global, &text);
    }
    Ok(())
}

/// The first names of some series, and how many more there are.
pub(crate) fn named<'a>(series: impl ExactSizeIterator<Item = &'a Series>) -> String {
    let name = |one: &Series| match one.id.as_str() {
        "" => "the series".to_owned(),
        id => format!("{id} ({} rows)", one.num_rows()),
    };
    let count = series.len();
    let names: Vec<String> = series.take(NAMED).map(name).collect();
    match count - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Channels without a value that are named.
const NAMED: usize = 3;

/// Says which channels have no value in the rows that the forecaster sees.
fn say_what_has_no_past(global: &Global, Opened { forecaster, set, .. }: &Opened) {
    let rows = forecaster.config().context_length;
    let mut names = Vec::new();
    for series in &set.series {
        let last = series.num_rows().saturating_sub(rows)..series.num_rows();
        for (channel, name) in set.channels.iter().enumerate() {
            if !last.clone().any(|row| series.get(row, channel).is_some()) {
                let of = if series.id.is_empty() { "" } else { " of " };
                names.push(format!("{name}{of}{}", series.id));
            }
        }
    }
    if names.is_empty() {
        return;
    }
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    names.truncate(NAMED);
    let text = format!(
        "  {}{more}: no value in the last {rows} rows; the forecast is 0 and means nothing",
        names.join(", ")
    );
    remark(global, &text);
}
