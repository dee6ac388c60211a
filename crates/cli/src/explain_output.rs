//! What `ptsm explain` says and draws of influences.

use ptsm::data::{Series, SeriesSet};
use ptsm::explain::{Explanation, Influence, Source};
use serde::Serialize;

use crate::output::short;
use crate::pictures::{shown_time, shows_dates};
use crate::plot::{
    HeatCell, HeatRow, InfluencePanel, InfluencePlot, MOST_INFLUENCE_PANELS, TimeKind,
};
use crate::words::counted;

/// Sources that are named, and series and channels that are told of in words.
const NAMED: usize = 5;
const TOLD: usize = 8;

/// The influences on all forecasts.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    dataset: String,
    forecasts: Vec<OneSummary>,
}

/// The influences on the forecast of one channel of a series.
#[derive(Debug, Serialize)]
struct OneSummary {
    series: String,
    channel: String,
    /// Rows of a stretch.
    stretch: usize,
    /// Rows of the context.
    context: usize,
    /// The mean absolute forecast.
    forecast: f64,
    /// The largest ones, the largest first.
    past: Vec<Told>,
    /// Of each channel of the past, its share of the sizes of all stretches.
    channels: Vec<Share>,
    covariates: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Told {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    size: f64,
    mean: f64,
}

#[derive(Debug, Serialize)]
struct Share {
    source: String,
    share: f64,
}

/// A forecast, and the series that it is of.
#[derive(Clone, Copy)]
struct Of<'a> {
    set: &'a SeriesSet,
    series: Option<&'a Series>,
    one: &'a Explanation,
}

impl<'a> Of<'a> {
    fn all(set: &'a SeriesSet, all: &'a [Explanation]) -> Vec<Self> {
        let series = set.by_id();
        let of = |one: &'a Explanation| Self {
            set,
            series: series.get(one.forecast.id.as_str()).copied(),
            one,
        };
        all.iter().map(of).collect()
    }

    /// What is told of an influence on the channel number `k`.
    fn told(self, influence: &Influence, k: usize) -> Told {
        let channels = self.one.forecast.channels.len();
        let (size, mean) = (influence.size(k, channels), influence.mean(k, channels));
        match &influence.source {
            Source::Past { channel, rows } => Told {
                source: self.set.channels[*channel].clone(),
                from: Some(place(self, rows.start)),
                to: Some(place(self, rows.end - 1)),
                size,
                mean,
            },
            Source::Covariate { number } => {
                let source = self.set.covariates[*number].clone();
                Told { source, from: None, to: None, size, mean }
            }
        }
    }
}

/// The text of a row's time, or its number.
fn place(Of { set, series, .. }: Of<'_>, row: usize) -> String {
    let time = series.and_then(|one| Some((one, one.timestamps.as_ref()?.get(row)?)));
    time.map_or_else(|| row.to_string(), |(series, time)| set.time_text(series, time))
}

/// The strongest influences on every channel of every series.
pub(crate) fn summary(name: &str, set: &SeriesSet, all: &[Explanation]) -> Summary {
    let each = |of: Of<'_>| {
        (0..of.one.forecast.channels.len()).map(move |k| one_summary(of, k)).collect::<Vec<_>>()
    };
    let forecasts = Of::all(set, all).into_iter().flat_map(each).collect();
    Summary { dataset: name.to_owned(), forecasts }
}

fn one_summary(of: Of<'_>, k: usize) -> OneSummary {
    let Of { set, one, .. } = of;
    let channels = one.forecast.channels.len();
    let of_kind = |past: bool| {
        let kind = move |one: &&Influence| matches!(one.source, Source::Past { .. }) == past;
        let own = one.influences.iter().filter(kind);
        let mut all: Vec<Told> = own.map(|influence| of.told(influence, k)).collect();
        all.sort_by(|a, b| b.size.total_cmp(&a.size));
        all
    };
    let mut past = of_kind(true);
    let whole: f64 = past.iter().map(|told| told.size).sum();
    let share = |source: &String| {
        let own = past.iter().filter(|told| told.source == *source).map(|told| told.size);
        let share = if whole > 0.0 { own.sum::<f64>() / whole } else { 0.0 };
        Share { source: source.clone(), share }
    };
    let mut shares: Vec<Share> = set.channels.iter().map(share).collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    past.truncate(NAMED);
    let values = one.forecast.values.iter().skip(k).step_by(channels);
    let steps = one.forecast.prediction_length();
    OneSummary {
        series: one.forecast.id.clone(),
        channel: one.forecast.channels[k].clone(),
        stretch: one.stretch,
        context: one.context.len(),
        forecast: values.map(|x| x.abs()).sum::<f64>() / steps as f64,
        past,
        channels: shares,
        covariates: of_kind(false),
    }
}

