//! The `ptsm` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(ptsm_cli::run(std::env::args_os().collect()))
}
