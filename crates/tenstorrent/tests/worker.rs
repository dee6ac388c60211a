//! The worker end to end, with a stub in the place of `ttnn`: answers, and every way in which a
//! worker can fail.

// A failed `unwrap` in a test helper is a failed test; tests may say what they skipped.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ptsm::core::train::take_backbone;
use ptsm::core::{Extension, Init};
use ptsm::testing::Fixture;
use ptsm::{Backend, Config, ErrorKind, Model, Prediction, Session, Task};
use ptsm_core::{Batch, BatchShape, TensorStore};
use ptsm_tenstorrent::{
    Arch, Optimisation, Options, Tenstorrent, TenstorrentEmulator, WorkerSettings, plan, plan_heads,
};

fn stub() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stub")
}

fn fixture(name: &str) -> (Model, Batch) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name);
    let fixture = Fixture::load(&dir).unwrap();
    (fixture.model().unwrap(), fixture.batch().unwrap())
}

fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: python3 is not here");
    }
    there
}

/// A folder with an executable `python` that is this script.
fn script(text: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("python");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A Python that finds the stub, and takes its next fault from the file `fault` beside it.
fn python() -> tempfile::TempDir {
    let stub = stub();
    let text = format!(
        "PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={} TTNN_STUB_FAULT=$(dirname \"$0\")/fault exec python3 \"$@\"",
        stub.display()
    );
    script(&text)
}

fn backend(folder: &Path, timeout: f64, options: Options) -> Tenstorrent {
    let python = folder.join("python").into_os_string();
    let timeout = Duration::from_secs_f64(timeout);
    Tenstorrent { options, worker: Some(WorkerSettings { python, timeout, retries: 0 }) }
}

fn forward(session: &mut dyn Session, batch: &Batch) -> ptsm::Result<Vec<f32>> {
    let mut out = Prediction::default();
    session.forward(batch, &mut out)?;
    Ok(out.numbers)
}

fn emulated(model: &Model, batch: &Batch, options: &Options) -> Vec<f32> {
    let backend = TenstorrentEmulator { options: options.clone() };
    forward(backend.load(model).unwrap().session().unwrap().as_mut(), batch).unwrap()
}

fn assert_close(x: &[f32], y: &[f32]) {
    assert_eq!(x.len(), y.len());
    let largest = y.iter().fold(0.0_f32, |max, y| max.max(y.abs()));
    let worst = x.iter().zip(y).fold(0.0_f32, |max, (x, y)| max.max((x - y).abs()));
    assert!(worst <= 0.02 * largest, "{worst} of {largest}");
}

#[test]
fn the_worker_computes_what_the_emulator_computes() {
    if !has_python() {
        return;
    }
    let folder = python();
    let modes = [Optimisation::Kernels, Optimisation::Trace, Optimisation::TwoQueues];
    let kernels = &modes[..1];
    for (name, off) in [
        ("g01_common", &modes[..]),
        ("g02_mix", kernels),
        ("g08_batchnorm_eval", kernels),
        ("g10_no_gate", kernels),
        ("g11_attention_sincos", &modes),
        ("g15_odd_sizes", &modes),
    ] {
        let (model, batch) = fixture(name);
        for off in [None].into_iter().chain(off.iter().copied().map(Some)) {
            let mut options = Options::default();
            options.optimisations.retain(|o| Some(*o) != off);
            let wanted = emulated(&model, &batch, &options);
            let mut session =
                backend(folder.path(), 60.0, options).load(&model).unwrap().session().unwrap();
            assert_close(&forward(session.as_mut(), &batch).unwrap(), &wanted);
            let alone = forward(session.as_mut(), &batch.slice(0..1)).unwrap();
            assert_close(&alone, &wanted[..alone.len()]);
            assert_close(&forward(session.as_mut(), &batch).unwrap(), &wanted);
        }
    }
}

#[test]
fn the_worker_cuts_overlapping_patches() {
    if !has_python() {
        return;
    }
    let folder = python();
    let config = Config {
        context_length: 39,
        patch_length: 8,
        patch_stride: 1,
        num_input_channels: 7,
        num_layers: 1,
        prediction_length: 4,
        ..Config::default()
    };
    let wave = |i: usize| (i as f32 * 0.03).sin() + 0.3 * (i as f32 * 12.9898).sin();
    let (context_length, num_channels) = (config.context_length, config.num_input_channels);
    let shape = BatchShape { size: 8, context_length, num_channels };
    let batch = Batch::new(shape, (0..8 * 39 * 7).map(wave).collect()).unwrap();
    let model = Model::new(config, Init::PyTorch, 3).unwrap();
    let options = Options::default();
    assert_eq!(plan(&model, &options, 8).unwrap().program.steps[0].op.name(), "embed");
    let wanted = emulated(&model, &batch, &options);
    let mut session =
        backend(folder.path(), 60.0, options).load(&model).unwrap().session().unwrap();
    assert_close(&forward(session.as_mut(), &batch).unwrap(), &wanted);
}

#[test]
fn chips_serve_one_session_at_a_time_and_the_emulator_many() {
    let (model, batch) = fixture("g01_common");
    let wanted = emulated(&model, &batch, &Options::default());
    let loaded = TenstorrentEmulator::default().load(&model).unwrap();
    let mut sessions = [loaded.session().unwrap(), loaded.session().unwrap()];
    for session in &mut sessions {
        assert_eq!(forward(session.as_mut(), &batch).unwrap(), wanted);
    }
    let refused = TenstorrentEmulator::default().training().err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::BackendUnavailable);
    assert!(refused.to_string().contains("tenstorrent-emulator"), "{refused}");
    if !has_python() {
        return;
    }
    let folder = python();
    let loaded = backend(folder.path(), 60.0, Options::default()).load(&model).unwrap();
    for _ in 0..2 {
        let mut session = loaded.session().unwrap();
        let refused = loaded.session().err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::BackendUnavailable);
        assert!(refused.to_string().contains("one session at a time"), "{refused}");
        assert_close(&forward(session.as_mut(), &batch).unwrap(), &wanted);
    }
}

