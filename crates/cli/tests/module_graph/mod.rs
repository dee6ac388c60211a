//! The files of a crate and which of them use which, read off their paths (`use` lines and paths in
//! code that begin with `crate`, `self` or `super`, or with a child's name).
//!
//! Comments and test modules do not count, nor do a parent's `mod` lines and the names that it
//! passes on from its children: who uses such a name uses the child.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Files by their path below `src`, with what each uses.
pub(crate) struct Graph {
    arrows: BTreeMap<String, BTreeSet<String>>,
}

/// One file as a module.
struct Module {
    file: String,
    /// Path from the crate's root, such as `["train", "loss"]`.
    path: Vec<String>,
    /// Paths in its code, without those of its re-exports.
    used: Vec<Vec<String>>,
    /// Names that it passes on, with the paths they come from.
    passed_on: Vec<(String, Vec<String>)>,
}

impl Graph {
    /// Reads every `.rs` file below `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let mut texts = Vec::new();
        collect(src, src, &mut texts);
        let texts: Vec<(&str, &str)> =
            texts.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        Self::from_texts(&texts)
    }

    /// The same for files in memory.
    pub(crate) fn from_texts(files: &[(&str, &str)]) -> Self {
        let is_test = |file: &str| file.ends_with("tests.rs") || file.ends_with("_tests.rs");
        let files = files.iter().filter(|(file, _)| !is_test(file));
        let modules: Vec<Module> = files.map(|(file, text)| Module::read(file, text)).collect();
        let mut arrows = BTreeMap::new();
        for module in &modules {
            let used = module.used.iter().filter_map(|path| resolve(&modules, module, path, 0));
            let others: BTreeSet<String> = used.filter(|file| *file != module.file).collect();
            arrows.insert(module.file.clone(), others);
        }
        Self { arrows }
    }

    /// Every file with the files that it uses.
    pub(crate) fn arrows(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.arrows
            .iter()
            .map(|(from, to)| (from.as_str(), to.iter().map(String::as_str).collect()))
    }

    /// The arrows between the files of one circle.
    pub(crate) fn arrows_within(&self, circle: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        for from in circle {
            let inside = self.arrows[from].iter().filter(|to| circle.contains(to));
            found.extend(inside.map(|to| format!("{from} -> {to}")));
        }
        found
    }

    /// Sets of files each of which reaches every other, sorted.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            self.arrows.keys().map(|file| (file, self.reach(file))).collect();
        let mut circles = BTreeSet::new();
        for (file, others) in &reached {
            let mut circle: Vec<String> = others
                .iter()
                .filter(|other| reached[**other].contains(file))
                .map(|other| (*other).clone())
                .collect();
            circle.sort();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reach<'a>(&'a self, from: &'a String) -> BTreeSet<&'a String> {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(file) = waiting.pop() {
            let new = self.arrows[file].iter().filter(|next| self.arrows.contains_key(*next));
            waiting.extend(new.filter(|next| seen.insert(*next)));
        }
        seen
    }
}

