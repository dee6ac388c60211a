//! What `ptsm detect` says and draws of the points that it scanned.

use ptsm::data::SeriesSet;
use ptsm::detect::{Detection, DetectionReport, Event, FlagBy, ScannedPoint};

use crate::output::short;
use crate::pictures::{shown_time, shows_dates};
use crate::plot::{AnomalyPanel, AnomalyPlot, AnomalyPoint, MOST_ANOMALY_PANELS, TimeKind};
use crate::words::{counted, grouped};

/// Events that are listed.
const LISTED: usize = 10;

/// The scan in words.
pub(crate) fn text(name: &str, report: &DetectionReport) -> String {
    let steps = match report.ahead {
        1 => "one step ahead".to_owned(),
        ahead => format!("{ahead} steps ahead"),
    };
    let mut text = format!("{name}: {} scanned, {steps}\n", counted(report.scanned, "point"));
    text += &format!(
        "calibrated on {}: {}; p-values from {:.2e}\n",
        counted(report.calibration_points, "point"),
        report.calibrated_on,
        report.smallest_p
    );
    if report.pooled > 0 {
        text += &format!(
            "{} series and channels have fewer than 99 of these and are compared with those of other series\n",
            grouped(report.pooled as u64)
        );
    }
    text += &not_scored(report);
    let found = format!(
        "flagged: {} in {}",
        counted(report.anomalies, "point"),
        counted(report.events.len(), "event")
    );
    let expected = report.expected_false_alarms;
    text += &match report.flag_by {
        FlagBy::Level(level) => {
            format!("{found}, at level {level}: without any anomaly {expected:.1} are expected\n")
        }
        FlagBy::FalseDiscoveries(rate) => {
            format!(
                "{found}, at a rate of {rate} false discoveries: {expected:.1} of them expected, at most\n"
            )
        }
    };
    text += &too_few(report);
    if !report.events.is_empty() {
        text += &table(&report.events);
    }
    text
}

/// What could not be scored, and why.
fn not_scored(report: &DetectionReport) -> String {
    let left = report.not_scored;
    let mut text = String::new();
    if left.total() > 0 {
        text += &format!(
            "not scored: {} without a value, {} without enough rows before them, {} of series with fewer than 20 \
             points to calibrate on\n",
            counted(left.missing, "point"),
            left.without_context,
            left.not_calibrated
        );
    }
    if report.without_score > 0 {
        text += &format!(
            "note: {} series of the data cannot be scored: too short, or without enough points to calibrate on\n",
            grouped(report.without_score as u64)
        );
    }
    text
}

/// Says so where an anomaly cannot be flagged, or not alone.
fn too_few(report: &DetectionReport) -> String {
    match (report.flag_by, report.least_flagged) {
        (FlagBy::Level(level), _) => blind(report, level),
        (FlagBy::FalseDiscoveries(rate), Some(least)) if least > 1 => format!(
            "note: with so few calibration points for so many scanned ones, none is flagged unless {least} are beyond \
             all calibration points (--alpha LEVEL flags single points, or calibrate on at least {:.0} points of each \
             series and channel)\n",
            (report.scanned as f64 / rate).ceil()
        ),
        _ => String::new(),
    }
}

/// Says so where no point can be flagged at a level, anywhere or in some series.
fn blind(report: &DetectionReport, level: f64) -> String {
    let way_out = format!(
        "(calibrate on at least {:.0} points of each series and channel, or use a higher --alpha)",
        (1.0 / level).ceil()
    );
    match report.blind {
        0 => String::new(),
        all if all == report.compared => format!(
            "note: no point can be flagged at this level, since p-values begin at {:.2e} {way_out}\n",
            report.smallest_p
        ),
        some => format!(
            "note: in {some} of {} series and channels of them no point can be flagged at this level, since p-values \
             there begin above it {way_out}\n",
            report.compared
        ),
    }
}

/// The strongest events.
fn table(events: &[Event]) -> String {
    let named = events.iter().any(|event| !event.series.is_empty());
    let head = ["from", "to", "points", "channel", "at", "value", "expected", "score", "p"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for event in events.iter().take(LISTED) {
        let channel = match event.channels.len() {
            1 => event.channel.clone(),
            count => format!("{} (+{})", event.channel, count - 1),
        };
        rows.push(vec![
            event.from.clone(),
            event.to.clone(),
            event.points.to_string(),
            channel,
            event.at.clone(),
            short(event.value),
            short(event.expected),
            format!("{:.1}", event.score),
            format!("{:.2e}", event.p),
        ]);
    }
    if named {
        let ids = std::iter::once("series").chain(events.iter().map(|event| &*event.series));
        rows.iter_mut().zip(ids).for_each(|(row, id)| row.insert(0, id.to_owned()));
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text: String = rows.iter().map(line).collect();
    if events.len() > LISTED {
        text += &format!("  and {}\n", counted(events.len() - LISTED, "weaker event"));
    }
    text
}

/// The scanned points of a channel of a series.
struct Scanned<'a> {
    series: usize,
    channel: usize,
    points: Vec<&'a ScannedPoint>,
}

impl Scanned<'_> {
    /// The largest score of its flagged points, 0 without one.
    fn strength(&self) -> f64 {
        let flagged = self.points.iter().filter(|point| point.anomaly);
        flagged.map(|point| point.score).fold(0.0, f64::max)
    }

    fn panel(&self, set: &SeriesSet, found: &Detection) -> AnomalyPanel {
        let (one, channel) = (&set.series[self.series], &found.channels[self.channel]);
        let time = |row: usize| {
            let own = one.timestamps.as_ref().and_then(|times| times.get(row));
            own.map_or(row as i64, |time| shown_time(set, time, row))
        };
        let of = |point: &&ScannedPoint| AnomalyPoint {
            time: time(point.row),
            row: point.row,
            value: point.value,
            expected: point.expected,
            flagged: point.anomaly,
        };
        AnomalyPanel {
            name: match (set.series.len() > 1, found.channels.len()) {
                (false, _) => channel.clone(),
                (true, 1) => one.id.clone(),
                (true, _) => format!("{}, {channel}", one.id),
            },
            points: self.points.iter().map(of).collect(),
        }
    }
}

/// By series and channel, in the order of their first points.
fn by_channel(found: &Detection) -> Vec<Scanned<'_>> {
    let mut all: Vec<Scanned<'_>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for point in &found.points {
        let (series, channel) = (point.series, point.channel);
        let place = *places.entry((series, channel)).or_insert(all.len());
        match all.get_mut(place) {
            Some(scanned) => scanned.points.push(point),
            None => all.push(Scanned { series, channel, points: vec![point] }),
        }
    }
    all
}

/// The picture of a scan: channels of series with flagged points first, by their largest score.
pub(crate) fn anomaly_plot(name: &str, set: &SeriesSet, found: &Detection) -> AnomalyPlot {
    let mut all = by_channel(found);
    all.sort_by(|a, b| b.strength().total_cmp(&a.strength()));
    let dated = shows_dates(set) && set.series.iter().any(|series| series.timestamps.is_some());
    let flagged = found.anomalies().count();
    AnomalyPlot {
        title: format!("Anomalies in {name}"),
        subtitle: format!("{flagged} of {} flagged", counted(found.points.len(), "point")),
        time: if dated { TimeKind::UnixSeconds } else { TimeKind::Step },
        panels: all.iter().take(MOST_ANOMALY_PANELS).map(|one| one.panel(set, found)).collect(),
        number: all.len(),
    }
}
