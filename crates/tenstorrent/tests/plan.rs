//! The planner and the rules of programs.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

use ptsm::Backend;
use ptsm::core::{CrossChannel, Extension, Hierarchy, draw_masks};
use ptsm::core::{ForwardOptions, Init};
use ptsm::data::{Batch, BatchShape};
use ptsm::{Config, Model, Prediction, Task};
use ptsm_tenstorrent::{
    Arch, Buffer, CoreGrid, DataType, Emulator, GARBAGE, MemoryConfig, Op, Optimisation, Options,
    PUBLISHED_DEVICE_OPS, Program, Role, Spread, TenstorrentEmulator, compare, plan, report,
};

fn seed() -> Config {
    Config {
        context_length: 512,
        prediction_length: 96,
        num_input_channels: 7,
        d_model: 16,
        num_layers: 4,
        ..Config::default()
    }
}

fn small() -> Config {
    Config { context_length: 40, num_input_channels: 3, num_layers: 2, ..Config::default() }
}

fn model(config: Config) -> Model {
    Model::new(config, Init::PyTorch, 3).unwrap()
}

fn batch(config: &Config, size: usize) -> Batch {
    let points = size * config.context_length * config.num_input_channels;
    let wave = |i: usize| (i as f32 * 0.03).sin() + 0.3 * (i as f32 * 12.9898).sin();
    let pretrains = config.task().unwrap() == Task::Pretraining;
    let (context_length, num_channels) = (config.context_length, config.num_input_channels);
    let shape = BatchShape { size, context_length, num_channels };
    Batch::new(shape, (0..points).map(wave).collect())
        .and_then(|batch| batch.with_patch_mask(pretrains.then(|| draw_masks(config, size, 1, 0))))
        .unwrap()
}

/// The default optimisations without our kernels.
fn without_kernels() -> Options {
    let mut options = Options::default();
    options.optimisations.retain(|o| *o != Optimisation::Kernels);
    options
}

/// A program of `ttnn`'s own operations, without our kernels.
fn program(config: Config) -> Program {
    plan(&model(config), &without_kernels(), 2).unwrap().program
}

/// The first step of an operation.
fn find(program: &Program, name: &str) -> usize {
    program.steps.iter().position(|step| step.op.name() == name).unwrap()
}

fn refused(program: &Program) -> String {
    program.check().unwrap_err().to_string()
}

#[test]
fn broken_programs_are_refused_by_the_rule_they_break() {
    let good = program(small());
    good.check().unwrap();
    let norm = find(&good, "layer_norm");

    let mut sharded = good.clone();
    let grid = CoreGrid { x: 6, y: 1 };
    let read = sharded.steps[norm].inputs[0];
    sharded.tensors[read].memory = MemoryConfig::sharded(Spread::HeightSharded, grid, [32, 32]);
    assert!(refused(&sharded).contains("layer_norm refuses height-sharded"));

    let mut odd = good.clone();
    odd.tensors[read].memory = MemoryConfig::sharded(Spread::BlockSharded, grid, [20, 32]);
    assert!(refused(&odd).contains("whole tiles"));

    let mut twice = good.clone();
    let freed = twice.steps.iter().flat_map(|step| step.frees.clone()).next().unwrap();
    twice.steps.last_mut().unwrap().frees.push(freed);
    assert!(refused(&twice).contains("is freed twice"));

    let mut early = good.clone();
    let made = early.steps[norm].output;
    early.steps[norm].frees.push(made);
    assert!(refused(&early).contains("is read where it does not exist"));

    let mut leak = good.clone();
    leak.steps.iter_mut().for_each(|step| step.frees.retain(|&id| id != freed));
    assert!(refused(&leak).contains("is never freed"));

    let mut wrong = good.clone();
    let made = wrong.steps[norm].output;
    wrong.tensors[made].shape[3] += 1;
    assert!(refused(&wrong).contains("another shape"));

    let mut tall = program(Config { d_model: 48, ..small() });
    tall.check().unwrap();
    let first = tall.steps.iter().position(|step| matches!(step.op, Op::Linear { .. })).unwrap();
    let moved = find(&tall, "transpose");
    assert!(first < moved, "the embedding is before the patch mixer's first layer");
    let Op::Linear { transpose_a, .. } = &mut tall.steps[moved + 1].op else { unreachable!() };
    *transpose_a = true;
    let normed = tall.steps[moved].inputs[0];
    tall.steps[moved + 1].inputs[0] = normed;
    assert!(refused(&tall).contains("one row of tiles"), "{}", refused(&tall));

    let mut unaligned = good;
    let patch = find(&unaligned, "addcmul");
    let step = &mut unaligned.steps[patch];
    step.op = Op::Add;
    assert!(refused(&unaligned).contains("add: does not take"));
}

