//! A legend on one line, for what has no name beside its line.

use super::font::text_width;
use super::scene::{Position, Scene};
use super::style::{Colour, LABEL_SIZE};

/// The sample that is drawn before the text of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    /// A piece of line.
    Line(Colour),
    /// A filled area of this opacity.
    Area(Colour, f64),
    /// A filled circle.
    Dot(Colour),
    /// A dashed vertical rule.
    Rule,
}

/// Height of the legend with the space below it, in logical pixels.
pub(crate) const LEGEND_HEIGHT: f64 = LABEL_SIZE + 14.0;

/// Draws the entries from left to right; `at` is their upper left corner.
pub(crate) fn draw_legend(scene: &mut Scene, at: Position, entries: &[(Mark, String)]) {
    let (mut x, y) = at;
    let middle = y + LABEL_SIZE / 2.0;
    for (mark, text) in entries {
        let width = match mark {
            Mark::Line(colour) => {
                scene.line(vec![(x + 1.0, middle), (x + 19.0, middle)], 2.4, *colour);
                20.0
            }
            Mark::Area(colour, opacity) => {
                let corners = [(x, middle - 6.0), (x + 20.0, middle + 6.0)];
                scene.rectangle(corners[0], corners[1], *colour, *opacity);
                20.0
            }
            Mark::Dot(colour) => {
                scene.dot((x + 6.0, middle), 4.0, *colour);
                12.0
            }
            Mark::Rule => {
                let ends = [(x + 3.0, middle - 8.0), (x + 3.0, middle + 8.0)];
                scene.dashed(ends[0], ends[1], Colour::Rule);
                6.0
            }
        };
        x += width + 7.0;
        let at = (x, middle + 0.35 * LABEL_SIZE);
        scene.text(at, text, LABEL_SIZE, Colour::Muted);
        x += text_width(text, LABEL_SIZE) + 22.0;
    }
}
