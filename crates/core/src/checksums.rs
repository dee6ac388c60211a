//! `SHA256SUMS`: the checksums of the files of a model directory, by which damage is noticed.
//!
//! The file has the form that `sha256sum` writes, one `DIGEST  NAME` a line, so
//! `sha256sum -c SHA256SUMS` checks a directory without this program. A directory with such a file is
//! read by it: a file that has other contents, is missing or is not listed is refused. A directory
//! without one, as Hugging Face writes it, is read as it is. Folders of members have a file of their
//! own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::atomic_file::write_atomically;
use crate::option::option;
use crate::regular_file::read_regular;
use crate::{Error, Result};

/// Name of the checksums in a model directory.
pub const CHECKSUM_FILE: &str = "SHA256SUMS";

/// The one folder whose files are listed with those of the directory that it is in.
const LISTED_FOLDER: &str = "heads";

/// Digits of a SHA-256.
const DIGITS: usize = 64;

/// SHA-256 as 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checksums of the files of a directory, by their names below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums {
    digests: BTreeMap<String, String>,
}

impl Checksums {
    /// Reads the file of a directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be read; `InvalidWeights` if it is damaged.
    pub fn of_dir(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(CHECKSUM_FILE);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let bytes = read_regular(&path)?;
        let found = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
        found.map(Some).ok_or_else(|| {
            let text = format!("is damaged, or no list of checksums ({})", accept(dir));
            Error::weights(text).at(path.display().to_string())
        })
    }

    /// The list, in any order; `None` for any other text.
    fn parse(text: &str) -> Option<Self> {
        let line = |line: &str| {
            // A star says that the file was read as bytes, which they always are.
            let (digest, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
            let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            let sound = digest.len() == DIGITS && digest.chars().all(hexadecimal);
            (sound && is_inside(name)).then(|| (name.to_owned(), digest.to_owned()))
        };
        let digests = text.lines().map(line).collect::<Option<BTreeMap<_, _>>>()?;
        (digests.len() == text.lines().count()).then_some(Self { digests })
    }

    fn to_text(&self) -> String {
        self.digests.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect()
    }

    /// Whether the file `name` is listed.
    pub fn lists(&self, name: &str) -> bool {
        self.digests.contains_key(name)
    }

    /// The names that are listed, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.digests.keys().map(String::as_str)
    }

    /// Lists `name` with the checksum of `bytes`.
    pub fn insert(&mut self, name: impl Into<String>, bytes: &[u8]) {
        self.digests.insert(name.into(), sha256(bytes));
    }

    /// Lists `name` no longer.
    pub fn remove(&mut self, name: &str) {
        self.digests.remove(name);
    }

    /// Whether `bytes` are what is listed for `name`.
    pub fn fits(&self, name: &str, bytes: &[u8]) -> bool {
        self.digests.get(name).is_some_and(|digest| *digest == sha256(bytes))
    }

    /// Writes the file of a directory, whole or not at all.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let text = self.to_text();
        write_atomically(&dir.join(CHECKSUM_FILE), |out| out.write_all(text.as_bytes()))
    }
}

/// Whether a name with `/` stays below the directory that it is relative to.
pub(crate) fn is_inside(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
    !name.chars().any(char::is_control) && name.split('/').all(part)
}

/// What to do with files that were changed on purpose.
fn accept(dir: &Path) -> String {
    let (dir, accept) = (dir.display(), option("accept", None));
    format!(
        "ptsm verify {dir} lists all such files; ptsm verify {dir} {accept} takes them as they are, if they \
         were changed on purpose"
    )
}

/// The directory whose checksums hold for a file, and its name there; `None` if there are none.
fn listing(path: &Path) -> Result<Option<(PathBuf, String, Checksums)>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let name = name.to_string_lossy().into_owned();
    if let Some(sums) = Checksums::of_dir(parent)? {
        return Ok(Some((parent.to_path_buf(), name, sums)));
    }
    if parent.file_name().is_none_or(|folder| folder != LISTED_FOLDER) {
        return Ok(None);
    }
    let root = parent.parent().unwrap_or(Path::new(""));
    let sums = Checksums::of_dir(root)?;
    Ok(sums.map(|sums| (root.to_path_buf(), format!("{LISTED_FOLDER}/{name}"), sums)))
}

/// The bytes of a file of a model directory, checked by the directory's [`CHECKSUM_FILE`] if it has
/// one; `None` if the file is not there, and should not be.
///
/// # Errors
///
/// `Io` if the file cannot be read or is a pipe or a device; `InvalidWeights` if it is not what the
/// checksums say, which is damage or a change by hand; `OutOfMemory` if it is larger than the memory.
pub fn read_listed(path: &Path) -> Result<Option<Vec<u8>>> {
    let listing = listing(path)?;
    let is_there = path.symlink_metadata().is_ok();
    let refused = |root: &Path, what: &str| {
        let text = format!("{what} {CHECKSUM_FILE} ({})", accept(root));
        Err(Error::weights(text).at(path.display().to_string()))
    };
    match listing {
        None if !is_there => Ok(None),
        None => read_regular(path).map(Some),
        Some((root, name, sums)) => match (is_there, sums.lists(&name)) {
            (false, false) => Ok(None),
            (false, true) => refused(&root, "is not there, but is listed in"),
            (true, false) => refused(&root, "is there, but is not listed in"),
            (true, true) => {
                let bytes = read_regular(path)?;
                match sums.fits(&name, &bytes) {
                    true => Ok(Some(bytes)),
                    false => {
                        refused(&root, "is damaged, or was changed: its checksum is not that in")
                    }
                }
            }
        },
    }
}

