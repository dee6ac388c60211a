//! Heads of classification and regression: scale injection, pooling over patches, one projection for each output.

use ptsm::core::network::{HeadLayers, InjectLayers, State};
use ptsm::{Error, Result};

use super::distribution;
use super::scaling::Scaled;
use super::weights::Weights;
use crate::graph::{Graph, Value};

impl Weights<'_> {
    /// What the projections give, `[B, K]` each: logits, values, or the parameters of a distribution.
    pub(crate) fn pooled(
        &self,
        g: &mut Graph,
        hidden: Value,
        scaled: &Scaled,
    ) -> Result<Vec<Value>> {
        let (model, config) = (self.model(), self.model().config());
        let HeadLayers::Pooled(layers) = &model.network().head else {
            return Err(Error::internal("a head that labels nothing was taken for one that does"));
        };
        g.enter(&self.scope("head"));
        let state = model.network().last_state();
        let mut h = hidden;
        if let Some(inject) = &layers.inject {
            h = self.inject(g, inject, state, h, scaled)?;
        }
        let pooled = pool(g, config.head_aggregation.as_deref(), state, h)?;
        let distribution = model.output().kind().distribution();
        let mut all = Vec::new();
        for (k, layer) in layers.projections.iter().enumerate() {
            let mut x = self.apply(g, layer, pooled)?;
            if let Some(distribution) = distribution {
                x = distribution::parameter(g, distribution, k, x)?;
            } else if let Some([low, high]) = config.output_range {
                let share = g.unary("Sigmoid", x)?;
                let above = g.with("Mul", share, (high - low) as f32)?;
                x = g.with("Add", above, low as f32)?;
            }
            all.push(x);
        }
        Ok(all)
    }

    /// Brings the statistics of the window into the hidden state.
    fn inject(
        &self,
        g: &mut Graph,
        layers: &InjectLayers,
        state: State,
        hidden: Value,
        scaled: &Scaled,
    ) -> Result<Value> {
        let Some((loc, scale)) = scaled.undo.statistics() else {
            return Err(Error::internal("a scale injection has no statistics"));
        };
        let State { channels, patches, .. } = state;
        let statistics = g.concat(&[loc, scale], 2)?;
        let widened = self.apply(g, &layers.map_expansion, statistics)?;
        let mapped = self.apply(g, &layers.map_compression, widened)?;
        let mapped = g.reshape(mapped, &[channels, 1, 2])?;
        // The same for every patch.
        let shape = g.ints(&[1, 1, patches as i64, 1]);
        let mapped = g.binary("Expand", mapped, shape)?;
        let joined = g.concat(&[hidden, mapped], 3)?;
        let expanded = self.apply(g, &layers.inverse_expansion, joined)?;
        self.apply(g, &layers.inverse_compression, expanded)
    }
}

/// Pools `[B, C, N, D]` to `[B, C D]`, or to `[B, C D N]` where patches are kept.
fn pool(g: &mut Graph, pooling: Option<&str>, state: State, h: Value) -> Result<Value> {
    let State { channels, patches, features } = state;
    let pooled = match pooling {
        Some("use_last") => g.slice(h, 2, patches - 1, patches)?,
        Some("max_pool") => g.reduce("ReduceMax", h, 2)?,
        Some("avg_pool") => g.reduce("ReduceMean", h, 2)?,
        _ => {
            let moved = g.transpose(h, &[0, 1, 3, 2])?;
            return g.reshape(moved, &[channels * features * patches]);
        }
    };
    g.reshape(pooled, &[channels * features])
}
