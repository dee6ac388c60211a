//! Labelled cases laid out for a model: one length, standardised, padded and masked.

use super::labelled::{LabelledSet, Labels};
use super::standard::Standardiser;
use ptsm_core::train::{Samples, numbers_fingerprint};
use ptsm_core::{Batch, BatchShape, Error, Result, bytes_of, require_memory};

/// Cases of one length, ready for batches.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedCases {
    /// All cases, with their targets.
    all: Batch,
}

impl PreparedCases {
    /// Standardises the cases and brings them to `context_length`: of a longer one the last steps
    /// are taken, a shorter one gets missing points in front. Values (not classes) are standardised
    /// by `targets`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the number of channels or of targets differs, or a value is beyond the
    /// range of f32.
    pub fn new(
        set: &LabelledSet,
        context_length: usize,
        standardiser: &Standardiser,
        targets: Option<&Standardiser>,
    ) -> Result<Self> {
        let num_channels = set.channels.len();
        let each = context_length * num_channels;
        // Values, whether each is known, and a case on the way.
        let bytes = bytes_of(&[2, set.len() + 1, each]);
        require_memory("laying out the cases", bytes, "a shorter context_length, or fewer cases")?;
        let mut values = vec![0.0; set.len() * each];
        let mut mask = vec![0.0; set.len() * each];
        for (i, case) in set.cases.iter().enumerate() {
            let prepared =
                standardiser.apply(case).map_err(|e| e.at(format!("case {}", case.id)))?;
            let used = prepared.num_rows().min(context_length) * num_channels;
            let from = prepared.values.len() - used;
            let to = (i + 1) * each - used;
            values[to..to + used].copy_from_slice(&prepared.values[from..]);
            match &prepared.observed_mask {
                Some(observed) => mask[to..to + used].copy_from_slice(&observed[from..]),
                None => mask[to..to + used].fill(1.0),
            }
        }
        let complete = mask.iter().all(|&seen| seen == 1.0);
        let shape = BatchShape { size: set.len(), context_length, num_channels };
        let all = Batch::new(shape, values)?
            .with_observed_mask((!complete).then_some(mask))?
            .with_target_values(target_values(&set.labels, targets)?)?;
        Ok(Self { all })
    }

    /// `[cases]` classes, or `[cases, targets]` standardised values.
    pub fn targets(&self) -> &[f32] {
        self.all.target_values().unwrap_or_default()
    }
}

fn target_values(labels: &Labels, standardiser: Option<&Standardiser>) -> Result<Vec<f32>> {
    match labels {
        Labels::Classes { of, .. } => Ok(of.iter().map(|&class| class as f32).collect()),
        Labels::Values { names, of } => {
            let identity = Standardiser::identity(names.len());
            let standardiser = standardiser.unwrap_or(&identity);
            if standardiser.num_channels() != names.len() {
                let (got, wanted) = (names.len(), standardiser.num_channels());
                let text = format!("the data have {got} targets, the model has {wanted}");
                return Err(Error::input(text));
            }
            let scaled = of.iter().enumerate().map(|(i, value)| {
                let k = i % names.len();
                standardiser.apply_value(k, *value)
            });
            Ok(scaled.collect())
        }
        Labels::Unknown(count) => Ok(vec![0.0; *count]),
    }
}

impl Samples for PreparedCases {
    fn len(&self) -> usize {
        self.all.size()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        self.all.select(indices)
    }

    fn fingerprint(&self) -> String {
        let mask = self.all.observed_mask().unwrap_or_default();
        let numbers = numbers_fingerprint(&[self.all.past_values(), mask, self.targets()]);
        format!("{} cases of {} {numbers}", self.all.size(), self.all.context_length())
    }

    fn describe(&self) -> String {
        "cases".into()
    }
}
