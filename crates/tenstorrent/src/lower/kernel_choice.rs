//! The choice of the parts of a program that are computed by kernels of our own.

/// Which parts use a kernel of ours, if there is one for their kind and size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kernels {
    /// The embedding, which then reads rows of numbers and puts their patches into tiles.
    pub(crate) embedding: bool,
    /// The mixers of patches.
    pub(crate) patches: bool,
    /// The mixers of features.
    pub(crate) features: bool,
    /// The mixers of channels.
    pub(crate) channels: bool,
    /// Self-attention.
    pub(crate) attention: bool,
}

impl Kernels {
    /// Each adds one part to a choice, the embedding last.
    pub(crate) const EACH: [fn(Self) -> Self; 5] = [
        |kernels| Self { features: true, ..kernels },
        |kernels| Self { patches: true, ..kernels },
        |kernels| Self { channels: true, ..kernels },
        |kernels| Self { attention: true, ..kernels },
        |kernels| Self { embedding: true, ..kernels },
    ];
}
