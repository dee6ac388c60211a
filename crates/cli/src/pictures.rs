//! Fills the pictures of [`plot`](crate::plot) with scores, training histories and forecasts.

use std::path::Path;

use ptsm::data::{Frequency, SeriesSet};
use ptsm::evaluate::Evaluation;
use ptsm::train::History;
use ptsm::{Config, Forecast, Forecaster};

use crate::plot::{
    Bar, BarsPlot, Epoch, ErrorCurve, ForecastPanel, ForecastPlot, HorizonPlot, Interval,
    MOST_PANELS, Point, Run, TimeKind, TrainingCurve,
};
use crate::scoring::{NamedMetrics, named_metrics};

/// A picture shows at most this many times the forecast's length of context before it.
const CONTEXT_SHOWN: usize = 3;

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// Whether an axis can show the times of these rows: to the second.
pub(crate) fn shows_dates(set: &SeriesSet) -> bool {
    !matches!(set.frequency, Some(Frequency::Nanoseconds(step)) if step % SECOND != 0)
        && !set.frequency.is_some_and(Frequency::is_index)
}

/// A time as the axis has it: seconds, whole numbers of an index, or the number of the row.
pub(crate) fn shown_time(set: &SeriesSet, time: i64, row: usize) -> i64 {
    match set.frequency {
        Some(Frequency::Index(_)) => time,
        _ if shows_dates(set) => time.div_euclid(SECOND),
        _ => row as i64,
    }
}

/// Error by horizon step, model and baselines.
pub(crate) fn horizon_plot(evaluation: &Evaluation, model: &Path, titled: bool) -> HorizonPlot {
    let curve = |NamedMetrics { name, metrics, is_model }| {
        let steps = metrics.per_step.as_deref().unwrap_or_default();
        ErrorCurve { name, errors: steps.iter().filter_map(|step| step.mse).collect(), is_model }
    };
    HorizonPlot {
        title: title(titled, &format!("Error by horizon step, {}", evaluation.dataset)),
        subtitle: title(titled, &format!("every one of {} windows", evaluation.model.windows)),
        metric: "MSE, standardised units".into(),
        curves: named_metrics(evaluation, model).into_iter().map(curve).collect(),
    }
}

fn title(titled: bool, text: &str) -> String {
    if titled { text.to_owned() } else { String::new() }
}

