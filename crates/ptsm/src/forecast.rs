//! From a model directory and a table to forecasts in data units.

use std::path::Path;

use crate::backend::{Backend, Output, Session};
use crate::bands::Reader;
use crate::calibration::{self, Calibration};
use crate::data::{Batch, Column, NO_COLUMN, Repair, Series, SeriesSet, Table, WindowSet};
use crate::ensemble::{load_members, load_session};
use crate::evaluate::{ProbabilisticScores, ProbabilisticSums, SCORED_LEVELS};
use crate::train::numbers_fingerprint;
use crate::{Config, Error, Model, Preprocessor, Result, Task};

/// Levels of the intervals of a head that says how sure it is.
const DEFAULT_LEVELS: [f64; 2] = [0.8, 0.95];

/// Windows that are scored at once.
const SCORED_AT_ONCE: usize = 64;

/// A trained forecaster, ready to read tables like those it was trained on.
pub struct Forecaster {
    config: Config,
    preprocessor: Preprocessor,
    reader: Reader,
    calibration: Option<Calibration>,
    /// Levels of the intervals that forecasts come with.
    levels: Vec<f64>,
    session: Box<dyn Session>,
    fingerprint: String,
}

/// What a forecast is made with: the head's output, and its points in standardised units.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    output: Output,
    pub(crate) points: Vec<f32>,
}

/// The forecast of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Which series of a long table this is; empty for a wide table.
    pub id: String,
    /// Names of the channels that are forecast, C'.
    pub channels: Vec<String>,
    /// Time of each step in seconds since 1970-01-01 00:00 UTC, `[H]`; `None` without times.
    pub timestamps: Option<Vec<i64>>,
    /// Number of the first step's row, counted from the start of the series.
    pub first_row: usize,
    /// `[H, C']`, row-major, data units.
    pub values: Vec<f64>,
    /// Central intervals, narrow ones first; empty where the model cannot say any.
    pub intervals: Vec<ForecastInterval>,
}

/// Range that should hold the truth with a given probability.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastInterval {
    /// Probability, in (0, 1).
    pub level: f64,
    /// `[H, C']`, row-major, data units.
    pub lower: Vec<f64>,
    /// `[H, C']`, row-major, data units.
    pub upper: Vec<f64>,
}

impl Forecast {
    /// Steps, H.
    pub fn prediction_length(&self) -> usize {
        self.values.len() / self.channels.len()
    }
}

