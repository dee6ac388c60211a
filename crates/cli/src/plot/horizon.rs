//! Error by forecast step: how fast a forecast gets worse, for the model and the baselines.

use super::axis::Scale;
use super::curves::{
    Axes, EndLabel, Frame, draw_bottom_line, draw_bottom_tick, draw_end_labels, draw_runs,
    draw_value_axis, end_label_room, gutter, runs,
};
use super::font::fit;
use super::save::Picture;
use super::scene::{Position, Scene};
use super::style::{Colour, LABEL_SIZE, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE, TICK_SIZE};
use super::time_axis::{TimeKind, ticks};

const HEIGHT: f64 = 280.0;

/// Error of one forecaster.
#[derive(Debug, Clone)]
pub(crate) struct ErrorCurve {
    /// Its name.
    pub(crate) name: String,
    /// Error at step 1, 2, ...; a value that is not finite leaves a gap.
    pub(crate) errors: Vec<f64>,
    /// Whether it is the model, which is drawn last and in its own colour.
    pub(crate) is_model: bool,
}

/// Error by forecast step.
#[derive(Debug, Clone)]
pub(crate) struct HorizonPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// What is measured, such as `MSE`.
    pub(crate) metric: String,
    /// One line each.
    pub(crate) curves: Vec<ErrorCurve>,
}

impl Picture for HorizonPlot {
    fn scene(&self) -> Scene {
        let (mut scene, y) = Scene::titled(&self.title, &self.subtitle);
        let values = || self.curves.iter().flat_map(|curve| curve.errors.iter().copied());
        let scale = Scale::covering(values(), 5);
        let names: Vec<String> = self.curves.iter().map(short_name).collect();
        let frame = Frame {
            left: MARGIN + gutter(&scale),
            right: PICTURE_WIDTH - MARGIN - end_label_room(names.iter().map(String::as_str)),
            top: y + 26.0,
            bottom: y + 26.0 + HEIGHT,
        };
        let metric = fit(&self.metric, SUBTITLE_SIZE, 300.0);
        scene.heading((MARGIN, frame.top - 12.0), &metric, SUBTITLE_SIZE);
        draw_value_axis(&mut scene, frame, &scale);
        draw_step_labels(&mut scene, frame, self.steps());
        self.draw_curves(&mut scene, Axes { frame, scale: &scale }, &names);
        scene.height = frame.bottom + 44.0 + MARGIN / 2.0;
        scene
    }
}

impl HorizonPlot {
    fn steps(&self) -> usize {
        let steps = self.curves.iter().map(|curve| curve.errors.len());
        steps.max().unwrap_or(0)
    }

    fn draw_curves(&self, scene: &mut Scene, axes: Axes<'_>, names: &[String]) {
        let steps = self.steps();
        let mut labels = Vec::new();
        // The model comes last, over the others.
        for (number, colour) in self.order() {
            let points = points(&self.curves[number].errors, axes, steps);
            if let Some((_, y)) = points.iter().rev().find_map(|point| *point) {
                labels.push(EndLabel {
                    y,
                    text: names[number].clone(),
                    colour,
                    strong: self.curves[number].is_model,
                });
            }
            let width = if self.curves[number].is_model { 2.6 } else { 1.6 };
            draw_runs(scene, runs(points), width, colour);
        }
        draw_end_labels(scene, axes.frame, labels);
    }

    /// Curves with their colours, in drawing order.
    fn order(&self) -> Vec<(usize, Colour)> {
        let numbers = 0..self.curves.len();
        let (models, others): (Vec<usize>, Vec<usize>) =
            numbers.partition(|number| self.curves[*number].is_model);
        let others = others.into_iter().enumerate();
        let others = others.map(|(colour, number)| (number, Colour::Other(colour)));
        let models = models.into_iter().map(|number| (number, Colour::Model));
        others.chain(models).collect()
    }
}

fn short_name(curve: &ErrorCurve) -> String {
    fit(&curve.name, LABEL_SIZE, 180.0)
}

fn points(errors: &[f64], axes: Axes<'_>, steps: usize) -> Vec<Option<Position>> {
    let place = |(number, error): (usize, &f64)| {
        let x = axes.frame.x(step_share(number + 1, steps));
        error.is_finite().then(|| (x, axes.y(*error)))
    };
    errors.iter().enumerate().map(place).collect()
}

fn step_share(step: usize, steps: usize) -> f64 {
    match steps {
        0 | 1 => 0.5,
        _ => (step - 1) as f64 / (steps - 1) as f64,
    }
}

fn draw_step_labels(scene: &mut Scene, frame: Frame, steps: usize) {
    draw_bottom_line(scene, frame);
    for step in marked_steps(steps) {
        let x = frame.x(step_share(step, steps));
        draw_bottom_tick(scene, frame, x, &step.to_string());
    }
    let at = (frame.left, frame.bottom + 35.0);
    scene.text(at, "steps ahead", TICK_SIZE, Colour::Muted);
}

/// The first step, the last, and round ones between whose labels touch neither.
fn marked_steps(steps: usize) -> Vec<usize> {
    let room = steps.div_ceil(20);
    let rounds = ticks(TimeKind::Step, 1, steps as i64, 8).into_iter();
    let between =
        rounds.map(|tick| tick.at as usize).filter(|step| *step > room && *step + room <= steps);
    let mut marked: Vec<usize> = std::iter::once(1).chain(between).chain([steps]).collect();
    marked.dedup();
    marked.retain(|step| (1..=steps).contains(step));
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_step_are_marked() {
        assert_eq!(marked_steps(96), [1, 20, 40, 60, 80, 96]);
        assert_eq!(marked_steps(3), [1, 2, 3]);
        assert_eq!(marked_steps(1), [1]);
        assert!(marked_steps(0).is_empty());
    }
}
