use ptsm_kernels::Isa;

use super::*;
use crate::data::Batch;
use crate::head::OutputGradient;
use crate::model::{Dropout, Mode, Model};
use crate::{Config, Extension, Init};

/// Numbers that look random, between -1 and 1.
fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn config(change: impl Fn(&mut Config)) -> Config {
    let mut config = Config {
        context_length: 44,
        prediction_length: 5,
        num_input_channels: 3,
        patch_length: 4,
        patch_stride: 4,
        d_model: 6,
        num_layers: 2,
        dropout: 0.3,
        head_dropout: 0.2,
        ..Config::default()
    };
    change(&mut config);
    config
}

fn batch(config: &Config, size: usize) -> Batch {
    let points = size * config.context_length * config.num_input_channels;
    let mask = numbers(9, points).iter().map(|&x| f32::from(u8::from(x > -0.8))).collect();
    Batch {
        size,
        context_length: config.context_length,
        num_channels: config.num_input_channels,
        past_values: numbers(3, points),
        observed_mask: Some(mask),
        future_values: None,
        future_observed_mask: None,
        target_values: None,
        patch_mask: None,
    }
}

/// Every number of the model a little off its start, so that none is 0 or 1 by accident, and no
/// softmax has one value that takes all.
fn model(config: Config) -> Model {
    let size = 0.2 / (config.num_patches() as f32).sqrt();
    let mut model = Model::new(config, Init::PyTorch, 5).unwrap();
    let len = model.parameters.trained.len();
    model.parameters.trained.iter_mut().zip(numbers(4, len)).for_each(|(w, x)| *w += size * x);
    model
}

/// The samples `indices` of a batch, one behind the other.
fn part_of(batch: &Batch, indices: &[usize]) -> Batch {
    let part = |values: &[f32]| {
        let each = values.len() / batch.size;
        values[indices[0] * each..][..indices.len() * each].to_vec()
    };
    Batch {
        size: indices.len(),
        context_length: batch.context_length,
        num_channels: batch.num_channels,
        past_values: part(&batch.past_values),
        observed_mask: batch.observed_mask.as_deref().map(part),
        future_values: None,
        future_observed_mask: None,
        target_values: None,
        patch_mask: batch.patch_mask.as_deref().map(part),
    }
}

/// Outputs and gradients by the definition in f64, with the draws of f32.
fn defined(model: &Model, batch: &Batch, mode: Mode) -> (Vec<f64>, Vec<f64>) {
    let wide = |x: &Vec<f32>| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let model = model.cast::<f64>();
    let batch = Batch {
        size: batch.size,
        context_length: batch.context_length,
        num_channels: batch.num_channels,
        past_values: wide(&batch.past_values),
        observed_mask: batch.observed_mask.as_ref().map(wide),
        future_values: None,
        future_observed_mask: None,
        target_values: None,
        patch_mask: batch.patch_mask.as_ref().map(wide),
    };
    let forward = model.forward(&batch, mode).unwrap();
    let mut grads = vec![0.0; model.parameters.trained.len()];
    let given = numbers(8, forward.outputs.prediction.len());
    let prediction = given.iter().map(|&x| f64::from(x)).collect();
    let given = OutputGradient { prediction, ..OutputGradient::default() };
    model.backward(&batch, &forward, &given, (&mut grads, mode));
    (forward.outputs.prediction, grads)
}

fn fused(model: &Model, batch: &Batch, mode: Mode, isa: Isa) -> (Vec<f32>, Vec<f32>) {
    let mut plan = TrainPlan::new(model, isa).unwrap();
    plan.load(model);
    let mut arena = TrainArena::default();
    let mut grads = vec![0.0; model.parameters.trained.len()];
    let mut found = Vec::new();
    // Twice, so that what a first step left behind would show.
    for _ in 0..2 {
        grads.fill(0.0);
        plan.start(&mut arena);
        found.clear();
        // Two chunks and what is left, which add up.
        let all: Vec<usize> = (0..batch.size).collect();
        for part in all.chunks(2) {
            let batch = part_of(batch, part);
            let first_sample = part[0] as u64;
            let draws = mode
                .dropout
                .map(|draws| Dropout { first_sample: draws.first_sample + first_sample, ..draws });
            let mode = Mode { dropout: draws, ..mode };
            let backbone = model.cut_patches(&batch, mode).unwrap();
            plan.forward(backbone.read_patches(), &mut arena, draws);
            let d = |outputs: &[f32]| {
                let each = outputs.len() / part.len();
                let all = numbers(8, each * all.len());
                let prediction = all[part[0] * each..][..outputs.len()].to_vec();
                OutputGradient { prediction, ..OutputGradient::default() }
            };
            if plan.projects() {
                let projected = plan.project(part.len(), &mut arena);
                let forward = model.forward_projected(backbone, &projected);
                found.extend_from_slice(&forward.outputs.prediction);
                let given = d(&forward.outputs.prediction);
                let given = model.backward_projected(&forward, &given, &mut grads);
                plan.backward(Given::Projected(&given), part.len(), &mut arena, draws);
            } else {
                let mixed = plan.hidden(part.len(), &arena);
                let forward = model.forward_head(backbone.with_mixed(mixed), mode);
                found.extend_from_slice(&forward.outputs.prediction);
                let given = d(&forward.outputs.prediction);
                let given = model.backward_head(&forward, &given, (&mut grads, mode)).hidden;
                plan.backward(Given::Hidden(&given), part.len(), &mut arena, draws);
            }
        }
        plan.finish(&mut arena, &mut grads);
    }
    (found, grads)
}

