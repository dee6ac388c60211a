//! From standardised numbers to the units of the data.

use ptsm::Result;
use ptsm::core::Transform;

use super::logarithm::expm1;
use super::own_scale::Shift;
use crate::graph::{Graph, Value};

/// What the numbers of a forecast are in, and how they become data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Units {
    /// Shift and scale of every channel; `None` = the numbers are data already.
    pub(crate) shift: Option<Shift>,
    pub(crate) transform: Transform,
    /// What covariates add to the standardised forecast, `[B, C, H]`.
    pub(crate) effects: Option<Value>,
}

impl Units {
    /// Numbers that are what comes out.
    pub(crate) const AS_THEY_ARE: Units =
        Units { shift: None, transform: Transform::None, effects: None };

    /// Standardised forecasts of `channels`, `[B, C', H]` or `[B, C', H, Q]`, with what covariates add.
    fn with_effects(&self, g: &mut Graph, x: Value, channels: &[usize]) -> Result<Value> {
        let Some(effects) = self.effects else { return Ok(x) };
        let mut effects = g.channels(effects, channels)?;
        if g.shape(x).len() == 4 {
            let steps = g.length(effects, 2)?;
            effects = g.reshape(effects, &[channels.len(), steps, 1])?;
        }
        g.binary("Add", x, effects)
    }

    /// Locations in the units after the transform.
    pub(crate) fn shifted(&self, g: &mut Graph, x: Value, channels: &[usize]) -> Result<Value> {
        let x = self.with_effects(g, x, channels)?;
        let Some(Shift { mean, scale }) = self.shift else { return Ok(x) };
        let rank = g.shape(x).len();
        let scale = g.fitting(scale, channels, rank)?;
        let scaled = g.binary("Mul", x, scale)?;
        let mean = g.fitting(mean, channels, rank)?;
        g.binary("Add", scaled, mean)
    }

    /// Widths, such as the scale of a distribution, in the units after the transform.
    pub(crate) fn widened(&self, g: &mut Graph, x: Value, channels: &[usize]) -> Result<Value> {
        let Some(Shift { scale, .. }) = self.shift else { return Ok(x) };
        let rank = g.shape(x).len();
        let scale = g.fitting(scale, channels, rank)?;
        g.binary("Mul", x, scale)
    }

    /// Forecasts in the units of the data.
    pub(crate) fn undo(&self, g: &mut Graph, x: Value, channels: &[usize]) -> Result<Value> {
        let shifted = self.shifted(g, x, channels)?;
        if self.transform.is_none() {
            return Ok(shifted);
        }
        let sign = g.unary("Sign", shifted)?;
        let size = g.unary("Abs", shifted)?;
        let size = expm1(g, size)?;
        g.binary("Mul", sign, size)
    }
}
