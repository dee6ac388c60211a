//! Modules form no circle, in any crate of the workspace.
//!
//! `cargo test -p ptsm-cli --test module_circles -- --nocapture` prints the graph: a line for each
//! file with the files of its crate that it uses.

// A failed `unwrap` in a test helper is a failed test; this one prints the graph.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod module_graph;

use std::path::{Path, PathBuf};

use module_graph::Graph;

fn crates() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .collect();
    found.sort();
    found
}

#[test]
fn no_crate_has_a_circle_of_modules() {
    let mut circles = Vec::new();
    for dir in crates() {
        let graph = Graph::read(&dir.join("src"));
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        println!("{name}");
        graph.arrows().for_each(|(from, to)| println!("  {from} -> {}", to.join(", ")));
        circles.extend(graph.circles().into_iter().map(|circle| {
            let arrows = graph.arrows_within(&circle);
            format!("{name}: {} files\n    {}", circle.len(), arrows.join("\n    "))
        }));
    }
    assert!(circles.is_empty(), "circles of modules:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found_through_super_and_through_names_that_a_parent_passes_on() {
    let circles = |files: &[(&str, &str)]| Graph::from_texts(files).circles();
    let apart = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "struct B;")];
    assert!(circles(&apart).is_empty());
    let direct =
        [("lib.rs", ""), ("a.rs", "use crate::b::B;"), ("b.rs", "fn f() { super::a::g() }")];
    assert_eq!(circles(&direct), [["a.rs", "b.rs"]]);
    // The parent only names what a child has: an arrow to the child, not to the parent.
    let passed = [
        ("lib.rs", "mod a; mod b; pub use b::B;"),
        ("a.rs", "use crate::{\n    B,\n};"),
        ("b.rs", "use crate::a::A;"),
    ];
    assert_eq!(circles(&passed), [["a.rs", "b.rs"]]);
    let with_parent = [("lib.rs", "mod a; use a::A; struct P;"), ("a.rs", "use super::P;")];
    assert_eq!(circles(&with_parent), [["a.rs", "lib.rs"]]);
    let tests = [
        ("lib.rs", "mod a; use a::A; struct P;"),
        ("a.rs", "#[cfg(test)]\nmod tests {\n    use super::super::P;\n}\n// use super::P;\n"),
    ];
    assert!(circles(&tests).is_empty());
    let folder = [
        ("lib.rs", "mod d;"),
        ("d/mod.rs", "mod x;\nmod y;\nuse x::X;"),
        ("d/x.rs", "use super::y::Y;"),
        ("d/y.rs", "use crate::d::x::Z;"),
    ];
    assert_eq!(circles(&folder), [["d/x.rs", "d/y.rs"]]);
}
