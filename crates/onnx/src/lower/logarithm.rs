//! Logarithms of one plus a number, and the way back, which keep small numbers in single precision: `ln(1 + a)` as it is
//! written loses what `1 + a` rounds off, half of the digits of 1e-4 and all of 1e-8.

use ptsm::Result;

use crate::graph::{Graph, Value};

/// `ln(1 + a)` of `a`, 0 or above: what rounding added to `u = 1 + a` is taken off again, `ln(u) - ((u - 1) - a) / u`.
pub(crate) fn log1p(g: &mut Graph, a: Value) -> Result<Value> {
    let above = g.with("Add", a, 1.0)?;
    let logarithm = g.unary("Log", above)?;
    let rounded = g.with("Sub", above, 1.0)?;
    let added = g.binary("Sub", rounded, a)?;
    let added = g.binary("Div", added, above)?;
    g.binary("Sub", logarithm, added)
}

/// `exp(a) - 1` of `a`, 0 or above: below 1 as `2t / (1 - t)` of `t = tanh(a / 2)`, which takes nothing off that is
/// nearly as large.
pub(crate) fn expm1(g: &mut Graph, a: Value) -> Result<Value> {
    let half = g.with("Mul", a, 0.5)?;
    let t = g.unary("Tanh", half)?;
    let twice = g.with("Mul", t, 2.0)?;
    let one = g.number(1.0);
    let rest = g.binary("Sub", one, t)?;
    let small = g.binary("Div", twice, rest)?;
    let power = g.unary("Exp", a)?;
    let large = g.binary("Sub", power, one)?;
    let is_small = g.binary("Less", a, one)?;
    g.choose(is_small, small, large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::evaluate;
    use crate::fact::{Dim, Fact, Kind};

    /// The largest relative error of a step over these numbers.
    fn error(
        lower: fn(&mut Graph, Value) -> Result<Value>,
        numbers: &[f32],
        exact: fn(f64) -> f64,
    ) -> Result<f64> {
        let mut g = Graph::default();
        let a = g.input("a", Fact::new(Kind::Float, vec![Dim::Batch]), "");
        let found = lower(&mut g, a)?;
        g.output("found", found, "")?;
        let found = &evaluate(&g.finish("test"), &[("a", numbers)])["found"];
        let apart = |(&x, &a): (&f32, &f32)| {
            let wanted = exact(a.into());
            if wanted == 0.0 { f64::from(x).abs() } else { (f64::from(x) / wanted - 1.0).abs() }
        };
        Ok(found.iter().zip(numbers).map(apart).fold(0.0, f64::max))
    }

    const SMALL: [f32; 9] = [0.0, 1e-30, 1e-10, 3e-8, 1e-6, 1e-4, 0.003, 0.2, 0.999];

    #[test]
    fn logarithms_of_small_numbers_keep_their_digits() -> Result<()> {
        let numbers = [&SMALL[..], &[1.0, 7.5, 1e6, 1e30, f32::MAX]].concat();
        let most = error(log1p, &numbers, f64::ln_1p)?;
        assert!(most < 3e-7, "{most:e}");
        Ok(())
    }

    #[test]
    fn small_numbers_come_back_with_their_digits() -> Result<()> {
        let most = error(expm1, &[&SMALL[..], &[1.0, 1.001, 5.0, 20.0]].concat(), f64::exp_m1)?;
        assert!(most < 5e-7, "{most:e}");
        Ok(())
    }
}
