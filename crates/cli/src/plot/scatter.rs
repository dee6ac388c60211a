//! Predicted against true values of a regression: the closer to the diagonal, the better.

use super::axis::Scale;
use super::curves::{Frame, draw_bottom_line, draw_bottom_tick, draw_value_axis, gutter};
use super::font::{fit, text_width};
use super::save::Picture;
use super::scene::Scene;
use super::style::{Colour, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE, TICK_SIZE};

/// Targets beyond this many are left out, with a note.
const MOST_PANELS: usize = 6;
/// Of more points than this, every n-th is drawn, with a note.
const MOST_POINTS: usize = 4_000;
const COLUMN_GAP: f64 = 28.0;
const PANEL_HEADING: f64 = 30.0;
const AXIS_ROOM: f64 = 44.0;
const ROW_GAP: f64 = 14.0;

/// One target.
#[derive(Debug, Clone)]
pub(crate) struct ScatterPanel {
    /// Its name, with the unit if there is one.
    pub(crate) target: String,
    /// True and predicted value of each case; one that is not finite is left out.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Predictions of one or more targets.
#[derive(Debug, Clone)]
pub(crate) struct ScatterPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// Targets, in order; the first six are shown.
    pub(crate) panels: Vec<ScatterPanel>,
}

impl Picture for ScatterPlot {
    fn scene(&self) -> Scene {
        let (mut scene, y) = Scene::titled(&self.title, &self.subtitle);
        let shown = &self.panels[..self.panels.len().min(MOST_PANELS)];
        let columns = shown.len().clamp(1, 3);
        let gaps = COLUMN_GAP * (columns - 1) as f64;
        let width = ((PICTURE_WIDTH - 2.0 * MARGIN - gaps) / columns as f64).min(520.0);
        let scales: Vec<Scale> = shown.iter().map(scale).collect();
        let gutter = scales.iter().map(gutter).fold(0.0, f64::max);
        let side = width - gutter;
        let height = PANEL_HEADING + side + AXIS_ROOM;
        let used = width * columns as f64 + gaps;
        let start = (PICTURE_WIDTH - used) / 2.0 + gutter;
        for (number, (panel, scale)) in shown.iter().zip(&scales).enumerate() {
            let (column, row) = ((number % columns) as f64, (number / columns) as f64);
            let left = start + column * (width + COLUMN_GAP);
            let top = y + row * (height + ROW_GAP) + PANEL_HEADING;
            let frame = Frame { left, right: left + side, top, bottom: top + side };
            draw_panel(&mut scene, frame, panel, scale, gutter);
        }
        let rows = shown.len().div_ceil(columns) as f64;
        let bottom =
            self.draw_note(&mut scene, y + rows * (height + ROW_GAP) - ROW_GAP.min(rows * ROW_GAP));
        scene.height = (bottom + MARGIN / 2.0).ceil();
        scene
    }
}

impl ScatterPlot {
    /// Notes what was left out; returns the y below the note.
    fn draw_note(&self, scene: &mut Scene, y: f64) -> f64 {
        let mut notes = Vec::new();
        match self.panels.len() {
            0 => notes.push("no target to show".to_owned()),
            all if all > MOST_PANELS => {
                notes.push(format!("the first {MOST_PANELS} of {all} targets"));
            }
            _ => {}
        }
        let most = self.panels.iter().map(|panel| panel.points.len()).max().unwrap_or(0);
        if most > MOST_POINTS {
            let step = most.div_ceil(MOST_POINTS);
            notes.push(format!("one of {step} points is drawn, {most} were scored"));
        }
        if notes.is_empty() {
            return y;
        }
        scene.text((MARGIN, y + 12.0), &notes.join("; "), TICK_SIZE, Colour::Muted);
        y + 16.0
    }
}

/// One scale for both axes.
fn scale(panel: &ScatterPanel) -> Scale {
    Scale::covering(finite(panel).flat_map(|(truth, predicted)| [truth, predicted]), 5)
}

fn finite(panel: &ScatterPanel) -> impl Iterator<Item = (f64, f64)> {
    panel
        .points
        .iter()
        .copied()
        .filter(|(truth, predicted)| truth.is_finite() && predicted.is_finite())
}

fn draw_panel(scene: &mut Scene, frame: Frame, panel: &ScatterPanel, scale: &Scale, gutter: f64) {
    let side = frame.right - frame.left;
    let name = fit(&panel.target, SUBTITLE_SIZE, side - 60.0);
    scene.heading((frame.left - gutter, frame.top - 12.0), &name, SUBTITLE_SIZE);
    let after = frame.left - gutter + 1.06 * text_width(&name, SUBTITLE_SIZE) + 8.0;
    scene.text((after, frame.top - 12.0), "predicted", TICK_SIZE, Colour::Muted);
    draw_value_axis(scene, frame, scale);
    draw_bottom_line(scene, frame);
    for (value, text) in scale.ticks() {
        let x = frame.x(scale.share(*value));
        scene.line(vec![(x, frame.top), (x, frame.bottom)], 1.0, Colour::Grid);
        draw_bottom_tick(scene, frame, x, text);
    }
    let at = (frame.left, frame.bottom + 34.0);
    scene.text(at, "true value; on the dashed line both are equal", TICK_SIZE, Colour::Muted);
    scene.dashed((frame.left, frame.bottom), (frame.right, frame.top), Colour::Rule);
    let step = panel.points.len().div_ceil(MOST_POINTS).max(1);
    let radius = if panel.points.len() > 500 { 1.8 } else { 3.0 };
    for (truth, predicted) in finite(panel).step_by(step) {
        let at = (frame.x(scale.share(truth)), frame.y(scale.share(predicted)));
        scene.dot(at, radius, Colour::Model);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Shape;

    fn dots(plot: &ScatterPlot) -> Vec<(f64, f64)> {
        let shapes = plot.scene().shapes.into_iter();
        let at = |shape| match shape {
            Shape::Dot { at, .. } => Some(at),
            _ => None,
        };
        shapes.filter_map(at).collect()
    }

    fn plot(points: Vec<(f64, f64)>) -> ScatterPlot {
        let target = "rate".to_owned();
        let panels = vec![ScatterPanel { target, points }];
        ScatterPlot { title: String::new(), subtitle: String::new(), panels }
    }

    #[test]
    fn equal_values_lie_on_the_diagonal_and_others_off_it() {
        let dots = dots(&plot(vec![(1.0, 1.0), (3.0, 3.0), (2.0, 3.0), (f64::NAN, 1.0)]));
        assert_eq!(dots.len(), 3);
        let [low, high, above] = dots[..] else { panic!() };
        assert!(((high.0 - low.0) - (low.1 - high.1)).abs() < 1e-9, "one scale for both axes");
        assert!(above.0 < high.0 && (above.1 - high.1).abs() < 1e-9);
    }

    #[test]
    fn many_points_are_thinned_with_a_note() {
        let many = plot((0..9_000).map(|i| (f64::from(i), f64::from(i))).collect());
        assert_eq!(dots(&many).len(), 3_000);
        let note = |shape: &Shape| matches!(shape, Shape::Label(l) if l.text.contains("one of 3"));
        assert!(many.scene().shapes.iter().any(note));
    }
}
