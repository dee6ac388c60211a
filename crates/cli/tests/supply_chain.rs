//! `docs/supply-chain.md` lists every crate that runs a program while the project is built.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Names of the crates that the rows of the table of build scripts begin with.
fn listed(page: &str) -> BTreeSet<String> {
    let rows = page.lines().skip_while(|line| !line.starts_with("| crates |")).skip(2);
    let cells =
        rows.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split(',').map(|name| name.trim().trim_matches('`')));
    names.map(str::to_owned).collect()
}

/// Names of the crates that have build scripts, of those that are built here.
fn found(root: &Path) -> BTreeSet<String> {
    let host = if cfg!(target_arch = "x86_64") {
        "x86_64-unknown-linux-gnu"
    } else {
        "aarch64-unknown-linux-gnu"
    };
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"])
        .args(["--filter-platform", host])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let built: BTreeSet<String> =
        list(&metadata["resolve"]["nodes"]).iter().map(|node| node["id"].to_string()).collect();
    let packages = list(&metadata["packages"]);
    let scripted = packages.iter().filter(|package| {
        let targets = list(&package["targets"]);
        let script =
            targets.iter().any(|target| list(&target["kind"]).contains(&"custom-build".into()));
        script && built.contains(&package["id"].to_string())
    });
    scripted.filter_map(|package| package["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn every_build_script_is_listed() {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("skipped: the page lists build scripts for Linux on x86-64");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/supply-chain.md")).unwrap();
    assert_eq!(found(&root), listed(&page), "found, and listed in docs/supply-chain.md");
}
