//! Writes a [`Scene`] as SVG text or as PNG pixels, through plotters.
//!
//! plotters works in whole pixels. Both backends therefore get enlarged coordinates: the SVG is
//! shrunk by its `viewBox`, the bitmap by averaging, which also smooths every edge.

use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, RGBAColor, RGBColor, ShapeStyle, TextStyle,
};
use ptsm::{Error, ErrorKind, Result};

use super::font::{exact_width, for_each_pixel};
use super::scene::{Anchor, Label, Position, Scene, Shape};
use super::style::Colour;

/// Fonts in the order in which a viewer of an SVG should try them.
const FAMILY: &str = "Ubuntu, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";
/// plotters divides the size by this before it writes `font-size` into an SVG.
const SVG_SIZE_DIVISOR: f64 = 1.24;
/// SVG units per logical pixel.
const SVG_SCALE: f64 = 10.0;
/// Drawn bitmap pixels per logical pixel.
const BITMAP_SCALE: usize = 6;
/// Drawn bitmap pixels per written pixel, in each direction: the file has 2 per logical pixel.
const BITMAP_SHRINK: usize = 3;

/// The scene as one `svg` element.
pub(super) fn svg(scene: &Scene) -> Result<String> {
    let mut text = String::new();
    let size = ((scene.width * SVG_SCALE) as u32, (scene.height * SVG_SCALE) as u32);
    let mut backend = SVGBackend::with_string(&mut text, size);
    for shape in &scene.shapes {
        draw_svg(&mut backend, shape)?;
    }
    backend.present().map_err(drawing_failed)?;
    drop(backend);
    let (_, body) = text
        .split_once('>')
        .ok_or_else(|| Error::internal("plotters wrote an SVG without an opening tag"))?;
    Ok(format!("{}{body}", svg_opening(scene, size.0, size.1)))
}

/// Opening tag with the size in logical pixels, round joins and a description.
fn svg_opening(scene: &Scene, width: u32, height: u32) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" \
         viewBox=\"0 0 {width} {height}\" stroke-linejoin=\"round\" stroke-linecap=\"round\" \
         role=\"img\" aria-label=\"{}\">",
        scene.width,
        scene.height,
        escaped(&scene.description)
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

fn draw_svg(backend: &mut SVGBackend<'_>, shape: &Shape) -> Result<()> {
    let scaled = |at: Position| whole(at, SVG_SCALE);
    let drawn = match shape {
        Shape::Box { from, to, colour, opacity } => {
            backend.draw_rect(scaled(*from), scaled(*to), &rgba(*colour, *opacity), true)
        }
        Shape::Line { points, width, colour } => backend.draw_path(
            points.iter().map(|point| scaled(*point)),
            &ShapeStyle {
                color: rgba(*colour, 1.0),
                filled: false,
                stroke_width: (width * SVG_SCALE) as u32,
            },
        ),
        Shape::Band { columns, colour, opacity } => {
            let upper = columns.iter().map(|(x, upper, _)| (*x, *upper));
            let lower = columns.iter().rev().map(|(x, _, lower)| (*x, *lower));
            backend.fill_polygon(upper.chain(lower).map(scaled), &rgba(*colour, *opacity))
        }
        Shape::Dot { at, radius, colour } => {
            backend.draw_circle(scaled(*at), (radius * SVG_SCALE) as u32, &rgba(*colour, 1.0), true)
        }
        Shape::Label(label) => {
            // plotters moves a centred text down by half an x-height, about a quarter of an em.
            let (x, baseline) = label.at;
            let at = (x, baseline - 0.26 * label.size);
            backend.draw_text(&label.text, &svg_text_style(label), scaled(at))
        }
    };
    drawn.map_err(drawing_failed)
}

