//! `ptsm train`: from a table to a model directory.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ptsm::data::{Prepared, SeriesSet, Split, WindowShape, prepare};
use ptsm::train::{Event, History, Recipe, Schedule, TrainData, Trainer, Training};
use ptsm::{Config, Error, Init, Model, Preprocessor, Result, Task, WEIGHTS_FILE};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::output::{answer, remark, write_text};
use crate::plot;
use crate::progress::Progress;
use crate::source::{DataArgs, Source, summary};
use crate::story;

/// Name of the record of a training run in a model directory.
pub(crate) const TRAINING_FILE: &str = "training.json";

/// Options of `train`. A flag wins over the recipe file, which wins over the default.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// TOML file with the tables model, data and training, fields named as these flags
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Go on from the last checkpoint in DIR; without one, start
    #[arg(long)]
    resume: bool,
    /// Replace a model that is in DIR
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// What the model learns
    #[arg(long, default_value = "forecasting", value_parser = ["forecasting"])]
    task: String,
    /// ett-hour, ett-minute, 7:1:2, fraction:0.7,0.1 or date:VALIDATION,TEST; the data set's own,
    /// or 7:1:2, if not given
    #[arg(long)]
    split: Option<Split>,
    /// Picture of the loss by epoch (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
}

/// Fields of `config.json`.
#[derive(Debug, Default, clap::Args, Serialize)]
#[command(next_help_heading = "Model (fields of config.json)")]
struct ModelArgs {
    /// Past time steps that the model sees [default: 512]
    #[arg(long)]
    context_length: Option<usize>,
    /// Future time steps that are forecast [default: 96]
    #[arg(long)]
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
    /// Probability of dropping a value in front of the head [default: 0.2]
    #[arg(long)]
    head_dropout: Option<f64>,
    /// common_channel or mix_channel [default: common_channel]
    #[arg(long, value_parser = ["common_channel", "mix_channel"])]
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
    /// Scaler of each window: std, mean or none [default: std]
    #[arg(long, value_parser = ["std", "mean", "none"])]
    scaling: Option<String>,
    /// Channels that are forecast, by number from 0 [default: all]
    #[arg(long, value_delimiter = ',', value_name = "I,J,...")]
    prediction_channel_indices: Option<Vec<usize>>,
    /// Deviation of the normal initialisation [default: 0.02]
    #[arg(long)]
    init_std: Option<f64>,
}

/// Fields of the recipe's `[training]`.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Training")]
struct TrainingArgs {
    /// Passes over the training windows [default: 10]
    #[arg(long)]
    epochs: Option<u32>,
    /// Windows per step [default: 64]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Peak learning rate [default: 0.001]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// constant, cosine or one-cycle [default: one-cycle]
    #[arg(long, value_parser = parse_schedule)]
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
    /// Style of the initial weights: pytorch or normal [default: pytorch]
    #[arg(long, value_parser = parse_init)]
    init_style: Option<Init>,
    /// Seed of weights, order and dropout [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Steps between checkpoints besides the epochs' ends [default: 200]
    #[arg(long)]
    checkpoint_steps: Option<u64>,
}

fn parse_schedule(text: &str) -> std::result::Result<Schedule, String> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| "wanted constant, cosine or one-cycle".into())
}

fn parse_init(text: &str) -> std::result::Result<Init, String> {
    serde_json::from_value(Value::from(text)).map_err(|_| "wanted pytorch or normal".into())
}

impl TrainingArgs {
    fn apply(&self, training: &mut Training) {
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
        set(&mut training.init, &self.init_style);
        set(&mut training.seed, &self.seed);
        set(&mut training.checkpoint_steps, &self.checkpoint_steps);
        if self.gradient_clip.is_some() {
            training.gradient_clip = self.gradient_clip;
        }
        if let Some(patience) = self.patience {
            training.patience = (patience > 0).then_some(patience);
        }
    }
}

/// Everything that a training run needs.
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) set: SeriesSet,
    /// Fields of `config.json` that are not at their default.
    pub(crate) model: Map<String, Value>,
    pub(crate) training: Training,
    pub(crate) split: Split,
    pub(crate) grid: ptsm::data::Grid,
    pub(crate) out: PathBuf,
    pub(crate) resume: bool,
}

/// Record of a run, `training.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: String,
    pub(crate) instruction_set: String,
    pub(crate) dataset: String,
    pub(crate) split: Split,
    pub(crate) train_windows: usize,
    pub(crate) validation_windows: usize,
    pub(crate) num_parameters: usize,
    pub(crate) training: Training,
    pub(crate) history: History,
}

/// A finished run.
pub(crate) struct Trained {
    pub(crate) record: Record,
    pub(crate) prepared: Prepared,
    pub(crate) seconds: f64,
}

