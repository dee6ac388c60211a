//! The planner: decides by the cost model of `cost/` how many samples a program takes, in which
//! memory each tensor is kept, and at which fidelity each product is computed.

use std::borrow::Cow;

use ptsm_core::{Error, Model, Result, TensorLayout, TensorStore};

use crate::cost::{Assumptions, Costs, step_cost};
use crate::lower::{Kernels, Reading, Windows, input, lower};
use crate::options::{Optimisation, Options};
use crate::program::{Buffer, MathFidelity, MemoryConfig, Program, Role};
use crate::report::Report;

/// Most samples in one program; requests beyond it run it several times.
pub(crate) const MAX_PROGRAM_BATCH: usize = 128;
/// Weights take at most a core's memory divided by this.
const WEIGHTS_SHARE: usize = 4;

/// A program that is ready to run, and its predicted figures.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program, checked.
    pub program: Program,
    /// Its figures.
    pub report: Report,
    /// Of each head.
    pub(crate) readings: Vec<Reading>,
    pub(crate) windows: Option<Windows>,
}

impl Plan {
    /// The program's input, from scaled patches `[B, C, N, p]`: the patches, or the windows that
    /// they were cut from.
    pub fn input<'a>(&self, patches: &'a [f32]) -> Cow<'a, [f32]> {
        input(self.windows, patches)
    }
}

/// How many samples are asked for, and how many a program takes at a time.
#[derive(Debug, Clone, Copy)]
struct BatchSizes {
    request: usize,
    program: usize,
}

/// One line of [`compare`].
#[derive(Debug, Clone, serde::Serialize)]
pub struct Variant {
    /// What was switched on last; `none` for the first line.
    pub with: &'static str,
    /// The figures.
    #[serde(flatten)]
    pub report: Report,
}

/// Plans requests of `batch` samples.
///
/// # Errors
///
/// `InvalidConfig` if the model has no program; `Internal` if a program breaks a rule.
pub fn plan(model: &Model, options: &Options, batch: usize) -> Result<Plan> {
    plan_heads(&[model], options, batch)
}

/// Plans requests of `batch` samples for the heads of several models with one backbone, in one pass.
///
/// # Errors
///
/// As [`plan`]; `BackendUnavailable` if one of several heads does not forecast; `InvalidConfig` if their backbones differ.
///
/// The planner decides for all heads together, so a head may have other bits than in a program by itself: fewer passes of a
/// product, or another kernel.
pub fn plan_heads(models: &[&Model], options: &Options, batch: usize) -> Result<Plan> {
    check_backbones(models)?;
    let sizes = BatchSizes { request: batch, program: best_batch(models, options, batch)? };
    build(models, options, sizes, true)
}

/// Refuses heads that cannot be in one program: plans one sample, without numbers.
pub(crate) fn check_heads(models: &[&Model], options: &Options) -> Result<()> {
    check_backbones(models)?;
    build(models, options, BatchSizes { request: 1, program: 1 }, false).map(drop)
}

/// Refuses models whose windows are prepared otherwise than those of the first, or whose backbones have other layers or numbers.
fn check_backbones(models: &[&Model]) -> Result<()> {
    let Some((first, others)) = models.split_first() else {
        return Err(Error::config("heads", "there is none, wanted one or more"));
    };
    for (place, model) in others.iter().enumerate() {
        if let Some(what) = difference(first, model) {
            let text = format!(
                "differs from head 1 in {what}, and one pass has one backbone (run it alone)"
            );
            return Err(Error::config(format!("head {} of {}", place + 2, models.len()), text));
        }
    }
    Ok(())
}

/// What of the backbones of two models differs, if anything does.
fn difference(a: &Model, b: &Model) -> Option<String> {
    let [of_a, of_b] = [a, b].map(|model| (model.config().scaler(), model.network()));
    if of_a.0 != of_b.0 || a.config().extension().level != b.config().extension().level {
        return Some("its scaling".into());
    }
    if of_a.1.embedding != of_b.1.embedding || of_a.1.stages != of_b.1.stages {
        return Some("its layers".into());
    }
    let [all_a, all_b] = [a, b].map(|model| model.layout().backbone_tensors());
    let numbers = |model: &Model, tensor: &TensorLayout| {
        let store = match tensor.store {
            TensorStore::Trained => &model.parameters.trained,
            TensorStore::Buffer => &model.parameters.buffers,
            // Nothing is computed from counters.
            TensorStore::Counter => return Vec::new(),
        };
        store[tensor.range.clone()].iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
    };
    let mut pairs = all_a.iter().zip(all_b);
    let other = pairs.find(|(x, y)| x.name != y.name || numbers(a, x) != numbers(b, y));
    other.map(|(tensor, _)| format!("the numbers of {}", tensor.name))
}

/// The figures of a plan, without its numbers.
///
/// # Errors
///
/// As [`plan`].
pub fn report(model: &Model, options: &Options, batch: usize) -> Result<Report> {
    let sizes = BatchSizes { request: batch, program: best_batch(&[model], options, batch)? };
    Ok(build(&[model], options, sizes, false)?.report)
}

/// The figures with nothing switched on, and then with one thing more in every line.
///
/// # Errors
///
/// As [`plan`].
pub fn compare(model: &Model, options: &Options, batch: usize) -> Result<Vec<Variant>> {
    let mut step = Options { optimisations: Vec::new(), ..options.clone() };
    let mut lines = vec![Variant { with: "none", report: report(model, &step, batch)? }];
    for optimisation in Optimisation::ALL {
        step.optimisations.push(optimisation);
        let report = report(model, &step, batch)?;
        lines.push(Variant { with: optimisation.name(), report });
    }
    Ok(lines)
}

