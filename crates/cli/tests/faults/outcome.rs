//! What a folder holds after a command.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// What is no part of an outcome: the log, what was read, a lock (which holds nothing), checksums of files with times in
/// them, the state of a run that is over, kept copies of data, and pages that show speeds.
const LEFT_OUT: [&str; 9] = [
    "calls",
    "rows.csv",
    ".ptsm-lock",
    "SHA256SUMS",
    "last.safetensors",
    "cache",
    "run.json",
    "report.md",
    "report.html",
];

/// Fields that say how long something took.
const TIMES: [&str; 4] = ["seconds", "train_seconds", "training_seconds", "sequences_per_s"];

/// A file: JSON without its times, or bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Json(Value),
    Bytes(Vec<u8>),
}

pub(crate) type Outcome = BTreeMap<String, Content>;

/// Every file below a folder.
pub(crate) fn of(folder: &Path) -> Outcome {
    let mut found = Outcome::new();
    collect(folder, "", &mut found);
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Outcome) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let (path, shown) = (entry.path(), format!("{prefix}{name}"));
        if path.is_dir() {
            collect(&path, &format!("{shown}/"), found);
        } else {
            found.insert(shown, content(&std::fs::read(&path).unwrap()));
        }
    }
}

fn content(bytes: &[u8]) -> Content {
    match serde_json::from_slice(bytes) {
        Ok(mut value) => {
            forget_times(&mut value);
            Content::Json(value)
        }
        Err(_) => Content::Bytes(bytes.to_vec()),
    }
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()));
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        _ => {}
    }
}

/// Names of the files in which two outcomes differ.
pub(crate) fn differing(found: &Outcome, wanted: &Outcome) -> Vec<String> {
    let names = found.keys().chain(wanted.keys().filter(|name| !found.contains_key(*name)));
    names.filter(|name| found.get(*name) != wanted.get(*name)).cloned().collect()
}
