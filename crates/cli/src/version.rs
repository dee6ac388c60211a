//! What `ptsm --version` says: version, commit, and the instruction set that this machine would compute with.

use std::sync::LazyLock;

use ptsm_kernels::Isa;

/// The commit that the binary was built from; `unknown` where it was built outside a repository.
pub(crate) const COMMIT: &str = env!("PTSM_COMMIT");

/// The text after the name of the command.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    // Looked up and not chosen: every command line asks for this text, and `--isa` is still to choose.
    let wanted = std::env::var("PTSM_ISA").ok().filter(|name| !name.is_empty());
    let set = Isa::named(wanted.as_deref()).unwrap_or_else(|_| Isa::best()).name();
    format!("{} (commit {COMMIT}, {set})", env!("CARGO_PKG_VERSION"))
});

/// Version, commit and instruction set.
pub(crate) fn version() -> &'static str {
    &TEXT
}
