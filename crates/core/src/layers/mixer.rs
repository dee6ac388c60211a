//! Mixer blocks: norm, MLP, gate, residual, along patches, features or channels.
//!
//! Source: `PatchMixerBlock`, `FeatureMixerBlock`, `PatchTSMixerChannelFeatureMixerBlock`,
//! transformers 5.23.0.

use super::mlp::Mlp;
use super::pass::{Pass, Place};
use super::self_attn::{self, Attention, add};
use super::{gated_attn, mlp, norm};
use crate::network::{Axis, State};
use crate::real::Real;
use crate::weights::{BlockSlot, Parameters};

/// What the gradient of a block needs.
#[derive(Debug, Clone)]
pub(crate) struct BlockCache<T> {
    norm: norm::Cache<T>,
    mlp: mlp::Cache<T>,
    gate: Option<gated_attn::Cache<T>>,
    attention: Option<(self_attn::Cache<T>, norm::Cache<T>)>,
}

impl BlockSlot {
    fn place(&self) -> Place {
        Place::new(self.block.place)
    }

    fn mlp(&self) -> Mlp<'_> {
        Mlp { fc1: &self.fc1, fc2: &self.fc2, dropout: self.block.dropout, place: self.place() }
    }

    fn attention(&self) -> Option<Attention<'_>> {
        self.attention.as_ref().map(|slot| Attention {
            slot,
            num_patches: self.block.state.patches,
            dropout: self.block.dropout,
            place: self.place(),
        })
    }

    /// Transposes so that the mixed axis is the last: `[N, D]` to `[D, N]`, or `[C, N D]` to
    /// `[N D, C]`.
    fn mixed_last<T: Real>(&self, x: &[T]) -> Vec<T> {
        let State { channels, patches: n, features: d } = self.block.state;
        match self.block.axis {
            Axis::Channels => transpose_each(channels, n * d, x),
            Axis::Patches => transpose_each(n, d, x),
            Axis::Features => x.to_vec(),
        }
    }

    /// Undoes [`Self::mixed_last`].
    fn unmixed<T: Real>(&self, x: Vec<T>) -> Vec<T> {
        let State { channels, patches: n, features: d } = self.block.state;
        match self.block.axis {
            Axis::Channels => transpose_each(n * d, channels, &x),
            Axis::Patches => transpose_each(d, n, &x),
            Axis::Features => x,
        }
    }

    /// `x` `[B, C, N, D]` gives `[B, C, N, D]`.
    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &Parameters<T>,
        x: &[T],
        pass: &Pass,
    ) -> (Vec<T>, BlockCache<T>) {
        let trained = &parameters.trained;
        let (z, norm) = self.norm.forward(parameters, x, pass);
        let (mut last, mut gate) = (self.mixed_last(&z), None);
        let mut apply_gate = |last: Vec<T>| match &self.gate {
            None => last,
            Some(slot) => {
                let (out, cache) = gated_attn::forward(slot, trained, last);
                gate = Some(cache);
                out
            }
        };
        let mlp = if self.block.gates_first() {
            let (out, mlp) = self.mlp().forward(trained, apply_gate(last), pass);
            last = out;
            mlp
        } else {
            let (out, mlp) = self.mlp().forward(trained, last, pass);
            last = apply_gate(out);
            mlp
        };
        let mut out = self.unmixed(last);
        let mut attention = None;
        if let Some(block) = self.attention() {
            let (attended, attention_cache) = block.forward(trained, z, pass);
            add(&mut out, &attended);
            let (normed, norm_cache) = block.slot.norm.forward(parameters, &out, pass);
            out = normed;
            attention = Some((attention_cache, norm_cache));
        }
        add(&mut out, x);
        (out, BlockCache { norm, mlp, gate, attention })
    }

    /// Adds the gradients of the block to `grads` and returns that of its input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        cache: &BlockCache<T>,
        d_out: Vec<T>,
        grads: &mut [T],
        pass: &Pass,
    ) -> Vec<T> {
        let mut d = d_out.clone();
        let mut d_attended = None;
        if let (Some(block), Some((attention, norm))) = (self.attention(), &cache.attention) {
            d = block.slot.norm.backward(trained, norm, &d, grads);
            d_attended = Some(block.backward(trained, attention, &d, grads, pass));
        }
        let mut d = self.mixed_last(&d);
        let gate = self.gate.as_ref().zip(cache.gate.as_ref());
        if !self.block.gates_first()
            && let Some((slot, gate)) = gate
        {
            d = gated_attn::backward(slot, trained, gate, &d, grads);
        }
        d = self.mlp().backward(trained, &cache.mlp, d, grads, pass);
        if self.block.gates_first()
            && let Some((slot, gate)) = gate
        {
            d = gated_attn::backward(slot, trained, gate, &d, grads);
        }
        let mut d = self.unmixed(d);
        if let Some(d_attended) = d_attended {
            add(&mut d, &d_attended);
        }
        let mut d_x = self.norm.backward(trained, &cache.norm, &d, grads);
        add(&mut d_x, &d_out);
        d_x
    }

    /// Moves the running statistics of the block's norms towards those of the batch.
    pub(crate) fn update_running<T: Real>(
        &self,
        parameters: &mut Parameters<T>,
        cache: &BlockCache<T>,
    ) {
        self.norm.update_running(parameters, &cache.norm);
        if let (Some(slot), Some((_, cache))) = (&self.attention, &cache.attention) {
            slot.norm.update_running(parameters, cache);
        }
    }
}

/// Transposes every `[rows, columns]` matrix of `x`.
fn transpose_each<T: Real>(rows: usize, columns: usize, x: &[T]) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    for (x, out) in x.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
        T::transpose(rows, columns, x, out);
    }
    out
}
