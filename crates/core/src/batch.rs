//! The input of a model: windows of one length, with what is known about them.

use std::ops::Range;

use crate::real::Real;
use crate::{Error, Result};

/// Lengths of a batch: B windows of L time steps of C channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchShape {
    /// Number of windows, B.
    pub size: usize,
    /// Past steps per window, L.
    pub context_length: usize,
    /// Channels, C.
    pub num_channels: usize,
}

impl BatchShape {
    /// Numbers in a tensor `[B, L, C]`.
    fn num_points(self) -> usize {
        self.size * self.context_length * self.num_channels
    }

    /// Rows of a tensor `[B, ..., C]` or `[B, C, ...]`.
    fn num_rows(self) -> usize {
        self.size * self.num_channels
    }
}

/// Windows of one length, ready for the model.
///
/// All tensors are row-major, and their lengths fit each other: the constructor and the setters
/// refuse others. A missing point holds the value 0 and the mask 0; no NaN may be in a batch that a
/// model runs on.
///
/// ```
/// use ptsm_core::{Batch, BatchShape};
/// # fn main() -> ptsm_core::Result<()> {
/// let shape = BatchShape { size: 1, context_length: 3, num_channels: 2 };
/// let batch = Batch::new(shape, vec![1.0, 10.0, 2.0, 0.0, 3.0, 30.0])?
///     .with_observed_mask(vec![1.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
/// assert_eq!(batch.past_values()[2..4], [2.0, 0.0]);
/// assert!(batch.with_future_values(vec![4.0, 40.0, 5.0]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<T = f32> {
    shape: BatchShape,
    past_values: Vec<T>,
    observed_mask: Option<Vec<T>>,
    future_values: Option<Vec<T>>,
    future_observed_mask: Option<Vec<T>>,
    target_values: Option<Vec<T>>,
    patch_mask: Option<Vec<T>>,
    origin: Option<Vec<T>>,
}

impl<T> Batch<T> {
    /// Windows of which all points were seen and nothing else is known. `past_values` is
    /// `[B, L, C]`, in the units that the model was trained on.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are not B x L x C values.
    pub fn new(shape: BatchShape, past_values: Vec<T>) -> Result<Self> {
        require_len("past_values", past_values.len(), shape.num_points())?;
        Ok(Self::of_checked(shape, past_values))
    }

    /// Values whose number is right.
    fn of_checked(shape: BatchShape, past_values: Vec<T>) -> Self {
        Self {
            shape,
            past_values,
            observed_mask: None,
            future_values: None,
            future_observed_mask: None,
            target_values: None,
            patch_mask: None,
            origin: None,
        }
    }

    /// Sets which points were seen, `[B, L, C]`: 1 = seen, 0 = missing; `None` = all.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the mask is not as long as `past_values`.
    pub fn with_observed_mask(mut self, mask: impl Into<Option<Vec<T>>>) -> Result<Self> {
        self.observed_mask = mask.into();
        let wanted = self.past_values.len();
        if let Some(mask) = &self.observed_mask {
            require_len("observed_mask", mask.len(), wanted)?;
        }
        Ok(self)
    }

    /// Sets what came after the windows, `[B, H, C]`, all channels; `None` = not known.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if this is not a number of rows for each window, or not as long as the mask of
    /// the future that was set before.
    pub fn with_future_values(mut self, values: impl Into<Option<Vec<T>>>) -> Result<Self> {
        self.future_values = values.into();
        self.check_future("future_values", self.future_values(), self.future_observed_mask())?;
        Ok(self)
    }

    /// Sets which values of the future are known, `[B, H, C]`: 1 = known, 0 = missing; `None` = all.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if this is not a number of rows for each window, or not as long as the values
    /// of the future that were set before.
    pub fn with_future_observed_mask(mut self, mask: impl Into<Option<Vec<T>>>) -> Result<Self> {
        self.future_observed_mask = mask.into();
        let (mask, values) = (self.future_observed_mask(), self.future_values());
        self.check_future("future_observed_mask", mask, values)?;
        Ok(self)
    }

    /// `other` is the tensor of the same shape, if there is one.
    fn check_future(&self, name: &str, given: Option<&[T]>, other: Option<&[T]>) -> Result<()> {
        let Some(given) = given else { return Ok(()) };
        if let Some(other) = other {
            require_len(name, given.len(), other.len())?;
        }
        require_rows(name, given.len(), self.shape.num_rows(), "windows x channels")
    }

    /// Sets the truth of classification, `[B]` numbers of classes, or of regression,
    /// `[B, num_targets]`; `None` = not known.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if this is not as many numbers for each window.
    pub fn with_target_values(mut self, values: impl Into<Option<Vec<T>>>) -> Result<Self> {
        self.target_values = values.into();
        if let Some(values) = &self.target_values {
            require_rows("target_values", values.len(), self.shape.size, "windows")?;
        }
        Ok(self)
    }

