//! Forecasts in data units, from a model directory and a table.
//!
//! | file | holds |
//! |---|---|
//! | `model.rs` | [`ForecastModel`]: the immutable part, which all users share |
//! | `interface.rs` | windows standardised for the network, its output in data units |
//! | `answer.rs` | [`Forecast`] |
//! | `any_series.rs`, `opened.rs` | forecasters of series that they were not trained on; opened with a table |
//! | `horizon.rs` | forecasts over another number of steps than the model's own |
//! | `parts.rs` | series of several sets, forecast together |
//! | `scored.rs` | forecasts with the quantiles that are scored |
//! | `columns.rs` | the columns of forecasts: names and cells |
//! | `json.rs` | forecasts as JSON |
//! | `table.rs` | forecasts as a table |

mod answer;
mod any_series;
mod columns;
mod horizon;
mod interface;
mod json;
mod model;
mod opened;
mod parts;
mod scored;
mod table;

use std::borrow::{Borrow, Cow};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::calibration::{Band, Calibration};
use crate::data::{Batch, Repair, Roles, Series, SeriesSet, Table, WindowSet};
use crate::ensemble::Members;
use crate::evaluate::{ProbabilisticScores, ProbabilisticSums, SCORED_LEVELS};
use crate::preprocessor::Preprocessor;
use crate::{Config, Result};
use ptsm_core::{Backend, OutputSpec, Prediction, SampleOptions, Session};

pub use answer::{Forecast, ForecastInterval, ForecastQuantile};
pub use any_series::{LoadedNetwork, ZeroShotOptions};
pub use columns::{ForecastColumns, IntervalNames, free_name};
pub use interface::{Contexts, ForecastUnits};
pub(crate) use interface::{ForecastInterface, OneContext, StepOf, WindowEnd};
pub use json::{ForecastJson, IntervalJson, QuantileJson};
pub use model::ForecastModel;
pub use opened::{AnySeries, AnySeriesOptions, OpenSeries};
pub use parts::SetPart;
pub(crate) use scored::ScoredForecast;
pub(crate) use table::{ForecastRows, leading_columns};
pub use table::{forecast_table, forecast_table_named, with_first_column};

/// Windows per forward pass when forecasts are scored.
const SCORED_AT_ONCE: usize = 64;

/// Windows, and channels of windows, per forward pass: enough for every thread, few enough that
/// memory does not grow with the number of series.
const FORECAST_AT_ONCE: usize = 64;
const CHANNELS_AT_ONCE: usize = 512;

/// A trained forecaster, ready to read tables like those it was trained on: a [`ForecastModel`] with
/// a session of its own.
pub struct Forecaster {
    model: Arc<ForecastModel>,
    session: Box<dyn Session>,
    /// Output of the last forward pass.
    output: Prediction,
}

