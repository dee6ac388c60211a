//! Writes pictures as files, or as SVG text.

use std::path::Path;

use ptsm::core::write_atomically;
use ptsm::{Error, Result};

use super::render;
use super::scene::Scene;

/// Something that can be laid out as a picture.
pub(crate) trait Picture {
    /// The laid-out picture.
    fn scene(&self) -> Scene;
}

/// One `svg` element, safe to put into a page as it is: every text in it is escaped.
///
/// Only [`to_svg`] makes it.
#[derive(Debug, Clone)]
pub(crate) struct Svg(String);

impl Svg {
    /// The element.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Draws a picture as SVG, on a white background, for embedding in a page.
///
/// # Errors
///
/// [`ErrorKind::Internal`](ptsm::ErrorKind::Internal) if it cannot be drawn, which is our bug.
pub(crate) fn to_svg(picture: &dyn Picture) -> Result<Svg> {
    render::svg(&with_background(picture)).map(Svg)
}

/// Writes a picture to `path`, as SVG or PNG by its extension.
///
/// The file appears whole or not at all: it is written beside `path`, synced and renamed.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](ptsm::ErrorKind::InvalidInput) for another extension,
/// [`ErrorKind::Io`](ptsm::ErrorKind::Io) if the file cannot be written; `path` is then as before.
pub(crate) fn save(path: &Path, picture: &dyn Picture) -> Result<()> {
    match extension(path).as_deref() {
        Some("svg") => {
            let svg = to_svg(picture)?;
            write_atomically(path, |out| out.write_all(svg.as_str().as_bytes()))
        }
        Some("png") => {
            let png = png(path, &with_background(picture))?;
            write_atomically(path, |out| out.write_all(&png))
        }
        _ => Err(Error::input(
            "a picture is written as .svg or .png; give the file one of these endings",
        )
        .at(path.display().to_string())),
    }
}

fn with_background(picture: &dyn Picture) -> Scene {
    let mut scene = picture.scene();
    scene.shapes.insert(
        0,
        super::scene::Shape::Box {
            from: (0.0, 0.0),
            to: (scene.width, scene.height),
            colour: super::style::Colour::Background,
            opacity: 1.0,
        },
    );
    scene
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// The bytes of a PNG file. The library that draws it writes to a path only, so it goes through a
/// temporary file, which is read back.
fn png(path: &Path, scene: &Scene) -> Result<Vec<u8>> {
    let failed = |error| Error::io(path, "cannot be written", error);
    let temporary = tempfile::Builder::new().suffix(".png").tempfile().map_err(failed)?;
    render::png(scene, temporary.path()).map_err(|error| error.at(path.display().to_string()))?;
    std::fs::read(temporary.path()).map_err(failed)
}
