//! The definition: what PatchTSMixer computes, forward and backward, in plain steps.
//!
//! Generic over f32 and f64. In f64 every step is a plain loop, which is the oracle that faster
//! code is tested against. Data flow of [`Model::forward`], with the file that does each step:
//!
//! | step | shape after it | file |
//! |---|---|---|
//! | scale by the window's own statistics | `[B, L, C]`; `loc`, `scale` `[B, C]` | `layers/scaler.rs` |
//! | cut into patches | `[B, C, N, p]` | `layers/patchify.rs` |
//! | hide patches (pretraining) | `[B, C, N, p]` | `layers/masking.rs` |
//! | embed, add positions | `[B, C, N, D]` | here, with `layers/linear.rs` and `weights/positions.rs` |
//! | the stages of the network: mixer blocks | `[B, C, N, D]` | `layers/mixer.rs` with `norm`, `mlp`, `gated_attn`, `self_attn` |
//! | and reshapes, of architectures with levels | as many numbers | nothing moves |
//! | head and un-scaling | see there | `head/mod.rs` |
//!
//! Source: `modeling_patchtsmixer.py`, transformers 5.23.0; differences in `docs/parity.md`.

mod check;
mod directory;
mod offload;
mod trace;

use std::sync::Arc;

use crate::architecture::Architecture;
use crate::batch::Batch;
use crate::config::{Config, Scaler};
use crate::head::{self, Head, HeadInput, OutputGradient, Outputs};
use crate::layers::mixer::BlockCache;
use crate::layers::norm::BatchStatistics;
use crate::layers::patchify::{self, Cut};
use crate::layers::scaler::{self, Scaled, Shape};
use crate::layers::{Dropout, Pass, masking, self_attn};
use crate::memory;
use crate::network::{Embedding, Network, Stage};
use crate::output_kind::{OutputKind, OutputSpec};
use crate::real::Real;
use crate::weights::{BlockSlot, Init, Layout, Parameters, TensorStore};
use crate::{Error, Result};

pub use directory::{CONFIG_FILE, ENSEMBLE_FILE};
pub use offload::EmbeddingInput;

/// An architecture with its weights.
#[derive(Debug, Clone)]
pub struct Model<T = f32> {
    architecture: Architecture,
    network: Network,
    layout: Layout,
    output: Arc<OutputSpec>,
    /// The weights; their places are those of [`Model::layout`].
    pub parameters: Parameters<T>,
}

/// How a forward pass is done; the default is evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForwardOptions {
    /// Batch norm uses the statistics of the batch.
    pub train_norm: bool,
    /// Draws for dropout; `None` leaves it out.
    pub dropout: Option<Dropout>,
    /// Compute as the reference does, where that differs from the default: a mean-scaled channel
    /// without observations takes its scale from the rest of the batch, and classification,
    /// regression and the pretraining loss ignore the observed mask. By default no sample depends
    /// on the others of its batch, and missing points are masked everywhere.
    pub as_reference: bool,
    /// Only the head is trained: the backbone runs as in evaluation, without dropout.
    pub frozen_backbone: bool,
}

/// What the backbone computed: intermediates, and what the gradient needs.
#[derive(Debug, Clone)]
pub struct Backbone<T> {
    pass: Pass,
    scaled: Scaled<T>,
    /// `[B, C, N, p]`, nothing hidden.
    patches: Vec<T>,
    /// The same with hidden patches, in pretraining.
    masked_patches: Option<Vec<T>>,
    embedding: Vec<T>,
    embedding_with_positions: Option<Vec<T>>,
    /// Outputs of the stages; empty where those were computed elsewhere.
    stages: Vec<StageOutput<T>>,
    /// The last hidden state where it was computed elsewhere, `[B, C, N, D]`.
    mixed: Vec<T>,
}

/// Output of one stage.
#[derive(Debug, Clone)]
struct StageOutput<T> {
    /// Hidden state, `[B, C, N, D]`.
    hidden: Vec<T>,
    /// What the gradient of a mixer block needs; nothing of a reshape.
    cache: Stage<BlockCache<T>>,
}

