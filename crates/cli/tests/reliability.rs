//! What may not happen to the user's files, memory and time, whatever is asked for.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::{TINY, csv, ok, ptsm, run, stderr, trained};

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

/// Runs with a limit on memory; what needs more must end with code 6 and both numbers.
fn too_large(folder: &Path, arguments: &str) {
    let began = Instant::now();
    let output = ptsm(folder)
        .args(arguments.split_whitespace())
        .env("PTSM_MEMORY_LIMIT", "300MiB")
        .output()
        .unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{arguments}: {text}");
    assert!(text.contains("takes about") && text.contains("are there"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

fn packed(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn small_files_that_would_fill_the_memory_are_refused_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Few rows, far apart, of many columns: the grid between them has gigabytes.
    let names: Vec<String> = (0..4000).map(|c| format!("c{c}")).collect();
    let ones = vec!["1"; names.len()].join(",");
    let days = ["2020-01-01", "2020-01-02", "2160-01-01"].map(|day| format!("{day},{ones}\n"));
    write(folder, "wide.csv", format!("date,{}\n{}", names.join(","), days.concat()));
    too_large(folder, "inspect wide.csv");
    // The same in many series.
    let series =
        (0..4000).map(|s| format!("2020-01-01,s{s},1\n2020-01-02,s{s},1\n2160-01-01,s{s},2\n"));
    write(folder, "long.csv", format!("date,id,x\n{}", series.collect::<String>()));
    too_large(folder, "inspect long.csv");
    // One long and many short dimensions.
    let case = format!("{}{}:a\n", vec!["1"; 200_000].join(","), ":1".repeat(2000));
    write(folder, "ragged.ts", format!("@classLabel true a\n@data\n{case}"));
    too_large(folder, "inspect ragged.ts");
    // A small archive of a large text.
    let cells = "1,2,3,4,5,6,7,8\n".repeat(3_000_000);
    write(folder, "bomb.csv.gz", packed(format!("a,b,c,d,e,f,g,h\n{cells}").as_bytes()));
    too_large(folder, "inspect bomb.csv.gz");
    let rows = "{\"a\": 1}\n".repeat(30_000_000);
    write(folder, "bomb.jsonl.gz", packed(rows.as_bytes()));
    too_large(folder, "inspect bomb.jsonl.gz");
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_the_address_space_is_an_error_and_no_abort() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.csv", csv(400));
    let line = format!(
        "ulimit -v 4000000; exec {} train --data data.csv --out m -q --num-layers 100000 \
         --context-length 24 --prediction-length 4 --threads 2",
        env!("CARGO_BIN_EXE_ptsm")
    );
    let mut shell = std::process::Command::new("sh");
    let output = shell.arg("-c").arg(line).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
}

#[test]
fn limits_and_numbers_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.csv", csv(400));
    for limit in ["8GB", "-1", "nan", "", "much", "inf"] {
        let output = ptsm(folder)
            .args(["inspect", "data.csv"])
            .env("PTSM_MEMORY_LIMIT", limit)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{limit}");
        let text = stderr(&output);
        assert!(text.contains("PTSM_MEMORY_LIMIT") && text.contains("8GiB"), "{text}");
    }
    let refused = |arguments: &str, says: &str| {
        let output = run(folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments}: {}", stderr(&output));
    };
    let train = format!("train --data data.csv --out m -q {TINY}");
    for option in ["dropout", "norm-eps", "init-std", "learning-rate", "few-shot", "minimum-scale"]
    {
        for bad in ["nan", "inf", "-inf"] {
            refused(&format!("{train} --{option}={bad}"), &format!("--{option}: "));
        }
    }
    write(folder, "nan.toml", "[model]\ndropout = nan\n");
    refused("train --data data.csv --out m --recipe nan.toml", "dropout");
    write(folder, "inf.toml", "[training]\nlearning_rate = inf\n");
    refused("train --data data.csv --out m --recipe inf.toml", "learning_rate");
    refused("inspect data.csv --threads 100000", "must be from 1 to 1024");
    refused("inspect data.csv --threads 0", "must be from 1 to 1024");
    let output = run(folder, "inspect data.csv --isa avx1024");
    assert_eq!(output.status.code(), Some(5));
    assert!(stderr(&output).contains("--isa: \"avx1024\" is not there"), "{}", stderr(&output));
    assert!(!folder.join("m").exists());
}

#[test]
fn the_last_day_of_the_calendar_and_a_long_cell_are_no_defects() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "last.csv", "date,x\n9999-12-29,1\n9999-12-30,2\n9999-12-31,3\n");
    let output = run(folder, "inspect last.csv");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", stderr(&output));
    let cell = "x".repeat(1 << 20);
    write(folder, "cell.csv", format!("date,x\n2020-01-01,1\n2020-01-02,2\n2020-01-03,{cell}\n"));
    let output = run(folder, "inspect cell.csv");
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.len() < 1000 && text.contains(&format!("\"{}...\"", "x".repeat(80))), "{text}");
}