/// The style of a text whose position is 0.26 em above its base line.
fn svg_text_style(label: &Label) -> TextStyle<'static> {
    let weight = if label.strong { FontStyle::Bold } else { FontStyle::Normal };
    let size = label.size * SVG_SCALE * SVG_SIZE_DIVISOR;
    let mut style = TextStyle::from(FontDesc::new(FontFamily::Name(FAMILY), size, weight));
    style.color = rgba(label.colour, 1.0).to_backend_color();
    let horizontal = match label.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    style.pos(Pos::new(horizontal, VPos::Center))
}

/// Writes the scene as a PNG file at `path`, which must end in `.png`; errors do not name it.
pub(super) fn png(scene: &Scene, path: &Path) -> Result<()> {
    let large = (scene.width as usize * BITMAP_SCALE, scene.height as usize * BITMAP_SCALE);
    let mut pixels = vec![0xFF_u8; large.0 * large.1 * 3];
    let mut backend = BitMapBackend::with_buffer(&mut pixels, (large.0 as u32, large.1 as u32));
    for shape in &scene.shapes {
        draw_bitmap(&mut backend, shape)?;
    }
    backend.present().map_err(drawing_failed)?;
    drop(backend);
    let (small, size) = shrunk(&pixels, large.0, large.1);
    let mut file = BitMapBackend::new(path, size);
    file.blit_bitmap((0, 0), size, &small).map_err(drawing_failed)?;
    file.present().map_err(|error| Error::new(ErrorKind::Io, "cannot be written").because(error))
}

/// Averages squares of `BITMAP_SHRINK` pixels; red, green and blue bytes, row after row.
fn shrunk(pixels: &[u8], width: usize, height: usize) -> (Vec<u8>, (u32, u32)) {
    let (columns, rows) = (width / BITMAP_SHRINK, height / BITMAP_SHRINK);
    let mut small = Vec::with_capacity(columns * rows * 3);
    let area = (BITMAP_SHRINK * BITMAP_SHRINK) as u32;
    for row in 0..rows {
        for column in 0..columns {
            for part in 0..3 {
                let mut sum = area / 2;
                for dy in 0..BITMAP_SHRINK {
                    let start = (row * BITMAP_SHRINK + dy) * width + column * BITMAP_SHRINK;
                    for dx in 0..BITMAP_SHRINK {
                        sum += u32::from(pixels[(start + dx) * 3 + part]);
                    }
                }
                small.push((sum / area) as u8);
            }
        }
    }
    (small, (columns as u32, rows as u32))
}

fn draw_bitmap(backend: &mut BitMapBackend<'_>, shape: &Shape) -> Result<()> {
    let scale = BITMAP_SCALE as f64;
    let scaled = |(x, y): Position| (x * scale, y * scale);
    match shape {
        Shape::Box { from, to, colour, opacity } => backend
            .draw_rect(whole(*from, scale), whole(*to, scale), &rgba(*colour, *opacity), true)
            .map_err(drawing_failed),
        Shape::Line { points, width, colour } => {
            for pair in points.windows(2) {
                let ends = [scaled(pair[0]), scaled(pair[1])];
                fill_capsule(backend, ends, width * scale / 2.0, *colour)?;
            }
            Ok(())
        }
        Shape::Band { columns, colour, opacity } => {
            fill_band(backend, columns, &rgba(*colour, *opacity))
        }
        Shape::Dot { at, radius, colour } => {
            fill_capsule(backend, [scaled(*at); 2], radius * scale, *colour)
        }
        Shape::Label(label) => draw_bitmap_label(backend, label),
    }
}

/// Fills the points within `radius` of the straight line between `ends`, row by row.
///
/// plotters' own wide lines have spikes at sharp corners, which a noisy series is full of.
fn fill_capsule(
    backend: &mut BitMapBackend<'_>,
    ends: [Position; 2],
    radius: f64,
    colour: Colour,
) -> Result<()> {
    let [(_, y0), (_, y1)] = ends;
    let top = (y0.min(y1) - radius).floor() as i32;
    let bottom = (y0.max(y1) + radius).ceil() as i32;
    for row in top..=bottom {
        let Some((left, right)) = capsule_row(ends, radius, f64::from(row) + 0.5) else {
            continue;
        };
        let (from, to) = (left.round() as i32, right.round() as i32);
        if to > from {
            backend
                .draw_rect((from, row), (to, row + 1), &rgba(colour, 1.0), true)
                .map_err(drawing_failed)?;
        }
    }
    Ok(())
}

