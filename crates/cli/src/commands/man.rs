//! `ptsm man`: the man page of the command, or one of every command in a folder.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Command;
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

/// What the pages are made from.
pub(crate) struct Book {
    /// The command with all that are below it.
    pub(crate) command: Command,
    /// The examples of a command, called by its name without the first word.
    pub(crate) examples: fn(&str) -> Option<&'static str>,
}

/// Prints or writes.
pub(crate) fn run(global: &Global, args: &Args, mut book: Book) -> Result<()> {
    book.command.build();
    let Some(folder) = &args.out else {
        if std::io::stdout().is_terminal() {
            let text = "a man page, which a terminal does not show as it is, is read with: ptsm man | man -l -\n\
                        the pages of all commands are written with: ptsm man --out man1\n";
            return print(text);
        }
        return print(&book.page(&book.command, "ptsm")?);
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot be made", e))?;
    let mut pages = Vec::new();
    book.collect(&book.command, "ptsm", &mut pages)?;
    for (name, page) in &pages {
        ptsm::core::write_atomically(&folder.join(name), |out| out.write_all(page.as_bytes()))?;
    }
    let (place, count) = (folder.display(), pages.len());
    let text = format!("{count} pages in {place} (read one with: man {place}/ptsm-train.1)\n");
    answer(global, &json!({"out": folder, "pages": count}), &text)
}

impl Book {
    /// Names and texts of the pages of a command and those below it, which go by their whole names, as those of git do:
    /// `ptsm-heads-add.1`.
    fn collect(
        &self,
        command: &Command,
        name: &str,
        pages: &mut Vec<(String, String)>,
    ) -> Result<()> {
        pages.push((format!("{name}.1"), self.page(command, name)?));
        for inner in command.get_subcommands() {
            self.collect(inner, &format!("{name}-{}", inner.get_name()), pages)?;
        }
        Ok(())
    }

    /// The page of a command, called by its whole name, with its examples.
    fn page(&self, command: &Command, name: &str) -> Result<String> {
        let mut page = Vec::new();
        let written = Man::new(command.clone()).render(&mut page);
        written.map_err(|e| Error::internal("a page cannot be written to memory").because(e))?;
        let mut page = String::from_utf8_lossy(&page).into_owned();
        let words = name.replace('-', " ");
        let words = words.strip_prefix("ptsm").unwrap_or(&words).trim();
        // `tt-plan` has the mark in its own name.
        if let Some(text) = (self.examples)(words).or_else(|| (self.examples)(command.get_name())) {
            let at = page.find("\n.SH VERSION").map_or(page.len(), |place| place + 1);
            page.insert_str(at, &section(text));
        }
        Ok(page)
    }
}

/// A section of examples, whose lines stay as they are.
fn section(examples: &str) -> String {
    let plain = |line: &str| line.replace('\\', "\\e").replace('-', "\\-");
    let lines: Vec<String> = examples.lines().map(|line| plain(line.trim_start())).collect();
    format!(".SH EXAMPLES\n.nf\n{}\n.fi\n", lines.join("\n"))
}