/// Samples of one run: all, or fewer where that keeps activations on the chip and is faster.
fn best_batch(models: &[&Model], options: &Options, batch: usize) -> Result<usize> {
    if !options.has(Optimisation::Fold) {
        return Ok(1);
    }
    let mut size = batch.min(MAX_PROGRAM_BATCH);
    let mut best: Option<(f64, usize)> = None;
    loop {
        let plan = build(models, options, BatchSizes { request: batch, program: size }, false)?;
        let latency = plan.report.predicted_latency_ms.fitted;
        if best.is_none_or(|(least, _)| latency < least) {
            best = Some((latency, size));
        }
        if size == 1 || !spills(&plan.program) {
            break;
        }
        size = size.div_ceil(2);
    }
    Ok(best.map_or(1, |(_, size)| size))
}

/// Whether an activation is in DRAM because L1 is full.
fn spills(program: &Program) -> bool {
    let mut temporaries = program.with_role(Role::Temporary);
    temporaries.any(|id| program.tensors[id].memory.buffer == Buffer::Dram)
}

/// The plan with our kernels where they help: each is taken if it is predicted to lower the latency without lowering
/// the throughput; none if they are switched off.
fn build(
    models: &[&Model],
    options: &Options,
    sizes: BatchSizes,
    with_values: bool,
) -> Result<Plan> {
    if !options.has(Optimisation::Kernels) {
        return build_with(models, options, sizes, Kernels::default(), with_values);
    }
    let predict = |kernels| -> Result<(f64, f64)> {
        let report = build_with(models, options, sizes, kernels, false)?.report;
        let rate = report.predicted_overlapped_sequences_per_s.fitted;
        Ok((report.predicted_latency_ms.fitted, rate))
    };
    let mut kernels = Kernels::default();
    let (mut latency, mut rate) = predict(kernels)?;
    for add in Kernels::EACH {
        let tried = add(kernels);
        let (taken, reached) = predict(tried)?;
        if taken < latency && reached >= rate {
            (kernels, latency, rate) = (tried, taken, reached);
        }
    }
    build_with(models, options, sizes, kernels, with_values)
}

fn build_with(
    models: &[&Model],
    options: &Options,
    sizes: BatchSizes,
    kernels: Kernels,
    with_values: bool,
) -> Result<Plan> {
    let lowered = lower(models, options, sizes.program, kernels, with_values)?;
    let mut program = lowered.program;
    if options.has(Optimisation::L1) {
        place(&mut program);
    }
    choose_fidelity(&mut program);
    program.check()?;
    let report = Report::new(&program, sizes.request);
    Ok(Plan { program, report, readings: lowered.readings, windows: lowered.windows })
}

/// Moves activations into L1 in the order of the steps, and then weights, each if every step then
/// still fits.
///
/// Tensors are interleaved, not sharded: layer norm needs block shards, products and softmax need
/// height shards, and the conversion is a step, which takes longer than reading other cores' tiles.
fn place(program: &mut Program) {
    let chip = program.arch.chip();
    let is_read_back = |id: usize| program.tensors[id].role == Role::Output;
    // Two outputs are kept where runs overlap; they are read from DRAM as fast.
    let made = program.steps.iter().map(|step| step.output).filter(|&id| !is_read_back(id));
    let made: Vec<usize> = made.collect();
    for id in made {
        program.tensors[id].memory = MemoryConfig::L1;
        let fullest = program.l1_bytes_per_core(&chip).into_iter().max();
        if fullest > Some(chip.l1_bytes) {
            program.tensors[id].memory = MemoryConfig::DRAM;
        }
    }
    let constants: Vec<usize> = program.with_role(Role::Constant).collect();
    let mut weights = 0;
    let mut fullest = program.l1_bytes_per_core(&chip).into_iter().max().unwrap_or(0);
    for id in constants {
        program.tensors[id].memory = MemoryConfig::L1;
        let bytes = program.tensors[id].l1_bytes_per_core(&chip);
        if weights + bytes > chip.l1_bytes / WEIGHTS_SHARE || fullest + bytes > chip.l1_bytes {
            program.tensors[id].memory = MemoryConfig::DRAM;
            continue;
        }
        (weights, fullest) = (weights + bytes, fullest + bytes);
    }
}

/// A step takes this share of its time with four passes, or less, before two are worth the bits that they lose.
const WORTH_LESS_BITS: f64 = 0.95;

/// Full fidelity (four passes) where two passes are hardly faster, because starting the step or reading its tiles takes longer.
fn choose_fidelity(program: &mut Program) {
    let chip = program.arch.chip();
    let of = Costs { chip: &chip, assumptions: &Assumptions::FITTED };
    for i in 0..program.steps.len() {
        let [full, half] = [MathFidelity::HiFi4, MathFidelity::HiFi2].map(|fidelity| {
            program.steps[i].op.set_math_fidelity(fidelity);
            let cost = step_cost(program, &program.steps[i], of);
            cost.work + cost.start
        });
        if half > WORTH_LESS_BITS * full {
            program.steps[i].op.set_math_fidelity(MathFidelity::HiFi4);
        }
    }
}
