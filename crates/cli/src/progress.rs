//! Shows the progress of long jobs: a bar with an ETA on a terminal, plain lines otherwise.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ptsm::Result;

use crate::global::Global;
use crate::output;

/// Time between plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Progress of one job.
pub(crate) enum Progress {
    /// `--quiet`.
    Silent,
    /// On a terminal.
    Bar(ProgressBar),
    /// In a file or a pipe.
    Lines { name: String, total: u64, start: u64, began: Instant, last: Instant },
}

impl Progress {
    /// A job of `total` parts.
    pub(crate) fn new(global: &Global, name: &str, total: u64) -> Self {
        if global.quiet {
            return Progress::Silent;
        }
        if !stderr().is_terminal() {
            let now = Instant::now();
            return Progress::Lines { name: name.into(), total, start: 0, began: now, last: now };
        }
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template(
            "{prefix} {wide_bar:.cyan/dim} {pos}/{len}  {elapsed}, {eta} left  {msg}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        Progress::Bar(bar)
    }

    /// Shows how many parts of all are done while `work` tells.
    pub(crate) fn of<T>(
        global: &Global,
        name: &str,
        work: impl FnOnce(&mut dyn FnMut(usize, usize) -> Result<()>) -> Result<T>,
    ) -> Result<T> {
        let mut progress = Self::new(global, name, 0);
        let found = work(&mut |done, all| {
            progress.set_total(all as u64);
            progress.update(done as u64, "");
            Ok(())
        });
        progress.finish();
        found
    }

    /// A job whose end is not known: it shows how long it runs and what it does.
    pub(crate) fn without_end(global: &Global, name: &str) -> Self {
        let progress = Self::new(global, name, 0);
        if let Progress::Bar(bar) = &progress {
            let style = ProgressStyle::with_template("{prefix}  {elapsed}  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        }
        progress
    }

    /// How many parts there are, where that is known later.
    pub(crate) fn set_total(&mut self, parts: u64) {
        match self {
            Progress::Silent => {}
            Progress::Bar(bar) => bar.set_length(parts),
            Progress::Lines { total, .. } => *total = parts,
        }
    }

    /// Says that `parts` of the job's parts were done before, which tells nothing of the time that the others take.
    pub(crate) fn start_at(&mut self, parts: u64) {
        match self {
            Progress::Silent => {}
            Progress::Bar(bar) => {
                bar.set_position(parts);
                bar.reset_eta();
            }
            Progress::Lines { start, began, .. } => (*start, *began) = (parts, Instant::now()),
        }
    }

    /// Shows that `parts` of the job's parts are done.
    pub(crate) fn update(&mut self, parts: u64, message: &str) {
        match self {
            Progress::Silent => {}
            Progress::Bar(bar) => {
                bar.set_position(parts);
                bar.set_message(message.to_owned());
            }
            Progress::Lines { name, total, start, began, last } => {
                if last.elapsed() >= LINE_INTERVAL {
                    *last = Instant::now();
                    if *total == 0 {
                        output::message(&format!("{name}: {message}"));
                        return;
                    }
                    let spent = began.elapsed().as_secs_f64();
                    let done = parts.saturating_sub(*start).max(1);
                    let left = spent / done as f64 * total.saturating_sub(parts) as f64;
                    let text =
                        format!("{name} {parts}/{total}, {left:.0} s left at most  {message}");
                    output::message(&text);
                }
            }
        }
    }

    /// Writes a line that stays after the bar is removed.
    pub(crate) fn line(&self, text: &str) {
        match self {
            Progress::Silent => {}
            Progress::Bar(bar) => bar.suspend(|| output::message(text)),
            Progress::Lines { .. } => output::message(text),
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