impl Forecaster {
    /// Loads a model directory, or an ensemble of them, onto a backend.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights` naming the file; `BackendUnavailable`.
    pub fn from_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        Self::new(Arc::new(ForecastModel::from_dir(dir, backend)?))
    }

    /// Puts members that agree in what they read and forecast onto a backend.
    pub(crate) fn assemble(
        members: &Members,
        preprocessor: Preprocessor,
        calibration: Option<Calibration>,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let model = ForecastModel::assemble(members, preprocessor, calibration, backend)?;
        Self::new(Arc::new(model))
    }

    /// A forecaster that shares the weights of `model` and has a session of its own.
    ///
    /// # Errors
    ///
    /// As [`ForecastModel::session`].
    pub fn new(model: Arc<ForecastModel>) -> Result<Self> {
        Ok(Self { session: model.session()?, model, output: Prediction::default() })
    }

    /// The immutable model, to be shared with other forecasters and streams.
    pub fn model(&self) -> &Arc<ForecastModel> {
        &self.model
    }

    /// The model, and the session that runs it.
    pub(crate) fn into_parts(self) -> (Arc<ForecastModel>, Box<dyn Session>) {
        (self.model, self.session)
    }

    /// As [`ForecastModel::interval_levels`].
    pub fn interval_levels(&self) -> &[f64] {
        self.model.interval_levels()
    }

    /// How the intervals were calibrated, if they were.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.model.calibration()
    }

    /// What the head puts out.
    pub fn output_spec(&self) -> &OutputSpec {
        self.model.output_spec()
    }

    /// The session that runs the model.
    pub fn session(&mut self) -> &mut dyn Session {
        self.session.as_mut()
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        self.model.config()
    }

    /// How tables are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        self.model.preprocessor()
    }

    /// Point forecasts of standardised windows, `[B, H, C']`: the forecast itself, the mean of a
    /// distribution, the median of quantiles.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        self.session.forward(batch, &mut self.output)?;
        Ok(self.output.points())
    }

    /// What the head puts out for standardised windows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    pub fn output(&mut self, batch: &Batch) -> Result<Prediction> {
        let mut output = Prediction::default();
        self.session.forward(batch, &mut output)?;
        Ok(output)
    }

    /// As [`ForecastModel::bands`].
    pub fn bands(&self, batch: &Batch, output: &Prediction) -> Vec<Band> {
        self.model.bands(batch, output)
    }

    /// Coverage and quantile losses over every window of a set; `None` if the forecasts have no
    /// intervals or no truth is known.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the windows do not fit the model.
    pub fn interval_scores(&mut self, windows: &WindowSet) -> Result<Option<ProbabilisticScores>> {
        let kind = self.output_spec().kind();
        let scored = SCORED_LEVELS.iter().all(|&level| kind.reaches(level));
        if self.interval_levels().is_empty() && !scored {
            return Ok(None);
        }
        let channels = self.config().prediction_channels();
        let mut sums = ProbabilisticSums::new(self.interval_levels());
        let indices: Vec<usize> = (0..windows.len()).collect();
        for part in indices.chunks(SCORED_AT_ONCE) {
            let batch = windows.batch(part);
            let output = self.output(&batch)?;
            let bands = self.bands(&batch, &output);
            // A level outside the trained ones would be extrapolated, so it is not scored.
            let reached = SCORED_LEVELS.iter().all(|&level| output.kind().reaches(level));
            let quantiles = reached.then(|| SCORED_LEVELS.map(|level| output.quantiles(level)));
            let truth = batch.future_values().unwrap_or_default();
            let mask = batch.future_observed_mask();
            let each = windows.shape().prediction_length * channels.len();
            let own = self.config().prediction_length * channels.len();
            for i in 0..truth.len() / batch.num_channels() * channels.len() {
                let from = i / channels.len() * batch.num_channels() + channels[i % channels.len()];
                if i % each == 0 {
                    sums.begin_series(&windows.locate(part[i / each]).0.id);
                }
                if mask.is_none_or(|mask| mask[from] != 0.0) {
                    // Windows may have fewer steps than the forecasts.
                    let place = i / each * own + i % each;
                    let held: Vec<(f64, f64)> =
                        bands.iter().map(|band| (band.lower[place], band.upper[place])).collect();
                    let at = quantiles.as_ref().map(|all| all.each_ref().map(|level| level[place]));
                    sums.push(f64::from(truth[from]), &held, at.as_ref());
                }
            }
        }
        Ok(sums.scores())
    }

    /// As [`ForecastModel::read`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    pub fn read(&self, table: &Table, repair: &Repair) -> Result<SeriesSet> {
        self.model.read(table, repair)
    }

    /// As [`Preprocessor::read_as`].
    ///
    /// # Errors
    ///
    /// As [`Preprocessor::read_as`].
    pub fn read_as(&self, table: &Table, roles: &Roles, repair: &Repair) -> Result<SeriesSet> {
        self.preprocessor().read_as(table, roles, repair)
    }

    /// Forecasts every series from `rows_before_end` rows before its end (0 = past the end), many
    /// at once. The context is the `context_length` rows in front of that row; what a shorter series
    /// lacks is masked.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the series, if it has no row in front of the forecast, if its forecast is not finite, with
    /// step and channel, or if a covariate is not known in its steps, with time and name.
    pub fn predict(&mut self, set: &SeriesSet, rows_before_end: usize) -> Result<Vec<Forecast>> {
        let set = &*self.planned(set, rows_before_end, self.config().prediction_length)?;
        self.predict_planned(set, rows_before_end)
    }

    /// As [`Forecaster::predict`]; a covariate that is not known counts as the mean.
    fn predict_planned(
        &mut self,
        set: &SeriesSet,
        rows_before_end: usize,
    ) -> Result<Vec<Forecast>> {
        let mut all = Vec::with_capacity(set.series.len());
        self.each_batch(&set.series, rows_before_end, |_, _, forecasts| {
            all.extend(forecasts);
            Ok(())
        })?;
        add_times(&mut all, set, &set.series, 1);
        Ok(all)
    }

    /// The series with all covariates that forecasts of `steps` steps need, from `rows_before_end` rows before their
    /// ends.
    fn planned<'a>(
        &self,
        set: &'a SeriesSet,
        rows_before_end: usize,
        steps: usize,
    ) -> Result<Cow<'a, SeriesSet>> {
        if self.preprocessor().standardiser.effects.is_none() {
            return Ok(Cow::Borrowed(set));
        }
        let mut planned = set.clone();
        planned.require_plan(rows_before_end, steps)?;
        Ok(Cow::Owned(planned))
    }

    /// Draws sampled paths of every series, each point independently: `options.count` forecasts
    /// without intervals for the first series, then as many for the next one.
    /// `options.first_window` is the number of the first series.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::predict`]; `InvalidConfig` if the model forecasts points only.
    pub fn sample(
        &mut self,
        set: &SeriesSet,
        rows_before_end: usize,
        options: SampleOptions,
    ) -> Result<Vec<Forecast>> {
        let set = &*self.planned(set, rows_before_end, self.config().prediction_length)?;
        let mut all = Vec::with_capacity(set.series.len() * options.count);
        let mut first_window = options.first_window;
        self.each_batch(&set.series, rows_before_end, |forecaster, units, forecasts| {
            let Self { model, output, .. } = forecaster;
            let samples = output.sample(SampleOptions { first_window, ..options })?;
            first_window += forecasts.len() as u64;
            let points = samples.len() / options.count.max(1);
            for (window, (mut forecast, units)) in forecasts.into_iter().zip(units).enumerate() {
                forecast.intervals.clear();
                forecast.quantiles.clear();
                let each = forecast.values.len();
                for path in samples.chunks_exact(points.max(1)) {
                    let values =
                        model.interface().in_data_units(units, &path[window * each..][..each]);
                    let sample = Forecast { values, ..forecast.clone() };
                    sample.check_finite()?;
                    all.push(sample);
                }
            }
            Ok(())
        })?;
        add_times(&mut all, set, &set.series, options.count);
        Ok(all)
    }

    /// Runs the model on the series in batches, and calls `take` after each with the units
    /// and forecasts of its series, which have no times yet.
    fn each_batch<S: Borrow<Series> + Sync>(
        &mut self,
        series: &[S],
        rows_before_end: usize,
        mut take: impl FnMut(&Self, &[ForecastUnits], Vec<Forecast>) -> Result<()>,
    ) -> Result<()> {
        for part in series.chunks(windows_at_once(self.config().num_input_channels)) {
            let contexts = self.model.contexts(part, rows_before_end)?;
            self.session.forward(&contexts.batch, &mut self.output)?;
            let mut forecasts = self.model.read_out(&self.output, &contexts);
            for (series, forecast) in part.iter().map(Borrow::borrow).zip(&mut forecasts) {
                forecast.id.clone_from(&series.id);
                forecast.first_row = series.num_rows().saturating_sub(rows_before_end);
                forecast.check_finite()?;
            }
            take(self, &contexts.units, forecasts)?;
        }
        Ok(())
    }

    /// The last window in front of `rows_before_end` rows before the end of a series, standardised.
    ///
    /// # Errors
    ///
    /// As [`ForecastModel::contexts`].
    pub fn context(&self, series: &Series, rows_before_end: usize) -> Result<Contexts> {
        self.model.contexts(std::slice::from_ref(series), rows_before_end)
    }
}

