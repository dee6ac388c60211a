//! Shift and scale of a window by its own points, where those of the training do not suit it or there are none.
//!
//! The rule is that of [`ptsm::data::Standardiser::channel_scale`].

use ptsm::Result;
use ptsm::data::ChannelScale;

use crate::graph::{Graph, Value};

/// Beyond every finite number that a window can hold.
const HUGE: f32 = f32::MAX;

/// Points of a window, transformed and not yet standardised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Points {
    /// `[B, C, L]`; 0 where a point is missing.
    pub(crate) values: Value,
    /// `[B, C, L]`: 1 where a point was seen; `None` = everywhere.
    pub(crate) seen: Option<Value>,
    /// The same as truth.
    pub(crate) is_seen: Option<Value>,
    pub(crate) length: usize,
}

/// A shift and a scale, `[C, 1]` or `[B, C, 1]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shift {
    pub(crate) mean: Value,
    pub(crate) scale: Value,
}

/// What is known of the points of a window, `[B, C, 1]` each.
struct Moments {
    /// Whether a point was seen, as truth; `None` = always.
    any: Option<Value>,
    mean: Value,
    /// 0 of a constant.
    deviation: Value,
    constant: Value,
}

impl Points {
    fn moments(&self, g: &mut Graph) -> Result<Moments> {
        let extreme = |g: &mut Graph, op: &str, other: f32| -> Result<Value> {
            let values = match self.is_seen {
                Some(seen) => {
                    let other = g.number(other);
                    g.choose(seen, self.values, other)?
                }
                None => self.values,
            };
            g.reduce(op, values, -1)
        };
        let least = extreme(g, "ReduceMin", HUGE)?;
        let most = extreme(g, "ReduceMax", -HUGE)?;
        let constant = g.binary("GreaterOrEqual", least, most)?;
        let (count, any) = match self.seen {
            Some(seen) => {
                let count = g.sum_last(seen)?;
                let zero = g.number(0.0);
                (g.with("Max", count, 1.0)?, Some(g.binary("Greater", count, zero)?))
            }
            None => (g.number(self.length as f32), None),
        };
        let sum = g.sum_last(self.values)?;
        let mean = g.binary("Div", sum, count)?;
        // The sum of equal numbers is rounded: without this a constant would vary.
        let mean = g.choose(constant, least, mean)?;
        let mut centred = g.binary("Sub", self.values, mean)?;
        if let Some(seen) = self.is_seen {
            let zero = g.number(0.0);
            centred = g.choose(seen, centred, zero)?;
        }
        let square = g.binary("Mul", centred, centred)?;
        let sum = g.sum_last(square)?;
        let variance = g.binary("Div", sum, count)?;
        let deviation = g.unary("Sqrt", variance)?;
        Ok(Moments { any, mean, deviation, constant })
    }

    /// Shift and scale by the points themselves; `shared` of a channel without any.
    fn own(&self, g: &mut Graph, moments: &Moments, shared: Shift) -> Result<Shift> {
        let size = g.unary("Abs", moments.mean)?;
        let (zero, one) = (g.number(0.0), g.number(1.0));
        let nonzero = g.binary("Greater", size, zero)?;
        let of_constant = g.choose(nonzero, size, one)?;
        let mut own = Shift {
            mean: moments.mean,
            scale: g.choose(moments.constant, of_constant, moments.deviation)?,
        };
        if let Some(any) = moments.any {
            own.mean = g.choose(any, own.mean, shared.mean)?;
            own.scale = g.choose(any, own.scale, shared.scale)?;
        }
        Ok(own)
    }

    /// Shift and scale by the points themselves where `known` is false.
    pub(crate) fn unless_known(
        &self,
        g: &mut Graph,
        known: Value,
        saved: Shift,
        shared: Shift,
    ) -> Result<Shift> {
        let moments = self.moments(g)?;
        let own = self.own(g, &moments, shared)?;
        pick(g, known, saved, own)
    }

    /// `saved` where it suits the points, those of the points themselves elsewhere.
    pub(crate) fn adapted(&self, g: &mut Graph, saved: Shift, shared: Shift) -> Result<Shift> {
        let moments = self.moments(g)?;
        let suits = suits(g, &moments, saved)?;
        let own = self.own(g, &moments, shared)?;
        pick(g, suits, saved, own)
    }
}

fn pick(g: &mut Graph, mask: Value, yes: Shift, no: Shift) -> Result<Shift> {
    Ok(Shift {
        mean: g.choose(mask, yes.mean, no.mean)?,
        scale: g.choose(mask, yes.scale, no.scale)?,
    })
}

/// Whether the saved shift and scale suit points with these moments; always if there are no points.
fn suits(g: &mut Graph, moments: &Moments, saved: Shift) -> Result<Value> {
    let (far, small) = (ChannelScale::FAR as f32, ChannelScale::SMALL as f32);
    let from = g.binary("Sub", moments.mean, saved.mean)?;
    let from = g.binary("Div", from, saved.scale)?;
    let distance = g.unary("Abs", from)?;
    let spread = g.binary("Div", moments.deviation, saved.scale)?;
    let limit = g.number(far);
    let near = g.binary("LessOrEqual", distance, limit)?;
    let narrow = g.binary("LessOrEqual", spread, limit)?;
    let least = g.with("Mul", distance, small)?;
    let least = g.with("Max", least, small)?;
    let wide = g.binary("GreaterOrEqual", spread, least)?;
    let varying = g.binary("And", near, narrow)?;
    let varying = g.binary("And", varying, wide)?;
    // Of a constant only the relative error of its value matters.
    let (size, own) = (g.unary("Abs", saved.mean)?, g.unary("Abs", moments.mean)?);
    let size = g.binary("Max", size, saved.scale)?;
    let size = g.with("Div", size, far)?;
    let large = g.binary("GreaterOrEqual", own, size)?;
    let large = g.binary("And", near, large)?;
    let zero = g.number(0.0);
    let is_zero = g.binary("LessOrEqual", own, zero)?;
    let constant = g.binary("Or", is_zero, large)?;
    // Where conditions choose between truths.
    let of_constant = g.binary("And", moments.constant, constant)?;
    let varies = g.unary("Not", moments.constant)?;
    let of_varying = g.binary("And", varies, varying)?;
    let fits = g.binary("Or", of_constant, of_varying)?;
    match moments.any {
        Some(any) => {
            let none = g.unary("Not", any)?;
            g.binary("Or", none, fits)
        }
        None => Ok(fits),
    }
}
