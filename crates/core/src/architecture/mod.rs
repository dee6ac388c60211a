//! The one place that names architectures. Everything else follows the [`Network`] that an
//! architecture gives.
//!
//! To add one: a variant here, a file that turns its configuration into a network, and its
//! `model_type` in [`Architecture::from_file`].

#[cfg(test)]
mod two_levels;

use std::path::Path;

use crate::Result;
use crate::config::Config;
use crate::network::Network;

/// A model family with its configuration.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Architecture {
    /// PatchTSMixer, as Hugging Face's transformers has it.
    PatchTsMixer(Config),
    /// A stack of blocks with two levels, which shows that there is room for another architecture.
    #[cfg(test)]
    TwoLevels(two_levels::TwoLevels),
}

impl From<Config> for Architecture {
    fn from(config: Config) -> Self {
        Architecture::PatchTsMixer(config)
    }
}

impl Architecture {
    /// Reads and validates a `config.json`.
    ///
    /// # Errors
    ///
    /// As [`Config::from_file`].
    pub fn from_file(path: &Path) -> Result<Self> {
        Config::from_file(path).map(Self::PatchTsMixer)
    }

    /// The text of a `config.json` that [`Architecture::from_file`] reads.
    ///
    /// # Errors
    ///
    /// As [`Config::to_file_json`].
    pub fn to_json(&self) -> Result<String> {
        self.contract().to_file_json()
    }

    /// Inputs and outputs of the model: lengths, channels, scaling, task, loss and head.
    ///
    /// Of an architecture other than PatchTSMixer the fields that describe a stack of mixers say
    /// nothing; those are in its [`network`](Self::network).
    pub fn contract(&self) -> &Config {
        match self {
            Architecture::PatchTsMixer(config) => config,
            #[cfg(test)]
            Architecture::TwoLevels(levels) => &levels.contract,
        }
    }

    /// What is computed in between.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the configuration is invalid.
    pub fn network(&self) -> Result<Network> {
        let network = match self {
            Architecture::PatchTsMixer(config) => config.network(),
            #[cfg(test)]
            Architecture::TwoLevels(levels) => levels.network(),
        }?;
        network.check()?;
        Ok(network)
    }
}
