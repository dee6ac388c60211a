//! [`Served`]: a model that is ready to serve, shared by all workers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ptsm::core::Backend;
use ptsm::forecast::{ForecastModel, LoadedNetwork};
use ptsm::labeller::Labeller;
use ptsm::zero_shot::{MOST_ZERO_SHOT_STEPS, zero_shot_network};
use ptsm::{Config, Error, ErrorKind, Result, Task};
use serde_json::{Value, json};

use super::kind::Kind;
use super::self_test;
use super::source::ModelSource;

/// Windows and time that a model has served, for Triton's statistics.
#[derive(Default)]
pub(crate) struct Statistics {
    pub(crate) requests: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) windows: AtomicU64,
    pub(crate) runs: AtomicU64,
    pub(crate) queue_nanos: AtomicU64,
    pub(crate) compute_nanos: AtomicU64,
    /// Milliseconds since 1970.
    pub(crate) last: AtomicU64,
}

/// A model that is ready to serve.
pub(crate) struct Served {
    pub(crate) name: String,
    /// Differs for every load, also of the same files.
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    pub(crate) statistics: Statistics,
    config: Config,
    ready_in: Duration,
    /// Digest of its files, see [`ModelSource::sha256`].
    sha256: Option<String>,
    retired: AtomicBool,
}

impl Served {
    /// Reads the model and computes its self-test.
    pub(super) fn load(source: &ModelSource, number: u64, backend: &dyn Backend) -> Result<Self> {
        let began = Instant::now();
        let named = |error: Error| error.at(format!("model {}", source.name()));
        let sha256 = source.sha256().map_err(named)?;
        let (kind, config, bytes) = read(source, backend).map_err(named)?;
        if source.sha256().map_err(named)? != sha256 {
            let text = "its files were changed while they were read (load it again)";
            return Err(named(Error::new(ErrorKind::InvalidWeights, text)));
        }
        self_test::run(&kind).map_err(named)?;
        Ok(Self {
            name: source.name().to_owned(),
            number,
            kind,
            bytes,
            statistics: Statistics::default(),
            config,
            ready_in: began.elapsed(),
            sha256,
            retired: AtomicBool::new(false),
        })
    }

    /// From now on it serves no longer: what waits is still computed, and then no worker keeps anything of it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Whether another load of the model serves in its place, or none.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// SHA-256 of its files, if the directory has `SHA256SUMS`.
    pub(crate) fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// The model that forecasts like its training table, or a refusal.
    pub(crate) fn forecast_model(&self) -> Option<&Arc<ForecastModel>> {
        match &self.kind {
            Kind::Forecasts(model) => Some(model),
            _ => None,
        }
    }

    /// The configuration; of a model for any series that of its network.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Names of the channels that are taken; empty where any are.
    pub(crate) fn channels(&self) -> Vec<String> {
        match &self.kind {
            Kind::Forecasts(model) => model.preprocessor().channels.clone(),
            Kind::AnySeries(_) => Vec::new(),
            Kind::Labels(labeller) => {
                let labeller = labeller.lock().unwrap_or_else(|e| e.into_inner());
                labeller.preprocessor().channels.clone()
            }
        }
    }

    /// Levels of the intervals that its forecasts come with.
    pub(crate) fn interval_levels(&self) -> Vec<f64> {
        match &self.kind {
            Kind::Forecasts(model) => model.interval_levels().to_vec(),
            Kind::AnySeries(loaded) => loaded.network().output().kind().interval_levels(),
            Kind::Labels(_) => Vec::new(),
        }
    }

    /// One line for the start of a server.
    pub(super) fn line(&self) -> String {
        let Config { context_length, prediction_length, num_input_channels, .. } = &self.config;
        let does = match &self.kind {
            Kind::Forecasts(_) => {
                let s = if *num_input_channels == 1 { "" } else { "s" };
                format!("{context_length} -> {prediction_length}, {num_input_channels} channel{s}")
            }
            Kind::AnySeries(_) => format!("any series, up to {MOST_ZERO_SHOT_STEPS} steps"),
            Kind::Labels(_) => format!("labels cases of {context_length} steps"),
        };
        let size = self.bytes as f64 / f64::from(1 << 20);
        let millis = self.ready_in.as_secs_f64() * 1e3;
        format!("model {}: {does}, {size:.1} MiB, ready in {millis:.0} ms", self.name)
    }

    /// What `GET /v1/models/NAME` says.
    pub(crate) fn to_json(&self) -> Value {
        let task = match &self.kind {
            Kind::Forecasts(_) => "forecasting",
            Kind::AnySeries(_) => "forecasting any series",
            Kind::Labels(_) if matches!(self.config.task(), Ok(Task::Classification)) => {
                "classification"
            }
            Kind::Labels(_) => "regression",
        };
        let mut value = json!({
            "name": self.name, "state": "ready", "task": task, "channels": self.channels(),
            "context_length": self.config.context_length,
            "prediction_length": self.config.prediction_length,
            "interval_levels": self.interval_levels(), "bytes": self.bytes, "load": self.number,
            "sha256": self.sha256,
        });
        if let Kind::Forecasts(model) = &self.kind {
            let preprocessor = model.preprocessor();
            value["frequency"] = json!(preprocessor.frequency.map(|step| step.to_string()));
            value["schema"] = json!({
                "timestamp": preprocessor.roles.timestamp, "id": preprocessor.roles.id,
                "targets": preprocessor.channels,
                "future_covariates": preprocessor.roles.future_covariates,
            });
            let forecast = self.config.prediction_channels();
            value["prediction_channels"] =
                forecast.iter().map(|&c| preprocessor.channels[c].clone()).collect();
        }
        value
    }
}

fn read(source: &ModelSource, backend: &dyn Backend) -> Result<(Kind, Config, u64)> {
    if let Some(network) = zero_shot_network(source.dir())? {
        let config = network.config().clone();
        let loaded = LoadedNetwork::new(network, backend)?;
        let bytes = loaded.bytes();
        return Ok((Kind::AnySeries(Box::new(loaded)), config, bytes));
    }
    match ptsm::ensemble::task_of(source.dir())? {
        Task::Classification | Task::Regression => {
            let labeller = Labeller::from_dir(source.dir(), backend)?;
            let (config, bytes) = (labeller.config().clone(), labeller.bytes());
            Ok((Kind::Labels(Box::new(Mutex::new(labeller))), config, bytes))
        }
        _ => {
            let model = ForecastModel::from_dir(source.dir(), backend)?;
            let (config, bytes) = (model.config().clone(), model.loaded().bytes());
            Ok((Kind::Forecasts(Arc::new(model)), config, bytes))
        }
    }
}
