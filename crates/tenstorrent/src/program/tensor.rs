//! Tensors of a program: shape, data type, tiles, memory, and role.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chip::{Chip, CoreGrid};

/// Side of a tile.
pub const TILE: usize = 32;

/// Bytes that a row which is not in tiles is padded to.
const ROW_ALIGNMENT: usize = 32;

/// A tensor of a program, by its place in [`Program::tensors`](super::Program).
pub type TensorId = usize;

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataType {
    /// The upper half of an f32.
    Bfloat16,
    /// Sign and seven bits a number; sixteen numbers share an exponent.
    #[serde(rename = "bfloat8_b")]
    Bfloat8B,
    /// IEEE single precision.
    Float32,
}

impl DataType {
    /// Bytes of one tile, shared exponents included.
    pub fn tile_bytes(self) -> usize {
        match self {
            DataType::Bfloat16 => TILE * TILE * 2,
            DataType::Bfloat8B => TILE * TILE + TILE * TILE / 16,
            DataType::Float32 => TILE * TILE * 4,
        }
    }

    /// The name in `ttnn`.
    pub fn name(self) -> &'static str {
        match self {
            DataType::Bfloat16 => "bfloat16",
            DataType::Bfloat8B => "bfloat8_b",
            DataType::Float32 => "float32",
        }
    }
}

/// Order of the numbers in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// 32 x 32 tiles; the last two axes are padded to whole tiles.
    Tile,
    /// Row after row, without padding.
    RowMajor,
}

/// Which memory a tensor is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Buffer {
    /// Off the chip.
    Dram,
    /// The cores' own memory.
    L1,
}

/// How a tensor is spread over the banks of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Tiles are distributed over all banks in turn.
    Interleaved,
    /// Rows are divided among cores.
    HeightSharded,
    /// Columns are divided among cores.
    WidthSharded,
    /// Rows and columns are divided among a rectangle of cores.
    BlockSharded,
}

/// Which cores hold the shards, and how large one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardSpec {
    /// Cores from the upper left.
    pub grid: CoreGrid,
    /// Rows and columns of one shard, padding included.
    pub shape: [usize; 2],
}

/// Where a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryConfig {
    /// Which memory.
    pub buffer: Buffer,
    /// How it is spread.
    pub spread: Spread,
    /// For a sharded tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardSpec>,
}

impl MemoryConfig {
    /// Interleaved over the banks of the DRAM.
    pub const DRAM: Self = Self { buffer: Buffer::Dram, spread: Spread::Interleaved, shard: None };
    /// Interleaved over the cores.
    pub const L1: Self = Self { buffer: Buffer::L1, spread: Spread::Interleaved, shard: None };

    /// Sharded in L1.
    pub fn sharded(spread: Spread, grid: CoreGrid, shape: [usize; 2]) -> Self {
        Self { buffer: Buffer::L1, spread, shard: Some(ShardSpec { grid, shape }) }
    }
}

/// The role of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Uploaded once.
    Constant,
    /// Uploaded for every batch into a fixed buffer.
    Input,
    /// Exists from the step that makes it to the step that frees it.
    Temporary,
    /// Read back after every batch.
    Output,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Name, for display and error messages.
    pub name: String,
    /// Logical shape, always four axes.
    pub shape: [usize; 4],
    /// How numbers are stored.
    pub dtype: DataType,
    /// Order of the numbers.
    pub layout: Layout,
    /// Where it is.
    pub memory: MemoryConfig,
    /// Its role.
    pub role: Role,
}

impl TensorSpec {
    /// The shape with the tiles' padding.
    pub fn padded(&self) -> [usize; 4] {
        match self.layout {
            Layout::RowMajor => self.shape,
            Layout::Tile => padded(self.shape),
        }
    }

    /// Tiles of the padded shape; for a row-major tensor the tiles that its numbers would fill.
    pub fn tiles(&self) -> usize {
        self.padded().iter().product::<usize>().div_ceil(TILE * TILE)
    }

    /// Bytes in memory, padding included.
    pub fn bytes(&self) -> usize {
        if self.layout == Layout::Tile {
            return self.tiles() * self.dtype.tile_bytes();
        }
        let [a, b, c, columns] = self.shape;
        let row = columns * self.dtype.tile_bytes() / (TILE * TILE);
        a * b * c * row.next_multiple_of(ROW_ALIGNMENT)
    }

    /// Numbers without padding.
    pub fn volume(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes that a core of `chip` holds of it; 0 for a tensor in DRAM.
    pub fn l1_bytes_per_core(&self, chip: &Chip) -> usize {
        match (self.memory.buffer, self.memory.shard) {
            (Buffer::Dram, _) => 0,
            (Buffer::L1, None) => {
                let pages = match self.layout {
                    Layout::Tile => self.tiles(),
                    Layout::RowMajor => self.shape[..3].iter().product(),
                };
                pages.div_ceil(chip.grid.cores()) * (self.bytes() / pages)
            }
            (Buffer::L1, Some(shard)) => {
                let tiles = shard.shape[0].div_ceil(TILE) * shard.shape[1].div_ceil(TILE);
                tiles * self.dtype.tile_bytes()
            }
        }
    }
}

/// `shape` with its last two axes in whole tiles.
pub fn padded(shape: [usize; 4]) -> [usize; 4] {
    let [a, b, rows, columns] = shape;
    [a, b, rows.next_multiple_of(TILE), columns.next_multiple_of(TILE)]
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.shape;
        let padded = self.padded();
        write!(f, "[{a}, {b}, {c}, {d}]")?;
        if padded != self.shape {
            write!(f, " in {} x {}", padded[2], padded[3])?;
        }
        let buffer = if self.memory.buffer == Buffer::L1 { "L1" } else { "DRAM" };
        write!(f, " {} {buffer}", self.dtype.name())?;
        if let Some(shard) = self.memory.shard {
            let [rows, columns] = shard.shape;
            let spread = match self.memory.spread {
                Spread::HeightSharded => "height",
                Spread::WidthSharded => "width",
                _ => "block",
            };
            write!(
                f,
                " {spread}-sharded {rows} x {columns} on {} x {}",
                shard.grid.x, shard.grid.y
            )?;
        }
        Ok(())
    }
}