    /// Sets what pretraining hides from the model, `[B, C, N]` for N patches: 1 = hidden.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if this is not as many numbers for each channel of each window.
    pub fn with_patch_mask(mut self, mask: impl Into<Option<Vec<T>>>) -> Result<Self> {
        self.patch_mask = mask.into();
        if let Some(mask) = &self.patch_mask {
            require_rows("patch_mask", mask.len(), self.shape.num_rows(), "windows x channels")?;
        }
        Ok(self)
    }

    /// Sets where the data's own zero lies in the units of `past_values`, `[B, C]`: what is twice as
    /// far above it was twice as much. `None` = not known, or the units are no shift and scale of the
    /// data (logarithms). The network does not look at it; methods that work with ratios do.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if this is not one number for each channel of each window.
    pub fn with_origin(mut self, origin: impl Into<Option<Vec<T>>>) -> Result<Self> {
        self.origin = origin.into();
        if let Some(origin) = &self.origin {
            require_len("origin", origin.len(), self.shape.num_rows())?;
        }
        Ok(self)
    }

    /// All lengths at once.
    pub fn shape(&self) -> BatchShape {
        self.shape
    }

    /// Number of windows, B.
    pub fn size(&self) -> usize {
        self.shape.size
    }

    /// Past steps per window, L.
    pub fn context_length(&self) -> usize {
        self.shape.context_length
    }

    /// Channels, C.
    pub fn num_channels(&self) -> usize {
        self.shape.num_channels
    }

    /// `[B, L, C]`, in the units that the model was trained on.
    pub fn past_values(&self) -> &[T] {
        &self.past_values
    }

    /// As [`Batch::past_values`], to write the next windows over these without allocating.
    pub fn past_values_mut(&mut self) -> &mut [T] {
        &mut self.past_values
    }

    /// `[B, L, C]`, 1 = seen, 0 = missing; `None` = everything seen.
    pub fn observed_mask(&self) -> Option<&[T]> {
        self.observed_mask.as_deref()
    }

    /// `[B, H, C]`, all channels, the truth to compare with; `None` when it is not known.
    pub fn future_values(&self) -> Option<&[T]> {
        self.future_values.as_deref()
    }

    /// `[B, H, C]`, 1 = known, 0 = missing; `None` = everything known.
    pub fn future_observed_mask(&self) -> Option<&[T]> {
        self.future_observed_mask.as_deref()
    }

    /// `[B]` numbers of classes, or `[B, num_targets]` values, for classification and regression.
    pub fn target_values(&self) -> Option<&[T]> {
        self.target_values.as_deref()
    }

    /// `[B, C, N]`, 1 = hidden from the model, for pretraining.
    pub fn patch_mask(&self) -> Option<&[T]> {
        self.patch_mask.as_deref()
    }

    /// `[B, C]`, see [`Batch::with_origin`].
    pub fn origin(&self) -> Option<&[T]> {
        self.origin.as_deref()
    }

    /// As [`Batch::origin`], to be written over without allocating.
    pub fn origin_mut(&mut self) -> Option<&mut [T]> {
        self.origin.as_deref_mut()
    }

    /// The batch with `change` done to each of its tensors, which keeps lengths in step.
    fn map<U>(&self, shape: BatchShape, change: impl Fn(&[T]) -> Vec<U>) -> Batch<U> {
        Batch {
            shape,
            past_values: change(&self.past_values),
            observed_mask: self.observed_mask().map(&change),
            future_values: self.future_values().map(&change),
            future_observed_mask: self.future_observed_mask().map(&change),
            target_values: self.target_values().map(&change),
            patch_mask: self.patch_mask().map(&change),
            origin: self.origin().map(&change),
        }
    }
}

impl<T: Copy> Batch<T> {
    /// The windows `range` as a batch of their own.
    ///
    /// # Panics
    ///
    /// If the range ends after the batch.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let shape = BatchShape { size: range.len(), ..self.shape };
        self.map(shape, |values| {
            let each = values.len() / self.shape.size.max(1);
            values[range.start * each..range.end * each].to_vec()
        })
    }

    /// The same windows with the last `context_length` of their past steps; nothing is hidden in them.
    ///
    /// # Panics
    ///
    /// If the windows are shorter.
    #[must_use]
    pub fn shortened(&self, context_length: usize) -> Self {
        let cut = self.context_length() - context_length;
        let width = self.num_channels();
        let last = |values: &[T]| -> Vec<T> {
            let windows = values.chunks_exact((self.context_length() * width).max(1));
            windows.flat_map(|window| &window[cut * width..]).copied().collect()
        };
        let shape = BatchShape { context_length, ..self.shape };
        Self {
            shape,
            past_values: last(&self.past_values),
            observed_mask: self.observed_mask().map(last),
            patch_mask: None,
            ..self.clone()
        }
    }

    /// The windows with these numbers, in this order, as a batch of their own.
    ///
    /// # Panics
    ///
    /// If a number is not below B.
    pub fn select(&self, indices: &[usize]) -> Self {
        let shape = BatchShape { size: indices.len(), ..self.shape };
        self.map(shape, |values| {
            let each = values.len() / self.shape.size.max(1);
            let mut chosen = Vec::with_capacity(indices.len() * each);
            indices.iter().for_each(|i| chosen.extend_from_slice(&values[i * each..][..each]));
            chosen
        })
    }
}

