//! Tests of the training plan against the definition: outputs, gradients and running statistics.

use ptsm_kernels::Isa;

use super::*;
use crate::batch::{Batch, BatchShape};
use crate::head::OutputGradient;
use crate::layers::Dropout;
use crate::layers::masking::draw_masks;
use crate::model::{Backbone, ForwardOptions, Model};
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
    let mask: Vec<f32> =
        numbers(9, points).iter().map(|&x| f32::from(u8::from(x > -0.8))).collect();
    let (context_length, num_channels) = (config.context_length, config.num_input_channels);
    let shape = BatchShape { size, context_length, num_channels };
    Batch::new(shape, numbers(3, points)).and_then(|batch| batch.with_observed_mask(mask)).unwrap()
}

/// Every number of the model a little off its start, so that none is 0 or 1 by accident, and no
/// softmax is close to 1 for one value.
fn model(config: Config) -> Model {
    let size = 0.2 / (config.num_patches() as f32).sqrt();
    let mut model = Model::new(config, Init::PyTorch, 5).unwrap();
    let len = model.parameters.trained.len();
    model.parameters.trained.iter_mut().zip(numbers(4, len)).for_each(|(w, x)| *w += size * x);
    model
}

/// Outputs and gradients by the definition in f64, with the draws of f32.
fn defined(model: &Model, batch: &Batch, mode: ForwardOptions) -> (Vec<f64>, Vec<f64>) {
    let model = model.cast::<f64>();
    let batch = batch.cast::<f64>();
    let forward = model.forward(&batch, mode).unwrap();
    let mut grads = vec![0.0; model.parameters.trained.len()];
    let given = numbers(8, forward.outputs.prediction.len());
    let prediction = given.iter().map(|&x| f64::from(x)).collect();
    let given = OutputGradient { prediction, ..OutputGradient::default() };
    model.backward(&batch, &forward, &given, &mut grads, mode);
    (forward.outputs.prediction, grads)
}

/// Outputs and gradients of the plan, for chunks of two samples, whose gradients add up. The second
/// of two runs counts, so that anything wrong that the first one left in the buffers would show.
fn fused(model: &Model, batch: &Batch, mode: ForwardOptions, isa: Isa) -> (Vec<f32>, Vec<f32>) {
    let mut plan = TrainPlan::new(model, isa);
    plan.load(model);
    let all: Vec<usize> = (0..batch.size()).collect();
    let chunks: Vec<(Batch, ForwardOptions)> = all
        .chunks(2)
        .map(|part| {
            let first = |draws: Dropout| draws.first_sample + part[0] as u64;
            let dropout = mode.dropout.map(|d| Dropout { first_sample: first(d), ..d });
            (batch.select(part), ForwardOptions { dropout, ..mode })
        })
        .collect();
    let together = model.network().has_batch_norm() && !mode.frozen_backbone;
    let mut members: Vec<Member> = (0..if together { chunks.len() } else { 1 })
        .map(|i| Member { arena: TrainArena::default(), mode: chunks[i].1, samples: 0 })
        .collect();
    let run = if together { batch_by_batch } else { one_by_one };
    run(model, &plan, &chunks, &mut members);
    run(model, &plan, &chunks, &mut members)
}

fn one_by_one(
    model: &Model,
    plan: &TrainPlan,
    chunks: &[(Batch, ForwardOptions)],
    members: &mut [Member],
) -> (Vec<f32>, Vec<f32>) {
    let mut found = Found::new(model);
    let arena = &mut members[0].arena;
    plan.start(arena);
    for (i, (batch, mode)) in chunks.iter().enumerate() {
        let backbone = model.cut_patches(batch, *mode).unwrap();
        plan.forward(backbone.read_patches(), arena, *mode);
        let chunk = Chunk { backbone, mode: *mode, first: 2 * i };
        let gradients = head(model, plan, chunk, arena, &mut found);
        plan.backward(&gradients, batch.size(), arena, *mode);
    }
    plan.finish(arena, &mut found.grads);
    (found.outputs, found.grads)
}

