//! Covariates of the rows after the end of series: features of the calendar, and those of a table of plans.

use super::calendar::Calendar;
use super::calendar_feature::CalendarFeature;
use super::covariates::Covariates;
use super::repair::Repair;
use super::roles::{NO_COLUMN, Roles};
use super::series::{Series, SeriesSet};
use super::table::Table;
use super::wanted_column::wanted_column;
use ptsm_core::{Error, Result, bytes_of, option, require_memory};

/// Rows of a table of plans, from which covariates are read.
#[derive(Debug, Clone)]
pub struct Plan {
    set: SeriesSet,
    /// The table, for messages.
    source: String,
}

impl Plan {
    /// Reads the covariates of `roles` from a table, which needs no other columns than theirs and those of the times and
    /// ids.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it, or if the times are not what `repair` allows.
    pub fn from_table(table: &Table, roles: &Roles, repair: &Repair) -> Result<Self> {
        for name in &roles.future_covariates {
            wanted_column(table, name, "future_covariates")?;
        }
        let named = |role: &Option<String>, field: &str| match role.as_deref() {
            Some(name) if name != NO_COLUMN => wanted_column(table, name, field).map(|_| ()),
            _ => Ok(()),
        };
        named(&roles.timestamp, "timestamp")?;
        named(&roles.id, "id")?;
        let roles = Roles {
            timestamp: roles.timestamp.clone(),
            id: roles.id.clone(),
            targets: Some(roles.future_covariates.clone()),
            ..Roles::default()
        };
        let set = SeriesSet::from_table(table, &roles, repair)?;
        Ok(Self { set, source: table.source().to_owned() })
    }
}

impl SeriesSet {
    /// Appends the features of the calendar to the covariates of every row.
    pub(super) fn add_calendar(&mut self) {
        let features = self.roles.calendar.clone();
        if features.is_empty() {
            return;
        }
        self.covariates.extend(features.iter().flat_map(|feature| feature.names()));
        for place in 0..self.series.len() {
            let series = &self.series[place];
            let columns = series.covariates.clone();
            let rows = columns.as_ref().map_or(series.num_rows(), Covariates::num_rows);
            let calendar = self.calendar(series);
            let mut values = Vec::with_capacity(rows * self.covariates.len());
            for row in 0..rows {
                values.extend_from_slice(
                    columns.as_ref().and_then(|columns| columns.row(row)).unwrap_or_default(),
                );
                self.push_calendar(series, calendar.as_ref(), row, &mut values);
            }
            self.series[place].covariates = Some(Covariates::new(self.covariates.len(), values));
        }
    }

    /// Forgets the columns and the features of the calendar that are not to be kept, in the order of `roles`.
    ///
    /// # Panics
    ///
    /// If there is not one decision for each.
    pub fn keep_covariates(&mut self, kept: &[bool]) {
        let (columns, calendar) = (&self.roles.future_covariates, &self.roles.calendar);
        assert_eq!(kept.len(), columns.len() + calendar.len(), "one decision for each covariate");
        let widths = columns.iter().map(|_| 1).chain(calendar.iter().map(|one| one.width()));
        let numbers: Vec<bool> =
            widths.zip(kept).flat_map(|(width, &kept)| vec![kept; width]).collect();
        let mut decisions = kept.iter();
        let mut is_kept = || decisions.next().copied().unwrap_or_default();
        self.roles.future_covariates.retain(|_| is_kept());
        self.roles.calendar.retain(|_| is_kept());
        let mut decisions = numbers.iter().cycle();
        self.covariates.retain(|_| decisions.next().copied().unwrap_or_default());
        let width = self.covariates.len();
        for series in &mut self.series {
            let Some(covariates) = &series.covariates else { continue };
            let values = covariates.values().iter().zip(numbers.iter().cycle());
            let values = values.filter(|(_, kept)| **kept).map(|(value, _)| *value).collect();
            series.covariates = (width > 0).then(|| Covariates::new(width, values));
        }
    }

    /// Appends the features of the calendar in a row, which may be after the end of the series.
    fn push_calendar(
        &self,
        series: &Series,
        calendar: Option<&Calendar>,
        row: usize,
        to: &mut Vec<f64>,
    ) {
        let features: &[CalendarFeature] = &self.roles.calendar;
        match self.row_time(series, calendar, row) {
            Some(time) => {
                let (_, local) = series.zone.both(time, self.times.clock);
                features.iter().for_each(|one| one.push(local, &self.times.holidays, to));
            }
            None => {
                let width: usize = features.iter().map(|feature| feature.width()).sum();
                to.extend(std::iter::repeat_n(f64::NAN, width));
            }
        }
    }

    /// The time of a row, which may be after the end of the series; `None` where rows have none.
    fn row_time(&self, series: &Series, calendar: Option<&Calendar>, row: usize) -> Option<i64> {
        let times = series.timestamps.as_ref()?;
        match times.get(row) {
            Some(time) => Some(time),
            None => Some(calendar?.after(times.last()?, (row + 1 - times.len()) as i64)),
        }
    }

