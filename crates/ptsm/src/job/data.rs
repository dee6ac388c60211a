//! The data of a job, read once: series that are cut into windows, or labelled cases.

use std::sync::Arc;

use crate::covariates::CovariateChoice;
use crate::data::{CovariateEffects, Grid, LabelledSet, SeriesSet, Split};
use crate::spec::{DataSpec, Source};
use crate::{Error, Result, Task};

/// The data of a job.
#[derive(Debug, Clone)]
pub enum JobData {
    /// Series, for forecasting and pretraining.
    Series(Arc<SeriesData>),
    /// Labelled cases, for classification and regression.
    Cases(Arc<CaseData>),
}

/// Series, with the facts about them that a model directory records.
#[derive(Debug, Clone)]
pub struct SeriesData {
    /// Name for reports.
    pub name: String,
    /// The series.
    pub set: SeriesSet,
    /// Borders of training, validation and test.
    pub split: Split,
    /// Further texts that mean "missing" in the cells of a table.
    pub missing: Vec<String>,
    /// Whether gaps in the time grid were filled with missing rows.
    pub grid: Grid,
    /// Steps of the season, for baselines; 1 = none.
    pub seasonal_period: usize,
    /// Effects of covariates that help ([`SeriesData::settle_covariates`]).
    pub effects: Option<Arc<CovariateEffects>>,
    /// What was found of the covariates.
    pub covariates: Option<CovariateChoice>,
}

/// Labelled cases.
#[derive(Debug, Clone)]
pub struct CaseData {
    /// Name for reports.
    pub name: String,
    /// Training cases.
    pub train: LabelledSet,
    /// Validation cases, which pick the best epoch; without any, the last epoch is kept.
    pub validation: Option<LabelledSet>,
}

impl JobData {
    /// Reads what `spec` names, as `task` needs it; `seed` draws the cases that are held out.
    ///
    /// # Errors
    ///
    /// As [`SeriesData::read`] and [`CaseData::read`].
    pub fn read(spec: &DataSpec, task: Task, seed: u64) -> Result<Self> {
        Ok(match task {
            Task::Forecasting | Task::Pretraining => SeriesData::read(spec)?.0.into(),
            Task::Classification | Task::Regression => CaseData::read(spec, task, seed)?.into(),
        })
    }

    /// Name for reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Series(data) => &data.name,
            Self::Cases(data) => &data.name,
        }
    }
}

impl From<SeriesData> for JobData {
    fn from(data: SeriesData) -> Self {
        Self::Series(Arc::new(data))
    }
}

impl From<CaseData> for JobData {
    fn from(data: CaseData) -> Self {
        Self::Cases(Arc::new(data))
    }
}

impl SeriesData {
    /// Reads the table and takes the series out of it; the table is returned too.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a specification that names no data, or options for labelled cases; `Io`
    /// and `InvalidInput` from the file.
    pub fn read(spec: &DataSpec) -> Result<(Self, Source)> {
        for (field, given) in
            [("label", spec.label.is_some()), ("hold_out", spec.hold_out.is_some())]
        {
            if given {
                let text = "is for labelled cases, which forecasting and pretraining do not use \
                            (leave it out)";
                return Err(Error::config(field, text));
            }
        }
        let source = spec.read()?;
        Ok((Self::of_source(spec, &source)?, source))
    }

    /// Takes the series out of a table that is read already, as `spec` says.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it; `InvalidConfig` for an impossible season.
    pub fn of_source(spec: &DataSpec, source: &Source) -> Result<Self> {
        let mut set = spec.series(source)?;
        Ok(Self {
            name: source.name.clone(),
            split: spec.split.unwrap_or_else(|| source.default_split()),
            missing: spec.missing.clone(),
            grid: spec.repair(source)?.grid,
            seasonal_period: spec.seasonal_period(source, &mut set)?,
            set,
            effects: None,
            covariates: None,
        })
    }

    /// Series that are in memory already, split 7:1:2.
    pub fn new(name: impl Into<String>, set: SeriesSet) -> Self {
        let seasonal_period = set.frequency.map_or(1, crate::data::Frequency::seasonal_period);
        let (name, split, grid) = (name.into(), Split::default(), Grid::Regular);
        Self {
            name,
            set,
            split,
            missing: Vec::new(),
            grid,
            seasonal_period,
            effects: None,
            covariates: None,
        }
    }
}

impl CaseData {
    /// Default share of the labelled cases that is held out to pick the best epoch.
    pub const HOLD_OUT: f64 = 0.2;

    /// Reads the cases and holds a share of them out.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a specification that names no data, or options for series; `Io` and
    /// `InvalidInput` from the file.
    pub fn read(spec: &DataSpec, task: Task, seed: u64) -> Result<Self> {
        Self::refuse_series_options(spec)?;
        let (name, set) = spec.read_cases(task)?;
        Self::new(name, set, spec.hold_out.unwrap_or(Self::HOLD_OUT), seed)
    }

    /// Refuses options of series.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the first of them.
    pub fn refuse_series_options(spec: &DataSpec) -> Result<()> {
        let unused = [
            ("future_covariates", spec.future_covariates.is_some()),
            ("calendar", spec.calendar.is_some()),
            ("split", spec.split.is_some()),
            ("sort", spec.sort),
            ("duplicates", spec.duplicates.is_some()),
            ("grid", spec.grid.is_some()),
            ("frequency", spec.frequency.is_some()),
            ("round", spec.round.is_some()),
            ("resample", spec.resample.is_some()),
            ("holidays", spec.holidays.is_some()),
            ("season", spec.season.is_some()),
        ];
        if let Some((field, _)) = unused.iter().find(|(_, given)| *given) {
            let text =
                "is for series, which classification and regression do not use (leave it out)";
            return Err(Error::config(*field, text));
        }
        Ok(())
    }

    /// Holds out a share of the cases, drawn with `seed` evenly from each class, to pick the best
    /// epoch. A share of 0 holds none out.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the share is not at least 0 and below 1.
    pub fn new(
        name: impl Into<String>,
        set: LabelledSet,
        hold_out: f64,
        seed: u64,
    ) -> Result<Self> {
        let name = name.into();
        if hold_out == 0.0 {
            return Ok(Self { name, train: set, validation: None });
        }
        if !(hold_out > 0.0 && hold_out < 1.0) {
            let text = format!("{hold_out} must be at least 0 and below 1");
            return Err(Error::config("hold_out", text));
        }
        let parts = (1.0 / hold_out.min(0.5)).round().max(2.0) as usize;
        let folds = set.folds(parts.min(set.len()), seed)?;
        let rest: Vec<usize> = (0..set.len()).filter(|i| !folds[0].contains(i)).collect();
        let (train, validation) = (set.subset(&rest), Some(set.subset(&folds[0])));
        Ok(Self { name, train, validation })
    }
}
