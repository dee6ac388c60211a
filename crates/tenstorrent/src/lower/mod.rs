//! From a model to a program: which steps, with which numbers folded into the weights.
//!
//! Host and device share the work so: the host scales windows in f32 and cuts them into patches
//! (a copy; overlapping patches are copied as often as they overlap), the device embeds, mixes and
//! projects, the host un-scales while it puts the forecast into the order `[B, H, C']`.

mod backbone;
mod builder;
mod head;
mod mixer;
mod weights;

use ptsm::{Model, Result};

use crate::options::Options;
use crate::program::Program;
use backbone::Backbone;
use builder::Builder;
use head::HeadLowering;
pub(crate) use head::Reading;
use weights::Weights;

/// A program that is not yet placed in memory, and how its output is read.
pub(crate) struct Lowered {
    pub(crate) program: Program,
    pub(crate) reading: Reading,
}

/// Which mixers are a kernel of ours, where there is one for their kind and size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kernels {
    pub(crate) patches: bool,
    pub(crate) features: bool,
}

impl Kernels {
    pub(crate) const ALL: [Kernels; 4] = [
        Kernels { patches: false, features: false },
        Kernels { patches: false, features: true },
        Kernels { patches: true, features: false },
        Kernels { patches: true, features: true },
    ];
}

/// Lowers `model` for batches of `batch` samples; without `with_values` only for its figures.
pub(crate) fn lower(
    model: &Model,
    options: &Options,
    (batch, kernels): (usize, Kernels),
    with_values: bool,
) -> Result<Lowered> {
    let config = model.config();
    let weights = Weights::new(model, with_values);
    let mut builder = Builder::new(options, with_values);
    let shape = [batch, config.num_input_channels, config.num_patches(), config.patch_length];
    let patches = builder.input("patches", shape);
    let backbone = Backbone { config, weights: &weights, kernels };
    let hidden = backbone.lower(&mut builder, patches)?;
    let head = HeadLowering { model, weights: &weights };
    let (output, reading) = head.lower(&mut builder, hidden)?;
    let name = config.task()?.architecture();
    Ok(Lowered { program: builder.finish(name, batch, output), reading })
}
