//! The extension module `ptsm._ptsm` of the Python package `ptsm`.
//!
//! It hands frames in and out by Arrow's C stream, runs the library without the interpreter's lock, and makes errors
//! exceptions. All that is Python's manners (names of arguments, frames of each kind, pickling) is in `python/ptsm`.
//!
//! | file | holds |
//! |---|---|
//! | `frames.rs` | frames of other libraries in, batches out |
//! | `columns.rs` | forecasts as columns |
//! | `fit.rs` | training, and the forecast without it |
//! | `forecaster.rs` | a trained forecaster |
//! | `backtest.rs` | forecasts from rolling cutoffs |
//! | `scan.rs` | points that were not expected, and what moved a forecast |
//! | `labeller.rs` | classifiers and regressions |
//! | `stream.rs` | forecasts while rows arrive |
//! | `files.rs` | a model directory as bytes |
//! | `onnx.rs` | a model as an ONNX file |
//! | `settings.rs` | what calls are asked for |
//! | `work.rs`, `pool.rs` | work beside the interpreter: signals, progress, threads, forks |
//! | `errors.rs` | errors as exceptions |

mod backtest;
mod columns;
mod errors;
mod files;
mod fit;
mod forecaster;
mod frames;
mod labeller;
mod onnx;
mod pool;
mod scan;
mod settings;
mod stream;
mod work;

use pyo3::pymodule;

/// The extension of the package `ptsm`; use that.
#[pymodule]
mod _ptsm {
    use std::ffi::OsString;

    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::backtest::backtest;
    #[pymodule_export]
    use crate::fit::{check_options, fit, forecast};
    #[pymodule_export]
    use crate::forecaster::ForecastCore;
    #[pymodule_export]
    use crate::frames::Batches;
    #[pymodule_export]
    use crate::labeller::{LabelCore, fit_cases};
    #[pymodule_export]
    use crate::pool::set_threads;
    #[pymodule_export]
    use crate::scan::{detect, explain};
    #[pymodule_export]
    use crate::stream::StreamCore;
    #[pymodule_export]
    use crate::work::{after_fork, wait_for_work};

    /// Runs a command line of `ptsm`, the name of the command first, and gives its exit code.
    #[pyfunction]
    fn run_cli(py: Python<'_>, line: Vec<OsString>) -> u8 {
        py.detach(|| ptsm_cli::run(line))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // The panics of other libraries over damaged data are caught and told as errors.
            if !ptsm::data::is_foreign_code() {
                usual(info);
            }
        }));
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
