//! Where the models of a server come from.

use std::path::{Path, PathBuf};

use ptsm::core::{CHECKSUM_FILE, sha256};
use ptsm::model_dir::ModelDir;
use ptsm::zero_shot::{BUILTIN, builtin_sha256, is_builtin};
use ptsm::{Error, Result};

/// A name that is a route in the place of a model's: `/v2/models/stats`.
const TAKEN: &str = "stats";

/// Characters of a name, at most.
const LONGEST_NAME: usize = 64;

/// A name and a model directory, or the model inside the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSource {
    name: String,
    dir: PathBuf,
}

impl ModelSource {
    /// Reads `NAME=DIR`, or `builtin`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for another text, or a name with other characters than letters, digits, `.`, `_` and `-`.
    pub fn parse(text: &str) -> Result<Self> {
        if text == BUILTIN {
            return Ok(Self::builtin());
        }
        match text.split_once('=') {
            Some((name, dir)) if !dir.is_empty() => Self::new(name, dir),
            _ => {
                let text = format!("\"{text}\" is not NAME=DIR (such as load=models/load)");
                Err(Error::config("model", text))
            }
        }
    }

    /// A directory under a name.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the name has other characters, or more than 64, or is `stats`, which is a route.
    pub fn new(name: &str, dir: impl Into<PathBuf>) -> Result<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
            let text = format!(
                "\"{}\" is no name of a model (1 to {LONGEST_NAME} letters, digits, '.', '_' and '-')",
                name.escape_default()
            );
            return Err(Error::config("model", text));
        }
        if name == TAKEN {
            let text = format!("\"{TAKEN}\" is a route (/v2/models/{TAKEN}): choose another name");
            return Err(Error::config("model", text));
        }
        Ok(Self { name: name.to_owned(), dir: dir.into() })
    }

    /// The model inside the library.
    pub fn builtin() -> Self {
        Self { name: BUILTIN.to_owned(), dir: BUILTIN.into() }
    }

    /// The models of a folder: each of its folders that is a model directory, under the name of the folder.
    ///
    /// # Errors
    ///
    /// `Io` if the folder cannot be read; `InvalidConfig` if there is no model in it, or a folder has a name that a
    /// model cannot have.
    pub fn of_folder(folder: &Path) -> Result<Vec<Self>> {
        let failed = |cause| Error::io(folder, "cannot be read", cause);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let files = ModelDir::new(&path);
            if files.config().is_file() || files.is_ensemble() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                found.push(Self::new(&name, path)?);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if found.is_empty() {
            let text = "holds no folder with a model (--model NAME=DIR names one)";
            return Err(Error::config(folder.display().to_string(), text));
        }
        Ok(found)
    }

    /// SHA-256, in hex digits, of the file `SHA256SUMS` of the directory, which holds those of its files, and of those of
    /// the members of an ensemble, in the order of their names, after it; of the model inside the library that of its
    /// weights. `None` where there is no such file.
    ///
    /// # Errors
    ///
    /// `Io` if such a file is there and cannot be read.
    pub(super) fn sha256(&self) -> Result<Option<String>> {
        if is_builtin(&self.dir) {
            return Ok(Some(builtin_sha256()));
        }
        let own = ModelDir::new(&self.dir);
        let mut names = own.member_names();
        names.sort();
        let members = names.iter().map(|name| own.member(name).path().to_owned());
        let mut bytes = Vec::new();
        for dir in std::iter::once(self.dir.clone()).chain(members) {
            let path = dir.join(CHECKSUM_FILE);
            match std::fs::read(&path) {
                Ok(lines) => bytes.extend(lines),
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(cause) => return Err(Error::io(&path, "cannot be read", cause)),
            }
        }
        Ok(Some(sha256(&bytes)))
    }

    /// The name under which it serves.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model directory; `builtin` for the model inside the library.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_no_paths() {
        assert_eq!(ModelSource::parse("a.B-c_1=x/y=z").unwrap().dir(), Path::new("x/y=z"));
        for text in
            ["../x=d", "a/b=d", "=d", "a=", "a", "a b=d", "a\0=d", "stats=d", &"a".repeat(65)]
        {
            assert!(ModelSource::parse(text).is_err(), "{text}");
        }
    }
}
