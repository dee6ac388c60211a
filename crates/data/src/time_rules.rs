//! How the times of a model's data were read, so that later data are read the same way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calendar::{Anchor, Holidays};
use super::resample::Resample;
use super::rounding::Rounding;
use super::timestamp::{DateOrder, TimeStyle};
use super::zone::Clock;

/// How times are read; saved with a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeRules {
    /// How stamps were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<TimeStyle>,
    /// Which of day and month comes first, where a cell alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<DateOrder>,
    /// On which clock steps are counted.
    pub clock: Clock,
    /// Days of the month of the series, by id, where a single row does not show them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub anchors: BTreeMap<String, Anchor>,
    /// Working days without rows.
    #[serde(skip_serializing_if = "Holidays::is_empty")]
    pub holidays: Holidays,
    /// Times are moved to this grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<Rounding>,
    /// Rows are made one for each step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resample: Option<Resample>,
}
