//! What `evaluate`, `predict` and `demo` tell alike: scores beside baselines, pictures, the report.

use std::path::Path;
use std::time::Instant;

use ptsm::data::{Frequency, Prepared, Segment, SeriesSet, Split, WindowSet, WindowShape, prepare};
use ptsm::evaluate::{
    BaselineOutcome, BaselinePlan, Detail, EvaluateOptions, Evaluation, MaseScale, Metrics,
    evaluate, score_baselines,
};
use ptsm::model_dir::{ModelDir, read_json};
use ptsm::spec::Source;
use ptsm::train::History;
use ptsm::{Config, Forecast, Forecaster, Record, Result};

use crate::global::Global;
use crate::html::{Column, Figure, Report, Section, Table};
use crate::plot::{
    Bar, BarsPlot, Epoch, ErrorCurve, ForecastPanel, ForecastPlot, HorizonPlot, Interval, Point,
    TimeKind, TrainingCurve, to_svg,
};
use crate::progress::Progress;
use crate::source::summary;

/// Forecast lengths of context that a picture shows before the forecast.
const CONTEXT_SHOWN: usize = 3;

/// Part of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }

    pub(crate) fn windows(self, prepared: &Prepared) -> &WindowSet {
        match self {
            Part::Train => &prepared.train,
            Part::Validation => &prepared.validation,
            Part::Test => &prepared.test,
        }
    }
}

/// What is scored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring {
    pub(crate) part: Part,
    pub(crate) baselines: bool,
    pub(crate) batch_size: usize,
    /// Steps of the season; `None` = the model's.
    pub(crate) season: Option<usize>,
    pub(crate) per_step: bool,
    pub(crate) per_channel: bool,
}

/// Windows of new data under the model's own standardisation and split.
pub(crate) fn prepare_for(
    forecaster: &Forecaster,
    set: &SeriesSet,
    borders: Option<Split>,
) -> Result<Prepared> {
    let Config { context_length, prediction_length, .. } = *forecaster.config();
    let shape = WindowShape { context_length, prediction_length, step: 1 };
    let preprocessor = forecaster.preprocessor();
    let split = borders.unwrap_or(preprocessor.split);
    prepare(set, &split, shape, None, Some(&preprocessor.standardiser))
}

/// Scores the model and the baselines on every window of one part.
pub(crate) fn score(
    global: &Global,
    forecaster: &mut Forecaster,
    prepared: &Prepared,
    dataset: &str,
    scoring: &Scoring,
) -> Result<Evaluation> {
    let windows = scoring.part.windows(prepared);
    let season = scoring.season.unwrap_or(forecaster.preprocessor().seasonal_period);
    let config = forecaster.config().clone();
    let channels = config.prediction_channels();
    let progress = std::cell::RefCell::new(Progress::new(global, "scoring", windows.len() as u64));
    let tick = |done: usize, _: usize| {
        progress.borrow_mut().update(done as u64, "");
        Ok(())
    };
    let train: &[Segment] = prepared.train.segments();
    let mut options = EvaluateOptions {
        batch_size: scoring.batch_size,
        channels: Some(channels.clone()),
        mase_scale: Some(MaseScale::fit(train, season)?),
        detail: Detail { per_step: scoring.per_step, per_channel: scoring.per_channel },
        progress: Some(&tick),
    };
    let began = Instant::now();
    let model = evaluate(&mut |batch| forecaster.forward(batch), windows, &options)?;
    let seconds = began.elapsed().as_secs_f64();
    options.progress = None;
    progress.borrow_mut().finish();
    let baselines = match scoring.baselines {
        false => Vec::new(),
        true => {
            let plan = BaselinePlan {
                season_length: (season > 1).then_some(season),
                ridge: Some((&prepared.train, &prepared.validation)),
            };
            score_baselines(windows, &plan, &options)?
        }
    };
    let probabilistic = forecaster.interval_scores(windows)?;
    let names = &forecaster.preprocessor().channels;
    Ok(Evaluation {
        probabilistic,
        coherence: None,
        dataset: dataset.to_owned(),
        split: scoring.part.name().to_owned(),
        context_length: config.context_length,
        prediction_length: config.prediction_length,
        seconds,
        model,
        channel_names: channels.iter().map(|&c| names[c].clone()).collect(),
        baselines,
    })
}

