//! The server of PatchTSMixer: forecasts over HTTP and gRPC, on one port.
//!
//! ```no_run
//! use std::sync::Arc;
//! use ptsm_server::{Limits, ModelSource, Options, Registry, serve};
//!
//! # fn main() -> ptsm::Result<()> {
//! let sources = [ModelSource::parse("demo=d/model")?];
//! let registry = Arc::new(Registry::open(&sources, "cpu")?);
//! serve(registry, Options { port: 8080, limits: Limits::default(), ..Options::default() })
//! # }
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`registry`] | models by name: loading, self-test, the swap of one for another |
//! | `engine/` | bounded queues, workers, deadlines |
//! | `forecast/` | what every protocol asks for, and its answer |
//! | `native/` | the native routes |
//! | `http/` | what handlers of every protocol use: bodies, media types, options, answers |
//! | `app/` | all routes as one application, and what is done around every request |
//! | `dialects/` | Open Inference Protocol over REST, KServe's and granite-tsfm's time-series contracts |
//! | `grpc/` | Open Inference Protocol over gRPC |
//! | `page/` | the page for browsers: its files, which lie in `page/` of the crate, and the rows that it draws |
//! | `limits.rs` | every limit, with its default |
//! | `room.rs` | how many bytes the bodies of all requests hold at once |
//! | `log.rs` | lines of JSON, written by a thread of their own |
//! | `accept.rs` | the accept loop, connections of HTTP/1 and HTTP/2 |
//! | `listen.rs` | options of a server, its start and the end of the process |
//!
//! Every protocol parses into one request and writes one answer, so a series has the same forecast, to the bit, over
//! each of them, whatever it is batched with.

mod accept;
mod app;
mod dialects;
mod engine;
mod failure;
mod forecast;
mod grpc;
mod http;
mod keys;
mod limits;
mod listen;
mod log;
mod metrics;
mod native;
mod page;
pub mod registry;
mod room;
mod state;

pub use app::app;
pub use keys::{Keys, new_key};
pub use limits::Limits;
pub use listen::{Options, Server, serve};
pub use registry::{ModelSource, Registry};
pub use state::{Service, ServiceOptions};

/// The examples of the crate's README are compiled by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
