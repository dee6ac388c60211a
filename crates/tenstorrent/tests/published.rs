//! The cost model beside latencies that were published for other models on a chip, from their lists of operations.
//!
//! Only the lists are here (which operation, on which shapes), as read in November 2026 from the public sources and
//! reports of tt-metal: Granite TTM-R1 (`models/demos/granite_ttm_r1`, pull request 40538) and PatchTST
//! (`models/demos/wormhole/patchtst`, pull request 39938).

// Tests may say what they found.
#![allow(clippy::print_stderr)]

use ptsm_tenstorrent::{
    Activation, Arch, CoreGrid, DataType, Execution, Layout, MathFidelity, MemoryConfig, Op,
    Program, Report, Role, Step, TensorId, TensorSpec,
};

/// A list of operations, as a program of which only the times are of interest.
struct List {
    program: Program,
    /// Memory of activations.
    memory: MemoryConfig,
    fidelity: MathFidelity,
}

/// A hidden state `[B, rows, columns]`.
#[derive(Clone, Copy)]
struct Matrices {
    batch: usize,
    rows: usize,
    columns: usize,
}

impl List {
    fn new(name: &str, batch: usize, memory: MemoryConfig) -> Self {
        let program = Program {
            name: name.into(),
            arch: Arch::WormholeN300Chip,
            batch,
            execution: Execution { trace: true, two_queues: false },
            tensors: Vec::new(),
            steps: Vec::new(),
            constants: Vec::new(),
        };
        Self { program, memory, fidelity: MathFidelity::HiFi2 }
    }

    fn tensor(&mut self, shape: [usize; 4], role: Role) -> TensorId {
        let memory = if role == Role::Temporary { self.memory } else { MemoryConfig::DRAM };
        let (dtype, layout) = (DataType::Bfloat16, Layout::Tile);
        let name = String::new();
        self.program.tensors.push(TensorSpec { name, shape, dtype, layout, memory, role });
        self.program.tensors.len() - 1
    }

    /// `count` times the same operation on `inputs`, which makes `shape`.
    fn op(&mut self, count: usize, op: &Op, inputs: &[[usize; 4]], shape: [usize; 4]) {
        for _ in 0..count {
            let inputs = inputs.iter().map(|&shape| self.tensor(shape, Role::Temporary)).collect();
            let output = self.tensor(shape, Role::Temporary);
            self.program.steps.push(Step { op: op.clone(), inputs, output, frees: Vec::new() });
        }
    }

    /// Operations that read one tensor and make one of its shape.
    fn same(&mut self, count: usize, op: &Op, x: Matrices) {
        self.op(count, op, &[x.shape()], x.shape());
    }

    /// Operations that read two.
    fn pair(&mut self, count: usize, op: &Op, x: Matrices) {
        self.op(count, op, &[x.shape(), x.shape()], x.shape());
    }

    /// A linear layer without `core_grid`: bias and GELU are programs of their own.
    fn linear(&mut self, x: Matrices, outputs: usize, gelu: bool) -> Matrices {
        let (activation, math_fidelity) = (gelu.then_some(Activation::Gelu), self.fidelity);
        let op = Op::Linear { transpose_a: false, activation, core_grid: None, math_fidelity };
        self.product(&op, x, outputs)
    }

    fn product(&mut self, op: &Op, x: Matrices, outputs: usize) -> Matrices {
        let out = Matrices { columns: outputs, ..x };
        let input = self.tensor(x.shape(), Role::Temporary);
        let weight = self.tensor([1, 1, x.columns, outputs], Role::Constant);
        let bias = self.tensor([1, 1, 1, outputs], Role::Constant);
        let output = self.tensor(out.shape(), Role::Temporary);
        let inputs = vec![input, weight, bias];
        self.program.steps.push(Step { op: op.clone(), inputs, output, frees: Vec::new() });
        out
    }

    /// Milliseconds of a trace.
    fn milliseconds(&self) -> f64 {
        let report = Report::new(&self.program, self.program.batch);
        (report.work_us + report.start_us) / 1e3
    }
}

impl Matrices {
    fn shape(self) -> [usize; 4] {
        [self.batch, 1, self.rows, self.columns]
    }

    fn turned(self) -> Self {
        Self { rows: self.columns, columns: self.rows, ..self }
    }
}

const NORM: Op = Op::LayerNorm { epsilon: 1e-5 };
const SOFTMAX: Op = Op::Softmax { dim: -1 };

/// One layer of TTM: mixing patches on the transposed state, then features.
fn ttm_layer(list: &mut List, state: Matrices) {
    for (x, size) in [(state.turned(), state.rows), (state, state.columns)] {
        let turned = x.rows != state.rows || x.columns != state.columns;
        list.same(1, &NORM, state);
        list.same(usize::from(turned), &Op::Transpose, x);
        let hidden = list.linear(x, 2 * size, true);
        list.linear(hidden, size, false);
        list.linear(x, size, false);
        list.same(1, &SOFTMAX, x);
        list.pair(1, &Op::Multiply, x);
        list.same(usize::from(turned), &Op::Transpose, state);
        list.pair(1, &Op::Add, state);
    }
}

