//! The samples that training and scoring take their batches from.

use std::ops::Range;

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

    /// Whether the samples are drawn at random in the first place. Training then takes each once, by its
    /// number, and gives them no order of its own.
    fn are_drawn(&self) -> bool {
        false
    }

    /// Samples that belong together and rise in time, such as the windows of one series, in order.
    fn groups(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
    }
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
    /// windows, those are the most recent ones; of several series, the most recent ones of each, where
    /// series with less than one window between them share one.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the share is not above 0 and at most 1.
    pub fn last(samples: &'a dyn Samples, share: f64) -> Result<Self> {
        if !(share > 0.0 && share <= 1.0) {
            let text = format!("{share} must be above 0 and at most 1");
            return Err(Error::config("few_shot", text));
        }
        let mut indices = Vec::new();
        for group in samples.groups() {
            let wanted = (group.end as f64 * share).ceil() as usize;
            let count = (wanted - indices.len()).min(group.len());
            indices.extend(group.end - count..group.end);
        }
        Ok(Self::new(samples, indices))
    }

    /// At most `most` of the samples, evenly spread over all.
    pub fn spread(samples: &'a dyn Samples, most: usize) -> Self {
        let (len, most) = (samples.len(), most.min(samples.len()));
        let index = |i: usize| ((2 * i + 1) as u128 * len as u128 / (2 * most) as u128) as usize;
        Self::new(samples, (0..most).map(index).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples in groups of these sizes.
    struct Grouped(Vec<usize>);

    impl Samples for Grouped {
        fn len(&self) -> usize {
            self.0.iter().sum()
        }

        fn batch(&self, _: &[usize]) -> Batch {
            unreachable!("only the numbers of the samples matter")
        }

        fn fingerprint(&self) -> String {
            String::new()
        }

        fn describe(&self) -> String {
            String::new()
        }

        fn groups(&self) -> Vec<Range<usize>> {
            let mut start = 0;
            let range = |size: &usize| {
                start += size;
                start - size..start
            };
            self.0.iter().map(range).collect()
        }
    }

    #[test]
    fn the_last_share_is_that_of_each_group() {
        for (sizes, share, wanted) in [
            (vec![10], 0.25, vec![7, 8, 9]),
            (vec![4, 8], 0.5, vec![2, 3, 8, 9, 10, 11]),
            (vec![2, 2, 2, 2, 0, 2], 0.25, vec![1, 5, 9]),
            (vec![3, 1], 1.0, vec![0, 1, 2, 3]),
        ] {
            let samples = Grouped(sizes);
            assert_eq!(Subset::last(&samples, share).unwrap().indices, wanted);
        }
        assert!(Subset::last(&Grouped(vec![1]), 0.0).is_err());
    }

    #[test]
    fn samples_are_spread_over_all() {
        let samples = Grouped(vec![10]);
        assert_eq!(Subset::spread(&samples, 3).indices, [1, 5, 8]);
        assert_eq!(Subset::spread(&samples, 20).indices, (0..10).collect::<Vec<_>>());
        assert!(Subset::spread(&Grouped(vec![0]), 5).is_empty());
    }
}
