//! The threads that compute: a pool of this process alone, since threads do not survive a fork.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The pool, and the process that it is of. Touched only by threads that hold the interpreter's lock: a fork, which
/// holds that too, never finds it locked.
static POOL: Mutex<Option<Kept>> = Mutex::new(None);

struct Kept {
    process: u32,
    /// Threads that were asked for; 0 = one for each core.
    threads: usize,
    pool: Arc<ThreadPool>,
}

/// The pool of this process.
pub(crate) fn of_process(py: Python<'_>) -> PyResult<Arc<ThreadPool>> {
    let mut kept = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    let threads = match kept.as_ref() {
        Some(kept) if kept.process == process => return Ok(Arc::clone(&kept.pool)),
        Some(kept) => kept.threads,
        None => 0,
    };
    renew(py, &mut kept, threads)
}

/// Sets the number of threads; `None` = one for each core.
#[pyfunction]
#[pyo3(signature = (threads=None))]
pub(crate) fn set_threads(py: Python<'_>, threads: Option<usize>) -> PyResult<()> {
    if threads.is_some_and(|threads| !(1..=1024).contains(&threads)) {
        let error = ptsm::Error::config("threads", "must be from 1 to 1024");
        return Err(crate::errors::exception(py, &error));
    }
    let mut kept = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    renew(py, &mut kept, threads.unwrap_or(0)).map(|_| ())
}

fn renew(py: Python<'_>, kept: &mut Option<Kept>, threads: usize) -> PyResult<Arc<ThreadPool>> {
    let named = |number| format!("ptsm-{number}");
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(named).build();
    let pool = Arc::new(pool.map_err(|e| {
        let error = ptsm::Error::new(ptsm::ErrorKind::OutOfMemory, "no threads can be started");
        crate::errors::exception(py, &error.because(e))
    })?);
    let process = std::process::id();
    let old = kept.replace(Kept { process, threads, pool: Arc::clone(&pool) });
    if let Some(old) = old.filter(|old| old.process != process) {
        // Its threads are those of the process that was forked: there is nothing to end here.
        std::mem::forget(old);
    }
    Ok(pool)
}
