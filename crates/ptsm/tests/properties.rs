//! What must hold for every configuration: gradients are derivatives, samples do not see each
//! other, channels can be renamed, files lose nothing.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ptsm::data::Batch;
use ptsm::train::{known_points, mse};
use ptsm::{Config, Dropout, Init, Mode, Model};
use serde_json::Value;

/// A small configuration from a few choices that cover every branch of the model.
fn config(choice: u32) -> Config {
    let pick = |bit: u32| choice >> bit & 1 == 1;
    Config {
        context_length: 19,
        patch_length: 4,
        patch_stride: [4, 3, 5, 2][(choice >> 8 & 3) as usize],
        num_input_channels: 3,
        d_model: 4,
        expansion_factor: 2,
        num_layers: 2,
        prediction_length: 3,
        mode: if pick(0) { "mix_channel" } else { "common_channel" }.into(),
        gated_attn: pick(1),
        norm_mlp: if pick(2) { "BatchNorm" } else { "LayerNorm" }.into(),
        self_attn: pick(3),
        self_attn_heads: 2,
        use_positional_encoding: pick(4),
        positional_encoding_type: if pick(5) { "random" } else { "sincos" }.into(),
        scaling: [Value::from("std"), Value::from("mean"), Value::Null, Value::Bool(true)]
            [(choice >> 6 & 3) as usize]
            .clone(),
        prediction_channel_indices: pick(10).then(|| vec![0, 2]),
        ..Config::default()
    }
}

/// A batch with some missing points in it, from a simple formula.
fn batch(size: usize, seed: u64) -> Batch<f64> {
    let number = |i: usize| {
        let x = (i as f64 + seed as f64 * 0.7) * 12.9898;
        (x.sin() * 43_758.545).fract() * 3.0
    };
    let mask = |i: usize| f64::from(u8::from(!(i + seed as usize).is_multiple_of(6)));
    let (past, future) = (size * 19 * 3, size * 3 * 3);
    Batch {
        size,
        context_length: 19,
        num_channels: 3,
        past_values: (0..past).map(|i| number(i) * mask(i)).collect(),
        observed_mask: Some((0..past).map(mask).collect()),
        future_values: Some((0..future).map(|i| number(i + 7)).collect()),
        future_observed_mask: Some((0..future).map(|i| mask(i + 3)).collect()),
    }
}

fn model(choice: u32) -> Model<f64> {
    Model::new(config(choice), Init::PyTorch, u64::from(choice)).unwrap().cast()
}

fn loss(model: &Model<f64>, batch: &Batch<f64>, mode: Mode) -> f64 {
    let channels = model.config().prediction_channels();
    let forward = model.forward(batch, mode).unwrap();
    mse(&forward.prediction, batch, &channels, known_points(batch, &channels)).unwrap().value
}

/// Central difference of `f` at `x`.
fn slope(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    let step = 1e-5;
    (f(x + step) - f(x - step)) / (2.0 * step)
}

