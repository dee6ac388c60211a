//! Series on a regular grid: values, times, and a mask instead of NaN.

use sha2::{Digest, Sha256};

use super::frequency::Frequency;
use super::repair::{
    Grid, MissingShare, Origin, RawSeries, Repair, RepairReport, fill_gaps, order,
};
use super::roles::{Resolved, Roles, resolve};
use super::table::{Column, Table, Values};
use super::timestamp::TimeStyle;
use ptsm_core::{Error, Result};

/// One record: channels side by side over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which series of a long table this is; empty for a wide table.
    pub id: String,
    /// Time of each row, in seconds since 1970-01-01 00:00 UTC; `None` = rows are only numbered.
    pub timestamps: Option<Vec<i64>>,
    /// Channels, C.
    pub num_channels: usize,
    /// `[T, C]`, row-major, in data units, finite; 0 where a point is missing.
    pub values: Vec<f64>,
    /// `[T, C]`, true = seen; `None` = everything seen.
    pub observed: Option<Vec<bool>>,
}

impl Series {
    /// A series without times from `values` `[T, C]`, row-major, where NaN means missing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no channel, `values` are no whole rows, or one is infinite.
    pub fn new(id: impl Into<String>, num_channels: usize, values: Vec<f64>) -> Result<Self> {
        if num_channels == 0 || !values.len().is_multiple_of(num_channels) {
            let count = values.len();
            let message = format!("{count} values are no whole rows of {num_channels} channels");
            return Err(Error::input(message));
        }
        if let Some(index) = values.iter().position(|value| value.is_infinite()) {
            let (row, channel) = (index / num_channels, index % num_channels);
            let message = format!("the value in row {row}, channel {channel} is infinite");
            return Err(Error::input(message));
        }
        Ok(Self::from_finite(id.into(), None, num_channels, values))
    }

    /// `values`: NaN or finite.
    fn from_finite(
        id: String,
        timestamps: Option<Vec<i64>>,
        num_channels: usize,
        mut values: Vec<f64>,
    ) -> Self {
        let gaps = values.iter().any(|value| value.is_nan());
        let observed = gaps.then(|| values.iter().map(|value| !value.is_nan()).collect());
        if gaps {
            for value in values.iter_mut().filter(|value| value.is_nan()) {
                *value = 0.0;
            }
        }
        Self { id, timestamps, num_channels, values, observed }
    }

    /// Number of rows, T.
    pub fn num_rows(&self) -> usize {
        self.values.len() / self.num_channels
    }

    /// The value of a point, or `None` if it is missing.
    ///
    /// # Panics
    ///
    /// If there is no such row or channel.
    pub fn get(&self, row: usize, channel: usize) -> Option<f64> {
        assert!(channel < self.num_channels, "channel {channel} of {}", self.num_channels);
        let index = row * self.num_channels + channel;
        let seen = self.observed.as_ref().is_none_or(|observed| observed[index]);
        seen.then_some(self.values[index])
    }
}

/// The series of one table, and all that is needed to write forecasts in the same form.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSet {
    /// Names of the channels, C.
    pub channels: Vec<String>,
    /// The series, in the order in which the table names them; at least one.
    pub series: Vec<Series>,
    /// Distance between rows; `None` without times, or where no series has two rows.
    pub frequency: Option<Frequency>,
    /// How the table writes times; `None` without times.
    pub time_style: Option<TimeStyle>,
    /// The roles of the columns, with nothing left to find out: to be saved with a model.
    pub roles: Roles,
    /// What was done to the rows.
    pub repairs: RepairReport,
}

