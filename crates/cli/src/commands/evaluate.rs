//! `ptsm evaluate`: scores a model on every window of a part of the data, beside baselines.

use std::path::PathBuf;
use std::str::FromStr;

use ptsm::core::did_you_mean;
use ptsm::data::{Part, Prepared, SeriesSet, Split};
use ptsm::evaluate::{BaselineOutcome, Coherence, Detail, Evaluation, TAKES_A_WHILE};
use ptsm::heads::SharedModel;
use ptsm::job::trained_on_validation;
use ptsm::score::ScoreOptions;
use ptsm::{Error, ErrorKind, Forecaster, Result};

use crate::agreement::Agreement;
use crate::command_line::typed_again;
use crate::commands::{cases, heads, reconstruct};
use crate::forecast_report::{ForecastReport, last_forecasts};
use crate::global::Global;
use crate::intervals;
use crate::opening::{Opened, Opening, Purpose};
use crate::output::{answer, remark, remark_note, write_text};
use crate::pictures::horizon_plot;
use crate::plot;
use crate::scoring::{measure, score, trim};
use crate::source::{DataArgs, refuse_unused, summary};
use ptsm_backends::{only_cpu, open};

/// Options of `evaluate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory, or builtin: the model inside the binary, which forecasts any series
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// What is scored: train, validation, test, or the test part of another split (last:18, 7:1:2, ...)
    #[arg(long, default_value = "test", value_name = "PART|SPLIT")]
    split: Scored,
    /// Borders of the parts, where they are not those of the training: ett-hour, 7:1:2, ...
    #[arg(long, value_name = "SPLIT")]
    borders: Option<Split>,
    /// Steps that are forecast, for models that forecast any series; those of --split last:H, or the usual
    /// ones of the step of the rows, if not given
    #[arg(long, value_name = "STEPS", visible_alias = "horizon", conflicts_with = "heads")]
    prediction_length: Option<usize>,
    /// Leave out the baselines
    #[arg(long)]
    no_baselines: bool,
    /// Score Theta among the baselines also where that takes long: it is fitted to every window anew
    #[arg(long, conflicts_with = "no_baselines")]
    every_theta: bool,
    /// Also the errors of every series of a long table, every channel or every horizon step
    #[arg(long, value_delimiter = ',', value_parser = ["series", "channel", "step"])]
    by: Vec<String>,
    /// The same as --by step
    #[arg(long)]
    per_step: bool,
    /// The same as --by channel
    #[arg(long)]
    per_channel: bool,
    /// Windows that are scored at once; scores do not depend on it
    #[arg(long, default_value_t = 256)]
    batch_size: usize,
    /// One-file HTML report
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Picture of the error by horizon step, or of the classes (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Columns of the labels, for models that label cases
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Scores of these heads from one pass: main, and those of `ptsm heads`
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME,...",
        conflicts_with_all = ["report", "plot", "label", "no_baselines", "allow_disagreement"]
    )]
    heads: Option<Vec<String>>,
    /// Backend that computes: cpu, tenstorrent or tenstorrent-emulator
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    backend: String,
    /// Score a device even if its forecasts do not correlate with those of the CPU
    #[arg(long)]
    allow_disagreement: bool,
    #[command(flatten)]
    data: DataArgs,
}

/// Which rows are scored.
#[derive(Debug, Clone, Copy)]
struct Scored {
    part: Part,
    /// In place of the split of the training.
    borders: Option<Split>,
}

impl FromStr for Scored {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let part = |part| Self { part, borders: None };
        let of_split = |borders| Self { part: Part::Test, borders: Some(borders) };
        let unknown = |error: Error| {
            let parts = Part::ALL.map(Part::name).join(", ");
            let near = did_you_mean(text, Part::ALL.map(Part::name));
            if !near.is_empty() {
                return Error::config("split", format!("\"{text}\" is not one of {parts}{near}"));
            }
            Error::config("split", format!("\"{text}\" is not one of {parts}")).because(error)
        };
        text.parse().map(part).or_else(|_| text.parse().map(of_split).map_err(unknown))
    }
}

