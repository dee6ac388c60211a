//! Every golden case as an ONNX file: structure always; numbers where a Python with a runtime is named.

// These say what was compared.
#![allow(clippy::print_stdout)]

use std::fmt::Display;

use ptsm::core::{
    Batch, BatchShape, CrossChannel, Extension, ForwardOptions, Hierarchy, Init, Level, Location,
};
use ptsm::testing::{Fixture, fixture_roots, fixtures, max_relative};
use ptsm::{Config, Model, Prediction, Task};
use ptsm_onnx::{
    Engine, Exported, Given, Missing, Numbers, Options, PYTHON, Runtime, Values, check,
    export_model, numbers_of,
};

/// What every runtime has to reach, of the largest number of a case.
const TOLERANCE: f64 = 2e-6;

/// What was found, or a failed test that says why there is nothing.
fn sure<T, E: Display>(found: Result<T, E>, what: &str) -> T {
    found.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// The text of a refusal.
fn refused<T>(found: ptsm::Result<T>, what: &str) -> String {
    match found {
        Ok(_) => panic!("{what} was not refused"),
        Err(error) => error.to_string(),
    }
}

/// The file of a model.
fn exported(model: &Model, options: &Options, what: &str) -> Exported {
    sure(export_model(model, options), what)
}

/// Fixtures of every head that runs in evaluation mode.
fn cases() -> Vec<Fixture> {
    let mut all = Vec::new();
    for root in fixture_roots() {
        for head in ["forecast", "classification", "regression"] {
            all.extend(sure(fixtures(&root, head), head));
        }
    }
    // The others are of another family, which is not read yet.
    all.retain(|case| case.meta.mode == "eval" && !case.name.contains("_ttm_"));
    assert!(all.len() >= 12, "{} cases", all.len());
    all
}

/// A model of what is ours, with weights none of which is 0, and windows with gaps.
struct Extended {
    name: &'static str,
    model: Model,
    batch: Batch,
}

/// Numbers in -1..1 that are the same each time.
fn numbers(count: usize) -> impl Iterator<Item = f32> {
    (0..count).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0)
}

fn extended(name: &'static str, scaling: &str, ptsm: Extension) -> Extended {
    let positive = ptsm.level.is_some();
    let config = Config {
        context_length: 30,
        patch_length: 7,
        patch_stride: 5,
        prediction_length: 12,
        num_input_channels: 3,
        prediction_channel_indices: Some(vec![0, 2]),
        scaling: if positive { serde_json::Value::Null } else { scaling.into() },
        ptsm: Some(ptsm),
        ..Config::default()
    };
    let mut model = sure(Model::new(config, Init::PyTorch, 3), name);
    let count = model.parameters.trained.len();
    let weights = model.parameters.trained.iter_mut().zip(numbers(count));
    weights.for_each(|(weight, x)| *weight = 0.9 * *weight + 0.1 * x + 0.01);
    let shape = BatchShape { size: 4, context_length: 30, num_channels: 3 };
    let mask: Vec<f32> = (0..360).map(|i| f32::from(u8::from(i % 11 != 5 && i < 330))).collect();
    let past = numbers(360)
        .zip(&mask)
        .map(|(x, seen)| (if positive { 3.0 + 2.0 * x } else { 5.0 + x }) * seen);
    let batch = sure(Batch::new(shape, past.collect()), name);
    let batch = sure(batch.with_observed_mask(mask), name);
    Extended { name, model, batch }
}

fn all_extended() -> Vec<Extended> {
    let levels =
        |levels: &[f64]| Extension { quantiles: Some(levels.to_vec()), ..Extension::default() };
    let cross = |context_length, gated, prepend_past| Extension {
        cross_channel: Some(CrossChannel { context_length, gated, prepend_past }),
        ..Extension::default()
    };
    let last = Extension { location: Location::Last, linear_skip: true, ..Extension::default() };
    let level = |season| Extension {
        level: Some(Level { season }),
        linear_skip: true,
        ..Extension::default()
    };
    let both =
        Extension { hierarchy: Some(Hierarchy { segment_length: 4 }), ..cross(1, true, false) };
    vec![
        extended("quantiles", "std", levels(&[0.1, 0.25, 0.5, 0.9])),
        extended("one quantile", "mean", levels(&[0.7])),
        extended("cross-channel", "std", cross(2, true, true)),
        extended("cross-channel alone", "std", cross(0, false, false)),
        extended("hierarchy", "std", both),
        extended("last", "std", last),
        extended("level", "", level(1)),
        extended("season", "", level(6)),
        extended(
            "level of quantiles",
            "",
            Extension { level: Some(Level { season: 6 }), ..levels(&[0.2, 0.5, 0.8]) },
        ),
    ]
}

