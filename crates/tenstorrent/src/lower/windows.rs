//! Restores windows from their patches, for programs that cut them on the device; patches that do not overlap are
//! uploaded one after the other instead.

use std::borrow::Cow;

/// How a window is cut into patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) patch_length: usize,
    pub(crate) patch_stride: usize,
    pub(crate) patches: usize,
}

impl Windows {
    /// Numbers of a window from its first patch to the end of its last.
    fn len(self) -> usize {
        (self.patches - 1) * self.patch_stride + self.patch_length
    }

    /// The windows that `patches` were cut from, one after the other; 0 between patches.
    fn restore(self, patches: &[f32]) -> Vec<f32> {
        let windows = patches.chunks_exact(self.patches * self.patch_length);
        let mut out = vec![0.0; windows.len() * self.len()];
        for (window, to) in windows.zip(out.chunks_exact_mut(self.len())) {
            for (i, patch) in window.chunks_exact(self.patch_length).enumerate() {
                to[i * self.patch_stride..][..self.patch_length].copy_from_slice(patch);
            }
        }
        out
    }
}

/// The input of a program, from `patches` `[B, C, N, p]`: the patches themselves, or whole windows
/// if the program cuts them.
pub(crate) fn input(windows: Option<Windows>, patches: &[f32]) -> Cow<'_, [f32]> {
    match windows {
        Some(windows) if windows.patch_stride != windows.patch_length => {
            Cow::Owned(windows.restore(patches))
        }
        _ => Cow::Borrowed(patches),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_patches_and_gaps_give_their_window_back() {
        let windows = |patch_stride| Windows { patch_length: 3, patch_stride, patches: 2 };
        let overlapping = [1.0, 2.0, 3.0, 3.0, 4.0, 5.0];
        assert_eq!(windows(2).restore(&overlapping), [1.0, 2.0, 3.0, 4.0, 5.0]);
        let apart = [1.0, 2.0, 3.0, 5.0, 6.0, 7.0];
        assert_eq!(windows(4).restore(&apart), [1.0, 2.0, 3.0, 0.0, 5.0, 6.0, 7.0]);
        for unchanged in [None, Some(windows(3))] {
            assert!(matches!(input(unchanged, &apart), Cow::Borrowed(given) if given == apart));
        }
    }
}
