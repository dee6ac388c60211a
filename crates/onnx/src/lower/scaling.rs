//! The scaler of a network: each window by its own statistics.
//!
//! The rules are those of `core/src/layers/scaler.rs` and `level.rs`.

use ptsm::Result;
use ptsm::core::{LevelWindow, Location, Scaler};

use super::window::Window;
use crate::fact::Kind;
use crate::graph::{Attribute, Graph, Value};

/// A scaled window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaled {
    /// `[B, C, L]`; missing points are scaled too.
    pub(crate) values: Value,
    pub(crate) undo: Undo,
}

/// How scaled numbers are taken back; statistics are `[B, C, 1]`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Undo {
    /// They are in the units of the window.
    Nothing,
    /// By `x * scale + loc`.
    Affine { loc: Value, scale: Value },
    /// By `origin + lift * exp(x)`.
    Level { origin: Option<Value>, lift: Value },
}

/// Fits and applies the scaler.
pub(crate) fn scale(g: &mut Graph, scaler: Scaler, window: &Window) -> Result<Scaled> {
    match scaler {
        Scaler::None => Ok(Scaled { values: window.values, undo: Undo::Nothing }),
        Scaler::Std { minimum_scale, location } => std(g, minimum_scale, location, window),
        Scaler::Mean { minimum_scale, default_scale } => {
            let size = g.unary("Abs", window.values)?;
            let size = window.only_seen(g, size)?;
            let sum = g.sum_last(size)?;
            let count = window.count(g)?;
            let at_least_one = g.with("Max", count, 1.0)?;
            let mut fitted = g.binary("Div", sum, at_least_one)?;
            if let (Some(default), true) = (default_scale, window.seen.is_some()) {
                let (zero, default) = (g.number(0.0), g.number(default as f32));
                let any = g.binary("Greater", count, zero)?;
                fitted = g.choose(any, fitted, default)?;
            }
            let scale = g.with("Max", fitted, minimum_scale as f32)?;
            let values = g.binary("Div", window.values, scale)?;
            let loc = g.with("Mul", scale, 0.0)?;
            Ok(Scaled { values, undo: Undo::Affine { loc, scale } })
        }
        Scaler::Level { season } => level(g, season, window),
    }
}

fn std(g: &mut Graph, minimum: f64, location: Location, window: &Window) -> Result<Scaled> {
    let mean = mean(g, window)?;
    let centred = g.binary("Sub", window.values, mean)?;
    let centred_seen = window.only_seen(g, centred)?;
    let square = g.binary("Mul", centred_seen, centred_seen)?;
    let sum = g.sum_last(square)?;
    let count = window.count(g)?;
    let count = g.with("Max", count, 1.0)?;
    let variance = g.binary("Div", sum, count)?;
    let variance = g.with("Add", variance, minimum as f32)?;
    let scale = g.unary("Sqrt", variance)?;
    let (loc, centred) = match location {
        Location::Mean => (mean, centred),
        Location::Last => {
            let last = last(g, window)?;
            (last, g.binary("Sub", window.values, last)?)
        }
    };
    let values = g.binary("Div", centred, scale)?;
    Ok(Scaled { values, undo: Undo::Affine { loc, scale } })
}

/// The mean of the seen points, `[B, C, 1]`; 0 without any.
pub(crate) fn mean(g: &mut Graph, window: &Window) -> Result<Value> {
    // Missing points are 0.
    let sum = g.sum_last(window.values)?;
    let count = window.count(g)?;
    let count = g.with("Max", count, 1.0)?;
    g.binary("Div", sum, count)
}

/// The last seen point, `[B, C, 1]`; 0 without any.
pub(crate) fn last(g: &mut Graph, window: &Window) -> Result<Value> {
    match tail(g, window, 1)? {
        Some(tail) => {
            let only = g.binary("Mul", window.values, tail)?;
            g.sum_last(only)
        }
        None => g.slice(window.values, 2, window.length - 1, window.length),
    }
}

/// 1 at the last `count` seen points, `[B, C, L]`; `None` where all are seen, so that those are the last steps.
fn tail(g: &mut Graph, window: &Window, count: usize) -> Result<Option<Value>> {
    let Some(seen) = window.seen else { return Ok(None) };
    let axis = g.places(&[], &[2]);
    let from_end = g.step("CumSum", &[seen, axis], &[Attribute::Int("reverse", 1)])?;
    let most = g.number(count as f32);
    let is_late = g.binary("LessOrEqual", from_end, most)?;
    let late = g.cast(is_late, Kind::Float)?;
    Ok(Some(g.binary("Mul", late, seen)?))
}

