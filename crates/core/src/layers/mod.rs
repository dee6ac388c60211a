//! The layers of the definition, each forward and backward in plain loops.
//!
//! [`crate::model`] puts them together, [`crate::head`] reads their output.

mod dropout;
pub(crate) mod gated_attn;
pub(crate) mod level;
mod linear;
pub(crate) mod masking;
pub(crate) mod mixer;
mod mlp;
pub(crate) mod norm;
mod pass;
pub(crate) mod patchify;
pub(crate) mod scaler;
pub(crate) mod self_attn;

pub use dropout::Dropout;
pub(crate) use pass::{HEAD_SITE, Pass, Place};
