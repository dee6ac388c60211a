//! A model directory: `config.json` and `model.safetensors` exactly as Hugging Face writes them.

use std::path::Path;

use super::Model;
use crate::architecture::Architecture;
use crate::checksums::write_listed;
use crate::directory_update::read_consistently;
use crate::option::option;
use crate::weights::{Layout, Parameters, Precision, WEIGHTS_FILE};
use crate::{Error, ErrorKind, Result};

/// Name of the configuration in a model directory.
pub const CONFIG_FILE: &str = "config.json";
/// Name of the list of members in the directory of an ensemble.
pub const ENSEMBLE_FILE: &str = "ensemble.json";

/// The networks among the members of an ensemble, in words.
fn networks_of(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir.join("members")).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.join(CONFIG_FILE).is_file());
    found.sort();
    match found.first() {
        Some(path) => format!("name one of its networks, such as {}", path.display()),
        None => "there is none among its members".to_owned(),
    }
}

impl Model<f32> {
    /// Loads a model directory that we, or Hugging Face's `save_pretrained`, wrote, also one with
    /// weights in several files or in half precision; an ensemble is refused.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        if dir.join(ENSEMBLE_FILE).is_file() {
            let epochs = option("epochs", Some("10"));
            let text = format!(
                "is the mean of several forecasts, and this needs a single network: {}, or train one alone with any \
                 option of it, such as {epochs}",
                networks_of(dir)
            );
            return Err(Error::new(ErrorKind::InvalidConfig, text).at(dir.display().to_string()));
        }
        read_consistently(dir, || Self::read_dir(dir))
    }

    fn read_dir(dir: &Path) -> Result<Self> {
        let place = dir.join(CONFIG_FILE);
        let architecture = Architecture::from_file(&place)?;
        let at = |error: Error| error.at(place.display().to_string());
        let network = architecture.network().map_err(at)?;
        let layout = Layout::new(&network).map_err(at)?;
        let parameters = Parameters::from_dir(dir, &layout)?;
        Self::assemble(architecture, network, layout, parameters)
    }

    /// Writes both files into `dir`, which is made if it is not there. Each file is replaced as a
    /// whole or not at all; the weights come first. Where the directory has checksums, those of both
    /// files are renewed.
    ///
    /// # Errors
    ///
    /// `Io`, naming the file.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.save_as(dir, Precision::Single)
    }

    /// As [`Model::save`], with weights of this precision.
    ///
    /// # Errors
    ///
    /// `Io`, naming the file; `InvalidWeights` for a number beyond the range of half precision.
    pub fn save_as(&self, dir: &Path, precision: Precision) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
        self.parameters.save(&dir.join(WEIGHTS_FILE), &self.layout, precision)?;
        let text = self.architecture.to_json()?;
        write_listed(&dir.join(CONFIG_FILE), text.as_bytes())
    }
}
