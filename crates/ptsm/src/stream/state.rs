//! What a stream has seen.

use serde::{Deserialize, Serialize};

use super::clock::{Clock, Step, StreamOf};
use super::options::StreamOptions;
use super::score::{Drift, Pending, StreamScore};
use super::watch::{RowOf, StreamDetection, WatchCounts, Watched, WatchedPoint};
use super::window::Window;
use crate::data::{Batch, Duplicates, SeriesScale, Standardiser};
use crate::forecast::ForecastModel;
use crate::{Error, Result};
use ptsm_core::option;

/// Version of the file, and of that of a stream whose rows are compared with their forecasts.
pub(super) const VERSION: u32 = 3;
pub(super) const WATCHED_VERSION: u32 = 4;

/// One row of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamRow<'a> {
    /// Nanoseconds since 1970-01-01 00:00 on the clock of the model's [`TimeRules`](crate::data::TimeRules),
    /// or a whole number of its index; `None` where rows are only numbered.
    pub time: Option<i64>,
    /// `[C]` in the model's order, data units; NaN = missing.
    pub values: &'a [f64],
}

/// What happened to the rows of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counters {
    /// Rows that came.
    pub rows: u64,
    /// Rows that were missing on the grid and are masked.
    pub gap_rows: u64,
    /// Rows of a time that had come already.
    pub duplicates: u64,
    /// Late rows that filled in missing points.
    pub late_used: u64,
    /// Late rows that changed nothing: older than the context, or nothing was missing.
    pub late_dropped: u64,
    /// Points that were missing in the rows that came.
    pub missing_points: u64,
    /// Forecasts made.
    pub forecasts: u64,
}

/// Everything that one stream of a model has seen: its last rows, the forecasts that wait for their
/// truth, errors and counts. Some kilobytes, without the model; a [`StreamWorker`](crate::stream::StreamWorker)
/// moves it on.
///
/// Times must lie on the grid of the training data. A time that is skipped is a row of missing
/// points; a row of the newest time again is treated by [`StreamOptions::duplicates`]; a row that is
/// older fills in points that are missing in the context, and never changes a point that was seen.
/// Neither of the last two makes a forecast. Where the model was trained without times (or row by
/// row), each row is the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamState {
    options: StreamOptions,
    pub(super) kept: Kept,
    detection: Option<StreamDetection>,
    /// The points of the newest row that were compared with their forecasts.
    watched: Vec<WatchedPoint>,
}

/// What is kept between two rows, as it is written to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) version: u32,
    /// SHA-256 over the model's weights.
    model: String,
    /// Which series of a long table it is; empty for a wide table.
    id: String,
    /// Units of errors: what the training saved for the series, or the size of the first window of
    /// one that it did not know.
    units: Option<SeriesScale>,
    pub(super) clock: Clock,
    pub(super) counters: Counters,
    pub(super) score: StreamScore,
    pub(super) drift: Drift,
    /// Rows of the grid since the last forecast.
    since_forecast: u64,
    pub(super) window: Window,
    pub(super) pending: Pending,
    /// What rows are compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) watched: Option<Watched>,
}

impl StreamState {
    /// A stream of this model that waits for its first row.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible options.
    pub fn new(model: &ForecastModel, options: StreamOptions) -> Result<Self> {
        options.check()?;
        if model.preprocessor().standardiser.effects.is_some() {
            let text = "was trained with covariates, which rows of a stream do not bring along yet (use predict)";
            return Err(Error::config("model", text));
        }
        let config = model.config();
        let (slots, each) = pending_size(model, &options);
        let kept = Kept {
            version: VERSION,
            model: model.fingerprint().to_owned(),
            id: String::new(),
            units: None,
            clock: Clock::default(),
            counters: Counters::default(),
            score: StreamScore::default(),
            drift: Drift::default(),
            // The first forecast waits for rows, not for the distance between forecasts.
            since_forecast: options.every - 1,
            window: Window::new(config.context_length, config.num_input_channels),
            pending: Pending::new(slots, each),
            watched: None,
        };
        Ok(Self::of(options, kept))
    }

    pub(super) fn of(options: StreamOptions, kept: Kept) -> Self {
        Self { options, kept, detection: None, watched: Vec::new() }
    }