/// Two models with the backbone of a fixture, the second with another horizon.
fn two_heads() -> ([Model; 2], Batch) {
    let (model, batch) = fixture("g01_common");
    let longer = Config { prediction_length: 11, ..model.config().clone() };
    let mut other = Model::new(longer, Init::PyTorch, 5).unwrap();
    for tensor in model.layout().tensors().iter().filter(|t| t.store == TensorStore::Trained) {
        let mut same = other.layout().tensors().iter().filter(|t| t.name == tensor.name);
        let to = same.next().map(|t| t.range.clone());
        if let Some(to) = to.filter(|to| to.len() == tensor.range.len()) {
            let from = model.parameters.trained[tensor.range.clone()].to_vec();
            other.parameters.trained[to].copy_from_slice(&from);
        }
    }
    ([model, other], batch)
}

#[test]
fn heads_of_several_horizons_are_one_pass() {
    let ([first, second], batch) = two_heads();
    let options = Options::default();
    let together = plan_heads(&[&first, &second], &options, 2).unwrap().program;
    let alone = plan(&first, &options, 2).unwrap().program;
    assert_eq!(together.device_ops(), alone.device_ops());
    let wanted = [&first, &second].map(|model| emulated(model, &batch, &options));
    assert_ne!(wanted[0].len(), wanted[1].len());
    let loaded = TenstorrentEmulator::default().load_heads(&[&first, &second]).unwrap();
    let found = loaded.session().unwrap().forward(&batch).unwrap();
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found.numbers, *wanted, "these heads are planned alike together and alone");
    }
    let (labels, _) = fixture("g16_one_step");
    let labels = Config {
        architectures: Some(vec![Task::Classification.architecture().into()]),
        ..labels.config().clone()
    };
    let labels = Model::new(labels, Init::PyTorch, 1).unwrap();
    let refused = TenstorrentEmulator::default().load_heads(&[&labels, &labels]).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::BackendUnavailable);
    assert!(refused.to_string().contains("head 1 of 2"), "{refused}");
    if !has_python() {
        return;
    }
    let folder = python();
    let backend = backend(folder.path(), 60.0, options);
    let loaded = backend.load_heads(&[&first, &second]).unwrap();
    let mut session = loaded.session().unwrap();
    assert!(loaded.session().is_err(), "a chip serves one session at a time");
    let found = session.forward(&batch).unwrap();
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_close(&found.numbers, wanted);
    }
}