/// Gradients against finite differences at a few weights of every tensor and a few inputs.
fn check_gradients(choice: u32, dropout: bool) {
    let (model, batch) = (model(choice), batch(3, u64::from(choice)));
    let dropout = dropout.then_some(Dropout { seed: 5, step: 2, first_sample: 0 });
    let mode = Mode { train_norm: dropout.is_some(), dropout, borrow_scale: true };
    let channels = model.config().prediction_channels();
    let forward = model.forward(&batch, mode).unwrap();
    let count = known_points(&batch, &channels);
    let d = mse(&forward.prediction, &batch, &channels, count).unwrap().d_prediction;
    let mut grads = vec![0.0; model.layout().num_trained()];
    let d_past = model.backward(&batch, &forward, &d, &mut grads);
    let largest = grads.iter().fold(0.0_f64, |max, g| max.max(g.abs()));
    for tensor in model.layout().tensors() {
        if tensor.store != ptsm::Store::Trained {
            continue;
        }
        let middle = (tensor.range.start + tensor.range.end) / 2;
        for i in [tensor.range.start, middle.min(tensor.range.end - 1)] {
            let numeric = slope(model.parameters.trained[i], |x| {
                let mut moved = model.clone();
                moved.parameters.trained[i] = x;
                loss(&moved, &batch, mode)
            });
            let error = (grads[i] - numeric).abs();
            assert!(error < 1e-6 * (1.0 + largest), "{choice:#x} {} {error:.2e}", tensor.name);
        }
    }
    let mask = batch.observed_mask.clone().unwrap();
    for i in (0..batch.past_values.len()).step_by(13).filter(|&i| mask[i] == 1.0) {
        let numeric = slope(batch.past_values[i], |x| {
            let mut moved = batch.clone();
            moved.past_values[i] = x;
            loss(&model, &moved, mode)
        });
        let error = (d_past[i] - numeric).abs();
        assert!(error < 1e-5 * (1.0 + numeric.abs()), "{choice:#x} past_values[{i}] {error:.2e}");
    }
}

#[test]
fn gradients_are_derivatives() {
    // Each bit of `config` is 0 and 1 in some of these, in changing company.
    for choice in [0x000, 0x002, 0x7ff, 0x12b, 0x254, 0x3d8, 0x4a6, 0x577, 0x61d, 0x0c3] {
        check_gradients(choice, false);
        check_gradients(choice, true);
    }
}

fn narrow(batch: &Batch<f64>) -> Batch<f32> {
    let cast = |values: &Vec<f64>| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    Batch {
        size: batch.size,
        context_length: batch.context_length,
        num_channels: batch.num_channels,
        past_values: cast(&batch.past_values),
        observed_mask: batch.observed_mask.as_ref().map(cast),
        future_values: batch.future_values.as_ref().map(cast),
        future_observed_mask: batch.future_observed_mask.as_ref().map(cast),
    }
}

/// Reorders the channels of `[rows, 3]`.
fn permute(values: &[f32], order: [usize; 3]) -> Vec<f32> {
    values.chunks_exact(3).flat_map(|row| order.map(|c| row[c])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_of_n_is_n_batches_of_one_bit_for_bit(choice in 0_u32..0x800, size in 1_usize..6) {
        let model = Model::new(config(choice), Init::PyTorch, 1).unwrap();
        let batch = narrow(&batch(size, 3));
        let whole = model.forward(&batch, Mode::default()).unwrap().prediction;
        let alone: Vec<f32> = (0..size)
            .flat_map(|i| model.forward(&batch.slice(i..i + 1), Mode::default()).unwrap().prediction)
            .collect();
        prop_assert_eq!(whole, alone);
    }

    #[test]
    fn common_channel_forecasts_follow_their_channels(choice in 0_u32..0x400) {
        let config = Config { prediction_channel_indices: None, ..config(choice & !1) };
        let model = Model::new(config, Init::PyTorch, 1).unwrap();
        let straight = narrow(&batch(2, 4));
        let order = [2, 0, 1];
        let mut mixed = straight.clone();
        mixed.past_values = permute(&straight.past_values, order);
        mixed.observed_mask = straight.observed_mask.as_ref().map(|mask| permute(mask, order));
        let forecast = model.forward(&straight, Mode::default()).unwrap().prediction;
        let other = model.forward(&mixed, Mode::default()).unwrap().prediction;
        prop_assert_eq!(permute(&forecast, order), other);
    }

    #[test]
    fn saving_and_loading_keeps_every_bit(choice in 0_u32..0x800, seed in any::<u64>()) {
        let model = Model::new(config(choice), Init::Normal, seed).unwrap();
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path()).unwrap();
        let loaded = Model::from_dir(folder.path()).unwrap();
        prop_assert_eq!(&loaded.parameters, &model.parameters);
        prop_assert_eq!(loaded.config(), model.config());
    }
}
