//! Turns a model into a program: chooses the steps, and folds numbers into the weights.
//!
//! Host and device share the work as follows: the host scales windows in f32, host or device cuts
//! them into patches, the device embeds, mixes and projects, the host un-scales while it puts the
//! forecast into the order `[B, H, C']`.

mod attention;
mod backbone;
mod builder;
mod head;
mod kernel_choice;
mod kernels;
mod tables;
mod weights;
mod windows;

use ptsm_core::{Error, Model, OutputKind, Result};

use crate::options::Options;
use crate::program::Program;
use backbone::Backbone;
use builder::Builder;
pub(crate) use head::Reading;
use head::lower_heads;
pub(crate) use kernel_choice::Kernels;
use kernels::embedding_fits;
use weights::Weights;
pub(crate) use windows::{Windows, input};

/// A program that is not yet placed in memory, and how its output is read.
pub(crate) struct Lowered {
    pub(crate) program: Program,
    /// Of each head.
    pub(crate) readings: Vec<Reading>,
    /// How windows are cut, if the program does that.
    pub(crate) windows: Option<Windows>,
}

/// Lowers `models`, which have one backbone, for batches of `batch` samples. Without `with_values` constants have shapes but
/// no numbers, which is enough for the figures of a report.
pub(crate) fn lower(
    models: &[&Model],
    options: &Options,
    batch: usize,
    kernels: Kernels,
    with_values: bool,
) -> Result<Lowered> {
    let Some(model) = models.first() else {
        return Err(Error::config("heads", "there is none, wanted one or more"));
    };
    let (config, embedding) = (model.config(), &model.network().embedding);
    let weights = Weights::new(model, with_values);
    let mut builder = Builder::new(options, with_values);
    // The kernel cuts windows where patches overlap. Otherwise, and in pretraining, which hides single patches that
    // overlap others in a window, the patches one after the other are its window.
    let overlap = embedding.patch_stride < embedding.patch_length
        && *model.output().kind() != OutputKind::Patches;
    let windows = Windows {
        patch_length: embedding.patch_length,
        patch_stride: if overlap { embedding.patch_stride } else { embedding.patch_length },
        patches: embedding.state.patches,
    };
    let cut = kernels.embedding && embedding_fits(&builder, windows, embedding.state.features);
    let windows = cut.then_some(windows);
    let backbone = Backbone { network: model.network(), weights: &weights, kernels };
    let hidden = backbone.lower(&mut builder, batch, windows)?;
    let (output, readings) = lower_heads(&mut builder, models, hidden)?;
    let name = config.task()?.architecture();
    Ok(Lowered { program: builder.finish(name, batch, output), readings, windows })
}
