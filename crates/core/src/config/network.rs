//! PatchTSMixer as a network: which blocks and heads a configuration asks for, and Hugging Face's
//! names of their tensors.
//!
//! Source: `modeling_patchtsmixer.py` and the state dicts of transformers 5.23.0; every fixture
//! tests them. What is under `ptsm` is ours.

use super::{Config, Extension, Hierarchy, Scaler, Task};
use crate::Result;
use crate::distribution::Distribution;
use crate::network::{
    Axis, BlockOptions, CrossChannelLayers, Embedding, ForecastLayers, HeadLayers, HierarchyLayers,
    InjectLayers, LinearLayer, Network, PooledLayers, Positions, Stack, State,
};

/// Prefix of the names of everything before the head.
const ENCODER: &str = "model.encoder";
/// Places that draw for dropout in every layer, with a channel mixer or without one; place 0 is the
/// head's.
const PLACES_PER_LAYER: u64 = 3;

impl Config {
    /// What a PatchTSMixer with this configuration computes.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` as [`Config::validate`].
    pub fn network(&self) -> Result<Network> {
        self.validate()?;
        self.with_layers(self.num_layers)
    }

    /// The network with so many layers.
    pub(super) fn with_layers(&self, num_layers: usize) -> Result<Network> {
        let embedding = self.embedding(ENCODER);
        let mut stack = Stack::new(embedding.state, self.block_options());
        for layer in 0..num_layers {
            self.push_layer(&mut stack, layer);
        }
        let (stages, state) = stack.finish();
        let head = self.head_layers(state)?;
        Ok(Network { embedding, stages, head, init_std: self.init_std })
    }

    /// One mixer layer: across channels in `mix_channel` mode, then across patches, then across
    /// features.
    fn push_layer(&self, stack: &mut Stack, layer: usize) {
        let blocks = [
            (Axis::Channels, "channel_feature_mixer"),
            (Axis::Patches, "patch_mixer"),
            (Axis::Features, "feature_mixer"),
        ];
        for ((axis, part), place) in blocks.into_iter().zip(1 + PLACES_PER_LAYER * layer as u64..) {
            if axis != Axis::Channels || self.mixes_channels() {
                let name = format!("{ENCODER}.mlp_mixer_encoder.mixers.{layer}.{part}");
                stack.mix(axis, name, format!("{layer}.{part}"), place);
            }
        }
        stack.end_layer();
    }

    pub(crate) fn block_options(&self) -> BlockOptions {
        BlockOptions {
            expansion: self.expansion_factor,
            norm: self.norm(),
            eps: self.norm_eps,
            gated: self.gated_attn,
            attention_heads: self.self_attn.then_some(self.self_attn_heads),
            dropout: self.dropout,
        }
    }

    /// The patch embedding under `prefix`.
    pub(crate) fn embedding(&self, prefix: &str) -> Embedding {
        let state = State {
            channels: self.num_input_channels,
            patches: self.num_patches(),
            features: self.d_model,
        };
        Embedding {
            context_length: self.context_length,
            patch_length: self.patch_length,
            patch_stride: self.patch_stride,
            patch_start: self.patch_start(),
            state,
            linear: LinearLayer::new(format!("{prefix}.patcher"), self.patch_length, self.d_model),
            positions: self.use_positional_encoding.then(|| Positions {
                name: format!("{prefix}.positional_encoder.position_enc"),
                learnt: self.positional_encoding_type != "sincos",
            }),
        }
    }

    /// The head of the task, which reads a hidden state of shape `state`.
    pub(crate) fn head_layers(&self, state: State) -> Result<HeadLayers> {
        Ok(match self.task()? {
            Task::Forecasting => HeadLayers::Forecast(self.forecast_layers(state)),
            Task::Pretraining => {
                let name = "head.base_pt_block";
                let projection = LinearLayer::new(name, state.features, self.patch_length);
                HeadLayers::Pretraining { projection }
            }
            Task::Classification => HeadLayers::Pooled(self.pooled_layers(state, None)),
            Task::Regression => HeadLayers::Pooled(self.pooled_layers(state, self.distribution())),
        })
    }

    fn forecast_layers(&self, state: State) -> ForecastLayers {
        let (inputs, steps) = (state.patches * state.features, self.prediction_length);
        let base = "head.base_forecast_block";
        let Extension { quantiles, cross_channel, hierarchy, linear_skip, .. } = self.extension();
        let projections = match (self.distribution(), quantiles) {
            (Some(distribution), _) => of_parameters(base, distribution, inputs, steps),
            (None, Some(levels)) => {
                vec![LinearLayer::new("head.quantile_block", inputs, steps * levels.len())]
            }
            (None, None) => vec![LinearLayer::new(base, inputs, steps)],
        };
        let skip =
            linear_skip.then(|| LinearLayer::zero("head.linear_skip", self.context_length, steps));
        let channels = self.prediction_channels().len();
        let cross_channel = cross_channel.as_ref().map(|cross| {
            let width = channels * (2 * cross.context_length + 1);
            let gate = "head.cross_channel.gating_block.attn_layer";
            CrossChannelLayers {
                gate: cross.gated.then(|| LinearLayer::new(gate, width, width)),
                // The correction starts at 0, so that training starts from the base forecast.
                mlp: LinearLayer::zero("head.cross_channel.mlp", width, channels),
            }
        });
        let hierarchy = hierarchy.as_ref().map(|&Hierarchy { segment_length }| {
            let segments = steps / segment_length;
            let (inputs, outputs) = (segment_length + 1, segment_length);
            HierarchyLayers {
                aggregate: LinearLayer::new("head.hierarchy.aggregate", steps, segments),
                reconcile: LinearLayer::zero("head.hierarchy.reconcile", inputs, outputs),
            }
        });
        ForecastLayers { channels, steps, projections, skip, cross_channel, hierarchy }
    }

    fn pooled_layers(&self, state: State, distribution: Option<Distribution>) -> PooledLayers {
        let State { channels, patches, features: d } = state;
        let inject = (self.scaler() != Scaler::None).then(|| {
            let linear = |name: &str, inputs, outputs| {
                LinearLayer::new(format!("inject_scale.{name}"), inputs, outputs)
            };
            InjectLayers {
                inverse_expansion: linear("inverse_trans_expansion", d + 2, 2 * d),
                inverse_compression: linear("inverse_trans_compression", 2 * d, d),
                map_expansion: linear("map_scale_expansion", 2, 4),
                map_compression: linear("map_scale_compression", 4, 2),
            }
        });
        let kept = if self.head_aggregation.is_some() { 1 } else { patches };
        // Lengths whose product is huge are refused later, by the size of this very layer.
        let inputs = channels.saturating_mul(d).saturating_mul(kept);
        let projection = "head.projection";
        let projections = match distribution {
            Some(distribution) => of_parameters(projection, distribution, inputs, self.num_targets),
            None => vec![LinearLayer::new(projection, inputs, self.num_targets)],
        };
        PooledLayers { inject, projections }
    }
}

/// One layer for each parameter of a distribution.
fn of_parameters(
    name: &str,
    distribution: Distribution,
    inputs: usize,
    outputs: usize,
) -> Vec<LinearLayer> {
    let layer = |k: usize| LinearLayer::new(format!("{name}.proj.{k}"), inputs, outputs);
    (0..distribution.num_parameters()).map(layer).collect()
}