/// Takes out the details that were only wanted for pictures.
pub(crate) fn trim(evaluation: &mut Evaluation, per_step: bool, per_channel: bool) {
    let trim = |metrics: &mut Metrics| {
        if !per_step {
            metrics.per_step = None;
        }
        if !per_channel {
            metrics.per_channel = None;
        }
    };
    trim(&mut evaluation.model);
    for baseline in &mut evaluation.baselines {
        if let BaselineOutcome::Scored(metrics) = &mut baseline.outcome {
            trim(metrics);
        }
    }
}

/// The model and every baseline that was scored, with what each is called.
fn scored(evaluation: &Evaluation) -> Vec<(String, &Metrics, bool)> {
    let mut all = vec![("PatchTSMixer".to_owned(), &evaluation.model, true)];
    for baseline in &evaluation.baselines {
        if let BaselineOutcome::Scored(metrics) = &baseline.outcome {
            all.push((baseline.name.replace('_', " "), metrics, false));
        }
    }
    all
}

/// Error by horizon step, model and baselines.
pub(crate) fn horizon_plot(evaluation: &Evaluation, titled: bool) -> HorizonPlot {
    let curve = |(name, metrics, is_model): (String, &Metrics, bool)| {
        let steps = metrics.per_step.as_deref().unwrap_or_default();
        ErrorCurve { name, errors: steps.iter().filter_map(|step| step.mse).collect(), is_model }
    };
    HorizonPlot {
        title: title(titled, &format!("Error by horizon step, {}", evaluation.dataset)),
        subtitle: title(titled, &format!("every one of {} windows", evaluation.model.windows)),
        metric: "MSE".into(),
        curves: scored(evaluation).into_iter().map(curve).collect(),
    }
}

fn title(titled: bool, text: &str) -> String {
    if titled { text.to_owned() } else { String::new() }
}

fn bars_plot(evaluation: &Evaluation) -> BarsPlot {
    let bar = |(name, metrics, is_model): (String, &Metrics, bool)| Bar {
        name,
        value: metrics.mse,
        is_model,
    };
    BarsPlot {
        title: String::new(),
        subtitle: String::new(),
        metric: "MSE".into(),
        bars: scored(evaluation).into_iter().map(bar).collect(),
    }
}

/// Loss by epoch.
pub(crate) fn training_curve(history: &History, titled: bool) -> TrainingCurve {
    let epoch = |e: &ptsm::train::Epoch| Epoch {
        number: e.epoch as usize,
        training_loss: Some(e.train_loss),
        validation_loss: e.validation_loss,
        learning_rate: Some(e.learning_rate),
    };
    TrainingCurve {
        title: title(titled, "Training"),
        subtitle: title(titled, &format!("best epoch {}", history.best_epoch)),
        loss: "loss".into(),
        epochs: history.epochs.iter().map(epoch).collect(),
        best_epoch: (history.best_epoch > 0).then_some(history.best_epoch as usize),
    }
}

/// One forecast with its context, and the truth where the data hold it.
pub(crate) fn forecast_plot(
    title: &str,
    forecaster: &Forecaster,
    set: &SeriesSet,
    forecast: &Forecast,
) -> ForecastPlot {
    let time = match forecast.timestamps {
        Some(_) if shows_dates(set) => TimeKind::UnixSeconds,
        _ => TimeKind::Step,
    };
    let Config { context_length, prediction_length, .. } = *forecaster.config();
    let panels = forecast.channels.iter().enumerate();
    ForecastPlot {
        title: title.to_owned(),
        subtitle: match title {
            "" => String::new(),
            _ => format!("{prediction_length} steps from a context of {context_length}"),
        },
        time,
        panels: panels.map(|(k, name)| panel(forecaster, set, forecast, (k, name))).collect(),
    }
}

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// Whether an axis can show the times of these rows: to the second.
fn shows_dates(set: &SeriesSet) -> bool {
    !matches!(set.frequency, Some(Frequency::Nanoseconds(step)) if step % SECOND != 0)
        && !set.frequency.is_some_and(Frequency::is_index)
}

