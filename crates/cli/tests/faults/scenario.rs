//! A command that meets every fault, each in a folder of its own.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::common::{csv, stderr};
use crate::inject::{Fault, Point, Started, can_inject};
use crate::outcome::{self, Outcome};

/// Points that each scenario meets, unless another number is asked for.
const SOME: usize = 12;

pub(crate) struct Scenario<'a> {
    pub(crate) name: &'a str,
    /// Commands that prepare the folder.
    pub(crate) before: &'a [&'a str],
    /// The command that meets the fault.
    pub(crate) command: &'a str,
    /// What is run afterwards, in this order; the last must succeed. Without any the command itself.
    pub(crate) again: &'a [&'a str],
    /// Rows that arrive at standard input; what the state has seen is not sent again.
    pub(crate) rows: usize,
}

impl<'a> Scenario<'a> {
    pub(crate) fn of(name: &'a str, command: &'a str) -> Self {
        Self { name, before: &[], command, again: &[], rows: 0 }
    }

    pub(crate) fn run(&self) {
        if !can_inject() {
            let asked = std::env::var_os("PTSM_FAULTS").is_some();
            assert!(!asked, "PTSM_FAULTS is set, but strace is not there, or may not trace");
            eprintln!("skipped: {} (strace is not there, or may not trace)", self.name);
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let start = self.start(root.path());
        let whole = root.path().join("whole");
        copy(&start, &whole);
        let points = self.started(&whole, self.command).points();
        let wanted = outcome::of(&whole);
        let most = std::env::var("PTSM_FAULTS").map_or(SOME, |most| most.parse().unwrap());
        // Odd, because the faults of a call lie side by side: an even step would meet the same ones of each.
        let step = points.len().div_ceil(most) | 1;
        let mut survived = 0;
        let described = described_in(&start);
        for point in points.iter().step_by(step) {
            let folder = root.path().join("tried");
            copy(&start, &folder);
            self.meet(&folder, point, &wanted, &described);
            std::fs::remove_dir_all(&folder).unwrap();
            survived += 1;
        }
        assert!(survived > 4, "{}: {survived} points", self.name);
        eprintln!("{}: {survived} of {} points", self.name, points.len());
    }

    /// The folder before the command.
    fn start(&self, root: &Path) -> PathBuf {
        let start = root.join("start");
        std::fs::create_dir(&start).unwrap();
        for (name, text) in [
            ("data.csv", csv(300)),
            ("rows.csv", csv(self.rows)),
            ("suite.toml", SUITE.into()),
            ("space.toml", SPACE.into()),
        ] {
            std::fs::write(start.join(name), text).unwrap();
        }
        for command in self.before {
            let output = self.started(&start, command).run();
            assert!(output.status.success(), "{command}: {}", stderr(&output));
        }
        if self.name == "import" {
            // A folder as Hugging Face writes it.
            std::fs::create_dir(start.join("hf")).unwrap();
            for file in ["config.json", "model.safetensors"] {
                std::fs::copy(start.join("m").join(file), start.join("hf").join(file)).unwrap();
            }
        }
        start
    }

    fn started<'s>(&self, folder: &'s Path, arguments: &'s str) -> Started<'s> {
        Started { folder, arguments, input: (self.rows > 0).then_some("rows.csv") }
    }

    /// The command meets a fault; what it leaves and what comes of it is as it should be.
    fn meet(&self, folder: &Path, point: &Point, wanted: &Outcome, before: &[&str]) {
        let what = |text: &str, output: &Output| {
            let (name, status, said) = (self.name, output.status, stderr(output));
            format!("{name}, {point:?}: {text} ({status}): {said}")
        };
        let output = self.started(folder, self.command).run_with(point);
        match (output.status.code(), point.fault) {
            (None, Fault::Killed) if output.status.signal() == Some(9) => {}
            (Some(_), Fault::Killed) => panic!("{}", what("was not killed", &output)),
            // What did not matter: a lock that stays, a line that nobody reads.
            (Some(0), _) => {
                let apart = outcome::differing(&outcome::of(folder), wanted);
                assert!(apart.is_empty(), "{}", what(&format!("silent, {apart:?}"), &output));
            }
            (Some(3), Fault::Interrupted) => panic!("{}", what("was not repeated", &output)),
            (Some(3), _) => {}
            _ => panic!("{}", what("another end", &output)),
        }
        let lost = before.iter().find(|name| !described_in(folder).contains(name));
        assert!(lost.is_none(), "{}", what(&format!("{lost:?} is lost"), &output));
        self.models_are_whole(folder, point);
        age_temporaries(folder);
        if self.rows > 0 {
            drop_seen_rows(folder, self.rows);
        }
        let commands = if self.again.is_empty() { &[self.command][..] } else { self.again };
        let tried = commands.iter().map(|command| self.started(folder, command).run());
        let tried: Vec<Output> = tried.collect();
        let last = tried.last().unwrap();
        let apart = outcome::differing(&outcome::of(folder), wanted);
        assert!(
            last.status.success() && apart.is_empty(),
            "{}",
            what(&format!("differs in {apart:?}; then: {}", stderr(last)), &output)
        );
    }

    /// Every model in the folder is the old one or the new one.
    fn models_are_whole(&self, folder: &Path, point: &Point) {
        for name in ["m", "p", "imported"] {
            let described = folder.join(name).join("SHA256SUMS").is_file();
            if described {
                let output = self.started(folder, &format!("verify {name} -q")).run();
                assert!(
                    output.status.success(),
                    "{}, {point:?}: {name}: {}",
                    self.name,
                    stderr(&output)
                );
            }
        }
    }
}

/// The models in a folder. A change that was begun and not ended is completed by who reads, so its list counts as one.
fn described_in(folder: &Path) -> Vec<&'static str> {
    let lists = ["SHA256SUMS", ".ptsm-commit/SHA256SUMS"];
    let is_there = |name: &&str| lists.iter().any(|list| folder.join(name).join(list).is_file());
    ["m", "p", "imported"].into_iter().filter(is_there).collect()
}

/// Lets time pass for what a killed process left: a new temporary file may be that of a process that has just begun.
fn age_temporaries(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with(".ptsm-") && entry.path().is_file() {
            let file = std::fs::File::options().write(true).open(entry.path()).unwrap();
            file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60))
                .unwrap();
        }
    }
}

/// Takes the rows from the input that the state of the stream has seen.
fn drop_seen_rows(folder: &Path, rows: usize) {
    let Ok(text) = std::fs::read_to_string(folder.join("s.json")) else { return };
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    let seen = state["content"]["streams"][0]["clock"]["rows"].as_u64().unwrap() as usize;
    let text = csv(rows);
    let left = text.lines().take(1).chain(text.lines().skip(1 + seen));
    let text: String = left.flat_map(|line| [line, "\n"]).collect();
    std::fs::write(folder.join("rows.csv"), text).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

const SUITE: &str = r#"
title = "Small things"
data = ["data.csv"]
horizons = [4]
seeds = [0]
[model]
context_length = 24
patch_length = 8
patch_stride = 8
d_model = 4
num_layers = 1
[training]
epochs = 1
batch_size = 32
[[recipes]]
name = "plain"
[[rows]]
name = "one model"
candidates = [{ recipes = ["plain"] }]
"#;

const SPACE: &str = r#"
[base.model]
context_length = 24
prediction_length = 4
patch_length = 8
patch_stride = 8
d_model = 4
num_layers = 1
[base.training]
epochs = 1
batch_size = 32
[[axes]]
name = "rate"
choices = [{ training = { learning_rate = 1e-3 } }, { training = { learning_rate = 1e-2 } }]
"#;
