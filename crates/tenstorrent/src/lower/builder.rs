//! Builds a program step by step: names tensors, finds their shapes, and frees each after its last
//! use.

use std::collections::HashMap;

use ptsm_core::Result;
use ptsm_kernels::{Isa, Matrix, MatrixMut, MatrixShape, transpose};

use crate::chip::Chip;
use crate::options::{Optimisation, Options};
use crate::program::{
    Activation, Blocks, DataType, Execution, Layout, MathFidelity, MemoryConfig, Op, Program, Role,
    Step, TILE, TensorId, TensorSpec,
};

/// A linear layer's numbers.
#[derive(Debug, Clone)]
pub(super) struct LinearWeights {
    pub(super) name: String,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `[outputs, inputs]`; empty where only shapes are planned.
    pub(super) weight: Vec<f32>,
    /// `[outputs]`; likewise.
    pub(super) bias: Vec<f32>,
}

impl LinearWeights {
    /// The layer that first maps every input `x` to `slope * x + offset`.
    pub(super) fn after_affine(mut self, slope: &[f32], offset: &[f32]) -> Self {
        let rows = self.weight.chunks_exact_mut(self.inputs).zip(&mut self.bias);
        for (row, bias) in rows {
            for (d, weight) in row.iter_mut().enumerate() {
                *bias += *weight * offset[d];
                *weight *= slope[d];
            }
        }
        self
    }
}

/// How a linear layer is applied.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Apply {
    pub(super) transpose_a: bool,
    pub(super) gelu: bool,
}