fn options(missing: Missing) -> Options {
    Options { missing, ..Options::default() }
}

/// The batch as inputs of a file.
fn inputs(batch: &Batch, missing: Missing) -> Vec<Given> {
    let shape = vec![batch.size(), batch.context_length(), batch.num_channels()];
    let mut values = batch.past_values().to_vec();
    let given = |name: &str, values| {
        let (name, values) = (name.to_owned(), Values::Floats(values));
        Given { name, shape: shape.clone(), values }
    };
    match (missing, batch.observed_mask()) {
        (Missing::Mask, mask) => {
            let mask = mask.map_or(vec![1.0; values.len()], <[f32]>::to_vec);
            vec![given("past_values", values), given("observed_mask", mask)]
        }
        (Missing::Nan, Some(mask)) => {
            let hidden = values.iter_mut().zip(mask).filter(|(_, seen)| **seen == 0.0);
            hidden.for_each(|(value, _)| *value = f32::NAN);
            vec![given("past_values", values)]
        }
        _ => vec![given("past_values", values)],
    }
}

/// What the definition in double precision gives.
fn wanted(model: &Model, batch: &Batch<f64>) -> Numbers {
    let exact = model.cast::<f64>().forward(batch, ForwardOptions::default());
    let exact = sure(exact, "the definition");
    let singles = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let mut prediction = Prediction::new(model.output());
    prediction.numbers = singles(&exact.outputs.prediction);
    prediction.loc = singles(exact.backbone.loc());
    prediction.scale = singles(exact.backbone.scale());
    sure(numbers_of(&prediction, &[]), "the outputs")
}

#[test]
fn every_case_is_a_sound_file_whose_bytes_are_always_the_same() {
    for case in cases() {
        let model = sure(case.model(), &case.name);
        for missing in [Missing::Nan, Missing::Mask, Missing::None] {
            let exported = self::exported(&model, &options(missing), &case.name);
            let checked = sure(check(&exported.bytes), &case.name);
            assert_eq!(checked.nodes, exported.nodes, "{}", case.name);
            let kept = model.layout().tensors().iter().map(|t| t.shape.iter().product::<usize>());
            let own: usize = kept.sum();
            // Weights, and little else: batch norm is folded, places of patches are listed.
            assert!(checked.numbers * 10 > own * 9, "{}: {} of {own}", case.name, checked.numbers);
            let again = self::exported(&model, &options(missing), &case.name);
            assert!(again.bytes == exported.bytes, "{}", case.name);
            let names: Vec<&str> = exported.inputs.iter().map(|t| t.name.as_str()).collect();
            match missing {
                Missing::Mask => assert_eq!(names, ["past_values", "observed_mask"]),
                _ => assert_eq!(names, ["past_values"]),
            }
        }
    }
}

#[test]
fn parts_of_ours_are_sound_files_too() {
    for Extended { name, model, .. } in all_extended() {
        for missing in [Missing::Nan, Missing::Mask, Missing::None] {
            sure(check(&exported(&model, &options(missing), name).bytes), name);
        }
    }
    let quantiles = Options { quantiles: vec![0.3, 0.5], ..Options::default() };
    let exported = exported(&all_extended()[0].model, &quantiles, "quantiles between");
    assert!(
        exported.outputs[1].to_string().contains("[batch, 12, 2, 2]"),
        "{}",
        exported.outputs[1]
    );
}