/// Where the row at height `y` enters and leaves the capsule, if it meets it.
fn capsule_row([a, b]: [Position; 2], radius: f64, y: f64) -> Option<(f64, f64)> {
    let mut span: Option<(f64, f64)> = None;
    let mut include = |x: f64| {
        let (left, right) = span.unwrap_or((x, x));
        span = Some((left.min(x), right.max(x)));
    };
    for (cx, cy) in [a, b] {
        let half = radius * radius - (y - cy) * (y - cy);
        if half >= 0.0 {
            include(cx - half.sqrt());
            include(cx + half.sqrt());
        }
    }
    let length = (b.0 - a.0).hypot(b.1 - a.1);
    if length > 0.0 {
        // The two sides of the straight part, `radius` to either side of the middle line.
        let across = (-(b.1 - a.1) / length * radius, (b.0 - a.0) / length * radius);
        for side in [-1.0, 1.0] {
            let from = (a.0 + side * across.0, a.1 + side * across.1);
            let to = (b.0 + side * across.0, b.1 + side * across.1);
            let share = (y - from.1) / (to.1 - from.1);
            if (0.0..=1.0).contains(&share) {
                include(from.0 + share * (to.0 - from.0));
            }
        }
    }
    span
}

/// Fills the band column by column, so that no pixel is blended twice.
fn fill_band(
    backend: &mut BitMapBackend<'_>,
    columns: &[(f64, f64, f64)],
    style: &RGBAColor,
) -> Result<()> {
    let scale = BITMAP_SCALE as f64;
    for pair in columns.windows(2) {
        let [(x0, upper0, lower0), (x1, upper1, lower1)] = [pair[0], pair[1]];
        let (from, to) = ((x0 * scale).round() as i32, (x1 * scale).round() as i32);
        for column in from..to {
            let share = f64::from(column - from) / f64::from(to - from);
            let upper = (upper0 + share * (upper1 - upper0)) * scale;
            let lower = (lower0 + share * (lower1 - lower0)) * scale;
            let (top, bottom) = (upper.round() as i32, lower.round() as i32);
            if bottom > top {
                backend
                    .draw_rect((column, top), (column + 1, bottom), style, true)
                    .map_err(drawing_failed)?;
            }
        }
    }
    Ok(())
}

/// Draws text with a little weight added: the bundled font is a light one.
fn draw_bitmap_label(backend: &mut BitMapBackend<'_>, label: &Label) -> Result<()> {
    let scale = BITMAP_SCALE as f64;
    let size = label.size * scale;
    let strokes = if label.strong { 5 } else { 2 };
    let width = exact_width(&label.text, size);
    let start = match label.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width / 2.0,
        Anchor::End => -width,
    };
    let (left, base) = whole(label.at, scale);
    let left = left + start.round() as i32 - strokes / 2;
    let mut drawn = Ok(());
    for_each_pixel(&label.text, size, |x, y, coverage| {
        for shift in 0..strokes {
            let at = (left + x + shift, base + y);
            let pixel = rgba(label.colour, coverage).to_backend_color();
            if drawn.is_ok() {
                drawn = backend.draw_pixel(at, pixel).map_err(drawing_failed);
            }
        }
    });
    drawn
}

fn whole((x, y): Position, scale: f64) -> (i32, i32) {
    ((x * scale).round() as i32, (y * scale).round() as i32)
}

fn rgba(colour: Colour, opacity: f64) -> RGBAColor {
    let (red, green, blue) = colour.light();
    RGBColor(red, green, blue).mix(opacity)
}

fn drawing_failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("the picture cannot be drawn").because(error)
}
