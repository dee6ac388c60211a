//! The tensors of a network: the name, the shape and the range in the weights of each.

use std::ops::Range;

use crate::Result;
use crate::network::{
    CrossChannelLayers, Embedding, ForecastLayers, Gate, HeadLayers, HierarchyLayers, LinearLayer,
    MixerBlock, Network, Norm, NormLayer, PooledLayers, SelfAttention, Stage, State,
};

/// Where a tensor's numbers are kept in [`Parameters`](super::Parameters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorStore {
    /// In `trained`.
    Trained,
    /// In `buffers`.
    Buffer,
    /// In `counters`.
    Counter,
}

/// How a tensor is initialised; `init.rs` draws the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    LinearWeight { inputs: usize },
    LinearBias { inputs: usize },
    One,
    Zero,
    PositionSinCos,
    PositionRandom,
}

/// One tensor of the state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorLayout {
    /// Hugging Face's name.
    pub name: String,
    /// Row-major shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Which part of the parameters holds it.
    pub store: TensorStore,
    /// Its range there.
    pub range: Range<usize>,
    pub(crate) role: Role,
}

/// `y = x W^T + b`, with W stored `[outputs, inputs]`.
#[derive(Debug, Clone)]
pub(crate) struct LinearSlot {
    pub inputs: usize,
    pub outputs: usize,
    pub weight: Range<usize>,
    pub bias: Range<usize>,
}

/// A norm over `width` features; the statistics are used by batch norm only.
#[derive(Debug, Clone)]
pub(crate) struct NormSlot {
    pub kind: Norm,
    pub width: usize,
    /// Added to the variance.
    pub eps: f64,
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    pub running_mean: Range<usize>,
    pub running_var: Range<usize>,
    pub num_batches_tracked: Range<usize>,
}

/// One mixer block: what it is, and where its weights are.
#[derive(Debug, Clone)]
pub(crate) struct BlockSlot {
    pub block: MixerBlock,
    pub norm: NormSlot,
    pub fc1: LinearSlot,
    pub fc2: LinearSlot,
    pub gate: Option<LinearSlot>,
    pub attention: Option<AttentionSlot>,
}

/// Self-attention over patches, with the norm that follows it.
#[derive(Debug, Clone)]
pub(crate) struct AttentionSlot {
    pub heads: usize,
    pub query: LinearSlot,
    pub key: LinearSlot,
    pub value: LinearSlot,
    pub out: LinearSlot,
    pub norm: NormSlot,
}

/// Embedding and stages.
#[derive(Debug, Clone)]
pub(crate) struct BackboneSlot {
    pub patcher: LinearSlot,
    /// The positional table `[N, D]`.
    pub position: Option<(TensorStore, Range<usize>)>,
    /// As in the network, in the same order.
    pub stages: Vec<Stage<BlockSlot>>,
}

impl BackboneSlot {
    /// The mixer blocks, in order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &BlockSlot> {
        self.stages.iter().filter_map(Stage::mixer)
    }
}

impl BlockSlot {
    /// Its norms, in the order in which they are computed.
    pub(crate) fn norms(&self) -> impl Iterator<Item = &NormSlot> {
        [Some(&self.norm), self.attention.as_ref().map(|slot| &slot.norm)].into_iter().flatten()
    }
}

/// The task layer.
#[derive(Debug, Clone)]
pub(crate) enum HeadSlot {
    Forecast(ForecastSlot),
    Pretraining { projection: LinearSlot },
    Pooled(PooledSlot),
}

/// The forecasting head: one projection, or one for each parameter of a distribution.
#[derive(Debug, Clone)]
pub(crate) struct ForecastSlot {
    pub projections: Vec<LinearSlot>,
    /// From the scaled window, `[L]`, to the scaled forecast.
    pub skip: Option<LinearSlot>,
    pub cross_channel: Option<CrossChannelSlot>,
    pub hierarchy: Option<HierarchySlot>,
}

/// The cross-channel forecast reconciliation head.
#[derive(Debug, Clone)]
pub(crate) struct CrossChannelSlot {
    pub gate: Option<LinearSlot>,
    pub mlp: LinearSlot,
}

/// The online hierarchical patch reconciliation head.
#[derive(Debug, Clone)]
pub(crate) struct HierarchySlot {
    pub aggregate: LinearSlot,
    pub reconcile: LinearSlot,
}

