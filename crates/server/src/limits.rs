//! Every limit of the server, with its default. The command has an option for each that users may want to change.

use std::time::Duration;

/// What a request may take, and how much work may wait.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a body, also of a message of gRPC.
    pub body_bytes: usize,
    /// Pieces in which a body may come.
    pub body_pieces: usize,
    /// Time in which a body must have come.
    pub body_time: Duration,
    /// Bytes a second that a body must come with, after its first five seconds.
    pub body_bytes_per_second: u64,
    /// Time in which the head of a request must have come.
    pub header_time: Duration,
    /// Bytes of the head of a request.
    pub header_bytes: usize,
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Requests at once on one connection of HTTP/2.
    pub http2_streams: u32,
    /// Levels of JSON inside each other, outside of tables.
    pub json_depth: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Cells of a table, and numbers of an answer.
    pub cells: usize,
    /// Series of a request.
    pub series: usize,
    /// Channels of a request.
    pub channels: usize,
    /// Levels or quantiles of a request.
    pub levels: usize,
    /// Steps of a forecast.
    pub steps: usize,
    /// Windows that may wait, of all models together.
    pub queue_windows: usize,
    /// Windows that a worker computes together.
    pub batch_windows: usize,
    /// Time after which a request is late, where it names no other.
    pub default_timeout: Duration,
    /// The longest time that a request may name.
    pub longest_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            body_pieces: 65_536,
            body_time: Duration::from_secs(30),
            body_bytes_per_second: 1024,
            header_time: Duration::from_secs(10),
            header_bytes: 16 << 10,
            connections: 1000,
            http2_streams: 100,
            json_depth: 16,
            rows: 1_000_000,
            cells: 4_000_000,
            series: 10_000,
            channels: 1000,
            levels: 64,
            steps: 10_000,
            queue_windows: 1024,
            batch_windows: 32,
            default_timeout: Duration::from_secs(30),
            longest_timeout: Duration::from_secs(600),
        }
    }
}
