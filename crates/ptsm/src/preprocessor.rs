//! `preprocessor.json`: how a model's data were read, so that later data are read the same way.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::covariates::CovariateChoice;
use crate::data::{
    Calendar, Frequency, Grid, LabelCoding, ModelTimes, NO_COLUMN, Plan, Repair, Roles, RowColumns,
    SeriesSet, Split, Standardiser, Table, TimeRules, renamed_column,
};
use crate::model_dir::ModelDir;
use crate::{Config, Error, ErrorKind, Result};
use ptsm_core::{did_you_mean, option, read_listed_text, write_listed};

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
    /// How times are read.
    #[serde(default)]
    pub times: TimeRules,
    /// Further texts that mean "missing" in the cells of a table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
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
    /// What was found of the covariates, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariates: Option<CovariateChoice>,
}

impl Preprocessor {
    /// That of a model of these channels that was trained on no table: the columns of times and series are
    /// looked for in each table, and each series is standardised by its own rows.
    pub fn of_any_series(dataset: &str, channels: &[String]) -> Self {
        let targets = Some(channels.to_vec());
        Self {
            dataset: dataset.to_owned(),
            channels: channels.to_vec(),
            roles: Roles { targets, ..Roles::default() },
            frequency: None,
            times: TimeRules::default(),
            missing: Vec::new(),
            grid: Grid::Regular,
            seasonal_period: 1,
            split: Split::default(),
            standardiser: Standardiser { adapts: true, ..Standardiser::identity(channels.len()) },
            labels: None,
            covariates: None,
        }
    }

    /// Whether it is that of [`Preprocessor::of_any_series`].
    pub fn takes_any_series(&self) -> bool {
        self.roles.timestamp.is_none() && self.roles.id.is_none()
    }