/// Windows per forward pass for a model of so many channels.
pub(crate) fn windows_at_once(channels: usize) -> usize {
    (CHANNELS_AT_ONCE / channels.max(1)).clamp(1, FORECAST_AT_ONCE)
}

/// Times of rows of a series: its own, then the grid continued; `None` without times.
pub(crate) fn forecast_times(
    set: &SeriesSet,
    series: &Series,
    rows: Range<usize>,
) -> Option<Vec<i64>> {
    let own = series.timestamps.as_ref()?;
    let mut times: Vec<i64> = rows.clone().map_while(|row| own.get(row)).collect();
    times.extend(set.future_timestamps(series, rows.len() - times.len())?);
    Some(times)
}

/// Gives forecasts, `each` for every series in turn, their times.
fn add_times<S: Borrow<Series> + Sync>(
    forecasts: &mut [Forecast],
    set: &SeriesSet,
    series: &[S],
    each: usize,
) {
    forecasts.par_chunks_mut(each.max(1)).zip(series).for_each(|(forecasts, series)| {
        let Some(first) = forecasts.first() else { return };
        let (end, count) = (first.first_row, first.prediction_length());
        let times = forecast_times(set, series.borrow(), end..end + count);
        forecasts.iter_mut().for_each(|forecast| forecast.timestamps.clone_from(&times));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::Model;
    use crate::data::{Grid, ReadOptions, Split, Standardiser};
    use crate::preprocessor::Preprocessor;
    use ptsm_core::Init;

    fn table(rows: usize) -> Table {
        let mut text = "time,load,heat\n".to_owned();
        for row in 0..rows {
            text += &format!("2024-01-{:02} {:02}:00:00,{row},7\n", 1 + row / 24, row % 24);
        }
        Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
    }

    fn config() -> Config {
        Config {
            context_length: 32,
            prediction_length: 4,
            num_input_channels: 2,
            prediction_channel_indices: Some(vec![1]),
            ..Config::default()
        }
    }

    fn forecaster() -> Forecaster {
        forecaster_of(config())
    }

    fn forecaster_of(config: Config) -> Forecaster {
        let table = table(60);
        let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
        let preprocessor = Preprocessor {
            dataset: "t".into(),
            channels: set.channels.clone(),
            roles: set.roles.clone(),
            frequency: set.frequency,
            times: Default::default(),
            missing: Vec::new(),
            grid: Grid::Regular,
            seasonal_period: 24,
            split: Split::default(),
            standardiser: Standardiser {
                mean: vec![0.0, 100.0],
                scale: vec![1.0, 10.0],
                ..Standardiser::default()
            },
            labels: None,
            covariates: None,
        };
        let folder = tempfile::tempdir().unwrap();
        Model::new(config, Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
        preprocessor.save(folder.path()).unwrap();
        Forecaster::from_dir(folder.path(), &Cpu::default()).unwrap()
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
    fn tables_without_a_row_before_the_forecast_or_a_channel_are_refused() {
        let mut forecaster = forecaster();
        let set = forecaster.read(&table(20), &Repair::default()).unwrap();
        let text = forecaster.predict(&set, 20).unwrap_err().to_string();
        assert!(text.contains("no row in front of the forecast"), "{text}");
        let short = forecaster.predict(&set, 19).unwrap();
        assert!(short[0].values.iter().all(|x| (x - 7.0).abs() < 1.0), "{short:?}");
        let other = Table::from_csv(b"time,load\n2024-01-01,2\n", "o.csv", &ReadOptions::default())
            .unwrap();
        let text = forecaster.read(&other, &Repair::default()).unwrap_err().to_string();
        assert!(text.contains("heat"), "{text}");
    }

    fn at(row: usize) -> String {
        format!("2024-01-{:02} {:02}:00:00", 1 + row / 24, row % 24)
    }

    #[test]
    fn many_series_at_once_have_the_bits_of_each_alone() {
        for scaling in ["std", "mean", "none"] {
            let scaling = if scaling == "none" { false.into() } else { scaling.into() };
            let mut forecaster = forecaster_of(Config { scaling, ..config() });
            let mut text = "time,item,load,heat\n".to_owned();
            for series in 0..70 {
                for row in 0..33 + series % 3 {
                    // Every seventh series has gaps.
                    let heat = match series % 7 == 3 && row % 5 == 2 {
                        true => String::new(),
                        false => format!("{}", ((series * 31 + row * row) % 97) as f64 * 0.7),
                    };
                    text += &format!("{},s{series},{row},{heat}\n", at(row));
                }
            }
            let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
            let roles = Roles { id: Some("item".into()), ..Roles::default() };
            let set = SeriesSet::from_table(&table, &roles, &Repair::default()).unwrap();
            assert_eq!(set.series.len(), 70);
            let forecasts = forecaster.predict(&set, 1).unwrap();
            for (series, forecast) in set.series.iter().zip(&forecasts) {
                let alone = SeriesSet { series: vec![series.clone()], ..set.clone() };
                assert_eq!(forecaster.predict(&alone, 1).unwrap()[0], *forecast);
                assert_eq!(forecast.id, series.id);
                assert_eq!(forecast.first_row, series.num_rows() - 1);
            }
        }
    }

    #[test]
    fn only_the_context_is_read() {
        let mut forecaster = forecaster();
        let mut set = forecaster.read(&table(40), &Repair::default()).unwrap();
        let wanted = forecaster.predict(&set, 0).unwrap();
        // Beyond single precision, in front of the context.
        set.series[0].values[0] = 1e300;
        assert_eq!(forecaster.predict(&set, 0).unwrap(), wanted);
        set.series[0].values[2 * 20] = 1e300;
        let text = forecaster.predict(&set, 0).unwrap_err().to_string();
        assert!(text.contains("row 20, channel 0") && text.contains("single precision"), "{text}");
    }
}