    /// Compares every row with its forecast from now on. Forecasts then begin after the rows that the detector wants,
    /// where [`StreamOptions::min_rows`] does not ask for earlier ones. A point that is hidden stays so, whatever a
    /// second or a late row of its time says.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if forecasts do not come after every row, or begin after more rows than the detector wants, or
    /// for impossible levels; `InvalidInput` if the state was kept with another detector or other levels.
    pub fn with_detection(mut self, detection: StreamDetection) -> Result<Self> {
        if self.options.every != 1 {
            let text = "must be 1 with a detector, which needs a forecast before every row";
            return Err(Error::config("every", text));
        }
        let wanted = detection.detector.min_rows() as u64;
        if let Some(rows) = self.options.min_rows.filter(|&rows| rows > wanted) {
            let text = format!(
                "{rows} must be at most {wanted} with this detector, which compares rows with forecasts from then on"
            );
            return Err(Error::config("min_rows", text));
        }
        match &self.kept.watched {
            Some(kept) => kept.check(&detection)?,
            None => self.kept.watched = Some(Watched::new(&detection)?),
        }
        self.kept.version = WATCHED_VERSION;
        self.detection = Some(detection);
        Ok(self)
    }

    /// Number of the newest row, counted from the first one; `None` before that.
    pub(super) fn newest_row(&self) -> Option<u64> {
        self.kept.clock.rows().checked_sub(1)
    }

    /// The points of the newest row that were compared with their forecasts, by channel; none if a row of an earlier
    /// time came last.
    pub fn watched(&self) -> &[WatchedPoint] {
        &self.watched
    }

    /// Points that were compared with their forecasts so far.
    pub fn watch_counts(&self) -> WatchCounts {
        self.kept.watched.as_ref().map(Watched::counts).unwrap_or_default()
    }

