//! Weights: the numbers of a model, the table of their names and places, and the file that holds
//! them.
//!
//! [`Layout`] goes through a [`Network`](crate::network::Network) once and gives every tensor its
//! name, its shape and its range; [`Parameters`] holds the numbers. Everything that is trained is
//! in one slice, in the order of the layout, so that an optimiser, a gradient sum and a checkpoint
//! need no names.

mod file;
mod files;
mod init;
mod layout;
mod positions;

pub use file::Precision;
pub use files::{INDEX_FILE as WEIGHTS_INDEX_FILE, WEIGHTS_FILE};
pub use init::Init;
pub use layout::TensorStore;
pub(crate) use layout::{
    AttentionSlot, BlockSlot, CrossChannelSlot, ForecastSlot, HeadSlot, HierarchySlot, InjectSlot,
    LinearSlot, NormSlot, PooledSlot,
};
pub use layout::{Layout, TensorLayout};

use crate::real::Real;

/// The numbers of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters<T> {
    /// Everything that is trained, in the order of [`Layout::tensors`].
    pub trained: Vec<T>,
    /// Fixed tables and running statistics.
    pub buffers: Vec<T>,
    /// Integer counters (`num_batches_tracked`).
    pub counters: Vec<i64>,
}

impl<T: Real> Parameters<T> {
    /// The same numbers in another precision.
    pub fn cast<U: Real>(&self) -> Parameters<U> {
        let cast = |values: &[T]| values.iter().map(|x| U::from_f64(x.to_f64())).collect();
        Parameters {
            trained: cast(&self.trained),
            buffers: cast(&self.buffers),
            counters: self.counters.clone(),
        }
    }
}
