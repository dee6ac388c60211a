//! The flags of `train` that are fields of `config.json` and of a recipe.

use ptsm::core::{Hierarchy, Init, Location};
use ptsm::data::Transform;
use ptsm::spec::{ChannelChoice, ModelSpec, from_fields};
use ptsm::train::{PercentLoss, Schedule, SkipStart, Training};
use ptsm::{Error, Result};
use serde::Serialize;
use serde_json::Value;

use crate::words::recipe_words;

/// Words of `--transform`.
pub(crate) const TRANSFORMS: [&str; 2] = ["none", "log1p"];

/// Fields of `config.json`.
#[derive(Debug, Default, PartialEq, clap::Args, Serialize)]
#[command(next_help_heading = "Model (fields of config.json)")]
pub(crate) struct ModelArgs {
    /// Past time steps that the network sees [default: by the length of the series; 512 with other
    /// options]
    #[arg(long)]
    context_length: Option<usize>,
    /// Future time steps that are forecast [default: usual for the frequency; 96 with other options]
    #[arg(long, visible_alias = "horizon")]
    prediction_length: Option<usize>,
    /// Time steps per patch [default: 8]
    #[arg(long)]
    patch_length: Option<usize>,
    /// Time steps between patch starts [default: 8]
    #[arg(long)]
    patch_stride: Option<usize>,
    /// Numbers per patch [default: 16]
    #[arg(long)]
    d_model: Option<usize>,
    /// Mixer layers [default: 4]
    #[arg(long)]
    num_layers: Option<usize>,
    /// Hidden width of the MLPs as a multiple of their input [default: 2]
    #[arg(long)]
    expansion_factor: Option<usize>,
    /// Probability of dropping a value inside the mixers [default: 0.2]
    #[arg(long)]
    dropout: Option<f64>,
    /// Probability of dropping a value before the head [default: 0.2]
    #[arg(long)]
    head_dropout: Option<f64>,
    /// common_channel (independent), mix_channel, or hybrid: independent channels with the
    /// cross-channel head [default: common_channel]
    #[arg(long, value_parser = ["common_channel", "mix_channel", "hybrid"])]
    mode: Option<String>,
    /// Gate every block [default: true]
    #[arg(long, value_name = "BOOL")]
    gated_attn: Option<bool>,
    /// LayerNorm or BatchNorm [default: LayerNorm]
    #[arg(long, value_parser = ["LayerNorm", "BatchNorm"])]
    norm_mlp: Option<String>,
    /// Added to the variance in the norms [default: 1e-5]
    #[arg(long)]
    norm_eps: Option<f64>,
    /// Self-attention beside the patch mixers [default: false]
    #[arg(long, value_name = "BOOL")]
    self_attn: Option<bool>,
    /// Heads of the self-attention [default: 1]
    #[arg(long)]
    self_attn_heads: Option<usize>,
    /// Add a positional encoding [default: false]
    #[arg(long, value_name = "BOOL")]
    use_positional_encoding: Option<bool>,
    /// sincos or random [default: sincos]
    #[arg(long, value_parser = ["sincos", "random"])]
    positional_encoding_type: Option<String>,
    /// Scaler of each window: std, mean, none, or level: differences of logarithms from the last value or
    /// season, for positive series of different size [default: std]
    #[arg(long, value_parser = ["std", "mean", "level", "none"])]
    scaling: Option<String>,
    /// Added to the variance in the std scaler; in the mean scaler the least mean [default: 1e-12,
    /// 1e-10]
    #[arg(long, value_name = "X")]
    minimum_scale: Option<f64>,
    /// Channels that are forecast, by name or by number from 0 [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CHANNEL,...")]
    prediction_channel_indices: Option<Vec<ChannelChoice>>,
    /// Deviation of the normal initialisation [default: 0.02]
    #[arg(long)]
    init_std: Option<f64>,
    /// mse, nll (see --distribution-output) or quantile (see --quantiles) [default: mse]
    #[arg(long, value_parser = ["mse", "nll", "quantile"])]
    loss: Option<String>,
    /// Distribution of the forecast with --loss nll [default: student_t]
    #[arg(long, value_parser = ["student_t", "normal", "negative_binomial"])]
    distribution_output: Option<String>,
    /// How patches are pooled for classification and regression: max_pool, avg_pool, use_last or
    /// none [default: max_pool]
    #[arg(long, value_parser = ["max_pool", "avg_pool", "use_last", "none"])]
    head_aggregation: Option<String>,
    /// Range that the values of a regression are limited to
    #[arg(
        long,
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true,
        value_name = "LOW,HIGH"
    )]
    output_range: Option<Vec<f64>>,
    /// How pretraining hides patches: random or forecast [default: random]
    #[arg(long, value_parser = ["random", "forecast"])]
    mask_type: Option<String>,
    /// Share of patches that random masks hide [default: 0.5]
    #[arg(long)]
    random_mask_ratio: Option<f64>,
    /// Patches that forecast masks hide at the end [default: 2]
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    num_forecast_mask_patches: Option<Vec<usize>>,
    /// Whether all channels share one mask [default: true]
    #[arg(long, value_name = "BOOL")]
    channel_consistent_masking: Option<bool>,
    /// Whether the pretraining loss counts hidden patches only [default: true]
    #[arg(long, value_name = "BOOL")]
    masked_loss: Option<bool>,
    /// Channels that are never hidden, by name or by number from 0
    #[arg(long, value_delimiter = ',', value_name = "CHANNEL,...")]
    unmasked_channel_indices: Option<Vec<ChannelChoice>>,
    #[command(flatten)]
    #[serde(skip)]
    extension: ExtensionArgs,
}

