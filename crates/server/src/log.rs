//! One line of JSON for each request and each failure, on the standard error.

use std::io::Write;

use serde_json::{Value, json};

/// Writes a line with the time in front.
pub(crate) fn log_line(fields: &Value) {
    let mut line = json!({"time": jiff::Timestamp::now().to_string()});
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    let line = format!("{line}\n");
    // A log that cannot be written must not end the server.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
