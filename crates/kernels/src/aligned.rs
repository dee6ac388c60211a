//! Memory aligned to a cache line, so that no aligned load or store crosses two lines.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest register.
const LINE: usize = 64;
/// Elements of a cache line.
const LINE_ELEMENTS: usize = LINE / size_of::<f32>();

/// A buffer of f32 that starts on a cache line. Dereferences to a slice.
#[derive(Debug, Default)]
pub struct Aligned {
    /// The elements, with up to a cache line of padding before them.
    storage: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// A buffer of `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let storage = vec![0.0_f32; len + LINE_ELEMENTS];
        let past = storage.as_ptr() as usize % LINE;
        let start = if past == 0 { 0 } else { (LINE - past) / size_of::<f32>() };
        Self { storage, start, len }
    }

    /// Grows the buffer to at least `len` elements. If it has to grow, it is filled with zeros and its
    /// contents are lost.
    pub fn reserve(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

// The padding depends on the address of the allocation, so a copy has its own.
impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_starts_on_a_line_and_so_does_a_copy() {
        for len in 0..200 {
            let mut values = Aligned::zeros(len);
            values.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32);
            let copy = values.clone();
            assert_eq!((values.len(), &values[..]), (len, &copy[..]));
            assert_eq!((values.as_ptr() as usize % LINE, copy.as_ptr() as usize % LINE), (0, 0));
        }
    }

    #[test]
    fn it_grows_and_never_shrinks() {
        let mut values = Aligned::zeros(3);
        values.reserve(10);
        assert_eq!(values.len(), 10);
        values.reserve(5);
        assert_eq!(values.len(), 10);
    }
}
