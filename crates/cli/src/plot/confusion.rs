//! The confusion matrix of a classifier as a heat map: rows are true classes, columns predicted
//! ones.

use super::font::{fit, text_width};
use super::legend::{LEGEND_HEIGHT, Mark, draw_legend};
use super::save::Picture;
use super::scene::{Anchor, Label, Scene};
use super::style::{Colour, LABEL_SIZE, MARGIN, PICTURE_WIDTH, TICK_SIZE};

/// Classes beyond this many are left out, with a note.
const MOST_CLASSES: usize = 30;
const NAME_WIDTH: f64 = 200.0;
/// Room for the recall and the number of cases, to the right of the matrix.
const RECALL_ROOM: f64 = 124.0;
const HEAD: f64 = 42.0;
/// Heading of the names of the rows.
const TRUE_CLASS: &str = "true class";
/// Space between cells.
const GAP: f64 = 1.5;
/// Above this opacity a count is written in the colour of the background.
const DARK: f64 = 0.55;
/// Colour of right predictions.
const RIGHT: Colour = Colour::Other(0);
/// Colour of wrong ones.
const WRONG: Colour = Colour::Model;

/// Counts of predictions by true class.
#[derive(Debug, Clone)]
pub(crate) struct ConfusionPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// Names of the classes; the first thirty are shown.
    pub(crate) classes: Vec<String>,
    /// `[true class][predicted class]`; what is not there counts as zero.
    pub(crate) counts: Vec<Vec<u64>>,
}

/// Where the cells are.
struct Layout {
    shown: usize,
    left: f64,
    top: f64,
    cell: (f64, f64),
    /// Whether columns are headed by numbers, which are then also written before the row names.
    numbered: bool,
}

impl Layout {
    fn middle(&self, row: usize, column: usize) -> (f64, f64) {
        let (width, height) = self.cell;
        (self.left + width * (column as f64 + 0.5), self.top + height * (row as f64 + 0.5))
    }
}

impl Picture for ConfusionPlot {
    fn scene(&self) -> Scene {
        let (mut scene, mut y) = Scene::titled(&self.title, &self.subtitle);
        let entries = [
            (Mark::Area(RIGHT, 0.8), "right".to_owned()),
            (Mark::Area(WRONG, 0.8), "wrong; stronger = a larger share of the row".to_owned()),
        ];
        draw_legend(&mut scene, (MARGIN, y), &entries);
        y += LEGEND_HEIGHT;
        let layout = self.layout(y + HEAD);
        self.draw_heads(&mut scene, &layout);
        for row in 0..layout.shown {
            self.draw_row(&mut scene, &layout, row);
        }
        let mut bottom = layout.top + layout.cell.1 * layout.shown as f64;
        let note = match self.classes.len() {
            0 => Some("no class to show".to_owned()),
            all if all > layout.shown => {
                Some(format!("the first {} of {all} classes", layout.shown))
            }
            _ => None,
        };
        if let Some(note) = note {
            scene.text((MARGIN, bottom + 18.0), &note, TICK_SIZE, Colour::Muted);
            bottom += 18.0;
        }
        scene.height = (bottom + MARGIN).ceil();
        scene
    }
}

impl ConfusionPlot {
    fn layout(&self, top: f64) -> Layout {
        let shown = self.classes.len().min(MOST_CLASSES);
        let names = || self.classes[..shown].iter().map(|name| fit(name, LABEL_SIZE, NAME_WIDTH));
        let widest = names().map(|name| text_width(&name, LABEL_SIZE)).fold(0.0, f64::max);
        let room = |left: f64| {
            let free = PICTURE_WIDTH - MARGIN - RECALL_ROOM - left;
            (free / shown.max(1) as f64).min(112.0)
        };
        // Short names leave room for the heading of their column.
        let widest_of_column = widest.max(text_width(TRUE_CLASS, TICK_SIZE));
        let mut left = MARGIN + widest_of_column.ceil() + 12.0;
        let numbered = widest + 8.0 > room(left);
        if numbered {
            left += text_width("30  ", LABEL_SIZE);
        }
        let width = room(left);
        Layout { shown, left, top, cell: (width, (0.7 * width).clamp(21.0, 44.0)), numbered }
    }

    fn count(&self, row: usize, column: usize) -> u64 {
        self.counts.get(row).and_then(|counts| counts.get(column)).copied().unwrap_or(0)
    }

    /// All cases of a class, also those predicted to be of a class that is not shown.
    fn support(&self, row: usize) -> u64 {
        (0..self.classes.len()).map(|column| self.count(row, column)).sum()
    }

    fn draw_heads(&self, scene: &mut Scene, layout: &Layout) {
        let above = layout.top - 8.0;
        for column in 0..layout.shown {
            let text = match layout.numbered {
                true => (column + 1).to_string(),
                false => fit(&self.classes[column], LABEL_SIZE, NAME_WIDTH),
            };
            let at = (layout.middle(0, column).0, above);
            scene.anchored(at, &text, LABEL_SIZE, Colour::Text, Anchor::Middle);
        }
        if layout.shown > 0 {
            let at = (layout.left - 12.0, above);
            scene.anchored(at, TRUE_CLASS, TICK_SIZE, Colour::Muted, Anchor::End);
            let at = (layout.left, above - LABEL_SIZE - 6.0);
            scene.text(at, "predicted class", TICK_SIZE, Colour::Muted);
            let right = layout.left + layout.cell.0 * layout.shown as f64;
            scene.text((right + 12.0, above), "recall", TICK_SIZE, Colour::Muted);
        }
    }

