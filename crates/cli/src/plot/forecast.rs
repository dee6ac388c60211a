//! The forecast picture: the context, the forecast and the true values.
//!
//! Small multiples, one panel a channel of a series, over one time axis, or each over its own where they are of
//! different times.

use super::axis::Scale;
use super::curves::{
    EndLabel, Frame, draw_bottom_line, draw_bottom_tick, draw_end_labels, draw_runs,
    draw_value_axis, end_label_room, gutter, runs,
};
use super::font::{fit, text_width};
use super::legend::{LEGEND_HEIGHT, Mark, draw_legend};
use super::save::Picture;
use super::scene::{Anchor, Position, Scene, Shape};
use super::style::{Colour, MARGIN, SUBTITLE_SIZE, TICK_SIZE};
use super::time_axis::{TimeKind, moment, ticks};

/// Panels beyond this many are left out, with a note.
pub(crate) const MOST_PANELS: usize = 8;
/// From this many panels on there are two columns.
const TWO_COLUMNS_FROM: usize = 4;
/// A forecast of no more points than this shows each.
const FEW_POINTS: usize = 12;
const COLUMN_GAP: f64 = 36.0;
const PANEL_HEADING: f64 = 26.0;
const ROW_GAP: f64 = 16.0;
const TIME_LABELS: f64 = 38.0;

/// Time and value; `None` or a value that is not finite leaves a gap.
pub(crate) type Point = (i64, Option<f64>);

/// Range that should hold the truth with a given probability.
#[derive(Debug, Clone)]
pub(crate) struct Interval {
    /// Probability, 0 to 1.
    pub(crate) level: f64,
    /// Lower end for each forecast point, in data units.
    pub(crate) lower: Vec<f64>,
    /// Upper end for each forecast point, in data units.
    pub(crate) upper: Vec<f64>,
}

/// One channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForecastPanel {
    /// Name of the channel.
    pub(crate) channel: String,
    /// Unit of its values, if known.
    pub(crate) unit: Option<String>,
    /// The context that the model was given, times ascending, in data units.
    pub(crate) context: Vec<Point>,
    /// The true values after the context, if known.
    pub(crate) truth: Option<Vec<Point>>,
    /// The model's forecast.
    pub(crate) forecast: Vec<Point>,
    /// Ranges around the forecast, as many as there are.
    pub(crate) bands: Vec<Interval>,
    /// Forecasts from earlier cutoffs, which lie between the context and the end of the true values.
    pub(crate) earlier: Vec<Run>,
}

/// A forecast from one cutoff.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// Its points.
    pub(crate) forecast: Vec<Point>,
    /// Ranges around it.
    pub(crate) bands: Vec<Interval>,
}

/// A forecast of one or more channels.
#[derive(Debug, Clone)]
pub(crate) struct ForecastPlot {
    /// Title; may be empty.
    pub(crate) title: String,
    /// One line below the title; may be empty.
    pub(crate) subtitle: String,
    /// What the times mean.
    pub(crate) time: TimeKind,
    /// Channels of series, in order; the first eight are shown.
    pub(crate) panels: Vec<ForecastPanel>,
    /// How many there are in all.
    pub(crate) number: usize,
}

/// Everything about the layout that the panels share.
struct Layout {
    columns: usize,
    rows: usize,
    panel_height: f64,
    /// Room for names at line ends, to the right of each panel.
    label_room: f64,
    /// The times of all panels.
    span: TimeSpan,
    /// Whether each panel has a time axis of its own, because the forecasts begin at different times.
    own_times: bool,
    /// Where context ends and forecast begins, if that is the same for all.
    start: Option<f64>,
}

impl Layout {
    /// From the top of a row of panels to that of the next one.
    fn row(&self) -> f64 {
        let labels = if self.own_times { TIME_LABELS } else { 0.0 };
        self.panel_height + PANEL_HEADING + ROW_GAP + labels
    }
}

/// The times that the horizontal axis covers.
#[derive(Debug, Clone, Copy)]
struct TimeSpan {
    first: i64,
    last: i64,
}

impl TimeSpan {
    /// Where a time lies in the span: 0 at its start, 1 at its end.
    fn share(self, at: f64) -> f64 {
        let length = self.last as f64 - self.first as f64;
        if length > 0.0 { (at - self.first as f64) / length } else { 0.5 }
    }
}

/// A panel with its place.
struct Placed<'a> {
    panel: &'a ForecastPanel,
    frame: Frame,
    scale: &'a Scale,
    /// The times of its axis.
    span: TimeSpan,
    left: f64,
}

