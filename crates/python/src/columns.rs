//! Forecasts as columns: those of Nixtla's libraries (`ptsm`, `ptsm-lo-80`), or those of Chronos (`predictions`, `0.1`).

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use ptsm::data::{Column, SeriesSet, Table, Values};
use ptsm::forecast::forecast_table;
use ptsm::{Error, Forecast, Result};
use serde::Deserialize;

/// What is wanted of forecasts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Levels of intervals in per cent; `None` = all that there are.
    levels: Option<Vec<f64>>,
    /// Quantiles, in (0, 1).
    quantiles: Vec<f64>,
    /// Name of the forecast of a single channel; several are called as their channels.
    alias: Option<String>,
    /// One row for each step, series and channel, with the columns of Chronos.
    stacked: bool,
}

/// Column that names the channel of a stacked row.
const TARGET: &str = "target_name";
/// Column of the forecast in a stacked row.
const PREDICTIONS: &str = "predictions";
/// Two levels that differ by less are one.
const SAME: f64 = 1e-9;

impl Wanted {
    /// The forecasts as a batch; columns that `given` has too are of its types.
    pub(crate) fn batch(
        &self,
        set: &SeriesSet,
        forecasts: &[Forecast],
        given: &Schema,
    ) -> Result<RecordBatch> {
        let rows = match self.stacked {
            true => &stacked(forecasts),
            false => forecasts,
        };
        let bare: Vec<Forecast> = rows.iter().map(bare).collect();
        let table = forecast_table(set, &bare)?;
        let channels = rows.first().map_or(&[][..], |forecast| &forecast.channels);
        let mut columns: Vec<Column> = table.columns().to_vec();
        let points = columns.split_off(columns.len() - channels.len());
        if self.stacked {
            let names = forecasts.iter().flat_map(|forecast| {
                let steps = forecast.prediction_length();
                forecast.channels.iter().map(move |channel| (channel.as_str(), steps))
            });
            columns.push(Column::repeated_texts(TARGET, names));
        }
        let parts = self.parts(rows)?;
        let single = channels.len() == 1 && !self.stacked;
        for (number, point) in points.into_iter().enumerate() {
            let name = self.alias.clone().filter(|_| single).unwrap_or(point.name);
            columns.push(Column { name: name.clone(), values: point.values });
            for part in &parts {
                let cells = rows.iter().map(|forecast| part.cells(forecast, number));
                let cells: Vec<f64> = cells.collect::<Result<Vec<_>>>()?.concat();
                let called = match self.stacked {
                    true => part.suffix.clone(),
                    false => format!("{name}{}", part.suffix),
                };
                columns.push(Column::numbers(called, cells));
            }
        }
        as_given(&Table::new(columns)?, given)
    }

    /// The parts beside the points, in order.
    fn parts(&self, forecasts: &[Forecast]) -> Result<Vec<Part>> {
        let Some(first) = forecasts.first() else { return Ok(Vec::new()) };
        let mut levels = match &self.levels {
            Some(percents) => percents.clone(),
            None if self.stacked || !self.quantiles.is_empty() => Vec::new(),
            None => first.intervals.iter().map(|i| 100.0 * i.level).collect(),
        };
        levels.sort_by(f64::total_cmp);
        let ends = |percent: f64, upper: bool| {
            let (level, sign) = (percent / 100.0, if upper { 0.5 } else { -0.5 });
            let suffix = format!("-{}-{}", if upper { "hi" } else { "lo" }, rounded(percent));
            let called = format!("interval of {} %", rounded(percent));
            Part { quantile: 0.5 + sign * level, suffix, called }
        };
        let lower = levels.iter().rev().map(|&percent| ends(percent, false));
        let upper = levels.iter().map(|&percent| ends(percent, true));
        let quantiles = self.quantiles.iter().map(|&quantile| {
            let suffix = match self.stacked {
                true => rounded(quantile),
                false => format!("_q{}", rounded(quantile)),
            };
            Part { quantile, suffix, called: format!("quantile {}", rounded(quantile)) }
        });
        let parts: Vec<Part> = lower.chain(upper).chain(quantiles).collect();
        parts.iter().try_for_each(|part| part.check(first))?;
        Ok(parts)
    }
}

