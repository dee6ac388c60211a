//! What a network costs: its parameters, and the multiply-adds of one sequence.
//!
//! Products and sums are u128: lengths that are each acceptable can have a product beyond u64.

use super::description::{Embedding, Network};
use super::head::{
    CrossChannelLayers, ForecastLayers, HeadLayers, HierarchyLayers, InjectLayers, PooledLayers,
};
use super::layers::{LinearLayer, MixerBlock};
use super::state::State;

/// A linear layer and how often one sequence passes it.
type Use<'a> = (&'a LinearLayer, u128);

impl Network {
    /// Multiply-adds of one sequence through the linear layers of embedding, stages and head, and
    /// through the products of self-attention; two floating-point operations each.
    ///
    /// As the definition computes them: every channel is embedded, mixed and projected, whether it
    /// is forecast or not.
    pub fn multiply_adds(&self) -> u64 {
        let Embedding { state, linear, .. } = &self.embedding;
        let embedding = [(linear, product([state.channels, state.patches]))];
        let stages: u128 = self.blocks().map(MixerBlock::multiply_adds).sum();
        let head = multiply_adds(self.head.layers(self.last_state()));
        u64::try_from(multiply_adds(embedding) + stages + head).unwrap_or(u64::MAX)
    }

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
    fn multiply_adds(&self) -> u128 {
        let State { channels, patches, features } = self.state;
        // Queries by keys, and weights by values; the heads share the features.
        let products = 2 * product([channels, patches, patches, features]);
        let attention = if self.attention.is_some() { products } else { 0 };
        multiply_adds(self.layers()) + attention
    }

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
    /// Its linear layers. All `inputs` channels are projected; the other layers are for those that
    /// are forecast.
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

fn multiply_adds<'a>(layers: impl IntoIterator<Item = Use<'a>>) -> u128 {
    let of = |(layer, times): Use<'_>| product([layer.inputs, layer.outputs]) * times;
    layers.into_iter().map(of).sum()
}

/// Weights and biases, each layer once.
fn parameters<'a>(layers: impl IntoIterator<Item = Use<'a>>) -> u128 {
    let of = |layer: &LinearLayer| product([layer.inputs, layer.outputs]) + layer.outputs as u128;
    layers.into_iter().map(|(layer, _)| of(layer)).sum()
}

