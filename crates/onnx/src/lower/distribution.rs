//! Parameters of distributions from the outputs of projections.

use ptsm::Result;
use ptsm::core::Distribution;

use crate::graph::{Graph, Value};

/// Parameter `k` from the output of its projection.
pub(crate) fn parameter(
    g: &mut Graph,
    distribution: Distribution,
    k: usize,
    x: Value,
) -> Result<Value> {
    match distribution.parameter_names()[k] {
        "df" => {
            let above = square_plus(g, x)?;
            g.with("Add", above, 2.0)
        }
        "scale" => {
            let scale = square_plus(g, x)?;
            g.with("Max", scale, Distribution::MIN_SCALE as f32)
        }
        "total_count" => square_plus(g, x),
        _ => Ok(x),
    }
}

/// `(x + sqrt(x^2 + 4)) / 2`, of negative x by the conjugate, which does not cancel.
fn square_plus(g: &mut Graph, x: Value) -> Result<Value> {
    let square = g.binary("Mul", x, x)?;
    let square = g.with("Add", square, 4.0)?;
    let root = g.unary("Sqrt", square)?;
    let (zero, two) = (g.number(0.0), g.number(2.0));
    let apart = g.binary("Sub", root, x)?;
    let conjugate = g.binary("Div", two, apart)?;
    let sum = g.binary("Add", x, root)?;
    let half = g.with("Mul", sum, 0.5)?;
    let negative = g.binary("Less", x, zero)?;
    g.choose(negative, conjugate, half)
}

/// The mean of `loc` where there is one, or of counts `total_count * exp(logits)`.
pub(crate) fn mean(
    g: &mut Graph,
    distribution: Distribution,
    parameters: &[Value],
) -> Result<Value> {
    let place = |name: &str| distribution.parameter_names().iter().position(|n| *n == name);
    match place("loc") {
        Some(loc) => Ok(parameters[loc]),
        None => {
            let ratio = g.unary("Exp", parameters[1])?;
            g.binary("Mul", parameters[0], ratio)
        }
    }
}