impl Forecaster {
    /// Loads a model directory, or an ensemble of them, onto a backend.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights` naming the file; `BackendUnavailable`.
    pub fn from_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        let members = load_members(dir)?;
        // The members agree in everything that is read from it here.
        let config = members[0].0.config().clone();
        let preprocessor = Preprocessor::from_dir(dir, &config)?;
        if config.task()? != Task::Forecasting {
            let text = format!("{} forecasts nothing", config.task()?.architecture());
            return Err(Error::config("architectures", text).at(dir.display().to_string()));
        }
        let calibration = Calibration::from_dir(dir, &config)?;
        Self::assemble(&members, preprocessor, calibration, backend)
    }

    /// Puts members that agree in what they read and forecast onto a backend.
    pub(crate) fn assemble(
        members: &[(Model, f64)],
        preprocessor: Preprocessor,
        calibration: Option<Calibration>,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let config = members[0].0.config().clone();
        let session = load_session(members, backend)?;
        let reader = Reader::new(&config);
        let levels = match &calibration {
            Some(calibration) => calibration.intervals.iter().map(|i| i.level).collect(),
            None if reader.is_probabilistic() => DEFAULT_LEVELS.to_vec(),
            None => Vec::new(),
        };
        let numbers: Vec<&[f32]> = members
            .iter()
            .flat_map(|(model, _)| [&model.parameters.trained[..], &model.parameters.buffers])
            .collect();
        let fingerprint = numbers_fingerprint(&numbers);
        Ok(Self { config, preprocessor, reader, calibration, levels, session, fingerprint })
    }

    /// Levels of the intervals that forecasts come with: those of the calibration, or 80 and 95 %
    /// for a head that says how sure it is.
    pub fn interval_levels(&self) -> &[f64] {
        &self.levels
    }

    /// How the intervals were calibrated, if they were.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// SHA-256 over the weights.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Reads the outputs of the head.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The session that runs the model.
    pub fn session(&mut self) -> &mut dyn Session {
        self.session.as_mut()
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How tables are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Point forecasts of standardised windows, `[B, H, C']`: the forecast itself, the mean of a
    /// law, the median of quantiles.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let output = self.output(batch)?;
        Ok(self.reader.points(&output))
    }

    /// What the head puts out for standardised windows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    pub fn output(&mut self, batch: &Batch) -> Result<Output> {
        let mut output = Output::default();
        self.session.forward(batch, &mut output)?;
        Ok(output)
    }

    /// The interval at number `index` of [`Forecaster::interval_levels`], `[B, H, C']` low and
    /// high, standardised units.
    pub fn interval(&self, output: &Output, index: usize) -> (Vec<f64>, Vec<f64>) {
        match &self.calibration {
            Some(calibration) => calibration.apply(&self.reader, output, index),
            None => calibration::interval(&self.reader, output, self.levels[index]),
        }
    }

    /// Coverage and quantile losses over every window of a set; `None` if the forecasts have no
    /// intervals or no truth is known.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the windows do not fit the model.
    pub fn interval_scores(&mut self, windows: &WindowSet) -> Result<Option<ProbabilisticScores>> {
        if self.levels.is_empty() {
            return Ok(None);
        }
        let channels = self.config.prediction_channels();
        let mut sums = ProbabilisticSums::new(&self.levels);
        let indices: Vec<usize> = (0..windows.len()).collect();
        for part in indices.chunks(SCORED_AT_ONCE) {
            let batch = windows.batch(part);
            let output = self.output(&batch)?;
            let bands: Vec<_> = (0..self.levels.len()).map(|i| self.interval(&output, i)).collect();
            let quantiles = self
                .reader
                .is_probabilistic()
                .then(|| SCORED_LEVELS.map(|level| self.reader.quantiles(&output, level)));
            let truth = batch.future_values.as_deref().unwrap_or_default();
            let mask = batch.future_observed_mask.as_deref();
            for i in 0..truth.len() / batch.num_channels * channels.len() {
                let from = i / channels.len() * batch.num_channels + channels[i % channels.len()];
                if mask.is_none_or(|mask| mask[from] != 0.0) {
                    let held: Vec<(f64, f64)> =
                        bands.iter().map(|(low, high)| (low[i], high[i])).collect();
                    let at = quantiles.as_ref().map(|all| all.each_ref().map(|level| level[i]));
                    sums.push(f64::from(truth[from]), &held, at.as_ref());
                }
            }
        }
        Ok(sums.scores())
    }

    /// Takes the model's channels out of a table, as in training.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    pub fn read(&self, table: &Table, repair: &Repair) -> Result<SeriesSet> {
        self.preprocessor.read(table, repair)
    }

    /// Forecasts every series from `rows_before_end` rows before its end (0 = past the end).
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the series, if it is shorter than the context.
    pub fn predict(&mut self, set: &SeriesSet, rows_before_end: usize) -> Result<Vec<Forecast>> {
        let forecast = |series| self.predict_series(set, series, rows_before_end);
        set.series.iter().map(forecast).collect()
    }

    /// The last window in front of `rows_before_end` rows before the end of a series, standardised.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the series, if it is shorter than the context.
    pub fn window(&self, series: &Series, rows_before_end: usize) -> Result<Batch> {
        let Config { context_length, num_input_channels, .. } = self.config;
        let end = series.num_rows().saturating_sub(rows_before_end);
        if end < context_length {
            let name = if series.id.is_empty() { "the data" } else { &series.id };
            let text = format!(
                "{name}: {end} rows in front of the forecast, context_length {context_length} \
                 needs as many (give more rows, or train with a shorter --context-length)"
            );
            return Err(Error::input(text));
        }
        let prepared = self.preprocessor.standardiser.apply(series)?;
        let past = (end - context_length) * num_input_channels..end * num_input_channels;
        Ok(Batch {
            size: 1,
            context_length,
            num_channels: num_input_channels,
            past_values: prepared.values[past.clone()].to_vec(),
            observed_mask: prepared.observed_mask.map(|mask| mask[past].to_vec()),
            future_values: None,
            future_observed_mask: None,
            target_values: None,
            patch_mask: None,
        })
    }

    fn predict_series(
        &mut self,
        set: &SeriesSet,
        series: &Series,
        rows_before_end: usize,
    ) -> Result<Forecast> {
        let prediction_length = self.config.prediction_length;
        let end = series.num_rows().saturating_sub(rows_before_end);
        let batch = self.window(series, rows_before_end)?;
        let mut forecast = self.empty_forecast();
        self.forecast_into(&batch, &mut Scratch::default(), &mut forecast)?;
        forecast.id.clone_from(&series.id);
        forecast.timestamps = times_from(set, series, end, prediction_length);
        forecast.first_row = end;
        Ok(forecast)
    }

    /// A forecast with the model's channels and no values.
    pub(crate) fn empty_forecast(&self) -> Forecast {
        let channels = self.config.prediction_channels();
        Forecast {
            id: String::new(),
            timestamps: None,
            first_row: 0,
            values: Vec::new(),
            intervals: Vec::new(),
            channels: channels.iter().map(|&c| self.preprocessor.channels[c].clone()).collect(),
        }
    }

    /// Forecasts one standardised window into `values` and `intervals` of `forecast`.
    pub(crate) fn forecast_into(
        &mut self,
        batch: &Batch,
        scratch: &mut Scratch,
        forecast: &mut Forecast,
    ) -> Result<()> {
        self.session.forward(batch, &mut scratch.output)?;
        self.reader.points_into(&scratch.output, &mut scratch.points);
        let channels = self.reader.channels();
        let undo = |(i, &x): (usize, &f32)| {
            self.preprocessor.standardiser.undo_value(channels[i % channels.len()], x)
        };
        let undo_all = |values: Vec<f64>| {
            let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
            values.iter().enumerate().map(undo).collect::<Vec<f64>>()
        };
        forecast.values.clear();
        forecast.values.extend(scratch.points.iter().enumerate().map(undo));
        forecast.intervals.clear();
        forecast.intervals.extend(self.levels.iter().enumerate().map(|(i, &level)| {
            let (lower, upper) = self.interval(&scratch.output, i);
            ForecastInterval { level, lower: undo_all(lower), upper: undo_all(upper) }
        }));
        Ok(())
    }
}

