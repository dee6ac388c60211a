//! [`Asked`]: who asks, and until when; every handler is given it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::answer::Refused;
use crate::failure::{Answered, Code, Failure};
use crate::keys::Caller;
use crate::registry::{Change, Entry, Registry, Served};

/// Who asks, and until when.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) deadline: Instant,
    caller: Option<Caller>,
}

impl Asked {
    pub(crate) fn new(deadline: Instant, caller: Option<Caller>) -> Self {
        Self { deadline, caller }
    }

    /// Name of the key, if one was wanted.
    pub(crate) fn key(&self) -> Option<&str> {
        self.caller.as_ref().map(Caller::name)
    }

    fn sees(&self, model: &str) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.may_use(model))
    }

    /// Refuses a model that the key is not for, by its name alone: whether there is one is not said.
    pub(crate) fn may_use(&self, model: &str) -> Answered<()> {
        match self.sees(model) {
            true => Ok(()),
            false => Err(Failure::new(Code::NotAllowed, "the key is not for this model")),
        }
    }

    /// What serves under a name that the key is for.
    pub(crate) fn model(&self, registry: &Registry, name: &str) -> Answered<Arc<Served>> {
        self.may_use(name)?;
        registry.get(name, &|name| self.sees(name))
    }

    /// The same; where no name is given, the only model beside `builtin` that the key is for.
    pub(crate) fn model_or_only(
        &self,
        registry: &Registry,
        name: Option<&str>,
    ) -> Answered<Arc<Served>> {
        match name {
            Some(name) => self.model(registry, name),
            None => self.model(registry, registry.only(&|name| self.sees(name))?),
        }
    }

    /// Loads a model again that the key is for.
    pub(crate) async fn load(&self, registry: &Arc<Registry>, name: &str) -> Answered<()> {
        self.change(registry, name)?.load().await
    }

    /// Takes a model out of service that the key is for.
    pub(crate) async fn unload(&self, registry: &Arc<Registry>, name: &str) -> Answered<()> {
        self.change(registry, name)?.unload().await
    }

    fn change(&self, registry: &Arc<Registry>, name: &str) -> Answered<Change> {
        self.may_use(name)?;
        registry.change(name, &|name| self.sees(name))
    }

    /// The models that the key is for, in the order of their names.
    pub(crate) fn entries(&self, registry: &Registry) -> Vec<Entry> {
        registry.entries().into_iter().filter(|entry| self.sees(&entry.name)).collect()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Refused(Failure::internal("a request without its caller")))
    }
}