/// Mean squared error of model and baselines.
pub(crate) fn bars_plot(evaluation: &Evaluation, model: &Path) -> BarsPlot {
    let bar = |NamedMetrics { name, metrics, is_model }| Bar { name, value: metrics.mse, is_model };
    BarsPlot {
        title: String::new(),
        subtitle: String::new(),
        metric: "MSE, standardised units".into(),
        bars: named_metrics(evaluation, model).into_iter().map(bar).collect(),
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

/// Forecasts with their contexts, and the true values where the data have them: a panel for each channel of each
/// series, by its name.
pub(crate) fn forecast_plot(
    title: &str,
    forecaster: &Forecaster,
    set: &SeriesSet,
    forecasts: &[Forecast],
) -> ForecastPlot {
    let dated = forecasts.iter().any(|forecast| forecast.timestamps.is_some());
    let time = if dated && shows_dates(set) { TimeKind::UnixSeconds } else { TimeKind::Step };
    let Config { context_length, prediction_length, .. } = *forecaster.config();
    let several = forecasts.len() > 1;
    // No more than are shown: each panel holds its points.
    let all = forecasts.iter().flat_map(|one| (0..one.channels.len()).map(move |k| (one, k)));
    let number = all.clone().count();
    let panels = all.take(MOST_PANELS).map(|(forecast, k)| {
        let mut panel = panel(forecaster, set, forecast, k);
        if several {
            panel.channel = match forecast.channels.len() {
                1 => forecast.id.clone(),
                _ => format!("{}, {}", forecast.id, panel.channel),
            };
        }
        panel
    });
    ForecastPlot {
        title: title.to_owned(),
        subtitle: match title {
            "" => String::new(),
            _ => format!("{prediction_length} steps from a context of {context_length}"),
        },
        time,
        panels: panels.collect(),
        number,
    }
}

/// The panel of the forecast's `k`-th channel.
fn panel(forecaster: &Forecaster, set: &SeriesSet, forecast: &Forecast, k: usize) -> ForecastPanel {
    runs_panel(forecaster.config().context_length, set, std::slice::from_ref(forecast), k)
}

/// The panel of the `k`-th channel of forecasts of one series from several cutoffs, the earliest first.
fn runs_panel(context: usize, set: &SeriesSet, runs: &[Forecast], k: usize) -> ForecastPanel {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        return ForecastPanel::default();
    };
    let name = &first.channels[k];
    let mut panel = ForecastPanel { channel: name.clone(), ..ForecastPanel::default() };
    let steps = last.prediction_length();
    let Some(series) = set.series.iter().find(|series| series.id == first.id) else {
        return panel;
    };
    let Some(channel) = set.channels.iter().position(|channel| channel == name) else {
        return panel;
    };
    let time = |forecast: &Forecast, row: usize| match (&series.timestamps, &forecast.timestamps) {
        (Some(times), _) if row < times.len() => {
            shown_time(set, times.get(row).unwrap_or_default(), row)
        }
        (_, Some(times)) if row >= forecast.first_row => {
            shown_time(set, times[row - forecast.first_row], row)
        }
        _ => row as i64,
    };
    let start = first.first_row;
    let shown = context.min(CONTEXT_SHOWN * steps);
    let known = |row: usize| -> Point { (time(first, row), series.get(row, channel)) };
    panel.context = (start.saturating_sub(shown)..start).map(known).collect();
    let end = series.num_rows().min(last.first_row + steps);
    panel.truth = (end > start).then(|| (start..end).map(known).collect());
    let run = |forecast: &Forecast| {
        let width = forecast.channels.len();
        let column = |ends: &[f64]| ends.iter().skip(k).step_by(width).copied().collect();
        let band = |band: &ptsm::ForecastInterval| Interval {
            level: band.level,
            lower: column(&band.lower),
            upper: column(&band.upper),
        };
        let value = |step: usize| forecast.values[step * width + k];
        let point = |step: usize| (time(forecast, forecast.first_row + step), Some(value(step)));
        Run {
            forecast: (0..forecast.prediction_length()).map(point).collect(),
            bands: forecast.intervals.iter().map(band).collect(),
        }
    };
    panel.earlier = runs.iter().map(run).collect();
    let Run { forecast, bands } = panel.earlier.pop().unwrap_or_default();
    ForecastPanel { forecast, bands, ..panel }
}

/// Forecasts from several cutoffs over the true values; `series` are those of each series, the earliest first.
pub(crate) fn backtest_plot(
    title: &str,
    context: usize,
    set: &SeriesSet,
    series: &[Vec<Forecast>],
) -> ForecastPlot {
    let dated = series.iter().flatten().any(|forecast| forecast.timestamps.is_some());
    let channels = |runs: &Vec<Forecast>| runs.first().map_or(0, |first| first.channels.len());
    let all = series.iter().flat_map(|runs| (0..channels(runs)).map(move |k| (runs, k)));
    let panels = all.take(MOST_PANELS).map(|(runs, k)| {
        let mut panel = runs_panel(context, set, runs, k);
        let id = runs.first().map_or("", |first| first.id.as_str());
        if !id.is_empty() {
            panel.channel = match channels(runs) {
                1 => id.to_owned(),
                _ => format!("{id}, {}", panel.channel),
            };
        }
        panel
    });
    let runs = series.first().map_or(0, Vec::len);
    let steps = series.first().and_then(|runs| runs.first()).map(Forecast::prediction_length);
    ForecastPlot {
        title: title.to_owned(),
        subtitle: format!("forecasts of {} steps from {runs} cutoffs", steps.unwrap_or_default()),
        time: if dated && shows_dates(set) { TimeKind::UnixSeconds } else { TimeKind::Step },
        number: set.series.len() * series.first().map_or(0, channels),
        panels: panels.collect(),
    }
}
