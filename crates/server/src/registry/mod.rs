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
use std::sync::{Arc, Mutex, PoisonError, RwLock};

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
    /// Held by who loads or unloads, so that a change which was asked for later is also the later one.
    change: Arc<tokio::sync::Mutex<()>>,
}

impl Slot {
    fn new(source: ModelSource) -> Self {
        Self { source, state: RwLock::default(), change: Arc::default() }
    }

    /// What serves from now on. Workers keep no session of what served before.
    fn serve(&self, state: State) {
        let mut own = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *own, state).serving {
            before.retire();
        }
    }
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

/// Who is told that models have changed.
type Watcher = Box<dyn Fn() + Send + Sync>;

/// The models of a server by name.
pub struct Registry {
    slots: BTreeMap<String, Slot>,
    backend: Box<dyn Backend>,
    loads: AtomicU64,
    /// Called after models were loaded or unloaded.
    watchers: Mutex<Vec<Watcher>>,
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
            if slots.insert(source.name().to_owned(), Slot::new(source.clone())).is_some() {
                let text = format!("two models are called {}", source.name());
                return Err(Error::config("model", text));
            }
        }
        let backend = ptsm_backends::open(backend)?;
        let metrics = Metrics::new();
        let (loads, watchers) = (AtomicU64::new(0), Mutex::default());
        let registry = Self { slots, backend, loads, watchers, metrics };
        for slot in registry.slots.values() {
            registry.load_slot(slot)?;
        }
        Ok(registry)
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

    /// A change of a model that is about to be made.
    pub(crate) fn change(self: &Arc<Self>, name: &str, is_seen: Seen<'_>) -> Answered<Change> {
        self.slot(name, is_seen)?;
        Ok(Change { registry: Arc::clone(self), name: name.to_owned() })
    }

    /// Calls `watcher` after each change of the models.
    pub(crate) fn watch(&self, watcher: impl Fn() + Send + Sync + 'static) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push(Box::new(watcher));
    }

    fn load_slot(&self, slot: &Slot) -> Result<()> {
        let number = self.loads.fetch_add(1, Ordering::Relaxed) + 1;
        let loaded = Served::load(&slot.source, number, self.backend.as_ref());
        let result = match loaded {
            Ok(served) => {
                slot.serve(State { serving: Some(Arc::new(served)), failure: None });
                Ok(())
            }
            Err(error) => {
                let mut state = slot.state.write().unwrap_or_else(PoisonError::into_inner);
                state.failure = Some("it could not be loaded; the log says why".into());
                self.metrics.model_load_failures.inc();
                Err(error)
            }
        };
        self.changed();
        result
    }

    /// Whether every model serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.entries().iter().all(|entry| entry.serving.is_some() || entry.failure.is_none())
    }

    fn changed(&self) {
        // Held from here on: of two changes at once, the sum that is set last must be that of both.
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = self.entries().into_iter().filter_map(|entry| entry.serving);
        self.metrics.models_bytes.set(serving.map(|served| served.bytes).sum());
        watchers.iter().for_each(|watcher| watcher());
    }
}

/// A change of a model. Changes of one model are made one after the other, in the order in which they were asked for.
pub(crate) struct Change {
    registry: Arc<Registry>,
    name: String,
}

impl Change {
    /// Loads the model again: it is read, tested and then swapped in; after a failure the old one serves on.
    pub(crate) async fn load(self) -> Answered<()> {
        let turn = self.turn().await?;
        let load = tokio::task::spawn_blocking(move || {
            // It ends with the load, also where who asked has gone.
            let _turn = turn;
            let loaded = self.registry.load_slot(self.slot()?);
            loaded.map_err(|error| {
                crate::log::log_line(&serde_json::json!({
                    "level": "error", "model": self.name, "error": error.to_string(),
                }));
                Failure::new(Code::NotReady, "the model cannot be loaded; the log says why")
            })
        });
        load.await.map_err(Failure::internal)?
    }

    /// Takes the model out of service; requests that wait for it are still answered.
    pub(crate) async fn unload(self) -> Answered<()> {
        let _turn = self.turn().await?;
        self.slot()?.serve(State::default());
        self.registry.changed();
        Ok(())
    }

    async fn turn(&self) -> Answered<tokio::sync::OwnedMutexGuard<()>> {
        let change = Arc::clone(&self.slot()?.change);
        Ok(change.lock_owned().await)
    }

    fn slot(&self) -> Answered<&Slot> {
        self.registry.slot(&self.name, &|_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(registry: &Registry) -> Arc<Served> {
        registry.get(BUILTIN, &|_| true).unwrap()
    }

    #[tokio::test]
    async fn changes_of_one_model_wait_for_each_other() {
        let registry = Arc::new(Registry::open(&[], "cpu").unwrap());
        let before = serving(&registry);
        let change = || registry.change(BUILTIN, &|_| true).unwrap();
        let turn = change().turn().await.unwrap();
        let mut others = tokio::task::JoinSet::new();
        others.spawn(change().load());
        others.spawn(change().unload());
        others.spawn(change().load());
        // None is made while another one is.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(others.try_join_next().is_none());
        assert!(serving(&registry).number == 1 && !before.is_retired());
        drop(turn);
        others.join_all().await.into_iter().collect::<Answered<Vec<()>>>().unwrap();
        // What was asked for last is the last, and what served before is known to be gone.
        assert_eq!(serving(&registry).number, 3);
        assert!(before.is_retired() && !serving(&registry).is_retired());
    }
}