/// As [`read_listed`], as text without a byte-order mark.
///
/// # Errors
///
/// As [`read_listed`]; `InvalidConfig` if it is not text.
pub fn read_listed_text(path: &Path) -> Result<Option<String>> {
    let Some(bytes) = read_listed(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|e| {
        Error::config(path.display().to_string(), "is not text in UTF-8").because(e.utf8_error())
    })?;
    Ok(Some(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }))
}

/// As [`read_listed_text`], of a file that has to be there.
///
/// # Errors
///
/// As [`read_listed_text`]; `Io` if there is no such file.
pub fn require_listed_text(path: &Path) -> Result<String> {
    read_listed_text(path)?.ok_or_else(|| missing(path))
}

/// Writes a file whole or not at all, and renews its line where the directory has checksums.
///
/// # Errors
///
/// `Io` if something cannot be written; `InvalidWeights` if the checksums are damaged.
pub fn write_listed(path: &Path, bytes: &[u8]) -> Result<()> {
    let listing = listing(path)?;
    write_atomically(path, |out| out.write_all(bytes))?;
    match listing {
        None => Ok(()),
        Some((root, name, mut sums)) => {
            sums.insert(name, bytes);
            sums.write(&root)
        }
    }
}

/// The error of a file that has to be there.
pub(crate) fn missing(path: &Path) -> Error {
    let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
    Error::io(path, "cannot be read", cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("heads")).unwrap();
        let mut sums = Checksums::default();
        for (name, text) in [("a.json", "[1]"), ("heads/b.json", "[2]")] {
            std::fs::write(folder.path().join(name), text).unwrap();
            sums.insert(name, text.as_bytes());
        }
        sums.write(folder.path()).unwrap();
        folder
    }

    #[test]
    fn the_file_is_what_sha256sum_writes() {
        let mut sums = Checksums::default();
        sums.insert("b", b"");
        sums.insert("a", b"abc");
        let text = sums.to_text();
        // The digests of FIPS 180-4's examples.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n";
        let none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n";
        assert_eq!(text, format!("{abc}{none}"));
        assert_eq!(Checksums::parse(&text).as_ref(), Some(&sums));
        assert_eq!(Checksums::parse(&format!("{none}{}", abc.replace("  ", " *"))), Some(sums));
        for bad in [abc.to_uppercase(), format!("{abc}{abc}"), abc.replace("  a", "  ../a")] {
            assert_eq!(Checksums::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn no_flipped_bit_is_silent_in_a_file_or_in_the_list() {
        let folder = folder();
        let files = ["a.json", "heads/b.json"].map(|name| folder.path().join(name));
        let read = || files.iter().try_for_each(|path| read_listed(path).map(|_| ()));
        read().unwrap();
        for name in ["a.json", "heads/b.json", CHECKSUM_FILE] {
            let path = folder.path().join(name);
            let sound = std::fs::read(&path).unwrap();
            for bit in 0..8 * sound.len() {
                let mut bytes = sound.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &bytes).unwrap();
                let error = read().expect_err(&format!("{name}, bit {bit}"));
                assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{error}");
                assert!(error.to_string().contains("ptsm verify"), "{error}");
            }
            std::fs::write(&path, &sound).unwrap();
        }
        read().unwrap();
    }

    #[test]
    fn files_that_came_or_went_are_noticed() {
        let folder = folder();
        let path = folder.path().join("c.json");
        assert_eq!(read_listed(&path).unwrap(), None);
        std::fs::write(&path, "x").unwrap();
        assert!(read_listed(&path).unwrap_err().to_string().contains("is not listed"));
        std::fs::remove_file(folder.path().join("a.json")).unwrap();
        let error = read_listed(&folder.path().join("a.json")).unwrap_err();
        assert!(error.to_string().contains("is not there, but is listed"), "{error}");
    }

    #[test]
    fn a_file_that_is_written_stays_listed() {
        let folder = folder();
        let head = folder.path().join("heads/b.json");
        write_listed(&head, b"[3]").unwrap();
        assert_eq!(read_listed(&head).unwrap().as_deref(), Some(&b"[3]"[..]));
        let other = tempfile::tempdir().unwrap();
        write_listed(&other.path().join("x"), b"y").unwrap();
        assert!(!other.path().join(CHECKSUM_FILE).exists());
    }

    #[test]
    fn a_folder_without_a_list_is_read_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert_eq!(read_listed(&path).unwrap(), None);
        std::fs::write(&path, "\u{feff}x").unwrap();
        assert_eq!(read_listed_text(&path).unwrap().as_deref(), Some("x"));
        assert!(require_listed_text(&folder.path().join("no")).is_err());
    }
}
