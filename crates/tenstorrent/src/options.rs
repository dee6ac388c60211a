//! Optimisations that the planner may apply. Each can be left out, so that a report can show its
//! effect.

use ptsm_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::chip::Arch;

/// One thing that the planner may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimisation {
    /// One program for all samples of a request, with batch and channels folded into rows. Without
    /// it samples are computed one after the other.
    Fold,
    /// Products read their operands transposed. Without it activations are transposed before and
    /// after them.
    Layout,
    /// Bias, GELU, gate and residual computed inside other operations.
    Fusion,
    /// Whole mixer blocks as one kernel of ours each, where that is predicted to be faster.
    Kernels,
    /// Activations and small weights in the cores' memory.
    L1,
    /// Weights of plain linear layers in bfloat8_b.
    Bfloat8Weights,
    /// The steps captured once and replayed.
    Trace,
    /// Uploads overlap with steps.
    TwoQueues,
}

impl Optimisation {
    /// All, in the order in which the report switches them on.
    pub const ALL: [Optimisation; 8] = [
        Optimisation::Fold,
        Optimisation::Layout,
        Optimisation::Fusion,
        Optimisation::Kernels,
        Optimisation::L1,
        Optimisation::Bfloat8Weights,
        Optimisation::Trace,
        Optimisation::TwoQueues,
    ];

    /// Those that are on by default: all but bfloat8_b weights, which lose precision and gain
    /// little, because reading weights is not what limits these models.
    pub const DEFAULT: [Optimisation; 7] = [
        Optimisation::Fold,
        Optimisation::Layout,
        Optimisation::Fusion,
        Optimisation::Kernels,
        Optimisation::L1,
        Optimisation::Trace,
        Optimisation::TwoQueues,
    ];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Optimisation::Fold => "fold",
            Optimisation::Layout => "layout",
            Optimisation::Fusion => "fusion",
            Optimisation::Kernels => "kernels",
            Optimisation::L1 => "l1",
            Optimisation::Bfloat8Weights => "bfloat8-weights",
            Optimisation::Trace => "trace",
            Optimisation::TwoQueues => "two-queues",
        }
    }
}

impl std::str::FromStr for Optimisation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Optimisation::ALL.into_iter().find(|o| o.name() == name);
        found.ok_or_else(|| {
            let names = Optimisation::ALL.map(Optimisation::name).join(", ");
            Error::config("optimisations", format!("\"{name}\" is none of {names}"))
        })
    }
}

/// What to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The product.
    pub arch: Arch,
    /// What the planner may do.
    pub optimisations: Vec<Optimisation>,
}

impl Default for Options {
    fn default() -> Self {
        Self { arch: Arch::WormholeN150, optimisations: Optimisation::DEFAULT.to_vec() }
    }
}

impl Options {
    /// Whether the planner may do this.
    pub fn has(&self, optimisation: Optimisation) -> bool {
        self.optimisations.contains(&optimisation)
    }
}
