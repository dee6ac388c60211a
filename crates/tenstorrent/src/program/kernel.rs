//! What the kernels of ours have in common: the parts of their tables that a norm reads, and how their work is counted.

/// Most columns of tiles of a state whose rows a kernel normalises: with more the simulator ends in the norm, for a reason that is
/// not known. Up to 256 features `D I - J` (see [`NormPlaces`]) is exact in bfloat16.
pub(crate) const MAX_COLUMNS: usize = 2;

/// Places of the first tile of each part of a norm in a kernel's table of constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NormPlaces {
    /// Layer norm; otherwise batch norm, which is only weight and bias.
    pub(crate) layer_norm: bool,
    /// Columns of tiles of the state.
    pub(crate) columns: usize,
    /// `D I - J`, with the identity `I` and the matrix of ones `J`: a row times it is D times the
    /// row minus its mean. Before it are a tile of the identity, a tile of ones, and one with ones
    /// in the first row of each face, which a reduction needs.
    pub(crate) centre: usize,
    /// `J / D`: the mean of a row, in every column.
    pub(crate) mean: usize,
    /// Weight of the norm, in every row; of batch norm as diagonal matrices. Not there if the next layer has it.
    pub(crate) slope: usize,
    /// Bias of the norm, in every row, likewise.
    pub(crate) offset: usize,
    pub(crate) end: usize,
}

impl NormPlaces {
    /// The parts from tile `centre` on; weight and bias are there if `affine`.
    pub(crate) fn new(centre: usize, columns: usize, layer_norm: bool, affine: bool) -> Self {
        let square = if layer_norm { columns * columns } else { 0 };
        let row = if affine { columns } else { 0 };
        let (mean, slope) = (centre + square, centre + 2 * square);
        let (offset, end) = (slope + row, slope + 2 * row);
        Self { layer_norm, columns, centre, mean, slope, offset, end }
    }

    /// Weight and bias of another norm of the same kind, after `first`.
    pub(crate) fn with_affine_at(self, first: usize) -> Self {
        let (slope, offset) = (first, first + self.columns);
        Self { slope, offset, end: offset + self.columns, ..self }
    }
}

/// What a kernel of ours does, in tiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KernelWork {
    /// Products of two tiles.
    pub(crate) products: usize,
    /// Other passes over a tile, without what the functions of a tile take.
    pub(crate) passes: usize,
    /// Reciprocal roots.
    pub(crate) roots: usize,
    pub(crate) gelus: usize,
    pub(crate) exponentials: usize,
    /// Reciprocals of a row or column of a tile.
    pub(crate) reciprocals: usize,
}

impl KernelWork {
    /// The norm of `rows` rows of tiles.
    pub(crate) fn norm(rows: usize, norm: NormPlaces) -> Self {
        let (tiles, affine) = (rows * norm.columns, norm.end > norm.slope);
        match norm.layer_norm {
            // Centred rows and variance; square and product, weight and bias.
            true => Self {
                products: 2 * tiles * norm.columns,
                passes: tiles * if affine { 4 } else { 2 },
                roots: tiles,
                ..Self::default()
            },
            false => Self { products: tiles * if affine { 2 } else { 1 }, ..Self::default() },
        }
    }

    /// The softmax of a line of `tiles`: the largest, the difference from it, and the product with the sum's reciprocal.
    pub(crate) fn softmax(tiles: usize) -> Self {
        Self {
            products: tiles,
            passes: 3 * tiles,
            exponentials: tiles,
            reciprocals: 1,
            ..Self::default()
        }
    }

    /// `count` layers of `outputs` by `inputs` tiles, with their bias.
    pub(crate) fn layers(count: usize, outputs: usize, inputs: usize) -> Self {
        Self { products: count * outputs * (inputs + 1), ..Self::default() }
    }

    /// All of it `count` times.
    pub(crate) fn times(self, count: usize) -> Self {
        let Self { products, passes, roots, gelus, exponentials, reciprocals } = self;
        Self {
            products: count * products,
            passes: count * passes,
            roots: count * roots,
            gelus: count * gelus,
            exponentials: count * exponentials,
            reciprocals: count * reciprocals,
        }
    }

    /// Products and passes.
    pub(crate) fn operations(self) -> usize {
        self.products + self.passes
    }
}

impl std::ops::Add for KernelWork {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            products: self.products + other.products,
            passes: self.passes + other.passes,
            roots: self.roots + other.roots,
            gelus: self.gelus + other.gelus,
            exponentials: self.exponentials + other.exponentials,
            reciprocals: self.reciprocals + other.reciprocals,
        }
    }
}
