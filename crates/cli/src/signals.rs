//! Signals that would end the process in the middle of a write, made errors of that write.

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

/// There is no such signal.
#[cfg(not(unix))]
pub(crate) fn report_as_errors() {}