    /// Takes the covariates of rows after the end of each series from a plan; its other rows are passed over.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a time of the plan is not on the grid of its series, or if no row of the plan comes after
    /// one of the series.
    pub fn join_plan(&mut self, plan: &Plan) -> Result<()> {
        let named = plan.set.by_id();
        let mut joined = 0;
        for place in 0..self.series.len() {
            let series = &self.series[place];
            let Some(rows) = named.get(series.id.as_str()) else { continue };
            let calendar = self.calendar(series);
            let mut found = Vec::new();
            for row in 0..rows.num_rows() {
                if let Some(at) = self.place_of(series, calendar.as_ref(), rows, row, plan)? {
                    let known = |k| rows.get(row, k).unwrap_or(f64::NAN);
                    let values: Vec<f64> = (0..rows.num_channels).map(known).collect();
                    found.push((at, values));
                }
            }
            joined += found.len();
            let first = series.num_rows();
            let last = found.iter().map(|(at, _)| at + 1).max().unwrap_or_default();
            self.plan_rows(place, first + last)?;
            let Some(covariates) = &mut self.series[place].covariates else { continue };
            for (at, values) in found {
                let to = &mut covariates.row_mut(first + at)[..values.len()];
                // What the data themselves say stays where the plan says nothing.
                to.iter_mut()
                    .zip(values)
                    .filter(|(_, new)| !new.is_nan())
                    .for_each(|(to, x)| *to = x);
            }
        }
        if joined > 0 {
            return Ok(());
        }
        let text = "no row of the plan comes after the end of a series with its id";
        Err(Error::input(text).at(&plan.source))
    }

    /// Which row after the end of `series` (from 0) a row of its plan is; `None` for rows that are not after it.
    fn place_of(
        &self,
        series: &Series,
        calendar: Option<&Calendar>,
        rows: &Series,
        row: usize,
        plan: &Plan,
    ) -> Result<Option<usize>> {
        let times = (&series.timestamps, &rows.timestamps);
        let (Some(own), Some(planned)) = times else { return Ok(Some(row)) };
        let (Some(last), Some(time)) = (own.last(), planned.get(row)) else { return Ok(None) };
        if time <= last {
            return Ok(None);
        }
        let Some(calendar) = calendar else {
            let text = "the rows of the series have no step on which the plan could follow them";
            return Err(Error::input(text).at(&plan.source));
        };
        match calendar.steps_between(last, time) {
            Some(steps) => Ok(usize::try_from(steps - 1).ok()),
            None => {
                let of = if series.id.is_empty() {
                    String::new()
                } else {
                    format!(" of series \"{}\"", series.id)
                };
                let text = format!(
                    "{} is not on the grid of {}{of}, whose last row is {}",
                    self.time_text(series, time),
                    calendar.step,
                    self.time_text(series, last)
                );
                Err(Error::input(text).at(&plan.source))
            }
        }
    }

    /// Makes every series have covariates up to `steps` rows after a forecast begins, `rows_before_end` rows before
    /// its end: those of the calendar are computed. A value that is missing in a row of the series itself is none of
    /// a plan, and counts as the mean.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming series, covariate and time, if one is not known there.
    pub fn require_plan(&mut self, rows_before_end: usize, steps: usize) -> Result<()> {
        if self.covariates.is_empty() {
            return Ok(());
        }
        let more = steps.saturating_sub(rows_before_end);
        let bytes = bytes_of(&[self.series.len(), more, 2 * self.covariates.len()]);
        require_memory("planning covariates", bytes, "fewer steps or series")?;
        for place in 0..self.series.len() {
            let first = self.series[place].num_rows().saturating_sub(rows_before_end);
            self.plan_rows(place, first + steps)?;
            let series = &self.series[place];
            let unknown = series
                .covariates
                .as_ref()
                .and_then(|covariates| covariates.first_unknown(series.num_rows()..first + steps));
            if let Some((row, covariate)) = unknown {
                return Err(self.unplanned(series, row, covariate));
            }
        }
        Ok(())
    }

    /// Adds rows of covariates up to `end`, in which only the calendar is known.
    fn plan_rows(&mut self, place: usize, end: usize) -> Result<()> {
        let series = &self.series[place];
        let Some(covariates) = &series.covariates else { return Ok(()) };
        let (known, width) = (covariates.num_rows(), covariates.width());
        if known >= end {
            return Ok(());
        }
        let calendar = self.calendar(series);
        let features: usize = self.roles.calendar.iter().map(|feature| feature.width()).sum();
        let mut rows = Vec::with_capacity((end - known) * width);
        for row in known..end {
            rows.extend(std::iter::repeat_n(f64::NAN, width - features));
            self.push_calendar(series, calendar.as_ref(), row, &mut rows);
        }
        let Some(covariates) = &mut self.series[place].covariates else { return Ok(()) };
        for (row, values) in (known..end).zip(rows.chunks_exact(width)) {
            covariates.row_mut(row).copy_from_slice(values);
        }
        Ok(())
    }