/// Largest difference.
fn distance(got: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(got.len(), wanted.len());
    got.iter().zip(wanted).map(|(&x, &y)| (f64::from(x) - y).abs()).fold(0.0, f64::max)
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(1e-30, |max, x| x.abs().max(max))
}

fn check(name: &str, config: Config, size: usize) {
    let model = model(config);
    let batch = batch(model.config(), size);
    let dropout = Some(Dropout { seed: 3, step: 7, first_sample: 5 });
    for draws in [None, dropout] {
        let mode = Mode { train_norm: true, dropout: draws, ..Mode::default() };
        let (outputs, grads) = defined(&model, &batch, mode);
        for isa in Isa::available() {
            let (got, got_grads) = fused(&model, &batch, mode, isa);
            let place = format!("{name}, {}, dropout {}", isa.name(), draws.is_some());
            let error = distance(&got, &outputs) / largest(&outputs);
            assert!(error < 2e-5, "{place}: outputs are off by {error:e}");
            for tensor in model.layout().tensors() {
                if tensor.store == crate::Store::Trained {
                    let (got, wanted) =
                        (&got_grads[tensor.range.clone()], &grads[tensor.range.clone()]);
                    // The gradient of a bias that a softmax or a norm takes away again is nothing
                    // but rounding: of its size among the others there is nothing to be said.
                    let nothing = largest(wanted) < 1e-12 * largest(&grads);
                    let error =
                        distance(got, wanted) / largest(if nothing { &grads } else { wanted });
                    assert!(error < 1e-4, "{place}: {} is off by {error:e}", tensor.name);
                }
            }
        }
    }
}

#[test]
fn outputs_and_gradients_are_those_of_the_definition() {
    check("plain", config(|_| {}), 2);
    check("seed shape", config(|c| (c.context_length, c.d_model) = (512, 16)), 1);
    check("no gate", config(|c| c.gated_attn = false), 2);
    check("mixed channels", config(|c| c.mode = "mix_channel".into()), 3);
    let ungated = |c: &mut Config| (c.mode, c.gated_attn) = ("mix_channel".into(), false);
    check("mixed channels, no gate", config(ungated), 1);
    let positions = |c: &mut Config| {
        c.use_positional_encoding = true;
        c.positional_encoding_type = "random".into();
    };
    check("learned positions", config(positions), 2);
    check("overlapping patches", config(|c| c.patch_stride = 3), 2);
    check("expansion 1", config(|c| c.expansion_factor = 1), 2);
    check("expansion 3", config(|c| c.expansion_factor = 3), 2);
    let heads = |c: &mut Config| {
        c.ptsm = Some(Extension { quantiles: Some(vec![0.1, 0.5]), ..Extension::default() });
    };
    check("quantiles", config(heads), 2);
}

#[test]
fn odd_sizes_and_rows_that_are_spread_apart() {
    for (channels, d_model, patches) in [(1, 1, 2), (1, 7, 16), (5, 3, 17), (2, 17, 33), (7, 16, 9)]
    {
        for mode in ["common_channel", "mix_channel"] {
            let sizes = |c: &mut Config| {
                (c.num_input_channels, c.d_model, c.context_length) =
                    (channels, d_model, 4 * patches);
                c.mode = mode.into();
            };
            check(&format!("{channels} {d_model} {patches} {mode}"), config(sizes), 1);
        }
    }
    // 1,024 patches would fall into the same sets of the cache, so their rows stand apart.
    let aliased = |c: &mut Config| {
        (c.context_length, c.patch_length, c.patch_stride) = (1024, 1, 1);
        (c.num_layers, c.num_input_channels, c.d_model) = (1, 1, 2);
    };
    check("aliased", config(aliased), 1);
}

#[test]
fn self_attention_is_that_of_the_definition() {
    let attends = |c: &mut Config| (c.self_attn, c.self_attn_heads) = (true, 2);
    check("self-attention", config(attends), 3);
    let all = |c: &mut Config| {
        attends(c);
        (c.mode, c.gated_attn, c.self_attn_heads) = ("mix_channel".into(), false, 6);
        c.use_positional_encoding = true;
    };
    check("self-attention, mixed channels, no gate", config(all), 2);
    for (channels, width, heads, patches) in [(1, 1, 1, 2), (2, 5, 1, 16), (1, 21, 3, 33)] {
        let sizes = |c: &mut Config| {
            attends(c);
            (c.num_input_channels, c.d_model, c.self_attn_heads) = (channels, width, heads);
            c.context_length = 4 * patches;
        };
        check(&format!("self-attention {channels} {width} {heads} {patches}"), config(sizes), 1);
    }
    // More queries than one strip, and more keys than one block of a sum.
    let long = |c: &mut Config| {
        attends(c);
        (c.context_length, c.patch_length, c.patch_stride) = (150, 1, 1);
        (c.num_layers, c.num_input_channels) = (1, 1);
    };
    check("long self-attention", config(long), 1);
}

#[test]
fn what_only_the_definition_knows_has_no_plan() {
    let isa = Isa::best();
    assert!(TrainPlan::new(&model(config(|c| c.norm_mlp = "BatchNorm".into())), isa).is_none());
}