impl Picture for ForecastPlot {
    fn scene(&self) -> Scene {
        let (mut scene, mut y) = Scene::titled(&self.title, &self.subtitle);
        let shown = &self.panels[..self.panels.len().min(MOST_PANELS)];
        let layout = self.layout(shown);
        let entries = self.legend(shown, layout.columns);
        if !entries.is_empty() {
            draw_legend(&mut scene, (MARGIN, y), &entries);
            y += LEGEND_HEIGHT;
        }
        let scales: Vec<Scale> = shown.iter().map(value_scale).collect();
        for (number, panel) in shown.iter().enumerate() {
            let placed = place(&layout, &scales, number, panel, y);
            self.draw_panel(&mut scene, &layout, &placed);
            if number == 0 && layout.columns == 1 {
                self.draw_start_label(&mut scene, &layout, &placed);
            }
            if layout.own_times || number + layout.columns >= shown.len() {
                draw_time_labels(&mut scene, self.time, &placed);
            }
        }
        y += layout.rows as f64 * layout.row() - ROW_GAP;
        y += if layout.own_times { 0.0 } else { TIME_LABELS };
        scene.height = (self.draw_note(&mut scene, y, shown.len()) + MARGIN / 2.0).ceil();
        scene
    }
}

impl ForecastPlot {
    fn layout(&self, shown: &[ForecastPanel]) -> Layout {
        let columns = if shown.len() >= TWO_COLUMNS_FROM { 2 } else { 1 };
        let rows = shown.len().div_ceil(columns);
        let panel_height = match (columns, rows) {
            (1, 0 | 1) => 300.0,
            (1, 2) => 200.0,
            (1, _) => 160.0,
            _ => 140.0,
        };
        let names = ["forecast", "actual"];
        Layout {
            columns,
            rows,
            panel_height,
            label_room: if columns == 1 { end_label_room(names) } else { 0.0 },
            span: time_span(shown),
            own_times: !same_times(shown),
            start: common_start(shown),
        }
    }

    /// Entries of the legend, for what has no label in the panels.
    fn legend(&self, shown: &[ForecastPanel], columns: usize) -> Vec<(Mark, String)> {
        let mut entries = Vec::new();
        if columns > 1 {
            entries.push((Mark::Line(Colour::Context), "history".to_owned()));
            if shown.iter().any(|panel| panel.truth.is_some()) {
                entries.push((Mark::Line(Colour::Truth), "actual".to_owned()));
            }
            entries.push((Mark::Line(Colour::Model), "forecast".to_owned()));
        }
        let bands = shown.first().map(|panel| wide_to_narrow(&panel.bands));
        for (number, band) in bands.unwrap_or_default().into_iter().enumerate() {
            // A narrower band lies over the wider ones.
            let opacity = 1.0 - (1.0 - BAND_OPACITY).powi(number as i32 + 1);
            let text = format!("{:.0} % range", band.level * 100.0);
            entries.push((Mark::Area(Colour::Model, opacity), text));
        }
        let first = shown.iter().find_map(|panel| panel.forecast.first());
        let same = common_start(shown).is_some();
        if let Some((at, _)) = first.filter(|_| columns > 1 && same) {
            let text = format!("forecast from {}", moment(self.time, *at));
            entries.push((Mark::Rule, text));
        }
        entries
    }

    fn draw_panel(&self, scene: &mut Scene, layout: &Layout, placed: &Placed<'_>) {
        let Placed { panel, frame, .. } = *placed;
        draw_panel_heading(scene, placed);
        draw_value_axis(scene, frame, placed.scale);
        if let Some(start) = forecast_start(panel) {
            let x = frame.x(placed.span.share(start));
            scene.dashed((x, frame.top - 4.0), (x, frame.bottom), Colour::Rule);
        }
        for Run { forecast, bands } in &panel.earlier {
            if let Some(&(first, _)) = forecast.first() {
                let x = frame.x(placed.span.share(first as f64));
                scene.dashed((x, frame.top - 4.0), (x, frame.bottom), Colour::Rule);
            }
            for band in wide_to_narrow(bands) {
                draw_band(scene, placed, forecast, band);
            }
        }
        for band in wide_to_narrow(&panel.bands) {
            draw_band(scene, placed, &panel.forecast, band);
        }
        let at = |points: &[Point]| runs(points.iter().map(|p| position(placed, *p)));
        draw_runs(scene, at(&panel.context), 1.3, Colour::Context);
        if let Some(truth) = &panel.truth {
            // The true values continue the context, so that their lines are joined.
            let joint = panel.context.last().copied();
            let truth: Vec<Point> = joint.into_iter().chain(truth.iter().copied()).collect();
            draw_runs(scene, at(&truth), 1.6, Colour::Truth);
        }
        for run in &panel.earlier {
            draw_runs(scene, at(&run.forecast), 2.2, Colour::Model);
        }
        let forecast = at(&panel.forecast);
        if panel.forecast.len() <= FEW_POINTS {
            for point in forecast.iter().flatten() {
                scene.dot(*point, 3.0, Colour::Model);
            }
        }
        draw_runs(scene, forecast, 2.2, Colour::Model);
        if layout.columns == 1 {
            draw_end_labels(scene, frame, end_labels(placed));
        }
    }

