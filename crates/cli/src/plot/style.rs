//! Colours and sizes of every picture, in one place.
//!
//! A colour is named by its role. Each role has a light and a dark value, all different from one
//! another, so that an inline SVG can be turned dark by style sheet rules on the colour alone
//! ([`dark_rules`]). The series colours are those of Okabe and Ito, which stay apart for readers
//! with any of the common kinds of colour blindness.

use std::fmt::Write as _;

/// Size of titles, in logical pixels per em as all text sizes.
pub(crate) const TITLE_SIZE: f64 = 19.0;
/// Size of subtitles and of panel names.
pub(crate) const SUBTITLE_SIZE: f64 = 13.0;
/// Size of legends, values and labels at line ends.
pub(crate) const LABEL_SIZE: f64 = 12.0;
/// Size of tick labels and notes.
pub(crate) const TICK_SIZE: f64 = 11.0;

/// Width of every picture in logical pixels.
pub(crate) const PICTURE_WIDTH: f64 = 960.0;
/// Empty border around every picture in logical pixels.
pub(crate) const MARGIN: f64 = 24.0;

/// What a colour is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// The background.
    Background,
    /// Titles.
    Text,
    /// Subtitles, tick labels and notes.
    Muted,
    /// Grid lines.
    Grid,
    /// Zero lines and markers of one position.
    Rule,
    /// What the model saw.
    Context,
    /// What happened afterwards.
    Truth,
    /// The model and its forecast.
    Model,
    /// Another series, by number; repeats after [`Colour::OTHERS`].
    Other(usize),
}

type Rgb = (u8, u8, u8);

/// Light and dark values of [`Colour::Other`].
const OTHER_COLOURS: [(Rgb, Rgb); Colour::OTHERS] = [
    ((0x00, 0x72, 0xB2), (0x5A, 0xB0, 0xE6)),
    ((0x00, 0x9E, 0x73), (0x35, 0xC7, 0x9A)),
    ((0xCC, 0x79, 0xA7), (0xE3, 0x9C, 0xC4)),
    ((0xB8, 0x86, 0x00), (0xE6, 0xB4, 0x3C)),
    ((0x6B, 0x5B, 0x95), (0xA9, 0x9A, 0xD6)),
];

impl Colour {
    /// How many different colours [`Colour::Other`] has.
    pub(crate) const OTHERS: usize = 5;

    /// The colour on a white background.
    pub(crate) fn light(self) -> Rgb {
        self.pair().0
    }

    fn pair(self) -> (Rgb, Rgb) {
        match self {
            Colour::Background => ((0xFF, 0xFF, 0xFF), (0x17, 0x1B, 0x21)),
            Colour::Text => ((0x1B, 0x24, 0x30), (0xED, 0xF1, 0xF5)),
            Colour::Muted => ((0x5F, 0x6B, 0x7A), (0x9D, 0xA9, 0xB8)),
            Colour::Grid => ((0xE7, 0xEB, 0xF0), (0x2B, 0x32, 0x3C)),
            Colour::Rule => ((0x9A, 0xA5, 0xB1), (0x5E, 0x6A, 0x79)),
            Colour::Context => ((0xA3, 0xAD, 0xB9), (0x6C, 0x78, 0x87)),
            Colour::Truth => ((0x26, 0x30, 0x3D), (0xDF, 0xE5, 0xEC)),
            Colour::Model => ((0xD5, 0x5E, 0x00), (0xFF, 0x8F, 0x3D)),
            Colour::Other(number) => OTHER_COLOURS[number % Colour::OTHERS],
        }
    }

    fn all() -> impl Iterator<Item = Colour> {
        let fixed = [
            Colour::Background,
            Colour::Text,
            Colour::Muted,
            Colour::Grid,
            Colour::Rule,
            Colour::Context,
            Colour::Truth,
            Colour::Model,
        ];
        fixed.into_iter().chain((0..Colour::OTHERS).map(Colour::Other))
    }
}

/// Style sheet rules that give every colour inside `svg` elements its dark value.
pub(crate) fn dark_rules() -> String {
    let mut rules = String::new();
    for colour in Colour::all() {
        let (light, dark) = colour.pair();
        for property in ["fill", "stroke"] {
            writeln!(rules, "svg [{property}=\"{}\"] {{ {property}: {}; }}", hex(light), hex(dark))
                .expect("writing to a string cannot fail");
        }
    }
    rules
}

/// `#RRGGBB`, as plotters writes it into an SVG.
fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn colours_of_different_roles_differ() {
        let light: BTreeSet<_> = Colour::all().map(Colour::light).collect();
        assert_eq!(light.len(), Colour::all().count());
    }

    #[test]
    fn dark_rules_cover_fill_and_stroke_of_every_colour() {
        let rules = dark_rules();
        assert!(rules.contains("svg [fill=\"#D55E00\"] { fill: #FF8F3D; }"));
        assert_eq!(rules.lines().count(), 2 * Colour::all().count());
    }
}
