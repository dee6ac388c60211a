//! The emulator against the Hugging Face implementation, on every fixture that is here.

// A failed `unwrap` in a test helper is a failed test; tests may say what they skipped.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;

use ptsm::core::{ForwardOptions, Init, Scaler};
use ptsm::testing::{Accuracy, Fixture, conformance, correlation, fixture_roots, fixtures};
use ptsm::{Backend, Config, Cpu, Model, Prediction};
use ptsm_core::{Batch, BatchShape};
use ptsm_tenstorrent::{Emulator, Options, TenstorrentEmulator, plan};

const HEADS: [&str; 4] = ["forecast", "classification", "regression", "pretrain"];
/// Least correlation of an output with the float64 reference.
const LEAST: f64 = 0.999;

fn all_fixtures() -> Vec<Fixture> {
    let roots = fixture_roots();
    assert!(!roots.is_empty(), "tests/golden is part of the project");
    if roots.len() == 1 {
        eprintln!("skipped: the full fixtures are not here, the compact ones are checked");
    }
    let heads = |root| HEADS.map(|head| fixtures(root, head).unwrap()).into_iter().flatten();
    roots.iter().flat_map(|root| heads(root)).filter(|f| f.meta.mode == "eval").collect()
}

/// Whether the reference scales a channel without observed values by the other samples of the
/// batch, which a session does not do.
fn scales_by_batch(model: &Model, batch: &Batch) -> bool {
    let Some(mask) = batch.observed_mask() else { return false };
    let channels = batch.num_channels();
    let unseen = |sample: &[f32]| {
        (0..channels).any(|c| sample[c..].iter().step_by(channels).all(|&seen| seen == 0.0))
    };
    matches!(model.config().scaler(), Scaler::Mean { default_scale: None, .. })
        && mask.chunks_exact(batch.context_length() * channels).any(unseen)
}

/// The outputs of a fixture by name, in float64.
fn wanted(fixture: &Fixture, model: &Model) -> BTreeMap<String, Vec<f64>> {
    let batch = fixture.batch::<f64>().unwrap();
    let wide = model.cast::<f64>();
    let forward = wide.forward(&batch, ForwardOptions::default()).unwrap();
    let scales_by_batch = scales_by_batch(model, &fixture.batch().unwrap());
    let mut all = BTreeMap::new();
    for tensor in wide.trace(&forward) {
        let golden = fixture.reference(&tensor.name).map(|(golden, _)| golden.values.clone());
        let values = if scales_by_batch { tensor.values } else { golden.unwrap_or(tensor.values) };
        all.insert(tensor.name, values);
    }
    all
}

/// Every output of the session, as the fixtures name them.
fn named_outputs(model: &Model, out: &Prediction) -> Vec<(String, Vec<f32>)> {
    let batch = out.loc.len() / model.config().num_input_channels;
    let tensors = model.output().named("out.prediction", batch, &out.numbers);
    tensors.into_iter().map(|tensor| (tensor.name, tensor.values)).collect()
}

