//! The definition: what PatchTSMixer computes, forward and backward, in plain steps.
//!
//! Generic over f32 and f64. In f64 every step is a plain loop, which is the oracle that faster
//! code is tested against. Data flow of [`Model::forward`], with the file that does each step:
//!
//! | step | shape after it | file |
//! |---|---|---|
//! | scale by the window's own statistics | `[B, L, C]`; `loc`, `scale` `[B, C]` | `scaler.rs` |
//! | cut into patches | `[B, C, N, p]` | `patchify.rs` |
//! | embed, add positions | `[B, C, N, D]` | `embed.rs` |
//! | `num_layers` mixer layers | `[B, C, N, D]` | `mixer.rs` with `norm`, `mlp`, `gated_attn`, `self_attn` |
//! | head and un-scaling | `[B, H, C']` | `head/*.rs` |
//!
//! Source: `modeling_patchtsmixer.py`, transformers 5.23.0; differences in `docs/parity.md`.

mod directory;
mod dropout;
mod embed;
mod gated_attn;
mod linear;
mod mixer;
mod mlp;
mod norm;
mod patchify;
mod real;
mod scaler;
mod self_attn;
mod trace;

use crate::config::{Config, Scaler};
use crate::data::Batch;
use crate::head::prediction::{self, PredictionHead, Statistics};
use crate::weights::{HeadSlot, Init, Layout, Parameters, Store};
use crate::{Error, Result};

pub use directory::{CONFIG_FILE, WEIGHTS_FILE};
pub use dropout::Dropout;
pub(crate) use embed::sincos_positions;
use mixer::{Layer, LayerCache};
use patchify::Cut;
pub use real::{LinearDims, Real, instruction_set};
use scaler::{Scaled, Shape};
pub use trace::NamedTensor;

/// A configuration with its weights.
#[derive(Debug, Clone)]
pub struct Model<T = f32> {
    config: Config,
    layout: Layout,
    /// The weights; their places are those of [`Model::layout`].
    pub parameters: Parameters<T>,
}

/// How a forward pass is done; the default is evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mode {
    /// Batch norm uses the statistics of the batch.
    pub train_norm: bool,
    /// Draws for dropout; `None` leaves it out.
    pub dropout: Option<Dropout>,
    /// A mean-scaled channel without observations takes its scale from the rest of the batch, as
    /// the reference does. Off, so that no sample depends on its neighbours.
    pub borrow_scale: bool,
}

/// Everything that a forward pass computed: results, intermediates, and what the gradient needs.
#[derive(Debug, Clone)]
pub struct Forward<T> {
    /// The forecast, `[B, H, C']`, data units.
    pub prediction: Vec<T>,
    pass: Pass,
    scaled: Scaled<T>,
    patches: Vec<T>,
    embedding: Vec<T>,
    embedding_with_positions: Option<Vec<T>>,
    layers: Vec<LayerCache<T>>,
    head: prediction::Cache<T>,
}

/// One forward pass: the mode and how many samples it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) batch: usize,
    train_norm: bool,
    dropout: Option<Dropout>,
    borrow_scale: bool,
}

/// A place of the model that draws for dropout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(u64);

impl Place {
    /// In front of the head's projection.
    pub(crate) const HEAD: Place = Place(0);

    fn block(layer: usize, block: u64) -> Self {
        Place(1 + 3 * layer as u64 + block)
    }
}

impl Pass {
    /// Applies dropout to `x` `[B, ...]`, or its backward to a gradient. `site` tells the draws of
    /// one place apart.
    pub(crate) fn dropout<T: Real>(&self, place: Place, site: u64, probability: f64, x: &mut [T]) {
        if let Some(dropout) = self.dropout {
            dropout.apply(4 * place.0 + site, probability, self.batch, x);
        }
    }
}

impl Model<f32> {
    /// A model with fresh weights; the seed decides every bit.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the configuration is invalid or has no head here.
    pub fn new(config: Config, init: Init, seed: u64) -> Result<Self> {
        let layout = Layout::new(&config)?;
        let parameters = Parameters::init(&config, &layout, init, seed);
        Ok(Self { config, layout, parameters })
    }
}

