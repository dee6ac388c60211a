//! The picture of a training run: loss by epoch, with the best epoch marked and the learning rate
//! below.

use super::axis::{Scale, value};
use super::curves::{
    Axes, EndLabel, Frame, draw_bottom_line, draw_bottom_tick, draw_end_labels, draw_runs,
    draw_value_axis, end_label_room, gutter, runs,
};
use super::font::{fit, text_width};
use super::save::Picture;
use super::scene::{Anchor, Scene};
use super::style::{Colour, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE, TICK_SIZE};
use super::time_axis::{TimeKind, ticks};

const LOSS_HEIGHT: f64 = 270.0;
const RATE_HEIGHT: f64 = 56.0;
const HEADING: f64 = 28.0;

/// Losses and learning rate of one epoch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Epoch {
    /// Its number.
    pub(crate) number: usize,
    /// Mean training loss.
    pub(crate) training_loss: Option<f64>,
    /// Mean validation loss.
    pub(crate) validation_loss: Option<f64>,
    /// Learning rate at its end.
    pub(crate) learning_rate: Option<f64>,
}

/// A training run.
#[derive(Debug, Clone)]
pub(crate) struct TrainingCurve {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// Name of the loss, such as `MSE`.
    pub(crate) loss: String,
    /// Epochs, numbers ascending.
    pub(crate) epochs: Vec<Epoch>,
    /// Number of the epoch whose weights were kept.
    pub(crate) best_epoch: Option<usize>,
}

type Quantity = fn(&Epoch) -> Option<f64>;

impl Picture for TrainingCurve {
    fn scene(&self) -> Scene {
        let (mut scene, y) = Scene::titled(&self.title, &self.subtitle);
        let losses = [self.finite(|e| e.training_loss), self.finite(|e| e.validation_loss)];
        let loss_scale = Scale::for_losses(&losses.concat(), 5);
        let rates = self.finite(|e| e.learning_rate);
        let rate_scale = Scale::to_round(rates.iter().copied(), 2);
        let gutter = gutter(&loss_scale).max(gutter(&rate_scale));
        let frame = Frame {
            left: MARGIN + gutter,
            right: PICTURE_WIDTH - MARGIN - end_label_room(["validation"]),
            top: y + HEADING,
            bottom: y + HEADING + LOSS_HEIGHT,
        };
        let losses = Axes { frame, scale: &loss_scale };
        self.draw_losses(&mut scene, losses, !rates.is_empty());
        let lowest =
            if rates.is_empty() { frame } else { self.draw_rates(&mut scene, frame, &rate_scale) };
        self.draw_best(&mut scene, Axes { frame, scale: &loss_scale }, lowest.bottom);
        self.draw_epoch_labels(&mut scene, lowest);
        scene.height = lowest.bottom + 44.0 + MARGIN / 2.0;
        scene
    }
}

impl TrainingCurve {
    fn finite(&self, of: Quantity) -> Vec<f64> {
        let values = self.epochs.iter().filter_map(of);
        values.filter(|value| value.is_finite()).collect()
    }

    fn x(&self, frame: Frame, number: usize) -> f64 {
        let first = self.epochs.first().map_or(0, |epoch| epoch.number);
        let last = self.epochs.last().map_or(0, |epoch| epoch.number);
        match last.saturating_sub(first) {
            0 => frame.x(0.5),
            span => frame.x((number as f64 - first as f64) / span as f64),
        }
    }

    fn points(&self, axes: Axes<'_>, of: Quantity) -> Vec<Option<super::scene::Position>> {
        let place = |epoch: &Epoch| {
            let value = of(epoch).filter(|value| value.is_finite())?;
            Some((self.x(axes.frame, epoch.number), axes.y(value)))
        };
        self.epochs.iter().map(place).collect()
    }

    fn draw_losses(&self, scene: &mut Scene, axes: Axes<'_>, has_strip: bool) {
        let Axes { frame, scale } = axes;
        let kind = if scale.is_logarithmic() { ", logarithmic" } else { "" };
        let name = fit(&format!("{}{kind}", self.loss), SUBTITLE_SIZE, 300.0);
        scene.heading((MARGIN, frame.top - 12.0), &name, SUBTITLE_SIZE);
        draw_value_axis(scene, frame, scale);
        if !has_strip {
            draw_bottom_line(scene, frame);
        }
        let lines: [(&str, Quantity, Colour, f64); 2] = [
            ("training", |epoch| epoch.training_loss, Colour::Other(0), 1.8),
            ("validation", |epoch| epoch.validation_loss, Colour::Model, 2.4),
        ];
        let mut labels = Vec::new();
        for (text, of, colour, width) in lines {
            let points = self.points(axes, of);
            if let Some((_, y)) = points.iter().rev().find_map(|point| *point) {
                labels.push(EndLabel { y, text: text.to_owned(), colour, strong: false });
            }
            draw_runs(scene, runs(points), width, colour);
        }
        draw_end_labels(scene, frame, labels);
    }

    /// Draws the strip below the losses and returns its frame.
    fn draw_rates(&self, scene: &mut Scene, above: Frame, scale: &Scale) -> Frame {
        let top = above.bottom + HEADING + 16.0;
        let frame = Frame { top, bottom: top + RATE_HEIGHT, ..above };
        scene.heading((MARGIN, top - 16.0), "learning rate", SUBTITLE_SIZE);
        draw_value_axis(scene, frame, scale);
        draw_bottom_line(scene, frame);
        let points = self.points(Axes { frame, scale }, |epoch| epoch.learning_rate);
        draw_runs(scene, runs(points), 1.6, Colour::Truth);
        frame
    }

    /// Marks the best epoch in the plot of the losses, with a line from its top down to `bottom`.
    fn draw_best(&self, scene: &mut Scene, losses: Axes<'_>, bottom: f64) {
        let number = self.best_epoch;
        let best = self.epochs.iter().find(|epoch| Some(epoch.number) == number);
        let Some(epoch) = best else { return };
        let (x, top) = (self.x(losses.frame, epoch.number), losses.frame.top);
        scene.dashed((x, top - 4.0), (x, bottom), Colour::Rule);
        let mut text = format!("best: epoch {}", epoch.number);
        if let Some(loss) = epoch.validation_loss.filter(|loss| loss.is_finite()) {
            let y = losses.y(loss);
            scene.dot((x, y), 6.0, Colour::Background);
            scene.dot((x, y), 4.5, Colour::Model);
            text = format!("{text}, validation {}", value(loss));
        }
        let width = text_width(&text, TICK_SIZE);
        let (anchor, dx) = if x + 6.0 + width <= PICTURE_WIDTH - MARGIN {
            (Anchor::Start, 6.0)
        } else {
            (Anchor::End, -6.0)
        };
        let at = (x + dx, top - 8.0);
        scene.anchored(at, &text, TICK_SIZE, Colour::Model, anchor);
    }

    fn draw_epoch_labels(&self, scene: &mut Scene, frame: Frame) {
        let Some((first, last)) = self.epochs.first().zip(self.epochs.last()) else {
            scene.text((frame.left, frame.bottom + 35.0), "no epoch", TICK_SIZE, Colour::Muted);
            return;
        };
        for tick in ticks(TimeKind::Step, first.number as i64, last.number as i64, 10) {
            let x = self.x(frame, tick.at as usize);
            draw_bottom_tick(scene, frame, x, &tick.label);
        }
        scene.text((frame.left, frame.bottom + 35.0), "epoch", TICK_SIZE, Colour::Muted);
    }
}