/// Parts that Hugging Face does not have.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Model (beyond Hugging Face)")]
struct ExtensionArgs {
    /// Levels of --loss quantile [default: 0.1,0.2,...,0.9]
    #[arg(long, value_delimiter = ',', value_name = "Q,...")]
    quantiles: Option<Vec<f64>>,
    /// Cross-channel head, with this many steps on either side (--mode hybrid takes 2)
    #[arg(long, value_name = "STEPS")]
    cross_channel_context: Option<usize>,
    /// The cross-channel head also sees the last past values, before the first forecast step
    #[arg(long)]
    cross_channel_past: bool,
    /// Hierarchical reconciliation head, with segments of this many steps
    #[arg(long, value_name = "STEPS")]
    segment_length: Option<usize>,
    /// A linear layer from the window straight to the forecast, beside the mixers (see
    /// --skip-start)
    #[arg(long)]
    linear_skip: bool,
    /// What the std scaler subtracts from a window: its mean or its last value [default: mean]
    #[arg(long, value_parser = recipe_words::<Location>(["mean", "last"]))]
    location: Option<Location>,
}

impl ModelArgs {
    /// Whether lengths are all that is chosen.
    pub(crate) fn only_lengths(&self) -> Result<bool> {
        let fields = self.fields()?;
        let lengths = ModelSpec {
            context_length: fields.context_length,
            prediction_length: fields.prediction_length,
            ..ModelSpec::default()
        };
        Ok(fields == lengths && self.extension == ExtensionArgs::default())
    }
    /// The loss, if one is chosen.
    pub(crate) fn loss(&self) -> Option<&str> {
        self.loss.as_deref()
    }

    /// `lower`, with the fields that flags set replaced.
    pub(crate) fn over(&self, lower: ModelSpec) -> Result<ModelSpec> {
        let mut spec = lower.with(&self.fields()?);
        spec.settle();
        self.extension.apply(&mut spec)?;
        Ok(spec)
    }

    /// The flags that are fields of `config.json`.
    fn fields(&self) -> Result<ModelSpec> {
        let fields = serde_json::to_value(self)
            .map_err(|e| Error::internal("flags cannot become fields").because(e))?;
        let Value::Object(mut fields) = fields else {
            return Err(Error::internal("flags did not become an object"));
        };
        fields.retain(|_, value| !value.is_null());
        from_fields("flag", &fields)
    }
}

impl ExtensionArgs {
    /// Sets the fields of the extension, for which Hugging Face has no name.
    fn apply(&self, spec: &mut ModelSpec) -> Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        let extension = spec.extension_mut();
        if let Some(context_length) = self.cross_channel_context {
            extension.cross_channel.get_or_insert_default().context_length = context_length;
        }
        match &mut extension.cross_channel {
            Some(cross) => cross.prepend_past |= self.cross_channel_past,
            None if self.cross_channel_past => {
                let text = "needs --mode hybrid or --cross-channel-context";
                return Err(Error::config("--cross-channel-past", text));
            }
            None => {}
        }
        if let Some(segment_length) = self.segment_length {
            extension.hierarchy = Some(Hierarchy { segment_length });
        }
        extension.linear_skip |= self.linear_skip;
        extension.location = self.location.unwrap_or(extension.location);
        if let Some(levels) = &self.quantiles {
            if extension.quantiles.is_none() {
                return Err(Error::config("--quantiles", "needs --loss quantile"));
            }
            extension.quantiles = Some(levels.clone());
        }
        Ok(())
    }
}

