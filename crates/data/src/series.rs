//! Series on a regular grid: values, times, and a mask instead of NaN.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::calendar::{Anchor, Calendar, Frequency};
use super::covariates::{Covariates, Parted, part};
use super::raw_series::{Origin, RawSeries, fill_gaps, merge_duplicates, order};
use super::repair::{Grid, MissingShare, Repair, RepairReport};
use super::resample_rows::resample;
use super::roles::{KnownTimes, Resolved, Roles, resolve};
use super::round_rows::round;
use super::steps::{Steps, can_continue, check_same_step, settle};
use super::table::{Column, Table, Values};
use super::table_rows::TableRows;
use super::time_cells::{Offsets, TimeCells};
use super::time_rules::TimeRules;
use super::times::Times;
use super::timestamp::TimeStyle;
use super::zone::{Zone, ZoneSearch};
use crate::civil::SECOND;
use ptsm_core::{Error, MemoryBudget, Result, bytes_of, option};

/// One record: channels side by side over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which series of a long table this is; empty for a wide table.
    pub id: String,
    /// Time of each row on the clock of the set's [`TimeRules`], in nanoseconds since 1970-01-01
    /// 00:00; the whole numbers of an index; `None` = rows are only numbered.
    pub timestamps: Option<Times>,
    /// Days of the month that the rows fall on, where the step depends on them.
    pub anchor: Anchor,
    /// How far its clock is ahead of UTC.
    pub zone: Zone,
    /// Channels, C.
    pub num_channels: usize,
    /// `[T, C]`, row-major, in data units, finite; 0 where a point is missing.
    pub values: Vec<f64>,
    /// `[T, C]`, true = seen; `None` = everything seen.
    pub observed: Option<Vec<bool>>,
    /// What is known ahead of a forecast, of these rows and those that follow; `None` = nothing.
    pub covariates: Option<Covariates>,
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
        Ok(Self::from_finite(id.into(), num_channels, values))
    }

    /// `values`: NaN or finite.
    fn from_finite(id: String, num_channels: usize, mut values: Vec<f64>) -> Self {
        let gaps = values.iter().any(|value| value.is_nan());
        let observed = gaps.then(|| values.iter().map(|value| !value.is_nan()).collect());
        if gaps {
            for value in values.iter_mut().filter(|value| value.is_nan()) {
                *value = 0.0;
            }
        }
        let (anchor, zone) = (Anchor::NONE, Zone::default());
        Self {
            id,
            timestamps: None,
            anchor,
            zone,
            num_channels,
            values,
            observed,
            covariates: None,
        }
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
    /// Names of the covariates, K: columns, then features of the calendar.
    pub covariates: Vec<String>,
    /// The series, in the order in which the table names them; at least one.
    pub series: Vec<Series>,
    /// Distance between rows; `None` without times, or where no series has two rows.
    pub frequency: Option<Frequency>,
    /// How the table writes times, made fine enough for its step; `None` without times.
    pub time_style: Option<TimeStyle>,
    /// How times were read: to be saved with a model.
    pub times: TimeRules,
    /// The roles of the columns, with nothing left to find out: to be saved with a model.
    pub roles: Roles,
    /// What was done to the rows.
    pub repairs: RepairReport,
}

/// SHA-256 of parts, each with its length first, so that no part can be taken for another.
#[derive(Default)]
pub(crate) struct HashedParts(Sha256);

impl HashedParts {
    /// Adds a part.
    pub(crate) fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// Adds the name, every value, gap, covariate and time of a series.
    pub(crate) fn add_series(&mut self, series: &Series) {
        self.add(series.id.as_bytes());
        let values: Vec<u8> = series.values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let seen = series.observed.iter().flatten().map(|&seen| u8::from(seen));
        let times = series
            .timestamps
            .iter()
            .flat_map(Times::iter)
            .flat_map(|time| hashed(time).to_le_bytes());
        self.add(&values);
        self.add(&seen.collect::<Vec<u8>>());
        if let Some(covariates) = &series.covariates {
            let known: Vec<u8> = covariates.values().iter().flat_map(|x| x.to_le_bytes()).collect();
            self.add(&known);
        }
        self.add(&times.collect::<Vec<u8>>());
    }

    /// The digest, as hex digits.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl SeriesSet {
    /// A set of other series, with everything else as in this one.
    #[must_use]
    pub fn with_series(&self, series: Vec<Series>) -> Self {
        Self {
            channels: self.channels.clone(),
            covariates: self.covariates.clone(),
            series,
            frequency: self.frequency,
            time_style: self.time_style,
            times: self.times.clone(),
            roles: self.roles.clone(),
            repairs: self.repairs.clone(),
        }
    }

