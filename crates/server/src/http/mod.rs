//! What handlers of every protocol use.
//!
//! | file | holds |
//! |---|---|
//! | `asked.rs` | who asks, and until when |
//! | `body.rs` | bodies, read within their limits |
//! | `answer.rs` | answers and failures |
//! | `media.rs` | media types of requests and answers |
//! | `options.rs` | options of requests, in JSON and in queries |

pub(crate) mod answer;
pub(crate) mod asked;
pub(crate) mod body;
pub(crate) mod media;
pub(crate) mod options;
