use super::*;
use crate::checksums::{read_listed, sha256};
use crate::directory_lock::LOCK_FILE;

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

/// A directory with a model and a head, and a file of the user's.
fn old() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let lock = DirectoryLock::new(dir).unwrap();
    lock.change(|stage| {
        write(stage, "config", "old config");
        write(stage, "weights", "old weights");
        write(stage, "heads/a", "old head");
        Ok(Change::default())
    })
    .unwrap();
    write(dir, "notes.txt", "mine");
    folder
}

fn new_files(stage: &Path) -> Result<Change> {
    write(stage, "config", "new config");
    write(stage, "weights", "new weights");
    Ok(Change { removed: names(&["heads/a"]), ..Change::default() })
}

fn text(dir: &Path, name: &str) -> String {
    String::from_utf8(read_listed(&dir.join(name)).unwrap().unwrap()).unwrap()
}

fn is_new(dir: &Path) {
    assert_eq!(text(dir, "config"), "new config");
    assert_eq!(text(dir, "weights"), "new weights");
    assert!(!dir.join("heads").exists());
    assert_eq!(std::fs::read_to_string(dir.join("notes.txt")).unwrap(), "mine");
    let hidden = std::fs::read_dir(dir).unwrap().flatten().filter(|entry| {
        entry.file_name().to_string_lossy().starts_with('.') && entry.file_name() != LOCK_FILE
    });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn a_change_replaces_adds_and_removes() {
    let folder = old();
    let dir = folder.path();
    assert_eq!(text(dir, "heads/a"), "old head");
    DirectoryLock::new(dir).unwrap().change(new_files).unwrap();
    is_new(dir);
    assert!(!dir.join(LOCK_FILE).exists());
}

#[test]
fn a_change_that_fails_leaves_everything_as_it_was() {
    let folder = old();
    let dir = folder.path();
    let lock = DirectoryLock::new(dir).unwrap();
    let failed = lock.change(|stage| {
        new_files(stage)?;
        Err(Error::input("no"))
    });
    assert!(failed.is_err());
    assert_eq!(text(dir, "config"), "old config");
    assert_eq!(text(dir, "heads/a"), "old head");
    assert!(!dir.join(STAGE).exists());
}

/// The directory as a process leaves it that is killed after `moved` files of the change were moved, or
/// before the change happened.
fn killed(moved: Option<usize>) -> tempfile::TempDir {
    let folder = old();
    let dir = folder.path();
    let stage = dir.join(STAGE);
    std::fs::create_dir(&stage).unwrap();
    let change = new_files(&stage).unwrap();
    let mut sums = Checksums::of_dir(dir).unwrap().unwrap();
    sums.remove("heads/a");
    for name in ["config", "weights"] {
        sums.insert(name, format!("new {name}").as_bytes());
    }
    write(&stage, REMOVED, &change.removed.join("\n"));
    sums.write(&stage).unwrap();
    let Some(moved) = moved else { return folder };
    let commit = dir.join(COMMIT);
    std::fs::rename(&stage, &commit).unwrap();
    if moved > 0 {
        std::fs::remove_file(dir.join("heads/a")).unwrap();
    }
    for name in ["config", "weights", CHECKSUM_FILE].iter().take(moved) {
        std::fs::rename(commit.join(name), dir.join(name)).unwrap();
    }
    folder
}

#[test]
fn a_kill_at_any_point_leaves_the_old_or_the_new_directory() {
    let folder = killed(None);
    let dir = folder.path();
    let read = || read_consistently(dir, || Ok((text(dir, "config"), text(dir, "weights"))));
    assert_eq!(read().unwrap(), ("old config".into(), "old weights".into()));
    assert_eq!(text(dir, "heads/a"), "old head");
    for moved in 0..=3 {
        // The next process reads, or writes.
        let folder = killed(Some(moved));
        read_consistently(folder.path(), || Ok(())).unwrap();
        is_new(folder.path());
        let folder = killed(Some(moved));
        drop(DirectoryLock::new(folder.path()).unwrap());
        is_new(folder.path());
    }
}

#[test]
fn a_list_of_what_goes_cannot_reach_out_of_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("model");
    let outside = folder.path().join("outside");
    std::fs::write(&outside, "x").unwrap();
    write(&dir, ".ptsm-commit/.removed", &format!("../outside\n{}\n.\n", outside.display()));
    write(&dir, "kept", "y");
    read_consistently(&dir, || Ok(())).unwrap();
    assert!(outside.exists() && dir.join("kept").exists());
}

#[test]
fn what_was_there_without_checksums_is_listed_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    write(dir, "config", "c");
    let lock = DirectoryLock::new(dir).unwrap();
    let add = |stage: &Path| {
        write(stage, "calibration", "k");
        write(stage, "members/0/ridge", "r");
        list_all(&stage.join("members/0"))?;
        Ok(Change { kept: names(&["config"]), ..Change::default() })
    };
    lock.change(add).unwrap();
    let sums = Checksums::of_dir(dir).unwrap().unwrap();
    assert_eq!(sums.names().collect::<Vec<_>>(), ["calibration", "config"]);
    assert!(sums.fits("config", b"c"));
    let member = std::fs::read_to_string(dir.join("members/0").join(CHECKSUM_FILE)).unwrap();
    assert_eq!(member, format!("{}  ridge\n", sha256(b"r")));
}

#[test]
fn damage_is_not_covered_by_a_later_change() {
    let folder = old();
    let dir = folder.path();
    write(dir, "weights", "changed");
    let lock = DirectoryLock::new(dir).unwrap();
    let add = |stage: &Path| {
        write(stage, "calibration", "k");
        Ok(Change { kept: names(&["weights"]), ..Change::default() })
    };
    lock.change(add).unwrap();
    assert!(read_listed(&dir.join("weights")).is_err());
    assert_eq!(text(dir, "calibration"), "k");
}

#[test]
fn a_reader_beside_a_writer_never_sees_two_models_at_once() {
    let folder = old();
    let dir = folder.path();
    let set = |number: usize| {
        move |stage: &Path| {
            write(stage, "config", &format!("{number} config"));
            write(stage, "weights", &format!("{number} weights"));
            Ok(Change::default())
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..60 {
                DirectoryLock::new(dir).unwrap().change(set(number)).unwrap();
            }
        });
        let mut reads = 0;
        while !writer.is_finished() || reads == 0 {
            let read = |name: &str| {
                let bytes = read_listed(&dir.join(name))?.unwrap_or_default();
                Ok(String::from_utf8(bytes).unwrap().split(' ').next().unwrap().to_owned())
            };
            let pair = || Ok::<_, Error>((read("config")?, read("weights")?));
            let (config, weights) = read_consistently(dir, pair).unwrap();
            assert_eq!(config, weights);
            reads += 1;
        }
    });
}

#[cfg(unix)]
#[test]
fn a_link_in_a_directory_does_not_lead_a_change_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, outside) = (folder.path().join("model"), folder.path().join("outside"));
    write(&outside, "victim", "x");
    write(&dir, ".ptsm-commit/heads/victim", "y");
    std::os::unix::fs::symlink(&outside, dir.join("heads")).unwrap();
    let error = read_consistently(&dir, || Ok(())).unwrap_err().to_string();
    assert!(error.contains("heads") && error.contains("symbolic link"), "{error}");
    write(&dir, ".ptsm-commit/.removed", "heads/victim");
    assert!(read_consistently(&dir, || Ok(())).is_err());
    assert_eq!(std::fs::read_to_string(outside.join("victim")).unwrap(), "x");
}