/// A time as the axis has it: seconds, whole numbers of an index, or the number of the row.
fn shown_time(set: &SeriesSet, time: i64, row: usize) -> i64 {
    match set.frequency {
        Some(Frequency::Index(_)) => time,
        _ if shows_dates(set) => time.div_euclid(SECOND),
        _ => row as i64,
    }
}

fn panel(
    forecaster: &Forecaster,
    set: &SeriesSet,
    forecast: &Forecast,
    (k, name): (usize, &String),
) -> ForecastPanel {
    let mut panel = ForecastPanel { channel: name.clone(), ..ForecastPanel::default() };
    let steps = forecast.prediction_length();
    let Some(series) = set.series.iter().find(|series| series.id == forecast.id) else {
        return panel;
    };
    let Some(channel) = set.channels.iter().position(|channel| channel == name) else {
        return panel;
    };
    let first = forecast.first_row;
    let time = |row: usize| match (&series.timestamps, &forecast.timestamps) {
        (Some(times), _) if row < times.len() => shown_time(set, times[row], row),
        (_, Some(times)) if row >= first => shown_time(set, times[row - first], row),
        _ => row as i64,
    };
    let shown = forecaster.config().context_length.min(CONTEXT_SHOWN * steps);
    let known = |row: usize| -> Point { (time(row), series.get(row, channel)) };
    panel.context = (first.saturating_sub(shown)..first).map(known).collect();
    let end = series.num_rows().min(first + steps);
    panel.truth = (end > first).then(|| (first..end).map(known).collect());
    let value = |step: usize| forecast.values[step * forecast.channels.len() + k];
    let column = |ends: &[f64]| -> Vec<f64> {
        ends.iter().skip(k).step_by(forecast.channels.len()).copied().collect()
    };
    panel.bands = forecast
        .intervals
        .iter()
        .map(|band| Interval {
            level: band.level,
            lower: column(&band.lower),
            upper: column(&band.upper),
        })
        .collect();
    panel.forecast = (0..steps).map(|step| (time(first + step), Some(value(step)))).collect();
    panel
}

/// Forecasts whose truth is the end of the data.
pub(crate) fn last_forecasts(
    forecaster: &mut Forecaster,
    set: &SeriesSet,
) -> Result<Vec<Forecast>> {
    let steps = forecaster.config().prediction_length;
    forecaster.predict(set, steps)
}

/// Everything that the HTML report shows.
pub(crate) struct Page<'a> {
    pub(crate) command: String,
    pub(crate) model_dir: &'a Path,
    pub(crate) source: &'a Source,
    pub(crate) set: &'a SeriesSet,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) forecasts: Vec<Forecast>,
}