    fn unplanned(&self, series: &Series, row: usize, covariate: usize) -> Error {
        let of = if series.id.is_empty() {
            String::new()
        } else {
            format!(" of series \"{}\"", series.id)
        };
        let time = self.row_time(series, self.calendar(series).as_ref(), row);
        let when = match time {
            Some(time) => format!("at {}", self.time_text(series, time)),
            None => format!("in row {row}"),
        };
        let name = &self.covariates[covariate];
        Error::input(format!(
            "the forecast{of} needs covariate \"{name}\" {when}, which is not known (rows without a target \
             at the end of the data may hold it, or a table that {} names)",
            option("future", Some("plan.csv"))
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReadOptions;

    const DATA: &str =
        "when,y,promo\n2024-01-01,1,0\n2024-01-02,2,1\n2024-01-03,3,0\n2024-01-04,,1\n";

    fn table(text: &str) -> Table {
        Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
    }

    fn roles() -> Roles {
        Roles {
            future_covariates: vec!["promo".into()],
            calendar: vec![CalendarFeature::Weekday],
            ..Roles::default()
        }
    }

    fn set() -> SeriesSet {
        SeriesSet::from_table(&table(DATA), &roles(), &Repair::default()).unwrap()
    }

    fn promo(set: &SeriesSet) -> Vec<f64> {
        set.series[0].covariates.as_ref().unwrap().values().iter().step_by(8).copied().collect()
    }

    #[test]
    fn rows_at_the_end_and_tables_plan_covariates() {
        let mut set = set();
        assert_eq!(
            (set.channels.as_slice(), set.series[0].num_rows()),
            (["y".to_owned()].as_slice(), 3)
        );
        assert_eq!(set.covariates.len(), 8);
        assert_eq!(promo(&set), [0.0, 1.0, 0.0, 1.0]);
        set.require_plan(0, 1).unwrap();
        set.require_plan(2, 3).unwrap();
        let text = set.require_plan(0, 2).unwrap_err().to_string();
        assert!(text.contains("\"promo\" at 2024-01-05, which is not known"), "{text}");
        // The plan may have rows of the past; a gap in it stays unknown.
        let rows = "when,promo\n2024-01-03,5\n2024-01-05,6\n2024-01-07,8\n";
        let plan = Plan::from_table(&table(rows), &set.roles, &Repair::default()).unwrap();
        set.join_plan(&plan).unwrap();
        set.require_plan(0, 2).unwrap();
        assert_eq!(promo(&set)[..5], [0.0, 1.0, 0.0, 1.0, 6.0]);
        let text = set.require_plan(0, 4).unwrap_err().to_string();
        assert!(text.contains("2024-01-06"), "{text}");
        // The 4th of January 2024 was a Thursday, the 7th a Sunday.
        let covariates = set.series[0].covariates.as_ref().unwrap();
        assert_eq!(covariates.row(3).unwrap()[1..], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(covariates.row(6).unwrap()[7], 1.0);
    }

    #[test]
    fn covariates_may_be_forgotten() {
        let mut kept = set();
        kept.keep_covariates(&[true, false]);
        assert_eq!(
            (kept.covariates.as_slice(), kept.roles.calendar.len()),
            (["promo".to_owned()].as_slice(), 0)
        );
        assert_eq!(kept.series[0].covariates.as_ref().unwrap().values(), [0.0, 1.0, 0.0, 1.0]);
        let mut none = set();
        none.keep_covariates(&[false, false]);
        assert!(none.series[0].covariates.is_none() && none.covariates.is_empty());
        assert!(none.roles.future_covariates.is_empty());
    }

    #[test]
    fn a_plan_that_does_not_fit_is_refused() {
        let mut set = set();
        let renamed =
            Plan::from_table(&table("when,prom\n2024-01-05,1\n"), &set.roles, &Repair::default());
        let text = renamed.unwrap_err().to_string();
        assert!(text.contains("future_covariates") && text.contains("promo"), "{text}");
        let early = table("when,promo\n2024-01-01,1\n2024-01-02,1\n");
        let plan = Plan::from_table(&early, &set.roles, &Repair::default()).unwrap();
        let text = set.join_plan(&plan).unwrap_err().to_string();
        assert!(text.contains("no row of the plan"), "{text}");
    }

    #[test]
    fn covariates_are_columns_of_numbers_that_are_no_targets() {
        let refused = |roles: Roles| {
            let got = SeriesSet::from_table(&table(DATA), &roles, &Repair::default());
            got.unwrap_err().to_string()
        };
        let twice = Roles { targets: Some(vec!["promo".into()]), ..roles() };
        assert!(refused(twice).contains("\"promo\" is a target too"));
        let unknown = Roles { future_covariates: vec!["prom".into()], ..Roles::default() };
        assert!(refused(unknown).contains("promo"));
        let calendar = vec![CalendarFeature::Month; 2];
        assert!(refused(Roles { calendar, ..roles() }).contains("month comes twice"));
        let index = table("t,y\n1,1\n2,2\n3,3\n");
        let calendar = Roles { calendar: vec![CalendarFeature::Month], ..Roles::default() };
        let got = SeriesSet::from_table(&index, &calendar, &Repair::default());
        assert!(got.unwrap_err().to_string().contains("needs dates"));
    }
}
