//! Signals that end the process: one that would end it in the middle of a write is made an error of that write, and
//! Ctrl-C and a request to end are answered with what is kept.

use crate::interrupt::Kept;

/// A write beyond the limit on file sizes (`ulimit -f`) fails, where it would otherwise kill the process.
#[cfg(unix)]
pub(crate) fn report_as_errors() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::SIGXFSZ;

    // Nobody reads the flag: that the signal is handled is enough for the write to return an error. Where
    // no handler can be set, the process is killed as it would be without this.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// SIGINT and SIGTERM end the process at once, with 128 and their number, and a line that says what is kept.
///
/// Nothing is undone: whatever is written appears whole or not at all, whenever the process ends.
#[cfg(unix)]
pub(crate) fn end_when_interrupted(kept: Kept) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    // Where no handler can be set, or no thread started, the process ends as it would without this; a handler that
    // nobody waits for would make it ignore the signals.
    let wait = move || {
        let wanted = [SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
        let Ok(mut signals) = Signals::new(wanted) else { return };
        if let Some(signal) = signals.forever().next() {
            crate::output::message(&format!("interrupted: {}", kept.text()));
            signal_hook::low_level::exit(128 + signal);
        }
    };
    let _ = std::thread::Builder::new().name("signals".into()).spawn(wait);
}

/// Whether the process was started so that it ignores a signal, as commands of a script that run in the background
/// ignore Ctrl-C. Known where the system tells.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The system ends the process.
#[cfg(not(unix))]
pub(crate) fn end_when_interrupted(_: Kept) {}

/// There is no such signal.
#[cfg(not(unix))]
pub(crate) fn report_as_errors() {}