/// The influences in words.
pub(crate) fn text(summary: &Summary) -> String {
    let mut text: String = summary.forecasts.iter().take(TOLD).map(OneSummary::text).collect();
    if summary.forecasts.len() > TOLD {
        let more = counted(summary.forecasts.len() - TOLD, "more forecast");
        text += &format!("and {more} (--out FILE or --json has all)\n");
    }
    text
}

impl OneSummary {
    fn text(&self) -> String {
        let of = if self.series.is_empty() { "" } else { " of " };
        let mut text = format!(
            "{}{of}{}: forecast of size {} from {} rows, hidden {} at a time\n",
            self.channel,
            self.series,
            short(self.forecast),
            self.context,
            self.stretch
        );
        let moved = |told: &Told| {
            let sign = if told.mean < 0.0 { "lower" } else { "higher" };
            format!("{} ({sign} by {} on average)", short(told.size), short(told.mean.abs()))
        };
        for told in self.past.iter().filter(|told| told.size > 0.0) {
            let (from, to) = (told.from.as_deref(), told.to.as_deref());
            text += &format!(
                "  {} from {} to {}: {}\n",
                told.source,
                from.unwrap_or_default(),
                to.unwrap_or_default(),
                moved(told)
            );
        }
        for told in &self.covariates {
            text += &format!("  covariate {}: {}\n", told.source, moved(told));
        }
        let shares = self.channels.iter().filter(|share| share.share > 0.0).take(NAMED);
        let shares: Vec<String> =
            shares.map(|share| format!("{} {:.0} %", share.source, 100.0 * share.share)).collect();
        let none = self.channels.iter().filter(|share| share.share == 0.0).count();
        let none = match none {
            0 => String::new(),
            1 => "; 1 channel has none".to_owned(),
            count => format!("; {} have none", counted(count, "channel")),
        };
        text += &format!("  by channel of the past: {}{none}\n", shares.join(", "));
        text
    }
}

/// Channels of the past that a panel shows, those with the largest influence.
const SHOWN: usize = 6;

/// The picture: a panel for each channel of each series.
pub(crate) fn influence_plot(name: &str, set: &SeriesSet, all: &[Explanation]) -> InfluencePlot {
    let number = all.iter().map(|one| one.forecast.channels.len()).sum();
    let dated = shows_dates(set) && all.iter().any(|one| one.forecast.timestamps.is_some());
    let several = all.len() > 1;
    let each = |of: Of<'_>| -> Vec<InfluencePanel> {
        let panels = (0..of.one.forecast.channels.len()).map(|k| panel(of, k));
        let named = |panel: InfluencePanel| match several {
            true => {
                InfluencePanel { name: format!("{}, {}", of.one.forecast.id, panel.name), ..panel }
            }
            false => panel,
        };
        panels.take(MOST_INFLUENCE_PANELS).map(named).collect()
    };
    // Each has one panel at least.
    let shown = all.len().min(MOST_INFLUENCE_PANELS);
    let panels = Of::all(set, &all[..shown]).into_iter().flat_map(each);
    InfluencePlot {
        title: format!("What moved the forecast of {name}"),
        subtitle: "change of the forecast when a stretch is hidden: the darker, the larger".into(),
        time: if dated { TimeKind::UnixSeconds } else { TimeKind::Step },
        panels: panels.take(MOST_INFLUENCE_PANELS).collect(),
        number,
    }
}

fn panel(Of { set, series, one }: Of<'_>, k: usize) -> InfluencePanel {
    let channels = one.forecast.channels.len();
    let time = |row: usize| {
        let own = series.and_then(|series| series.timestamps.as_ref()?.get(row));
        let ahead = row.checked_sub(one.forecast.first_row).and_then(|step| {
            one.forecast.timestamps.as_ref().and_then(|times| times.get(step).copied())
        });
        own.or(ahead).map_or(row as i64, |time| shown_time(set, time, row))
    };
    let own = &one.forecast.channels[k];
    let target = set.channels.iter().position(|name| name == own).unwrap_or_default();
    let past = one
        .context
        .clone()
        .map(|row| (time(row), series.and_then(|series| series.get(row, target))));
    let steps = one.forecast.prediction_length();
    let forecast = (0..steps).map(|step| {
        let value = one.forecast.values[step * channels + k];
        (time(one.forecast.first_row + step), Some(value))
    });
    let mut rows: Vec<HeatRow> = Vec::new();
    for (number, name) in set.channels.iter().enumerate() {
        let cells = one.influences.iter().filter_map(|influence| match &influence.source {
            Source::Past { channel, rows } if *channel == number => {
                let until = time(rows.end.saturating_sub(1));
                Some(HeatCell { from: time(rows.start), until, size: influence.size(k, channels) })
            }
            _ => None,
        });
        rows.push(HeatRow { name: name.clone(), cells: cells.collect() });
    }
    rows.sort_by(|a, b| b.sum().total_cmp(&a.sum()));
    rows.truncate(SHOWN);
    InfluencePanel { name: own.clone(), past: past.collect(), forecast: forecast.collect(), rows }
}
