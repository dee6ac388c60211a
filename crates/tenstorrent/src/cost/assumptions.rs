//! What the cost model assumes, since nobody here has a chip.
//!
//! `FITTED` was fitted to the published latencies of Granite TTM-R1 on one chip of an n300 (tt-metal, pull request
//! 40538: one trace, 1.82, 2.43, 3.65 and 6.10 ms at batch 1, 8, 32 and 64), with its list of about 236 device
//! programs. `FAST` and `SLOW` take what is best and worst of what was published for a part of the work:
//!
//! | what | fast | fitted | slow | from |
//! |---|---|---|---|---|
//! | start of a program in a trace, us | 2.05 | 5.25 | 7.2 | tt-metal's golden op-to-op latency; fit; 1.71 ms of a trace over 236 programs |
//! | start of a program from Python, us | 20 | 53 | 60 | older models; TTM-R1 without a trace |
//! | reading a tile, operations of `ttnn`, cycles | 300 | 800 | 1000 | fit, and a guess around it |
//! | writing a tile, cycles | 100 | 300 | 400 | likewise |
//! | reading a tile of many at once, as our kernels do | 64 | 200 | 800 | the network's rate; a guess; as `ttnn` |
//! | the first of them | 500 | 1000 | 1000 | a guess |
//! | reading beside maths | yes | no | no | fit: the sum of both explains the slope with the batch |
//! | a transfer to or from the host, us | 15 | 120 | 160 | a round trip over PCI Express; TTM-R1's upload |
//! | bytes over PCI Express, GB/s | 8 | 4 | 2 | the link; guesses |
//! | the host's own work, of what was measured beside the simulator | 1/4 | 1/2 | all | the simulator empties the caches; guesses |
//! | waiting for the device, us | 20 | 100 | 155 | fit; `synchronize_device` of an idle queue in TTM-R1's report |

/// One set of them; seconds, cycles, bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Assumptions {
    /// Seconds to start a device program that is part of a trace.
    pub(crate) traced: f64,
    /// Seconds to start one from Python.
    pub(crate) untraced: f64,
    /// Cycles to read a tile in an operation of `ttnn`.
    pub(crate) read: f64,
    /// Cycles to write one.
    pub(crate) write: f64,
    /// Cycles for a tile of a group that a kernel of ours asks for at once.
    pub(crate) own_read: f64,
    /// Cycles until the first of a group is there.
    pub(crate) latency: f64,
    /// Whether tiles are read and written beside maths.
    pub(crate) overlapped: bool,
    /// Seconds of a transfer beyond its bytes.
    pub(crate) transfer: f64,
    /// Bytes per second to and from the host.
    pub(crate) host_rate: f64,
    /// Seconds to notice that the device is ready.
    pub(crate) synchronise: f64,
    /// Host time, relative to what was measured beside the simulator.
    pub(crate) host: f64,
}

impl Assumptions {
    /// What published latencies are explained by best.
    pub(crate) const FITTED: Self = Self {
        traced: 5.25e-6,
        untraced: 53e-6,
        read: 800.0,
        write: 300.0,
        own_read: 200.0,
        latency: 1000.0,
        overlapped: false,
        transfer: 120e-6,
        host_rate: 4e9,
        synchronise: 100e-6,
        host: 0.5,
    };

    /// As fast as any published part.
    pub(crate) const FAST: Self = Self {
        traced: 2.05e-6,
        untraced: 20e-6,
        read: 300.0,
        write: 100.0,
        own_read: 64.0,
        latency: 500.0,
        overlapped: true,
        transfer: 15e-6,
        host_rate: 8e9,
        synchronise: 20e-6,
        host: 0.25,
    };

    /// As slow as any published part.
    pub(crate) const SLOW: Self = Self {
        traced: 7.2e-6,
        untraced: 60e-6,
        read: 1000.0,
        write: 400.0,
        own_read: 800.0,
        latency: 1000.0,
        overlapped: false,
        transfer: 160e-6,
        host_rate: 2e9,
        synchronise: 155e-6,
        host: 1.0,
    };
}
