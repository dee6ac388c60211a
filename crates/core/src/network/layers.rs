//! The layers of a mixer block with their widths and names.

use super::state::{Axis, State};

/// The two norms that a block may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Over the features of one patch.
    Layer,
    /// Over batch, channels and patches together, per feature.
    Batch,
}

/// `y = x W^T + b`, with W stored `[outputs, inputs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearLayer {
    /// Name in the state dict, without `.weight` and `.bias`.
    pub name: String,
    /// Length of its input.
    pub inputs: usize,
    /// Length of its output.
    pub outputs: usize,
    /// Whether weight and bias start at 0 in every style of initialisation.
    pub starts_at_zero: bool,
}

/// A norm over `width` features.
#[derive(Debug, Clone, PartialEq)]
pub struct NormLayer {
    /// Name of the module; [`NormLayer::tensor`] gives the names of its tensors.
    pub name: String,
    /// Which norm.
    pub kind: Norm,
    /// Features, D.
    pub width: usize,
    /// Added to the variance.
    pub eps: f64,
}

/// `x * softmax(Linear(x))` over the mixed axis, and where it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// To the output of the norm, before the two layers.
    BeforeMlp(LinearLayer),
    /// To the output of the two layers.
    AfterMlp(LinearLayer),
}

/// Self-attention over patches in parallel with the two layers of a block, and the norm of their
/// sum.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfAttention {
    /// Heads; divides the features.
    pub heads: usize,
    /// Projection to the queries.
    pub query: LinearLayer,
    /// Projection to the keys.
    pub key: LinearLayer,
    /// Projection to the values.
    pub value: LinearLayer,
    /// Projection of the heads' outputs, side by side, to the features.
    pub out: LinearLayer,
    /// Norm of the sum of the attention's output and that of the two layers.
    pub norm: NormLayer,
}

/// One mixer block: `x + mix(norm(x))`, where `mix` is two linear layers with a GELU between them
/// along one axis, a gate or none, and a self-attention or none.
#[derive(Debug, Clone, PartialEq)]
pub struct MixerBlock {
    /// Name of the module in the state dict.
    pub name: String,
    /// Name of its output in a trace, after `trace.`.
    pub trace: String,
    /// Whether it is the last block of one of the model's layers.
    pub ends_layer: bool,
    /// What is mixed.
    pub axis: Axis,
    /// Shape of the hidden state, which stays as it is.
    pub state: State,
    /// Its norm, which is over the features, whatever axis is mixed.
    pub norm: NormLayer,
    /// First layer of the MLP: from the mixed axis to the hidden layer.
    pub fc1: LinearLayer,
    /// Second layer of the MLP: back to the mixed axis.
    pub fc2: LinearLayer,
    /// The gate, if there is one.
    pub gate: Option<Gate>,
    /// The self-attention, if there is one; with patches as the mixed axis only.
    pub attention: Option<SelfAttention>,
    /// Probability of dropping a value in training.
    pub dropout: f64,
    /// Number of the place that draws for dropout, different for every block of a network and above
    /// 0, which is the head's.
    pub place: u64,
}

impl LinearLayer {
    /// A layer whose weights are drawn at random.
    pub fn new(name: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self { name: name.into(), inputs, outputs, starts_at_zero: false }
    }

    /// A layer that starts at 0.
    pub fn zero(name: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self { starts_at_zero: true, ..Self::new(name, inputs, outputs) }
    }

    /// Name of its weight in the state dict.
    pub fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Name of its bias in the state dict.
    pub fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }
}

impl NormLayer {
    /// Name in the state dict of one of its tensors: `weight`, `bias`, and for batch norm
    /// `running_mean`, `running_var`, `num_batches_tracked`.
    pub fn tensor(&self, part: &str) -> String {
        match self.kind {
            Norm::Layer => format!("{}.norm.{part}", self.name),
            Norm::Batch => format!("{}.norm.batchnorm.{part}", self.name),
        }
    }
}

impl Gate {
    /// The layer in it.
    pub fn linear(&self) -> &LinearLayer {
        match self {
            Gate::BeforeMlp(linear) | Gate::AfterMlp(linear) => linear,
        }
    }
}

impl MixerBlock {
    /// Whether its gate comes before the two layers.
    pub fn gates_first(&self) -> bool {
        matches!(self.gate, Some(Gate::BeforeMlp(_)))
    }

    /// Its norms, in the order in which they are computed.
    pub fn norms(&self) -> impl Iterator<Item = &NormLayer> {
        [Some(&self.norm), self.attention.as_ref().map(|attention| &attention.norm)]
            .into_iter()
            .flatten()
    }
}