fn product<const N: usize>(lengths: [usize; N]) -> u128 {
    lengths.into_iter().map(|length| length as u128).product()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::config::{Config, CrossChannel, Extension, Hierarchy, Task};
    use crate::weights::Layout;

    /// 3 channels of 4 patches with 8 numbers each, 6 features, 2 layers, 10 steps.
    fn config(task: Task) -> Config {
        Config {
            architectures: Some(vec![task.architecture().into()]),
            context_length: 32,
            prediction_length: 10,
            num_input_channels: 3,
            d_model: 6,
            num_layers: 2,
            gated_attn: false,
            num_targets: 5,
            ..Config::default()
        }
    }

    /// Embedding: each of 3 x 4 patches by 8 x 6. A layer: the patch mixer's two of 4 x 8 for 3 x 6
    /// rows, the feature mixer's two of 6 x 12 for 3 x 4.
    const BACKBONE: u64 = 3 * 4 * 8 * 6 + 2 * (3 * 6 * 2 * 4 * 8 + 3 * 4 * 2 * 6 * 12);

    fn head(config: &Config) -> u64 {
        config.network().unwrap().multiply_adds() - BACKBONE
    }

    fn with(extension: Extension) -> u64 {
        head(&Config { ptsm: Some(extension), ..config(Task::Forecasting) })
    }

    /// 3 channels of 4 x 6 numbers to 10 steps.
    const POINT: u64 = 3 * 24 * 10;

    #[test]
    fn the_reference_shape_costs_what_is_known_of_it() {
        let config = Config {
            context_length: 512,
            prediction_length: 96,
            d_model: 16,
            num_layers: 4,
            num_input_channels: 7,
            ..Config::default()
        };
        let network = config.network().unwrap();
        assert_eq!(network.multiply_adds(), 12_214_272);
        let trained = Layout::new(&network).unwrap().num_trained();
        assert_eq!(trained, 187_120);
        assert_eq!(network.fixed_parameters() + network.stack_parameters(), trained as u128);
    }

    #[test]
    fn blocks_cost_what_a_count_by_hand_says() {
        let plain = config(Task::Forecasting);
        let cost = |config: Config| config.network().unwrap().multiply_adds() - BACKBONE - POINT;
        // A gate is square: 4 x 4 for 3 x 6 rows, 6 x 6 for 3 x 4 rows.
        let gated = 2 * (3 * 6 * 4 * 4 + 3 * 4 * 6 * 6);
        assert_eq!(cost(Config { gated_attn: true, ..plain.clone() }), gated);
        // Two layers of 3 x 6, for 4 x 6 rows.
        let mode = "mix_channel".into();
        assert_eq!(cost(Config { mode, ..plain.clone() }), 2 * (4 * 6 * 2 * 3 * 6));
        // Four layers of 6 x 6 for 3 x 4 patches, and two products of 4 x 4 by 6 for 3 channels.
        let attends = Config { self_attn: true, self_attn_heads: 2, ..plain };
        assert_eq!(cost(attends), 2 * (3 * 4 * 4 * 6 * 6 + 3 * 2 * 4 * 4 * 6));
    }

    #[test]
    fn forecasting_heads_cost_what_a_count_by_hand_says() {
        assert_eq!(head(&config(Task::Forecasting)), POINT);
        for (distribution, parameters) in
            [("student_t", 3), ("normal", 2), ("negative_binomial", 2)]
        {
            let (loss, distribution_output) = ("nll".into(), distribution.into());
            let config = Config { loss, distribution_output, ..config(Task::Forecasting) };
            assert_eq!(head(&config), parameters * POINT, "{distribution}");
        }
        let levels = Some(vec![0.1, 0.5, 0.8, 0.9]);
        assert_eq!(with(Extension { quantiles: levels, ..Extension::default() }), 4 * POINT);
        // From 32 steps to 10, for 3 channels.
        let skip = Extension { linear_skip: true, ..Extension::default() };
        assert_eq!(with(skip.clone()), POINT + 3 * 32 * 10);
        // At each of 10 steps a window of 5 steps of 3 channels, to itself for the gate, and to 3.
        let cross = |gated| {
            let cross_channel = Some(CrossChannel { gated, ..CrossChannel::default() });
            Extension { cross_channel, ..Extension::default() }
        };
        assert_eq!(with(cross(false)), POINT + 10 * 15 * 3);
        assert_eq!(with(cross(true)), POINT + 10 * (15 * 15 + 15 * 3));
        // For 3 channels: 10 steps to 2 sums, and 2 segments of 5 + 1 to 5.
        let hierarchy = Some(Hierarchy { segment_length: 5 });
        let hierarchy = Extension { hierarchy, ..Extension::default() };
        assert_eq!(with(hierarchy.clone()), POINT + 3 * (10 * 2 + 2 * 6 * 5));
        // All together, with 2 of 3 channels forecast: all 3 are projected, the rest is for two.
        let all = Extension {
            linear_skip: true,
            cross_channel: cross(true).cross_channel,
            hierarchy: hierarchy.hierarchy,
            ..Extension::default()
        };
        let two = Config {
            prediction_channel_indices: Some(vec![0, 2]),
            ptsm: Some(all),
            ..config(Task::Forecasting)
        };
        let after_projection = 2 * 32 * 10 + 10 * (10 * 10 + 10 * 2) + 2 * (10 * 2 + 2 * 6 * 5);
        assert_eq!(head(&two), POINT + after_projection);
    }

    #[test]
    fn other_heads_cost_what_a_count_by_hand_says() {
        // Every patch back to its 8 numbers.
        assert_eq!(head(&config(Task::Pretraining)), 3 * 4 * 6 * 8);
        // The injection: for each patch 8 to 12 and 12 to 6, for each channel 2 to 4 and 4 to 2.
        let inject = 3 * 4 * (8 * 12 + 12 * 6) + 3 * (2 * 4 + 4 * 2);
        // Pooled features of 3 channels to 5 targets.
        let pooled = 3 * 6 * 5;
        for task in [Task::Classification, Task::Regression] {
            assert_eq!(head(&config(task)), inject + pooled);
            let scaling = Value::Null;
            assert_eq!(head(&Config { scaling, ..config(task) }), pooled);
            let kept = Config { head_aggregation: None, ..config(task) };
            assert_eq!(head(&kept), inject + 4 * pooled);
            // A classifier has logits whatever its loss is called.
            let parameters = if task == Task::Regression { 3 } else { 1 };
            let nll = Config { loss: "nll".into(), ..config(task) };
            assert_eq!(head(&nll), inject + parameters * pooled, "{task:?}");
        }
    }
}
