//! Which parts of a program are kernels of our own.

/// Which parts are a kernel of ours, where there is one for their kind and size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kernels {
    /// The embedding, which then cuts windows into patches.
    pub(crate) embedding: bool,
    /// The mixers of patches.
    pub(crate) patches: bool,
    /// The mixers of features.
    pub(crate) features: bool,
}

impl Kernels {
    /// One more of them each, the embedding last.
    pub(crate) const EACH: [fn(Self) -> Self; 3] = [
        |kernels| Self { features: true, ..kernels },
        |kernels| Self { patches: true, ..kernels },
        |kernels| Self { embedding: true, ..kernels },
    ];
}
