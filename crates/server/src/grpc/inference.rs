//! The messages and the service of `proto/ptsm_inference.proto`, as tools/proto writes them.

include!("../../proto/messages.rs");
include!("../../proto/service.rs");