    /// Labels both sides of the forecast's start above a panel, if there is room.
    fn draw_start_label(&self, scene: &mut Scene, layout: &Layout, placed: &Placed<'_>) {
        let Some((start, first)) = layout.start.zip(placed.panel.forecast.first()) else {
            return;
        };
        let frame = placed.frame;
        let (x, y) = (frame.x(placed.span.share(start)), frame.top - 8.0);
        let from = format!("forecast from {}", moment(self.time, first.0));
        let room = frame.right + layout.label_room - x - 6.0;
        let text = [from.as_str(), "forecast"]
            .into_iter()
            .find(|text| text_width(text, TICK_SIZE) <= room);
        if let Some(text) = text {
            scene.text((x + 6.0, y), text, TICK_SIZE, Colour::Model);
        }
        let heading = placed.left + heading_width(placed);
        if x - 6.0 - text_width("history", TICK_SIZE) > heading + 12.0 {
            scene.anchored((x - 6.0, y), "history", TICK_SIZE, Colour::Muted, Anchor::End);
        }
    }

    /// Notes what was left out; returns the y below the note.
    fn draw_note(&self, scene: &mut Scene, y: f64, shown: usize) -> f64 {
        let text = match self.number {
            0 => "no channel to show".to_owned(),
            all if all > shown => format!("the first {shown} of {all}"),
            _ => return y,
        };
        scene.text((MARGIN, y + 12.0), &text, TICK_SIZE, Colour::Muted);
        y + 16.0
    }
}

/// Where the forecasts begin, if all of them begin at one time.
fn common_start(shown: &[ForecastPanel]) -> Option<f64> {
    if shown.iter().any(|panel| !panel.earlier.is_empty()) {
        return None;
    }
    let mut starts = shown.iter().filter_map(forecast_start);
    let first = starts.next()?;
    starts.all(|start| start == first).then_some(first)
}

/// Whether the panels can share a time axis: all forecasts begin at the same times.
fn same_times(shown: &[ForecastPanel]) -> bool {
    let starts = |panel: &ForecastPanel| -> Vec<i64> {
        let earlier = panel.earlier.iter().map(|run| &run.forecast);
        let firsts = earlier.chain([&panel.forecast]).filter_map(|points| points.first());
        firsts.map(|point| point.0).collect()
    };
    let mut all = shown.iter().map(starts).filter(|starts| !starts.is_empty());
    all.next().is_none_or(|first| all.all(|starts| starts == first))
}

fn place<'a>(
    layout: &Layout,
    scales: &'a [Scale],
    number: usize,
    panel: &'a ForecastPanel,
    top: f64,
) -> Placed<'a> {
    let (column, row) = (number % layout.columns, number / layout.columns);
    let gaps = COLUMN_GAP * (layout.columns - 1) as f64;
    let width = (super::style::PICTURE_WIDTH - 2.0 * MARGIN - gaps) / layout.columns as f64;
    let left = MARGIN + column as f64 * (width + COLUMN_GAP);
    // One gutter a column, so that the frames below one another line up.
    let gutter = scales.iter().skip(column).step_by(layout.columns).map(gutter).fold(0.0, f64::max);
    let top = top + row as f64 * layout.row() + PANEL_HEADING;
    let frame = Frame {
        left: left + gutter,
        right: left + width - layout.label_room,
        top,
        bottom: top + layout.panel_height,
    };
    let own = || time_span(std::slice::from_ref(panel));
    let span = if layout.own_times { own() } else { layout.span };
    Placed { panel, frame, scale: &scales[number], span, left }
}

fn all_points(panel: &ForecastPanel) -> impl Iterator<Item = Point> {
    let truth = panel.truth.as_deref().unwrap_or_default();
    let earlier = panel.earlier.iter().flat_map(|run| &run.forecast);
    panel.context.iter().chain(truth).chain(&panel.forecast).chain(earlier).copied()
}

fn time_span(panels: &[ForecastPanel]) -> TimeSpan {
    let times = || panels.iter().flat_map(all_points).map(|(at, _)| at);
    TimeSpan { first: times().min().unwrap_or(0), last: times().max().unwrap_or(0) }
}

/// Half-way between the last context point and the first forecast point; of several forecasts the last one's
/// first point.
fn forecast_start(panel: &ForecastPanel) -> Option<f64> {
    let first = panel.forecast.first()?.0 as f64;
    if !panel.earlier.is_empty() {
        return Some(first);
    }
    let last = panel.context.last().map_or(first, |point| point.0 as f64);
    Some(last / 2.0 + first / 2.0)
}