    /// The stream of this series of a long table.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.kept.id = id.into();
        self
    }

    /// Which series of a long table this is; empty for a wide table.
    pub fn id(&self) -> &str {
        &self.kept.id
    }

    /// The rules of the stream.
    pub fn options(&self) -> &StreamOptions {
        &self.options
    }

    /// What happened to the rows.
    pub fn counters(&self) -> Counters {
        self.kept.counters
    }

    /// Errors of the forecasts whose truth has come.
    pub fn score(&self) -> StreamScore {
        self.kept.score
    }

    /// The drift alarm.
    pub fn drift(&self) -> Drift {
        self.kept.drift
    }

    /// Refuses another model than that of the stream.
    pub(super) fn check_model(&self, model: &ForecastModel) -> Result<()> {
        match self.kept.model == model.fingerprint() {
            true => Ok(()),
            false => Err(Error::input("is of another model (start without a state)")),
        }
    }

    /// Takes in a row; says whether a forecast is due. A row that is refused changes nothing.
    pub(super) fn take(&mut self, model: &ForecastModel, row: StreamRow<'_>) -> Result<bool> {
        check_values(model, row.values)?;
        let Kept { clock, id, .. } = &mut self.kept;
        let of = StreamOf { model, id };
        let step = clock.place(row.time, of)?;
        match step {
            Step::Next { skipped, time } => {
                clock.append(skipped, time, of);
                self.append(model, row.values, skipped);
            }
            Step::Again => self.repeat(model, row.values)?,
            Step::Late { rows } => self.fill_in(model, row.values, rows),
        }
        if !matches!(step, Step::Next { .. }) {
            self.watched.clear();
        }
        let kept = &mut self.kept;
        kept.counters.rows += 1;
        let missing = row.values.iter().filter(|value| value.is_nan()).count();
        kept.counters.missing_points += missing as u64;
        let wanted = wanted_rows(model, &self.options, self.detection.as_ref());
        Ok(matches!(step, Step::Next { .. })
            && kept.since_forecast >= self.options.every
            && kept.clock.rows() >= wanted)
    }

    /// Writes the window that a forecast is made from over a batch of one sample, and what it is
    /// standardised by over `scale`.
    pub(super) fn copy_window(
        &mut self,
        model: &ForecastModel,
        batch: &mut Batch,
        scale: &mut Standardiser,
    ) {
        let Kept { id, units, window, clock, .. } = &mut self.kept;
        let standardiser = &model.preprocessor().standardiser;
        for channel in 0..standardiser.num_channels() {
            let own = standardiser.channel_scale(id, channel, window.seen(channel));
            scale.mean[channel] = own.mean;
            scale.scale[channel] = own.scale;
        }
        units.get_or_insert_with(|| match standardiser.saved(id) {
            Some(saved) => saved,
            None => SeriesScale { mean: scale.mean.clone(), scale: scale.scale.clone() },
        });
        window.copy_to(batch, scale, clock.rows());
    }

    /// Keeps a forecast until its truth comes; says the number of its first row, and writes its times.
    pub(super) fn keep_forecast(
        &mut self,
        model: &ForecastModel,
        values: &[f64],
        times: &mut Option<Vec<i64>>,
    ) -> u64 {
        let kept = &mut self.kept;
        kept.clock.times_after(StreamOf { model, id: &kept.id }, times);
        kept.pending.push(kept.clock.rows(), values);
        expect(kept, self.detection.as_ref(), Forecast { model, values });
        kept.counters.forecasts += 1;
        kept.since_forecast = 0;
        kept.clock.rows()
    }

    fn append(&mut self, model: &ForecastModel, values: &[f64], skipped: u64) {
        let kept = &mut self.kept;
        kept.window.advance_by(usize::try_from(skipped).unwrap_or(usize::MAX));
        kept.window.advance();
        kept.counters.gap_rows = kept.counters.gap_rows.saturating_add(skipped);
        kept.since_forecast = kept.since_forecast.saturating_add(skipped).saturating_add(1);
        self.write(model, values, Write { back: 0, over: true });
        self.look(model, values);
        self.compare(model, values);
    }

    /// Compares the newest row with its forecast.
    fn look(&mut self, model: &ForecastModel, values: &[f64]) {
        self.watched.clear();
        let Self { kept, detection: Some(detection), watched: found, .. } = self else { return };
        let Some(watched) = &mut kept.watched else { return };
        let channels = model.output_spec().channels();
        let (number, id) = (kept.clock.rows() - 1, kept.id.as_str());
        let window = model.recent_rows() as u64;
        let context = model.config().context_length as u64;
        let row = RowOf { number, id, detector: &detection.detector, window, kept: context };
        watched.look(row, channels.iter().map(|&channel| values[channel]), found);
        for point in found.iter().filter(|point| point.hidden) {
            kept.window.unset(0, channels[point.channel]);
        }
    }

    fn repeat(&mut self, model: &ForecastModel, values: &[f64]) -> Result<()> {
        let over = match self.options.duplicates {
            Duplicates::Error => {
                let duplicates = option("duplicates", None);
                let text = format!(
                    "a second row of the newest time (allow it with {duplicates} first or last)"
                );
                return Err(Error::input(text));
            }
            Duplicates::Last => true,
            Duplicates::First | Duplicates::Mean => false,
        };
        self.write(model, values, Write { back: 0, over });
        self.kept.counters.duplicates += 1;
        Ok(())
    }

    fn fill_in(&mut self, model: &ForecastModel, values: &[f64], back: u64) {
        let context_length = model.config().context_length;
        let within = usize::try_from(back).ok().filter(|&back| back < context_length);
        let wanted = within.is_some_and(|back| {
            let news = |(c, x): (usize, &f64)| {
                !x.is_nan() && !self.kept.window.is_seen(back, c) && !self.is_hidden(model, back, c)
            };
            values.iter().enumerate().any(news)
        });
        match within.filter(|_| wanted) {
            Some(back) => {
                self.write(model, values, Write { back, over: false });
                self.kept.counters.late_used += 1;
            }
            None => self.kept.counters.late_dropped += 1,
        }
    }

    /// Writes the points that are there, but not over hidden ones.
    fn write(&mut self, model: &ForecastModel, values: &[f64], Write { back, over }: Write) {
        for (channel, &value) in values.iter().enumerate() {
            let wanted = !value.is_nan() && (over || !self.kept.window.is_seen(back, channel));
            if wanted && !self.is_hidden(model, back, channel) {
                self.kept.window.set(back, channel, value);
            }
        }
    }

    /// Whether the point of the row `back` rows before the newest one is missing in forecasts because it was unexpected.
    fn is_hidden(&self, model: &ForecastModel, back: usize, channel: usize) -> bool {
        let Some(watched) = &self.kept.watched else { return false };
        let place = model.output_spec().channels().iter().position(|&own| own == channel);
        let row = self.newest_row().and_then(|newest| newest.checked_sub(back as u64));
        row.zip(place).is_some_and(|(row, place)| watched.hides(row, place))
    }

    /// Compares the forecasts of this row with it.
    fn compare(&mut self, model: &ForecastModel, values: &[f64]) {
        let Self { kept, options, .. } = self;
        let Some(units) = &kept.units else {
            return; // There was no forecast yet.
        };
        let transform = model.preprocessor().standardiser.transform;
        let channels = model.output_spec().channels();
        let row = kept.clock.rows() - 1;
        // The newest forecast alone says how things go: it looks least far ahead.
        let (mut absolute, mut points, mut newest) = (0.0, 0_u64, 0);
        for (first_row, forecast) in kept.pending.of_row(row, channels.len()) {
            if first_row > newest {
                (absolute, points, newest) = (0.0, 0, first_row);
            }
            for (&channel, &bits) in channels.iter().zip(forecast) {
                let value = values[channel];
                if !value.is_nan() {
                    let forecast = transform.apply(f64::from_bits(bits));
                    let error = (forecast - transform.apply(value)) / units.scale[channel];
                    kept.score.push(error);
                    if first_row == newest {
                        absolute += error.abs();
                        points += 1;
                    }
                }
            }
        }
        if points > 0 {
            kept.drift.push(row, absolute / points as f64, &options.drift);
        }
    }
}