fn batch_by_batch(
    model: &Model,
    plan: &TrainPlan,
    chunks: &[(Batch, ForwardOptions)],
    members: &mut [Member],
) -> (Vec<f32>, Vec<f32>) {
    let mut found = Found::new(model);
    let backbones = chunks.iter().map(|(batch, mode)| model.cut_patches(batch, *mode).unwrap());
    let backbones: Vec<_> = backbones.collect();
    members.iter_mut().for_each(|member| plan.start(&mut member.arena));
    let patches: Vec<&[f32]> = backbones.iter().map(|backbone| backbone.read_patches()).collect();
    let together = plan.forward_together(&patches, members);
    let work = |(i, (backbone, member)): (usize, (_, &mut Member))| {
        let chunk = Chunk { backbone, mode: member.mode, first: 2 * i };
        head(model, plan, chunk, &mut member.arena, &mut found)
    };
    let gradients: Vec<PlanGradient> =
        backbones.into_iter().zip(members.iter_mut()).enumerate().map(work).collect();
    plan.backward_together(&gradients, members, &together);
    members.iter_mut().for_each(|member| plan.finish(&mut member.arena, &mut found.grads));
    (found.outputs, found.grads)
}

/// Some samples whose patches are cut.
struct Chunk {
    backbone: Backbone<f32>,
    mode: ForwardOptions,
    /// Number of the first sample.
    first: usize,
}

/// What the plan computed.
struct Found {
    outputs: Vec<f32>,
    grads: Vec<f32>,
}

impl Found {
    fn new(model: &Model) -> Self {
        Self { outputs: Vec::new(), grads: vec![0.0; model.parameters.trained.len()] }
    }
}

/// Forward and backward pass of the head of a chunk.
fn head(
    model: &Model,
    plan: &TrainPlan,
    Chunk { backbone, mode, first }: Chunk,
    arena: &mut TrainArena,
    found: &mut Found,
) -> PlanGradient {
    let samples = backbone.samples();
    let Found { outputs: all, grads } = found;
    let mut output_gradient = |outputs: &[f32]| {
        all.extend_from_slice(outputs);
        let each = outputs.len() / samples;
        let prediction = numbers(8, (first + samples) * each)[first * each..].to_vec();
        OutputGradient { prediction, ..OutputGradient::default() }
    };
    if plan.projects() {
        let projected = plan.project(samples, arena);
        let forward = model.forward_projected(backbone, &projected);
        let given = output_gradient(&forward.outputs.prediction);
        return PlanGradient::Projected(model.backward_projected(&forward, &given, grads));
    }
    let mixed = plan.hidden(samples, arena);
    let forward = model.forward_head(backbone.with_mixed(mixed), mode);
    let given = output_gradient(&forward.outputs.prediction);
    PlanGradient::Hidden(model.backward_head(&forward, &given, grads, mode).hidden)
}

/// Largest difference.
fn distance(got: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(got.len(), wanted.len());
    got.iter().zip(wanted).map(|(&x, &y)| (f64::from(x) - y).abs()).fold(0.0, f64::max)
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(1e-30, |max, x| x.abs().max(max))
}

const DRAWS: Dropout = Dropout { seed: 3, step: 7, first_sample: 5 };

const TRAINING: ForwardOptions =
    ForwardOptions { train_norm: true, dropout: None, as_reference: false, frozen_backbone: false };

fn check(name: &str, config: Config, size: usize) {
    let model = model(config);
    let batch = batch(model.config(), size);
    let dropout = Some(DRAWS);
    for draws in [None, dropout] {
        check_in(name, &model, &batch, ForwardOptions { dropout: draws, ..TRAINING });
    }
}

