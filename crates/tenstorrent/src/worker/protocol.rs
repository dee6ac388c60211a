//! Encodes and decodes the frames exchanged with the worker; `worker.py` describes their format.

use std::io::{Read, Write};

use ptsm_core::{Error, ErrorKind, Result};
use serde_json::Value;

const MAGIC: [u8; 4] = *b"PTTW";
/// Version of the format of frames and headers; either side refuses another.
pub(super) const VERSION: u32 = 2;
/// Largest body that is read, in bytes.
const MAX_BYTES: u64 = 1 << 32;
/// Largest JSON header of an answer, in bytes.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hello = 1,
    Load = 2,
    Run = 3,
    Stop = 4,
    Ok = 16,
    Error = 17,
}

/// A header and raw numbers.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u32,
    pub(super) header: Value,
    /// What follows the header; only requests have it.
    #[cfg(test)]
    pub(super) data: Vec<u8>,
}

fn broken(text: String) -> Error {
    Error::new(ErrorKind::BackendUnavailable, format!("the worker's answer {text}"))
}

/// The bytes of a frame.
pub(super) fn encode(kind: Kind, header: &Value, data: &[&[f32]]) -> Vec<u8> {
    let text = header.to_string();
    let numbers: usize = data.iter().map(|values| 4 * values.len()).sum();
    let length = 4 + text.len() + numbers;
    let mut bytes = Vec::with_capacity(20 + length);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((kind as u32).to_le_bytes());
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    for values in data {
        values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    }
    bytes
}

/// Reads one frame; `None` at the end of the stream.
///
/// # Errors
///
/// `BackendUnavailable` if the bytes are no frame of ours, or too many.
pub(super) fn read(stream: &mut dyn Read) -> Result<Option<Frame>> {
    let mut head = [0; 20];
    match stream.read_exact(&mut head) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(broken("cannot be read".into()).because(e)),
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if head[..4] != MAGIC {
        let bytes: String = head[..4].escape_ascii().to_string();
        return Err(broken(format!("begins with \"{bytes}\", wanted \"PTTW\"")));
    }
    if word(4) != VERSION {
        return Err(broken(format!("has version {}, wanted {VERSION}", word(4))));
    }
    let length = u64::from(word(12)) | u64::from(word(16)) << 32;
    if !(4..=MAX_BYTES).contains(&length) {
        return Err(broken(format!("has {length} bytes, wanted 4 to {MAX_BYTES}")));
    }
    // Memory grows with the bytes that arrive, not with the length that is announced.
    let mut body = Vec::new();
    let count = stream.take(length).read_to_end(&mut body);
    match count {
        Ok(count) if count as u64 == length => {}
        _ => return Err(broken(format!("ends before its {length} bytes"))),
    }
    let size = u32::from_le_bytes([body[0], body[1], body[2], body[3]]) as usize;
    if size > MAX_HEADER_BYTES || size > body.len() - 4 {
        return Err(broken(format!("has a header of {size} bytes")));
    }
    #[cfg(test)]
    let data = body.split_off(4 + size);
    let header = serde_json::from_slice(&body[4..4 + size])
        .map_err(|e| broken("has a header that is no JSON".into()).because(e))?;
    Ok(Some(Frame {
        kind: word(8),
        header,
        #[cfg(test)]
        data,
    }))
}

/// Writes bytes and flushes.
pub(super) fn write(stream: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_frame_comes_back_as_it_went() {
        let bytes = encode(Kind::Run, &json!({"key": 7}), &[&[1.0, -2.5], &[3.0]]);
        let frame = read(&mut &bytes[..]).unwrap().unwrap();
        assert_eq!((frame.kind, &frame.header["key"]), (3, &json!(7)));
        assert_eq!(frame.data[4..8], (-2.5_f32).to_le_bytes());
        assert!(read(&mut &bytes[..0]).unwrap().is_none());
    }

    #[test]
    fn hostile_bytes_are_errors() {
        let good = encode(Kind::Ok, &json!({}), &[]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            read(&mut &bytes[..]).unwrap_err().to_string()
        };
        assert!(with(0, b'X').contains("begins with \"XTTW\""));
        assert!(with(4, 9).contains("has version 9, wanted 2"));
        assert!(with(19, 9).contains("wanted 4 to"));
        assert!(with(20, 200).contains("a header of 200 bytes"));
        assert!(with(24, b'?').contains("no JSON"));
        let short = &good[..good.len() - 1];
        assert!(read(&mut &short[..]).unwrap_err().to_string().contains("ends before"));
    }
}
