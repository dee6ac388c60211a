//! Scanned points as a table.

use super::scan::{Detection, ScannedPoint};
use crate::Result;
use crate::data::{Column, SeriesSet, Table};
use crate::forecast::{ForecastRows, free_name, leading_columns};

/// A number of a point.
type Number = fn(&ScannedPoint) -> f64;

impl Detection {
    /// A row for each point: series and time (or number of the row) as the data have them, channel, value, expected
    /// value, score, p-value, adjusted p-value, and 1 for an anomaly or 0. Names get a line below where a column of
    /// the data is called so.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if two columns have one name.
    pub fn table(&self, set: &SeriesSet) -> Result<Table> {
        const NAMES: [&str; 7] = ["channel", "value", "expected", "score", "p", "q", "anomaly"];
        let times: Vec<Option<[i64; 1]>> = self.points.iter().map(|p| p.time(set)).collect();
        let rows = self.points.iter().zip(&times).map(|(point, time)| ForecastRows {
            id: &set.series[point.series].id,
            first_row: point.row,
            timestamps: time.as_ref().map(<[i64; 1]>::as_slice),
            steps: 1,
        });
        let rows: Vec<ForecastRows<'_>> = rows.collect();
        let mut columns = leading_columns(set, &rows, &NAMES.map(str::to_owned));
        let taken: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let name = |name: &str| free_name(name, &taken);
        let channels = self.points.iter().map(|point| (&*self.channels[point.channel], 1));
        columns.push(Column::repeated_texts(name("channel"), channels));
        let numbers: [(&str, Number); 6] = [
            ("value", |point| point.value),
            ("expected", |point| point.expected),
            ("score", |point| point.score),
            ("p", |point| point.p),
            ("q", |point| point.q),
            ("anomaly", |point| f64::from(u8::from(point.anomaly))),
        ];
        for (own, of) in numbers {
            columns.push(Column::numbers(name(own), self.points.iter().map(of).collect()));
        }
        Table::new(columns)
    }
}

impl ScannedPoint {
    /// Its time; `None` without times.
    pub(super) fn time(&self, set: &SeriesSet) -> Option<[i64; 1]> {
        Some([set.series[self.series].timestamps.as_ref()?.get(self.row)?])
    }
}
