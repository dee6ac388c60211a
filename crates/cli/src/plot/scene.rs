//! A picture as a list of shapes with their positions, before it is drawn.
//!
//! Plots are laid out once, in logical pixels (x to the right, y downwards), and then written as
//! SVG or PNG by [`render`](super::render); both therefore show the same picture.

use super::font::fit;
use super::style::{Colour, MARGIN, PICTURE_WIDTH, SUBTITLE_SIZE, TITLE_SIZE};

/// A position in logical pixels.
pub(crate) type Position = (f64, f64);

/// Which point of a text lies at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The left end.
    Start,
    /// The middle.
    Middle,
    /// The right end.
    End,
}

/// Text on one line.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    /// Anchor and baseline.
    pub(crate) at: Position,
    /// The text, already cut to the room that it has.
    pub(crate) text: String,
    /// Logical pixels per em.
    pub(crate) size: f64,
    /// Colour.
    pub(crate) colour: Colour,
    /// Which end lies at `at`.
    pub(crate) anchor: Anchor,
    /// Whether it is set bold.
    pub(crate) strong: bool,
}

/// One thing to draw.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// A filled rectangle from the upper left to the lower right corner.
    Box {
        /// Upper left corner.
        from: Position,
        /// Lower right corner.
        to: Position,
        /// Colour.
        colour: Colour,
        /// 0 to 1.
        opacity: f64,
    },
    /// An open line with round joins.
    Line {
        /// At least two points.
        points: Vec<Position>,
        /// Width in logical pixels.
        width: f64,
        /// Colour.
        colour: Colour,
    },
    /// The area between two lines over the same x: `(x, upper y, lower y)`, x ascending.
    Band {
        /// At least two columns.
        columns: Vec<(f64, f64, f64)>,
        /// Colour.
        colour: Colour,
        /// 0 to 1.
        opacity: f64,
    },
    /// A filled circle.
    Dot {
        /// Centre.
        at: Position,
        /// Radius in logical pixels.
        radius: f64,
        /// Colour.
        colour: Colour,
    },
    /// A text.
    Label(Label),
}

/// A laid-out picture.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// Width in logical pixels.
    pub(crate) width: f64,
    /// Height in logical pixels.
    pub(crate) height: f64,
    /// What the picture shows, for readers who cannot see it.
    pub(crate) description: String,
    /// In drawing order.
    pub(crate) shapes: Vec<Shape>,
}

impl Scene {
    /// An empty picture with its title and subtitle; returns it with the y where the content may
    /// begin. Set `height` when the layout is known.
    pub(crate) fn titled(title: &str, subtitle: &str) -> (Self, f64) {
        let mut scene = Self {
            width: PICTURE_WIDTH,
            height: 0.0,
            description: title.to_owned(),
            shapes: Vec::new(),
        };
        let width = PICTURE_WIDTH - 2.0 * MARGIN;
        let mut y = MARGIN;
        if !title.is_empty() {
            y += TITLE_SIZE;
            scene.heading((MARGIN, y - 3.0), &fit(title, TITLE_SIZE, width), TITLE_SIZE);
        }
        if !subtitle.is_empty() {
            y += SUBTITLE_SIZE + 8.0;
            let text = fit(subtitle, SUBTITLE_SIZE, width);
            scene.text((MARGIN, y - 3.0), &text, SUBTITLE_SIZE, Colour::Muted);
        }
        if title.is_empty() && subtitle.is_empty() {
            // A page that embeds the picture has its own heading and space.
            return (scene, 4.0);
        }
        (scene, y + 14.0)
    }

    /// Adds bold text in the text colour, starting at `at`.
    pub(crate) fn heading(&mut self, at: Position, text: &str, size: f64) {
        self.label(Label {
            at,
            text: text.to_owned(),
            size,
            colour: Colour::Text,
            anchor: Anchor::Start,
            strong: true,
        });
    }

    /// Adds plain text, starting at `at`.
    pub(crate) fn text(&mut self, at: Position, text: &str, size: f64, colour: Colour) {
        self.anchored(at, text, size, colour, Anchor::Start);
    }

    /// Adds plain text whose `anchor` lies at `at`.
    pub(crate) fn anchored(
        &mut self,
        at: Position,
        text: &str,
        size: f64,
        colour: Colour,
        anchor: Anchor,
    ) {
        self.label(Label { at, text: text.to_owned(), size, colour, anchor, strong: false });
    }

    /// Adds a text.
    pub(crate) fn label(&mut self, label: Label) {
        self.shapes.push(Shape::Label(label));
    }

    /// Adds a line; fewer than two points draw nothing.
    pub(crate) fn line(&mut self, points: Vec<Position>, width: f64, colour: Colour) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points, width, colour });
        }
    }

    /// Adds a straight dashed line, horizontal or vertical.
    pub(crate) fn dashed(&mut self, from: Position, to: Position, colour: Colour) {
        const DASH: f64 = 4.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let dashes = (length / (2.0 * DASH)).ceil() as usize;
        let at = |distance: f64| {
            let share = (distance / length).min(1.0);
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        };
        for dash in 0..dashes {
            let begin = 2.0 * DASH * dash as f64;
            self.line(vec![at(begin), at(begin + DASH)], 1.0, colour);
        }
    }

    /// Adds a filled circle.
    pub(crate) fn dot(&mut self, at: Position, radius: f64, colour: Colour) {
        self.shapes.push(Shape::Dot { at, radius, colour });
    }

    /// Adds a filled rectangle.
    pub(crate) fn rectangle(&mut self, from: Position, to: Position, colour: Colour, opacity: f64) {
        self.shapes.push(Shape::Box { from, to, colour, opacity });
    }
}
