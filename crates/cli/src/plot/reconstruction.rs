//! The picture of masked pretraining: series with patches hidden from the model, and the values
//! that it reconstructs there.

use std::ops::Range;

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

/// Channels beyond this many are left out, with a note.
const MOST_PANELS: usize = 8;
const PANEL_HEADING: f64 = 26.0;
const ROW_GAP: f64 = 14.0;
const TIME_LABELS: f64 = 38.0;
const SHADE: Colour = Colour::Context;
const SHADE_OPACITY: f64 = 0.22;

/// One channel.
#[derive(Debug, Clone)]
pub(crate) struct ReconstructionPanel {
    /// Name of the channel.
    pub(crate) channel: String,
    /// The series, one value a step; one that is not finite is missing.
    pub(crate) truth: Vec<f64>,
    /// The steps of each masked patch.
    pub(crate) masked: Vec<Range<usize>>,
    /// The model's values, one a step; shown at the masked steps only.
    pub(crate) reconstruction: Vec<f64>,
}

/// A window with masked patches, for one or more channels.
#[derive(Debug, Clone)]
pub(crate) struct ReconstructionPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// Channels, in order; the first eight are shown.
    pub(crate) panels: Vec<ReconstructionPanel>,
}

impl Picture for ReconstructionPlot {
    fn scene(&self) -> Scene {
        let (mut scene, mut y) = Scene::titled(&self.title, &self.subtitle);
        let entries = [
            (Mark::Line(Colour::Truth), "actual".to_owned()),
            (Mark::Area(SHADE, SHADE_OPACITY), "hidden from the model".to_owned()),
            (Mark::Line(Colour::Model), "reconstructed".to_owned()),
        ];
        draw_legend(&mut scene, (MARGIN, y), &entries);
        y += LEGEND_HEIGHT;
        let shown = &self.panels[..self.panels.len().min(MOST_PANELS)];
        let height = match shown.len() {
            0 | 1 => 280.0,
            2 => 190.0,
            3 | 4 => 140.0,
            _ => 100.0,
        };
        let steps = shown.iter().map(|panel| panel.truth.len()).max().unwrap_or(0);
        let scales: Vec<Scale> = shown.iter().map(value_scale).collect();
        let gutter = scales.iter().map(gutter).fold(0.0, f64::max);
        for (number, (panel, scale)) in shown.iter().zip(&scales).enumerate() {
            let top = y + PANEL_HEADING + number as f64 * (height + PANEL_HEADING + ROW_GAP);
            let frame = Frame {
                left: MARGIN + gutter,
                right: PICTURE_WIDTH - MARGIN,
                top,
                bottom: top + height,
            };
            let axis = StepAxis { frame, steps };
            draw_panel(&mut scene, axis, panel, scale);
            if number + 1 == shown.len() {
                draw_step_labels(&mut scene, axis);
            }
        }
        y += shown.len() as f64 * (height + PANEL_HEADING + ROW_GAP) + TIME_LABELS - ROW_GAP;
        scene.height = (self.draw_note(&mut scene, y, shown.len()) + MARGIN / 2.0).ceil();
        scene
    }
}

impl ReconstructionPlot {
    /// Notes what was left out; returns the y below the note.
    fn draw_note(&self, scene: &mut Scene, y: f64, shown: usize) -> f64 {
        let text = match self.panels.len() {
            0 => "no channel to show".to_owned(),
            all if all > shown => format!("the first {shown} of {all} channels"),
            _ => return y,
        };
        scene.text((MARGIN, y + 12.0), &text, TICK_SIZE, Colour::Muted);
        y + 16.0
    }
}

/// The value that the model gives for a hidden step.
fn hidden_value(panel: &ReconstructionPanel, step: usize) -> Option<f64> {
    let hidden = panel.masked.iter().any(|patch| patch.contains(&step));
    panel.reconstruction.get(step).copied().filter(|value| hidden && value.is_finite())
}