/// Fields of the recipe's `[training]`.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Passes over the training windows [default: 10]
    #[arg(long)]
    epochs: Option<u32>,
    /// Steps of an epoch, in place of one pass over the windows [default: none]
    #[arg(long, value_name = "STEPS")]
    epoch_steps: Option<u32>,
    /// Windows per step [default: 64]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Peak learning rate [default: 0.001]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// constant, cosine or one-cycle [default: one-cycle]
    #[arg(long, value_parser = recipe_words::<Schedule>(["constant", "cosine", "one-cycle"]))]
    schedule: Option<Schedule>,
    /// Steps of linear warm-up [default: 0]
    #[arg(long)]
    warmup_steps: Option<u64>,
    /// AdamW's weight decay [default: 0.01]
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Largest norm of the gradient [default: none]
    #[arg(long)]
    gradient_clip: Option<f64>,
    /// Epochs without improvement before training stops; 0 = never stop [default: 4]
    #[arg(long)]
    patience: Option<u32>,
    /// Smallest improvement that counts [default: 0]
    #[arg(long)]
    min_delta: Option<f64>,
    /// Share of the absolute error in the loss of a point forecast, 0 to 1 [default: 0]
    #[arg(long)]
    mae_share: Option<f64>,
    /// Huber loss of a point forecast: size beyond which an error counts by its size, not by its
    /// square [default: none]
    #[arg(long)]
    huber_delta: Option<f64>,
    /// Loss of a point forecast in percent of the data's level, also to pick the epoch by: smape or mape
    /// [default: none]
    #[arg(long, value_parser = recipe_words::<PercentLoss>(["smape", "mape"]))]
    percent_loss: Option<PercentLoss>,
    /// Keep a moving average of the weights with this decay per step [default: none]
    #[arg(long)]
    ema_decay: Option<f64>,
    /// Where a linear skip starts: at the ridge regression of the training windows, at zero, or, with
    /// --scaling level, at the seasonal naive forecast (season) [default: ridge]
    #[arg(long, value_parser = recipe_words::<SkipStart>(["ridge", "zero", "season"]))]
    skip_start: Option<SkipStart>,
    /// Learning rate of the linear skip as a share of the others' [default: 0]
    #[arg(long)]
    skip_rate: Option<f64>,
    /// Steps from one training window to the next; scores always take every window [default: 1]
    #[arg(long)]
    window_step: Option<usize>,
    /// Training windows may begin before the first row of a series and end after its last one
    #[arg(long)]
    partial_windows: bool,
    /// Train on the rows of the validation part, too; the last epoch is kept
    #[arg(long)]
    with_validation: bool,
    /// What is done to the values before they are standardised: none or log1p, sign(x) ln(1 + |x|),
    /// for counts and amounts of very different sizes [default: none]
    #[arg(long, value_parser = recipe_words::<Transform>(TRANSFORMS))]
    transform: Option<Transform>,
    /// Style of the initial weights: pytorch or normal [default: pytorch]
    #[arg(long, value_parser = recipe_words::<Init>(["pytorch", "normal"]))]
    init_style: Option<Init>,
    /// Train the head alone (linear probing)
    #[arg(long, value_name = "PART", value_parser = ["backbone"])]
    freeze: Option<String>,
    /// Weight of each class in the loss, in the order of the classes
    #[arg(long, value_delimiter = ',', value_name = "W,...")]
    class_weights: Option<Vec<f64>>,
    /// Seed of weights, order and dropout [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between checkpoints besides the epochs' ends [default: 200]
    #[arg(long)]
    checkpoint_steps: Option<u64>,
}

impl TrainingArgs {
    /// Whether the seed is all that is chosen.
    pub(crate) fn only_seed(&self) -> bool {
        *self == Self { seed: self.seed, ..Self::default() }
    }

    /// Those of the fields that a search for settings of labelled cases opens which are chosen, by name.
    pub(crate) fn searched(&self) -> Vec<&'static str> {
        let fields = [
            ("epochs", self.epochs.is_some()),
            ("init", self.init_style.is_some()),
            ("transform", self.transform.is_some()),
        ];
        fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// The seed of the flags, or that of a recipe.
    pub(crate) fn seed_or(&self, recipe: &Training) -> u64 {
        self.seed.unwrap_or(recipe.seed)
    }

    pub(crate) fn apply(&self, training: &mut Training) {
        fn set<T: Clone>(to: &mut T, from: &Option<T>) {
            if let Some(value) = from {
                *to = value.clone();
            }
        }
        set(&mut training.epochs, &self.epochs);
        set(&mut training.batch_size, &self.batch_size);
        set(&mut training.learning_rate, &self.learning_rate);
        set(&mut training.schedule, &self.schedule);
        set(&mut training.warmup_steps, &self.warmup_steps);
        set(&mut training.weight_decay, &self.weight_decay);
        set(&mut training.min_delta, &self.min_delta);
        set(&mut training.mae_share, &self.mae_share);
        set(&mut training.skip_start, &self.skip_start);
        set(&mut training.skip_rate, &self.skip_rate);
        set(&mut training.window_step, &self.window_step);
        set(&mut training.transform, &self.transform);
        set(&mut training.init, &self.init_style);
        set(&mut training.seed, &self.seed);
        set(&mut training.checkpoint_steps, &self.checkpoint_steps);
        if self.gradient_clip.is_some() {
            training.gradient_clip = self.gradient_clip;
        }
        training.huber_delta = self.huber_delta.or(training.huber_delta);
        training.percent_loss = self.percent_loss.or(training.percent_loss);
        training.epoch_steps = self.epoch_steps.or(training.epoch_steps);
        training.partial_windows |= self.partial_windows;
        training.with_validation |= self.with_validation;
        training.ema_decay = self.ema_decay.or(training.ema_decay);
        training.freeze_backbone |= self.freeze.is_some();
        if self.class_weights.is_some() {
            training.class_weights.clone_from(&self.class_weights);
        }
        if let Some(patience) = self.patience {
            training.patience = (patience > 0).then_some(patience);
        }
    }
}
