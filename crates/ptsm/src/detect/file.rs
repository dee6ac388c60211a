//! The file of a [`Detector`].

use std::path::Path;

use super::detector::{Detector, Kept, LEAST, Scores, VERSION, channel_names};
use crate::forecast::ForecastModel;
use crate::{Error, Result};
use ptsm_core::{read_regular, seal, unseal, write_atomically};

impl Detector {
    /// Writes it to a file, atomically: JSON with a checksum, for streams and further scans.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = seal(&self.kept.content()?);
        write_atomically(path, |out| out.write_all(text.as_bytes()))
    }

    /// Reads what [`Detector::save`] wrote for this model.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidInput` if it is damaged, of another version, or of another model.
    pub fn load(path: &Path, model: &ForecastModel) -> Result<Self> {
        Self::read(path, model).map_err(|e| match e.kind() {
            crate::ErrorKind::Io => e,
            _ => e.at(path.display().to_string()),
        })
    }

    fn read(path: &Path, model: &ForecastModel) -> Result<Self> {
        const WAY_OUT: &str = "write it anew with ptsm detect";
        let bytes = read_regular(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|e| Error::input("is damaged: it is not text in UTF-8").because(e))?;
        let kept: Kept = serde_json::from_str(unseal(&text)?).map_err(|e| {
            Error::input(format!("is not the file of a detector ({WAY_OUT})")).because(e)
        })?;
        if kept.version != VERSION {
            let text = format!(
                "is of version {}, this program reads version {VERSION} ({WAY_OUT})",
                kept.version
            );
            return Err(Error::input(text));
        }
        if kept.model != model.fingerprint() || kept.channels != channel_names(model) {
            return Err(Error::input(format!("is of another model ({WAY_OUT})")));
        }
        let fits = |all: &Vec<Option<Scores>>| {
            all.len() == kept.channels.len() && all.iter().flatten().all(Scores::are_possible)
        };
        let steps = 1..=model.config().prediction_length;
        if !steps.contains(&kept.ahead) || !kept.series.values().all(fits) {
            return Err(Error::input(format!("has impossible numbers: it is damaged ({WAY_OUT})")));
        }
        Self::from_kept(kept)
    }
}

impl Kept {
    /// What is under the checksum.
    pub(super) fn content(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::internal("the detector cannot be written").because(e))
    }
}

impl Scores {
    fn are_possible(&self) -> bool {
        self.scores.len() >= LEAST
            && self.spread > 0.0
            && self.spread.is_finite()
            && self.scores.is_sorted()
            && self.scores.iter().all(|score| score.is_finite() && *score >= 0.0)
    }
}
