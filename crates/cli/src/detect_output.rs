//! What `ptsm detect` says and draws of the points that it scanned.

use ptsm::data::SeriesSet;
use ptsm::detect::{Detection, DetectionReport, Event, FlagBy, ScannedPoint};

use crate::output::short;
use crate::pictures::{shown_time, shows_dates};
use crate::plot::{AnomalyPanel, AnomalyPlot, AnomalyPoint, MOST_ANOMALY_PANELS, TimeKind};

/// Events that are listed.
const LISTED: usize = 10;

/// The scan in words.
pub(crate) fn text(name: &str, report: &DetectionReport) -> String {
    let steps = match report.ahead {
        1 => "one step ahead".to_owned(),
        ahead => format!("{ahead} steps ahead"),
    };
    let mut text = format!("{name}: {} points scanned, {steps}\n", report.scanned);
    text += &format!(
        "calibrated on {} points: {}; p-values from {:.2e}\n",
        report.calibration_points, report.calibrated_on, report.smallest_p
    );
    if report.pooled > 0 {
        text += &format!(
            "{} series and channels have too few of these and are compared with those of all series\n",
            report.pooled
        );
    }
    let left = report.not_scored;
    if left.total() > 0 {
        text += &format!(
            "not scored: {} points without a value, {} without enough rows before them, {} of series without a \
             calibration point\n",
            left.missing, left.without_context, left.not_calibrated
        );
    }
    let (events, anomalies) = (report.events.len(), report.anomalies);
    let found = format!(
        "flagged: {anomalies} point{} in {events} event{}",
        if anomalies == 1 { "" } else { "s" },
        if events == 1 { "" } else { "s" }
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

/// Says so where one anomaly alone cannot be flagged.
fn too_few(report: &DetectionReport) -> String {
    if let FlagBy::Level(level) = report.flag_by
        && level < report.smallest_p
    {
        return format!(
            "note: no point can be flagged at this level, since p-values begin at {:.2e} (calibrate on at least {:.0} \
             points of each series and channel, or use a higher --alpha)\n",
            report.smallest_p,
            (1.0 / level).ceil()
        );
    }
    let (FlagBy::FalseDiscoveries(rate), Some(least)) = (report.flag_by, report.least_flagged)
    else {
        return String::new();
    };
    if least <= 1 {
        return String::new();
    }
    format!(
        "note: with so few calibration points for so many scanned ones, none is flagged unless {least} are beyond all \
         calibration points (--alpha LEVEL flags single points, or calibrate on at least {:.0} points of each series \
         and channel)\n",
        (report.scanned as f64 / rate).ceil()
    )
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
        text += &format!("  and {} weaker events\n", events.len() - LISTED);
    }
    text
}

/// The picture of a scan: channels of series with flagged points first, by their largest score.
pub(crate) fn anomaly_plot(name: &str, set: &SeriesSet, found: &Detection) -> AnomalyPlot {
    let mut panels: Vec<(usize, usize, Vec<&ScannedPoint>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for point in &found.points {
        let key = (point.series, point.channel);
        let place = *places.entry(key).or_insert(panels.len());
        match panels.get_mut(place) {
            Some((_, _, points)) => points.push(point),
            None => panels.push((key.0, key.1, vec![point])),
        }
    }
    let strength = |points: &[&ScannedPoint]| {
        points.iter().filter(|point| point.anomaly).map(|point| point.score).fold(0.0, f64::max)
    };
    panels.sort_by(|a, b| strength(&b.2).total_cmp(&strength(&a.2)));
    let dated = shows_dates(set) && set.series.iter().any(|series| series.timestamps.is_some());
    let number = panels.len();
    let several = set.series.len() > 1;
    let panel = |(series, channel, points): &(usize, usize, Vec<&ScannedPoint>)| {
        let (one, channel_name) = (&set.series[*series], &found.channels[*channel]);
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
            name: match (several, found.channels.len()) {
                (false, _) => channel_name.clone(),
                (true, 1) => one.id.clone(),
                (true, _) => format!("{}, {channel_name}", one.id),
            },
            points: points.iter().map(of).collect(),
        }
    };
    let flagged = found.anomalies().count();
    AnomalyPlot {
        title: format!("Anomalies in {name}"),
        subtitle: format!("{flagged} of {} points flagged", found.points.len()),
        time: if dated { TimeKind::UnixSeconds } else { TimeKind::Step },
        panels: panels.iter().take(MOST_ANOMALY_PANELS).map(panel).collect(),
        number,
    }
}
