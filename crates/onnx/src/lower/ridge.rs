//! Ridge regressions, which are linear layers on each channel of a window, as members of an ensemble.

use ptsm::Result;
use ptsm::core::Location;
use ptsm::ensemble::Linear as Regression;
use ptsm::evaluate::{LogRidge, Ridge};

use super::scaling;
use super::window::Window;
use crate::graph::{Graph, Value};
use crate::ops::Linear;

/// The forecast of all channels, `[B, C, H]`, in the units of the window; `name` is that of the member.
pub(crate) fn forecast(
    g: &mut Graph,
    name: &str,
    regression: &Regression,
    window: &Window,
) -> Result<Value> {
    g.enter(name);
    let (weights, bias) = regression.weights();
    let steps = regression.prediction_length();
    let shape = [weights.len() / steps, steps];
    let layer = Linear {
        weight: g.floats(&format!("{name}.weight"), &shape, weights),
        bias: g.floats(&format!("{name}.bias"), &[steps], bias),
    };
    match regression {
        Regression::Values(ridge) => values(g, ridge, layer, window),
        Regression::Logarithms(ridge) => logarithms(g, ridge, layer, window),
    }
}

fn values(g: &mut Graph, ridge: &Ridge, layer: Linear, window: &Window) -> Result<Value> {
    let centre = match ridge.location() {
        Location::Mean => scaling::mean(g, window)?,
        Location::Last => scaling::last(g, window)?,
    };
    let centred = g.binary("Sub", window.values, centre)?;
    let centred = window.only_seen(g, centred)?;
    let forecast = g.linear(centred, layer)?;
    g.binary("Add", forecast, centre)
}

fn logarithms(g: &mut Graph, ridge: &LogRidge, layer: Linear, window: &Window) -> Result<Value> {
    let fitted = scaling::fit_level(g, ridge.season(), window)?;
    let scaled = fitted.apply(g)?;
    let seen = window.only_seen(g, scaled)?;
    let mut inputs = seen;
    if ridge.sees_gaps() {
        let missing = match window.seen {
            Some(seen) => {
                let one = g.number(1.0);
                g.binary("Sub", one, seen)?
            }
            None => g.with("Mul", scaled, 0.0)?,
        };
        inputs = g.concat(&[seen, missing], 2)?;
    }
    let sums = g.linear(inputs, layer)?;
    let least = extreme(g, "ReduceMin", scaled, window)?;
    let least = g.with("Sub", least, LogRidge::BELOW)?;
    let most = extreme(g, "ReduceMax", scaled, window)?;
    let most = g.with("Add", most, LogRidge::ABOVE)?;
    let above = g.binary("Max", sums, least)?;
    let inside = g.binary("Min", above, most)?;
    let undo = scaling::Undo::Level { origin: window.origin, lift: fitted.lift };
    let channels: Vec<usize> = (0..g.length(inside, 1)?).collect();
    undo.undo(g, inside, &channels)
}

/// The least or the greatest of the seen points, `[B, C, 1]`; 0 without any.
fn extreme(g: &mut Graph, op: &str, x: Value, window: &Window) -> Result<Value> {
    let Some(is_seen) = window.is_seen else { return g.reduce(op, x, -1) };
    let beyond = g.number(if op == "ReduceMin" { f32::MAX } else { f32::MIN });
    let masked = g.choose(is_seen, x, beyond)?;
    let found = g.reduce(op, masked, -1)?;
    let zero = g.number(0.0);
    let count = window.count(g)?;
    let any = g.binary("Greater", count, zero)?;
    g.choose(any, found, zero)
}
