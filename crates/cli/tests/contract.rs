//! What scripts rely on: results on stdout, messages on stderr, one JSON object, exit codes.

#![allow(clippy::unwrap_used)]

mod common;

use common::{golden, json, ok, ptsm, run, stderr, trained};
use std::process::Stdio;

#[test]
fn evaluate_prints_one_object_with_the_promised_keys() {
    let folder = trained();
    let got = json(folder.path(), "evaluate --model model --data data.csv --split test");
    for key in ["mse", "mae", "correlation", "rmse", "seconds"] {
        assert!(got[key].is_number(), "{key} of {got}");
    }
    // 7:1:2 of 400 rows: 80 test rows, horizon 4.
    assert_eq!(got["windows"], 77);
    let names: Vec<_> = got["baselines"].as_array().unwrap().iter().map(|b| &b["name"]).collect();
    assert!(names.iter().any(|name| *name == "repeat_last"), "{names:?}");
}

#[test]
fn training_is_checked_and_timed() {
    let folder = trained();
    let got =
        json(folder.path(), "bench --train --model model --batch 3 --threads 2 --seconds 0.01");
    let line = &got["train"][0];
    assert!(line["samples_per_s"].as_f64().unwrap() > 0.0, "{got}");
    assert!(line["steps"].as_u64().unwrap() >= 5, "{got}");
    assert!(got["max_rel_error"].as_f64().unwrap() < 1e-3, "{got}");
}

#[test]
fn bench_checks_times_and_prints_the_promised_keys() {
    let folder = trained();
    let got = json(folder.path(), "bench --model model --batch 1,3 --threads 1,2 --seconds 0.01");
    assert!(got["peak_gflops"].as_f64().unwrap() > 0.0, "{got}");
    assert!(got["max_rel_error"].as_f64().unwrap() < 1e-4, "{got}");
    let lines = got["results"].as_array().unwrap();
    let keys = ["p50_ms", "p99_ms", "sequences_per_s", "gflops"];
    for line in lines {
        assert!(keys.iter().all(|&key| line[key].as_f64().unwrap() > 0.0), "{line}");
        // An impossible share is not printed; the reason is.
        match line["share_of_peak"].as_f64() {
            Some(share) => assert!(share > 0.0 && share <= 1.0, "{line}"),
            None => assert!(line["disturbed"].is_string(), "{line}"),
        }
    }
    let cases: Vec<_> =
        lines.iter().map(|l| (l["threads"].as_u64(), l["batch"].as_u64())).collect();
    assert_eq!(cases.len(), 4);
    assert_eq!((cases[1], cases[2]), ((Some(1), Some(3)), (Some(2), Some(1))));
}

#[test]
fn forecasts_go_to_files_of_every_kind_and_follow_the_data() {
    let folder = trained();
    let printed = ok(folder.path(), "predict --model model --data data.csv");
    for name in ["f.csv", "f.parquet", "f.json"] {
        ok(folder.path(), &format!("predict --model model --data data.csv --out {name}"));
        assert!(folder.path().join(name).metadata().unwrap().len() > 100, "{name}");
    }
    let text = std::fs::read_to_string(folder.path().join("f.csv")).unwrap();
    assert_eq!(printed, text);
    // The header and four hours after the last row, 2024-01-17 15:00.
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("2024-01-17 16:00"), "{text}");
    for name in ["p.svg", "p.png"] {
        ok(
            folder.path(),
            &format!("predict --model model --data data.csv --out f.csv --plot {name}"),
        );
        assert!(folder.path().join(name).metadata().unwrap().len() > 1000, "{name}");
    }
}

#[test]
fn a_report_is_one_file_that_needs_nothing_else() {
    let folder = trained();
    ok(folder.path(), "evaluate --model model --data data.csv --report report.html");
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("repeat last"));
    assert!(!page.contains("src=\"http") && !page.contains("<script src"));
}

#[test]
fn quiet_commands_say_nothing_and_help_is_an_answer() {
    let folder = trained();
    let output = run(folder.path(), "evaluate --model model --data data.csv -q");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let output = run(folder.path(), "train --help");
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(String::from_utf8(output.stdout).unwrap().contains("--context-length"));
}

