//! The backend on a device or its simulator: set `PTSM_TTNN_PYTHON` and `TT_METAL_SIMULATOR`.

// A failed `unwrap` in a test helper is a failed test; tests may say what they skipped.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use ptsm::core::Init;
use ptsm::testing::{correlation, fixture_roots, fixtures};
use ptsm::{Backend, Config, Cpu, Model, Prediction};
use ptsm_core::{Batch, BatchShape};
use ptsm_tenstorrent::{Options, Tenstorrent, TenstorrentEmulator};

const LEAST: f64 = 0.999;

fn there() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some();
    let there = set("PTSM_TTNN_PYTHON") && set("TT_METAL_SIMULATOR");
    if !there {
        eprintln!("skipped: PTSM_TTNN_PYTHON and TT_METAL_SIMULATOR are not both set");
    }
    there
}

/// The default optimisations, or those that `PTSM_TT_OPTIMISATIONS` names.
fn options() -> Options {
    let mut options = Options::default();
    if let Ok(names) = std::env::var("PTSM_TT_OPTIMISATIONS") {
        options.optimisations = names.split(',').map(|name| name.parse().unwrap()).collect();
    }
    options
}

/// One batch on the device, on the emulator, and in f32.
fn compare(name: &str, model: &Model, batch: &Batch) {
    let run = |backend: &dyn Backend| {
        let mut out = Prediction::default();
        backend.load(model).unwrap().session().unwrap().forward(batch, &mut out).unwrap();
        out.numbers
    };
    let options = options();
    let device = run(&Tenstorrent { options: options.clone(), worker: None });
    let emulator = run(&TenstorrentEmulator { options });
    let exact = run(&Cpu::default());
    let (to_exact, to_emulator) = (correlation(&device, &exact), correlation(&device, &emulator));
    eprintln!("{name}: PCC {to_exact:.6} to f32, {to_emulator:.6} to the emulator");
    assert!(to_exact >= LEAST, "{name}: {to_exact}");
}

/// `PTSM_TT_SHAPES` names some, with semicolons between them.
#[test]
fn the_reference_shape_and_longer_ones() {
    if !there() {
        return;
    }
    let seed = Config {
        context_length: 512,
        prediction_length: 96,
        num_input_channels: 7,
        d_model: 16,
        num_layers: 4,
        ..Config::default()
    };
    let long =
        Config { context_length: 4096, num_layers: 1, num_input_channels: 2, ..seed.clone() };
    let quarter = Config { context_length: 2048, ..long.clone() };
    let aligned = Config { d_model: 32, ..seed.clone() };
    let overlapping = Config { patch_length: 16, num_layers: 1, ..seed.clone() };
    let wide = Config {
        num_input_channels: 130,
        mode: "mix_channel".into(),
        num_layers: 1,
        ..seed.clone()
    };
    let heads = Config { d_model: 48, self_attn: true, self_attn_heads: 3, ..seed.clone() };
    let heads = Config { num_layers: 3, ..heads };
    let broad = Config { d_model: 192, num_layers: 1, ..heads.clone() };
    let chosen = std::env::var("PTSM_TT_SHAPES").ok();
    let shapes = [
        ("seed, batch 1", seed.clone(), 1),
        ("seed, batch 8", seed.clone(), 8),
        ("overlapping patches, batch 8", overlapping, 8),
        ("512 patches", long, 1),
        ("d_model 32", aligned, 2),
        ("130 mixed channels", wide.clone(), 1),
        ("130 mixed channels, batch 32", wide, 32),
        ("256 patches, batch 32", quarter, 32),
        ("three heads, d_model 192", broad, 1),
        ("three heads", heads.clone(), 1),
        ("three heads, batch 32", heads, 32),
        ("seed, batch 128", seed, 128),
    ];
    for (name, config, size) in shapes {
        if chosen.as_ref().is_some_and(|chosen| !chosen.split(';').any(|one| one == name)) {
            continue;
        }
        let points = size * config.context_length * config.num_input_channels;
        let wave = |i: usize| (i as f32 * 0.003).sin() + 0.3 * (i as f32 * 12.9898).sin();
        let (context_length, num_channels) = (config.context_length, config.num_input_channels);
        let shape = BatchShape { size, context_length, num_channels };
        let batch = Batch::new(shape, (0..points).map(wave).collect()).unwrap();
        let model = Model::new(config, Init::PyTorch, 1).unwrap();
        compare(name, &model, &batch);
    }
}

/// `PTSM_TT_FIXTURES` names some; all of them take an hour, most of it compilation.
#[test]
fn the_fixtures() {
    if !there() {
        return;
    }
    let chosen = std::env::var("PTSM_TT_FIXTURES")
        .unwrap_or("s02_mix_channel,s13_classification_avg,s17_pretrain_random".into());
    let mut compared = 0;
    for root in fixture_roots() {
        for head in ["forecast", "classification", "regression", "pretrain"] {
            for fixture in fixtures(&root, head).unwrap() {
                if chosen.split(',').any(|name| name == fixture.name) {
                    let batch = fixture.batch().unwrap();
                    // The parameters of a distribution are compared all together.
                    compare(&fixture.name, &fixture.model().unwrap(), &batch);
                    compared += 1;
                }
            }
        }
    }
    if compared == 0 {
        eprintln!("skipped: none of {chosen} is here");
    }
}
