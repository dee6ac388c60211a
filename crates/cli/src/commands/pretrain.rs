//! `ptsm pretrain`: trains one forecaster for any series on simulated ones.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ptsm::core::Precision;
use ptsm::job::{Save, SaveMode};
use ptsm::model_dir::ModelDir;
use ptsm::pretrain::{PretrainEvent, PretrainJob, Pretrained, RealSeries, ValidationRow, defaults};
use ptsm::simulate::VERSION;
use ptsm::spec::ModelSpec;
use ptsm::train::Event;
use ptsm::zero_shot::zero_shot_network;
use ptsm::{Config, Error, Model, Result};
use serde_json::json;

use crate::commands::train::{ModelArgs, TrainingArgs};
use crate::global::Global;
use crate::interrupt;
use crate::kept_run::keep_asked;
use crate::mix::MixArgs;
use crate::output::{answer, remark};
use crate::progress::Progress;
use crate::run_state;

/// Options of `pretrain`.
///
/// Each window is simulated when a step needs it, and seen once. The defaults of the model and of training are other ones
/// than those of `train`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory to write; a checkpoint in it is at most --checkpoint-steps old when the run is
    /// stopped, and validation.jsonl holds the scores against the windows seen
    #[arg(long, value_name = "DIR", required = false, required_unless_present = "resume")]
    out: PathBuf,
    /// Windows to train on, such as 400k or 30M, rounded up to whole validations
    #[arg(long, value_name = "N", default_value = "30M", value_parser = parse_windows)]
    windows: u64,
    /// Steps from one validation to the next, on 4,096 simulated windows that are held back and on the files of
    /// --validate; the weights of the end are kept
    #[arg(long, value_name = "STEPS", default_value_t = 1000)]
    validate_every: u32,
    /// Real series to score on the way, which nothing is learnt from: tables of one channel, of which
    /// the last STEPS rows of each series are forecast
    #[arg(long, value_delimiter = ',', value_name = "FILE:STEPS[:SEASON],...")]
    validate: Vec<String>,
    /// Save the weights of the finished model with 16 bits each, as those inside the binary are
    #[arg(long)]
    half_precision: bool,
    /// Continue the training of a network of this command, or of the one inside the binary (builtin), on new
    /// windows: take another --seed, and the learning rate at which it stood
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    /// Resume the run in DIR from its last checkpoint; no other option is needed. Without DIR the
    /// one of --out is meant, and a run is started if there is none
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    /// Replace a model that is in DIR
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    #[command(flatten)]
    mix: MixArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
}

/// A number with k or M after it, or without.
fn parse_windows(text: &str) -> std::result::Result<u64, String> {
    let (digits, times) = match text.strip_suffix(['k', 'K']) {
        Some(rest) => (rest, 1e3),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1.0), |rest| (rest, 1e6)),
    };
    let number: f64 = digits.parse().map_err(|_| "wanted a number such as 400k or 30M")?;
    let windows = (number * times).round();
    match (1.0..1e15).contains(&windows) {
        true => Ok(windows as u64),
        false => Err("wanted at least 1".into()),
    }
}

/// Trains and reports.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let job = args.job()?;
    let batch = job.training.batch_size as u64;
    let mut reporter = Reporter { global, progress: None, batch, run: Some(&args.out) };
    let pretrained = job.run(&mut |event| {
        reporter.show(event);
        ControlFlow::Continue(())
    });
    if let Some(progress) = &reporter.progress {
        progress.finish();
    }
    report(global, args, &pretrained?)
}

impl Args {
    fn job(&self) -> Result<PretrainJob> {
        let (mut model, mut training) = defaults();
        if self.model.loss().is_some_and(|loss| loss != "quantile") {
            model.extension_mut().quantiles = None;
        }
        self.training.apply(&mut training);
        let real = self.validate.iter().map(|text| RealSeries::read(text));
        let mode = match (self.resume.is_some(), self.overwrite) {
            (true, _) => SaveMode::Resume,
            (false, true) => SaveMode::Replace,
            (false, false) => SaveMode::New,
        };
        let save = Save { dir: ModelDir::new(&self.out), mode };
        if mode == SaveMode::New {
            run_state::refuse_taken("pretrain", &self.out)?;
        }
        let start = self.init.as_deref().map(|init| self.network(init)).transpose()?;
        Ok(PretrainJob {
            mix: self.mix.mix()?,
            model: if start.is_some() { ModelSpec::default() } else { self.model.over(model)? },
            start,
            training,
            windows: self.windows,
            validate_every: self.validate_every,
            real: real.collect::<Result<_>>()?,
            save,
            precision: match self.half_precision {
                true => Precision::Half,
                false => Precision::Single,
            },
        })
    }

