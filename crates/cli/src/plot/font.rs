//! The bundled font: measures the width of texts, and draws glyphs as pixels.
//!
//! Pictures look the same on a machine without any font. plotters could draw the glyphs too, but
//! it drops the space to the left of each and the kerning.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, Point, PxScale, ScaleFont};

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT)
        .expect("the bundled bytes are a valid font")
});

/// Width of `text` in the units of `size` (pixels per em), with room for a wider font: an SVG may
/// be shown in another one.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    const ROOM: f64 = 1.06;
    ROOM * exact_width(text, size)
}

/// Width of `text` in the bundled font.
pub(super) fn exact_width(text: &str, size: f64) -> f64 {
    glyphs(text, size).1
}

/// Calls `paint` with each pixel that the text touches and how much of it is covered, 0 to 1.
///
/// The text starts at x 0 and has its base line at y 0, y downwards; `size` is in pixels per em.
pub(super) fn for_each_pixel(text: &str, size: f64, mut paint: impl FnMut(i32, i32, f64)) {
    for glyph in glyphs(text, size).0 {
        if let Some(outline) = FONT.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            let (left, top) = (corner.x as i32, corner.y as i32);
            outline.draw(|x, y, coverage| {
                paint(left + x as i32, top + y as i32, f64::from(coverage).min(1.0));
            });
        }
    }
}

/// Glyphs in their places, and the width of the line.
fn glyphs(text: &str, size: f64) -> (Vec<Glyph>, f64) {
    let scale = PxScale::from((size * height_per_em()) as f32);
    let font = FONT.as_scaled(scale);
    let mut glyphs: Vec<Glyph> = Vec::with_capacity(text.len());
    let mut x = 0.0;
    for c in text.chars() {
        let id = font.glyph_id(c);
        if let Some(before) = glyphs.last() {
            x += font.kern(before.id, id);
        }
        glyphs.push(Glyph { id, scale, position: Point { x, y: 0.0 } });
        x += font.h_advance(id);
    }
    (glyphs, f64::from(x))
}

/// `ab_glyph` sizes a font by its height, ascent to descent.
fn height_per_em() -> f64 {
    let per_em = FONT.units_per_em().expect("the bundled font has an em");
    f64::from(FONT.height_unscaled() / per_em)
}

/// `text` without control characters, cut with an ellipsis to at most `width`.
pub(crate) fn fit(text: &str, size: f64, width: f64) -> String {
    let clean: String = text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
    if text_width(&clean, size) <= width {
        return clean;
    }
    let chars: Vec<char> = clean.chars().collect();
    let (mut fits, mut too_long) = (0, chars.len());
    while fits + 1 < too_long {
        let middle = (fits + too_long) / 2;
        if text_width(&shortened(&chars[..middle]), size) <= width {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    shortened(&chars[..fits])
}

/// Whether XML 1.0 can hold the character and a reader can see it.
fn is_printable(c: char) -> bool {
    !c.is_control() && c != '\u{FFFE}' && c != '\u{FFFF}'
}

fn shortened(kept: &[char]) -> String {
    let text: String = kept.iter().collect();
    format!("{}…", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_to_the_width() {
        let long = "temperature of the transformer oil ".repeat(10);
        let cut = fit(&long, 12.0, 150.0);
        assert!(cut.ends_with('…') && cut.len() > 10, "{cut}");
        assert!(text_width(&cut, 12.0) <= 150.0);
        assert_eq!(fit("OT", 12.0, 150.0), "OT");
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(fit("a\u{0}b\nc", 12.0, 150.0), "a b c");
    }

    #[test]
    fn pixels_lie_within_the_width_and_around_the_base_line() {
        let (mut left, mut right, mut top, mut bottom) = (i32::MAX, i32::MIN, i32::MAX, i32::MIN);
        for_each_pixel("Hxg", 100.0, |x, y, coverage| {
            assert!((0.0..=1.0).contains(&coverage));
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        });
        // The H begins with a space and is about 0.7 em high; the g goes below the line.
        assert!((3..20).contains(&left) && f64::from(right) < exact_width("Hxg", 100.0));
        assert!((-80..-60).contains(&top) && (10..30).contains(&bottom), "{top} {bottom}");
    }
}