impl<T: Real> Model<T> {
    /// A model with given weights.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` as [`Model::new`]; `InvalidWeights` if there are more or fewer numbers than
    /// the configuration asks for.
    pub fn from_parameters(config: Config, parameters: Parameters<T>) -> Result<Self> {
        let layout = Layout::new(&config)?;
        let got = [parameters.trained.len(), parameters.buffers.len(), parameters.counters.len()];
        let wanted = [Store::Trained, Store::Buffer, Store::Counter].map(|store| layout.len(store));
        if got != wanted {
            let text = format!("{got:?} numbers (trained, buffers, counters), wanted {wanted:?}");
            return Err(Error::weights(text));
        }
        Ok(Self { config, layout, parameters })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Names, shapes and places of the weights.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The same model in another precision.
    pub fn cast<U: Real>(&self) -> Model<U> {
        Model {
            config: self.config.clone(),
            layout: self.layout.clone(),
            parameters: self.parameters.cast(),
        }
    }

    /// Runs the model on a batch.
    ///
    /// Every sample gets the same bits in any batch, except in train mode with batch norm and with
    /// `borrow_scale`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not have the lengths of the configuration, or holds a
    /// number that is not finite.
    pub fn forward(&self, batch: &Batch<T>, mode: Mode) -> Result<Forward<T>> {
        Self::check(&self.config, batch, mode)?;
        let Mode { train_norm, dropout, borrow_scale } = mode;
        let pass = Pass { batch: batch.size, train_norm, dropout, borrow_scale };
        let mask = batch.observed_mask.as_deref();
        let shape = self.shape(batch.size);
        let scaled =
            scaler::forward(self.config.scaler(), shape, &batch.past_values, mask, borrow_scale);
        let patches = patchify::forward(shape, self.cut(), &scaled.values);
        let embedding = self.layout.backbone.patcher.forward(&self.parameters.trained, &patches);
        let embedding_with_positions = self.add_positions(&embedding);
        let mut layers: Vec<LayerCache<T>> = Vec::with_capacity(self.config.num_layers);
        for layer in self.layers() {
            let input = match layers.last() {
                Some(last) => &last.after_feature,
                None => embedding_with_positions.as_ref().unwrap_or(&embedding),
            };
            let cache = layer.forward(&self.parameters, input, &pass);
            layers.push(cache);
        }
        let hidden = &layers.last().expect("validation asks for a layer").after_feature;
        let statistics = Statistics { loc: &scaled.loc, scale: &scaled.scale };
        let channels = self.config.prediction_channels();
        let head = self.prediction_head(&channels);
        let (prediction, head) = head.forward(&self.parameters.trained, hidden, &statistics, &pass);
        Ok(Forward {
            prediction,
            pass,
            scaled,
            patches,
            embedding,
            embedding_with_positions,
            layers,
            head,
        })
    }

    /// Gradients for a forward pass of the same batch.
    ///
    /// `d_prediction` `[B, H, C']` is the gradient for the forecast. Adds the gradients of the
    /// weights to `grads` (as long as `parameters.trained`, in the same order) and returns that of
    /// `past_values` `[B, L, C]`, which flows through the window's statistics too.
    ///
    /// # Panics
    ///
    /// If the lengths are not those of the forward pass: that is our bug.
    pub fn backward(
        &self,
        batch: &Batch<T>,
        forward: &Forward<T>,
        d_prediction: &[T],
        grads: &mut [T],
    ) -> Vec<T> {
        assert_eq!(d_prediction.len(), forward.prediction.len(), "gradient of the forecast");
        assert_eq!(grads.len(), self.parameters.trained.len(), "gradients of the weights");
        let pass = &forward.pass;
        let trained = &self.parameters.trained;
        let Scaled { loc, scale, .. } = &forward.scaled;
        let mut d_loc = vec![T::ZERO; loc.len()];
        let mut d_scale = vec![T::ZERO; scale.len()];
        let channels = self.config.prediction_channels();
        let mut d = self.prediction_head(&channels).backward(
            trained,
            (&forward.head, &Statistics { loc, scale }),
            d_prediction,
            (&mut d_loc, &mut d_scale),
            (grads, pass),
        );
        let layers: Vec<Layer<'_>> = self.layers().collect();
        for (layer, cache) in layers.iter().zip(&forward.layers).rev() {
            d = layer.backward(trained, cache, d, (grads, pass));
        }
        if let Some((Store::Trained, range)) = &self.layout.backbone.position {
            for d in d.chunks_exact(range.len()) {
                self_attn::add(&mut grads[range.clone()], d);
            }
        }
        let d = self.layout.backbone.patcher.backward(trained, &forward.patches, &d, grads);
        let shape = self.shape(pass.batch);
        let d_values = patchify::backward(shape, self.cut(), &d);
        scaler::backward(
            self.config.scaler(),
            shape,
            (&batch.past_values, batch.observed_mask.as_deref()),
            &forward.scaled,
            (
                scaler::Gradients { values: &d_values, loc: d_loc, scale: d_scale },
                pass.borrow_scale,
            ),
        )
    }

    /// Moves the running statistics of batch norm towards those of a training pass.
    pub fn update_running(&mut self, forward: &Forward<T>) {
        let Self { config, layout, parameters } = self;
        for ((index, slot), cache) in layout.backbone.layers.iter().enumerate().zip(&forward.layers)
        {
            Layer { slot, config, index }.update_running(parameters, cache);
        }
    }

    fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        let layers = self.layout.backbone.layers.iter().enumerate();
        layers.map(|(index, slot)| Layer { slot, config: &self.config, index })
    }

