//! The picture of a scan: values, what was expected, and the flagged points.

use super::axis::Scale;
use super::curves::{
    Frame, draw_bottom_line, draw_bottom_tick, draw_runs, draw_value_axis, gutter, runs,
};
use super::font::fit;
use super::legend::{LEGEND_HEIGHT, Mark, draw_legend};
use super::save::Picture;
use super::scene::{Position, Scene};
use super::style::{Colour, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE, TICK_SIZE};
use super::time_axis::{TimeKind, ticks};

/// Channels of series beyond this many are left out, with a note.
pub(crate) const MOST_ANOMALY_PANELS: usize = 8;
const PANEL_HEADING: f64 = 26.0;
const ROW_GAP: f64 = 14.0;
const TIME_LABELS: f64 = 38.0;
/// Columns that a line is drawn in: where there are more points, the lowest and the highest of each.
const COLUMNS: usize = 900;
const FLAG: Colour = Colour::Other(0);
const SHADE_OPACITY: f64 = 0.16;
const RADIUS: f64 = 3.5;

/// A scanned point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnomalyPoint {
    /// Its time, as the axis has it.
    pub(crate) time: i64,
    /// Number of its row: where one is left out, lines have a gap.
    pub(crate) row: usize,
    /// Its value.
    pub(crate) value: f64,
    /// What was expected.
    pub(crate) expected: f64,
    /// Whether it is an anomaly.
    pub(crate) flagged: bool,
}

/// A channel of a series.
#[derive(Debug, Clone)]
pub(crate) struct AnomalyPanel {
    /// Its name.
    pub(crate) name: String,
    /// Points, by row.
    pub(crate) points: Vec<AnomalyPoint>,
}

/// Scanned points of one or more channels.
#[derive(Debug, Clone)]
pub(crate) struct AnomalyPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// What times mean.
    pub(crate) time: TimeKind,
    /// The panels that are shown.
    pub(crate) panels: Vec<AnomalyPanel>,
    /// How many there would be.
    pub(crate) number: usize,
}

impl Picture for AnomalyPlot {
    fn scene(&self) -> Scene {
        let (mut scene, mut y) = Scene::titled(&self.title, &self.subtitle);
        let entries = [
            (Mark::Line(Colour::Truth), "actual".to_owned()),
            (Mark::Line(Colour::Model), "expected".to_owned()),
            (Mark::Dot(FLAG), "anomaly".to_owned()),
        ];
        draw_legend(&mut scene, (MARGIN, y), &entries);
        y += LEGEND_HEIGHT;
        let height = match self.panels.len() {
            0 | 1 => 280.0,
            2 => 190.0,
            3 | 4 => 140.0,
            _ => 100.0,
        };
        let scales: Vec<Scale> = self.panels.iter().map(value_scale).collect();
        let gutter = scales.iter().map(gutter).fold(0.0, f64::max);
        let times = self.panels.iter().flat_map(|panel| panel.points.iter().map(|p| p.time));
        let (first, last) =
            times.fold((i64::MAX, i64::MIN), |(a, b), time| (a.min(time), b.max(time)));
        for (number, (panel, scale)) in self.panels.iter().zip(&scales).enumerate() {
            let top = y + PANEL_HEADING + number as f64 * (height + PANEL_HEADING + ROW_GAP);
            let frame = Frame {
                left: MARGIN + gutter,
                right: PICTURE_WIDTH - MARGIN,
                top,
                bottom: top + height,
            };
            let axis = TimeAxis { frame, first, last };
            draw_panel(&mut scene, axis, panel, scale);
            if number + 1 == self.panels.len() {
                self.draw_times(&mut scene, axis);
            }
        }
        y += self.panels.len() as f64 * (height + PANEL_HEADING + ROW_GAP) + TIME_LABELS - ROW_GAP;
        if self.number > self.panels.len() {
            let text = format!(
                "{} of {} channels, those with the strongest anomalies",
                self.panels.len(),
                self.number
            );
            scene.text((MARGIN, y + 12.0), &text, TICK_SIZE, Colour::Muted);
            y += 16.0;
        }
        scene.height = (y + MARGIN / 2.0).ceil();
        scene
    }
}

impl AnomalyPlot {
    fn draw_times(&self, scene: &mut Scene, axis: TimeAxis) {
        let TimeAxis { frame, first, last } = axis;
        for mark in ticks(self.time, first, last, 10) {
            draw_bottom_tick(scene, frame, axis.x(mark.at), &mark.label);
            if let Some(context) = &mark.context {
                let at = (axis.x(mark.at), frame.bottom + 31.0);
                let anchor = super::scene::Anchor::Middle;
                scene.anchored(at, context, TICK_SIZE, Colour::Muted, anchor);
            }
        }
    }
}

/// The horizontal axis of a panel.
#[derive(Debug, Clone, Copy)]
struct TimeAxis {
    frame: Frame,
    first: i64,
    last: i64,
}