impl<T: Real> Batch<T> {
    /// Windows of zeros, to be written over.
    pub fn zeros(shape: BatchShape) -> Self {
        Self::of_checked(shape, vec![T::ZERO; shape.num_points()])
    }

    /// As [`Batch::observed_mask`], to be written over without allocating; where there was no mask,
    /// there is one of zeros now.
    pub fn observed_mask_mut(&mut self) -> &mut [T] {
        let points = self.shape.num_points();
        self.observed_mask.get_or_insert_with(|| vec![T::ZERO; points])
    }

    /// The same numbers in another precision.
    pub fn cast<U: Real>(&self) -> Batch<U> {
        self.map(self.shape, |values| values.iter().map(|x| U::from_f64(x.to_f64())).collect())
    }
}

fn require_len(name: &str, got: usize, wanted: usize) -> Result<()> {
    if got == wanted {
        return Ok(());
    }
    Err(Error::input(format!("has {got} numbers, wanted {wanted}")).at(name))
}

fn require_rows(name: &str, got: usize, rows: usize, what: &str) -> Result<()> {
    let fits = if rows == 0 { got == 0 } else { got.is_multiple_of(rows) };
    if fits {
        return Ok(());
    }
    Err(Error::input(format!("has {got} numbers, wanted a multiple of {rows} ({what})")).at(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let shape = BatchShape { size: 3, context_length: 2, num_channels: 1 };
        Batch::new(shape, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
            .and_then(|batch| batch.with_target_values(vec![7.0, 8.0, 9.0]))
            .unwrap()
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused_by_name() {
        let shape = BatchShape { size: 3, context_length: 2, num_channels: 1 };
        let text = |result: Result<Batch>| result.unwrap_err().to_string();
        let short = text(Batch::new(shape, vec![0.0; 5]));
        assert_eq!(short, "past_values: has 5 numbers, wanted 6");
        assert!(text(batch().with_observed_mask(vec![1.0])).starts_with("observed_mask: has 1"));
        assert!(text(batch().with_future_values(vec![1.0; 4])).contains("multiple of 3"));
        assert!(text(batch().with_target_values(vec![1.0; 4])).starts_with("target_values"));
        assert!(text(batch().with_patch_mask(vec![1.0; 4])).starts_with("patch_mask"));
        let future = batch().with_future_values(vec![1.0; 6]).unwrap();
        assert!(text(batch().with_origin(vec![1.0])).starts_with("origin: has 1"));
        let mask = text(future.clone().with_future_observed_mask(vec![1.0; 3]));
        assert_eq!(mask, "future_observed_mask: has 3 numbers, wanted 6");
        assert!(future.with_future_observed_mask(vec![1.0; 6]).is_ok());
        let mask = batch().with_future_observed_mask(vec![1.0; 6]).unwrap();
        let values = text(mask.with_future_values(vec![1.0; 9]));
        assert_eq!(values, "future_values: has 9 numbers, wanted 6");
    }

    #[test]
    fn shortened_windows_keep_their_end() {
        let shape = BatchShape { size: 2, context_length: 3, num_channels: 2 };
        let batch = Batch::new(shape, (0..12).map(f64::from).collect())
            .and_then(|batch| batch.with_observed_mask((12..24).map(f64::from).collect::<Vec<_>>()))
            .and_then(|batch| batch.with_origin(vec![1.0, 2.0, 3.0, 4.0]))
            .unwrap();
        let short = batch.shortened(2);
        assert_eq!(short.past_values(), [2.0, 3.0, 4.0, 5.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(short.observed_mask().unwrap()[..4], [14.0, 15.0, 16.0, 17.0]);
        assert_eq!((short.context_length(), short.origin()), (2, batch.origin()));
        assert_eq!(batch.slice(1..2).origin(), Some([3.0, 4.0].as_slice()));
    }

    #[test]
    fn chosen_windows_keep_what_is_known_of_them() {
        let chosen = batch().select(&[2, 0]);
        assert_eq!(chosen.past_values(), [4.0, 5.0, 0.0, 1.0]);
        assert_eq!(chosen.target_values(), Some([9.0, 7.0].as_slice()));
        assert_eq!(batch().slice(1..3), batch().select(&[1, 2]));
        assert_eq!(batch().cast::<f64>().cast::<f32>(), batch());
    }
}
