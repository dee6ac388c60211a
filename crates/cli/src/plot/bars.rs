//! Comparison of one number over forecasters, as horizontal bars with their values.

use super::axis::{Scale, value};
use super::font::{fit, text_width};
use super::save::Picture;
use super::scene::{Anchor, Label, Position, Scene};
use super::style::{Colour, LABEL_SIZE, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE};

const ROW: f64 = 30.0;
const THICKNESS: f64 = 16.0;
const NAME_WIDTH: f64 = 220.0;
/// Room for the value and the ratio, to the right of the longest bar.
const VALUE_ROOM: f64 = 150.0;

/// One forecaster.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// Its name.
    pub(crate) name: String,
    /// Its number; one that is not finite is shown as missing.
    pub(crate) value: f64,
    /// Whether it is the model, which has its own colour and which others are compared with.
    pub(crate) is_model: bool,
}

/// One number for several forecasters.
#[derive(Debug, Clone)]
pub(crate) struct BarsPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// What is measured, such as `MSE (lower is better)`.
    pub(crate) metric: String,
    /// In the order in which they are shown.
    pub(crate) bars: Vec<Bar>,
}

impl Picture for BarsPlot {
    fn scene(&self) -> Scene {
        let (mut scene, y) = Scene::titled(&self.title, &self.subtitle);
        let metric = fit(&self.metric, SUBTITLE_SIZE, 500.0);
        scene.heading((MARGIN, y + SUBTITLE_SIZE), &metric, SUBTITLE_SIZE);
        let top = y + SUBTITLE_SIZE + 14.0;
        let scale = Scale::with_zero(self.bars.iter().map(|bar| bar.value), 4);
        let names: Vec<String> =
            self.bars.iter().map(|bar| fit(&bar.name, LABEL_SIZE, NAME_WIDTH)).collect();
        let widest = names.iter().map(|name| 1.06 * text_width(name, LABEL_SIZE));
        let left = MARGIN + widest.fold(0.0, f64::max).ceil() + 12.0;
        let width = PICTURE_WIDTH - MARGIN - VALUE_ROOM - left;
        for (number, (bar, name)) in self.bars.iter().zip(&names).enumerate() {
            let middle = top + ROW * (number as f64 + 0.5);
            draw_name(&mut scene, (left - 12.0, middle), name, bar.is_model);
            let x = |value: f64| left + scale.share(value) * width;
            let value_x = if bar.value.is_finite() {
                let (from, to) = (x(bar.value.min(0.0)), x(bar.value.max(0.0)));
                draw_bar(&mut scene, (from, middle), to, bar.is_model);
                to
            } else {
                x(0.0)
            };
            self.draw_value(&mut scene, (value_x + 8.0, middle), bar);
        }
        let zero = left + scale.share(0.0) * width;
        let bottom = top + ROW * self.bars.len() as f64;
        scene.line(vec![(zero, top), (zero, bottom)], 1.0, Colour::Rule);
        scene.height = (bottom + MARGIN).ceil();
        scene
    }
}

impl BarsPlot {
    fn draw_value(&self, scene: &mut Scene, at: Position, bar: &Bar) {
        let (x, middle) = at;
        let baseline = middle + 0.35 * LABEL_SIZE;
        let text = value(bar.value);
        let colour = if bar.value.is_finite() { Colour::Text } else { Colour::Muted };
        scene.text((x, baseline), &text, LABEL_SIZE, colour);
        if let Some(ratio) = self.ratio_to_model(bar) {
            let x = x + text_width(&text, LABEL_SIZE) + 10.0;
            scene.text((x, baseline), &ratio, LABEL_SIZE, Colour::Muted);
        }
    }

    /// The ratio to the model's value, if both can be compared.
    fn ratio_to_model(&self, bar: &Bar) -> Option<String> {
        let model = self.bars.iter().find(|bar| bar.is_model)?.value;
        let ratio = bar.value / model;
        let comparable = !bar.is_model && ratio.is_finite() && ratio > 0.0 && ratio < 1e4;
        comparable.then(|| format!("×{ratio:.2}"))
    }
}

fn draw_name(scene: &mut Scene, at: Position, name: &str, strong: bool) {
    let (x, middle) = at;
    scene.label(Label {
        at: (x, middle + 0.35 * LABEL_SIZE),
        text: name.to_owned(),
        size: LABEL_SIZE,
        colour: Colour::Text,
        anchor: Anchor::End,
        strong,
    });
}

/// Draws the bar that begins at `from`, in the middle of its height, and ends at `end_x`.
fn draw_bar(scene: &mut Scene, from: Position, end_x: f64, is_model: bool) {
    let (start_x, middle) = from;
    let colour = if is_model { Colour::Model } else { Colour::Context };
    let half = THICKNESS / 2.0;
    scene.rectangle((start_x, middle - half), (end_x, middle + half), colour, 1.0);
}
