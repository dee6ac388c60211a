//! The settings of a training run, with the names that recipes give them.

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use super::skip::SkipStart;
use crate::loss::{LossOptions, PercentLoss, PointLoss};
use crate::transform::Transform;
use crate::weights::Init;
use crate::{Error, Result};

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Passes over the training windows.
    pub epochs: u32,
    /// Steps after which an epoch ends, whether it is less or more than one pass; `None` = one pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_steps: Option<u32>,
    /// Windows per optimiser step.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// Steps in which the learning rate rises linearly at the start.
    pub warmup_steps: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator of AdamW's step.
    pub eps: f64,
    /// Largest norm of the whole gradient; longer ones are shortened to it.
    pub gradient_clip: Option<f64>,
    /// Epochs without a better validation loss after which training stops; `None` = never.
    pub patience: Option<u32>,
    /// Smallest improvement of the validation loss that counts.
    pub min_delta: f64,
    /// Train the head alone, on the hidden state of the backbone in evaluation (linear probing).
    pub freeze_backbone: bool,
    /// Weight of each class in the cross entropy, in the order of the classes.
    pub class_weights: Option<Vec<f64>>,
    /// Share of the absolute error in the loss of a point forecast, 0 to 1; the rest is squared.
    pub mae_share: f64,
    /// Errors of a point forecast beyond this, in standardised units, count linearly in the loss
    /// instead of squared (Huber's loss); `None` = all are squared.
    pub huber_delta: Option<f64>,
    /// The loss of a point forecast is an error in percent of the data's own level; the epoch is chosen
    /// by it, too. `None` = `mae_share` and `huber_delta` say what an error costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_loss: Option<PercentLoss>,
    /// Decay per step of a moving average of the weights, which is what is scored and kept; `None`
    /// keeps the weights themselves.
    pub ema_decay: Option<f64>,
    /// Where a linear skip starts.
    pub skip_start: SkipStart,
    /// Learning rate of the linear skip as a share of the others'; 0 leaves it where it starts.
    pub skip_rate: f64,
    /// Steps from one training window to the next; 1 = every window.
    pub window_step: usize,
    /// Whether training windows may begin before the first row of a series and end after its last one, with
    /// missing points there: for many short series.
    #[serde(skip_serializing_if = "is_false")]
    pub partial_windows: bool,
    /// Whether the rows of the validation part are trained on, too; then there are none to pick an epoch by.
    #[serde(skip_serializing_if = "is_false")]
    pub with_validation: bool,
    /// What is done to the values of the channels before they are standardised.
    pub transform: Transform,
    /// Style of the initial weights.
    pub init: Init,
    /// Seed of the initial weights, the order of the windows and dropout.
    pub seed: u64,
    /// Steps between checkpoints, besides those at the end of every epoch; 0 = none.
    pub checkpoint_steps: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 10,
            epoch_steps: None,
            batch_size: 64,
            learning_rate: 1e-3,
            schedule: Schedule::OneCycle,
            warmup_steps: 0,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            gradient_clip: None,
            patience: Some(4),
            min_delta: 0.0,
            freeze_backbone: false,
            class_weights: None,
            mae_share: 0.0,
            huber_delta: None,
            percent_loss: None,
            ema_decay: None,
            skip_start: SkipStart::Ridge,
            skip_rate: 0.0,
            window_step: 1,
            partial_windows: false,
            with_validation: false,
            transform: Transform::None,
            init: Init::PyTorch,
            seed: 0,
            checkpoint_steps: 200,
        }
    }
}

impl Training {
    /// The options of the loss that training minimises.
    pub fn loss_options(&self) -> LossOptions {
        let Training { mae_share, huber_delta, percent_loss: percent, .. } = *self;
        LossOptions {
            class_weights: self.class_weights.clone(),
            as_reference: false,
            point: PointLoss { mae_share, huber_delta, percent },
        }
    }

    /// The options of the loss that chooses the epoch: point forecasts are scored by their squared error,
    /// or by their error in percent where that is the loss.
    pub fn score_options(&self) -> LossOptions {
        let point = PointLoss { percent: self.percent_loss, ..PointLoss::default() };
        LossOptions { point, ..self.loss_options() }
    }

    /// Steps of one epoch over so many samples.
    pub fn steps_per_epoch(&self, samples: usize) -> usize {
        match self.epoch_steps {
            Some(steps) => steps as usize,
            None => samples.div_ceil(self.batch_size),
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("epochs", u64::from(self.epochs)),
            ("batch_size", self.batch_size as u64),
            ("window_step", self.window_step as u64),
            ("epoch_steps", self.epoch_steps.map_or(1, u64::from)),
        ];
        for (field, value) in counts {
            if value == 0 {
                return Err(Error::config(field, "0 must be at least 1"));
            }
        }
        if self.percent_loss.is_some() && (self.mae_share != 0.0 || self.huber_delta.is_some()) {
            let text = "is in place of mae_share and huber_delta (leave those out)";
            return Err(Error::config("percent_loss", text));
        }
        let positive = [
            ("learning_rate", Some(self.learning_rate)),
            ("eps", Some(self.eps)),
            ("gradient_clip", self.gradient_clip),
            ("huber_delta", self.huber_delta),
        ];
        for (field, value) in positive {
            if let Some(value) = value
                && !(value.is_finite() && value > 0.0)
            {
                return Err(Error::config(field, format!("{value} must be above 0")));
            }
        }
        for (field, value) in [("weight_decay", self.weight_decay), ("min_delta", self.min_delta)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::config(field, format!("{value} must be at least 0")));
            }
        }
        for (field, value) in [("mae_share", self.mae_share), ("skip_rate", self.skip_rate)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(field, format!("{value} must be 0 to 1")));
            }
        }
        let ema_decay = self.ema_decay.unwrap_or_default();
        let decays = [("beta1", self.beta1), ("beta2", self.beta2), ("ema_decay", ema_decay)];
        for (field, value) in decays {
            if !(0.0..1.0).contains(&value) {
                let text = format!("{value} must be at least 0 and below 1");
                return Err(Error::config(field, text));
            }
        }
        Ok(())
    }
}
