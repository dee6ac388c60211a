//! Every limit of the server, with its default. The command has an option for each that users may want to change.

use std::time::Duration;

use ptsm::{Error, Result};

/// What a request may take, and how much work may wait.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a body, also of a message of gRPC.
    pub body_bytes: usize,
    /// Bytes of the bodies of all requests at once, from their first byte until they are read (of gRPC to their answer).
    pub bodies_bytes: usize,
    /// Pieces in which a body may come.
    pub body_pieces: usize,
    /// Time in which a body must have come.
    pub body_time: Duration,
    /// Bytes a second that a body must come with, after its first five seconds.
    pub body_bytes_per_second: u64,
    /// Time in which the head of a request must have come, the first one from the start of its connection.
    pub header_time: Duration,
    /// Bytes of the head of a request.
    pub header_bytes: usize,
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Requests at once on one connection of HTTP/2.
    pub http2_streams: u32,
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
            bodies_bytes: 256 << 20,
            body_pieces: 65_536,
            body_time: Duration::from_secs(30),
            body_bytes_per_second: 1024,
            header_time: Duration::from_secs(10),
            header_bytes: 16 << 10,
            connections: 1000,
            http2_streams: 100,
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

/// The longest time of any kind.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Refuses times that are longer than a day.
pub(crate) fn check_time(name: &str, time: Duration) -> Result<()> {
    match time <= LONGEST {
        true => Ok(()),
        false => Err(Error::config(name, format!("{time:?} is longer than a day"))),
    }
}

impl Limits {
    /// Checks that something is left by every limit, and that they fit each other.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field.
    pub fn check(&self) -> Result<()> {
        for (name, number) in [
            ("body_bytes", self.body_bytes),
            ("body_pieces", self.body_pieces),
            ("header_bytes", self.header_bytes),
            ("connections", self.connections),
            ("http2_streams", self.http2_streams as usize),
            ("rows", self.rows),
            ("cells", self.cells),
            ("series", self.series),
            ("channels", self.channels),
            ("steps", self.steps),
            ("queue_windows", self.queue_windows),
            ("batch_windows", self.batch_windows),
        ] {
            if number == 0 {
                return Err(Error::config(name, "0 must be at least 1"));
            }
        }
        // HTTP/2 counts in so many bits.
        if u32::try_from(self.header_bytes).is_err() {
            let text = format!("{} is more than {}", self.header_bytes, u32::MAX);
            return Err(Error::config("header_bytes", text));
        }
        let times = [
            ("body_time", self.body_time),
            ("header_time", self.header_time),
            ("longest_timeout", self.longest_timeout),
        ];
        for (name, time) in times {
            check_time(name, time)?;
        }
        let default = ("default_timeout", self.default_timeout);
        for (name, time) in times.into_iter().chain([default]) {
            if time.is_zero() {
                return Err(Error::config(name, "0 must be longer: nothing would be in time"));
            }
        }
        if self.default_timeout > self.longest_timeout {
            let (own, longest) = (self.default_timeout, self.longest_timeout);
            let text = format!("{own:?} is longer than longest_timeout, {longest:?}");
            return Err(Error::config("default_timeout", text));
        }
        if self.bodies_bytes < self.body_bytes {
            let (all, one) = (self.bodies_bytes, self.body_bytes);
            let text =
                format!("{all} is less than body_bytes, {one}: the largest body would never fit");
            return Err(Error::config("bodies_bytes", text));
        }
        // A semaphore has no more permits.
        let (connections, most) = (self.connections, tokio::sync::Semaphore::MAX_PERMITS);
        match connections <= most {
            true => Ok(()),
            false => {
                Err(Error::config("connections", format!("{connections} is more than {most}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_leave_nothing_or_do_not_fit_are_refused() {
        Limits::default().check().unwrap();
        let refused = |change: &dyn Fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.check().unwrap_err().to_string()
        };
        let seconds = Duration::from_secs;
        for (name, text) in [
            ("queue_windows", refused(&|limits| limits.queue_windows = 0)),
            ("default_timeout", refused(&|limits| limits.default_timeout = seconds(601))),
            ("longest_timeout", refused(&|limits| limits.longest_timeout = Duration::MAX)),
            ("bodies_bytes", refused(&|limits| limits.bodies_bytes = limits.body_bytes - 1)),
            ("connections", refused(&|limits| limits.connections = usize::MAX)),
            ("header_bytes", refused(&|limits| limits.header_bytes = 1 << 32)),
            ("body_time", refused(&|limits| limits.body_time = Duration::ZERO)),
            ("header_time", refused(&|limits| limits.header_time = Duration::ZERO)),
            ("longest_timeout", refused(&|limits| limits.longest_timeout = Duration::ZERO)),
            ("default_timeout", refused(&|limits| limits.default_timeout = Duration::ZERO)),
        ] {
            assert!(text.starts_with(name), "{name}: {text}");
        }
    }
}
