//! The weights of a model directory in the forms in which Hugging Face saves them: one safetensors
//! file, or several with an index.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Layout, Parameters};
use crate::checksums::require_listed_text;
use crate::{Error, Result};

/// Name of the weights in a model directory.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// Name of the list in a model directory that says which file each tensor is in, where there are several.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// What older programs write, and what it takes to read it safely.
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

#[derive(Deserialize)]
struct Index {
    weight_map: serde_json::Map<String, serde_json::Value>,
}

impl Parameters<f32> {
    /// Reads the weights of `layout` out of a model directory: `model.safetensors`, or the files that
    /// `model.safetensors.index.json` names.
    ///
    /// # Errors
    ///
    /// As [`Parameters::from_file`]; `InvalidWeights` with the way out for `pytorch_model.bin`, which
    /// may run any code when it is read.
    pub fn from_dir(dir: &Path, layout: &Layout) -> Result<Self> {
        let one = dir.join(WEIGHTS_FILE);
        let index = dir.join(INDEX_FILE);
        if one.exists() || !index.exists() {
            if !one.exists()
                && let Some(pickle) = PICKLES.iter().map(|name| dir.join(name)).find(|p| p.exists())
            {
                let text = format!(
                    "is a Python pickle, which may run any code when it is read: save it as {WEIGHTS_FILE} \
                     where you trust it (in Python, model.save_pretrained does by default)"
                );
                return Err(Error::weights(text).at(pickle.display().to_string()));
            }
            return Self::from_file(&one, layout);
        }
        let shards = shards(dir, &index)?;
        Self::from_shards(&shards, layout).map_err(|e| e.at(index.display().to_string()))
    }
}

/// The files that an index names, each once.
fn shards(dir: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = require_listed_text(index)?;
    let bad = |text: String| Error::weights(text).at(index.display().to_string());
    let Index { weight_map } = serde_json::from_str(&text)
        .map_err(|e| bad("is no index of safetensors files".into()).because(e))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in &weight_map {
        let name = file.as_str().unwrap_or_default();
        // A name alone, so that nothing outside of the directory is read.
        let plain = Path::new(name).file_name().is_some_and(|own| own == name);
        if !plain || !name.ends_with(".safetensors") {
            return Err(bad(format!(
                "{tensor} is in {file}, wanted the name of a .safetensors file"
            )));
        }
        names.insert(name);
    }
    if names.is_empty() {
        return Err(bad("names no file".into()));
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::weights::Init;

    fn some() -> (Layout, Parameters<f32>) {
        let layout = Layout::new(&Config::default().network().unwrap()).unwrap();
        let parameters = Parameters::init(&layout, Init::PyTorch, 3);
        (layout, parameters)
    }

    /// Two files with every other tensor of `bytes`, and their index.
    fn split(dir: &Path, bytes: &[u8]) {
        let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
        let mut map = serde_json::Map::new();
        for half in 0..2 {
            let name = format!("model-{half}.safetensors");
            let tensors: Vec<_> = file.tensors().into_iter().skip(half).step_by(2).collect();
            for (tensor, _) in &tensors {
                map.insert(tensor.clone(), name.clone().into());
            }
            std::fs::write(dir.join(&name), safetensors::serialize(tensors, None).unwrap())
                .unwrap();
        }
        let index = serde_json::json!({ "weight_map": map }).to_string();
        std::fs::write(dir.join(INDEX_FILE), index).unwrap();
    }

    #[test]
    fn shards_are_read_as_one_file() {
        let (layout, parameters) = some();
        let folder = tempfile::tempdir().unwrap();
        split(folder.path(), &parameters.to_bytes(&layout, crate::Precision::Single).unwrap());
        assert_eq!(Parameters::from_dir(folder.path(), &layout).unwrap(), parameters);
        std::fs::remove_file(folder.path().join("model-1.safetensors")).unwrap();
        let error = Parameters::from_dir(folder.path(), &layout).unwrap_err().to_string();
        assert!(error.contains("model-1.safetensors"), "{error}");
    }

    #[test]
    fn an_index_names_files_of_its_directory_only() {
        let (layout, _) = some();
        let folder = tempfile::tempdir().unwrap();
        for (index, wanted) in [
            ("{\"weight_map\": {\"a\": \"../x.safetensors\"}}", "../x.safetensors"),
            ("{\"weight_map\": {\"a\": \"x.bin\"}}", "x.bin"),
            ("{\"weight_map\": {}}", "names no file"),
            ("[]", "is no index"),
        ] {
            std::fs::write(folder.path().join(INDEX_FILE), index).unwrap();
            let error = Parameters::from_dir(folder.path(), &layout).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_pickle_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pytorch_model.bin"), "x").unwrap();
        let error = Parameters::from_dir(folder.path(), &some().0).unwrap_err().to_string();
        assert!(error.contains("pickle") && error.contains("save_pretrained"), "{error}");
    }
}