/// Scores and prints.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    if args.split.borders.is_some() && args.borders.is_some() {
        let text = "borders are in --split already (leave one of the two out)";
        return Err(Error::config("borders", text));
    }
    if let Some(names) = &args.heads {
        return evaluate_heads(global, args, names);
    }
    if cases::labels(&args.model)? {
        let why = "is for models that forecast; this one labels cases";
        refuse_unused(&args.for_forecasts(), why)?;
        refuse_unused(&[("borders", args.borders().is_some())], why)?;
        let part = args.split.part != Part::Test || args.split.borders.is_some();
        let text =
            "is for models that forecast; of labelled cases all that --data names are scored";
        refuse_unused(&[("split", part)], text)?;
        return cases::evaluate(global, &args.request());
    }
    if reconstruct::reconstructs(&args.model)? {
        only_cpu(&args.backend, "scores of pretraining")?;
        let why = "is for models that forecast; this one fills in hidden patches";
        refuse_unused(&args.for_forecasts(), why)?;
        refuse_unused(&[("label", args.label.is_some())], why)?;
        let request = reconstruct::Request {
            model: &args.model,
            data: &args.data,
            part: args.split.part,
            borders: args.borders(),
            plot: args.plot.as_deref(),
        };
        return reconstruct::evaluate(global, &request);
    }
    let why = "is for models that label cases; this one forecasts";
    refuse_unused(&[("label", args.label.is_some())], why)?;
    let opening = Opening {
        backend: &args.backend,
        steps: args.prediction_length,
        split: args.borders(),
        ..Opening::new(&args.model, &args.data, Purpose::Scores)
    };
    let Opened { mut forecaster, source, set, season, any_series, zero_shot } =
        opening.open(global)?;
    let mut prepared = match zero_shot && args.borders().is_none() && args.split.part == Part::Test
    {
        true => prepare_any_length(global, &forecaster, &set)?,
        false => forecaster.prepare_up_to(&set, args.borders())?,
    };
    if args.split.part == Part::Validation && trained_on_validation(&args.model)? {
        remark(global, "a member of this model was fitted to the validation part, too");
    }
    let trained = forecaster.preprocessor().split;
    if !any_series && args.borders().is_some_and(|borders| borders != trained) {
        let text = format!("training had the split {trained}: what is scored may hold rows of it");
        remark(global, &text);
    }
    let lacking = match zero_shot {
        true => 0,
        false => forecaster.lacking_rows(&set, args.borders(), args.split.part),
    };
    if std::mem::take(&mut prepared.padded_series) > 0 && lacking > 0 {
        let (all, wanted) = (set.series.len(), forecaster.model().wanted_rows());
        let text = format!(
            "{lacking} of {all} series have fewer rows before their first forecast than the {wanted} that the model looks \
             back on: what is missing in front of them is masked"
        );
        remark(global, &text);
    }
    prepared.notes().iter().for_each(|note| remark_note(global, note));
    match args.backend != "cpu" && !zero_shot {
        true => Agreement::new(&mut forecaster, &args.model, prepared.part(args.split.part))?
            .settle(global, args.allow_disagreement)?,
        false => {
            let why = "is for a trained model on another backend than the CPU";
            refuse_unused(&[("allow_disagreement", args.allow_disagreement)], why)?;
        }
    }
    let detail = args.detail();
    let pictures = args.report.is_some() || args.plot.is_some();
    let scoring = ScoreOptions {
        dataset: source.name.clone(),
        part: args.split.part,
        baselines: !args.no_baselines,
        every_theta: args.every_theta,
        batch_size: args.batch_size,
        season,
        measure: measure(&args.model)?,
        detail: Detail {
            per_step: detail.per_step || pictures,
            per_channel: detail.per_channel || args.report.is_some(),
            ..detail
        },
        progress: None,
    };
    let mut evaluation = score(global, &mut forecaster, &prepared, scoring)?;
    if forecaster.config().extension().hierarchy.is_some() {
        let model = ptsm::Model::from_dir(&args.model)?;
        evaluation.coherence = Some(Coherence::new(&model, prepared.part(args.split.part))?);
    }
    if let Some(path) = &args.plot {
        plot::save(path, &horizon_plot(&evaluation, &args.model, true))?;
        remark(global, &format!("picture: {}", path.display()));
    }
    if let Some(path) = &args.report {
        let page = ForecastReport {
            command: typed_again(),
            model_dir: &args.model,
            source: &source,
            set: &set,
            evaluation: &evaluation,
            forecasts: last_forecasts(&mut forecaster, &set)?,
        };
        write_text(path, &page.render(&forecaster)?)?;
        remark(global, &format!("report: {}", path.display()));
    }
    trim(&mut evaluation, detail);
    if !args.every_theta {
        name_every_theta(&mut evaluation);
    }
    if let Some(calibration) = forecaster.model().calibration() {
        remark(global, &intervals::rest_on(calibration));
    }
    answer(global, &evaluation, &evaluation.table())
}