/// The head of classification and regression.
#[derive(Debug, Clone)]
pub(crate) struct PooledSlot {
    /// Shape of the hidden state that it reads.
    pub state: State,
    pub inject: Option<InjectSlot>,
    pub projections: Vec<LinearSlot>,
}

/// The layers that bring the statistics of the window, which scaling removed, into the hidden
/// state.
#[derive(Debug, Clone)]
pub(crate) struct InjectSlot {
    pub inverse_expansion: LinearSlot,
    pub inverse_compression: LinearSlot,
    pub map_expansion: LinearSlot,
    pub map_compression: LinearSlot,
}

/// Every tensor of a model, in the order in which the model uses them.
#[derive(Debug, Clone)]
pub struct Layout {
    tensors: Vec<TensorLayout>,
    lengths: [usize; 3],
    /// Number of the head's first tensor.
    head_tensor: usize,
    head_start: usize,
    /// Standard deviation of the normal initialisation.
    pub(crate) init_std: f64,
    pub(crate) backbone: BackboneSlot,
    pub(crate) head: HeadSlot,
}

impl Layout {
    /// Lays out the tensors of `network`.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if `PTSM_ISA` names an instruction set that is not there.
    pub fn new(network: &Network) -> Result<Self> {
        crate::real::instruction_set()?;
        let mut builder = Builder { tensors: Vec::new(), lengths: [0; 3] };
        let backbone = builder.backbone(network);
        let head_start = builder.lengths[TensorStore::Trained as usize];
        let head_tensor = builder.tensors.len();
        let head = builder.head(network);
        let Builder { tensors, lengths } = builder;
        let init_std = network.init_std;
        Ok(Self { tensors, lengths, head_tensor, head_start, init_std, backbone, head })
    }

    /// The tensors, in order.
    pub fn tensors(&self) -> &[TensorLayout] {
        &self.tensors
    }

    /// The tensors of everything before the head, in order.
    pub fn backbone_tensors(&self) -> &[TensorLayout] {
        &self.tensors[..self.head_tensor]
    }

    /// The tensors of the head, in order.
    pub fn head_tensors(&self) -> &[TensorLayout] {
        &self.tensors[self.head_tensor..]
    }

    /// Numbers that are trained.
    pub fn num_trained(&self) -> usize {
        self.len(TensorStore::Trained)
    }

    /// Index of the head's first number among the trained ones; those before it are the backbone's.
    pub fn head_start(&self) -> usize {
        self.head_start
    }

    /// Numbers in one store.
    pub(crate) fn len(&self, store: TensorStore) -> usize {
        self.lengths[store as usize]
    }
}

/// Gives each tensor its range, one after the other.
struct Builder {
    tensors: Vec<TensorLayout>,
    lengths: [usize; 3],
}

impl Builder {
    fn tensor(
        &mut self,
        name: String,
        shape: &[usize],
        store: TensorStore,
        role: Role,
    ) -> Range<usize> {
        let length = &mut self.lengths[store as usize];
        let range = *length..*length + shape.iter().product::<usize>();
        *length = range.end;
        self.tensors.push(TensorLayout {
            name,
            shape: shape.into(),
            store,
            range: range.clone(),
            role,
        });
        range
    }

    fn linear(&mut self, layer: &LinearLayer) -> LinearSlot {
        let LinearLayer { inputs, outputs, starts_at_zero, .. } = *layer;
        let drawn = |role| if starts_at_zero { Role::Zero } else { role };
        let weight = drawn(Role::LinearWeight { inputs });
        let weight = self.tensor(layer.weight(), &[outputs, inputs], TensorStore::Trained, weight);
        let bias = drawn(Role::LinearBias { inputs });
        let bias = self.tensor(layer.bias(), &[outputs], TensorStore::Trained, bias);
        LinearSlot { inputs, outputs, weight, bias }
    }

    fn linears(&mut self, layers: &[LinearLayer]) -> Vec<LinearSlot> {
        layers.iter().map(|layer| self.linear(layer)).collect()
    }