/// A program that is being built. All tensors are in DRAM until the planner places them.
pub(super) struct Builder<'a> {
    options: &'a Options,
    /// Whether constants get their numbers, or only their shapes.
    with_values: bool,
    tensors: Vec<TensorSpec>,
    steps: Vec<Step>,
    constants: Vec<(TensorId, Vec<f32>)>,
    /// Constants that several steps share.
    named: HashMap<String, TensorId>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(options: &'a Options, with_values: bool) -> Self {
        Self {
            options,
            with_values,
            tensors: Vec::new(),
            steps: Vec::new(),
            constants: Vec::new(),
            named: HashMap::new(),
        }
    }

    pub(super) fn has(&self, optimisation: Optimisation) -> bool {
        self.options.has(optimisation)
    }

    pub(super) fn with_values(&self) -> bool {
        self.with_values
    }

    pub(super) fn chip(&self) -> Chip {
        self.options.arch.chip()
    }

    pub(super) fn shape(&self, id: TensorId) -> [usize; 4] {
        self.tensors[id].shape
    }

    fn tensor(&mut self, name: &str, shape: [usize; 4], dtype: DataType, role: Role) -> TensorId {
        let (layout, memory) = (Layout::Tile, MemoryConfig::DRAM);
        self.tensors.push(TensorSpec { name: name.into(), shape, dtype, layout, memory, role });
        self.tensors.len() - 1
    }

    pub(super) fn input(&mut self, name: &str, shape: [usize; 4]) -> TensorId {
        self.tensor(name, shape, DataType::Bfloat16, Role::Input)
    }

    /// An input that is not in tiles.
    pub(super) fn input_rows(&mut self, name: &str, shape: [usize; 4]) -> TensorId {
        let id = self.input(name, shape);
        self.tensors[id].layout = Layout::RowMajor;
        id
    }

    /// A constant; one of the same name is used again.
    pub(super) fn constant(
        &mut self,
        name: &str,
        shape: [usize; 4],
        dtype: DataType,
        values: impl FnOnce() -> Vec<f32>,
    ) -> TensorId {
        if let Some(&id) = self.named.get(name) {
            return id;
        }
        let id = self.tensor(name, shape, dtype, Role::Constant);
        if self.with_values {
            self.constants.push((id, values()));
        }
        self.named.insert(name.into(), id);
        id
    }

    /// A row of numbers that is added to, or multiplied with, every row.
    pub(super) fn row(&mut self, name: &str, values: &[f32], width: usize) -> TensorId {
        self.constant(name, [1, 1, 1, width], DataType::Bfloat16, || values.to_vec())
    }

    /// One step; its output is a temporary of the first input's data type.
    pub(super) fn step(&mut self, name: &str, op: Op, inputs: &[TensorId]) -> Result<TensorId> {
        let specs: Vec<&TensorSpec> = inputs.iter().map(|&id| &self.tensors[id]).collect();
        let shape = op.output_shape(&specs).map_err(|e| e.at(name))?;
        // Weights may be in bfloat8_b while activations are in bfloat16, as is the output then.
        let narrow = specs.iter().all(|spec| spec.dtype == DataType::Bfloat8B);
        let dtype = if narrow { DataType::Bfloat8B } else { DataType::Bfloat16 };
        let output = self.tensor(name, shape, dtype, Role::Temporary);
        self.steps.push(Step { op, inputs: inputs.to_vec(), output, frees: Vec::new() });
        Ok(output)
    }

    /// A linear layer, as one step or as the steps that it consists of.
    pub(super) fn linear(
        &mut self,
        x: TensorId,
        weights: &LinearWeights,
        Apply { transpose_a, gelu }: Apply,
    ) -> Result<TensorId> {
        let name = &weights.name;
        let narrow = self.has(Optimisation::Bfloat8Weights);
        let dtype = if narrow { DataType::Bfloat8B } else { DataType::Bfloat16 };
        let weight = self.transposed(weights, dtype);
        let bias = self.row(&format!("{name}.bias"), &weights.bias, weights.outputs);
        let core_grid = Some(self.options.arch.chip().grid);
        let fused = self.has(Optimisation::Fusion);
        let activation = (fused && gelu).then_some(Activation::Gelu);
        let math_fidelity = MathFidelity::HiFi4;
        let op = Op::Linear { transpose_a, activation, core_grid, math_fidelity };
        if fused {
            return self.step(name, op, &[x, weight, bias]);
        }
        let product = self.step(&format!("{name}.product"), op, &[x, weight])?;
        let sum = self.step(name, Op::Add, &[product, bias])?;
        if gelu { self.step(&format!("{name}.gelu"), Op::Gelu, &[sum]) } else { Ok(sum) }
    }

    /// The weight as `ttnn` wants it, `[1, 1, inputs, outputs]`.
    fn transposed(&mut self, weights: &LinearWeights, dtype: DataType) -> TensorId {
        let LinearWeights { name, inputs, outputs, weight, .. } = weights;
        let suffix = if dtype == DataType::Bfloat16 { "" } else { ".bfloat8_b" };
        let name = format!("{name}.weight{suffix}");
        self.constant(&name, [1, 1, *inputs, *outputs], dtype, || {
            let mut out = vec![0.0; weight.len()];
            let shape = MatrixShape { rows: *outputs, columns: *inputs };
            let (from, to) = (Matrix::new(weight, *inputs), MatrixMut::new(&mut out, *outputs));
            transpose(Isa::best(), shape, from, to);
            out
        })
    }

    /// `residual + (x W^T + b) * gate` in one step.
    pub(super) fn linear_gated(
        &mut self,
        name: &str,
        x: TensorId,
        weights: &LinearWeights,
        residual: TensorId,
        gate: TensorId,
    ) -> Result<TensorId> {
        let weight = self.transposed(weights, DataType::Bfloat16);
        let bias = self.row(&format!("{}.bias", weights.name), &weights.bias, weights.outputs);
        let tiles = |side: usize| side.div_ceil(TILE);
        let grid = self.options.arch.chip().grid;
        let config = Blocks::for_tiles(tiles(weights.inputs), tiles(weights.outputs), grid);
        let op = Op::MatmulAddcmul { config, math_fidelity: MathFidelity::HiFi4 };
        self.step(name, op, &[x, weight, residual, gate, bias])
    }

    /// Ends the program: `output` is read back, everything else is freed after its last use.
    pub(super) fn finish(mut self, name: &str, batch: usize, output: TensorId) -> Program {
        self.tensors[output].role = Role::Output;
        let mut last_use = HashMap::new();
        for (i, step) in self.steps.iter().enumerate() {
            for &id in step.inputs.iter().chain([&step.output]) {
                if self.tensors[id].role == Role::Temporary {
                    last_use.insert(id, i);
                }
            }
        }
        let mut frees: Vec<(TensorId, usize)> = last_use.into_iter().collect();
        frees.sort_unstable();
        for (id, i) in frees {
            self.steps[i].frees.push(id);
        }
        let execution = Execution {
            trace: self.has(Optimisation::Trace),
            two_queues: self.has(Optimisation::TwoQueues),
        };
        Program {
            name: name.into(),
            arch: self.options.arch,
            batch,
            execution,
            tensors: self.tensors,
            steps: self.steps,
            constants: self.constants,
        }
    }
}