    /// Reads the file of a model directory and checks that it fits the model.
    ///
    /// # Errors
    ///
    /// `Io` if there is none; `InvalidConfig` if it is damaged or has another number of channels
    /// than `config`.
    pub fn from_dir(dir: &Path, config: &Config) -> Result<Self> {
        let path = ModelDir::new(dir).preprocessor();
        let Some(text) = read_listed_text(&path)? else {
            return Err(Error::new(ErrorKind::Io, incomplete(dir)).at(path.display().to_string()));
        };
        let bad = |message: String| {
            Error::new(ErrorKind::InvalidConfig, message).at(path.display().to_string())
        };
        let preprocessor: Self = serde_json::from_str(&text)
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
    /// As [`Preprocessor::read_as`].
    pub fn read(&self, table: &Table, repair: &Repair) -> Result<SeriesSet> {
        self.read_as(table, &Roles::default(), repair)
    }

    /// Takes the model's channels out of a table in which the columns of times and of series may have
    /// the names that `roles` gives.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it, or if the rows have another step
    /// than the model's; `InvalidConfig` if something else is asked for than what the model was
    /// trained on.
    pub fn read_as(&self, table: &Table, roles: &Roles, repair: &Repair) -> Result<SeriesSet> {
        let roles = self.roles_in(table, roles)?;
        SeriesSet::from_table(table, &roles, &self.repair(repair)?)
    }

    /// Refuses a table that lacks a channel.
    fn check_channels(&self, table: &Table) -> Result<()> {
        let Some(name) = self.channels.iter().find(|name| table.column(name).is_none()) else {
            return Ok(());
        };
        let columns: Vec<&str> =
            table.columns().iter().map(|column| column.name.as_str()).collect();
        let near = did_you_mean(name, columns.iter().copied());
        let text = format!(
            "there is no column \"{name}\"{near}: the model was trained on {}; the columns are {}",
            self.channels.join(", "),
            columns.join(", ")
        );
        Err(Error::input(text).at(table.source()))
    }

    /// The roles of the columns of a new table.
    fn roles_in(&self, table: &Table, given: &Roles) -> Result<Roles> {
        let is_none = |role: &Option<String>| role.as_deref().is_none_or(|name| name == NO_COLUMN);
        if !self.takes_any_series() && is_none(&self.roles.id) && !is_none(&given.id) {
            let text = "the model was trained without a column of series, so it reads one series \
                        (leave it out, and give a table of one series)";
            return Err(Error::config("id", text));
        }
        self.check_covariates(given)?;
        let other = given.targets.as_ref().filter(|targets| **targets != self.channels);
        if let Some(targets) = other.filter(|targets| !self.takes(targets)) {
            let text = format!(
                "{} are not the model's channels, {} (leave it out)",
                targets.join(", "),
                self.channels.join(", ")
            );
            return Err(Error::config("targets", text));
        }
        if given.targets.is_none() && !self.takes_any_series() {
            self.check_channels(table)?;
        }
        let mut roles = self.roles.clone();
        roles.targets = other.cloned().or(roles.targets);
        for (field, role, given) in [
            ("timestamp", &mut roles.timestamp, &given.timestamp),
            ("id", &mut roles.id, &given.id),
        ] {
            let name = role.as_deref().filter(|name| *name != NO_COLUMN);
            match (given, name) {
                (Some(given), _) => *role = Some(given.clone()),
                (None, Some(name)) if table.column(name).is_none() => {
                    let columns = table.columns().iter().map(|column| column.name.as_str());
                    let columns: Vec<&str> = columns.collect();
                    return Err(renamed_column(field, name, &columns).at(table.source()));
                }
                _ => {}
            }
        }
        Ok(roles)
    }

    /// Refuses other covariates than the model's.
    fn check_covariates(&self, given: &Roles) -> Result<()> {
        let own = &self.roles;
        let columns =
            given.future_covariates.is_empty() || given.future_covariates == own.future_covariates;
        let calendar = given.calendar.is_empty() || given.calendar == own.calendar;
        if columns && calendar {
            return Ok(());
        }
        let field = if columns { "calendar" } else { "future_covariates" };
        Err(Error::config(field, "are not those that the model was trained with (leave it out)"))
    }

    /// Reads a table that plans the model's covariates.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the model has none; as [`Plan::from_table`].
    pub fn read_plan(&self, table: &Table, roles: &Roles, repair: &Repair) -> Result<Plan> {
        if self.roles.future_covariates.is_empty() {
            let text = "the model knows no covariates from tables (leave it out)";
            return Err(Error::config("future", text));
        }
        let renamed = |own: &Option<String>, given: &Option<String>| given.clone().or(own.clone());
        let roles = Roles {
            timestamp: renamed(&self.roles.timestamp, &roles.timestamp),
            id: renamed(&self.roles.id, &roles.id),
            ..self.roles.clone()
        };
        Plan::from_table(table, &roles, &self.repair(repair)?)
    }

    /// Whether columns of other names can be its channels.
    fn takes(&self, targets: &[String]) -> bool {
        self.takes_any_series() && targets.len() == self.channels.len()
    }

    /// What is allowed for a new table: what the user allows, as the model was trained.
    fn repair(&self, given: &Repair) -> Result<Repair> {
        let steps = [
            ("frequency", given.frequency),
            ("resample", given.resample.map(|resample| resample.step)),
        ];
        for (field, step) in steps {
            if let (Some(step), Some(wanted)) = (step, self.frequency)
                && step != wanted
            {
                let text = format!("{step} is not the model's step, {wanted}");
                return Err(Error::config(field, text));
            }
        }
        let rules = &self.times;
        let model = self.frequency.map(|frequency| ModelTimes { frequency, rules: rules.clone() });
        let own_holidays = !given.holidays.is_empty();
        Ok(Repair {
            grid: self.grid,
            dates: given.dates.or(rules.order),
            round: given.round.or(rules.round),
            resample: given.resample.or(rules.resample),
            holidays: if own_holidays { given.holidays.clone() } else { rules.holidays.clone() },
            model,
            ..given.clone()
        })
    }

    /// The calendar of a series of this name; `None` if rows are only numbered.
    pub fn calendar(&self, id: &str) -> Option<Calendar> {
        let anchor = self.times.anchors.get(id).copied().unwrap_or_default();
        let holidays = self.times.holidays.clone();
        self.frequency.map(|step| Calendar { step, anchor, holidays })
    }

    /// The columns that rows of a stream are read from.
    pub fn row_columns(&self) -> RowColumns {
        let named = |role: &Option<String>| role.clone().filter(|name| name != NO_COLUMN);
        let (timestamp, id) = (named(&self.roles.timestamp), named(&self.roles.id));
        RowColumns { channels: self.channels.clone(), timestamp, id }
    }

    /// Writes the file into a model directory, atomically; where that has checksums, its line is renewed.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::internal("the preprocessor cannot be written").because(e))?;
        write_listed(&ModelDir::new(dir).preprocessor(), (text + "\n").as_bytes())
    }
}

/// What is said of a folder that holds a model alone, as Hugging Face saves it.
fn incomplete(dir: &Path) -> String {
    let [data, out] =
        [("data", "TRAINING.csv"), ("out", "MODEL")].map(|(name, value)| option(name, Some(value)));
    format!(
        "is not there: nothing says which columns the channels are and how they were standardised \
         (ptsm import {} {data} {out} makes a complete model directory)",
        dir.display()
    )
}
