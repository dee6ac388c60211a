//! Reports the events of a job on stderr: remarks, a progress bar, a line for every epoch.

use std::ops::ControlFlow;
use std::path::Path;

use ptsm::Task;
use ptsm::core::Note;
use ptsm::data::Labels;
use ptsm::job::{CaseData, JobData, JobEvent, Observer, Ready, SearchRound, SeriesData};
use ptsm::train::{Epoch, Event, History, Training};

use crate::global::Global;
use crate::interrupt;
use crate::kept_run::keep_asked;
use crate::output::{flag, remark};
use crate::progress::Progress;
use crate::source::summary;

/// Reports the events of a job.
pub(crate) struct Reporter<'g> {
    global: &'g Global,
    progress: Option<Progress>,
    /// Where it is kept what the run was asked for, once its first step is done: no sooner, so that a command that
    /// is refused writes nothing.
    run: Option<&'g Path>,
}

impl<'g> Reporter<'g> {
    pub(crate) fn new(global: &'g Global) -> Self {
        Self { global, progress: None, run: None }
    }

    /// One that keeps in `out` what the run was asked for.
    pub(crate) fn of_run(global: &'g Global, out: &'g Path) -> Self {
        Self { global, progress: None, run: Some(out) }
    }

    /// Removes the bar, if there is one.
    pub(crate) fn finish(&self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }
}

impl Observer for Reporter<'_> {
    fn observe(&mut self, event: &JobEvent<'_>) -> ControlFlow<()> {
        match event {
            JobEvent::Part(text) => {
                self.finish();
                self.progress = None;
                remark(self.global, &format!("{text}:"));
            }
            JobEvent::Searching(round) => self.search(round),
            JobEvent::Ready(ready) => {
                self.finish();
                match ready.data {
                    JobData::Series(data) => report_windows(self.global, ready, data),
                    JobData::Cases(data) => remark(self.global, &describe_cases(ready, data)),
                }
                interrupt::at_step(0);
                self.progress = Some(Progress::new(self.global, "training", ready.total_steps));
            }
            JobEvent::Training(event) => {
                if !matches!(event, Event::Start { .. })
                    && let Some(out) = self.run.take()
                {
                    keep_asked(self.global, out);
                }
                if let Some(progress) = &mut self.progress {
                    follow(progress, event);
                }
            }
            JobEvent::Trained(record) => {
                if let Some(text) = stopped_early(&record.history, &record.training) {
                    self.finish();
                    self.progress = None;
                    remark(self.global, &text);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Reporter<'_> {
    fn search(&mut self, round: &SearchRound) {
        if round.done == 0 {
            self.finish();
            let SearchRound { round, rounds, settings, again, trainings, .. } = *round;
            let s = if settings == 1 { "" } else { "s" };
            let again = match again {
                0 => String::new(),
                again if again == settings => " of earlier rounds, now with more care".to_owned(),
                again => format!(" ({again} of earlier rounds)"),
            };
            let text = format!(
                "search, round {round} of {rounds}: {settings} setting{s}{again}, {trainings} training{}",
                if trainings == 1 { "" } else { "s" }
            );
            remark(self.global, &text);
            self.progress = Some(Progress::new(self.global, "searching", trainings as u64));
        } else if let Some(progress) = &mut self.progress {
            progress.update(round.done as u64, "");
        }
    }
}

fn follow(progress: &mut Progress, event: &Event<'_>) {
    match event {
        Event::Resumed { step, total_steps } => {
            progress.line(&format!("resumed after step {step} of {total_steps}"));
            progress.start_at(*step);
            interrupt::at_step(*step);
        }
        Event::Start { validation_loss, validation_mae } => {
            let mae = validation_mae.map_or(String::new(), |mae| format!(" (MAE {mae:.4})"));
            progress.line(&format!("start      validation {validation_loss:.4}{mae} *"));
        }
        Event::Step { epoch, step, loss, .. } => {
            interrupt::at_step(*step);
            progress.update(*step, &format!("epoch {epoch}, loss {loss:.4}"));
        }
        Event::Epoch { epoch, best, .. } => progress.line(&describe(epoch, *best)),
    }
}

fn report_windows(global: &Global, ready: &Ready<'_>, data: &SeriesData) {
    let config = ready.model.config();
    remark(global, &summary(&data.name, &data.set));
    let mut notes = data.set.repairs.notes();
    notes.extend(data.set.outlier_notes());
    let told = |note: &Note| remark(global, &format!("  {}", note.spelled(flag)));
    notes.iter().chain(ready.notes).for_each(told);
    let steps = match config.task() {
        Ok(Task::Pretraining) => 0,
        _ => config.prediction_length,
    };
    let text = format!(
        "{} training and {} validation windows of {} + {steps} steps (split {}), {} parameters",
        ready.train,
        ready.validation,
        config.context_length,
        data.split,
        ready.model.layout().num_trained()
    );
    remark(global, &text);
    remark(
        global,
        "losses of training, on standardised values; * = the best on the validation windows so far",
    );
}

fn describe_cases(ready: &Ready<'_>, data: &CaseData) -> String {
    let labels = match &data.train.labels {
        Labels::Classes { names, .. } => format!("{} classes", names.len()),
        Labels::Values { names, .. } => format!("targets {}", names.join(", ")),
        Labels::Unknown(_) => "no labels".into(),
    };
    format!(
        "{}: {} training and {} validation cases x {} channels, up to {} steps, {labels}; \
         {} parameters",
        data.name,
        data.train.len(),
        ready.validation,
        data.train.channels.len(),
        data.train.longest(),
        ready.model.layout().num_trained()
    )
}

/// Why a training ended before its last epoch, if it did.
fn stopped_early(history: &History, training: &Training) -> Option<String> {
    let patience = training.patience.filter(|_| history.stopped_by == "early stopping")?;
    let best = match history.best_epoch {
        0 => "the start".to_owned(),
        epoch => format!("epoch {epoch}"),
    };
    let s = if patience == 1 { "" } else { "s" };
    Some(format!("stopped: no epoch better than {best} for {patience} epoch{s}"))
}

/// One line for one epoch.
fn describe(epoch: &Epoch, best: bool) -> String {
    let mut text = format!("epoch {:3}  train {:.4}", epoch.epoch, epoch.train_loss);
    if let Some(loss) = epoch.validation_loss {
        text += &format!("  validation {loss:.4}");
    }
    if let Some(mae) = epoch.validation_mae {
        text += &format!(" (MAE {mae:.4})");
    }
    if let Some(accuracy) = epoch.validation_accuracy {
        text += &format!(" (accuracy {accuracy:.4})");
    }
    text + &format!("{}  {:.1} s", if best { " *" } else { "" }, epoch.seconds)
}