fn check_in(name: &str, model: &Model, batch: &Batch, mode: ForwardOptions) {
    let (outputs, grads) = defined(model, batch, mode);
    for isa in Isa::available() {
        let (got, got_grads) = fused(model, batch, mode, isa);
        let place = format!("{name}, {}, dropout {}", isa.name(), mode.dropout.is_some());
        let error = distance(&got, &outputs) / largest(&outputs);
        assert!(error < 2e-5, "{place}: outputs are off by {error:e}");
        for tensor in model.layout().tensors() {
            if tensor.store == crate::TensorStore::Trained {
                let (got, wanted) =
                    (&got_grads[tensor.range.clone()], &grads[tensor.range.clone()]);
                // A softmax or a norm cancels some biases; their gradients are 0 but for rounding,
                // so they are compared with the largest gradient of all.
                let nothing = largest(wanted) < 1e-12 * largest(&grads);
                let error = distance(got, wanted) / largest(if nothing { &grads } else { wanted });
                assert!(error < 1e-4, "{place}: {} is off by {error:e}", tensor.name);
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
    // 1,024 patches would fall into the same sets of the cache, so their rows are spread apart.
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
fn batch_norm_is_that_of_the_definition() {
    let normed = |c: &mut Config| c.norm_mlp = "BatchNorm".into();
    check("batch norm", config(normed), 5);
    check("batch norm of one sample", config(normed), 1);
    let mixed = |c: &mut Config| {
        normed(c);
        c.mode = "mix_channel".into();
    };
    check("batch norm, mixed channels", config(mixed), 3);
    let attends = |c: &mut Config| {
        normed(c);
        (c.self_attn, c.self_attn_heads) = (true, 3);
    };
    check("batch norm, self-attention", config(attends), 3);
    for (channels, width, patches) in [(1, 1, 2), (2, 17, 33), (3, 16, 16)] {
        let sizes = |c: &mut Config| {
            mixed(c);
            (c.num_input_channels, c.d_model) = (channels, width);
            c.context_length = 4 * patches;
        };
        check(&format!("batch norm {channels} {width} {patches}"), config(sizes), 3);
    }
}

#[test]
fn batch_norm_in_evaluation_takes_the_running_statistics() {
    let mut model = model(config(|c| c.norm_mlp = "BatchNorm".into()));
    let buffers = model.parameters.buffers.len();
    model.parameters.buffers.iter_mut().zip(numbers(6, buffers)).for_each(|(x, y)| *x += 0.5 * y);
    let batch = batch(model.config(), 3);
    let (wanted, _) = defined(&model, &batch, ForwardOptions::default());
    for isa in Isa::available() {
        let mut plan = TrainPlan::new(&model, isa);
        plan.load(&model);
        let mut arena = TrainArena::default();
        plan.start(&mut arena);
        let backbone = model.cut_patches(&batch, ForwardOptions::default()).unwrap();
        plan.forward(backbone.read_patches(), &mut arena, ForwardOptions::default());
        let projected = plan.project(batch.size(), &mut arena);
        let got = model.forward_projected(backbone, &projected).outputs.prediction;
        assert!(distance(&got, &wanted) < 2e-5 * largest(&wanted), "{}", isa.name());
    }
}

#[test]
fn running_statistics_move_as_those_of_the_definition() {
    let all = |c: &mut Config| {
        (c.norm_mlp, c.mode) = ("BatchNorm".into(), "mix_channel".into());
        (c.self_attn, c.self_attn_heads) = (true, 2);
    };
    let start = model(config(all));
    let batch = batch(start.config(), 4);
    let (mut wanted, mut moved) = (start.clone(), start.clone());
    wanted.update_running(&start.forward(&batch, TRAINING).unwrap());
    let mut plan = TrainPlan::new(&start, Isa::best());
    plan.load(&start);
    let backbone = start.cut_patches(&batch, TRAINING).unwrap();
    let mut members = [Member { arena: TrainArena::default(), mode: TRAINING, samples: 0 }];
    let together = plan.forward_together(&[backbone.read_patches()], &mut members);
    moved.move_running(together.batches());
    assert_eq!(moved.parameters.counters, wanted.parameters.counters);
    assert_ne!(moved.parameters.buffers, start.parameters.buffers);
    let wide: Vec<f64> = wanted.parameters.buffers.iter().map(|&x| f64::from(x)).collect();
    assert!(distance(&moved.parameters.buffers, &wide) < 1e-5);
}

#[test]
fn heads_that_the_definition_computes_give_their_gradient_back() {
    for norm in ["LayerNorm", "BatchNorm"] {
        let of = |class: &str| {
            config(|c| {
                c.norm_mlp = norm.into();
                c.architectures = Some(vec![class.into()]);
            })
        };
        check(&format!("regression, {norm}"), of("PatchTSMixerForRegression"), 3);
        check(&format!("classes, {norm}"), of("PatchTSMixerForTimeSeriesClassification"), 3);
        let model = model(of("PatchTSMixerForPretraining"));
        let masks = draw_masks(model.config(), 3, 1, 1);
        let batch = batch(model.config(), 3).with_patch_mask(masks).unwrap();
        let mode = ForwardOptions { dropout: Some(DRAWS), ..TRAINING };
        check_in(&format!("pretraining, {norm}"), &model, &batch, mode);
    }
}

#[test]
fn a_frozen_backbone_is_that_of_evaluation_and_only_the_head_learns() {
    for norm in ["LayerNorm", "BatchNorm"] {
        for class in ["PatchTSMixerForPrediction", "PatchTSMixerForRegression"] {
            let model = model(config(|c| {
                c.norm_mlp = norm.into();
                c.architectures = Some(vec![class.into()]);
            }));
            let batch = batch(model.config(), 3);
            let mode = ForwardOptions { frozen_backbone: true, dropout: Some(DRAWS), ..TRAINING };
            check_in(&format!("frozen, {norm}, {class}"), &model, &batch, mode);
        }
    }
}
