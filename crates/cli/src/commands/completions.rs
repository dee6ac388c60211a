//! `ptsm completions`: prints shell completions.

use clap_complete::Shell;
use ptsm::Result;

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell that they are for
    #[arg(value_name = "bash|zsh|fish|elvish|powershell", hide_possible_values = true)]
    shell: Shell,
}

/// Prints the completions of `command`.
pub(crate) fn run(args: &Args, mut command: clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ptsm", &mut text);
    crate::output::print(&String::from_utf8_lossy(&text))
}