/// The head of `config` on the backbone of `model`.
fn head_on(model: &Model, config: Config) -> Model {
    let mut head = Model::new(config, Init::PyTorch, 7).unwrap();
    take_backbone(&mut head, model).unwrap();
    head
}

#[test]
fn a_later_head_may_read_windows_give_a_distribution_or_be_wide() {
    let (plain, batch) = fixture("g01_common");
    let config = plain.config().clone();
    let skip = Extension { linear_skip: true, ..Extension::default() };
    let skip = head_on(&plain, Config { ptsm: Some(skip), ..config.clone() });
    let nll = head_on(&plain, Config { loss: "nll".into(), ..config.clone() });
    let wide = [300, 500, 700]
        .map(|prediction_length| head_on(&plain, Config { prediction_length, ..config.clone() }));
    let sets: [Vec<&Model>; 4] = [
        vec![&plain, &skip],
        vec![&skip, &plain],
        vec![&plain, &nll, &skip],
        wide.iter().collect(),
    ];
    for models in sets {
        let loaded = TenstorrentEmulator::default().load_heads(&models).unwrap();
        let found = loaded.session().unwrap().forward(&batch).unwrap();
        assert_eq!(found.len(), models.len());
        for (found, model) in found.iter().zip(models) {
            assert_close(&found.numbers, &emulated(model, &batch, &Options::default()));
        }
    }
}

#[test]
fn heads_on_other_backbones_are_refused_by_their_place() {
    let ([first, mut second], _) = two_heads();
    second.parameters.trained[0] += 1.0;
    let refused = TenstorrentEmulator::default().load_heads(&[&first, &second]).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfig);
    assert!(refused.to_string().contains("head 2 of 2"), "{refused}");
}

#[test]
fn a_request_of_several_runs_keeps_their_order() {
    if !has_python() {
        return;
    }
    let folder = python();
    let (model, batch) = fixture("g01_common");
    // Without folding a run takes one sample.
    let mut options = Options::default();
    options.optimisations.retain(|o| *o != Optimisation::Fold);
    let wanted = emulated(&model, &batch, &options);
    let mut session =
        backend(folder.path(), 60.0, options).load(&model).unwrap().session().unwrap();
    assert_close(&forward(session.as_mut(), &batch).unwrap(), &wanted);
}

#[test]
fn a_failing_worker_is_an_error_that_names_the_step_and_the_next_call_works() {
    if !has_python() {
        return;
    }
    let (model, batch) = fixture("g01_common");
    let wanted = emulated(&model, &batch, &Options::default());
    let mut plain = Options::default();
    plain.optimisations.retain(|o| *o != Optimisation::Kernels);
    let cases = [
        ("abort mixer", "(mixer)", "TT_FATAL: the device gave up"),
        ("abort softmax", "(softmax)", "TT_FATAL: the device gave up"),
        ("raise layer_norm", "(layer_norm)", "TT_THROW: out of memory"),
        ("hang transpose", "(transpose)", "gave no answer in"),
    ];
    for (fault, step, text) in cases {
        let folder = python();
        let options = if step == "(mixer)" { Options::default() } else { plain.clone() };
        let mut session =
            backend(folder.path(), 2.0, options).load(&model).unwrap().session().unwrap();
        std::fs::write(folder.path().join("fault"), fault).unwrap();
        let error = forward(session.as_mut(), &batch).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind(), ErrorKind::BackendUnavailable, "{said}");
        assert!(said.contains(step) && said.contains(text), "{fault}: {said}");
        assert_close(&forward(session.as_mut(), &batch).unwrap(), &wanted);
    }
}

/// Child processes of this one that ended and were not waited for (zombies).
fn zombies() -> usize {
    let own = format!(" {} ", std::process::id());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = entries.filter_map(|e| std::fs::read_to_string(e.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.starts_with(" Z") && rest[2..].starts_with(&own)
        })
        .count()
}

