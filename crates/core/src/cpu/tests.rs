//! Tests of the CPU's forecasts: against the definition in f64, on random configurations and every
//! instruction set, and that their bits do not depend on batch or threads.

use proptest::prelude::*;
use ptsm_kernels::Isa;
use serde_json::Value;

use super::session::CpuSession;
use crate::backend::Session;
use crate::batch::{Batch, BatchShape};
use crate::model::{ForwardOptions, Model};
use crate::prediction::Prediction;
use crate::{Config, Extension, Init, Location};

/// How far f32 may be from f64, as a multiple of what the definition in f32 misses by, and the
/// least that it is allowed, relative to the largest number.
const TIMES: f64 = 8.0;
const FLOOR: f64 = 2e-6;

/// Sizes with tails of every kind, and a few choices that cover every branch.
#[derive(Debug, Clone, Copy)]
struct Draw {
    context_length: usize,
    patch_length: usize,
    patch_stride: usize,
    channels: usize,
    d_model: usize,
    heads: usize,
    expansion_factor: usize,
    prediction_length: usize,
    choices: u32,
}

fn draws() -> impl Strategy<Value = Draw> {
    let lengths = (2_usize..150, 1_usize..20, 1_usize..12, 1_usize..40);
    let widths = (1_usize..12, 1_usize..24, 1_usize..4, 1_usize..5, any::<u32>());
    (lengths, widths).prop_map(|((context, patch, stride, prediction), widths)| {
        let (channels, head_dim, heads, expansion_factor, choices) = widths;
        Draw {
            context_length: context.max(patch + 1),
            patch_length: patch,
            patch_stride: stride,
            channels,
            d_model: head_dim * heads,
            heads,
            expansion_factor,
            prediction_length: prediction,
            choices,
        }
    })
}

fn config(draw: Draw) -> Config {
    let pick = |bit: u32| draw.choices >> bit & 1 == 1;
    let odd = draw.d_model % 2 == 1;
    // Scaling is "std", or true, for every other draw.
    let last = pick(10) && [0, 3].contains(&(draw.choices >> 6 & 3));
    Config {
        context_length: draw.context_length,
        patch_length: draw.patch_length,
        patch_stride: draw.patch_stride,
        num_input_channels: draw.channels,
        d_model: draw.d_model,
        expansion_factor: draw.expansion_factor,
        num_layers: 2,
        prediction_length: draw.prediction_length,
        mode: if pick(0) { "mix_channel" } else { "common_channel" }.into(),
        gated_attn: pick(1),
        norm_mlp: if pick(2) { "BatchNorm" } else { "LayerNorm" }.into(),
        self_attn: pick(3),
        self_attn_heads: draw.heads,
        use_positional_encoding: pick(4),
        positional_encoding_type: if odd || pick(5) { "random" } else { "sincos" }.into(),
        scaling: [Value::from("std"), Value::from("mean"), Value::Null, Value::Bool(true)]
            [(draw.choices >> 6 & 3) as usize]
            .clone(),
        prediction_channel_indices: pick(8)
            .then(|| (0..draw.channels).filter(|c| c % 2 == 0).collect()),
        ptsm: (pick(9) || last).then(|| Extension {
            linear_skip: pick(9),
            location: if last { Location::Last } else { Location::Mean },
            ..Extension::default()
        }),
        ..Config::default()
    }
}

/// A model whose norms and running statistics are not the trivial ones of a fresh model.
fn model(config: Config, seed: u64) -> Model {
    let mut model = Model::new(config, Init::PyTorch, seed).unwrap();
    for tensor in model.layout().tensors().to_vec() {
        let values = match tensor.store {
            // A fresh skip is 0, which would show nothing.
            crate::TensorStore::Trained
                if tensor.name.contains("norm") || tensor.name.contains("skip") =>
            {
                &mut model.parameters.trained[tensor.range]
            }
            crate::TensorStore::Buffer if tensor.name.contains("running") => {
                &mut model.parameters.buffers[tensor.range]
            }
            _ => continue,
        };
        for (i, x) in values.iter_mut().enumerate() {
            *x += 0.3 * ((i as f32 + seed as f32) * 1.7).sin();
        }
    }
    model
}

/// Numbers with an offset and missing points; a channel now and then without any observation.
fn batch(config: &Config, size: usize, masked: bool) -> Batch {
    let (length, channels) = (config.context_length, config.num_input_channels);
    let number = |i: usize| ((i as f32 * 12.9898).sin() * 43_758.547).fract() * 3.0 + 1.0;
    let seen = |i: usize| {
        let row = i / (length * channels) * channels + i % channels;
        f32::from(u8::from(!masked || (i % 6 != 1 && row % 5 != 4)))
    };
    let points = size * length * channels;
    let shape = BatchShape { size, context_length: length, num_channels: channels };
    Batch::new(shape, (0..points).map(|i| number(i) * seen(i)).collect())
        .and_then(|batch| batch.with_observed_mask(masked.then(|| (0..points).map(seen).collect())))
        .unwrap()
}