impl TimeAxis {
    fn x(self, time: i64) -> f64 {
        let span = (self.last - self.first).max(1) as f64;
        self.frame.x((time - self.first) as f64 / span)
    }
}

fn value_scale(panel: &AnomalyPanel) -> Scale {
    Scale::covering(panel.points.iter().flat_map(|p| [p.value, p.expected]), 4)
}

fn draw_panel(scene: &mut Scene, axis: TimeAxis, panel: &AnomalyPanel, scale: &Scale) {
    let frame = axis.frame;
    let name = fit(&panel.name, SUBTITLE_SIZE, 500.0);
    scene.heading((MARGIN, frame.top - 10.0), &name, SUBTITLE_SIZE);
    let mut shaded = f64::NEG_INFINITY;
    for point in panel.points.iter().filter(|point| point.flagged) {
        // Not over one another, where many lie side by side.
        let from = (axis.x(point.time) - 1.5).max(shaded);
        let to = axis.x(point.time) + 1.5;
        if to > from {
            scene.rectangle((from, frame.top), (to, frame.bottom), FLAG, SHADE_OPACITY);
            shaded = to;
        }
    }
    draw_value_axis(scene, frame, scale);
    draw_bottom_line(scene, frame);
    let y = |value: f64| frame.y(scale.share(value));
    for (width, colour, of) in [
        (1.3, Colour::Truth, (|p| p.value) as fn(&AnomalyPoint) -> f64),
        (1.1, Colour::Model, |p| p.expected),
    ] {
        let points = thinned(&panel.points, of);
        let mut before: Option<usize> = None;
        let mut line: Vec<Option<Position>> = Vec::with_capacity(points.len());
        for (point, gap) in points {
            if gap && before.is_some() {
                line.push(None);
            }
            before = Some(point.row);
            line.push(Some((axis.x(point.time), y(of(&point)))));
        }
        draw_runs(scene, runs(line), width, colour);
    }
    for point in panel.points.iter().filter(|point| point.flagged) {
        scene.dot((axis.x(point.time), y(point.value)), RADIUS, FLAG);
    }
}

/// The points of a line, each with whether rows are left out before it: all of them, or of many points the lowest and
/// the highest of each column.
fn thinned(points: &[AnomalyPoint], of: fn(&AnomalyPoint) -> f64) -> Vec<(AnomalyPoint, bool)> {
    let gap = |i: usize| i > 0 && points[i].row > points[i - 1].row + 1;
    if points.len() <= 2 * COLUMNS {
        return (0..points.len()).map(|i| (points[i], gap(i))).collect();
    }
    let each = points.len().div_ceil(COLUMNS);
    let mut found = Vec::with_capacity(2 * COLUMNS);
    for first in (0..points.len()).step_by(each) {
        let column = first..(first + each).min(points.len());
        let broken = column.clone().any(gap);
        let by = |a: &usize, b: &usize| of(&points[*a]).total_cmp(&of(&points[*b]));
        let (low, high) = (column.clone().min_by(by), column.max_by(by));
        let mut ends = [low.unwrap_or(first), high.unwrap_or(first)];
        ends.sort_unstable();
        found.push((points[ends[0]], broken));
        found.push((points[ends[1]], false));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Shape;

    fn points(count: usize) -> Vec<AnomalyPoint> {
        let point = |row| AnomalyPoint {
            time: row as i64,
            row,
            value: if row == 77 { 9.0 } else { (row as f64).sin() },
            expected: 0.0,
            flagged: row == 77,
        };
        (0..count).map(point).collect()
    }

    #[test]
    fn every_flagged_point_has_a_dot_and_no_peak_is_lost() {
        for count in [100, 20_000] {
            let panels = vec![AnomalyPanel { name: "x".into(), points: points(count) }];
            let plot = AnomalyPlot {
                title: "t".into(),
                subtitle: String::new(),
                time: TimeKind::Step,
                panels,
                number: 1,
            };
            let scene = plot.scene();
            let dots = scene.shapes.iter().filter(
                |shape| matches!(shape, Shape::Dot { colour, radius, .. } if *colour == FLAG && *radius == RADIUS),
            );
            assert_eq!(dots.count(), 1);
            let kept = thinned(&plot.panels[0].points, |p| p.value);
            assert!(kept.len() <= 2 * COLUMNS);
            assert!(kept.iter().any(|(point, _)| point.value == 9.0));
            assert!(kept.windows(2).all(|pair| pair[0].0.row <= pair[1].0.row));
        }
    }

    #[test]
    fn a_row_that_is_left_out_is_a_gap() {
        let mut points = points(10);
        points.remove(5);
        let gaps: Vec<bool> = thinned(&points, |p| p.value).iter().map(|(_, gap)| *gap).collect();
        assert_eq!(gaps.iter().filter(|gap| **gap).count(), 1);
        assert!(gaps[5]);
    }
}