impl SeriesSet {
    /// SHA-256, as hex digits, over the names of the channels and every value, gap and time: what
    /// differs for other data.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // Lengths first, so that no part can be taken for another.
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        self.channels.iter().for_each(|name| add(name.as_bytes()));
        for series in &self.series {
            add(series.id.as_bytes());
            let values: Vec<u8> = series.values.iter().flat_map(|x| x.to_le_bytes()).collect();
            let seen = series.observed.iter().flatten().map(|&seen| u8::from(seen));
            let times = series.timestamps.iter().flatten().flat_map(|time| time.to_le_bytes());
            add(&values);
            add(&seen.collect::<Vec<u8>>());
            add(&times.collect::<Vec<u8>>());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes the series out of a table, wide (one series) or long (a column names the series).
    ///
    /// Missing cells and gaps of the time grid become value 0 and mask `false`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` with the place and the way out if a wanted column is not there or not
    /// numeric, if there is nothing to forecast, or if times are missing, out of order, double or
    /// off the grid and `repair` does not allow for it.
    pub fn from_table(table: &Table, roles: &Roles, repair: &Repair) -> Result<Self> {
        if table.num_rows() == 0 {
            return Err(Error::input("there are no rows").at(table.source()));
        }
        let resolved = resolve(table, roles)?;
        let origin = Origin { table, roles: &resolved };
        let mut report = RepairReport {
            rows_read: table.num_rows(),
            ignored_columns: resolved.ignored.clone(),
            ..RepairReport::default()
        };
        let mut raw = split_rows(table, &resolved);
        for series in &mut raw {
            order(series, repair, origin, &mut report)?;
        }
        let times = raw.iter().filter_map(|series| series.times.as_deref());
        let frequency = match repair.frequency {
            Some(given) if resolved.timestamp.is_some() => Some(given),
            _ => Frequency::detect(times),
        };
        if let (Some(frequency), Grid::Regular) = (frequency, repair.grid) {
            for series in &mut raw {
                fill_gaps(series, frequency, origin, &mut report)?;
            }
        }
        report.missing = missing_shares(&resolved.channels, &raw);
        let width = resolved.channels.len();
        let finish = |raw: RawSeries| Series::from_finite(raw.id, raw.times, width, raw.values);
        Ok(Self {
            series: raw.into_iter().map(finish).collect(),
            frequency,
            time_style: resolved.timestamp.as_ref().map(|column| column.style),
            roles: resolved.roles(),
            repairs: report,
            channels: resolved.channels,
        })
    }

    /// Times of `count` rows after the end of a series, in seconds; `None` where rows are only
    /// numbered or the step is not known.
    pub fn future_timestamps(&self, series: &Series, count: usize) -> Option<Vec<i64>> {
        let last = *series.timestamps.as_ref()?.last()?;
        let step = self.frequency?;
        Some((1..=count).map(|ahead| step.after(last, ahead as i64)).collect())
    }

    /// The series as a table: id and time (where there are any), then the channels; NaN = missing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if two columns have one name.
    pub fn to_table(&self) -> Result<Table> {
        let mut columns = Vec::new();
        if let Some(name) = column_name(&self.roles.id) {
            let ids = self.series.iter().flat_map(|s| vec![s.id.clone(); s.num_rows()]);
            columns.push(Column::text(name, ids.collect()));
        }
        if let (Some(name), Some(style)) = (column_name(&self.roles.timestamp), self.time_style) {
            let times = self.series.iter().flat_map(|s| s.timestamps.iter().flatten());
            columns.push(Column::times(name, times.copied().collect(), style));
        }
        for (channel, name) in self.channels.iter().enumerate() {
            let cells = self.series.iter().flat_map(|s| {
                (0..s.num_rows()).map(move |row| s.get(row, channel).unwrap_or(f64::NAN))
            });
            columns.push(Column::numbers(name, cells.collect()));
        }
        Table::new(columns)
    }
}

/// The name of a known column; `None` where the role says that there is none.
fn column_name(role: &Option<String>) -> Option<&str> {
    role.as_deref().filter(|name| *name != super::NO_COLUMN)
}

/// Gives each row to its series, in order of first appearance.
fn split_rows(table: &Table, roles: &Resolved) -> Vec<RawSeries> {
    let cells: Vec<&[f64]> = roles
        .channels
        .iter()
        .filter_map(|name| match &table.column(name)?.values {
            Values::Numbers(cells) => Some(cells.as_slice()),
            Values::Text(_) | Values::Times { .. } => None,
        })
        .collect();
    let raw = |id: &str| RawSeries {
        id: id.to_owned(),
        rows: Vec::new(),
        times: roles.timestamp.as_ref().map(|_| Vec::new()),
        values: Vec::new(),
    };
    let mut series: Vec<RawSeries> = match &roles.id {
        Some(column) => column.series.iter().map(|id| raw(id)).collect(),
        None => vec![raw("")],
    };
    for row in 0..table.num_rows() {
        let number = roles.id.as_ref().map_or(0, |column| column.of_row[row] as usize);
        let target = &mut series[number];
        target.rows.push(row);
        target.values.extend(cells.iter().map(|column| column[row]));
        if let (Some(times), Some(column)) = (&mut target.times, &roles.timestamp) {
            times.push(column.seconds[row]);
        }
    }
    series
}

fn missing_shares(channels: &[String], series: &[RawSeries]) -> Vec<MissingShare> {
    let width = channels.len();
    let points: usize = series.iter().map(|s| s.values.len() / width).sum();
    let share = |channel: usize| {
        let cells = series.iter().flat_map(|s| s.values.iter().skip(channel).step_by(width));
        cells.filter(|cell| cell.is_nan()).count() as f64 / points.max(1) as f64
    };
    let named = channels
        .iter()
        .enumerate()
        .map(|(channel, name)| MissingShare { channel: name.clone(), share: share(channel) });
    named.collect()
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
