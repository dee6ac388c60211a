//! Parts of line charts: the frame, lines with gaps, and labels at line ends.

use super::axis::Scale;
use super::font::text_width;
use super::scene::{Anchor, Position, Scene};
use super::style::{Colour, LABEL_SIZE, TICK_SIZE};

/// The area inside the axes, in logical pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Left edge.
    pub(crate) left: f64,
    /// Right edge.
    pub(crate) right: f64,
    /// Upper edge.
    pub(crate) top: f64,
    /// Lower edge.
    pub(crate) bottom: f64,
}

impl Frame {
    /// The x at `share` of the width.
    pub(crate) fn x(&self, share: f64) -> f64 {
        self.left + share * (self.right - self.left)
    }

    /// The y at `share` of the height, counted from below; kept inside.
    pub(crate) fn y(&self, share: f64) -> f64 {
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

/// A frame and the scale of the values that are drawn in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axes<'a> {
    pub(crate) frame: Frame,
    pub(crate) scale: &'a Scale,
}

impl Axes<'_> {
    /// The y of a value; kept inside the frame.
    pub(crate) fn y(&self, value: f64) -> f64 {
        self.frame.y(self.scale.share(value))
    }
}

/// A name beside the end of a line.
#[derive(Debug, Clone)]
pub(crate) struct EndLabel {
    /// Where the line ends.
    pub(crate) y: f64,
    /// The name.
    pub(crate) text: String,
    /// Colour of the line.
    pub(crate) colour: Colour,
    /// Whether it is set bold.
    pub(crate) strong: bool,
}

/// Room that the tick labels of `scale` need to the left of a frame.
pub(crate) fn gutter(scale: &Scale) -> f64 {
    let widest =
        scale.ticks().iter().map(|(_, text)| text_width(text, TICK_SIZE)).fold(0.0, f64::max);
    widest.ceil() + 8.0
}

/// Draws thin horizontal lines at the ticks, with their values to the left.
pub(crate) fn draw_value_axis(scene: &mut Scene, frame: Frame, scale: &Scale) {
    for (value, text) in scale.ticks() {
        let y = frame.y(scale.share(*value));
        scene.line(vec![(frame.left, y), (frame.right, y)], 1.0, Colour::Grid);
        let at = (frame.left - 8.0, y + 0.35 * TICK_SIZE);
        scene.anchored(at, text, TICK_SIZE, Colour::Muted, Anchor::End);
    }
}

/// Draws the line of the horizontal axis.
pub(crate) fn draw_bottom_line(scene: &mut Scene, frame: Frame) {
    let ends = vec![(frame.left, frame.bottom), (frame.right, frame.bottom)];
    scene.line(ends, 1.0, Colour::Rule);
}

/// Draws a short mark and a text below the frame.
pub(crate) fn draw_bottom_tick(scene: &mut Scene, frame: Frame, x: f64, text: &str) {
    let mark = vec![(x, frame.bottom), (x, frame.bottom + 4.0)];
    scene.line(mark, 1.0, Colour::Rule);
    let at = (x, frame.bottom + 17.0);
    scene.anchored(at, text, TICK_SIZE, Colour::Muted, Anchor::Middle);
}

/// Splits points into runs without a missing value.
pub(crate) fn runs(points: impl IntoIterator<Item = Option<Position>>) -> Vec<Vec<Position>> {
    let mut runs = vec![Vec::new()];
    for point in points {
        match point {
            Some(point) => runs.last_mut().expect("one is always there").push(point),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Draws runs as lines, and points without neighbours as dots.
pub(crate) fn draw_runs(scene: &mut Scene, runs: Vec<Vec<Position>>, width: f64, colour: Colour) {
    for run in runs {
        match run.as_slice() {
            [point] => scene.dot(*point, width.max(1.5), colour),
            _ => scene.line(run, width, colour),
        }
    }
}

/// Room that labels at line ends need to the right of a frame.
pub(crate) fn end_label_room<'a>(texts: impl IntoIterator<Item = &'a str>) -> f64 {
    let widest =
        texts.into_iter().map(|text| 1.06 * text_width(text, LABEL_SIZE)).fold(0.0, f64::max);
    if widest > 0.0 { widest.ceil() + 10.0 } else { 0.0 }
}

/// Draws labels to the right of the frame, moved apart where they would overlap.
pub(crate) fn draw_end_labels(scene: &mut Scene, frame: Frame, mut labels: Vec<EndLabel>) {
    labels.sort_by(|a, b| a.y.total_cmp(&b.y));
    let mut heights: Vec<f64> = labels.iter().map(|label| label.y).collect();
    move_apart(&mut heights, LABEL_SIZE + 3.0, frame.bottom);
    for (label, y) in labels.into_iter().zip(heights) {
        scene.label(super::scene::Label {
            at: (frame.right + 8.0, y + 0.35 * LABEL_SIZE),
            text: label.text,
            size: LABEL_SIZE,
            colour: label.colour,
            anchor: Anchor::Start,
            strong: label.strong,
        });
    }
}

/// Moves ascending `heights` at least `gap` apart, none below `lowest` if there is room above.
fn move_apart(heights: &mut [f64], gap: f64, lowest: f64) {
    // Each group of touching labels keeps its centre of gravity.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for height in heights.iter() {
        let mut group = (*height, 1);
        while let Some((centre, count)) = groups.last().copied() {
            let reach = gap * (count + group.1) as f64 / 2.0;
            if group.0 - centre >= reach {
                break;
            }
            groups.pop();
            let total = count + group.1;
            group = ((centre * count as f64 + group.0 * group.1 as f64) / total as f64, total);
        }
        groups.push(group);
    }
    let mut place = heights.iter_mut();
    for (centre, count) in groups {
        let first = centre - gap * (count - 1) as f64 / 2.0;
        for (number, height) in place.by_ref().take(count).enumerate() {
            *height = first + gap * number as f64;
        }
    }
    let mut limit = lowest;
    for height in heights.iter_mut().rev() {
        *height = height.min(limit);
        limit = *height - gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_points_split_a_line() {
        let at = |x: f64| Some((x, 0.0));
        let split = runs([None, at(1.0), at(2.0), None, None, at(3.0)]);
        assert_eq!(split, [vec![(1.0, 0.0), (2.0, 0.0)], vec![(3.0, 0.0)]]);
        assert!(runs([None, None]).is_empty());
    }

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        let mut heights = [10.0, 11.0, 12.0, 80.0, 99.0, 100.0];
        move_apart(&mut heights, 15.0, 100.0);
        for pair in heights.windows(2) {
            assert!(pair[1] - pair[0] >= 15.0 - 1e-9, "{heights:?}");
        }
        assert!((heights[1] - 11.0).abs() < 1e-9);
        assert!(heights[5] <= 100.0);
    }
}
