//! What the server counts, as Prometheus reads it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Borders of the histograms of time, in seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Borders of the histogram of windows.
const WINDOWS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// Whose request it was, how it was asked, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    /// Empty where no model is meant.
    pub(crate) model: String,
    /// `v1`, `v2`, `grpc`, `kserve`, `granite` or `other`.
    pub(crate) protocol: String,
    /// Status of HTTP; of `grpc` that of gRPC (0 is OK).
    pub(crate) code: u16,
}

/// Counters of the whole server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) request_time: Histogram,
    pub(crate) queue_time: Histogram,
    pub(crate) compute_time: Histogram,
    pub(crate) batch_windows: Histogram,
    pub(crate) queue_windows: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) models_bytes: Gauge<u64, AtomicU64>,
    pub(crate) worker_panics: Counter,
    pub(crate) model_load_failures: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let seconds = || Histogram::new(SECONDS);
        let mut new = Self {
            registry: Registry::with_prefix("ptsm"),
            requests: Family::default(),
            request_time: seconds(),
            queue_time: seconds(),
            compute_time: seconds(),
            batch_windows: Histogram::new(WINDOWS),
            queue_windows: Gauge::default(),
            sessions: Gauge::default(),
            connections: Gauge::default(),
            models_bytes: Gauge::default(),
            worker_panics: Counter::default(),
            model_load_failures: Counter::default(),
        };
        new.register();
        Arc::new(new)
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests by model, protocol and status", self.requests.clone());
        let times = [
            ("request", "From the head of a request to its answer", &self.request_time),
            ("queue", "From the queue to a worker", &self.queue_time),
            ("compute", "In a worker", &self.compute_time),
        ];
        for (name, help, histogram) in times {
            r.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        let windows = "Windows computed together";
        r.register("batch_windows", windows, self.batch_windows.clone());
        r.register("queue_windows", "Windows that wait", self.queue_windows.clone());
        let sessions = "Sessions of models that workers keep";
        r.register("sessions", sessions, self.sessions.clone());
        r.register("connections", "Open connections", self.connections.clone());
        let bytes = "Memory of the weights of all models";
        r.register_with_unit("models", bytes, Unit::Bytes, self.models_bytes.clone());
        let panics = "Panics of workers, each answered with 500";
        r.register("worker_panics", panics, self.worker_panics.clone());
        let lost = "Lines of the log that were lost because they were not taken in time";
        r.register("log_lines_lost", lost, crate::log::lost_lines());
        let loads = "Models that could not be loaded, or failed their self-test";
        r.register("model_load_failures", loads, self.model_load_failures.clone());
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
