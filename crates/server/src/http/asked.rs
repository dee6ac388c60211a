//! [`Asked`]: who asks, and until when; every handler is given it.

use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::answer::Refused;
use crate::failure::{Answered, Code, Failure};
use crate::keys::Caller;
use crate::registry::Served;

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

    /// Refuses a model that the key is not for.
    pub(crate) fn may_use(&self, model: &Served) -> Answered<()> {
        match self.caller.as_ref().is_none_or(|caller| caller.may_use(&model.name)) {
            true => Ok(()),
            false => Err(Failure::new(Code::NotAllowed, "the key is not for this model")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Refused(Failure::new(Code::Internal, "the server failed")))
    }
}
