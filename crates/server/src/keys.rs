//! Keys that requests must bring. The file holds their SHA-256 only.

use std::path::Path;

use ptsm::{Error, Result};
use sha2::{Digest, Sha256};

/// Bytes of a key, before they are written as hex digits.
const KEY_BYTES: usize = 32;

/// Names, digests and, where a key is for some models only, their names.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    all: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    name: String,
    digest: [u8; 32],
    models: Option<Vec<String>>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    name: String,
    models: Option<Vec<String>>,
}

impl Caller {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key is for this model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|name| name == model))
    }
}

impl Keys {
    /// Reads a file with a key a line: `NAME:SHA256` or `NAME:SHA256:MODEL,MODEL`; `#` begins a remark.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be read; `InvalidConfig`, with the line, if it is no such file or holds no key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| Error::io(path, "cannot be read", cause))?;
        Self::parse(&text).map_err(|error| error.at(path.display().to_string()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut all = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts = line.splitn(3, ':');
            let (name, digest) = (parts.next().unwrap_or_default(), parts.next());
            let Some(digest) = digest.and_then(digest_of_hex).filter(|_| !name.is_empty()) else {
                let text = "is not NAME:SHA256 or NAME:SHA256:MODEL,MODEL (ptsm serve --new-key makes one)";
                return Err(Error::config(format!("line {number}"), text));
            };
            let models = parts.next().map(|m| m.split(',').map(|m| m.trim().to_owned()).collect());
            all.push(Key { name: name.to_owned(), digest, models });
        }
        if all.is_empty() {
            return Err(Error::config("keys", "there is none (ptsm serve --new-key makes one)"));
        }
        Ok(Self { all })
    }

    /// Whose key this is. Every digest is compared, and each as a whole, so that the time says nothing of them.
    pub(crate) fn caller(&self, key: &[u8]) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut found = None;
        for key in &self.all {
            let differs = key.digest.iter().zip(&digest).fold(0, |all, (a, b)| all | (a ^ b));
            if std::hint::black_box(differs) == 0 {
                found = Some(key);
            }
        }
        found.map(|key| Caller { name: key.name.clone(), models: key.models.clone() })
    }
}

fn digest_of_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new key, and the line of the file for it.
///
/// # Errors
///
/// `Io` if the system gives no random bytes; `InvalidConfig` for a name with a `:` or without a character.
pub fn new_key(name: &str) -> Result<(String, String)> {
    if name.is_empty() || name.contains([':', '\n', '#']) {
        return Err(Error::config("new_key", "wanted a name without ':' and '#'"));
    }
    let mut bytes = [0; KEY_BYTES];
    let source = Path::new("/dev/urandom");
    let failed = |cause| Error::io(source, "cannot be read", cause);
    let mut file = std::fs::File::open(source).map_err(failed)?;
    std::io::Read::read_exact(&mut file, &mut bytes).map_err(failed)?;
    let key = hex(&bytes);
    let line = format!("{name}:{}", hex(&Sha256::digest(key.as_bytes())));
    Ok((key, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_digest_alone() {
        let (key, line) = new_key("ops").unwrap();
        let (other, second) = new_key("lab").unwrap();
        let keys = Keys::parse(&format!("# keys\n{line}\n{second}:load, heat\n")).unwrap();
        assert!(!line.contains(&key));
        let caller = keys.caller(key.as_bytes()).unwrap();
        assert!(caller.name == "ops" && caller.may_use("anything"));
        let caller = keys.caller(other.as_bytes()).unwrap();
        assert!(caller.may_use("heat") && !caller.may_use("wind"));
        assert!(keys.caller(b"").is_none() && keys.caller(line.as_bytes()).is_none());
        for text in ["", "ops", "ops:12", &line.replace("ops", "")] {
            assert!(Keys::parse(text).is_err(), "{text}");
        }
    }
}
