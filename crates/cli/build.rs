//! Says in the binary which commit it was built from, where that is known.

use std::path::{Path, PathBuf};

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    println!("cargo:rerun-if-changed=build.rs");
    let commit = commit(&manifest).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=PTSM_COMMIT={commit}");
}

/// The first twelve digits of the commit that is checked out. Of a package there is none: it lies in no repository
/// of ours, which the crate's place in it shows.
fn commit(manifest: &Path) -> Option<String> {
    if !manifest.ends_with("crates/cli") {
        return None;
    }
    let root = manifest.parent()?.parent()?;
    let git = folder(&root.join(".git"))?;
    // Of a further work tree the branches are in the folder of the first one.
    let common = std::fs::read_to_string(git.join("commondir"));
    let common = common.map_or(git.clone(), |path| git.join(path.trim()));
    let head = text(&git.join("HEAD"))?;
    // Changes with every commit, also where the branch has no file of its own yet.
    let _ = text(&git.join("logs/HEAD"));
    let Some(name) = head.strip_prefix("ref: ") else { return digits(&head) };
    let packed = || {
        let all = text(&common.join("packed-refs"))?;
        let line = all.lines().find(|line| line.ends_with(&format!(" {name}")))?;
        digits(line)
    };
    text(&common.join(name)).and_then(|found| digits(&found)).or_else(packed)
}

/// The folder of git: `.git` itself, or the one that a file of this name leads to.
fn folder(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let path = text(git)?.strip_prefix("gitdir: ")?.to_owned();
    Some(git.parent()?.join(path))
}

/// The text of a file, of which a change has this run again; of a file that is not there nothing is watched, because
/// that would have every build run it.
fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text.trim().to_owned())
}

fn digits(commit: &str) -> Option<String> {
    let digits = commit.get(..12)?;
    digits.chars().all(|c| c.is_ascii_hexdigit()).then(|| digits.to_owned())
}
