//! The samples that training and scoring take their batches from.

use sha2::{Digest, Sha256};

use crate::batch::Batch;
use crate::{Error, Result};

/// Numbered samples that can be put together to batches.
pub trait Samples: Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples `indices`, in this order.
    fn batch(&self, indices: &[usize]) -> Batch;

    /// A text that differs for other samples; a resumed run must find the same.
    fn fingerprint(&self) -> String;

    /// What there is and how long it is, for an error about too little of it.
    fn describe(&self) -> String;
}

/// SHA-256 over the bits of some numbers.
pub fn numbers_fingerprint(parts: &[&[f32]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        for chunk in part.chunks(1024) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|x| x.to_le_bytes()).collect();
            hash.update(&bytes);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Some of the samples of a set.
pub struct Subset<'a> {
    samples: &'a dyn Samples,
    indices: Vec<usize>,
}

impl<'a> Subset<'a> {
    /// The samples `indices`.
    pub fn new(samples: &'a dyn Samples, indices: Vec<usize>) -> Self {
        Self { samples, indices }
    }

    /// The last `share` of the samples, rounded up: the few shots of transfer experiments. For
    /// windows, those are the most recent ones.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the share is not above 0 and at most 1.
    pub fn last(samples: &'a dyn Samples, share: f64) -> Result<Self> {
        if !(share > 0.0 && share <= 1.0) {
            let text = format!("{share} must be above 0 and at most 1");
            return Err(Error::config("few_shot", text));
        }
        let count = (samples.len() as f64 * share).ceil() as usize;
        Ok(Self::new(samples, (samples.len() - count..samples.len()).collect()))
    }
}

impl Samples for Subset<'_> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        let chosen: Vec<usize> = indices.iter().map(|&i| self.indices[i]).collect();
        self.samples.batch(&chosen)
    }

    fn fingerprint(&self) -> String {
        format!("{:?} of {}", self.indices, self.samples.fingerprint())
    }

    fn describe(&self) -> String {
        self.samples.describe()
    }
}
