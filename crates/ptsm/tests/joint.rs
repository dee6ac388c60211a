//! Several heads trained together on one backbone.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use ptsm::core::{Extension, Init};
use ptsm::data::{PreparedSeries, Segment, WindowSet, WindowShape};
use ptsm::train::{JointEpoch, JointOutcome, JointTask, TrainData, Training, train_jointly};
use ptsm::{Config, Model};

fn windows() -> WindowSet {
    let values = (0..160).map(|i| (i as f32 * 0.4).sin()).collect();
    let series = PreparedSeries { id: String::new(), num_channels: 1, values, observed_mask: None };
    let shape = WindowShape { context_length: 16, prediction_length: 4, step: 1 };
    let segment = Segment { series: std::sync::Arc::new(series), rows: 0..160 };
    WindowSet::new(vec![segment], shape).unwrap()
}

fn model(seed: u64, quantiles: bool) -> Model {
    let mut config = Config {
        context_length: 16,
        prediction_length: 4,
        patch_length: 4,
        patch_stride: 4,
        num_input_channels: 1,
        d_model: 4,
        num_layers: 1,
        ..Config::default()
    };
    if quantiles {
        config.ptsm =
            Some(Extension { quantiles: Some(vec![0.1, 0.5, 0.9]), ..Extension::default() });
    }
    Model::new(config, Init::PyTorch, seed).unwrap()
}

fn run(threads: usize, weight: f64) -> JointOutcome {
    let training =
        Training { epochs: 4, batch_size: 16, learning_rate: 1e-2, ..Training::default() };
    run_with(threads, weight, &training)
}

fn run_with(threads: usize, weight: f64, training: &Training) -> JointOutcome {
    let windows = windows();
    let data = TrainData { train: &windows, validation: &windows };
    let task =
        |quantiles| JointTask { model: model(u64::from(quantiles), quantiles), data, weight };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let tasks = vec![task(false), task(true)];
        train_jointly(tasks, training, &mut |_| ControlFlow::Continue(())).unwrap()
    })
}

#[test]
fn both_heads_learn_on_one_backbone_with_the_same_bits_for_any_threads() {
    let found = run(1, 1.0);
    let shared = found.models[0].layout().head_start();
    let weights = |model: &Model| model.parameters.trained.clone();
    assert_eq!(weights(&found.models[0])[..shared], weights(&found.models[1])[..shared]);
    assert_ne!(weights(&found.models[0])[..shared], weights(&model(0, false))[..shared]);
    let (first, last) = (&found.epochs[0], &found.epochs[found.best_epoch as usize - 1]);
    for t in 0..2 {
        assert!(last.validation_losses[t].unwrap() < first.validation_losses[t].unwrap());
    }
    let other = run(2, 1.0);
    assert!(found.models.iter().zip(&other.models).all(|(a, b)| weights(a) == weights(b)));
}

#[test]
fn settings_change_what_is_trained_or_are_refused() {
    let base =
        || Training { epochs: 3, batch_size: 16, learning_rate: 1e-2, ..Training::default() };
    let weights = |training: &Training| -> Vec<Vec<f32>> {
        let models = run_with(1, 1.0, training).models;
        models.iter().map(|model| model.parameters.trained.clone()).collect()
    };
    let plain = weights(&base());
    for training in [
        Training { mae_share: 0.5, ..base() },
        Training { huber_delta: Some(0.1), ..base() },
        Training { gradient_clip: Some(0.01), ..base() },
        Training { weight_decay: 0.5, ..base() },
        // Nothing after the first epoch is good enough.
        Training { min_delta: 1e6, ..base() },
    ] {
        assert_ne!(weights(&training), plain, "{training:?}");
    }
    let windows = windows();
    let data = TrainData { train: &windows, validation: &windows };
    for (training, field) in [
        (Training { ema_decay: Some(0.9), ..base() }, "ema_decay"),
        (Training { freeze_backbone: true, ..base() }, "freeze_backbone"),
        (Training { class_weights: Some(vec![1.0]), ..base() }, "class_weights"),
    ] {
        let task = JointTask { model: model(0, false), data, weight: 1.0 };
        let mut stop = |_: &JointEpoch| ControlFlow::Continue(());
        let error = train_jointly(vec![task], &training, &mut stop).unwrap_err();
        assert_eq!(error.place(), Some(field), "{error}");
    }
}

#[test]
fn a_linear_skip_is_held_back_as_for_one_head() {
    let mut config = model(0, false).config().clone();
    config.ptsm = Some(Extension { linear_skip: true, ..Extension::default() });
    let start = Model::new(config, Init::PyTorch, 0).unwrap();
    let windows = windows();
    let data = TrainData { train: &windows, validation: &windows };
    let skip = |skip_rate: f64| -> Vec<f32> {
        let training = Training {
            epochs: 2,
            batch_size: 16,
            learning_rate: 1e-2,
            skip_rate,
            ..Training::default()
        };
        let task = JointTask { model: start.clone(), data, weight: 1.0 };
        let mut go = |_: &JointEpoch| ControlFlow::Continue(());
        let found = train_jointly(vec![task], &training, &mut go).unwrap();
        skip_of(&found.models[0])
    };
    assert_eq!(skip(0.0), skip_of(&start), "it stays where it starts");
    assert_ne!(skip(0.5), skip_of(&start));
    assert_ne!(skip(0.5), skip(1.0));
}

/// The weights of the skip.
fn skip_of(model: &Model) -> Vec<f32> {
    let is_skip = |name: &str| name.contains("skip");
    let all = model.layout().tensors().iter().filter(|tensor| is_skip(&tensor.name));
    let found: Vec<f32> =
        all.flat_map(|t| model.parameters.trained[t.range.clone()].to_vec()).collect();
    assert!(!found.is_empty());
    found
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let windows = windows();
    let data = TrainData { train: &windows, validation: &windows };
    let mut stop = |_: &JointEpoch| ControlFlow::Continue(());
    let training = Training::default();
    assert!(train_jointly(Vec::new(), &training, &mut stop).is_err());
    let task = JointTask { model: model(0, false), data, weight: 0.0 };
    let text = train_jointly(vec![task], &training, &mut stop).unwrap_err().to_string();
    assert!(text.contains("weight: 0 must be above 0"), "{text}");
    let config = Config { norm_mlp: "BatchNorm".into(), ..model(0, false).config().clone() };
    let model = Model::new(config, Init::PyTorch, 0).unwrap();
    let task = JointTask { model, data, weight: 1.0 };
    let text = train_jointly(vec![task], &training, &mut stop).unwrap_err().to_string();
    assert!(text.contains("norm_mlp"), "{text}");
}
