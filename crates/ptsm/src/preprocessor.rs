//! `preprocessor.json`: how a model's data were read, so that later data are read the same way.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::{
    Frequency, Grid, LabelCoding, NO_COLUMN, Repair, Roles, RowColumns, SeriesSet, Split,
    Standardiser, Table,
};
use crate::model_dir::ModelDir;
use crate::{Config, Error, ErrorKind, Result};
use ptsm_core::write_atomically;

/// How a table is turned into the numbers that the model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessor {
    /// Name of the training data, for reports.
    pub dataset: String,
    /// Channels in the model's order.
    pub channels: Vec<String>,
    /// Which columns are read, and what for.
    pub roles: Roles,
    /// Distance between rows; `None` if rows are only numbered.
    pub frequency: Option<Frequency>,
    /// Whether gaps in the time grid are filled with missing rows.
    pub grid: Grid,
    /// Steps of the season, for baselines.
    pub seasonal_period: usize,
    /// The split that the model was trained with.
    pub split: Split,
    /// Shift and scale of every channel, fitted on the training rows.
    pub standardiser: Standardiser,
    /// How the outputs of a classifier or a regression become labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelCoding>,
}

impl Preprocessor {
    /// Reads the file of a model directory and checks that it fits the model.
    ///
    /// # Errors
    ///
    /// `Io` if there is none; `InvalidConfig` if it is damaged or has another number of channels
    /// than `config`.
    pub fn from_dir(dir: &Path, config: &Config) -> Result<Self> {
        let path = ModelDir::new(dir).preprocessor();
        let text = std::fs::read_to_string(&path).map_err(|e| {
            let text = "cannot be read (train writes it; it says how columns become channels)";
            Error::io(&path, text, e)
        })?;
        let bad = |message: String| {
            Error::new(ErrorKind::InvalidConfig, message).at(path.display().to_string())
        };
        let preprocessor: Self = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|e| bad("is not a preprocessor file".into()).because(e))?;
        let counts = [
            ("channels", preprocessor.channels.len()),
            ("standardiser.mean", preprocessor.standardiser.mean.len()),
            ("standardiser.scale", preprocessor.standardiser.scale.len()),
        ];
        for (field, got) in counts {
            let wanted = config.num_input_channels;
            if got != wanted {
                return Err(bad(format!("{field} has {got} entries, the model has {wanted}")));
            }
        }
        if let Err(error) = preprocessor.standardiser.check() {
            return Err(bad(format!("standardiser: {error}")));
        }
        Ok(preprocessor)
    }

    /// Takes the model's channels out of a table, as in training.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    pub fn read(&self, table: &Table, repair: &Repair) -> Result<SeriesSet> {
        let mut roles = Roles { ..self.roles.clone() };
        // A table of new rows may lack what only told series or times apart.
        for role in [&mut roles.timestamp, &mut roles.id] {
            if role.as_deref().is_some_and(|name| table.column(name).is_none()) {
                *role = Some(NO_COLUMN.to_owned());
            }
        }
        let mut repair = repair.clone();
        repair.grid = self.grid;
        repair.frequency = repair.frequency.or(self.frequency);
        SeriesSet::from_table(table, &roles, &repair)
    }

    /// The columns that rows of a stream are read from.
    pub fn row_columns(&self) -> RowColumns {
        let timestamp = self.roles.timestamp.clone().filter(|name| name != NO_COLUMN);
        RowColumns { channels: self.channels.clone(), timestamp }
    }

    /// Writes the file into a model directory, atomically.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::internal("the preprocessor cannot be written").because(e))?;
        write_atomically(&ModelDir::new(dir).preprocessor(), |out| {
            out.write_all(text.as_bytes())?;
            out.write_all(b"\n")
        })
    }
}