/// TTM-R1, 512 steps of one channel in, 96 out: three levels of 32 x 48, 16 x 96 and 8 x 192, two layers each, and two
/// of 8 x 128; every activation in L1.
fn ttm(batch: usize) -> List {
    let mut list = List::new("ttm-r1", batch, MemoryConfig::L1);
    let of = |rows, columns| Matrices { batch, rows, columns };
    let (window, one) = (of(512, 1), of(1, 1));
    // The scaler: sums over the window, and what is done to the whole of it.
    list.op(3, &Op::Max, &[window.shape()], one.shape());
    list.pair(6, &Op::Multiply, window);
    list.pair(4, &Op::Add, one);
    list.same(3, &Op::ToMemoryConfig, of(64, 8));
    let mut state = list.linear(of(8, 64), 192, false);
    for factor in [4, 2, 1] {
        let level = of(8 * factor, 192 / factor);
        let moves = if factor > 1 { 6 } else { 4 };
        list.same(moves, &Op::ToMemoryConfig, level);
        (0..2).for_each(|_| ttm_layer(&mut list, level));
    }
    state = list.linear(state, 128, false);
    (0..2).for_each(|_| ttm_layer(&mut list, state));
    list.same(3, &Op::ToMemoryConfig, of(1, 1024));
    list.linear(of(1, 1024), 96, false);
    list.same(1, &Op::Transpose, of(96, 1));
    list.pair(1, &Op::Multiply, of(96, 1));
    list.pair(1, &Op::Add, of(96, 1));
    list
}

/// PatchTST, seven channels, 43 tokens of 128, three layers, sixteen heads of 8 that are padded to 32: its encoder and
/// head, from the hidden state on. Large products share what they read, which a `core_grid` stands for.
fn patchtst(batch: usize) -> List {
    let mut list = List::new("patchtst", batch, MemoryConfig::L1);
    let x = Matrices { batch: 7 * batch, rows: 43, columns: 128 };
    let grid = CoreGrid { x: 8, y: 7 };
    let shared = |math_fidelity| Op::Linear {
        transpose_a: false,
        activation: None,
        core_grid: Some(grid),
        math_fidelity,
    };
    let product = shared(MathFidelity::HiFi2);
    for _ in 0..3 {
        list.pair(1, &Op::Multiply, x);
        list.pair(1, &Op::Add, x);
        let all = list.product(&product, x, 1536);
        list.pair(1, &Op::Add, all);
        list.same(1, &Op::ToMemoryConfig, all);
        // Attention of 16 heads: two products and a softmax of 43 x 43 scores each, as one program.
        let heads = Matrices { batch: 7 * batch * 16, rows: 43, columns: 32 };
        list.same(1, &SOFTMAX, Matrices { columns: 43, ..heads });
        let attended = Matrices { columns: 512, ..x };
        list.same(1, &Op::ToMemoryConfig, attended);
        list.product(&product, attended, 128);
        list.pair(2, &Op::Add, x);
        list.pair(1, &Op::Multiply, x);
        list.pair(1, &Op::Add, x);
        let hidden = list.product(&product, x, 512);
        list.pair(1, &Op::Add, hidden);
        list.same(1, &Op::Gelu, hidden);
        list.product(&product, hidden, 128);
        list.pair(2, &Op::Add, x);
    }
    let token = Matrices { rows: 1, ..x };
    list.same(3, &Op::ToMemoryConfig, token);
    list.linear(token, 96, false);
    list.same(2, &Op::Transpose, Matrices { columns: 96, ..token });
    list
}

/// Milliseconds until the host knows that a trace has ended, as `cost/assumptions.rs` has it.
const SYNCHRONISE: f64 = 0.1;

#[test]
fn the_latencies_of_ttm_r1_are_those_that_assumptions_were_fitted_to() {
    assert_eq!(ttm(1).program.device_ops(), 236 + 3, "a sum counts as two programs here");
    for (batch, published) in [(1, 1.82), (8, 2.43), (32, 3.65), (64, 6.10)] {
        let predicted = ttm(batch).milliseconds() + SYNCHRONISE;
        eprintln!("TTM-R1, batch {batch}: predicted {predicted:.2} ms, published {published} ms");
        let ratio: f64 = predicted / published;
        assert!(
            (0.8..1.25).contains(&ratio),
            "batch {batch}: {predicted} ms, {published} published"
        );
    }
}

#[test]
fn patchtst_is_predicted_from_its_operations_alone() {
    // Batch 16: the upload of the hidden state (1.8 MB), the trace, and the wait. The published 5.5 ms of batch 1 are
    // more than the published 3.18 ms of a step of a stream that does the same and more: no device time.
    let list = patchtst(16);
    let upload = 0.12 + 1.835e6 / 4e9 * 1e3;
    let predicted = upload + list.milliseconds() + SYNCHRONISE;
    let published = 8.07;
    eprintln!(
        "PatchTST, batch 16, {} programs: predicted {predicted:.2} ms, published {published} ms",
        list.program.device_ops()
    );
    let ratio: f64 = predicted / published;
    assert!((1.0 / 1.5..1.5).contains(&ratio), "{predicted} ms, {published} published");
}
