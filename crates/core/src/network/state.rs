//! The shape of a hidden state, and the axes along which it is mixed.

/// The axis of the hidden state `[channels, patches, features]` whose numbers a block mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Across channels, at each patch and feature.
    Channels,
    /// Across patches, which are steps in time, for each channel and feature.
    Patches,
    /// Across the features of one patch.
    Features,
}

/// Shape of the hidden state of one sample, `[channels, patches, features]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Channels, C.
    pub channels: usize,
    /// Patches, N.
    pub patches: usize,
    /// Features of a patch, D.
    pub features: usize,
}

impl State {
    /// Numbers of one sample.
    pub fn len(self) -> usize {
        self.channels * self.patches * self.features
    }

    /// Whether there is nothing in it; no valid network has such a state.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Length of one axis.
    pub fn width(self, axis: Axis) -> usize {
        match axis {
            Axis::Channels => self.channels,
            Axis::Patches => self.patches,
            Axis::Features => self.features,
        }
    }

    /// The state with each patch split into `factor` patches.
    ///
    /// # Panics
    ///
    /// If `factor` does not divide the features: a bug of the architecture.
    pub fn split(self, factor: usize) -> State {
        assert_eq!(self.features % factor, 0, "patches are split into equal shares of features");
        State { patches: self.patches * factor, features: self.features / factor, ..self }
    }

    /// The state with `factor` neighbouring patches merged into one.
    ///
    /// # Panics
    ///
    /// If `factor` does not divide the patches: a bug of the architecture.
    pub fn merge(self, factor: usize) -> State {
        assert_eq!(self.patches % factor, 0, "whole groups of patches are merged");
        State { patches: self.patches / factor, features: self.features * factor, ..self }
    }
}