    fn draw_row(&self, scene: &mut Scene, layout: &Layout, row: usize) {
        let support = self.support(row);
        for column in 0..layout.shown {
            self.draw_cell(scene, layout, row, column);
        }
        let base = layout.middle(row, 0).1 + 0.35 * LABEL_SIZE;
        let number = if layout.numbered { format!("{}  ", row + 1) } else { String::new() };
        let name = format!("{number}{}", fit(&self.classes[row], LABEL_SIZE, NAME_WIDTH));
        let at = (layout.left - 12.0, base);
        scene.anchored(at, &name, LABEL_SIZE, Colour::Text, Anchor::End);
        let x = layout.left + layout.cell.0 * layout.shown as f64 + 12.0;
        let (text, colour) = match support {
            0 => ("no case".to_owned(), Colour::Muted),
            _ => {
                let recall = self.count(row, row) as f64 / support as f64;
                (format!("{:.0} %", 100.0 * recall), Colour::Text)
            }
        };
        scene.text((x, base), &text, LABEL_SIZE, colour);
        if support > 0 {
            let x = x + text_width("100 %", LABEL_SIZE) + 8.0;
            scene.text((x, base), &format!("of {}", short(support)), TICK_SIZE, Colour::Muted);
        }
    }

    fn draw_cell(&self, scene: &mut Scene, layout: &Layout, row: usize, column: usize) {
        let (x, y) = layout.middle(row, column);
        let (half_width, half_height) =
            (layout.cell.0 / 2.0 - GAP / 2.0, layout.cell.1 / 2.0 - GAP / 2.0);
        let corners = ((x - half_width, y - half_height), (x + half_width, y + half_height));
        let count = self.count(row, column);
        // The grid shows where no case is.
        scene.rectangle(corners.0, corners.1, Colour::Grid, 0.5);
        if count == 0 {
            return;
        }
        let share = count as f64 / self.support(row).max(1) as f64;
        // A single wrong case of many must still be seen.
        let opacity = 0.14 + 0.8 * share;
        let colour = if row == column { RIGHT } else { WRONG };
        scene.rectangle(corners.0, corners.1, colour, opacity);
        let text = short(count);
        let size =
            (LABEL_SIZE * 0.92 * 2.0 * half_width / text_width(&text, LABEL_SIZE)).min(LABEL_SIZE);
        scene.label(Label {
            at: (x, y + 0.35 * size),
            text,
            size,
            colour: if opacity > DARK { Colour::Background } else { Colour::Text },
            anchor: Anchor::Middle,
            strong: row == column,
        });
    }
}

/// A count in at most four letters.
fn short(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=999_499 => format!("{:.0}k", count as f64 / 1e3),
        999_500..=999_499_999 => format!("{:.0}M", count as f64 / 1e6),
        _ => format!("{:.0}G", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Shape;

    fn labels(plot: &ConfusionPlot) -> Vec<String> {
        let shapes = plot.scene().shapes.into_iter();
        let text = |shape| match shape {
            Shape::Label(label) => Some(label.text),
            _ => None,
        };
        shapes.filter_map(text).collect()
    }

    fn plot(classes: usize) -> ConfusionPlot {
        ConfusionPlot {
            title: String::new(),
            subtitle: String::new(),
            classes: (0..classes).map(|class| format!("activity {class}")).collect(),
            counts: vec![vec![1; classes]; classes],
        }
    }

    #[test]
    fn names_are_above_the_columns_where_they_fit_and_numbers_otherwise() {
        let few = labels(&plot(3));
        assert_eq!(few.iter().filter(|text| *text == "activity 1").count(), 2);
        let many = labels(&plot(30));
        assert!(many.contains(&"30  activity 29".to_owned()) && many.contains(&"30".to_owned()));
        assert!(!many.iter().any(|text| text.starts_with("the first")));
    }

    #[test]
    fn more_classes_than_fit_are_cut_with_a_note_and_still_count() {
        let texts = labels(&plot(41));
        assert!(texts.contains(&"the first 30 of 41 classes".to_owned()), "{texts:?}");
        assert!(texts.contains(&"of 41".to_owned()));
        assert_eq!(labels(&plot(0)).last().unwrap(), "no class to show");
    }

    #[test]
    fn counts_are_short() {
        let wanted =
            [(9_999, "9999"), (12_345, "12k"), (999_999, "1M"), (u64::MAX / 1000, "18446744G")];
        for (count, text) in wanted {
            assert_eq!(short(count), text);
        }
    }

    #[test]
    fn missing_rows_are_empty() {
        let mut odd = plot(3);
        odd.counts = vec![vec![2]];
        let texts = labels(&odd);
        assert_eq!(texts.iter().filter(|text| *text == "no case").count(), 2);
        assert!(texts.contains(&"100 %".to_owned()));
    }
}
