//! What is said of a file or folder that is not there.

use std::path::Path;

use crate::nearest::did_you_mean;

/// Entries of a folder that are looked at for a near name.
const MOST_ENTRIES: usize = 10_000;

/// Which part of the path is not there, with the name nearby that was probably meant: `no such file (did you
/// mean load.csv?)`, or `there is no folder data`.
pub(crate) fn not_there(path: &Path) -> String {
    if let Some(folder) = path.parent().filter(|folder| is_named(folder) && !folder.is_dir()) {
        return format!("there is no folder {}{}", folder.display(), near(folder));
    }
    // A folder's name mostly has no ending.
    let what = if path.extension().is_some() { "file" } else { "file or folder" };
    format!("no such {what}{}", near(path))
}

fn is_named(folder: &Path) -> bool {
    !folder.as_os_str().is_empty()
}

/// The name in the same folder that was probably meant, in brackets.
fn near(path: &Path) -> String {
    let folder = path.parent().filter(|folder| is_named(folder)).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return String::new();
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_ENTRIES);
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // Of names that are as near the same one is told each time.
    names.sort_unstable();
    did_you_mean(&name, names.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_not_there_is_named_with_the_near_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("load.csv"), "").unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        let said = |name: &str| not_there(&folder.path().join(name));
        assert_eq!(said("laod.csv"), "no such file (did you mean load.csv?)");
        assert_eq!(said("other.parquet"), "no such file");
        assert_eq!(said("weather"), "no such file or folder");
        let place = folder.path().display();
        assert_eq!(
            said("model/config.json"),
            format!("there is no folder {place}/model (did you mean models?)")
        );
    }
}
