//! The task layers on top of the backbone.

pub(crate) mod prediction;