/// Plans from flags and recipe, trains, and reports.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let mut recipe = match &args.recipe {
        Some(path) => Recipe::from_file(path)?,
        None => Recipe::default(),
    };
    let mut data = args.data.clone();
    let recipe_split = merge_data(&mut data, &recipe.data)?;
    args.training.apply(&mut recipe.training);
    let source = data.read(global)?;
    let set = data.series(&source)?;
    let plan = Plan {
        split: args.split.or(recipe_split).unwrap_or_else(|| source.default_split()),
        grid: data.repair(&source).grid,
        model: model_fields(&recipe.model, &args.model)?,
        training: recipe.training,
        out: args.out.clone(),
        resume: args.resume,
        source,
        set,
    };
    if !args.resume && !args.overwrite && args.out.join(WEIGHTS_FILE).exists() {
        let text = "holds a model already (use --resume, --overwrite or another folder)";
        return Err(Error::config(args.out.display().to_string(), text));
    }
    let trained = train(global, &plan)?;
    if let Some(path) = &args.plot {
        plot::save(path, &story::training_curve(&trained.record.history, true))?;
    }
    report(global, &plan, &trained)
}

fn report(global: &Global, plan: &Plan, trained: &Trained) -> Result<()> {
    let history = &trained.record.history;
    let value = json!({
        "out": plan.out, "best_epoch": history.best_epoch, "epochs": history.epochs.len(),
        "validation_mse": history.best_validation_mse, "stopped_by": history.stopped_by,
        "steps": history.steps, "seconds": trained.seconds,
        "num_parameters": trained.record.num_parameters,
    });
    let text = format!(
        "{}: best epoch {} of {}, validation MSE {:.4} ({})\n",
        plan.out.display(),
        history.best_epoch,
        history.epochs.len(),
        history.best_validation_mse,
        history.stopped_by
    );
    answer(global, &value, &text)
}

/// Takes what the flags leave open from the recipe's `[data]`; returns its split.
fn merge_data(data: &mut DataArgs, recipe: &Map<String, Value>) -> Result<Option<Split>> {
    let mut split = None;
    for (key, value) in recipe {
        let place = format!("recipe [data] {key}");
        let text = || match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(Error::config(place.clone(), format!("is {other}, wanted a text"))),
        };
        let flag = || match value {
            Value::Bool(flag) => Ok(*flag),
            other => Err(Error::config(place.clone(), format!("is {other}, wanted true or false"))),
        };
        let list = || {
            serde_json::from_value::<Vec<String>>(value.clone())
                .map_err(|e| Error::config(place.clone(), "wanted a list of texts").because(e))
        };
        match key.as_str() {
            "data" => data.data = data.data.take().or(Some(text()?)),
            "timestamp" => data.timestamp = data.timestamp.take().or(Some(text()?)),
            "id" => data.id = data.id.take().or(Some(text()?)),
            "delimiter" => data.delimiter = data.delimiter.take().or(Some(text()?)),
            "targets" => data.targets = data.targets.take().or(Some(list()?)),
            "missing" => data.missing.extend(list()?),
            "sort" => data.sort |= flag()?,
            "no_header" => data.no_header |= flag()?,
            "decimal_comma" => data.decimal_comma |= flag()?,
            "duplicates" => data.duplicates = data.duplicates.or(Some(text()?.parse()?)),
            "grid" => data.grid = data.grid.or(Some(text()?.parse()?)),
            "frequency" => data.frequency = data.frequency.or(Some(text()?.parse()?)),
            "split" => split = Some(text()?.parse()?),
            _ => return Err(Error::config(place, "is no option of the data")),
        }
    }
    Ok(split)
}

/// Our defaults, then the recipe's `[model]`, then the flags.
fn model_fields(recipe: &Map<String, Value>, flags: &ModelArgs) -> Result<Map<String, Value>> {
    let mut fields = default_model_fields();
    fields.extend(recipe.clone());
    let flags = serde_json::to_value(flags)
        .map_err(|e| Error::internal("flags cannot become fields").because(e))?;
    if let Value::Object(flags) = flags {
        fields.extend(flags.into_iter().filter(|(_, value)| !value.is_null()));
    }
    if fields.get("scaling").and_then(Value::as_str) == Some("none") {
        fields.insert("scaling".into(), Value::Null);
    }
    Ok(fields)
}

