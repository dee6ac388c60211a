//! Checks of a network before weights are made for it: the shapes of its layers must fit together,
//! and every path must be able to compute the combination of layers.
//!
//! A configuration is validated where it is read; these checks are for authors of architectures.

use std::collections::HashSet;

use super::description::Network;
use super::layers::{Gate, MixerBlock};
use super::stage::Stage;
use super::state::{Axis, State};
use crate::{Error, Result};

impl Network {
    /// Checks every stage.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the block and what is wrong with it.
    pub fn check(&self) -> Result<()> {
        let mut state = self.embedding.state;
        let mut places = HashSet::from([0]);
        for stage in &self.stages {
            match stage {
                Stage::Mixer(block) => {
                    block.check(state)?;
                    if !places.insert(block.place) {
                        let text = format!("draws at place {}, which is taken", block.place);
                        return Err(Error::config(&block.name, text));
                    }
                }
                Stage::Reshape(reshape) => {
                    let (from, to) = (reshape.from, reshape.to);
                    let keeps = from.channels == to.channels && from.len() == to.len();
                    if from != state || !keeps {
                        let text =
                            format!("{state:?} cannot become {to:?}, reshaped from {from:?}");
                        return Err(Error::config("reshape", text));
                    }
                }
            }
            state = stage.output();
        }
        Ok(())
    }
}

impl MixerBlock {
    /// Checks the block, which reads a hidden state of shape `state`.
    fn check(&self, state: State) -> Result<()> {
        let refuse = |text: String| Err(Error::config(&self.name, text));
        let width = state.width(self.axis);
        let hidden = self.fc1.outputs;
        let layers = [(&self.fc1, width, hidden), (&self.fc2, hidden, width)];
        let gate = self.gate.as_ref().map(|gate| (gate.linear(), width, width));
        if self.state != state || self.norm.width != state.features {
            return refuse(format!("is for {:?}, but reads {state:?}", self.state));
        }
        for (layer, inputs, outputs) in layers.into_iter().chain(gate) {
            if (layer.inputs, layer.outputs) != (inputs, outputs) {
                let got = (layer.outputs, layer.inputs);
                return refuse(format!(
                    "{} has shape {got:?}, wanted {:?}",
                    layer.name,
                    (outputs, inputs)
                ));
            }
        }
        let known = match self.gate {
            None => true,
            Some(Gate::BeforeMlp(_)) => self.axis == Axis::Channels,
            Some(Gate::AfterMlp(_)) => self.axis != Axis::Channels,
        };
        if !known {
            let text = "gates at a place that is not computed (wanted: before the two layers where \
                        channels are mixed, after them otherwise)";
            return refuse(text.into());
        }
        let Some(attention) = &self.attention else { return Ok(()) };
        if self.axis != Axis::Patches {
            return refuse("has self-attention, which is over patches only".into());
        }
        if attention.heads == 0 || !state.features.is_multiple_of(attention.heads) {
            let (heads, features) = (attention.heads, state.features);
            return refuse(format!("has {heads} heads, which must divide {features} features"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::network::{
        BlockOptions, Embedding, HeadLayers, LinearLayer, Norm, Reshape, SelfAttention, Stack,
    };

    const STATE: State = State { channels: 2, patches: 4, features: 6 };

    fn options(heads: usize) -> BlockOptions {
        BlockOptions {
            expansion: 2,
            norm: Norm::Layer,
            eps: 1e-5,
            gated: true,
            attention_heads: Some(heads),
            dropout: 0.0,
        }
    }

    /// A block of each axis, then one of half as many features.
    fn network() -> Network {
        let mut stack = Stack::new(STATE, options(3));
        let axes = [Axis::Channels, Axis::Patches, Axis::Features];
        for (axis, place) in axes.into_iter().zip(1..) {
            stack.mix(axis, format!("block.{place}"), String::new(), place);
        }
        stack.reshape(STATE.split(2));
        stack.mix(Axis::Patches, "block.4".into(), String::new(), 4);
        let (stages, state) = stack.finish();
        let projection = LinearLayer::new("head", state.features, 5);
        let embedding = Embedding {
            context_length: 20,
            patch_length: 5,
            patch_stride: 5,
            patch_start: 0,
            state: STATE,
            linear: LinearLayer::new("patcher", 5, STATE.features),
            positions: None,
        };
        Network { embedding, stages, head: HeadLayers::Pretraining { projection }, init_std: 0.02 }
    }

    /// The first block, which mixes channels, then patches, then features.
    fn block(network: &mut Network, number: usize) -> &mut MixerBlock {
        let Stage::Mixer(block) = &mut network.stages[number] else {
            unreachable!("the first three stages are blocks")
        };
        block
    }

    #[test]
    fn a_stack_fits_together() {
        let network = network();
        network.check().unwrap();
        assert_eq!(network.last_state(), State { channels: 2, patches: 8, features: 3 });
        assert_eq!(network.last_state().merge(2), STATE);
        let widths: Vec<usize> = network.blocks().map(|block| block.fc1.inputs).collect();
        assert_eq!(widths, [2, 4, 6, 8]);
        assert!(network.mixes_channels() && !network.has_batch_norm());
    }

    #[test]
    fn what_does_not_fit_or_nobody_computes_is_refused_by_name() {
        let refused = |name: &str, wanted: &str, change: &dyn Fn(&mut Network)| {
            let mut network = network();
            change(&mut network);
            let error = network.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(wanted), "{text}");
        };
        refused("block.1", "but reads", &|n| n.embedding.state.patches = 3);
        refused("reshape", "cannot become", &|n| {
            n.stages[3] =
                Stage::Reshape(Reshape { from: STATE, to: State { patches: 5, ..STATE } });
        });
        refused("block.2", "wanted (8, 4)", &|n| block(n, 1).fc1.inputs = 5);
        refused("block.3", "which is taken", &|n| block(n, 2).place = 1);
        refused("block.3", "which is taken", &|n| block(n, 2).place = 0);
        refused("block.2", "gates at a place", &|n| {
            block(n, 1).gate = Some(Gate::BeforeMlp(LinearLayer::new("gate", 4, 4)));
        });
        refused("block.4", "has 3 heads, which must divide 4 features", &|n| {
            n.stages[3] = Stage::Reshape(Reshape { from: STATE, to: STATE });
            n.stages.truncate(4);
            let mut last = Stack::new(STATE, options(3));
            last.reshape(State { patches: 6, features: 4, ..STATE });
            last.mix(Axis::Patches, "block.4".into(), String::new(), 4);
            n.stages.extend(last.finish().0);
        });
        refused("block.1", "over patches only", &|n| {
            let attention: Option<SelfAttention> = block(n, 1).attention.clone();
            block(n, 0).attention = attention;
        });
    }
}
