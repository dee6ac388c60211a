//! Which tensors a configuration has: name, shape, place.
//!
//! Source: the state dicts of transformers 5.23.0; every fixture pins them.

use std::ops::Range;

use crate::Result;
use crate::config::{Config, Extension, Hierarchy, Norm, Scaler, Task};
use crate::distribution::Distribution;

/// Where a tensor's numbers are kept in [`Parameters`](super::Parameters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In `trained`.
    Trained,
    /// In `buffers`.
    Buffer,
    /// In `counters`.
    Counter,
}

/// How a tensor starts; the numbers are in `init.rs`.
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
pub struct Tensor {
    /// Hugging Face's name.
    pub name: String,
    /// Row-major shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Which part of the parameters holds it.
    pub store: Store,
    /// Its place there.
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
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    pub running_mean: Range<usize>,
    pub running_var: Range<usize>,
    pub num_batches_tracked: Range<usize>,
}

/// Norm, MLP and gate of one mixer block.
#[derive(Debug, Clone)]
pub(crate) struct BlockSlot {
    pub norm: NormSlot,
    pub fc1: LinearSlot,
    pub fc2: LinearSlot,
    pub gate: Option<LinearSlot>,
}

/// Self-attention over patches, with the norm that follows it.
#[derive(Debug, Clone)]
pub(crate) struct AttentionSlot {
    pub query: LinearSlot,
    pub key: LinearSlot,
    pub value: LinearSlot,
    pub out: LinearSlot,
    pub norm: NormSlot,
}

/// One mixer layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerSlot {
    pub channel: Option<BlockSlot>,
    pub patch: BlockSlot,
    pub attention: Option<AttentionSlot>,
    pub feature: BlockSlot,
}

/// Embedding and mixer layers.
#[derive(Debug, Clone)]
pub(crate) struct BackboneSlot {
    pub patcher: LinearSlot,
    /// The positional table `[N, D]`.
    pub position: Option<(Store, Range<usize>)>,
    pub layers: Vec<LayerSlot>,
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
    pub inject: Option<InjectSlot>,
    pub projections: Vec<LinearSlot>,
}

/// The layers that give the head the statistics that the scaler took away.
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
    tensors: Vec<Tensor>,
    lengths: [usize; 3],
    head_start: usize,
    pub(crate) backbone: BackboneSlot,
    pub(crate) head: HeadSlot,
}

impl Layout {
    /// Lays out the tensors of `config`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the configuration is invalid; `BackendUnavailable` if `PTSM_ISA` names an
    /// instruction set that is not there.
    pub fn new(config: &Config) -> Result<Self> {
        config.validate()?;
        crate::real::instruction_set()?;
        let mut walk = Walk { tensors: Vec::new(), lengths: [0; 3], norm: config.norm() };
        let backbone = walk.backbone("model.encoder.", config);
        let head_start = walk.lengths[Store::Trained as usize];
        let head = walk.head(config)?;
        Ok(Self { tensors: walk.tensors, lengths: walk.lengths, head_start, backbone, head })
    }

    /// The tensors, in order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Numbers that are trained.
    pub fn num_trained(&self) -> usize {
        self.len(Store::Trained)
    }

    /// Where the head's numbers begin among the trained ones; the backbone's stand before it.
    pub fn head_start(&self) -> usize {
        self.head_start
    }

    /// Numbers in one store.
    pub(crate) fn len(&self, store: Store) -> usize {
        self.lengths[store as usize]
    }
}

/// Gives out places while the model is walked.
struct Walk {
    tensors: Vec<Tensor>,
    lengths: [usize; 3],
    norm: Norm,
}