fn collect(src: &Path, dir: &Path, texts: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(src, &path, texts);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let file = path.strip_prefix(src).unwrap().to_string_lossy().replace('\\', "/");
            texts.push((file, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

impl Module {
    fn read(file: &str, text: &str) -> Self {
        let mut path: Vec<String> =
            file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if ["mod", "lib", "main"].contains(&path.last().unwrap().as_str()) {
            path.pop();
        }
        let code = without_tests_and_comments(text);
        let (mut used, mut passed_on) = (Vec::new(), Vec::new());
        let mut rest = String::new();
        for statement in code.split_inclusive(';') {
            let Some((start, exported, tree)) = use_tree(statement) else {
                rest += statement;
                continue;
            };
            rest += &statement[..start];
            let mut leaves = Vec::new();
            expand(tree, &[], &mut leaves);
            for (name, leaf) in leaves {
                if exported && leaf.first().is_none_or(|first| first != "super") {
                    passed_on.push((name, leaf));
                } else {
                    used.push(leaf);
                }
            }
        }
        used.extend(paths_in_code(&rest));
        Self { file: file.to_owned(), path, used, passed_on }
    }
}

/// The code without line comments and without everything after the first `#[cfg(test)]` module,
/// which comes last in our files.
fn without_tests_and_comments(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next_is_module = lines
            .peek()
            .is_some_and(|next| next.trim_start().starts_with("mod ") && next.ends_with('{'));
        if line.trim() == "#[cfg(test)]" && next_is_module {
            break;
        }
        code += line.split("//").next().unwrap();
        code.push('\n');
    }
    code
}

/// Where a `use` statement begins in this piece of code, whether it exports, and its tree.
fn use_tree(statement: &str) -> Option<(usize, bool, &str)> {
    let tree = statement.trim_end().strip_suffix(';')?;
    let start = tree.rfind("use ")?;
    let before = &tree[..start];
    let at_word = before.chars().next_back().is_none_or(|c| c.is_whitespace());
    let line = before.rsplit('\n').next().unwrap().trim();
    let exported = line.starts_with("pub");
    (at_word && (line.is_empty() || exported)).then(|| (start, exported, &tree[start + 4..]))
}

/// The leaves of a use tree with the names that they get.
fn expand(tree: &str, prefix: &[String], leaves: &mut Vec<(String, Vec<String>)>) {
    let tree = tree.trim();
    let segments = |text: &str| -> Vec<String> {
        text.split("::")
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    };
    if let Some(open) = tree.find('{') {
        let mut prefix = prefix.to_vec();
        prefix.extend(segments(&tree[..open]));
        let inside = &tree[open + 1..tree.rfind('}').unwrap()];
        split_at_depth_zero(inside).into_iter().for_each(|part| expand(part, &prefix, leaves));
    } else if !tree.is_empty() {
        let (path, alias) = match tree.split_once(" as ") {
            Some((path, alias)) => (path, Some(alias.trim().to_owned())),
            None => (tree, None),
        };
        let mut leaf = prefix.to_vec();
        leaf.extend(segments(path));
        if leaf.last().is_some_and(|last| last == "self") && leaf.len() > 1 {
            leaf.pop();
        }
        let name = alias.or_else(|| leaf.last().cloned()).unwrap_or_default();
        leaves.push((name, leaf));
    }
}

fn split_at_depth_zero(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Paths with at least two segments in code.
fn paths_in_code(code: &str) -> Vec<Vec<String>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c: char| !is_part(c)).filter(|word| word.contains("::"));
    words
        .map(|word| word.split("::").map(str::to_owned).filter(|part| !part.is_empty()).collect())
        .filter(|path: &Vec<String>| path.len() > 1)
        .collect()
}

/// The file that a path leads to; `None` for another crate.
fn resolve(modules: &[Module], from: &Module, path: &[String], depth: usize) -> Option<String> {
    // A parent's names may lead back to the parent: such a path is its own file's.
    if depth > 8 {
        return Some(from.file.clone());
    }
    let (mut at, rest) = match path.first().map(String::as_str) {
        Some("crate") => (Vec::new(), &path[1..]),
        Some("self") => (from.path.clone(), &path[1..]),
        Some("super") => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            (from.path[..from.path.len().checked_sub(ups)?].to_vec(), &path[ups..])
        }
        Some(first) => {
            let child: Vec<String> = from.path.iter().cloned().chain([first.to_owned()]).collect();
            modules.iter().find(|module| module.path == child)?;
            (from.path.clone(), path)
        }
        None => return None,
    };
    for (i, part) in rest.iter().enumerate() {
        let child: Vec<String> = at.iter().cloned().chain([part.clone()]).collect();
        if modules.iter().any(|module| module.path == child) {
            at = child;
            continue;
        }
        let here = modules.iter().find(|module| module.path == at)?;
        if let Some((_, target)) = here.passed_on.iter().find(|(name, _)| name == part) {
            let further: Vec<String> = target.iter().chain(&rest[i + 1..]).cloned().collect();
            return resolve(modules, here, &further, depth + 1);
        }
        return Some(here.file.clone());
    }
    modules.iter().find(|module| module.path == at).map(|module| module.file.clone())
}
