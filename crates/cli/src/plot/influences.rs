//! The picture of influences: the past and the forecast, and below them, for each channel, how much each stretch moved
//! the forecast.

use super::axis::Scale;
use super::curves::{
    Frame, draw_bottom_line, draw_bottom_tick, draw_runs, draw_value_axis, gutter, runs,
};
use super::font::{fit, text_width};
use super::forecast::Point;
use super::legend::{LEGEND_HEIGHT, Mark, draw_legend};
use super::save::Picture;
use super::scene::{Anchor, Scene};
use super::style::{Colour, LABEL_SIZE, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE, TICK_SIZE};
use super::time_axis::{TimeKind, ticks};

/// Channels of series beyond this many are left out, with a note.
pub(crate) const MOST_INFLUENCE_PANELS: usize = 4;
const PANEL_HEADING: f64 = 26.0;
const LINES: f64 = 130.0;
const STRIP: f64 = 18.0;
const STRIP_GAP: f64 = 3.0;
const ROW_GAP: f64 = 46.0;
const HEAT: Colour = Colour::Other(0);
/// Opacity of the largest influence.
const DARKEST: f64 = 0.95;
/// Widest name beside a strip.
const NAME_WIDTH: f64 = 120.0;

/// How much a stretch moved the forecast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeatCell {
    /// Its first time.
    pub(crate) from: i64,
    /// Its last time.
    pub(crate) until: i64,
    /// Its influence, at least 0.
    pub(crate) size: f64,
}

/// How much the stretches of a channel moved the forecast.
#[derive(Debug, Clone)]
pub(crate) struct HeatRow {
    /// Name of the channel.
    pub(crate) name: String,
    /// Its stretches.
    pub(crate) cells: Vec<HeatCell>,
}

impl HeatRow {
    /// All influences together.
    pub(crate) fn sum(&self) -> f64 {
        self.cells.iter().map(|cell| cell.size).sum()
    }
}

/// The forecast of a channel.
#[derive(Debug, Clone)]
pub(crate) struct InfluencePanel {
    /// Its name.
    pub(crate) name: String,
    /// The context.
    pub(crate) past: Vec<Point>,
    /// The forecast.
    pub(crate) forecast: Vec<Point>,
    /// Channels, the strongest first.
    pub(crate) rows: Vec<HeatRow>,
}

/// Influences on one or more forecasts.
#[derive(Debug, Clone)]
pub(crate) struct InfluencePlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// What times mean.
    pub(crate) time: TimeKind,
    /// The panels that are shown.
    pub(crate) panels: Vec<InfluencePanel>,
    /// How many there would be.
    pub(crate) number: usize,
}

impl Picture for InfluencePlot {
    fn scene(&self) -> Scene {
        let (mut scene, mut y) = Scene::titled(&self.title, &self.subtitle);
        let entries = [
            (Mark::Line(Colour::Truth), "context".to_owned()),
            (Mark::Line(Colour::Model), "forecast".to_owned()),
            (Mark::Area(HEAT, 0.15), "small".to_owned()),
            (Mark::Area(HEAT, DARKEST), "largest influence".to_owned()),
        ];
        draw_legend(&mut scene, (MARGIN, y), &entries);
        y += LEGEND_HEIGHT;
        let scales: Vec<Scale> = self.panels.iter().map(value_scale).collect();
        let names = self.panels.iter().flat_map(|panel| &panel.rows);
        let widest = names
            .map(|row| text_width(&row.name, LABEL_SIZE).min(NAME_WIDTH) + 8.0)
            .fold(0.0, f64::max);
        let left = MARGIN + scales.iter().map(gutter).fold(widest, f64::max);
        for (panel, scale) in self.panels.iter().zip(&scales) {
            let top = y + PANEL_HEADING;
            let frame = Frame { left, right: PICTURE_WIDTH - MARGIN, top, bottom: top + LINES };
            let bottom = draw_panel(&mut scene, frame, panel, scale, self.time);
            y = bottom + ROW_GAP;
        }
        if self.number > self.panels.len() {
            let text = format!("the first {} of {} forecasts", self.panels.len(), self.number);
            scene.text((MARGIN, y + 2.0), &text, TICK_SIZE, Colour::Muted);
            y += 16.0;
        }
        scene.height = (y + MARGIN / 2.0).ceil();
        scene
    }
}