impl Walk {
    fn tensor(&mut self, name: String, shape: &[usize], store: Store, role: Role) -> Range<usize> {
        let length = &mut self.lengths[store as usize];
        let range = *length..*length + shape.iter().product::<usize>();
        *length = range.end;
        self.tensors.push(Tensor { name, shape: shape.into(), store, range: range.clone(), role });
        range
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> LinearSlot {
        let weight = self.tensor(
            format!("{name}.weight"),
            &[outputs, inputs],
            Store::Trained,
            Role::LinearWeight { inputs },
        );
        let role = Role::LinearBias { inputs };
        let bias = self.tensor(format!("{name}.bias"), &[outputs], Store::Trained, role);
        LinearSlot { inputs, outputs, weight, bias }
    }

    /// A layer that starts at 0 in every style.
    fn zero_linear(&mut self, name: &str, inputs: usize, outputs: usize) -> LinearSlot {
        let slot = self.linear(name, inputs, outputs);
        let count = self.tensors.len();
        self.tensors[count - 2..].iter_mut().for_each(|tensor| tensor.role = Role::Zero);
        slot
    }

    fn norm(&mut self, name: &str, width: usize) -> NormSlot {
        let kind = self.norm;
        let name = match kind {
            Norm::Layer => format!("{name}.norm"),
            Norm::Batch => format!("{name}.norm.batchnorm"),
        };
        let shape = [width];
        let weight = self.tensor(format!("{name}.weight"), &shape, Store::Trained, Role::One);
        let bias = self.tensor(format!("{name}.bias"), &shape, Store::Trained, Role::Zero);
        let mut slot = NormSlot {
            kind,
            width,
            weight,
            bias,
            running_mean: 0..0,
            running_var: 0..0,
            num_batches_tracked: 0..0,
        };
        if kind == Norm::Batch {
            let mut buffer = |field: &str, role| {
                self.tensor(format!("{name}.{field}"), &shape, Store::Buffer, role)
            };
            slot.running_mean = buffer("running_mean", Role::Zero);
            slot.running_var = buffer("running_var", Role::One);
            slot.num_batches_tracked =
                self.tensor(format!("{name}.num_batches_tracked"), &[], Store::Counter, Role::Zero);
        }
        slot
    }

    /// A block that mixes an axis of length `width`; its norm is over `d_model` all the same.
    fn block(&mut self, name: &str, config: &Config, width: usize) -> BlockSlot {
        let hidden = width * config.expansion_factor;
        BlockSlot {
            norm: self.norm(&format!("{name}.norm"), config.d_model),
            fc1: self.linear(&format!("{name}.mlp.fc1"), width, hidden),
            fc2: self.linear(&format!("{name}.mlp.fc2"), hidden, width),
            gate: config
                .gated_attn
                .then(|| self.linear(&format!("{name}.gating_block.attn_layer"), width, width)),
        }
    }

    fn attention(&mut self, name: &str, d_model: usize) -> AttentionSlot {
        let mut project = |part: &str| {
            self.linear(&format!("{name}.self_attn_layer.{part}_proj"), d_model, d_model)
        };
        let (key, value, query, out) = (project("k"), project("v"), project("q"), project("out"));
        let norm = self.norm(&format!("{name}.norm_attn"), d_model);
        AttentionSlot { query, key, value, out, norm }
    }

    fn layer(&mut self, name: &str, config: &Config) -> LayerSlot {
        let channel = config.mixes_channels().then(|| {
            self.block(&format!("{name}.channel_feature_mixer"), config, config.num_input_channels)
        });
        let patch_mixer = format!("{name}.patch_mixer");
        let patch = self.block(&patch_mixer, config, config.num_patches());
        let attention = config.self_attn.then(|| self.attention(&patch_mixer, config.d_model));
        let feature = self.block(&format!("{name}.feature_mixer"), config, config.d_model);
        LayerSlot { channel, patch, attention, feature }
    }

    fn backbone(&mut self, prefix: &str, config: &Config) -> BackboneSlot {
        let patcher = self.linear(&format!("{prefix}patcher"), config.patch_length, config.d_model);
        let position = config.use_positional_encoding.then(|| {
            let (store, role) = match config.positional_encoding_type.as_str() {
                "sincos" => (Store::Buffer, Role::PositionSinCos),
                _ => (Store::Trained, Role::PositionRandom),
            };
            let name = format!("{prefix}positional_encoder.position_enc");
            let shape = [config.num_patches(), config.d_model];
            (store, self.tensor(name, &shape, store, role))
        });
        let layers = (0..config.num_layers)
            .map(|i| self.layer(&format!("{prefix}mlp_mixer_encoder.mixers.{i}"), config))
            .collect();
        BackboneSlot { patcher, position, layers }
    }

    fn head(&mut self, config: &Config) -> Result<HeadSlot> {
        Ok(match config.task()? {
            Task::Forecasting => HeadSlot::Forecast(self.forecast(config)),
            Task::Pretraining => {
                let projection =
                    self.linear("head.base_pt_block", config.d_model, config.patch_length);
                HeadSlot::Pretraining { projection }
            }
            Task::Classification | Task::Regression => HeadSlot::Pooled(self.pooled(config)?),
        })
    }

    fn forecast(&mut self, config: &Config) -> ForecastSlot {
        let inputs = config.num_patches() * config.d_model;
        let steps = config.prediction_length;
        let Extension { quantiles, cross_channel, hierarchy, linear_skip, .. } = config.extension();
        let projections = match (config.distribution(), quantiles) {
            (Some(distribution), _) => {
                self.parameters("head.base_forecast_block", distribution, inputs, steps)
            }
            (None, Some(levels)) => {
                vec![self.linear("head.quantile_block", inputs, steps * levels.len())]
            }
            (None, None) => vec![self.linear("head.base_forecast_block", inputs, steps)],
        };
        let skip =
            linear_skip.then(|| self.zero_linear("head.linear_skip", config.context_length, steps));
        let channels = config.prediction_channels().len();
        let cross_channel = cross_channel.as_ref().map(|cross| {
            let width = channels * (2 * cross.context_length + 1);
            let gate = cross
                .gated
                .then(|| self.linear("head.cross_channel.gating_block.attn_layer", width, width));
            // The correction starts at 0, so that training starts from the base forecast.
            CrossChannelSlot {
                gate,
                mlp: self.zero_linear("head.cross_channel.mlp", width, channels),
            }
        });
        let hierarchy = hierarchy.as_ref().map(|&Hierarchy { segment_length }| HierarchySlot {
            aggregate: self.linear("head.hierarchy.aggregate", steps, steps / segment_length),
            reconcile: self.zero_linear(
                "head.hierarchy.reconcile",
                segment_length + 1,
                segment_length,
            ),
        });
        ForecastSlot { projections, skip, cross_channel, hierarchy }
    }

    /// One layer for each parameter of a distribution.
    fn parameters(
        &mut self,
        name: &str,
        distribution: Distribution,
        inputs: usize,
        outputs: usize,
    ) -> Vec<LinearSlot> {
        let count = distribution.num_parameters();
        (0..count).map(|k| self.linear(&format!("{name}.proj.{k}"), inputs, outputs)).collect()
    }

    fn pooled(&mut self, config: &Config) -> Result<PooledSlot> {
        let d = config.d_model;
        let inject = (config.scaler() != Scaler::None).then(|| {
            let mut linear = |name: &str, inputs, outputs| {
                self.linear(&format!("inject_scale.{name}"), inputs, outputs)
            };
            InjectSlot {
                inverse_expansion: linear("inverse_trans_expansion", d + 2, 2 * d),
                inverse_compression: linear("inverse_trans_compression", 2 * d, d),
                map_expansion: linear("map_scale_expansion", 2, 4),
                map_compression: linear("map_scale_compression", 4, 2),
            }
        });
        let patches = if config.head_aggregation.is_some() { 1 } else { config.num_patches() };
        let inputs = config.num_input_channels * d * patches;
        let distribution = match config.task()? {
            Task::Regression => config.distribution(),
            _ => None,
        };
        let projections = match distribution {
            Some(distribution) => {
                self.parameters("head.projection", distribution, inputs, config.num_targets)
            }
            None => vec![self.linear("head.projection", inputs, config.num_targets)],
        };
        Ok(PooledSlot { inject, projections })
    }
}