#[test]
fn a_trace_of_a_golden_case_equals_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    for case in ["g01_common", "g11_attention_sincos", "g15_odd_sizes"] {
        let case = golden(case);
        let io = case.join("io.safetensors");
        let out = folder.path().join("ours.safetensors");
        ok(
            folder.path(),
            &format!(
                "trace --model {} --inputs {} --outputs {} --gradients",
                case.display(),
                io.display(),
                out.display()
            ),
        );
        let text = format!("compare {} {}", out.display(), io.display());
        let compared = json(folder.path(), &text);
        let tensors = compared["tensors"].as_array().unwrap();
        assert!(tensors.len() > 20, "{} tensors", tensors.len());
        for tensor in tensors.iter().filter(|t| t["name"].as_str().unwrap().starts_with("out.")) {
            assert!(tensor["max_rel"].as_f64().unwrap() < 1e-4, "{tensor}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = trained();
    let mut child = ptsm(folder.path())
        .args(["predict", "--model", "model", "--data", "data.csv", "-q"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_io_error() {
    let folder = trained();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = ptsm(folder.path())
        .args(["predict", "--model", "model", "--data", "data.csv", "-q"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    // A file may have 8 blocks of 512 bytes: the picture does not fit.
    let text = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} predict --model model --data data.csv --out f.csv \
         --plot p.png",
        env!("CARGO_BIN_EXE_ptsm")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &text])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("p.png"), "{}", stderr(&output));
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "p.png"), "{left:?}");
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("tmp")), "{left:?}");
}

#[test]
fn an_instruction_set_that_is_not_there_is_exit_5() {
    let folder = trained();
    let output = ptsm(folder.path())
        .env("PTSM_ISA", "avx1024")
        .args(["predict", "--model", "model", "--data", "data.csv"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(stderr(&output).contains("PTSM_ISA"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn any_number_of_threads_trains_the_same_bits() {
    let folder = trained();
    let weights = |model: &str| std::fs::read(folder.path().join(model).join("model.safetensors"));
    for threads in [1, 2, 3] {
        let flags = common::TINY;
        let line = format!("train --data data.csv --out m{threads} --threads {threads} -q {flags}");
        ok(folder.path(), &line);
        assert!(weights("model").unwrap() == weights(&format!("m{threads}")).unwrap());
    }
}

#[test]
fn doctor_and_data_list_and_completions_answer() {
    let folder = tempfile::tempdir().unwrap();
    assert!(json(folder.path(), "doctor")["instruction_set"].is_string());
    assert!(ok(folder.path(), "data list").contains("ETTh2"));
    assert!(ok(folder.path(), "completions bash").contains("complete"));
    ok(folder.path(), "data fetch nyc-weather --dir d");
    let inspected = json(folder.path(), "inspect d/nyc_weather.csv.gz");
    assert_eq!(inspected["frequency"], "1h", "{inspected}");
}

#[cfg(feature = "server")]
#[test]
fn serve_refuses_options_before_it_loads_a_model() {
    let folder = tempfile::tempdir().unwrap();
    // There is no such model: an error that names an option came before it was looked for.
    for (arguments, names) in [
        ("--default-timeout-ms 600001", "--default-timeout-ms"),
        ("--exit-timeout 86401", "--exit-timeout"),
        ("--drain-delay 18446744073709551615", "--drain-delay"),
        ("--max-body-mib 300 --max-bodies-mib 299", "--max-bodies-mib"),
        ("--max-queue-windows 0", "--max-queue-windows"),
        ("--workers 5000", "--workers"),
        ("--check --port 1", "--port"),
        ("--check --exit-timeout 1", "--exit-timeout"),
        ("--check --allow-reload", "--allow-reload"),
        ("--check --no-page", "--no-page"),
    ] {
        let output = run(folder.path(), &format!("serve --model x=nowhere {arguments}"));
        let text = stderr(&output);
        assert!(!output.status.success() && text.contains(names), "{arguments}: {text}");
        assert!(!text.contains("nowhere"), "{arguments}: {text}");
    }
    for arguments in ["--port 1", "--backend cpu", "--max-body-mib 1", "--workers 1", "--no-page"] {
        let output = run(folder.path(), &format!("serve --new-key ops {arguments}"));
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments}");
    }
    let key = json(folder.path(), "serve --new-key ops");
    assert!(key["line"].as_str().unwrap().starts_with("ops:"), "{key}");
}