/// Says how Theta is scored where that was left out because it takes long.
fn name_every_theta(evaluation: &mut Evaluation) {
    for baseline in &mut evaluation.baselines {
        if let BaselineOutcome::NotScored { reason } = &mut baseline.outcome
            && reason.ends_with(TAKES_A_WHILE)
        {
            reason.push_str(" (--every-theta scores it all the same)");
        }
    }
}

/// The default parts of the series; where they are too short for these, the last rows of each are the test part.
fn prepare_any_length(
    global: &Global,
    forecaster: &Forecaster,
    set: &SeriesSet,
) -> Result<Prepared> {
    match forecaster.prepare_up_to(set, None) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            let rows = forecaster.config().prediction_length;
            let last = forecaster.prepare_up_to(set, Some(Split::Last { rows }))?;
            let text = format!(
                "too short for training, validation and test parts: the last {rows} rows are scored"
            );
            remark(global, &text);
            Ok(last)
        }
        prepared => prepared,
    }
}

/// Scores several heads on one backbone.
fn evaluate_heads(global: &Global, args: &Args, names: &[String]) -> Result<()> {
    only_cpu(&args.backend, "several heads on one backbone")?;
    let mut shared = SharedModel::from_dir(&args.model, names, open(&args.backend)?.as_ref())?;
    let source = args.data.read_for(global, &shared.heads()[0].preprocessor)?;
    let (roles, repair) = (args.data.roles(), args.data.repair(&source)?);
    let set = shared.heads()[0].preprocessor.read_as(&source.table, &roles, &repair)?;
    remark(global, &summary(&source.name, &set));
    let scoring = heads::HeadsScoring {
        part: args.split.part,
        borders: args.borders(),
        batch_size: args.batch_size,
        season: args.data.season()?,
        detail: args.detail(),
    };
    heads::evaluate(global, &mut shared, &set, &scoring)
}

impl Args {
    /// The split, where it is not that of the training.
    fn borders(&self) -> Option<Split> {
        self.borders.or(self.split.borders)
    }

    /// The options that only scores of forecasts have, and whether they were given.
    fn for_forecasts(&self) -> [(&'static str, bool); 7] {
        [
            ("allow_disagreement", self.allow_disagreement),
            ("by", !self.by.is_empty()),
            ("per_step", self.per_step),
            ("per_channel", self.per_channel),
            ("no_baselines", self.no_baselines),
            ("every_theta", self.every_theta),
            ("report", self.report.is_some()),
        ]
    }

    fn detail(&self) -> Detail {
        let by = |part: &str| self.by.iter().any(|wanted| wanted == part);
        Detail {
            per_step: self.per_step || by("step"),
            per_channel: self.per_channel || by("channel"),
            per_series: by("series"),
        }
    }

    fn request(&self) -> cases::Request<'_> {
        cases::Request {
            model: &self.model,
            data: &self.data,
            label: self.label.as_ref(),
            backend: &self.backend,
            plot: self.plot.as_ref(),
            out: None,
        }
    }
}