/// Largest difference over the largest reference.
fn difference(values: &[f32], reference: &[f64]) -> f64 {
    assert_eq!(values.len(), reference.len(), "sizes");
    let largest = reference.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
    values.iter().zip(reference).fold(0.0, |max, (&x, r)| {
        let difference = (f64::from(x) - r).abs() / largest;
        if difference.is_nan() { f64::INFINITY } else { difference.max(max) }
    })
}

fn forecast(session: &mut CpuSession, batch: &Batch) -> Vec<f32> {
    let mut out = Prediction::default();
    session.forward(batch, &mut out).unwrap();
    out.numbers
}

/// Checks one configuration on every instruction set.
fn check(config: Config, size: usize, masked: bool) {
    let model = model(config, 3);
    let batch = batch(model.config(), size, masked);
    let reference = model
        .cast::<f64>()
        .forward(&batch.cast::<f64>(), ForwardOptions::default())
        .unwrap()
        .outputs
        .prediction;
    let plain = model.forward(&batch, ForwardOptions::default()).unwrap().outputs.prediction;
    let allowed = TIMES * difference(&plain, &reference) + FLOOR;
    for isa in Isa::available() {
        let got = forecast(&mut CpuSession::new(&model, isa), &batch);
        let error = difference(&got, &reference);
        let name = isa.name();
        assert!(
            error <= allowed,
            "{name}: {error:.2e}, allowed {allowed:.2e}, {:?}",
            model.config()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_configuration_agrees_with_the_definition(
        draw in draws(), size in 1_usize..4, masked in any::<bool>()
    ) {
        check(config(draw), size, masked);
    }

    #[test]
    fn no_bit_depends_on_batch_place_or_threads(draw in draws(), masked in any::<bool>()) {
        let model = model(config(draw), 5);
        let many = batch(model.config(), 32, masked);
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut session = CpuSession::new(&model, Isa::best());
        let whole = pool(1).install(|| forecast(&mut session, &many));
        for threads in [2, 3] {
            let pool = pool(threads);
            prop_assert_eq!(&whole, &pool.install(|| forecast(&mut session, &many)));
            for piece in [1, 3] {
                let pieces: Vec<f32> = (0..6)
                    .step_by(piece)
                    .flat_map(|i| {
                        let batch = many.slice(i..i + piece);
                        pool.install(|| forecast(&mut session, &batch))
                    })
                    .collect();
                prop_assert_eq!(&pieces[..], &whole[..pieces.len()]);
            }
        }
    }
}

fn sized(context: usize, patch: usize, d_model: usize) -> Config {
    Config {
        context_length: context,
        patch_length: patch,
        patch_stride: patch,
        d_model,
        num_layers: 2,
        num_input_channels: 3,
        ..Config::default()
    }
}

#[test]
fn long_windows_and_wide_models_agree_too() {
    // More patches than one block of a sum, weights beyond the second-level cache, rows that would
    // alias, more channels than one strip.
    check(Config { expansion_factor: 1, ..sized(1700, 4, 6) }, 3, false);
    check(Config { expansion_factor: 2, ..sized(2048, 2, 2) }, 1, true);
    check(sized(64, 8, 150), 2, true);
    let wide = Config { num_input_channels: 130, mode: "mix_channel".into(), ..sized(96, 8, 8) };
    check(wide, 2, true);
    check(Config { self_attn: true, self_attn_heads: 2, ..sized(1024, 4, 8) }, 2, false);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_by_name() {
    let model = model(sized(32, 8, 8), 1);
    let mut session = CpuSession::new(&model, Isa::best());
    let mut out = Prediction::default();
    let good = batch(model.config(), 2, true);
    let mut refused = |batch: &Batch| session.forward(batch, &mut out).unwrap_err().to_string();
    let mut unknown = good.clone();
    unknown.past_values_mut()[7] = f32::NAN;
    assert!(refused(&unknown).contains("element 7"));
    let mut unknown = good.clone();
    unknown.observed_mask_mut()[8] = f32::INFINITY;
    assert!(refused(&unknown).contains("observed_mask: element 8"));
    let shorter = BatchShape { context_length: 31, ..good.shape() };
    assert!(refused(&Batch::zeros(shorter)).contains("31 time steps"));
    assert!(refused(&good.slice(0..0)).contains("no sample"));
    let hidden = good.with_patch_mask(vec![1.0; 6]).unwrap();
    assert!(refused(&hidden).contains("patch_mask"));
}

#[test]
fn a_second_call_of_a_size_uses_the_same_memory() {
    let model = model(Config { mode: "mix_channel".into(), ..sized(96, 8, 8) }, 1);
    let mut session = CpuSession::new(&model, Isa::best());
    let mut out = Prediction::default();
    let batch = batch(model.config(), 4, true);
    let mut places = Vec::new();
    for _ in 0..2 {
        session.forward(&batch, &mut out).unwrap();
        let arena = &session.arena;
        let mut found = vec![out.numbers.as_ptr(), arena.out.as_ptr()];
        for worker in &arena.workers {
            found.extend([worker.patch.hidden.as_ptr(), worker.sample.hidden.as_ptr()]);
        }
        places.push(found);
    }
    assert_eq!(places[0], places[1]);
}
