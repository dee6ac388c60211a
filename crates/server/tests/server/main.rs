//! The server over real sockets, on models that are made here. One binary: linking takes long.

#![allow(clippy::unwrap_used)]

mod common;
mod dialects;
mod hostile;
mod load;
mod native;
mod operation;
mod page;