/// Correlation of every block's output, worst first.
fn blocks(
    fixture: &Fixture,
    model: &Model,
    wanted: &BTreeMap<String, Vec<f64>>,
) -> Vec<(f64, String)> {
    let batch = fixture.batch::<f32>().unwrap();
    let plan = plan(model, &Options::default(), batch.size()).unwrap();
    if plan.program.batch != batch.size() {
        return Vec::new();
    }
    let prepared = model.prepare(&batch).unwrap();
    let input = plan.input(&prepared.patches);
    let program = plan.program;
    let names: Vec<String> = program.tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let emulator = Emulator::new(program).unwrap();
    let mut found = Vec::new();
    let mut watch = |step: &ptsm_tenstorrent::Step, read: &dyn Fn() -> Vec<f32>| {
        let Some(block) =
            names[step.output].strip_prefix("model.encoder.mlp_mixer_encoder.mixers.")
        else {
            return;
        };
        if let Some(golden) = wanted.get(&format!("trace.{block}")) {
            found.push((correlation(&read(), golden), block.to_owned()));
        }
    };
    emulator.run_watched(&[&input], &mut watch).unwrap();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

#[test]
fn every_output_correlates_with_the_reference() {
    let (mut complaints, mut compared) = (Vec::new(), 0);
    for fixture in all_fixtures() {
        let Ok(model) = fixture.model() else { continue };
        let batch = fixture.batch::<f32>().unwrap();
        let mut out = Prediction::default();
        TenstorrentEmulator::default()
            .load(&model)
            .unwrap()
            .session()
            .unwrap()
            .forward(&batch, &mut out)
            .unwrap();
        let wanted = wanted(&fixture, &model);
        let mut line = String::new();
        for (name, values) in named_outputs(&model, &out) {
            let found = correlation(&values, &wanted[&name]);
            line += &format!(" {} {found:.6}", name.trim_start_matches("out."));
            compared += 1;
            if found.is_nan() || found < LEAST {
                complaints.push(format!("{} {name}: {found:.6}", fixture.name));
            }
        }
        let worst = blocks(&fixture, &model, &wanted).into_iter().next();
        let worst =
            worst.map_or(String::new(), |(pcc, name)| format!("; worst block {name} {pcc:.6}"));
        eprintln!("{}:{line}{worst}", fixture.name);
    }
    assert!(
        complaints.is_empty(),
        "{} of {compared}:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(compared >= 10, "only {compared} outputs were compared");
}

/// Correlation with f32 of a model whose embedding is `k` times that of another, and whose batch norms have the statistics of
/// that other one, so that they do not bring values to about 1.
fn beyond_its_norm(self_attn: bool, k: f32) -> f64 {
    let config = Config {
        context_length: 128,
        num_input_channels: 5,
        num_layers: 3,
        d_model: 16,
        norm_mlp: "BatchNorm".into(),
        mode: "mix_channel".into(),
        self_attn,
        self_attn_heads: 2,
        ..Config::default()
    };
    let mut model = Model::new(config, Init::PyTorch, 3).unwrap();
    let ranges = model.layout().tensors().iter().filter(|t| t.name.contains("patcher"));
    for range in ranges.map(|tensor| tensor.range.clone()).collect::<Vec<_>>() {
        model.parameters.trained[range].iter_mut().for_each(|x| *x *= k);
    }
    let wave = |i: usize| (i as f32 * 0.03).sin() + 0.3 * (i as f32 * 12.9898).sin();
    let shape = BatchShape { size: 4, context_length: 128, num_channels: 5 };
    let batch = Batch::new(shape, (0..4 * 128 * 5).map(wave).collect()).unwrap();
    let run = |backend: &dyn Backend| {
        let mut out = Prediction::default();
        backend.load(&model).unwrap().session().unwrap().forward(&batch, &mut out).unwrap();
        out.numbers
    };
    let exact: Vec<f64> = run(&Cpu::default()).into_iter().map(f64::from).collect();
    correlation(&run(&TenstorrentEmulator::default()), &exact)
}

#[test]
fn self_attention_beyond_its_norm_is_less_exact_in_bfloat16() {
    let found = [(true, 1.0), (true, 70.0), (false, 70.0)].map(|(on, k)| beyond_its_norm(on, k));
    eprintln!("{found:?}");
    assert!(found[0] > 0.9999 && found[2] > 0.9999, "{found:?}");
    // If this is exact some day, docs/tenstorrent.md is to be changed.
    assert!(1.0 - found[1] > 20.0 * (1.0 - found[2]), "{found:?}");
}

#[test]
fn the_emulator_conforms() {
    let found = conformance(&TenstorrentEmulator::default(), Accuracy::Correlation(LEAST)).unwrap();
    assert!(found.complaints.is_empty(), "{}", found.complaints.join("\n"));
    assert!(found.compared >= 14, "only {} fixtures were compared", found.compared);
}