impl<T> Backbone<T> {
    /// Output of the last stage, `[B, C, N, D]`.
    pub fn last_hidden_state(&self) -> &[T] {
        self.stages.last().map_or(&self.mixed, |stage| &stage.hidden)
    }

    /// `loc` of every window and channel, `[B, C]`, data units.
    pub fn loc(&self) -> &[T] {
        &self.scaled.loc
    }

    /// `scale` of every window and channel, `[B, C]`, data units.
    pub fn scale(&self) -> &[T] {
        &self.scaled.scale
    }

    /// Scaled patches, nothing hidden, `[B, C, N, p]`.
    pub fn patches(&self) -> &[T] {
        &self.patches
    }

    /// Input of the embedding, `[B, C, N, p]`.
    pub(crate) fn read_patches(&self) -> &[T] {
        self.masked_patches.as_ref().unwrap_or(&self.patches)
    }

    /// Input of the first stage, `[B, C, N, D]`.
    fn embedded(&self) -> &[T] {
        self.embedding_with_positions.as_ref().unwrap_or(&self.embedding)
    }

    /// The same backbone with stages that were computed elsewhere: `mixed` `[B, C, N, D]`.
    pub(crate) fn with_mixed(self, mixed: Vec<T>) -> Self {
        Self { mixed, ..self }
    }

    /// Number of its windows.
    pub(crate) fn samples(&self) -> usize {
        self.pass.batch
    }

    fn input(&self) -> HeadInput<'_, T> {
        HeadInput { hidden: self.last_hidden_state(), scaled: &self.scaled }
    }
}

/// Everything that a forward pass computed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Forward<T> {
    /// Output of the head: the forecast `[B, H, C']` in data units, logits, ...
    pub outputs: Outputs<T>,
    /// What it was computed from.
    pub backbone: Backbone<T>,
    head: head::Cache<T>,
}

impl Model<f32> {
    /// A model with fresh weights; the seed decides every bit.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the configuration is invalid or has no head here.
    pub fn new(architecture: impl Into<Architecture>, init: Init, seed: u64) -> Result<Self> {
        let architecture = architecture.into();
        let network = architecture.network()?;
        let layout = Layout::new(&network)?;
        let bytes = memory::bytes_of(&[layout.num_trained()]);
        memory::require_memory("a new model", bytes, memory::SMALLER_MODEL)?;
        let parameters = Parameters::init(&layout, init, seed);
        Self::assemble(architecture, network, layout, parameters)
    }
}

impl<T: Real> Model<T> {
    /// A model with given weights.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` as [`Model::new`]; `InvalidWeights` if there are more or fewer numbers than
    /// the configuration asks for.
    pub fn from_parameters(
        architecture: impl Into<Architecture>,
        parameters: Parameters<T>,
    ) -> Result<Self> {
        let architecture = architecture.into();
        let network = architecture.network()?;
        let layout = Layout::new(&network)?;
        let got = [parameters.trained.len(), parameters.buffers.len(), parameters.counters.len()];
        let wanted = [TensorStore::Trained, TensorStore::Buffer, TensorStore::Counter]
            .map(|store| layout.len(store));
        if got != wanted {
            let text = format!("{got:?} numbers (trained, buffers, counters), wanted {wanted:?}");
            return Err(Error::weights(text));
        }
        Self::assemble(architecture, network, layout, parameters)
    }

    /// The parts together; the weights fit the layout.
    fn assemble(
        architecture: Architecture,
        network: Network,
        layout: Layout,
        parameters: Parameters<T>,
    ) -> Result<Self> {
        let output = Arc::new(OutputSpec::new(architecture.contract())?);
        Ok(Self { architecture, network, layout, output, parameters })
    }

    /// The architecture with its configuration.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Inputs and outputs of the model: the architecture's [contract](Architecture::contract).
    pub fn config(&self) -> &Config {
        self.architecture.contract()
    }

    /// What is computed.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Names, shapes and places of the weights.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the head's output is.
    pub fn output(&self) -> &Arc<OutputSpec> {
        &self.output
    }