/// The newest forecast of a stream, `[H, C']`.
struct Forecast<'a> {
    model: &'a ForecastModel,
    values: &'a [f64],
}

/// Keeps what a forecast says of the row that the detector looks ahead to, where enough rows came before it.
fn expect(kept: &mut Kept, detection: Option<&StreamDetection>, forecast: Forecast<'_>) {
    let (Some(detection), Some(watched)) = (detection, &mut kept.watched) else { return };
    let (rows, detector) = (kept.clock.rows(), &detection.detector);
    if rows < detector.min_rows() as u64 {
        return;
    }
    let channels = forecast.model.output_spec().channels();
    let values = &forecast.values[(detector.ahead() - 1) * channels.len()..];
    let window = &kept.window;
    let seen = |channel: usize| window.seen(channel).next().is_some();
    let known =
        channels.iter().zip(values).map(|(&channel, &x)| if seen(channel) { x } else { f64::NAN });
    watched.expect(rows.saturating_add(detector.ahead() as u64 - 1), known);
}

/// Where a row's points go: how many rows before the newest one, and whether over seen points.
struct Write {
    back: usize,
    over: bool,
}

fn check_values(model: &ForecastModel, values: &[f64]) -> Result<()> {
    let channels = &model.preprocessor().channels;
    if values.len() != channels.len() {
        let (got, wanted) = (values.len(), channels.len());
        return Err(Error::input(format!("the row has {got} values, the model wants {wanted}")));
    }
    for (channel, &value) in values.iter().enumerate() {
        if !value.is_nan() && !(value as f32).is_finite() {
            let text = format!("{value} is infinite or beyond the range of single precision");
            return Err(Error::input(text).at(format!("channel {}", channels[channel])));
        }
    }
    Ok(())
}

/// Rows that a stream waits for before its first forecast.
pub(super) fn wanted_rows(
    model: &ForecastModel,
    options: &StreamOptions,
    detection: Option<&StreamDetection>,
) -> u64 {
    let own = || detection.map_or(model.wanted_rows(), |own| own.detector.min_rows()) as u64;
    options.min_rows.unwrap_or_else(own)
}

/// Forecasts that can wait at a time, and points of each.
pub(super) fn pending_size(model: &ForecastModel, options: &StreamOptions) -> (usize, usize) {
    let steps = model.config().prediction_length;
    let every = usize::try_from(options.every).unwrap_or(usize::MAX);
    (steps.div_ceil(every), steps * model.output_spec().channels().len())
}
