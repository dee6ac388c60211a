//! Backends by name: the only crate that depends on all of them.

use ptsm_core::{Backend, Cpu, Error, ErrorKind, Result, did_you_mean};
use ptsm_tenstorrent::{Arch, Options, Tenstorrent, TenstorrentEmulator};

/// Names of the backends, as on the command line.
pub const NAMES: [&str; 3] = ["cpu", "tenstorrent", "tenstorrent-emulator"];
/// Environment variable with the Tenstorrent product that programs are planned for.
const ARCH_VARIABLE: &str = "PTSM_TT_ARCH";

/// Opens the backend with this name.
///
/// # Errors
///
/// `BackendUnavailable` for an unknown name, listing the known ones; `InvalidConfig` if
/// `PTSM_TT_ARCH` names no product.
pub fn open(name: &str) -> Result<Box<dyn Backend>> {
    match name {
        "cpu" => Ok(Box::new(Cpu::default())),
        "tenstorrent" => Ok(Box::new(Tenstorrent { options: options()?, worker: None })),
        "tenstorrent-emulator" => Ok(Box::new(TenstorrentEmulator { options: options()? })),
        other => Err(Error::new(
            ErrorKind::BackendUnavailable,
            format!(
                "there is no backend \"{other}\", only {}{}",
                NAMES.join(", "),
                did_you_mean(other, NAMES)
            ),
        )),
    }
}

/// Refuses any backend but the CPU for `work` that only the CPU supports, so that it does not fall
/// back silently.
///
/// # Errors
///
/// `InvalidConfig` if `name` is not the CPU.
pub fn only_cpu(name: &str, work: &str) -> Result<()> {
    match name {
        "cpu" => Ok(()),
        other => {
            let text = format!("{other} does not support this: {work} run on the CPU");
            Err(Error::config("backend", text))
        }
    }
}

fn options() -> Result<Options> {
    let arch = match std::env::var(ARCH_VARIABLE) {
        Ok(name) => name.parse::<Arch>().map_err(|e| e.at(ARCH_VARIABLE))?,
        Err(_) => Options::default().arch,
    };
    Ok(Options { arch, ..Options::default() })
}

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