#[test]
fn a_mixer_kernel_takes_its_own_table_interleaved_and_in_bfloat16() {
    let good = plan(&model(small()), &Options::default(), 2).unwrap().program;
    good.check().unwrap();
    let mixer = find(&good, "mixer");
    let [state, table] = [good.steps[mixer].inputs[0], good.steps[mixer].inputs[1]];

    let mut narrow = good.clone();
    narrow.tensors[table].dtype = DataType::Bfloat8B;
    assert!(refused(&narrow).contains("reads bfloat16"));

    let mut sharded = good.clone();
    let grid = CoreGrid { x: 6, y: 1 };
    sharded.tensors[state].memory = MemoryConfig::sharded(Spread::HeightSharded, grid, [32, 32]);
    assert!(refused(&sharded).contains("reads interleaved tensors"));

    let mut other = good;
    let Op::Mixer { tiles, .. } = &mut other.steps[mixer].op else { unreachable!() };
    tiles.hidden += 1;
    assert!(refused(&other).contains("mixer: does not take"));
}

#[test]
fn a_program_that_does_not_fit_into_l1_is_refused() {
    let mut large = plan(&model(seed()), &Options::default(), 128).unwrap().program;
    for tensor in &mut large.tensors {
        tensor.memory = MemoryConfig::L1;
        tensor.shape[0] *= if tensor.role == Role::Constant { 1 } else { 40 };
    }
    for step in &mut large.steps {
        if let Op::Reshape { shape } = &mut step.op {
            shape[2] *= 40;
        }
    }
    let last = large.with_role(Role::Output).next().unwrap();
    for id in [last, large.steps[large.steps.len() - 2].output] {
        large.tensors[id].shape[0] = 1;
        large.tensors[id].shape[2] *= 40;
    }
    assert!(refused(&large).contains("bytes of a core's"), "{}", refused(&large));
}

#[test]
fn programs_survive_their_json() {
    let program = program(small());
    let text = serde_json::to_string(&program).unwrap();
    let back: Program = serde_json::from_str(&text).unwrap();
    assert_eq!(back.steps, program.steps);
    assert_eq!(back.tensors, program.tensors);
    assert!(program.to_string().contains("layer_norm(%"));
}

#[test]
fn programs_take_fewer_operations_than_published() {
    let ops = |num_layers, d_model, options: &Options| {
        let config = Config { num_layers, d_model, ..seed() };
        report(&model(config), options, 32).unwrap().device_ops
    };
    let options = Options::default();
    for d_model in [16, 32] {
        // One kernel for each mixer, one step for the embedding, two for the head.
        assert_eq!([3, 4].map(|layers| ops(layers, d_model, &options)), [9, 11]);
    }
    let plain = without_kernels();
    assert!(ops(3, 16, &plain) < PUBLISHED_DEVICE_OPS);
    assert!(ops(3, 32, &plain) < 40);
}

/// A model with patches that share most of their time steps.
fn overlapping() -> Config {
    Config {
        context_length: 39,
        patch_length: 8,
        patch_stride: 1,
        num_input_channels: 7,
        num_layers: 1,
        ..Config::default()
    }
}