#[test]
fn damaged_parquet_files_are_errors_of_the_file() {
    let folder = trained();
    let folder = folder.path();
    ok(folder, "predict --data data.csv --model model --out sound.parquet -q");
    let sound = std::fs::read(folder.join("sound.parquet")).unwrap();
    let mut panics = 0;
    for number in 0..200 {
        let mut bytes = sound.clone();
        let place = (bytes.len() - 1) * number / 199;
        bytes[place] ^= 1 << (number % 8);
        write(folder, "bad.parquet", &bytes);
        let output = run(folder, "inspect bad.parquet");
        let text = stderr(&output);
        assert!(matches!(output.status.code(), Some(0 | 2 | 6)), "flip {number}: {text}");
        assert!(!text.contains("panicked") && !text.contains("defect"), "flip {number}: {text}");
        if text.contains("gave up") {
            assert!(text.contains("bad.parquet: the Parquet file is damaged"), "{text}");
            panics += 1;
        }
    }
    println!("{panics} of 200 damaged files made the library panic");
}

/// A directory that holds a model is refused; so is one into which somebody else writes.
#[test]
fn two_trainings_into_one_folder_do_not_both_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.csv", csv(2000));
    let line = format!("train --data data.csv --out model -q {TINY} --epochs 400")
        .replace("--epochs 2", "");
    let mut first = ptsm(folder)
        .args(line.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !folder.join("model/.ptsm-lock").exists() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = run(folder, &format!("{line} --overwrite"));
    assert_eq!(second.status.code(), Some(3), "{}", stderr(&second));
    let text = stderr(&second);
    assert!(
        text.contains("another ptsm (process") && text.contains("use another folder"),
        "{text}"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock of a killed process holds nobody up.
    ok(folder, &format!("train --data data.csv --out model -q {TINY} --overwrite"));
    assert!(!folder.join("model/.ptsm-lock").exists());
}

/// A training that replaces a model is killed at any time: the directory is the old model with its head, or
/// a new one without.
#[test]
fn a_kill_leaves_the_old_model_or_a_new_one() {
    let folder = trained();
    let folder = folder.path();
    let probe =
        format!("train --data data.csv --out probe -q --init model --freeze backbone {TINY}");
    ok(folder, &probe);
    ok(folder, "heads add --model model --from probe --name other");
    let old = std::fs::read(folder.join("model/model.safetensors")).unwrap();
    let line =
        format!("train --data data.csv --out model -q {TINY} --seed 5 --epochs 40 --overwrite");
    let line = line.replacen("--epochs 2", "", 1);
    let (mut kept, mut replaced) = (0, 0);
    for kill in 0..30_u64 {
        let mut child = ptsm(folder)
            .args(line.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(2000 + 4001 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
        ok(folder, "verify model");
        ok(folder, "predict --data data.csv --model model -q");
        let same = std::fs::read(folder.join("model/model.safetensors")).unwrap() == old;
        let head = folder.join("model/heads/other.safetensors").exists();
        assert_eq!(same, head, "kill {kill}: a head of the old model beside the new one");
        if same { kept += 1 } else { replaced += 1 }
    }
    println!("{kept} kills left the old model, {replaced} a new one");
    assert!(replaced > 0);
}

/// Sends a signal to a command after a while, and gives its exit code and messages.
#[cfg(unix)]
fn interrupted(folder: &Path, arguments: &str, signal: &str) -> (Option<i32>, String) {
    let child = ptsm(folder)
        .args(arguments.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    send(signal, child.id());
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{arguments}: {:?}", began.elapsed());
    (output.status.code(), stderr(&output))
}

#[cfg(unix)]
fn send(signal: &str, process: u32) {
    let process = process.to_string();
    let sent = std::process::Command::new("kill").args([signal, &process]).status().unwrap();
    assert!(sent.success(), "{signal}: the command had ended before");
}

/// Whether this process was started with Ctrl-C ignored, as in the background of a script: its children ignore it then,
/// too.
#[cfg(unix)]
fn interrupts_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() >> 1 & 1 == 1
}

#[cfg(unix)]
#[test]
fn an_interrupted_command_says_what_is_kept() {
    let folder = trained();
    let folder = folder.path();
    let (tiny, shape) =
        (TINY.replace("2 --batch", "100000 --batch"), TINY.replace("--epochs 2", ""));
    let train = format!("train --data data.csv -q {tiny} --patience 100000 --checkpoint-steps 1");
    let pretrain = format!("pretrain -q --windows 90M {shape} --checkpoint-steps 1");
    let ignored = interrupts_are_ignored();
    if ignored {
        println!("skipped: Ctrl-C is ignored here, so a request to end stands for it");
    }
    let interrupt = if ignored { ("-TERM", 143) } else { ("-INT", 130) };
    for (arguments, (signal, code), says) in [
        (format!("{train} --out new"), interrupt, "; resume with: ptsm train --resume new"),
        (
            format!("{train} --out new --resume"),
            ("-TERM", 143),
            "resume with: ptsm train --resume new",
        ),
        (format!("{pretrain} --out any"), interrupt, "any is kept up to step "),
        ("simulate --out s.csv --series 400000".into(), interrupt, "s.csv was not written"),
        ("bench --model model --threads 1 --seconds 60".into(), interrupt, "nothing was written"),
    ] {
        let (found, text) = interrupted(folder, &arguments, signal);
        assert_eq!(found, Some(code), "{arguments}: {text}");
        let line = text.lines().find(|line| line.starts_with("interrupted: ")).unwrap_or_default();
        assert!(!says.contains("resume") || line.contains(" is kept up to step "), "{line}");
        assert!(line.contains(says), "{arguments}: {text}");
    }
    assert!(!folder.join("s.csv").exists());
    ok(folder, "verify new");
    // Before the first checkpoint nothing is kept, and no folder is left.
    let slow = "pretrain -q --windows 90M --threads 1 --out deep/none --isa portable";
    let (_, text) = interrupted(folder, slow, interrupt.0);
    assert!(
        text.contains("nothing of this run is kept") || text.contains("was not written"),
        "{text}"
    );
    assert!(!folder.join("deep").exists());
}

#[cfg(unix)]
#[test]
fn a_command_that_was_started_to_ignore_interrupts_ignores_them() {
    let script = "trap '' INT; exec \"$0\" pretrain -q --windows 90M --out any";
    let folder = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new("sh")
        .current_dir(&folder)
        .args(["-c", script, env!("CARGO_BIN_EXE_ptsm")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    send("-INT", child.id());
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_read_is_not_written_over() {
    let folder = trained();
    let folder = folder.path();
    let refused = |arguments: &str, says: &str| {
        let output = run(folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments}: {}", stderr(&output));
    };
    let data = std::fs::read(folder.join("data.csv")).unwrap();
    refused("predict --model model --data data.csv --out data.csv", "is what is read");
    refused("predict --model model --data data.csv --out ./model/../data.csv", "is what is read");
    refused("predict --model model --data *.csv --out data.csv", "is what is read");
    refused("predict --model model --data data.csv --out model/training.json", "file of a model");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("data.csv", folder.join("link.csv")).unwrap();
        refused("predict --model model --data data.csv --out link.csv", "is what is read");
    }
    assert!(std::fs::read(folder.join("data.csv")).unwrap() == data);
    ok(folder, "predict --model model --data data.csv --out new.csv -q");
    ok(folder, "predict --model model --data data.csv --out new.csv -q");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_no_model_files_and_no_outputs() {
    let folder = trained();
    let folder = folder.path();
    let fifo = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(folder.join(name)).status().unwrap();
        assert!(made.success());
    };
    let refused = |arguments: &str, says: &str| {
        let output: Output = run(folder, arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments}: {}", stderr(&output));
    };
    fifo("out.csv");
    refused("predict --model model --data data.csv --out out.csv", "it is a pipe");
    refused("stream --model model --input data.csv --state /dev/null -q", "it is a device");
    for name in ["config.json", "model.safetensors", "preprocessor.json"] {
        let path = folder.join("model").join(name);
        let sound = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        fifo(&format!("model/{name}"));
        refused("predict --model model --data data.csv", "it is a pipe");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        refused("predict --model model --data data.csv", "it is a device");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, sound).unwrap();
    }
    ok(folder, "predict --model model --data data.csv -q");
}

#[cfg(unix)]
#[test]
fn a_limit_on_file_sizes_is_an_error_of_the_write() {
    let folder = trained();
    let folder = folder.path();
    let line = format!(
        "ulimit -f 1; exec {} train --data data.csv --out new -q {TINY}",
        env!("CARGO_BIN_EXE_ptsm")
    );
    let mut shell = std::process::Command::new("sh");
    let output = shell.arg("-c").arg(line).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{:?} {}", output.status, stderr(&output));
    assert!(stderr(&output).contains("cannot be written"), "{}", stderr(&output));
}

#[test]
fn a_run_goes_on_with_another_instruction_set_only_if_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.csv", csv(400));
    let line = format!("train --data data.csv --out m -q {TINY} --isa portable");
    ok(folder, &line);
    let path = folder.join("m/training.json");
    let record =
        || -> serde_json::Value { serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() };
    assert_eq!(record()["history"]["instruction_sets"], serde_json::json!(["portable"]));
    let best = ok(folder, "doctor --no-measure --json");
    let best: serde_json::Value = serde_json::from_str(&best).unwrap();
    let best = best["instruction_sets"][0].as_str().unwrap_or("portable").to_owned();
    if best == "portable" {
        println!("skipped: this machine has one instruction set");
        return;
    }
    let resume = format!("train --data data.csv --out m -q {TINY} --resume");
    // As a run leaves it that is stopped after its last epoch: one that is over is not resumed.
    let stopped = || {
        std::fs::remove_file(&path).unwrap();
        ok(folder, "verify m --accept");
    };
    stopped();
    // The best set of the machine, also where these tests run with another one.
    let mut command = ptsm(folder);
    let output = command.env_remove("PTSM_ISA").args(resume.split_whitespace()).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--isa portable") && text.contains(&format!("--isa {best}")), "{text}");
    ok(folder, &format!("{resume} --isa portable"));
    assert_eq!(record()["history"]["instruction_sets"], serde_json::json!(["portable"]));
    stopped();
    ok(folder, &format!("{resume} --isa {best}"));
    assert_eq!(record()["history"]["instruction_sets"], serde_json::json!(["portable", best]));
}

#[test]
fn a_line_without_an_end_does_not_fill_the_memory() {
    use std::io::Write;
    let folder = trained();
    let mut child = ptsm(folder.path())
        .args(["stream", "--model", "model", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let piece = vec![b'1'; 1 << 20];
    // Writing fails once the child has seen enough.
    let _ = (0..200).try_for_each(|_| input.write_all(&piece));
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("longer than 64 MiB"), "{}", stderr(&output));
}
