//! A library does not know how a program spells its options: texts name them by `option`.

#![allow(clippy::unwrap_used)]

use std::path::Path;

/// The lines of a source file that hold a flag, outside of comments and tests.
fn flags(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let has_flag = |line: &str| {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("--") {
            let begins = !before.ends_with(|c: char| c == '-' || c.is_alphanumeric());
            if begins && after.starts_with(|c: char| c.is_ascii_lowercase()) {
                return true;
            }
            rest = after;
        }
        false
    };
    code.lines().filter(|line| !line.trim_start().starts_with("//") && has_flag(line)).collect()
}

fn check(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += check(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let found = flags(&source);
            assert!(found.is_empty(), "{}: {found:?} (use ptsm_core::option)", path.display());
            files += 1;
        }
    }
    files
}

#[test]
fn no_text_of_a_library_spells_a_flag() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["core", "data", "ptsm"] {
        assert!(check(&crates.join(name).join("src")) > 10, "{name}");
    }
    assert_eq!(flags("x(\"use --data\");\n// --data\n#[cfg(test)]\nmod tests {\"--x\"}").len(), 1);
    assert!(flags("a--b; \"---\"; n -= -x;").is_empty());
}
