//! A TTNN program as data: tensors, steps, and the numbers that are uploaded once.
//!
//! Nothing here depends on a model. A program can be printed, written as JSON for the worker,
//! checked without a device, emulated, and run.

mod attention;
mod bytes;
mod channels;
mod check;
mod embed;
mod kernel;
mod mixer;
mod op;
mod tensor;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chip::Arch;
pub use attention::AttentionTiles;
pub(crate) use bytes::{bfloat16_bits, from_bfloat16_bits};
pub use channels::ChannelTiles;
pub(crate) use channels::FACE;
pub use embed::EmbedTiles;
pub(crate) use kernel::{KernelWork, MAX_COLUMNS, NormPlaces};
pub use mixer::MixerTiles;
pub use op::{Activation, Blocks, MathFidelity, Op};
pub use tensor::{
    Buffer, DataType, Layout, MemoryConfig, Role, ShardSpec, Spread, TILE, TensorId, TensorSpec,
    padded,
};

/// One operation with its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    #[serde(flatten)]
    pub op: Op,
    /// What it reads, in the order of the operation's arguments.
    pub inputs: Vec<TensorId>,
    /// The tensor that it makes.
    pub output: TensorId,
    /// Tensors that are freed right after it.
    pub frees: Vec<TensorId>,
}

/// How a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The steps are captured once and replayed.
    pub trace: bool,
    /// Uploads and read-backs have a command queue of their own.
    pub two_queues: bool,
}

/// A program for one batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Name, for display only.
    pub name: String,
    /// What it was planned for.
    pub arch: Arch,
    /// Samples in a run.
    pub batch: usize,
    /// How it is run.
    pub execution: Execution,
    /// All tensors; steps name them by their place.
    pub tensors: Vec<TensorSpec>,
    /// In order.
    pub steps: Vec<Step>,
    /// Row-major numbers of every constant, without padding; not part of the JSON.
    #[serde(skip)]
    pub constants: Vec<(TensorId, Vec<f32>)>,
}

impl Program {
    /// Tensors with a role, in order.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = TensorId> + '_ {
        let tensors = self.tensors.iter().enumerate();
        tensors.filter(move |(_, tensor)| tensor.role == role).map(|(id, _)| id)
    }

    /// What a step reads.
    pub fn inputs(&self, step: &Step) -> Vec<&TensorSpec> {
        step.inputs.iter().map(|&id| &self.tensors[id]).collect()
    }

    /// Whether one run's transfers overlap with another's steps: the last step must write into a tensor that is there
    /// already, as a linear layer can.
    pub fn has_two_lanes(&self) -> bool {
        let last = self.steps.last().map(|step| &step.op);
        self.execution.trace && self.execution.two_queues && matches!(last, Some(Op::Linear { .. }))
    }

    /// Device programs that are launched for one batch.
    pub fn device_ops(&self) -> usize {
        self.steps.iter().map(|step| step.op.dispatches(&self.inputs(step))).sum()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Execution { trace, two_queues } = self.execution;
        let run = match (trace, two_queues) {
            (true, true) if self.has_two_lanes() => "two traces, two queues",
            (true, true) => "one trace, two queues",
            (true, false) => "one trace",
            (false, true) => "two queues",
            (false, false) => "op by op",
        };
        writeln!(f, "{} for {}, batch {}: {run}", self.name, self.arch.name(), self.batch)?;
        for id in self.with_role(Role::Input) {
            writeln!(f, "     %{id} = input {}: {}", self.tensors[id].name, self.tensors[id])?;
        }
        for (i, step) in self.steps.iter().enumerate() {
            let inputs: Vec<String> = step
                .inputs
                .iter()
                .map(|&id| match self.tensors[id].role {
                    Role::Constant => self.tensors[id].name.clone(),
                    _ => format!("%{id}"),
                })
                .collect();
            let out = &self.tensors[step.output];
            write!(
                f,
                "{i:4} %{} = {}({}{})",
                step.output,
                step.op.name(),
                inputs.join(", "),
                Arguments(&step.op)
            )?;
            write!(f, ": {out}")?;
            if !step.frees.is_empty() {
                let frees: Vec<String> = step.frees.iter().map(|id| format!("%{id}")).collect();
                write!(f, "; frees {}", frees.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The arguments of an operation that are no tensors.
struct Arguments<'a>(&'a Op);

impl fmt::Display for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Op::Linear { transpose_a, activation, core_grid, math_fidelity } => {
                if *transpose_a {
                    write!(f, ", transpose_a")?;
                }
                if let Some(Activation::Gelu) = activation {
                    write!(f, ", activation=gelu_approx")?;
                }
                if let Some(grid) = core_grid {
                    write!(f, ", core_grid={}x{}", grid.y, grid.x)?;
                }
                write!(f, ", {math_fidelity:?}")
            }
            Op::Matmul { math_fidelity } => write!(f, ", {math_fidelity:?}"),
            Op::MatmulAddcmul { config: Blocks { rows, inner, columns, .. }, math_fidelity } => {
                write!(f, ", blocks={rows}x{inner}x{columns}, {math_fidelity:?}")
            }
            Op::LayerNorm { epsilon } => write!(f, ", epsilon={epsilon:e}"),
            Op::Embed { tiles, math_fidelity, .. } => {
                let EmbedTiles { patch_length, patch_stride, .. } = tiles;
                write!(f, ", patches={patch_length} by {patch_stride}, {math_fidelity:?}")
            }
            Op::Mixer { tiles, math_fidelity, .. } => {
                let MixerTiles { left, rows, columns, hidden, .. } = tiles;
                let side = if *left { "left" } else { "right" };
                write!(f, ", weights={side}, tiles={rows}x{columns}x{hidden}, {math_fidelity:?}")
            }
            Op::Channels { tiles, math_fidelity, .. } => {
                let ChannelTiles { rows, columns, hidden, side_by_side, .. } = tiles;
                write!(
                    f,
                    ", tiles={rows}x{columns}x{hidden}, patches={side_by_side}, {math_fidelity:?}"
                )
            }
            Op::Attention { tiles, math_fidelity, .. } => {
                let AttentionTiles { rows, columns, heads, .. } = tiles;
                write!(f, ", tiles={rows}x{columns}, heads={heads}, {math_fidelity:?}")
            }
            Op::Softmax { dim } => write!(f, ", dim={dim}"),
            Op::Permute { dims } => write!(f, ", dims={dims:?}"),
            Op::Reshape { shape } => write!(f, ", shape={shape:?}"),
            Op::FillImplicitTilePadding { value } => write!(f, ", {value}"),
            _ => Ok(()),
        }
    }
}
