//! [`ModelWriter`]: the one that changes a model directory, alone, and as a whole or not at all.

use crate::model_dir::ModelDir;
use crate::{Error, Result};
use ptsm_core::{Change, DirectoryLock};

/// The hold of one writer on a model directory, such as a training for all of its time. Others are
/// refused until it is dropped.
#[derive(Debug)]
pub struct ModelWriter {
    dir: ModelDir,
    lock: DirectoryLock,
}

impl ModelWriter {
    /// Holds the directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be made or written to, or another process writes there, naming that one.
    pub fn new(dir: &ModelDir) -> Result<Self> {
        Ok(Self { dir: dir.clone(), lock: DirectoryLock::new(dir.path())? })
    }

    /// As [`ModelWriter::new`], of a directory that is there.
    ///
    /// # Errors
    ///
    /// As [`ModelWriter::new`]; `Io` if there is no such directory.
    pub fn existing(dir: &ModelDir) -> Result<Self> {
        match std::fs::metadata(dir.path()) {
            Ok(_) => Self::new(dir),
            Err(e) => Err(Error::io(dir.path(), "cannot be read", e)),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &ModelDir {
        &self.dir
    }

    /// Replaces the model with the files that `fill` writes into the directory that it is given. All
    /// else of the earlier model goes: its heads, calibration, scores and records, and the members that
    /// `fill` does not name. Checkpoints and files of the user stay.
    ///
    /// # Errors
    ///
    /// Those of `fill`; `Io` if a file cannot be written. The directory is then as it was.
    pub fn replace(&self, fill: impl FnOnce(&ModelDir) -> Result<Vec<String>>) -> Result<()> {
        self.lock.change(|stage| {
            let staged = ModelDir::new(stage);
            let members = fill(&staged)?;
            let new = staged.files();
            let mut removed = self.dir.files();
            removed.retain(|name| !new.contains(name));
            let mut others = self.dir.own_member_names();
            others.retain(|name| !members.contains(name));
            removed.extend(others.iter().map(|name| ModelDir::member_folder(name)));
            Ok(Change { whole: true, removed, kept: Vec::new() })
        })
    }

    /// Adds the files that `fill` writes into the directory that it is given, or replaces those of the
    /// same names.
    ///
    /// # Errors
    ///
    /// As [`ModelWriter::replace`].
    pub fn add(&self, fill: impl FnOnce(&ModelDir) -> Result<()>) -> Result<()> {
        self.lock.change(|stage| {
            let staged = ModelDir::new(stage);
            fill(&staged)?;
            let new = staged.files();
            let mut kept = self.dir.files();
            kept.retain(|name| !new.contains(name));
            Ok(Change { kept, ..Change::default() })
        })
    }

    /// Removes files, by their names in [`ModelDir::files`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is none; `Io` if something cannot be written.
    pub fn remove(&self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Err(Error::input("there is nothing to remove"));
        }
        self.lock.change(|_| {
            let mut kept = self.dir.files();
            kept.retain(|name| !names.contains(name));
            Ok(Change { kept, removed: names.to_vec(), ..Change::default() })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::model_dir::{HeadFile, read_json, write_json};

    fn write(path: &std::path::Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "[1]").unwrap();
    }

    /// A directory as an earlier version wrote it, with every kind of file, and the paths of a model, of
    /// what belongs to it, of an ensemble, and of the user's files.
    fn full(dir: &ModelDir) -> [Vec<PathBuf>; 4] {
        let model = vec![dir.config(), dir.weights(), dir.preprocessor()];
        let stale = vec![
            dir.calibration(),
            dir.training(),
            dir.joint_training(),
            dir.choice(),
            dir.score("test"),
            dir.head("quantiles", HeadFile::Weights),
            dir.path().join("model-00001-of-00002.safetensors"),
        ];
        let ensemble =
            vec![dir.ensemble(), dir.member("0").config(), dir.member("0-ridge").ridge()];
        let users = ["notes", "report.json", "members/people.csv"];
        let users = users.map(|name| dir.path().join(name)).to_vec();
        let all = [model, stale, ensemble, users];
        all.iter().flatten().for_each(|path| write(path));
        all
    }

    #[test]
    fn a_new_model_leaves_nothing_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ModelDir::new(folder.path());
        let [model, stale, ensemble, users] = full(&dir);
        write(&dir.checkpoint());
        let writer = ModelWriter::new(&dir).unwrap();
        let save = |staged: &ModelDir| {
            for path in [staged.config(), staged.weights(), staged.preprocessor()] {
                write_json(&path, &[2])?;
            }
            Ok(Vec::new())
        };
        writer.replace(save).unwrap();
        assert!(stale.iter().chain(&ensemble).all(|path| !path.exists()));
        assert!(users.iter().all(|path| path.exists()) && dir.checkpoint().exists());
        for path in model {
            assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![2]));
        }
    }

    #[test]
    fn an_ensemble_keeps_the_members_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ModelDir::new(folder.path());
        let [model, stale, ensemble, _] = full(&dir);
        let save = |staged: &ModelDir| {
            write_json(&staged.ensemble(), &[2])?;
            Ok(vec!["0".to_owned()])
        };
        ModelWriter::new(&dir).unwrap().replace(save).unwrap();
        assert!(model.iter().chain(&stale).all(|path| !path.exists()));
        assert_eq!(
            ensemble.iter().map(|path| path.exists()).collect::<Vec<_>>(),
            [true, true, false]
        );
    }

    #[test]
    fn what_is_added_or_removed_leaves_the_rest_and_lists_it() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ModelDir::new(folder.path());
        let [model, stale, ..] = full(&dir);
        let writer = ModelWriter::new(&dir).unwrap();
        writer.add(|staged| write_json(&staged.calibration(), &[3])).unwrap();
        writer.remove(&["training.json".to_owned()]).unwrap();
        assert!(writer.remove(&[]).is_err());
        for path in model.iter().chain(&stale) {
            let wanted = match path {
                path if *path == dir.calibration() => Some(vec![3]),
                path if *path == dir.training() => None,
                _ => Some(vec![1]),
            };
            assert_eq!(read_json::<Vec<u32>>(path).unwrap(), wanted, "{}", path.display());
        }
        let sums = std::fs::read_to_string(dir.path().join("SHA256SUMS")).unwrap();
        assert_eq!(sums.lines().count(), model.len() + stale.len() - 1 + 1, "{sums}");
    }
}