impl Page<'_> {
    /// The page as text.
    pub(crate) fn render(&self, forecaster: &Forecaster) -> Result<String> {
        let evaluation = self.evaluation;
        let mut sections = vec![
            Section::table("Scores", self.scores()),
            Section::picture(
                "Beside baselines",
                to_svg(&bars_plot(evaluation))?,
                "Mean squared error over every window, in units of the training rows' deviation.",
            ),
        ];
        if let Some(forecast) = self.forecasts.first() {
            let plot = forecast_plot("", forecaster, self.set, forecast);
            sections.push(Section::picture(
                "The last forecast with a known truth",
                to_svg(&plot)?,
                "Context, forecast and what came true, in data units.",
            ));
        }
        sections.push(Section::picture(
            "Error by horizon step",
            to_svg(&horizon_plot(evaluation, false))?,
            "",
        ));
        if let Some(table) = self.channels() {
            sections.push(Section::table("By channel", table));
        }
        self.add_training(&mut sections)?;
        sections.push(Section::text("Data", self.data_notes()));
        sections.push(Section::code("Command", &self.command));
        Report {
            title: format!("PatchTSMixer on {}", evaluation.dataset),
            subtitle: format!(
                "{} to {} steps, {} windows of the {} rows, none left out",
                evaluation.context_length,
                evaluation.prediction_length,
                evaluation.model.windows,
                evaluation.split
            ),
            figures: self.figures(),
            sections,
            footer: format!("ptsm {}", env!("CARGO_PKG_VERSION")),
        }
        .render()
    }

    fn figures(&self) -> Vec<Figure> {
        let best = scored(self.evaluation).into_iter().filter(|(_, _, is_model)| !is_model);
        let best = best.min_by(|a, b| a.1.mse.total_cmp(&b.1.mse));
        let figure = |name: &str, value: Option<f64>, note: String| Figure {
            name: name.into(),
            value: value.map_or("-".into(), |value| format!("{value:.4}")),
            note,
        };
        let note = |pick: fn(&Metrics) -> f64| {
            best.as_ref().map_or(String::new(), |(name, m, _)| format!("{name}: {:.4}", pick(m)))
        };
        let model = &self.evaluation.model;
        vec![
            figure("MSE", Some(model.mse), note(|m| m.mse)),
            figure("MAE", Some(model.mae), note(|m| m.mae)),
            figure("Correlation", model.correlation, String::new()),
        ]
    }

    fn scores(&self) -> Table {
        let cell = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.4}"));
        let row = |(name, m, _): (String, &Metrics, bool)| {
            let cells = [Some(m.mse), Some(m.mae), Some(m.rmse), m.mase, m.correlation];
            std::iter::once(name).chain(cells.map(cell)).collect()
        };
        let reasons = self.evaluation.baselines.iter().filter_map(|b| match &b.outcome {
            BaselineOutcome::NotScored { reason } => Some(format!("{}: {reason}", b.name)),
            BaselineOutcome::Scored(_) => None,
        });
        Table {
            columns: std::iter::once(Column::text("Forecaster"))
                .chain(["MSE", "MAE", "RMSE", "MASE", "Correlation"].map(Column::number))
                .collect(),
            rows: scored(self.evaluation).into_iter().map(row).collect(),
            highlight: Some(0),
            note: reasons.collect::<Vec<_>>().join("; "),
        }
    }

    fn channels(&self) -> Option<Table> {
        let parts = self.evaluation.model.per_channel.as_ref()?;
        let cell = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.4}"));
        let names = &self.evaluation.channel_names;
        let rows = names.iter().zip(parts).map(|(name, m)| {
            vec![name.clone(), cell(m.mse), cell(m.mae), cell(m.mase), m.points.to_string()]
        });
        Some(Table {
            columns: std::iter::once(Column::text("Channel"))
                .chain(["MSE", "MAE", "MASE", "Points"].map(Column::number))
                .collect(),
            rows: rows.collect(),
            highlight: None,
            note: String::new(),
        })
    }

    /// The training curve and facts, where the model directory has a record.
    fn add_training(&self, sections: &mut Vec<Section>) -> Result<()> {
        // The record of another version is no reason to write no report.
        let record = read_json::<Record>(&ModelDir::new(self.model_dir).training());
        let Ok(Some(record)) = record else { return Ok(()) };
        let svg = to_svg(&training_curve(&record.history, false))?;
        sections.push(Section::picture("Training", svg, ""));
        let seconds = record.seconds();
        let facts = [
            ("Parameters", record.num_parameters.to_string()),
            ("Training windows", record.train_windows.to_string()),
            ("Epochs", record.history.epochs.len().to_string()),
            ("Best epoch", record.history.best_epoch.to_string()),
            ("Stopped by", record.history.stopped_by.clone()),
            ("Seconds", format!("{seconds:.1}")),
            ("Seed", record.training.seed.to_string()),
            ("Peak learning rate", record.training.learning_rate.to_string()),
            ("Instruction set", record.instruction_set.clone()),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value)).to_vec();
        sections.push(Section::key_values("How it was trained", facts));
        Ok(())
    }

    fn data_notes(&self) -> Vec<String> {
        let mut notes = vec![summary(&self.source.name, self.set)];
        if let Some(set) = self.source.dataset {
            notes.push(format!("{}. Licence: {}. Source: {}.", set.about, set.licence, set.source));
        }
        notes.extend(self.set.repairs.notes());
        notes
    }
}