    fn prediction_head<'a>(&'a self, channels: &'a [usize]) -> PredictionHead<'a> {
        let HeadSlot::Prediction { projection } = &self.layout.head;
        PredictionHead {
            projection,
            head_dropout: self.config.head_dropout,
            num_channels: self.config.num_input_channels,
            channels,
        }
    }

    fn add_positions(&self, embedding: &[T]) -> Option<Vec<T>> {
        let (store, range) = self.layout.backbone.position.as_ref()?;
        let table = match store {
            Store::Trained => &self.parameters.trained[range.clone()],
            _ => &self.parameters.buffers[range.clone()],
        };
        let mut sum = embedding.to_vec();
        for row in sum.chunks_exact_mut(table.len()) {
            self_attn::add(row, table);
        }
        Some(sum)
    }

    fn shape(&self, batch: usize) -> Shape {
        let Config { context_length, num_input_channels, .. } = self.config;
        Shape { batch, length: context_length, channels: num_input_channels }
    }

    fn cut(&self) -> Cut {
        Cut {
            start: self.config.patch_start(),
            length: self.config.patch_length,
            stride: self.config.patch_stride,
            count: self.config.num_patches(),
        }
    }

    /// Refuses a batch that does not fit `config`, or that holds a number that is not finite.
    pub(crate) fn check(config: &Config, batch: &Batch<T>, mode: Mode) -> Result<()> {
        let Config { context_length, num_input_channels, .. } = *config;
        let wanted = [
            ("time steps", context_length, batch.context_length),
            ("channels", num_input_channels, batch.num_channels),
        ];
        for (what, wanted, got) in wanted {
            if wanted != got {
                let text = format!("has {got} {what}, the model wants {wanted}");
                return Err(Error::input(text).at("past_values"));
            }
        }
        if batch.size == 0 {
            return Err(Error::input("holds no sample").at("past_values"));
        }
        let points = batch.size * context_length * num_input_channels;
        let mask = batch.observed_mask.as_deref();
        let tensors =
            [("past_values", Some(batch.past_values.as_slice())), ("observed_mask", mask)];
        for (name, values) in tensors {
            let Some(values) = values else { continue };
            if values.len() != points {
                let text = format!("has {} numbers, wanted {points}", values.len());
                return Err(Error::input(text).at(name));
            }
            if let Some(i) = values.iter().position(|x| !x.to_f64().is_finite()) {
                let text = format!(
                    "element {i} is {}, wanted a finite number (a missing point holds 0 and the mask 0)",
                    values[i]
                );
                return Err(Error::input(text).at(name));
            }
        }
        let rows = batch.size * num_input_channels * config.num_patches();
        if mode.train_norm && rows < 2 && config.norm() == crate::config::Norm::Batch {
            return Err(Error::input("batch norm cannot train on a single value per feature"));
        }
        Ok(())
    }

    /// Whether windows are scaled at all.
    pub fn scales(&self) -> bool {
        self.config.scaler() != Scaler::None
    }
}