#[test]
fn what_is_no_worker_is_told_from_one() {
    let (model, _) = fixture("g01_common");
    let cases = [
        ("cat > /dev/null & echo 'Illegal instruction'; wait", "begins with \"Ille\""),
        (r"printf 'PTTW\011\0\0\0\020\0\0\0\004\0\0\0\0\0\0\0\0\0\0\0'", "has version 9, wanted 2"),
        (r"printf 'PTTW\002\0\0\0\020\0\0\0\377\377\377\377\377\0\0\0'", "wanted 4 to"),
        (r"printf 'PTTW\002\0\0\0\003\0\0\0\006\0\0\0\0\0\0\0\002\0\0\0{}'", "a frame of kind 3"),
        ("echo \"No module named 'ttnn'\" >&2; exit 1", "No module named 'ttnn'"),
        ("kill -9 $$", "signal: 9"),
        // Python started by another program, as the scripts of version managers do, which hangs.
        ("sh -c 'sleep 3600; true'; true", "gave no answer in"),
    ];
    for (text, wanted) in cases {
        let folder = script(text);
        let began = Instant::now();
        let backend = backend(folder.path(), 1.0, Options::default());
        let error = backend.load(&model).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BackendUnavailable);
        assert!(error.to_string().contains(wanted), "{text}: {error}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    let nowhere = backend(Path::new("/nowhere"), 1.0, Options::default());
    let error = nowhere.load(&model).err().unwrap();
    assert!(error.to_string().contains("cannot be started"), "{error}");
    assert_eq!(zombies(), 0);
}

#[test]
fn requests_of_any_size_follow_each_other() {
    if !has_python() {
        return;
    }
    let folder = python();
    let (model, batch) = fixture("g01_common");
    // Other programs and longer shared memory than before, and back.
    let options = Options::default();
    let wanted = emulated(&model, &batch, &options);
    let mut session =
        backend(folder.path(), 60.0, options).load(&model).unwrap().session().unwrap();
    for size in [1, batch.size(), 2, batch.size(), 1] {
        let part = forward(session.as_mut(), &batch.slice(0..size)).unwrap();
        assert_close(&part, &wanted[..part.len()]);
    }
}

#[test]
fn a_worker_that_dies_is_replaced_once() {
    if !has_python() {
        return;
    }
    let (model, batch) = fixture("g01_common");
    let wanted = emulated(&model, &batch, &Options::default());
    for (fault, repeated) in [("abort mixer", true), ("hang mixer", true), ("raise mixer", false)] {
        let folder = python();
        let mut backend = backend(folder.path(), 2.0, Options::default());
        backend.worker.as_mut().unwrap().retries = 1;
        let mut session = backend.load(&model).unwrap().session().unwrap();
        std::fs::write(folder.path().join("fault"), fault).unwrap();
        let outputs = forward(session.as_mut(), &batch);
        // An error of the device's library would come again; it is told at once.
        match repeated {
            true => assert_close(&outputs.unwrap(), &wanted),
            false => assert!(outputs.unwrap_err().to_string().contains("TT_THROW")),
        }
    }
}

#[test]
fn a_worker_that_hangs_ends_after_the_program_that_asked() {
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    if !has_python() {
        return;
    }
    let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/worker/worker.py");
    let text = "import sys, threading, time; name = {'__name__': 'worker'}; \
                exec(open(sys.argv[1]).read(), name); name['GRACE'] = 0.1; \
                threading.Thread(target=name['end_with_the_pipe'], daemon=True).start(); time.sleep(60)";
    let mut child = Command::new("python3")
        .args(["-c", text])
        .arg(worker)
        .stdin(std::process::Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    // The pipe of requests closes when the program at its other end is gone.
    drop(child.stdin.take());
    let began = Instant::now();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_python_without_ttnn_is_told_how_to_get_it() {
    if !has_python() {
        return;
    }
    let folder = script("exec python3 -S \"$@\"");
    let (model, _) = fixture("g01_common");
    let error = backend(folder.path(), 60.0, Options::default()).load(&model).err().unwrap();
    let said = error.to_string();
    assert!(
        said.contains("cannot import ttnn") && said.contains("pip install 'ttnn==0.81.*'"),
        "{said}"
    );
}

#[test]
fn both_chips_of_a_card_are_refused_with_the_reason() {
    let said = "wormhole-n300".parse::<Arch>().unwrap_err().to_string();
    assert!(said.contains("mesh of 1 x 2") && said.contains("wormhole-n300-chip"), "{said}");
}