/// What a window is scaled by, level by level.
pub(crate) struct Fitted {
    /// Distances from the data's zero.
    levels: Value,
    floor: Value,
    pub(crate) lift: Value,
}

/// Fits a scaling by level.
pub(crate) fn fit_level(g: &mut Graph, season: usize, window: &Window) -> Result<Fitted> {
    let levels = match window.origin {
        Some(origin) => g.binary("Sub", window.values, origin)?,
        None => window.values,
    };
    let size = g.unary("Abs", levels)?;
    let size = window.only_seen(g, size)?;
    let sum = g.sum_last(size)?;
    let count = window.count(g)?;
    let at_least_one = g.with("Max", count, 1.0)?;
    let mean = g.binary("Div", sum, at_least_one)?;
    let floor = g.with("Mul", mean, LevelWindow::FLOOR as f32)?;
    let mut floor = g.with("Max", floor, LevelWindow::TINY as f32)?;
    let above = g.binary("Max", levels, floor)?;
    let logarithms = g.unary("Log", above)?;
    let mut lift = match tail(g, window, season)? {
        Some(tail) => {
            let late = g.binary("Mul", logarithms, tail)?;
            let sum = g.sum_last(late)?;
            let count = g.sum_last(tail)?;
            let count = g.with("Max", count, 1.0)?;
            let mean = g.binary("Div", sum, count)?;
            g.unary("Exp", mean)?
        }
        None => {
            let late =
                g.slice(logarithms, 2, window.length - season.min(window.length), window.length)?;
            let mean = g.reduce("ReduceMean", late, -1)?;
            g.unary("Exp", mean)?
        }
    };
    if window.seen.is_some() {
        // A window without a seen point has the level 1.
        let zero = g.number(0.0);
        let any = g.binary("Greater", count, zero)?;
        let (one, least) = (g.number(1.0), g.number(LevelWindow::FLOOR as f32));
        lift = g.choose(any, lift, one)?;
        floor = g.choose(any, floor, least)?;
    }
    Ok(Fitted { levels, floor, lift })
}

impl Fitted {
    /// The scaled window, `[B, C, L]`.
    pub(crate) fn apply(&self, g: &mut Graph) -> Result<Value> {
        let least = g.with("Mul", self.lift, LevelWindow::LEAST_SHARE as f32)?;
        let floor = g.binary("Max", self.floor, least)?;
        let above = g.binary("Max", self.levels, floor)?;
        let share = g.binary("Div", above, self.lift)?;
        g.unary("Log", share)
    }
}

fn level(g: &mut Graph, season: usize, window: &Window) -> Result<Scaled> {
    let fitted = fit_level(g, season, window)?;
    let values = fitted.apply(g)?;
    let undo = Undo::Level { origin: window.origin, lift: fitted.lift };
    Ok(Scaled { values, undo })
}

impl Undo {
    /// loc and scale, `[B, C, 1]`, where there are some.
    pub(crate) fn statistics(self) -> Option<(Value, Value)> {
        match self {
            Undo::Affine { loc, scale } => Some((loc, scale)),
            _ => None,
        }
    }

    /// Scaled forecasts of `channels`, `[B, C', H]` or `[B, C', H, Q]`, in the units of the window.
    pub(crate) fn undo(self, g: &mut Graph, x: Value, channels: &[usize]) -> Result<Value> {
        let rank = g.shape(x).len();
        match self {
            Undo::Nothing => Ok(x),
            Undo::Affine { loc, scale } => {
                let scale = g.fitting(scale, channels, rank)?;
                let scaled = g.binary("Mul", x, scale)?;
                let loc = g.fitting(loc, channels, rank)?;
                g.binary("Add", scaled, loc)
            }
            Undo::Level { origin, lift } => {
                let limit = LevelWindow::MOST.ln() as f32;
                let below = g.with("Min", x, limit)?;
                let inside = g.with("Max", below, -limit)?;
                let power = g.unary("Exp", inside)?;
                let lift = g.fitting(lift, channels, rank)?;
                let lifted = g.binary("Mul", power, lift)?;
                let Some(origin) = origin else { return Ok(lifted) };
                let origin = g.fitting(origin, channels, rank)?;
                g.binary("Add", lifted, origin)
            }
        }
    }
}