#[test]
fn windows_are_uploaded_as_rows_and_cut_on_the_device() {
    let config = overlapping();
    let model = model(config.clone());
    let first = |model: &Model, batch| {
        let plan = plan(model, &Options::default(), batch).unwrap();
        (plan.program.steps[0].op.name(), plan.report.upload_bytes)
    };
    let (op, bytes) = first(&model, 8);
    assert_eq!((op, bytes), ("embed", 8 * 7 * 96), "rows of 78 bytes, padded to 96");
    let apart = Config { patch_stride: 8, ..config };
    // Patches that do not overlap are such a row themselves.
    let (op, bytes) = first(&self::model(apart), 8);
    assert_eq!((op, bytes), ("embed", 8 * 7 * 64), "rows of 4 patches of 8");

    let batch = batch(model.config(), 8);
    let wanted = model.forward(&batch, ForwardOptions::default()).unwrap().outputs.prediction;
    let mut out = Prediction::default();
    TenstorrentEmulator::default()
        .load(&model)
        .unwrap()
        .session()
        .unwrap()
        .forward(&batch, &mut out)
        .unwrap();
    let worst = out.numbers.iter().zip(&wanted).fold(0.0_f32, |w, (x, y)| w.max((x - y).abs()));
    assert!(worst < 0.03, "{worst}");
}

#[test]
fn kernels_are_used_where_they_are_predicted_to_be_faster_and_fit() {
    let kernels = |config, batch| {
        let program = plan(&model(config), &Options::default(), batch).unwrap().program;
        program.steps.iter().filter(|step| step.op.name() == "mixer").count()
    };
    assert_eq!(kernels(seed(), 1), 8);
    let long = Config { context_length: 8 * 512, num_layers: 1, ..seed() };
    assert_eq!(kernels(long, 1), 1, "weights between 512 patches do not fit into a core");
    let other = Config { norm_mlp: "BatchNorm".into(), ..small() };
    assert_eq!(kernels(other, 1), 4);
    let plain = Config { gated_attn: false, ..small() };
    assert_eq!(kernels(plain, 1), 4);
}

#[test]
fn a_kernel_ends_where_its_buffers_or_its_norm_do() {
    let mixers = |patches: usize, d_model: usize| {
        let config = Config { context_length: 8 * patches, d_model, num_layers: 1, ..seed() };
        let program = plan(&model(config), &Options::default(), 32).unwrap().program;
        program.steps.iter().filter(|step| step.op.name() == "mixer").count()
    };
    // One of patches, one of features; at this batch both are predicted to be faster wherever they have room.
    assert_eq!([mixers(256, 16), mixers(257, 16)], [2, 1]);
    assert_eq!([mixers(240, 48), mixers(241, 48)], [2, 1]);
    assert_eq!([mixers(64, 64), mixers(64, 65)], [2, 0]);

    let mut wide = plan(&model(Config { d_model: 64, ..small() }), &Options::default(), 2);
    let program = &mut wide.as_mut().unwrap().program;
    // The mixer first, so that its rule is the first to be broken.
    program.steps.drain(..find(program, "mixer"));
    let step = &mut program.steps[0];
    let Op::Mixer { tiles, buffers, .. } = &mut step.op else { unreachable!() };
    tiles.columns = 3;
    *buffers = tiles.buffers();
    let (state, table, shape) = (step.inputs[0], step.inputs[1], tiles.table_shape());
    program.tensors[table].shape = shape;
    let values = program.constants.iter_mut().find(|(id, _)| *id == table);
    values.unwrap().1.resize(shape.iter().product(), 0.0);
    for id in [state, step.output] {
        program.tensors[id].shape[3] = 96;
    }
    assert!(refused(program).contains("two columns of tiles"), "{}", refused(program));
}

#[test]
fn blackhole_has_no_kernel_of_channels() {
    let config = Config { mode: "mix_channel".into(), ..small() };
    let options = Options { arch: Arch::BlackholeP150, ..Options::default() };
    let program = plan(&model(config), &options, 2).unwrap().program;
    assert!(program.steps.iter().all(|step| step.op.name() != "channels"), "half rows are read");
}

#[test]
fn channel_mixers_and_self_attention_are_a_kernel_each() {
    let operations = |config, batch| {
        let program = plan(&model(config), &Options::default(), batch).unwrap().program;
        let count = |name| program.steps.iter().filter(|step| step.op.name() == name).count();
        (program.device_ops(), ["channels", "attention", "mixer"].map(count))
    };
    let wide = Config { num_input_channels: 130, mode: "mix_channel".into(), ..seed() };
    let heads =
        Config { num_layers: 3, d_model: 48, self_attn: true, self_attn_heads: 3, ..seed() };
    for batch in [1, 32] {
        assert_eq!(operations(wide.clone(), batch), (15, [4, 0, 8]));
        assert_eq!(operations(heads.clone(), batch), (12, [0, 3, 6]));
    }
    let both = Config {
        norm_mlp: "BatchNorm".into(),
        mode: "mix_channel".into(),
        gated_attn: false,
        ..heads
    };
    assert_eq!(operations(both, 8), (15, [3, 3, 6]));
    let wider = Config { num_input_channels: 300, num_layers: 1, ..wide };
    assert_eq!(operations(wider, 1).1[0], 0, "weights between 300 channels do not fit into a core");
}