/// Times of `count` rows from row `end` on: the series' own, then the grid continued.
fn times_from(set: &SeriesSet, series: &Series, end: usize, count: usize) -> Option<Vec<i64>> {
    let own = series.timestamps.as_ref()?;
    let mut times: Vec<i64> = own[end.min(own.len())..].iter().copied().take(count).collect();
    let missing = count - times.len();
    times.extend(set.future_timestamps(series, missing)?);
    Some(times)
}

/// A level without the noise of its last bits: 0.975, not 0.975 and a trillionth.
fn rounded(level: f64) -> f64 {
    (level * 1e9).round() / 1e9
}

/// Forecasts as a table in the form of the data they continue: id, time (or row number), channels, and the
/// ends of intervals as quantiles (`load q0.1`, `load q0.9`, ...).
///
/// # Errors
///
/// `InvalidInput` if two columns have one name.
pub fn forecast_table(set: &SeriesSet, forecasts: &[Forecast]) -> Result<Table> {
    let mut columns = Vec::new();
    let named = |role: &Option<String>| role.clone().filter(|name| name != NO_COLUMN);
    let steps = |f: &Forecast| f.prediction_length();
    if let Some(name) = named(&set.roles.id) {
        let ids = forecasts.iter().flat_map(|f| vec![f.id.clone(); steps(f)]).collect();
        columns.push(Column::text(name, ids));
    }
    let times: Option<Vec<i64>> = forecasts
        .iter()
        .map(|f| f.timestamps.clone())
        .collect::<Option<Vec<_>>>()
        .map(|times| times.concat());
    match (named(&set.roles.timestamp), set.time_style, times) {
        (Some(name), Some(style), Some(times)) => columns.push(Column::times(name, times, style)),
        _ => {
            let rows = forecasts
                .iter()
                .flat_map(|f| (0..steps(f)).map(|step| (f.first_row + step) as f64));
            columns.push(Column::numbers("row", rows.collect()));
        }
    }
    let names = forecasts.first().map(|f| f.channels.clone()).unwrap_or_default();
    for (c, name) in names.iter().enumerate() {
        let cells = forecasts
            .iter()
            .flat_map(|f| f.values.iter().skip(c).step_by(f.channels.len()).copied());
        columns.push(Column::numbers(name, cells.collect()));
        let count = forecasts.first().map_or(0, |f| f.intervals.len());
        for i in 0..count {
            let level = forecasts[0].intervals[i].level;
            let tail = 0.5 * (1.0 - level);
            for upper in [false, true] {
                let ends = |f: &Forecast| {
                    let interval = &f.intervals[i];
                    let ends = if upper { &interval.upper } else { &interval.lower };
                    ends.iter().skip(c).step_by(f.channels.len()).copied().collect::<Vec<f64>>()
                };
                let level = if upper { 1.0 - tail } else { tail };
                let cells = forecasts.iter().flat_map(ends).collect();
                columns.push(Column::numbers(format!("{name} q{}", rounded(level)), cells));
            }
        }
    }
    Table::new(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use crate::data::{Grid, ReadOptions, Roles, Split, Standardiser, Transform};
    use crate::{Cpu, Init};

    fn table(rows: usize) -> Table {
        let mut text = "time,load,heat\n".to_owned();
        for row in 0..rows {
            text += &format!("2024-01-{:02} {:02}:00:00,{row},7\n", 1 + row / 24, row % 24);
        }
        Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
    }

    fn forecaster() -> Forecaster {
        let config = Config {
            context_length: 32,
            prediction_length: 4,
            num_input_channels: 2,
            prediction_channel_indices: Some(vec![1]),
            ..Config::default()
        };
        let table = table(60);
        let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
        let preprocessor = Preprocessor {
            dataset: "t".into(),
            channels: set.channels.clone(),
            roles: set.roles.clone(),
            frequency: set.frequency,
            grid: Grid::Regular,
            seasonal_period: 24,
            split: Split::default(),
            standardiser: Standardiser {
                mean: vec![0.0, 100.0],
                scale: vec![1.0, 10.0],
                transform: Transform::None,
            },
            labels: None,
        };
        let folder = tempfile::tempdir().unwrap();
        Model::new(config, Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
        preprocessor.save(folder.path()).unwrap();
        Forecaster::from_dir(folder.path(), &Cpu).unwrap()
    }

    #[test]
    fn a_forecast_continues_the_table_in_its_own_units_and_times() {
        let mut forecaster = forecaster();
        let set = forecaster.read(&table(40), &Repair::default()).unwrap();
        let forecasts = forecaster.predict(&set, 0).unwrap();
        assert_eq!(forecasts[0].channels, ["heat"]);
        // A constant channel of 7 is forecast close to 7, whatever the weights: its scale is tiny.
        assert!(forecasts[0].values.iter().all(|x| (x - 7.0).abs() < 1.0), "{forecasts:?}");
        let mut csv = Vec::new();
        forecast_table(&set, &forecasts).unwrap().write_csv(&mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert!(csv.starts_with("time,heat\n2024-01-02 16:00:00,"), "{csv}");
        assert_eq!(csv.lines().count(), 5);
    }

    #[test]
    fn an_earlier_start_sees_only_what_came_before() {
        let mut forecaster = forecaster();
        let whole = forecaster.read(&table(40), &Repair::default()).unwrap();
        let cut = forecaster.read(&table(38), &Repair::default()).unwrap();
        let (early, late) =
            (forecaster.predict(&whole, 2).unwrap(), forecaster.predict(&cut, 0).unwrap());
        assert_eq!(early[0].values, late[0].values);
        assert_eq!(early[0].timestamps, late[0].timestamps);
    }

    #[test]
    fn short_or_foreign_tables_are_refused() {
        let mut forecaster = forecaster();
        let set = forecaster.read(&table(20), &Repair::default()).unwrap();
        let text = forecaster.predict(&set, 0).unwrap_err().to_string();
        assert!(text.contains("20 rows in front of the forecast, context_length 32"), "{text}");
        let other = Table::from_csv(b"time,load\n2024-01-01,2\n", "o.csv", &ReadOptions::default())
            .unwrap();
        let text = forecaster.read(&other, &Repair::default()).unwrap_err().to_string();
        assert!(text.contains("heat"), "{text}");
    }
}