    /// The series by their ids, for many look-ups.
    pub fn by_id(&self) -> HashMap<&str, &Series> {
        self.series.iter().map(|series| (series.id.as_str(), series)).collect()
    }

    /// SHA-256, as hex digits, over the names of the channels and every value, gap and time: what
    /// differs for other data.
    pub fn fingerprint(&self) -> String {
        let mut parts = HashedParts::default();
        self.channels.iter().for_each(|name| parts.add(name.as_bytes()));
        self.series.iter().for_each(|series| parts.add_series(series));
        parts.finish()
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
        let known = KnownTimes {
            dates: repair.dates.or(repair.model.as_ref().and_then(|model| model.rules.order)),
            style: repair.model.as_ref().and_then(|model| model.rules.style),
        };
        let resolved = resolve(table, roles, known)?;
        if u32::try_from(table.num_rows()).is_err() {
            let message = "a table of more than 2^32 rows (use several)";
            return Err(Error::input(message).at(table.source()));
        }
        // Looked up by name, since a search for each of many columns would take long.
        let columns: HashMap<&str, &Column> =
            table.columns().iter().map(|column| (column.name.as_str(), column)).collect();
        let found = |name: &str| columns.get(name).copied().or_else(|| table.column(name));
        let cells: Vec<&[f64]> = resolved
            .channels
            .iter()
            .chain(&resolved.covariates)
            .filter_map(|name| match &found(name)?.values {
                Values::Numbers(cells) => Some(cells.as_slice()),
                Values::Text(_) | Values::Times(_) => None,
            })
            .collect();
        let way_out = "fewer columns, or a longer step where times are far apart";
        let budget = MemoryBudget::new("putting the rows on a grid of equal steps", way_out);
        // A value and whether it is known.
        budget.take(bytes_of(&[table.num_rows(), cells.len(), 3]))?;
        let origin = Origin { table, roles: &resolved, cells: &cells, budget: &budget };
        let mut report = RepairReport {
            rows_read: table.num_rows(),
            ignored_columns: resolved.ignored.clone(),
            ..RepairReport::default()
        };
        let mut raw = split_rows(table.num_rows(), &resolved);
        let steps = put_on_grid(&mut raw, repair, origin, &mut report)?;
        let width = resolved.channels.len();
        let finish = |mut raw: RawSeries| {
            let cells = raw.take_values(origin);
            let Parted { values, covariates } = match resolved.planned {
                true => part(cells, width, resolved.covariates.len()),
                false => Parted { values: cells, covariates: None },
            };
            // Rows that only plan covariates come after the series.
            let rows = values.len() / width;
            raw.times.iter_mut().for_each(|times| times.truncate(rows));
            Series {
                timestamps: raw.times.map(Times::from),
                anchor: raw.anchor,
                zone: raw.zone,
                covariates,
                ..Series::from_finite(raw.id, width, values)
            }
        };
        // One by one on each thread, so that the times of each are released before the values of the
        // next are taken.
        let series: Vec<Series> = raw.into_par_iter().map(finish).collect();
        report.missing = missing_shares(&resolved.channels, &series);
        let written = resolved.timestamp.as_ref().map(|column| column.style);
        let times = TimeRules {
            style: written,
            order: resolved.timestamp.as_ref().and_then(|column| column.order),
            clock: steps.clock,
            anchors: kept_anchors(&series),
            holidays: repair.holidays.clone(),
            round: repair.round,
            resample: repair.resample,
        };
        let mut set = Self {
            series,
            frequency: steps.step,
            time_style: written,
            times,
            roles: resolved.roles(),
            repairs: report,
            covariates: resolved.covariates,
            channels: resolved.channels,
        };
        set.add_calendar();
        set.time_style = written.map(|style| set.wide_enough(style));
        Ok(set)
    }

    /// The calendar of a series; `None` without times, or where the step is not known.
    pub fn calendar(&self, series: &Series) -> Option<Calendar> {
        series.timestamps.as_ref()?;
        let (step, holidays) = (self.frequency?, self.times.holidays.clone());
        Some(Calendar { step, anchor: series.anchor, holidays })
    }

    /// A style that is fine enough for the rows and for those that follow.
    fn wide_enough(&self, style: TimeStyle) -> TimeStyle {
        self.series.iter().fold(style, |style, series| {
            let Some(first) = series.timestamps.as_ref().and_then(Times::first) else {
                return style;
            };
            let next = self.calendar(series).map(|calendar| calendar.after(first, 1));
            let times = [Some(first), next].into_iter().flatten();
            let local = |time| series.zone.both(time, self.times.clock).1;
            if style == TimeStyle::Index { style } else { style.holding(times.map(local)) }
        })
    }

