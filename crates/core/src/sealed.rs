//! Private text files with a checksum of their own, such as the state of a stream.
//!
//! The whole text is `{"sha256":"DIGEST","content":CONTENT}` and a line break: JSON that other programs
//! can read, and no byte of it can change unnoticed.

use crate::checksums::sha256;
use crate::{Error, Result};

const START: &str = "{\"sha256\":\"";
const MIDDLE: &str = "\",\"content\":";
const END: &str = "}\n";

/// The text of a file that holds `content`, which is JSON.
pub fn seal(content: &str) -> String {
    format!("{START}{}{MIDDLE}{content}{END}", sha256(content.as_bytes()))
}

/// The content of a text that [`seal`] made.
///
/// # Errors
///
/// `InvalidInput` if it is damaged, was changed, or has no checksum.
pub fn unseal(text: &str) -> Result<&str> {
    let parts = text.strip_prefix(START).and_then(|rest| rest.split_once(MIDDLE));
    let parts = parts.and_then(|(digest, rest)| Some((digest, rest.strip_suffix(END)?)));
    match parts {
        Some((digest, content)) if sha256(content.as_bytes()) == digest => Ok(content),
        Some(_) => Err(Error::input("is damaged: its checksum does not fit its content")),
        None => Err(Error::input("is damaged, or a file without a checksum")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_and_no_cut_is_silent() {
        let text = seal("{\"a\":[1,2.5],\"b\":\"ü\"}");
        assert_eq!(unseal(&text).unwrap(), "{\"a\":[1,2.5],\"b\":\"ü\"}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let sound = text.as_bytes();
        for bit in 0..8 * sound.len() {
            let mut bytes = sound.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = std::str::from_utf8(&bytes).is_ok_and(|text| unseal(text).is_ok());
            assert!(!found, "bit {bit}");
        }
        for length in 0..sound.len() {
            let found =
                std::str::from_utf8(&sound[..length]).is_ok_and(|text| unseal(text).is_ok());
            assert!(!found, "length {length}");
        }
    }
}
