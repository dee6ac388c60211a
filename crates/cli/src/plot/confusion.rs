//! How often each class was taken for which, as a table of shaded cells.

use super::font::{fit, text_width};
use super::save::Picture;
use super::scene::{Anchor, Label, Scene};
use super::style::{Ink, LABEL_SIZE, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE};

/// Widest name of a class, in logical pixels.
const NAME_WIDTH: f64 = 200.0;
/// Largest cell.
const CELL: f64 = 64.0;

/// Cases by class and prediction.
#[derive(Debug, Clone)]
pub(crate) struct ConfusionPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// Names of the classes.
    pub(crate) classes: Vec<String>,
    /// Cases by class (row) and prediction (column).
    pub(crate) counts: Vec<Vec<usize>>,
}

impl Picture for ConfusionPlot {
    fn scene(&self) -> Scene {
        let (mut scene, y) = Scene::titled(&self.title, &self.subtitle);
        let names: Vec<String> =
            self.classes.iter().map(|name| fit(name, LABEL_SIZE, NAME_WIDTH)).collect();
        let widest = names.iter().map(|name| text_width(name, LABEL_SIZE)).fold(0.0, f64::max);
        let left = MARGIN + widest.ceil() + 14.0;
        let room = PICTURE_WIDTH - MARGIN - left;
        let cell = CELL.min(room / self.classes.len().max(1) as f64);
        let heading = "class (rows), prediction (columns), share of the row";
        scene.heading((MARGIN, y + SUBTITLE_SIZE), heading, SUBTITLE_SIZE);
        let top = y + SUBTITLE_SIZE + 34.0;
        for (column, name) in names.iter().enumerate() {
            // Names that do not fit above their column are told by the rows alone.
            let fits = fit(name, LABEL_SIZE, cell - 4.0);
            let at = (left + cell * (column as f64 + 0.5), top - 8.0);
            scene.label(text(at, fits, Anchor::Middle, Ink::Muted));
        }
        for (row, name) in names.iter().enumerate() {
            let middle = top + cell * (row as f64 + 0.5);
            let at = (left - 10.0, middle + 0.35 * LABEL_SIZE);
            scene.label(text(at, name.clone(), Anchor::End, Ink::Text));
            self.draw_row(&mut scene, row, (left, top, cell));
        }
        scene.height = (top + cell * self.classes.len() as f64 + MARGIN).ceil();
        scene
    }
}

impl ConfusionPlot {
    fn draw_row(&self, scene: &mut Scene, row: usize, (left, top, cell): (f64, f64, f64)) {
        let total = self.counts[row].iter().sum::<usize>().max(1) as f64;
        for (column, &count) in self.counts[row].iter().enumerate() {
            let (x, y) = (left + cell * column as f64, top + cell * row as f64);
            let share = count as f64 / total;
            let ink = if row == column { Ink::Other(1) } else { Ink::Model };
            let (from, to) = ((x + 1.0, y + 1.0), (x + cell - 1.0, y + cell - 1.0));
            scene.rectangle(from, to, Ink::Grid, 0.6);
            scene.rectangle(from, to, ink, 0.75 * share);
            if count > 0 && cell >= 16.0 {
                let at = (x + cell / 2.0, y + cell / 2.0 + 0.35 * LABEL_SIZE);
                let count = fit(&count.to_string(), LABEL_SIZE, cell);
                scene.label(text(at, count, Anchor::Middle, Ink::Text));
            }
        }
    }
}

fn text(at: (f64, f64), text: String, anchor: Anchor, ink: Ink) -> Label {
    Label { at, text, size: LABEL_SIZE, ink, anchor, strong: false }
}