fn value_scale(panel: &InfluencePanel) -> Scale {
    let all = panel.past.iter().chain(&panel.forecast);
    Scale::covering(all.filter_map(|(_, value)| *value), 4)
}

/// Draws a panel; gives the y of its lower end.
fn draw_panel(
    scene: &mut Scene,
    frame: Frame,
    panel: &InfluencePanel,
    scale: &Scale,
    time: TimeKind,
) -> f64 {
    let name = fit(&panel.name, SUBTITLE_SIZE, 500.0);
    scene.heading((MARGIN, frame.top - 10.0), &name, SUBTITLE_SIZE);
    draw_value_axis(scene, frame, scale);
    let times = panel.past.iter().chain(&panel.forecast).map(|(time, _)| *time);
    let (first, last) = times.fold((i64::MAX, i64::MIN), |(a, b), time| (a.min(time), b.max(time)));
    let span = last.saturating_sub(first).max(1) as f64;
    let x = |time: i64| frame.x((time - first) as f64 / span);
    for (points, colour) in [(&panel.past, Colour::Truth), (&panel.forecast, Colour::Model)] {
        let at = |(time, value): &Point| Some((x(*time), frame.y(scale.share((*value)?))));
        draw_runs(scene, runs(points.iter().map(at)), 1.5, colour);
    }
    draw_bottom_line(scene, frame);
    let largest = panel.rows.iter().flat_map(|row| &row.cells).map(|cell| cell.size);
    let largest = largest.fold(0.0, f64::max);
    let step = panel.past.windows(2).map(|pair| pair[1].0 - pair[0].0).min().unwrap_or(1);
    let mut y = frame.bottom + 6.0;
    for row in &panel.rows {
        let name = fit(&row.name, LABEL_SIZE, NAME_WIDTH);
        let at = (frame.left - 8.0, y + STRIP / 2.0 + 0.35 * LABEL_SIZE);
        scene.anchored(at, &name, LABEL_SIZE, Colour::Muted, Anchor::End);
        for HeatCell { from, until, size } in &row.cells {
            let share = if largest > 0.0 { size / largest } else { 0.0 };
            let to = x((until + step).min(last));
            scene.rectangle((x(*from), y), (to, y + STRIP), Colour::Grid, 0.6);
            if share > 0.0 {
                scene.rectangle((x(*from), y), (to, y + STRIP), HEAT, DARKEST * share);
            }
        }
        y += STRIP + STRIP_GAP;
    }
    let below = Frame { bottom: y, ..frame };
    draw_bottom_line(scene, below);
    for mark in ticks(time, first, last, 10) {
        draw_bottom_tick(scene, below, x(mark.at), &mark.label);
        if let Some(context) = &mark.context {
            let at = (x(mark.at), y + 31.0);
            scene.anchored(at, context, TICK_SIZE, Colour::Muted, Anchor::Middle);
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Shape;

    #[test]
    fn the_largest_influence_is_the_darkest_and_none_is_left_blank() {
        let row = |name: &str, sizes: [f64; 2]| HeatRow {
            name: name.into(),
            cells: vec![
                HeatCell { from: 0, until: 1, size: sizes[0] },
                HeatCell { from: 2, until: 3, size: sizes[1] },
            ],
        };
        let plot = InfluencePlot {
            title: "t".into(),
            subtitle: String::new(),
            time: TimeKind::Step,
            panels: vec![InfluencePanel {
                name: "x".into(),
                past: (0..4).map(|t| (t, Some(t as f64))).collect(),
                forecast: vec![(4, Some(4.0)), (5, Some(5.0))],
                rows: vec![row("x", [1.0, 4.0]), row("y", [0.0, 2.0])],
            }],
            number: 1,
        };
        let opacities: Vec<f64> = plot
            .scene()
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Box { colour, opacity, .. } if *colour == HEAT => Some(*opacity),
                _ => None,
            })
            .collect();
        // Two of the legend, then the cells without the one that is 0.
        assert_eq!(opacities, [0.15, DARKEST, 0.25 * DARKEST, DARKEST, 0.5 * DARKEST]);
    }
}