    /// The network whose training is continued.
    fn network(&self, init: &Path) -> Result<Model> {
        if self.model != ModelArgs::default() {
            let text = "continues with a network as it is: leave out the options of the model";
            return Err(Error::config("init", text));
        }
        zero_shot_network(init)?.ok_or_else(|| {
            let text = "is no network of ptsm pretrain (train --init fine-tunes others)";
            Error::config("init", text).at(init.display().to_string())
        })
    }
}

/// Shows the events of a run.
struct Reporter<'g> {
    global: &'g Global,
    progress: Option<Progress>,
    batch: u64,
    /// Where it is kept what the run was asked for, once its first step is done.
    run: Option<&'g Path>,
}

impl Reporter<'_> {
    fn show(&mut self, event: &PretrainEvent<'_>) {
        match event {
            PretrainEvent::Ready { model, windows, total_steps } => {
                remark(self.global, &describe(model, *windows));
                self.progress = Some(Progress::new(self.global, "training", *total_steps));
            }
            PretrainEvent::Training(Event::Step { step, loss, .. }) => {
                interrupt::at_step(*step);
                if let Some(out) = self.run.take() {
                    keep_asked(self.global, out);
                }
                let text = format!("{} windows, loss {loss:.4}", millions(step * self.batch));
                if let Some(progress) = &mut self.progress {
                    progress.update(*step, &text);
                }
            }
            PretrainEvent::Training(Event::Resumed { step, total_steps }) => {
                self.line(&format!("resumed after step {step} of {total_steps}"));
                if let Some(progress) = &mut self.progress {
                    progress.start_at(*step);
                }
            }
            PretrainEvent::Validated { row, best } => self.line(&scores(row, *best)),
            _ => {}
        }
    }

    fn line(&self, text: &str) {
        if let Some(progress) = &self.progress {
            progress.line(text);
        }
    }
}

fn millions(windows: u64) -> String {
    format!("{:.2} M", windows as f64 / 1e6)
}

fn describe(model: &Model, windows: u64) -> String {
    let Config { context_length, prediction_length, .. } = *model.config();
    format!(
        "{} simulated windows of up to {context_length} + {prediction_length} steps \
         (simulator {VERSION}), {} parameters",
        millions(windows),
        model.layout().num_trained()
    )
}

/// One line for one validation.
fn scores(row: &ValidationRow, best: bool) -> String {
    let mut text = format!("{} windows  train {:.4}", millions(row.windows), row.train_loss);
    if let Some(loss) = row.validation_loss {
        text += &format!("  held back {loss:.4}{}", if best { " *" } else { "" });
    }
    for real in &row.real {
        text += &format!("  {}", real.name);
        let errors = [("sMAPE", real.smape), ("MAPE", real.mape), ("MASE", real.mase)];
        for (name, error) in errors {
            if let Some(error) = error {
                text += &format!(" {name} {error:.3}");
            }
        }
    }
    text + &format!("  {:.0} s", row.seconds)
}

fn report(global: &Global, args: &Args, pretrained: &Pretrained) -> Result<()> {
    let record = &pretrained.record;
    let history = &record.history;
    let windows = record.simulation.as_ref().map_or(0, |simulation| simulation.windows);
    let hours = record.simulation.as_ref().map_or(0.0, |simulation| simulation.hours);
    let loss = pretrained.validations.last().and_then(|row| row.validation_loss);
    let value = json!({
        "out": args.out, "windows": windows, "steps": history.steps, "hours": hours,
        "validation_loss": loss, "stopped_by": history.stopped_by,
        "num_parameters": record.num_parameters, "validation": pretrained.validations.last(),
    });
    let text = format!(
        "{}: {} windows in {hours:.2} h{} ({})\n",
        args.out.display(),
        millions(windows),
        loss.map_or(String::new(), |loss| format!(", held-back loss {loss:.4}")),
        history.stopped_by
    );
    answer(global, &value, &text)
}