fn value_scale(panel: &ForecastPanel) -> Scale {
    let points = all_points(panel).filter_map(|(_, value)| value);
    let bands = panel.bands.iter().chain(panel.earlier.iter().flat_map(|run| &run.bands));
    let ends = bands.flat_map(|band| band.lower.iter().chain(&band.upper).copied());
    Scale::covering(points.chain(ends), 4)
}

fn position(placed: &Placed<'_>, (at, value): Point) -> Option<Position> {
    let value = value.filter(|value| value.is_finite())?;
    let x = placed.frame.x(placed.span.share(at as f64));
    Some((x, placed.frame.y(placed.scale.share(value))))
}

fn wide_to_narrow(bands: &[Interval]) -> Vec<&Interval> {
    let mut sorted: Vec<&Interval> = bands.iter().collect();
    sorted.sort_by(|a, b| b.level.total_cmp(&a.level));
    sorted
}

fn draw_band(scene: &mut Scene, placed: &Placed<'_>, forecast: &[Point], band: &Interval) {
    let ends = band.lower.iter().zip(&band.upper);
    let mut columns = Vec::new();
    let mut finish = |columns: &mut Vec<(f64, f64, f64)>| {
        let columns = std::mem::take(columns);
        if columns.len() > 1 {
            scene.shapes.push(Shape::Band {
                columns,
                colour: Colour::Model,
                opacity: BAND_OPACITY,
            });
        }
    };
    for ((at, _), (lower, upper)) in forecast.iter().zip(ends) {
        let lower = position(placed, (*at, Some(*lower)));
        let upper = position(placed, (*at, Some(*upper)));
        match lower.zip(upper) {
            Some(((x, lower), (_, upper))) => columns.push((x, upper, lower)),
            None => finish(&mut columns),
        }
    }
    finish(&mut columns);
}

/// Opacity of one band. Bands overlap, so that narrower ones look stronger.
const BAND_OPACITY: f64 = 0.18;

fn end_labels(placed: &Placed<'_>) -> Vec<EndLabel> {
    let end = |points: &[Point]| {
        let mut backwards = points.iter().rev();
        backwards.find_map(|point| position(placed, *point))
    };
    let truth = placed.panel.truth.as_deref().unwrap_or_default();
    let lines = [
        (end(truth), "actual", Colour::Truth),
        (end(&placed.panel.forecast), "forecast", Colour::Model),
    ];
    let label = |(end, text, colour): (Option<Position>, &str, Colour)| {
        end.map(|(_, y)| EndLabel { y, text: text.to_owned(), colour, strong: false })
    };
    lines.into_iter().filter_map(label).collect()
}

fn draw_panel_heading(scene: &mut Scene, placed: &Placed<'_>) {
    let panel = placed.panel;
    let at = (placed.left, placed.frame.top - 10.0);
    let name = channel_name(placed);
    scene.heading(at, &name, SUBTITLE_SIZE);
    if let Some(unit) = &panel.unit {
        let x = placed.left + 1.06 * text_width(&name, SUBTITLE_SIZE) + 8.0;
        let unit = fit(unit, TICK_SIZE, 80.0);
        scene.text((x, at.1), &unit, TICK_SIZE, Colour::Muted);
    }
}

fn channel_name(placed: &Placed<'_>) -> String {
    let width = 0.45 * (placed.frame.right - placed.left);
    fit(&placed.panel.channel, SUBTITLE_SIZE, width)
}

fn heading_width(placed: &Placed<'_>) -> f64 {
    let unit = placed.panel.unit.as_deref().unwrap_or_default();
    let unit = text_width(&fit(unit, TICK_SIZE, 80.0), TICK_SIZE);
    1.06 * text_width(&channel_name(placed), SUBTITLE_SIZE) + 8.0 + unit
}

fn draw_time_labels(scene: &mut Scene, kind: TimeKind, placed: &Placed<'_>) {
    let Placed { span, frame, .. } = *placed;
    let most = ((frame.right - frame.left) / 56.0) as usize;
    let marks = ticks(kind, span.first, span.last, most);
    let x = |at: i64| frame.x(span.share(at as f64));
    draw_bottom_line(scene, frame);
    for mark in &marks {
        draw_bottom_tick(scene, frame, x(mark.at), &mark.label);
    }
    let contexts: Vec<(f64, &str)> =
        marks.iter().filter_map(|mark| Some((x(mark.at), mark.context.as_deref()?))).collect();
    for (number, (x, text)) in contexts.iter().enumerate() {
        // Of two labels that would touch, the later one is kept, because it marks a change.
        let room = contexts.get(number + 1).map_or(f64::MAX, |next| next.0 - x);
        if room > text_width(text, TICK_SIZE) + 8.0 {
            let at = (*x, frame.bottom + 31.0);
            scene.anchored(at, text, TICK_SIZE, Colour::Muted, Anchor::Middle);
        }
    }
}
