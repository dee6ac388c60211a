//! Models by name. A name is the key of a map; no request's text ever becomes a path.
//!
//! | file | holds |
//! |---|---|
//! | `source.rs` | where models come from: `NAME=DIR`, a folder of models, the one inside the library |
//! | `kind.rs` | what a model does |
//! | `served.rs` | a model that is ready to serve |
//! | `self_test.rs` | a window that is computed twice before a model serves |

mod kind;
mod self_test;
mod served;
mod source;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ptsm::core::Backend;
use ptsm::zero_shot::BUILTIN;
use ptsm::{Error, Result};

use crate::failure::{Answered, Code, Failure};
use crate::metrics::Metrics;

pub(crate) use kind::Kind;
pub(crate) use served::Served;
pub use source::ModelSource;

/// Whether who asks may know of the model of a name.
pub(crate) type Seen<'a> = &'a dyn Fn(&str) -> bool;

/// A name, and what serves under it now.
struct Slot {
    source: ModelSource,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    serving: Option<Arc<Served>>,
    /// Why the last attempt to load failed.
    failure: Option<String>,
}

/// What an index of models says of one.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) serving: Option<Arc<Served>>,
    pub(crate) failure: Option<String>,
}

/// The models of a server by name.
pub struct Registry {
    slots: BTreeMap<String, Slot>,
    backend: Box<dyn Backend>,
    loads: AtomicU64,
    pub(crate) metrics: Arc<Metrics>,
}

impl Registry {
    /// Loads every model, and the one inside the library as `builtin`; each is tested before it serves.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a name that is no name or is given twice; `BackendUnavailable`; of a model that cannot be
    /// loaded, or whose self-test fails, its error.
    pub fn open(sources: &[ModelSource], backend: &str) -> Result<Self> {
        let mut slots = BTreeMap::new();
        let builtin = ModelSource::builtin();
        let own = sources.iter().all(|source| source.name() != builtin.name());
        for source in sources.iter().chain(own.then_some(&builtin)) {
            let slot = Slot { source: source.clone(), state: RwLock::default() };
            if slots.insert(source.name().to_owned(), slot).is_some() {
                let text = format!("two models are called {}", source.name());
                return Err(Error::config("model", text));
            }
        }
        let backend = ptsm_backends::open(backend)?;
        let metrics = Metrics::new();
        let registry = Self { slots, backend, loads: AtomicU64::new(0), metrics };
        for slot in registry.slots.values() {
            registry.load_slot(slot)?;
        }
        Ok(registry)
    }

    /// The backend that models are loaded onto.
    pub(crate) fn backend(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    /// One line on every model, for the start of a server.
    pub fn lines(&self) -> Vec<String> {
        let entries = self.entries().into_iter();
        entries.filter_map(|entry| entry.serving.map(|served| served.line())).collect()
    }

    /// Every name in order.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |(name, slot): (&String, &Slot)| {
            let state = slot.state.read().unwrap_or_else(PoisonError::into_inner);
            let (serving, failure) = (state.serving.clone(), state.failure.clone());
            Entry { name: name.clone(), serving, failure }
        };
        self.slots.iter().map(entry).collect()
    }

    fn slot(&self, name: &str, is_seen: Seen<'_>) -> Answered<&Slot> {
        self.slots.get(name).ok_or_else(|| {
            let names = self.slots.keys().map(String::as_str).filter(|name| is_seen(name));
            let names: Vec<&str> = names.collect();
            let text = format!("there is no model of this name (there are {})", names.join(", "));
            Failure::new(Code::NoModel, text)
        })
    }

    /// What serves under a name; where there is none, the failure names those that are seen.
    pub(crate) fn get(&self, name: &str, is_seen: Seen<'_>) -> Answered<Arc<Served>> {
        let slot = self.slot(name, is_seen)?;
        let state = slot.state.read().unwrap_or_else(PoisonError::into_inner);
        state.serving.clone().ok_or_else(|| {
            let why = state.failure.as_deref().unwrap_or("it was unloaded");
            Failure::new(Code::NotReady, format!("the model is not loaded: {why}"))
        })
    }

    /// The name of the only model beside `builtin` that is seen, or else `builtin`.
    pub(crate) fn only(&self, is_seen: Seen<'_>) -> Answered<&str> {
        let mut own: Vec<&str> = self.slots.keys().map(String::as_str).collect();
        own.retain(|name| *name != BUILTIN && is_seen(name));
        match own.as_slice() {
            [] => Ok(BUILTIN),
            [only] => Ok(only),
            _ => Err(Failure::new(Code::NoModel, "name a model: several are served")),
        }
    }

    /// Loads a model again: it is read, tested and then swapped in; after a failure the old one serves on.
    pub(crate) fn load(&self, name: &str, is_seen: Seen<'_>) -> Answered<()> {
        let slot = self.slot(name, is_seen)?;
        self.load_slot(slot).map_err(|error| {
            crate::log::log_line(&serde_json::json!({
                "level": "error", "model": name, "error": error.to_string(),
            }));
            Failure::new(Code::NotReady, "the model cannot be loaded; the log says why")
        })
    }

    fn load_slot(&self, slot: &Slot) -> Result<()> {
        let number = self.loads.fetch_add(1, Ordering::Relaxed) + 1;
        let loaded = Served::load(&slot.source, number, self.backend.as_ref());
        let mut state = slot.state.write().unwrap_or_else(PoisonError::into_inner);
        let result = match loaded {
            Ok(served) => {
                *state = State { serving: Some(Arc::new(served)), failure: None };
                Ok(())
            }
            Err(error) => {
                state.failure = Some("it could not be loaded; the log says why".into());
                self.metrics.model_load_failures.inc();
                Err(error)
            }
        };
        drop(state);
        self.count_bytes();
        result
    }

    /// Takes a model out of service; requests that wait for it are still answered.
    pub(crate) fn unload(&self, name: &str, is_seen: Seen<'_>) -> Answered<()> {
        let slot = self.slot(name, is_seen)?;
        *slot.state.write().unwrap_or_else(PoisonError::into_inner) = State::default();
        self.count_bytes();
        Ok(())
    }

    /// Whether every model serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.entries().iter().all(|entry| entry.serving.is_some() || entry.failure.is_none())
    }

    fn count_bytes(&self) {
        let serving = self.entries().into_iter().filter_map(|entry| entry.serving);
        self.metrics.models_bytes.set(serving.map(|served| served.bytes).sum());
    }
}