    /// Takes out the series of which no value is known before the last `rows_before_end` rows, and gives them: nothing
    /// can be forecast from them.
    pub fn leave_out_unknown(&mut self, rows_before_end: usize) -> Vec<Series> {
        let channels = self.channels.len();
        let known = |series: &Series| {
            let rows = series.num_rows().saturating_sub(rows_before_end);
            (0..rows).any(|row| (0..channels).any(|c| series.get(row, c).is_some()))
        };
        let (kept, left) = self.series.drain(..).partition(known);
        self.series = kept;
        left
    }

    /// A time of a series as text, as the table writes it.
    pub fn time_text(&self, series: &Series, time: i64) -> String {
        let Some(style) = self.time_style.filter(|style| *style != TimeStyle::Index) else {
            return time.to_string();
        };
        let (instant, local) = series.zone.both(time, self.times.clock);
        style.format(local, ((local - instant) / SECOND) as i32)
    }

    /// A column of times of series: of each, some times on the clock of the set.
    pub fn time_column<'a>(
        &self,
        name: &str,
        parts: impl Iterator<Item = (&'a Series, Cow<'a, [i64]>)>,
    ) -> Column {
        let style = self.time_style.unwrap_or(TimeStyle::PLAIN);
        if style == TimeStyle::Index {
            let times = parts.flat_map(|(_, times)| times.into_owned());
            return Column::times(name, times.collect(), style);
        }
        let (mut instants, mut offsets) = (Vec::new(), Vec::new());
        let mut only_zone: Option<Zone> = None;
        let mut one_zone = true;
        for (series, times) in parts {
            one_zone &= only_zone.get_or_insert_with(|| series.zone.clone()) == &series.zone;
            for &time in times.iter() {
                let (instant, local) = series.zone.both(time, self.times.clock);
                instants.push(instant);
                offsets.push(((local - instant) / SECOND) as i32);
            }
        }
        let offsets = match (only_zone, offsets.first()) {
            (Some(Zone::Named(zone)), _) if one_zone => Offsets::Zone(zone),
            (_, Some(first)) if offsets.iter().all(|offset| offset == first) => {
                Offsets::Fixed(*first)
            }
            _ => Offsets::Rows(offsets),
        };
        Column {
            name: name.to_owned(),
            values: Values::Times(TimeCells { instants, offsets, style }),
        }
    }

    /// Times of `count` rows after the end of a series, as [`Series::timestamps`]; `None` where rows
    /// are only numbered or the step is not known.
    pub fn future_timestamps(&self, series: &Series, count: usize) -> Option<Vec<i64>> {
        let last = series.timestamps.as_ref()?.last()?;
        let calendar = self.calendar(series)?;
        Some((1..=count).map(|ahead| calendar.after(last, ahead as i64)).collect())
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
        if let (Some(name), Some(_)) = (column_name(&self.roles.timestamp), self.time_style) {
            let times = |s: &Series| s.timestamps.as_ref().map_or_else(Vec::new, Times::to_vec);
            let times = self.series.iter().map(|s| (s, times(s).into()));
            columns.push(self.time_column(name, times));
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

/// Rounds, orders, joins and completes the rows, as far as `repair` allows.
fn put_on_grid(
    raw: &mut [RawSeries],
    repair: &Repair,
    origin: Origin<'_>,
    report: &mut RepairReport,
) -> Result<Steps> {
    let is_index = origin.roles.is_index();
    if origin.roles.timestamp.is_none() {
        repair.refuse_without_times("the rows have none")?;
        return Ok(Steps { step: None, clock: repair.model_clock() });
    }
    if is_index {
        repair.refuse_without_times("the times are whole numbers")?;
    }
    if let Some(rounding) = repair.round {
        round(rounding, raw, origin, report)?;
    }
    for place in places(raw, |series| !series.rises()) {
        order(&mut raw[place], repair, origin, report)?;
    }
    let mut zones = ZoneSearch::default();
    raw.iter_mut().for_each(|series| series.settle_zone(&mut zones));
    if let Some(rule) = repair.resample {
        resample(rule, raw, &repair.holidays, origin, report)?;
    }
    let mut steps = settle(raw, repair, origin)?;
    match (steps.step, repair.grid) {
        (Some(step), Grid::Regular) => {
            // Where a clock is put back, two times in UTC may be one on it.
            for place in places(raw, |series| !series.rises()) {
                merge_duplicates(&mut raw[place], repair.duplicates, origin, report)?;
            }
            check_same_step(raw, steps, repair, origin)?;
            let even = Calendar::of(step);
            for place in places(raw, |series| !even.is_even(series.times())) {
                let (anchor, holidays) = (raw[place].anchor, repair.holidays.clone());
                let calendar = Calendar { step, anchor, holidays };
                fill_gaps(&mut raw[place], &calendar, origin, report)?;
            }
        }
        (Some(step), Grid::Rows) if !can_continue(raw, step, &repair.holidays) => {
            let text = format!(
                "the times follow no calendar (most rows are {step} apart): rows that are forecast \
                 are numbered, and their season is 1 (see {})",
                option("season", None)
            );
            report.remarks.push(text.into());
            steps.step = None;
        }
        _ => {}
    }
    Ok(steps)
}

/// Which of many series something is to be done about: mostly none, so that all threads look.
fn places(raw: &[RawSeries], needs: impl Fn(&RawSeries) -> bool + Sync) -> Vec<usize> {
    let all = raw.par_iter().enumerate().with_min_len(SERIES_AT_ONCE);
    all.filter(|(_, series)| needs(series)).map(|(place, _)| place).collect()
}

/// The days of the month that a model must keep, since a single row does not show them.
fn kept_anchors(series: &[Series]) -> std::collections::BTreeMap<String, Anchor> {
    let kept = series.iter().filter(|series| series.anchor.must_be_kept());
    kept.map(|series| (series.id.clone(), series.anchor)).collect()
}

/// A time as it goes into a fingerprint: in seconds where it is whole ones.
fn hashed(time: i64) -> i64 {
    if time % SECOND == 0 { time / SECOND } else { time }
}

/// The name of a known column; `None` where the role says that there is none.
fn column_name(role: &Option<String>) -> Option<&str> {
    role.as_deref().filter(|name| *name != super::NO_COLUMN)
}

/// Series that a thread looks at before it looks for more.
const SERIES_AT_ONCE: usize = 16;

/// Gives each row to its series, in order of first appearance.
fn split_rows(num_rows: usize, roles: &Resolved<'_>) -> Vec<RawSeries> {
    let rows_of = rows_of_series(num_rows, roles);
    let raw = |(number, rows): (usize, TableRows)| {
        let column = roles.timestamp.as_ref();
        let offsets = column.map(|column| &column.offsets);
        RawSeries {
            id: roles.id.as_ref().map_or_else(String::new, |column| column.series[number].clone()),
            times: column.map(|column| column.instants.of(&rows)),
            offsets: match offsets {
                Some(Offsets::Rows(offsets)) => Some(rows.of(offsets)),
                _ => None,
            },
            zone: match offsets {
                Some(Offsets::Fixed(offset)) => Zone::Fixed(*offset),
                Some(Offsets::Zone(zone)) => Zone::Named(zone.clone()),
                _ => Zone::default(),
            },
            anchor: Anchor::NONE,
            values: None,
            rows,
        }
    };
    let all = rows_of.into_par_iter().enumerate().with_min_len(SERIES_AT_ONCE);
    all.map(raw).collect()
}

/// The rows of each series.
fn rows_of_series(num_rows: usize, roles: &Resolved<'_>) -> Vec<TableRows> {
    let Some(column) = &roles.id else { return vec![TableRows::Run(0..num_rows)] };
    // Rows of one series mostly lie together.
    let runs = || column.of_row.chunk_by(|a, b| a == b);
    let mut counts = vec![0; column.series.len()];
    runs().for_each(|run| counts[run[0] as usize] += run.len());
    let mut all = vec![TableRows::Run(0..0); counts.len()];
    let mut start = 0;
    for run in runs() {
        let number = run[0] as usize;
        let rows = start..start + run.len();
        start = rows.end;
        match run.len() == counts[number] {
            true => all[number] = TableRows::Run(rows),
            false => rows.for_each(|row| all[number].push(row, counts[number])),
        }
    }
    all
}

fn missing_shares(channels: &[String], series: &[Series]) -> Vec<MissingShare> {
    let width = channels.len();
    let points: usize = series.iter().map(Series::num_rows).sum();
    let share = |channel: usize| {
        let seen = series.iter().filter_map(|series| series.observed.as_ref());
        let seen = seen.flat_map(|seen| seen.iter().skip(channel).step_by(width));
        seen.filter(|&&seen| !seen).count() as f64 / points.max(1) as f64
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

#[cfg(test)]
#[path = "time_tests.rs"]
mod time_tests;
