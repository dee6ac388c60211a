//! Models that a command line names, and whose runs were stopped.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use ptsm::model_dir::ModelDir;
use ptsm::{Error, Result};

use crate::asked::command_of;
use crate::command_line::innermost;
use crate::output::message;
use crate::run_state::{after, quoted, stopped};

/// Options and arguments that name a model which is read.
const MODELS: [&str; 6] = ["model", "members", "from", "init", "path", "dir"];

/// Says of every model that a command line names where its run was stopped, and refuses a folder in which a run has
/// no model yet.
pub(crate) fn check(matches: &ArgMatches) -> Result<()> {
    let (_, command) = innermost(matches);
    let quiet = command.try_get_one::<bool>("quiet").ok().flatten().is_some_and(|quiet| *quiet);
    for option in MODELS {
        let values = command.try_get_raw(option).ok().flatten();
        for dir in values.into_iter().flatten().map(PathBuf::from).filter(|dir| dir.is_dir()) {
            let Some(reached) = stopped(&dir) else { continue };
            let (name, resume) = (dir.display(), resuming(&dir));
            if !ModelDir::new(&dir).is_taken() {
                let text = format!(
                    "holds a run that stopped {}, and no model yet ({resume})",
                    after(&reached)
                );
                return Err(Error::config(name.to_string(), text));
            }
            if !quiet {
                message(&format!("{name}: its run stopped {} ({resume})", after(&reached)));
            }
        }
    }
    Ok(())
}

/// The command that resumes the run in a folder.
fn resuming(dir: &Path) -> String {
    let command = command_of(dir).unwrap_or_else(|| "train".to_owned());
    format!("ptsm {command} --resume {}", quoted(dir))
}