#[test]
fn a_channel_kernel_and_one_of_attention_take_their_own_tables() {
    let config =
        Config { mode: "mix_channel".into(), self_attn: true, self_attn_heads: 2, ..small() };
    let good = plan(&model(config), &Options::default(), 2).unwrap().program;
    good.check().unwrap();
    let mut other = good.clone();
    let channels = find(&good, "channels");
    let Op::Channels { tiles, .. } = &mut other.steps[channels].op else { unreachable!() };
    tiles.side_by_side = 1;
    assert!(refused(&other).contains("channels: does not take"));
    let mut other = good.clone();
    let attention = find(&good, "attention");
    let Op::Attention { tiles, .. } = &mut other.steps[attention].op else { unreachable!() };
    tiles.heads = 3;
    assert!(refused(&other).contains("attention: does not take"));
    let mut narrow = good.clone();
    let table = narrow.steps[attention].inputs[1];
    narrow.tensors[table].dtype = DataType::Bfloat8B;
    assert!(refused(&narrow).contains("reads bfloat16"));
}

#[test]
fn no_optimisation_is_slower_in_the_cost_model() {
    for (config, batch) in [(seed(), 1), (seed(), 32), (Config { d_model: 32, ..seed() }, 8)] {
        let lines = compare(&model(config), &Options::default(), batch).unwrap();
        assert_eq!(lines.len(), Optimisation::ALL.len() + 1);
        for pair in lines.windows(2) {
            let [before, after] = [&pair[0].report, &pair[1].report];
            let (x, y) = (
                before.predicted_overlapped_sequences_per_s.fitted,
                after.predicted_overlapped_sequences_per_s.fitted,
            );
            assert!(y >= 0.999 * x, "{}: {x} to {y}", pair[1].with);
        }
    }
}

#[test]
fn long_and_wide_models_fit() {
    let long = Config { context_length: 16_384, num_layers: 2, ..seed() };
    let wide = Config { num_input_channels: 128, mode: "mix_channel".into(), ..seed() };
    for config in [long, wide] {
        let model = model(config);
        for arch in Arch::ALL {
            let options = Options { arch, ..Options::default() };
            let report = report(&model, &options, 128).unwrap();
            assert!(report.l1_peak_bytes <= report.l1_budget_bytes, "{arch:?}");
        }
    }
}

/// A model whose patches, channels and features take more than a tile, with three heads of self-attention.
fn beyond_a_tile(norm: &str) -> Config {
    Config {
        context_length: 320,
        num_input_channels: 40,
        num_layers: 1,
        d_model: 48,
        prediction_length: 8,
        mode: "mix_channel".into(),
        norm_mlp: norm.into(),
        self_attn: true,
        self_attn_heads: 3,
        ..Config::default()
    }
}

/// Small models with every kind of head and block.
fn kinds() -> Vec<Config> {
    let forecast = small();
    let extended = |extension| Config { ptsm: Some(extension), ..small() };
    let of = |task: Task, config: Config| Config {
        architectures: Some(vec![task.architecture().into()]),
        ..config
    };
    let pooled = |how: Option<&str>| Config { head_aggregation: how.map(str::to_owned), ..small() };
    vec![
        Config { d_model: 32, num_layers: 3, ..small() },
        Config { self_attn: true, self_attn_heads: 2, use_positional_encoding: true, ..small() },
        Config { gated_attn: false, norm_mlp: "BatchNorm".into(), ..small() },
        Config {
            mode: "mix_channel".into(),
            norm_mlp: "BatchNorm".into(),
            self_attn: true,
            self_attn_heads: 4,
            ..small()
        },
        Config { mode: "mix_channel".into(), gated_attn: false, d_model: 24, ..small() },
        Config { patch_stride: 3, mode: "mix_channel".into(), ..small() },
        beyond_a_tile("LayerNorm"),
        beyond_a_tile("BatchNorm"),
        Config { prediction_channel_indices: Some(vec![0, 2]), scaling: false.into(), ..small() },
        extended(Extension { quantiles: Some(vec![0.1, 0.5, 0.9]), ..Extension::default() }),
        extended(Extension {
            cross_channel: Some(CrossChannel { prepend_past: true, ..CrossChannel::default() }),
            hierarchy: Some(Hierarchy { segment_length: 4 }),
            ..Extension::default()
        }),
        of(Task::Pretraining, forecast.clone()),
        of(Task::Regression, Config { loss: "nll".into(), ..forecast }),
        of(Task::Classification, pooled(Some("max_pool"))),
        of(Task::Classification, pooled(Some("avg_pool"))),
        of(Task::Classification, pooled(Some("use_last"))),
        of(Task::Regression, pooled(None)),
    ]
}