/// A quantile of forecasts.
struct Part {
    quantile: f64,
    /// What follows the channel in its name.
    suffix: String,
    /// What messages call it.
    called: String,
}

impl Part {
    /// Its numbers, `[H, C']`.
    fn of<'a>(&self, forecast: &'a Forecast) -> Option<&'a [f64]> {
        let own = forecast.quantiles.iter().find(|q| (q.level - self.quantile).abs() < SAME);
        if let Some(own) = own {
            return Some(&own.values);
        }
        if (self.quantile - 0.5).abs() < SAME {
            return Some(&forecast.values);
        }
        let level = (1.0 - 2.0 * self.quantile).abs();
        let interval = forecast.intervals.iter().find(|i| (i.level - level).abs() < SAME)?;
        Some(if self.quantile < 0.5 { &interval.lower } else { &interval.upper })
    }

    fn check(&self, forecast: &Forecast) -> Result<()> {
        if self.of(forecast).is_some() {
            return Ok(());
        }
        let percents = forecast.intervals.iter().map(|i| rounded(100.0 * i.level));
        let known = match percents.collect::<Vec<_>>() {
            none if none.is_empty() => "the forecasts have no intervals".to_owned(),
            percents => format!("the forecasts have intervals of {} %", percents.join(", ")),
        };
        let text = format!(
            "there is no {}: {known} (`calibrate(df, level=[..])` fits others; beyond the model's own h there are none)",
            self.called
        );
        Err(Error::config("levels", text))
    }

    fn cells(&self, forecast: &Forecast, channel: usize) -> Result<Vec<f64>> {
        let width = forecast.channels.len();
        let all = self.of(forecast).ok_or_else(|| Error::internal("a forecast lacks a part"))?;
        Ok(all.iter().skip(channel).step_by(width).copied().collect())
    }
}

/// A number without the dust of its computation: 80, 97.5, 0.1.
fn rounded(number: f64) -> String {
    format!("{}", (number * 1e6).round() / 1e6)
}

/// The points alone.
fn bare(forecast: &Forecast) -> Forecast {
    let mut bare = forecast.clone();
    bare.intervals.clear();
    bare.quantiles.clear();
    bare
}

/// A forecast for each channel of each forecast.
fn stacked(forecasts: &[Forecast]) -> Vec<Forecast> {
    let mut all = Vec::new();
    for forecast in forecasts {
        let width = forecast.channels.len();
        for channel in 0..width {
            let own =
                |values: &[f64]| values.iter().skip(channel).step_by(width).copied().collect();
            let mut one = forecast.clone();
            one.channels = vec![PREDICTIONS.to_owned()];
            one.values = own(&one.values);
            for interval in &mut one.intervals {
                (interval.lower, interval.upper) = (own(&interval.lower), own(&interval.upper));
            }
            for quantile in &mut one.quantiles {
                quantile.values = own(&quantile.values);
            }
            all.push(one);
        }
    }
    all
}

/// The table as a batch whose columns of times and of series are of the types that they came in.
pub(crate) fn as_given(table: &Table, given: &Schema) -> Result<RecordBatch> {
    let batch = table.to_batch()?;
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (column, array) in table.columns().iter().zip(batch.columns()) {
        let wanted = given.field_with_name(&column.name).ok().map(Field::data_type);
        let array = match wanted {
            Some(wanted) if !matches!(column.values, Values::Numbers(_)) => {
                converted(&column.values, array, wanted)
            }
            _ => Arc::clone(array),
        };
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        columns.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|e| Error::internal("forecasts make no batch").because(e))
}

/// An array in the type that its column came in; as it is where that cannot hold it.
fn converted(values: &Values, array: &ArrayRef, wanted: &DataType) -> ArrayRef {
    let text = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View];
    let texts = |wanted: &DataType| match wanted {
        DataType::Dictionary(_, of) => text.contains(of),
        wanted => text.contains(wanted),
    };
    let array = match values {
        // Stamps that came as texts are written in their own style.
        Values::Times(_) if texts(wanted) => {
            let texts = (0..values.len()).map(|row| Some(values.text(row)));
            Arc::new(texts.collect::<StringArray>()) as ArrayRef
        }
        _ => Arc::clone(array),
    };
    match cast(&array, wanted) {
        Ok(cast) if cast.null_count() == array.null_count() => cast,
        _ => array,
    }
}
