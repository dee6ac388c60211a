//! Heads that forecast: from the hidden state to numbers in the units of the window, `[B, C', H]`.

use std::sync::Arc;

use ptsm::core::network::{CrossChannelLayers, ForecastLayers, HeadLayers, HierarchyLayers};
use ptsm::core::{Distribution, OutputKind};
use ptsm::{Error, Result};

use super::distribution;
use super::scaling::{Scaled, Undo};
use super::weights::Weights;
use super::window::Window;
use crate::graph::{Graph, Value};

/// A forecast in standardised units.
#[derive(Debug, Clone)]
pub(crate) enum Forecast {
    /// `[B, C', H]`.
    Points(Value),
    /// `[B, C', H, Q]`, at these levels.
    Quantiles(Value, Arc<[f64]>),
    /// The parameters, `[B, C', H]` each.
    Distribution(Distribution, Vec<Value>),
}

/// What a forecasting head reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadInput<'a> {
    /// `[B, C, N, D]`.
    pub(crate) hidden: Value,
    pub(crate) scaled: &'a Scaled,
    pub(crate) window: &'a Window,
}

impl Weights<'_> {
    /// The forecast of a head.
    pub(crate) fn forecast(&self, g: &mut Graph, input: HeadInput<'_>) -> Result<Forecast> {
        let HeadLayers::Forecast(layers) = &self.model().network().head else {
            return Err(Error::internal("a head that forecasts nothing was taken for a forecast"));
        };
        let output = self.model().output();
        let channels = output.channels();
        g.enter(&self.scope("head"));
        let state = self.model().network().last_state();
        let kept = g.channels(input.hidden, channels)?;
        let flat = g.reshape(kept, &[channels.len(), state.patches * state.features])?;
        let projected = layers
            .projections
            .iter()
            .map(|layer| self.apply(g, layer, flat))
            .collect::<Result<Vec<_>>>()?;
        let undo = input.scaled.undo;
        match output.kind() {
            OutputKind::Distribution(distribution) => {
                let parameters = self.parameters(g, *distribution, &projected, undo)?;
                Ok(Forecast::Distribution(*distribution, parameters))
            }
            OutputKind::Quantiles(levels) => {
                let shape = [channels.len(), layers.steps, levels.len()];
                let free = g.reshape(projected[0], &shape)?;
                let ascending = ascending(g, free, levels.len())?;
                Ok(Forecast::Quantiles(undo.undo(g, ascending, channels)?, Arc::clone(levels)))
            }
            _ => {
                let scaled = self.reconciled(g, layers, projected[0], input)?;
                Ok(Forecast::Points(undo.undo(g, scaled, channels)?))
            }
        }
    }

    /// The parameters of a distribution in the units of the window; the logits of counts, which know no shift, get the
    /// logarithm of the scale.
    fn parameters(
        &self,
        g: &mut Graph,
        distribution: Distribution,
        projected: &[Value],
        undo: Undo,
    ) -> Result<Vec<Value>> {
        let channels = self.model().output().channels();
        let mut parameters = Vec::new();
        for (k, &x) in projected.iter().enumerate() {
            let mut x = distribution::parameter(g, distribution, k, x)?;
            if let Some((loc, scale)) = undo.statistics() {
                let [loc, scale] = [g.fitting(loc, channels, 3)?, g.fitting(scale, channels, 3)?];
                x = match distribution.parameter_names()[k] {
                    "loc" => {
                        let scaled = g.binary("Mul", x, scale)?;
                        g.binary("Add", scaled, loc)?
                    }
                    "scale" => g.binary("Mul", x, scale)?,
                    "logits" => {
                        let logarithm = g.unary("Log", scale)?;
                        g.binary("Add", x, logarithm)?
                    }
                    _ => x,
                };
            }
            parameters.push(x);
        }
        Ok(parameters)
    }

    /// The scaled forecast with the linear skip and reconciled, `[B, C', H]`.
    fn reconciled(
        &self,
        g: &mut Graph,
        layers: &ForecastLayers,
        mut y: Value,
        input: HeadInput<'_>,
    ) -> Result<Value> {
        let channels = self.model().output().channels();
        if let Some(skip) = &layers.skip {
            // A missing point counts as the location.
            let seen = input.window.only_seen(g, input.scaled.values)?;
            let seen = g.channels(seen, channels)?;
            let added = self.apply(g, skip, seen)?;
            y = g.binary("Add", y, added)?;
        }
        if let Some(cross) = &layers.cross_channel {
            y = self.cross_channel(g, layers, cross, y, input.scaled)?;
        }
        if let Some(hierarchy) = &layers.hierarchy {
            y = self.hierarchy(g, layers, hierarchy, y)?;
        }
        Ok(y)
    }

    fn cross_channel(
        &self,
        g: &mut Graph,
        layers: &ForecastLayers,
        cross: &CrossChannelLayers,
        base: Value,
        scaled: &Scaled,
    ) -> Result<Value> {
        let config = self.model().config();
        let Some(settings) = &config.extension().cross_channel else {
            return Err(Error::internal("a cross-channel head has no settings"));
        };
        let &ForecastLayers { channels, steps, .. } = layers;
        let context = settings.context_length;
        let around = match (context, settings.prepend_past) {
            (0, _) => base,
            (_, true) => {
                let length = config.context_length;
                let past = g.slice(scaled.values, 2, length - context, length)?;
                let past = g.channels(past, self.model().output().channels())?;
                let joined = g.concat(&[past, base], 2)?;
                padded(g, joined, 0, context)?
            }
            (_, false) => padded(g, base, context, context)?,
        };
        let span = 2 * context + 1;
        let places: Vec<i64> =
            (0..steps).flat_map(|t| (0..span).map(move |k| (t + k) as i64)).collect();
        let places = g.places(&[steps, span], &places);
        let windows = g.gather(around, places, 2)?;
        let windows = g.transpose(windows, &[0, 2, 1, 3])?;
        let mut flat = g.reshape(windows, &[steps, channels * span])?;
        if let Some(gate) = &cross.gate {
            let gate = self.linear(g, gate)?;
            flat = g.gate(flat, gate)?;
        }
        let correction = self.apply(g, &cross.mlp, flat)?;
        let correction = g.transpose(correction, &[0, 2, 1])?;
        g.binary("Add", correction, base)
    }

    fn hierarchy(
        &self,
        g: &mut Graph,
        layers: &ForecastLayers,
        hierarchy: &HierarchyLayers,
        y: Value,
    ) -> Result<Value> {
        let &ForecastLayers { channels, steps, .. } = layers;
        let segments = hierarchy.aggregate.outputs;
        let sums = self.apply(g, &hierarchy.aggregate, y)?;
        let sums = g.reshape(sums, &[channels, segments, 1])?;
        let parts = g.reshape(y, &[channels, segments, steps / segments])?;
        let joined = g.concat(&[parts, sums], 3)?;
        let correction = self.apply(g, &hierarchy.reconcile, joined)?;
        let correction = g.reshape(correction, &[channels, steps])?;
        g.binary("Add", correction, y)
    }
}

/// Zeros before and after the steps of `[B, C', H]`.
fn padded(g: &mut Graph, x: Value, before: usize, after: usize) -> Result<Value> {
    let pads = g.ints(&[0, 0, before as i64, 0, 0, after as i64]);
    g.binary("Pad", x, pads)
}

/// Free numbers `[B, C', H, Q]` as ascending quantiles: the middle one is free, each other one a positive step from its
/// neighbour.
fn ascending(g: &mut Graph, free: Value, count: usize) -> Result<Value> {
    let middle = count / 2;
    if count == 1 {
        return Ok(free);
    }
    let steps = g.unary("Softplus", free)?;
    let from_middle = |from: usize, to: usize| match (from, to) {
        (from, to) if from > middle && from <= to => 1.0,
        (from, to) if from < middle && from >= to => -1.0,
        _ => 0.0,
    };
    let sums: Vec<f32> = (0..count * count).map(|i| from_middle(i / count, i % count)).collect();
    let sums = g.floats("quantiles.steps", &[count, count], &sums);
    let away = g.binary("MatMul", steps, sums)?;
    let centre = g.slice(free, 3, middle, middle + 1)?;
    g.binary("Add", away, centre)
}
