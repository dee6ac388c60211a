//! `ptsm man`: the man page of the command, or one of every command in a folder.

use std::path::PathBuf;

use clap_mangen::Man;
use ptsm::{Error, Result};
use serde_json::json;

use crate::global::Global;
use crate::output::{answer, print};

/// Options of `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the pages of all commands (ptsm.1, ptsm-train.1, ...); the page of ptsm on stdout if not
    /// given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes.
pub(crate) fn run(global: &Global, args: &Args, mut command: clap::Command) -> Result<()> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(unwritten)?;
        return print(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot be made", e))?;
    command.build();
    let mut pages = Vec::new();
    collect(&command, "ptsm", &mut pages)?;
    for (name, page) in &pages {
        ptsm::core::write_atomically(&folder.join(name), |out| out.write_all(page))?;
    }
    let (place, count) = (folder.display(), pages.len());
    let text = format!("{count} pages in {place} (read one with: man {place}/ptsm-train.1)\n");
    answer(global, &json!({"out": folder, "pages": count}), &text)
}

/// Names and texts of the pages of a command and those below it, which go by their whole names, as those of git do:
/// `ptsm-heads-add.1`.
fn collect(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).map_err(unwritten)?;
    pages.push((format!("{name}.1"), page));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        collect(inner, &format!("{name}-{}", inner.get_name()), pages)?;
    }
    Ok(())
}

fn unwritten(cause: std::io::Error) -> Error {
    Error::internal("a page cannot be written to memory").because(cause)
}