#[test]
fn a_directory_is_no_file_to_write() {
    let file = exported(&all_extended()[0].model, &Options::default(), "quantiles");
    let folder = sure(tempfile::tempdir(), "a folder");
    let text = refused(file.write(folder.path()), "a directory");
    assert!(text.contains("a folder") || text.contains("a directory"), "{text}");
    let below = folder.path().join("missing/model.onnx");
    let text = refused(file.write(&below), "a file in no directory");
    assert!(text.contains("must exist first"), "{text}");
    let listed = sure(std::fs::read_dir(folder.path()), "the folder").count();
    assert_eq!(listed, 0, "nothing is left");
}

#[test]
fn options_that_are_not_used_are_refused() {
    let model = &all_extended()[0].model;
    let member = Options { member: Some("0".into()), ..Options::default() };
    let text = refused(export_model(model, &member), "a member");
    assert!(text.contains("no members"), "{text}");
    let heads = Options { heads: Some(vec!["main".into()]), ..Options::default() };
    let text = refused(export_model(model, &heads), "a head");
    assert!(text.contains("one head"), "{text}");
}

#[test]
fn pretraining_is_refused_by_name() {
    for root in fixture_roots() {
        for case in sure(fixtures(&root, "pretraining"), "pretraining") {
            let model = sure(case.model(), &case.name);
            assert_eq!(sure(model.config().task(), &case.name), Task::Pretraining);
            let error = refused(export_model(&model, &Options::default()), &case.name);
            assert!(error.contains("hidden patches"), "{error}");
        }
    }
}

/// Compares a case in a runtime with the definition, and with the numbers of the reference where they are the same by
/// intent; gives the largest relative difference.
fn compare(runtime: &Runtime, case: &Fixture, missing: Missing) -> f64 {
    let model = sure(case.model(), &case.name);
    let batch: Batch = sure(case.batch(), &case.name);
    let file = exported(&model, &options(missing), &case.name);
    let found = sure(runtime.run(&file.bytes, &inputs(&batch, missing)), &case.name);
    let wanted = wanted(&model, &sure(case.batch(), &case.name));
    let names: Vec<&str> = file.outputs.iter().map(|output| output.name.as_str()).collect();
    assert!(wanted.keys().all(|name| names.contains(&name.as_str())), "{}: {names:?}", case.name);
    assert_eq!(names.len(), wanted.len(), "{}", case.name);
    let mut most = 0.0_f64;
    for (name, wanted) in &wanted {
        let apart = max_relative(&found[name].values, wanted);
        assert!(apart <= TOLERANCE, "{} {name}: {apart:e}", case.name);
        most = most.max(apart);
    }
    // A channel without any observation takes its scale from the rest of the batch there, and not here.
    let borrows = case.name.contains("scaler_mean_observed") || case.name.contains("unseen");
    if let (Some((reference, _)), Some(points)) =
        (case.reference("out.prediction"), found.get("prediction_outputs"))
        && !borrows
    {
        let apart = max_relative(&points.values, &reference.values);
        assert!(apart <= TOLERANCE, "{} and the reference: {apart:e}", case.name);
        most = most.max(apart);
    }
    most
}

#[test]
fn runtimes_give_the_numbers_of_every_case() {
    if std::env::var_os(PYTHON).is_none() {
        println!("skipped: {PYTHON} names no Python with onnxruntime");
        return;
    }
    for engine in [Engine::OnnxRuntime, Engine::OpenVino] {
        let Ok(Some(runtime)) = Runtime::find(engine) else {
            println!("skipped: no {}", engine.module());
            continue;
        };
        for Extended { name, model, batch } in all_extended() {
            for missing in [Missing::Nan, Missing::Mask] {
                let file = exported(&model, &options(missing), name);
                let found = sure(runtime.run(&file.bytes, &inputs(&batch, missing)), name);
                for (output, wanted) in wanted(&model, &batch.cast()) {
                    let apart = max_relative(&found[&output].values, &wanted);
                    println!("{} {name} {output} {missing}: {apart:.1e}", runtime.name());
                    assert!(apart <= TOLERANCE, "{name} {output}: {apart:e}");
                }
            }
        }
        for case in cases() {
            let gaps = case.io.contains_key("in.observed_mask");
            for missing in [Missing::Nan, Missing::Mask, Missing::None] {
                if missing == Missing::None && gaps {
                    continue;
                }
                let most = compare(&runtime, &case, missing);
                println!("{} {} {missing}: {most:.1e}", runtime.name(), case.name);
            }
        }
    }
}
