//! What a network costs: its parameters, and how often a sequence passes each of its layers.
//!
//! Sums are wide enough for lengths that are fine one by one and absurd together.

use super::description::{Embedding, Network};
use super::head::{
    CrossChannelLayers, ForecastLayers, HeadLayers, HierarchyLayers, InjectLayers, PooledLayers,
};
use super::layers::{LinearLayer, MixerBlock};
use super::state::State;

/// A linear layer and how often one sequence passes it.
type Use<'a> = (&'a LinearLayer, u128);

impl Network {
    /// Numbers of embedding and head that are trained, and a positional table.
    pub(crate) fn fixed_parameters(&self) -> u128 {
        let Embedding { state, linear, positions, .. } = &self.embedding;
        let positions = positions.as_ref().map_or(0, |_| product([state.patches, state.features]));
        parameters([(linear, 1)]) + positions + parameters(self.head.layers(self.last_state()))
    }

    /// Numbers of the stages that are trained.
    pub(crate) fn stack_parameters(&self) -> u128 {
        let of_block = |block: &MixerBlock| {
            let norms: u128 = block.norms().map(|norm| product([2, norm.width])).sum();
            norms + parameters(block.layers())
        };
        self.blocks().map(of_block).sum()
    }
}

impl MixerBlock {
    /// Its linear layers.
    fn layers(&self) -> Vec<Use<'_>> {
        let State { channels, patches, features } = self.state;
        let lines = product([channels, patches, features]) / self.state.width(self.axis) as u128;
        let patches = product([channels, patches]);
        let gate = self.gate.as_ref().map(|gate| gate.linear());
        let attention = self.attention.iter();
        let mlp = [&self.fc1, &self.fc2].into_iter().chain(gate).map(|layer| (layer, lines));
        let projections = attention.flat_map(|a| [&a.query, &a.key, &a.value, &a.out]);
        mlp.chain(projections.map(|layer| (layer, patches))).collect()
    }
}

impl HeadLayers {
    /// Its linear layers, which read a hidden state of shape `state`.
    fn layers(&self, state: State) -> Vec<Use<'_>> {
        let State { channels, patches, .. } = state;
        match self {
            HeadLayers::Forecast(layers) => layers.layers(channels),
            HeadLayers::Pretraining { projection } => {
                vec![(projection, product([channels, patches]))]
            }
            HeadLayers::Pooled(PooledLayers { inject, projections }) => {
                let mut all: Vec<Use<'_>> = projections.iter().map(|layer| (layer, 1)).collect();
                if let Some(inject) = inject {
                    let InjectLayers {
                        inverse_expansion,
                        inverse_compression,
                        map_expansion,
                        map_compression,
                    } = inject;
                    let of_patches = product([channels, patches]);
                    let inverse = [inverse_expansion, inverse_compression];
                    all.extend(inverse.map(|layer| (layer, of_patches)));
                    all.extend([map_expansion, map_compression].map(|l| (l, channels as u128)));
                }
                all
            }
        }
    }
}

impl ForecastLayers {
    /// Its linear layers. All `inputs` channels are projected; what follows is for those that are
    /// forecast.
    fn layers(&self, inputs: usize) -> Vec<Use<'_>> {
        let Self { channels, steps, projections, skip, cross_channel, hierarchy } = self;
        let mut all: Vec<Use<'_>> = Vec::new();
        all.extend(projections.iter().map(|layer| (layer, inputs as u128)));
        all.extend(skip.iter().map(|layer| (layer, *channels as u128)));
        if let Some(CrossChannelLayers { gate, mlp }) = cross_channel {
            all.extend(gate.iter().chain([mlp]).map(|layer| (layer, *steps as u128)));
        }
        if let Some(HierarchyLayers { aggregate, reconcile }) = hierarchy {
            all.push((aggregate, *channels as u128));
            all.push((reconcile, product([*channels, aggregate.outputs])));
        }
        all
    }
}

/// Weights and biases, each layer once.
fn parameters<'a>(layers: impl IntoIterator<Item = Use<'a>>) -> u128 {
    let of = |layer: &LinearLayer| product([layer.inputs, layer.outputs]) + layer.outputs as u128;
    layers.into_iter().map(|(layer, _)| of(layer)).sum()
}

fn product<const N: usize>(lengths: [usize; N]) -> u128 {
    lengths.into_iter().map(|length| length as u128).product()
}
