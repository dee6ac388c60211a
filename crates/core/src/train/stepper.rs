//! One optimiser step at a time, for callers with a training loop of their own, and for
//! measurements.

use super::adamw::AdamW;
use super::on_cpu::on_cpu;
use super::trainer::clip;
use super::training::Training;
use crate::Result;
use crate::backend::{StepGradient, StepOptions, TrainingSession};
use crate::layers::Dropout;
use crate::model::Model;
use crate::samples::Samples;

/// A model in training: gradient and AdamW, as [`Trainer`](super::Trainer) does them, without
/// epochs, schedule and checkpoints.
pub struct Stepper {
    model: Model,
    training: Training,
    adamw: AdamW<f32>,
    on: Box<dyn TrainingSession>,
}

impl Stepper {
    /// Starts from the weights of `model`, on this machine's cores. Of `training` it uses the
    /// settings of the optimiser and the loss, `gradient_clip`, `learning_rate`, `freeze_backbone`
    /// and `seed`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible settings.
    pub fn new(model: Model, training: &Training) -> Result<Self> {
        Self::on(on_cpu()?, model, training)
    }

    /// As [`Stepper::new`], on the machine that [`Backend::training`](crate::Backend::training)
    /// gave.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible settings.
    pub fn on(on: Box<dyn TrainingSession>, model: Model, training: &Training) -> Result<Self> {
        training.validate()?;
        let Training { beta1, beta2, eps, weight_decay, .. } = *training;
        let len = model.layout().num_trained();
        Ok(Self {
            model,
            training: training.clone(),
            adamw: AdamW::new(len, beta1, beta2, eps, weight_decay),
            on,
        })
    }

    /// The model as it is now.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Draws of dropout of the next step.
    pub fn dropout(&self) -> Dropout {
        Dropout { seed: self.training.seed, step: self.adamw.step, first_sample: 0 }
    }

    /// Loss over the samples `indices` with dropout, and its gradient, one number per weight; the
    /// weights stay as they are.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the samples do not fit the model.
    pub fn gradient(
        &mut self,
        samples: &dyn Samples,
        indices: &[usize],
    ) -> Result<(f64, Vec<f32>)> {
        let StepGradient { loss, gradient, .. } = self.found(samples, indices)?;
        Ok((loss, gradient))
    }

    /// Moves the weights by one step; returns the loss before it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the samples do not fit the model.
    pub fn step(&mut self, samples: &dyn Samples, indices: &[usize]) -> Result<f64> {
        let StepGradient { loss, mut gradient, .. } = self.found(samples, indices)?;
        if let Some(limit) = self.training.gradient_clip {
            clip(&mut gradient, limit)?;
        }
        let frozen = self.training.freeze_backbone;
        let first = if frozen { self.model.layout().head_start() } else { 0 };
        let rate = self.training.learning_rate;
        self.adamw.update_from(first, rate, &mut self.model.parameters.trained, &gradient);
        self.on.keep(gradient);
        Ok(loss)
    }

    fn found(&mut self, samples: &dyn Samples, indices: &[usize]) -> Result<StepGradient> {
        let options = StepOptions {
            dropout: self.dropout(),
            loss: &self.training.loss_options(),
            frozen_backbone: self.training.freeze_backbone,
        };
        self.on.gradient(&mut self.model, samples, indices, options)
    }
}
