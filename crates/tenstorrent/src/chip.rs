//! The chips that programs are planned for, by their public data sheets.

use ptsm_core::{Error, Result, did_you_mean};
use serde::{Deserialize, Serialize};

/// A chip as it is on a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// One Wormhole chip.
    WormholeN150,
    /// One of the two Wormhole chips of an n300.
    WormholeN300Chip,
    /// One Blackhole chip.
    BlackholeP150,
}

/// What the planner knows of one chip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chip {
    /// Columns and rows of cores that programs may use.
    pub grid: CoreGrid,
    /// Bytes of a core's L1 that tensors and circular buffers may take: the memory less what
    /// firmware, kernels and their arguments keep.
    pub l1_bytes: usize,
    /// Cycles per second.
    pub clock_hz: f64,
    /// Bytes per second between the chip and its DRAM.
    pub dram_bytes_per_s: f64,
    /// Bytes that a core moves over the network in a cycle.
    pub noc_bytes_per_cycle: f64,
    /// Bytes to a multiple of which an address must be aligned that is read from DRAM.
    pub dram_alignment: usize,
    /// Bytes per second from the host, measured over all queues.
    pub host_bytes_per_s: f64,
}

/// A rectangle of cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreGrid {
    /// Columns.
    pub x: usize,
    /// Rows.
    pub y: usize,
}

impl CoreGrid {
    /// Cores in the rectangle.
    pub fn cores(self) -> usize {
        self.x * self.y
    }
}

impl Arch {
    /// Every one, in the order of help texts.
    pub const ALL: [Arch; 3] = [Arch::WormholeN150, Arch::WormholeN300Chip, Arch::BlackholeP150];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Arch::WormholeN150 => "wormhole-n150",
            Arch::WormholeN300Chip => "wormhole-n300-chip",
            Arch::BlackholeP150 => "blackhole-p150",
        }
    }

    /// What the planner knows of it.
    pub fn chip(self) -> Chip {
        let wormhole = Chip {
            grid: CoreGrid { x: 8, y: 8 },
            l1_bytes: 1_499_136 - (104 << 10),
            clock_hz: 1.0e9,
            dram_bytes_per_s: 288e9,
            noc_bytes_per_cycle: 32.0,
            dram_alignment: 32,
            host_bytes_per_s: 8e9,
        };
        match self {
            Arch::WormholeN150 => wormhole,
            Arch::WormholeN300Chip => Chip { grid: CoreGrid { x: 8, y: 7 }, ..wormhole },
            Arch::BlackholeP150 => Chip {
                grid: CoreGrid { x: 13, y: 10 },
                l1_bytes: 1_572_864 - (128 << 10),
                clock_hz: 1.35e9,
                dram_bytes_per_s: 512e9,
                noc_bytes_per_cycle: 64.0,
                dram_alignment: 64,
                host_bytes_per_s: 16e9,
            },
        }
    }
}

/// A product that is refused, with the reason.
const BOTH_CHIPS: &str = "wormhole-n300";

impl std::str::FromStr for Arch {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == BOTH_CHIPS {
            let text = "both chips of an n300 need one process with a mesh of 1 x 2, because two processes that \
                        open one chip each hang (tt-metal issue 30896), and no simulator runs one: \
                        \"wormhole-n300-chip\" uses one of them";
            return Err(Error::config("arch", text));
        }
        Arch::ALL.into_iter().find(|arch| arch.name() == name).ok_or_else(|| {
            let near = did_you_mean(name, Arch::ALL.map(Arch::name));
            let names = Arch::ALL.map(Arch::name).join(", ");
            Error::config("arch", format!("\"{name}\" is none of {names}{near}"))
        })
    }
}
