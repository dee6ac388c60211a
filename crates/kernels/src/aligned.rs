//! Memory that starts on a cache line, so that a register's worth never lies across two.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest register.
const LINE: usize = 64;
/// Numbers in one.
const NUMBERS: usize = LINE / size_of::<f32>();

/// A fixed number of f32 whose first stands at the start of a cache line. Behaves as a slice.
#[derive(Debug, Default)]
pub struct Aligned {
    /// The numbers, with up to a cache line in front of them.
    storage: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let storage = vec![0.0_f32; len + NUMBERS];
        let past = storage.as_ptr() as usize % LINE;
        let start = if past == 0 { 0 } else { (LINE - past) / size_of::<f32>() };
        Self { storage, start, len }
    }

    /// Makes room for at least `len` numbers; what was there is lost if it has to grow.
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

// The start depends on where the memory lies, so a copy finds its own.
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
