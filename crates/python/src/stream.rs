//! Forecasts while rows arrive.

use std::sync::{Arc, Mutex, PoisonError};

use ptsm::data::{ReadOptions, RowReader};
use ptsm::forecast::ForecastModel;
use ptsm::stream::{StreamOptions, StreamRow, StreamState, StreamWorker};
use ptsm::{Error, Forecast, Result};
use pyo3::prelude::*;
use serde_json::{Map, Value};

use crate::forecaster::ForecastCore;
use crate::work::short;

/// A stream of rows of one series.
#[pyclass(frozen, module = "ptsm._ptsm")]
pub(crate) struct StreamCore {
    model: Arc<ForecastModel>,
    /// Used by one call at a time.
    inside: Mutex<Inside>,
}

struct Inside {
    worker: StreamWorker,
    state: StreamState,
}

/// A forecast of a stream: times as texts, names of channels, points, and the level with the ends of each interval.
type Told = (Option<Vec<String>>, Vec<String>, Vec<f64>, Vec<(f64, Vec<f64>, Vec<f64>)>);

impl StreamCore {
    fn push_row(&self, time: Option<&str>, values: &[Option<f64>]) -> Result<Option<Told>> {
        let preprocessor = self.model.preprocessor();
        let mut columns = preprocessor.row_columns();
        columns.id = None;
        if values.len() != columns.channels.len() {
            let (got, wanted) = (values.len(), columns.channels.len());
            let names = columns.channels.join(", ");
            return Err(Error::input(format!("{got} values, wanted {wanted} ({names})")));
        }
        let mut row = Map::new();
        let named = columns.channels.iter().zip(values);
        row.extend(named.map(|(name, &value)| (name.clone(), value.into())));
        match (&columns.timestamp, time) {
            (Some(name), Some(time)) => {
                let time = time.parse::<i64>().map_or_else(|_| Value::from(time), Value::from);
                row.insert(name.clone(), time);
            }
            (Some(_), None) => {
                return Err(Error::input(
                    "the row has no time, and the model was trained with times",
                ));
            }
            (None, Some(_)) => {
                let text =
                    "the row has a time, and the model was trained on rows without (give None)";
                return Err(Error::input(text));
            }
            (None, None) => {}
        }
        let line = Value::Object(row).to_string();
        let options = ReadOptions::default();
        let found = RowReader::new(line.as_bytes(), columns, &options, &preprocessor.times)?;
        let Some(mut reader) = found else { return Err(Error::internal("a row is no row")) };
        let mut numbers = Vec::new();
        let Some(time) = reader.next_row(&mut numbers)? else {
            return Err(Error::internal("a row is no row"));
        };
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let Inside { worker, state } = &mut *inside;
        let forecast = worker.push(state, StreamRow { time, values: &numbers })?;
        let told = |forecast: &Forecast| {
            let times = forecast.timestamps.as_ref().and_then(|times| reader.time_texts(times));
            let intervals = forecast.intervals.iter();
            let intervals = intervals.map(|i| (100.0 * i.level, i.lower.clone(), i.upper.clone()));
            let (channels, values) = (forecast.channels.clone(), forecast.values.clone());
            (times, channels, values, intervals.collect())
        };
        Ok(forecast.map(told))
    }
}

#[pymethods]
impl StreamCore {
    /// Waits for the first row of the series `id`.
    #[new]
    fn new(
        py: Python<'_>,
        forecaster: &ForecastCore,
        id: String,
        every: u64,
        min_rows: Option<u64>,
    ) -> PyResult<Self> {
        let model = Arc::clone(&forecaster.model);
        short(py, || {
            let options = StreamOptions { every, min_rows, ..StreamOptions::default() };
            let state = StreamState::new(&model, options)?.with_id(id);
            let worker = StreamWorker::new(Arc::clone(&model))?;
            Ok(Self { model, inside: Mutex::new(Inside { worker, state }) })
        })
    }

    /// Takes a row in; gives a forecast if one is due.
    fn push(
        &self,
        py: Python<'_>,
        time: Option<&str>,
        values: Vec<Option<f64>>,
    ) -> PyResult<Option<Told>> {
        let finite = |value: Option<f64>| value.filter(|value| !value.is_nan());
        let values: Vec<Option<f64>> = values.into_iter().map(finite).collect();
        if let Some(value) = values.iter().flatten().find(|value| value.is_infinite()) {
            let error = Error::input(format!(
                "the value {value} is not finite (give None if it is missing)"
            ));
            return Err(crate::errors::exception(py, &error));
        }
        short(py, || self.push_row(time, &values))
    }

    /// All that the stream has seen, as text.
    fn state(&self, py: Python<'_>) -> PyResult<String> {
        short(py, || self.inside.lock().unwrap_or_else(PoisonError::into_inner).state.to_json())
    }

    /// Goes on where [`StreamCore::state`] was asked for.
    fn restore(&self, py: Python<'_>, state: &str) -> PyResult<()> {
        short(py, || {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            inside.state = StreamState::from_json(state, &self.model, *inside.state.options())?;
            Ok(())
        })
    }

    /// Counts of rows, the running score and the drift alarm, as JSON.
    fn report(&self, py: Python<'_>) -> PyResult<String> {
        short(py, || {
            let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            let (score, drift) = (inside.state.score(), inside.state.drift());
            Ok(serde_json::json!({
                "counters": inside.state.counters(), "score": score, "drift": drift,
            })
            .to_string())
        })
    }
}