fn value_scale(panel: &ReconstructionPanel) -> Scale {
    let reconstructed = (0..panel.truth.len()).filter_map(|step| hidden_value(panel, step));
    Scale::covering(panel.truth.iter().copied().chain(reconstructed), 4)
}

/// The horizontal axis of a panel: time steps from 0, with half a step of room on either side.
#[derive(Debug, Clone, Copy)]
struct StepAxis {
    frame: Frame,
    steps: usize,
}

impl StepAxis {
    fn x(self, step: f64) -> f64 {
        self.frame.x((step + 0.5) / self.steps.max(1) as f64)
    }
}

fn draw_panel(scene: &mut Scene, axis: StepAxis, panel: &ReconstructionPanel, scale: &Scale) {
    let StepAxis { frame, steps } = axis;
    let name = fit(&panel.channel, SUBTITLE_SIZE, 500.0);
    scene.heading((MARGIN, frame.top - 10.0), &name, SUBTITLE_SIZE);
    for patch in joined(&panel.masked, panel.truth.len().min(steps)) {
        let x = |step: usize| axis.x(step as f64 - 0.5);
        let corners = ((x(patch.start), frame.top), (x(patch.end), frame.bottom));
        scene.rectangle(corners.0, corners.1, SHADE, SHADE_OPACITY);
    }
    draw_value_axis(scene, frame, scale);
    draw_bottom_line(scene, frame);
    let at = |(step, value): (usize, Option<f64>)| -> Option<Position> {
        let value = value.filter(|value| value.is_finite())?;
        Some((axis.x(step as f64), frame.y(scale.share(value))))
    };
    let truth = panel.truth.iter().copied().map(Some).enumerate();
    draw_runs(scene, runs(truth.map(at)), 1.5, Colour::Truth);
    let reconstructed = (0..panel.truth.len()).map(|step| (step, hidden_value(panel, step)));
    draw_runs(scene, runs(reconstructed.map(at)), 2.4, Colour::Model);
}

/// The masked steps below `steps`, neighbouring and overlapping patches as one, in rising order.
fn joined(masked: &[Range<usize>], steps: usize) -> Vec<Range<usize>> {
    let mut sorted: Vec<Range<usize>> =
        masked.iter().map(|patch| patch.start..patch.end.min(steps)).collect();
    sorted.retain(|patch| !patch.is_empty());
    sorted.sort_by_key(|patch| patch.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for patch in sorted {
        match joined.last_mut() {
            Some(last) if patch.start <= last.end => last.end = last.end.max(patch.end),
            _ => joined.push(patch),
        }
    }
    joined
}

fn draw_step_labels(scene: &mut Scene, axis: StepAxis) {
    let StepAxis { frame, steps } = axis;
    let last = steps.saturating_sub(1) as i64;
    for mark in ticks(TimeKind::Step, 0, last, 10) {
        draw_bottom_tick(scene, frame, axis.x(mark.at as f64), &mark.label);
    }
    let at = (frame.left, frame.bottom + 33.0);
    scene.text(at, "time step", TICK_SIZE, Colour::Muted);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Shape;

    #[test]
    fn neighbouring_patches_are_one_area() {
        assert_eq!(joined(&[8..12, 0..4, 4..8, 20..24], 22), [0..12, 20..22]);
        assert_eq!(joined(&[0..8, 2..4, 30..40], 10), vec![0..8]);
    }

    #[test]
    fn only_hidden_steps_are_reconstructed() {
        let plot = ReconstructionPlot {
            title: String::new(),
            subtitle: String::new(),
            panels: vec![ReconstructionPanel {
                channel: "x".to_owned(),
                truth: vec![0.0; 12],
                masked: vec![2..4, 8..10],
                reconstruction: vec![1.0; 12],
            }],
        };
        let lengths: Vec<usize> = plot
            .scene()
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Line { points, colour: Colour::Model, width } if *width == 2.4 => {
                    Some(points)
                }
                _ => None,
            })
            .map(Vec::len)
            .collect();
        // The first one is the legend's.
        assert_eq!(lengths, [2, 2, 2]);
    }
}
