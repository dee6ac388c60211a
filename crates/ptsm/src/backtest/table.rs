//! The forecasts of a block of series from one cutoff, and their rows as a table.

use super::block::Known;
use super::contestant::Contestant;
use crate::Result;
use crate::data::{Column, Series, SeriesSet, Table, Values};
use crate::forecast::{
    Forecast, ForecastColumns, ForecastRows, IntervalNames, ScoredForecast, free_name,
    leading_columns,
};

/// Forecasts of some series from one cutoff, by every contestant, beside the truth.
#[non_exhaustive]
pub struct BacktestBlock<'a> {
    /// The set that the series are of.
    pub set: &'a SeriesSet,
    /// Number of the cutoff, from 0, the earliest first.
    pub cutoff: usize,
    /// The series.
    pub series: Vec<&'a Series>,
    /// Names of the contestants.
    pub names: Vec<String>,
    /// Of each contestant, of each series.
    pub forecasts: Vec<Vec<Forecast>>,
    /// Of each series: `[H, C']`, data units, NaN where a value is missing.
    pub truth: Vec<Vec<f64>>,
}

impl<'a> BacktestBlock<'a> {
    pub(super) fn new(
        set: &'a SeriesSet,
        contestants: &[Contestant],
        cutoff: usize,
        series: Vec<&'a Series>,
        found: Vec<Vec<ScoredForecast>>,
        known: Vec<Known>,
    ) -> Self {
        let alone = |all: Vec<ScoredForecast>| all.into_iter().map(|one| one.forecast).collect();
        Self {
            set,
            cutoff,
            series,
            names: contestants.iter().map(|one| one.name.clone()).collect(),
            forecasts: found.into_iter().map(alone).collect(),
            truth: known.into_iter().map(|one| one.truth).collect(),
        }
    }

    /// One row for each step: id (where there is one), `cutoff` (the time of the last row before the forecast,
    /// or its number), the time (or the number of the row), `CHANNEL_actual` with the true values, and the
    /// columns of the forecasts as [`forecast_table`](crate::forecast::forecast_table) has them; those of
    /// further contestants are called `NAME.CHANNEL`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if two columns have one name.
    pub fn table(&self, names: IntervalNames) -> Result<Table> {
        let Some(first) = self.forecasts.first().and_then(|all| all.first()) else {
            return Table::new(Vec::new());
        };
        let channels = first.channels.clone();
        let mut columns = self.leading(&channels);
        for (place, channel) in channels.iter().enumerate() {
            let name = free_name(&format!("{channel}_actual"), &taken(&columns, &channels));
            let cells = self
                .truth
                .iter()
                .flat_map(|truth| truth.iter().skip(place).step_by(channels.len()).copied());
            columns.push(Column::numbers(name, cells.collect()));
        }
        for (number, all) in self.forecasts.iter().enumerate() {
            let Some(like) = all.first() else { continue };
            let mut like = like.clone();
            if number > 0 {
                for channel in &mut like.channels {
                    *channel = format!("{}.{channel}", self.names[number]);
                }
            }
            let own = ForecastColumns::named(&like, &taken(&columns, &[]), names);
            for (index, name) in own.names().iter().enumerate() {
                let cells = all.iter().flat_map(|forecast| own.column(index, forecast));
                columns.push(Column::numbers(name, cells.collect()));
            }
        }
        Table::new(columns)
    }

    /// The columns of ids, cutoffs and times.
    fn leading(&self, channels: &[String]) -> Vec<Column> {
        let own = &self.forecasts[0];
        let rows: Vec<ForecastRows<'_>> = own.iter().map(ForecastRows::from).collect();
        let mut columns = leading_columns(self.set, &rows, channels);
        let name = free_name("cutoff", &taken(&columns, channels));
        let last = |forecast: &Forecast| forecast.first_row.saturating_sub(1);
        let timed = columns.last().is_some_and(|one| matches!(one.values, Values::Times(_)));
        let cutoffs = if timed {
            let parts = self.series.iter().zip(own).map(|(series, forecast)| {
                let times = series.timestamps.as_ref();
                let time = times.and_then(|times| times.get(last(forecast))).unwrap_or_default();
                (*series, vec![time; forecast.prediction_length()].into())
            });
            self.set.time_column(&name, parts)
        } else {
            let cells = own.iter().flat_map(|forecast| {
                std::iter::repeat_n(last(forecast) as f64, forecast.prediction_length())
            });
            Column::numbers(name, cells.collect())
        };
        let before_times = columns.len() - 1;
        columns.insert(before_times, cutoffs);
        columns
    }
}

/// Names that are taken.
fn taken(columns: &[Column], channels: &[String]) -> Vec<String> {
    let own = columns.iter().map(|column| column.name.clone());
    own.chain(channels.iter().cloned()).collect()
}