fn default_model_fields() -> Map<String, Value> {
    let defaults = [
        ("context_length", json!(512)),
        ("prediction_length", json!(96)),
        ("d_model", json!(16)),
        ("num_layers", json!(4)),
    ];
    defaults.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The configuration of a run: the plan's fields, with what the data decide.
fn config_of(plan: &Plan) -> Result<Config> {
    let known = serde_json::to_value(Config::default())
        .map_err(|e| Error::internal("the defaults cannot be listed").because(e))?;
    if let Some(name) = plan.model.keys().find(|name| known.get(name.as_str()).is_none()) {
        return Err(Error::config(format!("recipe [model] {name}"), "is no field of config.json"));
    }
    let mut fields = plan.model.clone();
    let channels = plan.set.channels.len();
    let given = fields.insert("num_input_channels".into(), channels.into());
    if let Some(given) = given
        && given != channels
    {
        let text = format!("{given} does not fit the data, which have {channels}");
        return Err(Error::config("num_input_channels", text));
    }
    fields.insert("model_type".into(), ptsm::MODEL_TYPE.into());
    fields.insert("architectures".into(), json!([Task::Forecasting.architecture()]));
    Config::from_json(&Value::Object(fields).to_string())
}

/// Trains by a plan and writes the model directory.
pub(crate) fn train(global: &Global, plan: &Plan) -> Result<Trained> {
    let config = config_of(plan)?;
    let Config { context_length, prediction_length, .. } = config;
    let shape = WindowShape { context_length, prediction_length, step: 1 };
    let prepared = prepare(&plan.set, &plan.split, shape, true, None)?;
    let model = Model::new(config, plan.training.init, plan.training.seed)?;
    let num_parameters = model.layout().num_trained();
    remark(global, &summary(&plan.source, &plan.set));
    plan.set.repairs.notes().iter().for_each(|note| remark(global, &format!("  {note}")));
    remark(
        global,
        &format!(
            "{} training and {} validation windows of {context_length} + {prediction_length} steps \
             (split {}), {num_parameters} parameters",
            prepared.train.len(),
            prepared.validation.len(),
            plan.split
        ),
    );
    check_writable(&plan.out)?;
    let preprocessor = preprocessor_of(plan, &prepared);
    let began = Instant::now();
    let (model, history) = optimise(global, plan, &prepared, model, &preprocessor)?;
    let record = Record {
        version: env!("CARGO_PKG_VERSION").into(),
        instruction_set: ptsm::instruction_set()?.name().into(),
        dataset: plan.source.name.clone(),
        split: plan.split,
        train_windows: prepared.train.len(),
        validation_windows: prepared.validation.len(),
        num_parameters,
        training: plan.training.clone(),
        history,
    };
    save(&plan.out, &model, &preprocessor)?;
    let text = serde_json::to_string_pretty(&record)
        .map_err(|e| Error::internal("training.json cannot be written").because(e))?;
    write_text(&plan.out.join(TRAINING_FILE), &(text + "\n"))?;
    Ok(Trained { record, prepared, seconds: began.elapsed().as_secs_f64() })
}

fn preprocessor_of(plan: &Plan, prepared: &Prepared) -> Preprocessor {
    Preprocessor {
        dataset: plan.source.name.clone(),
        channels: plan.set.channels.clone(),
        roles: plan.set.roles.clone(),
        frequency: plan.set.frequency,
        grid: plan.grid,
        seasonal_period: plan.source.seasonal_period(&plan.set),
        split: plan.split,
        standardiser: prepared.standardiser.clone(),
    }
}

fn save(dir: &Path, model: &Model, preprocessor: &Preprocessor) -> Result<()> {
    preprocessor.save(dir)?;
    model.save(dir)
}

/// Finds out before hours of work whether the folder can be written.
fn check_writable(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
    let probe = tempfile::NamedTempFile::new_in(dir);
    probe.map(|_| ()).map_err(|e| Error::io(dir, "cannot be written to", e))
}

/// The loop with its progress; every better epoch is saved as a whole model directory.
fn optimise(
    global: &Global,
    plan: &Plan,
    prepared: &Prepared,
    model: Model,
    preprocessor: &Preprocessor,
) -> Result<(Model, History)> {
    let trainer = Trainer {
        training: &plan.training,
        data: TrainData { train: &prepared.train, validation: &prepared.validation },
        dir: Some(plan.out.clone()),
        resume: plan.resume,
    };
    let steps = prepared.train.len().div_ceil(plan.training.batch_size) as u64;
    let mut progress = Progress::new(global, "training", steps * u64::from(plan.training.epochs));
    let mut failure = None;
    let outcome = trainer.run(model, &mut |event| {
        match event {
            Event::Resumed { step, total_steps } => {
                progress.line(&format!("resumed after step {step} of {total_steps}"));
            }
            Event::Step { epoch, step, loss, .. } => {
                progress.update(*step, &format!("epoch {epoch}, loss {loss:.4}"));
            }
            Event::Epoch { epoch, best, best_model } => {
                progress.line(&format!(
                    "epoch {:3}  train {:.4}  validation {:.4} (MAE {:.4}){}  {:.1} s",
                    epoch.epoch,
                    epoch.train_loss,
                    epoch.validation_mse,
                    epoch.validation_mae,
                    if *best { " *" } else { "" },
                    epoch.seconds
                ));
                if *best && let Err(error) = save(&plan.out, best_model, preprocessor) {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    });
    progress.finish();
    match failure {
        Some(error) => Err(error),
        None => outcome.map(|outcome| (outcome.model, outcome.history)),
    }
}