#[test]
fn every_kind_of_model_gives_what_the_definition_gives_with_any_optimisation() {
    for config in kinds() {
        let model = model(config);
        let batch = batch(model.config(), 5);
        let wanted = model.forward(&batch, ForwardOptions::default()).unwrap().outputs;
        let all = Optimisation::ALL.into_iter();
        let cases = [None].into_iter().chain(all.map(Some));
        for (off, mut options) in
            cases.flat_map(|off| [(off, Options::default()), (off, without_kernels())])
        {
            options.optimisations.retain(|o| Some(*o) != off);
            let backend = TenstorrentEmulator { options };
            let mut out = Prediction::default();
            backend.load(&model).unwrap().session().unwrap().forward(&batch, &mut out).unwrap();
            for (got, wanted) in
                [(&out.numbers, &wanted.prediction), (&out.aggregates, &wanted.aggregates)]
            {
                assert_eq!(got.len(), wanted.len());
                let largest = wanted.iter().fold(1e-3_f32, |max, x| max.max(x.abs()));
                let worst = got.iter().zip(wanted).fold(0.0_f32, |w, (x, y)| w.max((x - y).abs()));
                let config = model.config();
                assert!(worst < 0.03 * largest, "{off:?} {worst} of {largest}: {config:?}");
            }
        }
    }
}

#[test]
fn no_answer_depends_on_undefined_padding() {
    for config in kinds() {
        let model = model(config);
        let batch = batch(model.config(), 2);
        let patches = model.prepare(&batch).unwrap().patches;
        for options in [Options::default(), without_kernels()] {
            let plan = plan(&model, &options, 2).unwrap();
            let run = |garbage: f32| {
                let emulator = Emulator::with_garbage(plan.program.clone(), garbage).unwrap();
                emulator.run(&[&plan.input(&patches)]).unwrap()
            };
            assert_eq!(run(GARBAGE), run(17.0), "{:?}", model.config());
        }
    }
}

#[test]
fn bfloat8_weights_are_smaller_and_less_exact() {
    let model = model(seed());
    let options = without_kernels();
    let plain = plan(&model, &options, 1).unwrap();
    let mut narrow = options;
    narrow.optimisations.push(Optimisation::Bfloat8Weights);
    let narrowed = plan(&model, &narrow, 1).unwrap();
    assert!(narrowed.report.weight_bytes < plain.report.weight_bytes * 2 / 3);
    let of_type = |dtype| narrowed.program.tensors.iter().filter(|t| t.dtype == dtype).count();
    assert!(of_type(DataType::Bfloat8B) > 8);
    let patches = model.prepare(&batch(model.config(), 1)).unwrap().patches;
    let run = |program| Emulator::new(program).unwrap().run(&[&patches]).unwrap().remove(0);
    let (a, b) = (run(plain.program), run(narrowed.program));
    let worst = a.iter().zip(&b).fold(0.0_f32, |w, (x, y)| w.max((x - y).abs()));
    assert!(worst > 0.0 && worst < 0.05, "{worst}");
}

#[test]
fn without_l1_everything_is_in_dram() {
    let mut options = Options::default();
    options.optimisations.retain(|o| *o != Optimisation::L1);
    let program = plan(&model(small()), &options, 2).unwrap().program;
    assert!(program.tensors.iter().all(|tensor| tensor.memory.buffer == Buffer::Dram));
}