    fn norm(&mut self, norm: &NormLayer) -> NormSlot {
        let NormLayer { kind, width, eps, .. } = *norm;
        let shape = [width];
        let mut trained =
            |part: &str, role| self.tensor(norm.tensor(part), &shape, TensorStore::Trained, role);
        let (weight, bias) = (trained("weight", Role::One), trained("bias", Role::Zero));
        let mut slot = NormSlot {
            kind,
            width,
            eps,
            weight,
            bias,
            running_mean: 0..0,
            running_var: 0..0,
            num_batches_tracked: 0..0,
        };
        if kind == Norm::Batch {
            let mut buffer = |part: &str, role| {
                self.tensor(norm.tensor(part), &shape, TensorStore::Buffer, role)
            };
            slot.running_mean = buffer("running_mean", Role::Zero);
            slot.running_var = buffer("running_var", Role::One);
            let name = norm.tensor("num_batches_tracked");
            slot.num_batches_tracked = self.tensor(name, &[], TensorStore::Counter, Role::Zero);
        }
        slot
    }

    fn block(&mut self, block: &MixerBlock) -> BlockSlot {
        BlockSlot {
            block: block.clone(),
            norm: self.norm(&block.norm),
            fc1: self.linear(&block.fc1),
            fc2: self.linear(&block.fc2),
            gate: block.gate.as_ref().map(Gate::linear).map(|layer| self.linear(layer)),
            attention: block.attention.as_ref().map(|attention| self.attention(attention)),
        }
    }

    fn attention(&mut self, attention: &SelfAttention) -> AttentionSlot {
        let SelfAttention { heads, query, key, value, out, norm } = attention;
        // The order of the reference's state dict.
        let [key, value, query, out] = [key, value, query, out].map(|layer| self.linear(layer));
        AttentionSlot { heads: *heads, query, key, value, out, norm: self.norm(norm) }
    }

    fn backbone(&mut self, network: &Network) -> BackboneSlot {
        let Embedding { state, linear, positions, .. } = &network.embedding;
        let patcher = self.linear(linear);
        let position = positions.as_ref().map(|positions| {
            let (store, role) = match positions.learnt {
                true => (TensorStore::Trained, Role::PositionRandom),
                false => (TensorStore::Buffer, Role::PositionSinCos),
            };
            let shape = [state.patches, state.features];
            (store, self.tensor(positions.name.clone(), &shape, store, role))
        });
        let stages =
            network.stages.iter().map(|stage| stage.map(|block| self.block(block))).collect();
        BackboneSlot { patcher, position, stages }
    }

    fn head(&mut self, network: &Network) -> HeadSlot {
        match &network.head {
            HeadLayers::Forecast(layers) => HeadSlot::Forecast(self.forecast(layers)),
            HeadLayers::Pretraining { projection } => {
                HeadSlot::Pretraining { projection: self.linear(projection) }
            }
            HeadLayers::Pooled(layers) => {
                HeadSlot::Pooled(self.pooled(layers, network.last_state()))
            }
        }
    }

    fn forecast(&mut self, layers: &ForecastLayers) -> ForecastSlot {
        let ForecastLayers { projections, skip, cross_channel, hierarchy, .. } = layers;
        ForecastSlot {
            projections: self.linears(projections),
            skip: skip.as_ref().map(|layer| self.linear(layer)),
            cross_channel: cross_channel.as_ref().map(|CrossChannelLayers { gate, mlp }| {
                let gate = gate.as_ref().map(|layer| self.linear(layer));
                CrossChannelSlot { gate, mlp: self.linear(mlp) }
            }),
            hierarchy: hierarchy.as_ref().map(|HierarchyLayers { aggregate, reconcile }| {
                let aggregate = self.linear(aggregate);
                HierarchySlot { aggregate, reconcile: self.linear(reconcile) }
            }),
        }
    }

    fn pooled(&mut self, layers: &PooledLayers, state: State) -> PooledSlot {
        let PooledLayers { inject, projections } = layers;
        let inject = inject.as_ref().map(|inject| InjectSlot {
            inverse_expansion: self.linear(&inject.inverse_expansion),
            inverse_compression: self.linear(&inject.inverse_compression),
            map_expansion: self.linear(&inject.map_expansion),
            map_compression: self.linear(&inject.map_compression),
        });
        let projections = self.linears(projections);
        PooledSlot { state, inject, projections }
    }
}