    /// The head, ready to run.
    fn head(&self) -> Head<'_> {
        Head::new(&self.layout.head, self.config(), &self.output)
    }

    /// The same model in another precision.
    pub fn cast<U: Real>(&self) -> Model<U> {
        Model {
            architecture: self.architecture.clone(),
            network: self.network.clone(),
            layout: self.layout.clone(),
            output: Arc::clone(&self.output),
            parameters: self.parameters.cast(),
        }
    }

    /// Runs the model on a batch.
    ///
    /// Every sample gets the same bits in any batch, except in train mode with batch norm and with
    /// `as_reference`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not have the lengths of the configuration, or holds a
    /// number that is not finite, or if pretraining has no mask.
    pub fn forward(&self, batch: &Batch<T>, mode: ForwardOptions) -> Result<Forward<T>> {
        Ok(self.forward_head(self.forward_backbone(batch, mode)?, mode))
    }

    /// Runs everything before the head. Heads that share a backbone share this result.
    ///
    /// # Errors
    ///
    /// As [`Model::forward`].
    pub fn forward_backbone(&self, batch: &Batch<T>, mode: ForwardOptions) -> Result<Backbone<T>> {
        let mut backbone = self.embed(batch, mode)?;
        for stage in &self.layout.backbone.stages {
            let x = match backbone.stages.last() {
                Some(last) => &last.hidden,
                None => backbone.embedded(),
            };
            let output = match stage {
                Stage::Mixer(block) => {
                    let (hidden, cache) = block.forward(&self.parameters, x, &backbone.pass);
                    StageOutput { hidden, cache: Stage::Mixer(cache) }
                }
                // As `[B, C, N, D]` the numbers are in their places already.
                Stage::Reshape(reshape) => {
                    StageOutput { hidden: x.to_vec(), cache: Stage::Reshape(*reshape) }
                }
            };
            backbone.stages.push(output);
        }
        Ok(backbone)
    }

    /// The backbone up to its first stage.
    fn embed(&self, batch: &Batch<T>, mode: ForwardOptions) -> Result<Backbone<T>> {
        let mut backbone = self.cut_patches(batch, mode)?;
        let patcher = &self.layout.backbone.patcher;
        backbone.embedding = patcher.forward(&self.parameters.trained, backbone.read_patches());
        backbone.embedding_with_positions = self.add_positions(&backbone.embedding);
        Ok(backbone)
    }

    /// The backbone up to its patches, those of pretraining hidden; the rest is computed elsewhere.
    pub(crate) fn cut_patches(
        &self,
        batch: &Batch<T>,
        mode: ForwardOptions,
    ) -> Result<Backbone<T>> {
        self.check(batch, mode)?;
        let frozen = mode.frozen_backbone;
        let pass = Pass {
            batch: batch.size(),
            train_norm: mode.train_norm && !frozen,
            dropout: if frozen { None } else { mode.dropout },
            as_reference: mode.as_reference,
        };
        let shape = self.shape(batch.size());
        let mask = self.scaler_mask(batch, &pass);
        let scaled = scaler::forward(
            self.config().scaler(),
            shape,
            scaler::Window::of(batch, mask),
            mode.as_reference,
        );
        let patches = patchify::forward(shape, self.cut(), &scaled.values);
        let masked_patches = batch.patch_mask().map(|mask| {
            let value = T::from_f64(self.config().mask_value.as_f64().unwrap_or(0.0));
            masking::forward(&patches, mask, self.network.embedding.patch_length, value)
        });
        Ok(Backbone {
            pass,
            scaled,
            patches,
            masked_patches,
            embedding: Vec::new(),
            embedding_with_positions: None,
            stages: Vec::new(),
            mixed: Vec::new(),
        })
    }

    /// Runs the head on what the backbone computed; `mode` is that of the backbone.
    pub fn forward_head(&self, backbone: Backbone<T>, mode: ForwardOptions) -> Forward<T> {
        let pass = Pass { dropout: mode.dropout, ..backbone.pass };
        let (outputs, head) =
            self.head().forward(&self.parameters.trained, backbone.input(), &pass);
        Forward { outputs, backbone, head }
    }

    /// A forecast whose projections were computed elsewhere, `[B, C, outputs]` each.
    ///
    /// # Panics
    ///
    /// If the head is no forecast: our bug.
    pub(crate) fn forward_projected(
        &self,
        backbone: Backbone<T>,
        projected: &[Vec<T>],
    ) -> Forward<T> {
        let Head::Forecast(head) = self.head() else {
            unreachable!("only forecasts are projected elsewhere")
        };
        let (outputs, head) = head.read(&self.parameters.trained, backbone.input(), projected);
        Forward { outputs, backbone, head: head::Cache::Forecast(head) }
    }

    /// The gradients of the projections' outputs; adds those of the weights after them to `grads`.
    pub(crate) fn backward_projected(
        &self,
        forward: &Forward<T>,
        gradient: &OutputGradient<T>,
        grads: &mut [T],
    ) -> Vec<Vec<T>> {
        let Head::Forecast(head) = self.head() else {
            unreachable!("only forecasts are projected elsewhere")
        };
        let head::Cache::Forecast(cache) = &forward.head else {
            unreachable!("a cache is that of its own head")
        };
        let input = forward.backbone.input();
        let mut trained = head::Trained { weights: &self.parameters.trained, grads };
        let mut result = head::HeadGradient::new(input, gradient);
        head.read_backward(&mut trained, input, cache, gradient, &mut result)
    }

    /// The head's outputs for a hidden state `[B, C, N, D]` that was computed elsewhere.
    pub(crate) fn outputs_of(&self, batch: &Batch<T>, hidden: &[T]) -> (Outputs<T>, Scaled<T>) {
        let mask = batch.observed_mask();
        let shape = self.shape(batch.size());
        let scaler = self.config().scaler();
        let scaled = scaler::forward(scaler, shape, scaler::Window::of(batch, mask), false);
        let pass =
            Pass { batch: batch.size(), train_norm: false, dropout: None, as_reference: false };
        let head = self.head();
        let input = HeadInput { hidden, scaled: &scaled };
        let (outputs, _) = head.forward(&self.parameters.trained, input, &pass);
        (outputs, scaled)
    }

    /// Gradients for a forward pass of the same batch in the same mode.
    ///
    /// Adds the gradients of the weights to `grads` (as long as `parameters.trained`, in the same
    /// order) and returns that of `past_values` `[B, L, C]`, which flows through the window's
    /// statistics too. With a frozen backbone only the head's gradients are computed, and nothing
    /// is returned.
    ///
    /// # Panics
    ///
    /// If the lengths are not those of the forward pass: that is our bug.
    pub fn backward(
        &self,
        batch: &Batch<T>,
        forward: &Forward<T>,
        gradient: &OutputGradient<T>,
        grads: &mut [T],
        mode: ForwardOptions,
    ) -> Vec<T> {
        assert_eq!(gradient.prediction.len(), forward.outputs.prediction.len(), "gradient");
        assert_eq!(grads.len(), self.parameters.trained.len(), "gradients of the weights");
        let d = self.backward_head(forward, gradient, grads, mode);
        if mode.frozen_backbone {
            return Vec::new();
        }
        self.backward_backbone(batch, &forward.backbone, d, &gradient.patches, grads)
    }

    /// Adds the gradients of the head's weights to `grads` and returns those of its input.
    pub(crate) fn backward_head(
        &self,
        forward: &Forward<T>,
        gradient: &OutputGradient<T>,
        grads: &mut [T],
        mode: ForwardOptions,
    ) -> head::HeadGradient<T> {
        let backbone = &forward.backbone;
        let pass = Pass { dropout: mode.dropout, ..backbone.pass };
        let mut trained = head::Trained { weights: &self.parameters.trained, grads };
        self.head().backward(&mut trained, backbone.input(), &forward.head, gradient, &pass)
    }

    /// Adds the gradients of embedding and positions to `grads`; `d` `[B, C, N, D]` is the gradient
    /// of the first stage's input.
    fn backward_embedding(&self, backbone: &Backbone<T>, d: &[T], grads: &mut [T]) {
        if let Some((TensorStore::Trained, range)) = &self.layout.backbone.position {
            for d in d.chunks_exact(range.len()) {
                self_attn::add(&mut grads[range.clone()], d);
            }
        }
        self.layout.backbone.patcher.backward_weight(backbone.read_patches(), d, grads);
    }

    fn backward_backbone(
        &self,
        batch: &Batch<T>,
        backbone: &Backbone<T>,
        from_head: head::HeadGradient<T>,
        d_patches: &[T],
        grads: &mut [T],
    ) -> Vec<T> {
        let (pass, trained) = (&backbone.pass, &self.parameters.trained);
        let head::HeadGradient { hidden: mut d, loc, scale, values } = from_head;
        for (stage, output) in self.layout.backbone.stages.iter().zip(&backbone.stages).rev() {
            if let (Stage::Mixer(block), Stage::Mixer(cache)) = (stage, &output.cache) {
                d = block.backward(trained, cache, d, grads, pass);
            }
        }
        self.backward_embedding(backbone, &d, grads);
        let mut d = self.layout.backbone.patcher.backward_input(trained, &d);
        if let Some(mask) = batch.patch_mask() {
            masking::backward(&mut d, mask, self.network.embedding.patch_length);
        }
        if !d_patches.is_empty() {
            self_attn::add(&mut d, d_patches);
        }
        let shape = self.shape(pass.batch);
        let mut d_values = patchify::backward(shape, self.cut(), &d);
        if let Some(values) = &values {
            self_attn::add(&mut d_values, values);
        }
        scaler::backward(
            self.config().scaler(),
            shape,
            scaler::Window::of(batch, self.scaler_mask(batch, pass)),
            &backbone.scaled,
            scaler::Gradients { values: &d_values, loc, scale },
            pass.as_reference,
        )
    }

    /// The mask that the scaler sees: the reference has none in classification and regression.
    fn scaler_mask<'b>(&self, batch: &'b Batch<T>, pass: &Pass) -> Option<&'b [T]> {
        let ignored = matches!(self.output.kind(), OutputKind::Logits | OutputKind::Values(_));
        if pass.as_reference && ignored { None } else { batch.observed_mask() }
    }

    /// Moves the running statistics of batch norm towards those of a training pass.
    pub fn update_running(&mut self, forward: &Forward<T>) {
        let Self { layout, parameters, .. } = self;
        for (stage, output) in layout.backbone.stages.iter().zip(&forward.backbone.stages) {
            if let (Stage::Mixer(block), Stage::Mixer(cache)) = (stage, &output.cache) {
                block.update_running(parameters, cache);
            }
        }
    }

    /// As [`Self::update_running`], with the statistics of a pass that was computed elsewhere, one
    /// for each norm in the order of the blocks.
    pub(crate) fn move_running<'a>(&mut self, batches: impl Iterator<Item = &'a BatchStatistics<T>>)
    where
        T: 'a,
    {
        let Self { layout, parameters, .. } = self;
        let norms = layout.backbone.blocks().flat_map(BlockSlot::norms);
        norms.zip(batches).for_each(|(slot, batch)| slot.move_running(parameters, batch));
    }

    fn add_positions(&self, embedding: &[T]) -> Option<Vec<T>> {
        let (store, range) = self.layout.backbone.position.as_ref()?;
        let table = match store {
            TensorStore::Trained => &self.parameters.trained[range.clone()],
            _ => &self.parameters.buffers[range.clone()],
        };
        let mut sum = embedding.to_vec();
        for row in sum.chunks_exact_mut(table.len()) {
            self_attn::add(row, table);
        }
        Some(sum)
    }

    fn shape(&self, batch: usize) -> Shape {
        let Embedding { context_length, state, .. } = &self.network.embedding;
        Shape { batch, length: *context_length, channels: state.channels }
    }

    fn cut(&self) -> Cut {
        let Embedding { patch_length, patch_stride, patch_start, state, .. } =
            &self.network.embedding;
        let (start, length, stride) = (*patch_start, *patch_length, *patch_stride);
        Cut { start, length, stride, count: state.patches }
    }

    /// Whether windows are scaled at all.
    pub fn scales(&self) -> bool {
        self.config().scaler() != Scaler::None
    }
}
