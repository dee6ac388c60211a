//! Puts the stages of a network together, block by block.

use super::layers::{Gate, LinearLayer, MixerBlock, Norm, NormLayer, SelfAttention};
use super::stage::{Reshape, Stage};
use super::state::{Axis, State};

/// What all mixer blocks of a stack have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockOptions {
    /// Width of the hidden layer as a multiple of the mixed axis.
    pub expansion: usize,
    /// Which norm.
    pub norm: Norm,
    /// Added to the variance in the norm.
    pub eps: f64,
    /// Whether there is a gate.
    pub gated: bool,
    /// Heads of the self-attention of the blocks that mix patches; `None` = there is none.
    pub attention_heads: Option<usize>,
    /// Probability of dropping a value in training.
    pub dropout: f64,
}

/// Builder of a network's stages. Blocks have the parts and the names that PatchTSMixer and its
/// relatives give them: `NAME.norm`, `NAME.mlp.fc1`, `NAME.mlp.fc2`,
/// `NAME.gating_block.attn_layer`.
#[derive(Debug)]
pub struct Stack {
    options: BlockOptions,
    state: State,
    stages: Vec<Stage>,
}

impl Stack {
    /// Starts with the shape of the hidden state that the embedding gives.
    pub fn new(state: State, options: BlockOptions) -> Self {
        Self { options, state, stages: Vec::new() }
    }

    /// Shape of the hidden state that has been reached.
    pub fn state(&self) -> State {
        self.state
    }

    /// Appends a block; `place` is the number under which it draws for dropout, `trace` its name in
    /// a trace.
    pub fn mix(&mut self, axis: Axis, name: String, trace: String, place: u64) {
        let BlockOptions { expansion, gated, attention_heads, dropout, .. } = self.options;
        let width = self.state.width(axis);
        let layer = |part: &str, inputs, outputs| {
            LinearLayer::new(format!("{name}.{part}"), inputs, outputs)
        };
        let gate = gated.then(|| layer("gating_block.attn_layer", width, width)).map(
            // Only the channel mixer has its gate before the two layers.
            if axis == Axis::Channels { Gate::BeforeMlp } else { Gate::AfterMlp },
        );
        let heads = attention_heads.filter(|_| axis == Axis::Patches);
        let block = MixerBlock {
            norm: self.norm(format!("{name}.norm")),
            fc1: layer("mlp.fc1", width, width * expansion),
            fc2: layer("mlp.fc2", width * expansion, width),
            gate,
            attention: heads.map(|heads| self.attention(&name, heads)),
            name,
            trace,
            ends_layer: false,
            axis,
            state: self.state,
            dropout,
            place,
        };
        self.stages.push(Stage::Mixer(block));
    }

    /// Marks the last block as the end of one of the model's layers, whose hidden state a trace
    /// shows.
    pub fn end_layer(&mut self) {
        if let Some(Stage::Mixer(block)) = self.stages.last_mut() {
            block.ends_layer = true;
        }
    }

    /// Appends a reshape to `to`, see [`State::split`] and [`State::merge`].
    pub fn reshape(&mut self, to: State) {
        self.stages.push(Stage::Reshape(Reshape { from: self.state, to }));
        self.state = to;
    }

    /// The stages, and the shape of the hidden state that they end with.
    pub fn finish(self) -> (Vec<Stage>, State) {
        (self.stages, self.state)
    }

    fn norm(&self, name: String) -> NormLayer {
        let BlockOptions { norm, eps, .. } = self.options;
        NormLayer { name, kind: norm, width: self.state.features, eps }
    }

    fn attention(&self, name: &str, heads: usize) -> SelfAttention {
        let width = self.state.features;
        let project =
            |part: &str| LinearLayer::new(format!("{name}.self_attn_layer.{part}"), width, width);
        SelfAttention {
            heads,
            query: project("q_proj"),
            key: project("k_proj"),
            value: project("v_proj"),
            out: project("out_proj"),
            norm: self.norm(format!("{name}.norm_attn")),
        }
    }
}
