//! Checks this machine for what a device needs, and says how to get what is missing.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::worker::PYTHON_VARIABLE;

/// Asks a Python for the version of its `ttnn`, without opening a device.
const VERSION: &str = "import importlib.metadata as m; print(m.version('ttnn'))";
/// The version whose names and arguments programs use.
const KNOWN_VERSION: &str = "0.81";

/// One thing that a device needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Short name.
    pub name: &'static str,
    /// Whether it is here.
    pub ready: bool,
    /// What was found, or how to get it.
    pub text: String,
}

/// Looks for everything that the backend `tenstorrent` needs.
pub fn doctor() -> Vec<Finding> {
    vec![python(), device()]
}

fn finding(name: &'static str, found: Result<String, String>) -> Finding {
    let (ready, text) = match found {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    Finding { name, ready, text }
}

fn python() -> Finding {
    let Some(python) = std::env::var_os(PYTHON_VARIABLE) else {
        let text = format!(
            "set {PYTHON_VARIABLE} to a Python 3.10 or 3.12 that has ttnn {KNOWN_VERSION} \
             (pip install ttnn)"
        );
        return finding("tenstorrent ttnn", Err(text));
    };
    let asked = Command::new(&python).args(["-c", VERSION]).stdin(Stdio::null()).output();
    let shown = python.display();
    let found = match asked {
        Err(e) => Err(format!("{PYTHON_VARIABLE}={shown} cannot be started: {e}")),
        Ok(output) if !output.status.success() => {
            Err(format!("{shown} has no ttnn: {shown} -m pip install ttnn=={KNOWN_VERSION}.*"))
        }
        Ok(output) => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            match version.starts_with(KNOWN_VERSION) {
                true => Ok(format!("{version} in {shown}")),
                false => {
                    Err(format!("{shown} has ttnn {version}, programs are for {KNOWN_VERSION}"))
                }
            }
        }
    };
    finding("tenstorrent ttnn", found)
}

fn device() -> Finding {
    let found = match std::env::var_os("TT_METAL_SIMULATOR") {
        Some(library) if Path::new(&library).is_file() => {
            Ok(format!("simulator {}", library.display()))
        }
        Some(library) => Err(format!("TT_METAL_SIMULATOR={} is not there", library.display())),
        None if Path::new("/dev/tenstorrent").exists() => Ok("/dev/tenstorrent".into()),
        None => Err("no /dev/tenstorrent: install the kernel driver tt-kmd, or set \
                     TT_METAL_SIMULATOR; the backend tenstorrent-emulator needs neither"
            .into()),
    };
    finding("tenstorrent chip", found)
}
