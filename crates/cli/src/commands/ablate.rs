//! `ptsm ablate`: the ways in which channels can see each other, with and without each
//! reconciliation head, by one recipe.

use std::path::PathBuf;

use ptsm::data::{Prepared, Split, WindowShape, prepare};
use ptsm::evaluate::{Coherence, EvaluateOptions, evaluate};
use ptsm::train::{Event, Recipe, Samples, Subset, TrainData, Trainer, Training};
use ptsm::{Backend, Config, Cpu, Error, Init, Model, Prediction, Result, Session, Task};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::output::{answer, remark, write_text};
use crate::progress::Progress;
use crate::source::{DataArgs, summary};
use crate::statistics::spread;

/// Options of `ablate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// TOML file with the tables model and training, as for `train`
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Borders of the parts; the data set's own, or 7:1:2, if not given
    #[arg(long)]
    split: Option<Split>,
    /// Seeds; the table shows mean and spread
    #[arg(long, value_delimiter = ',', default_value = "0,1,2", value_name = "N,...")]
    seeds: Vec<u64>,
    /// Steps per segment of the hierarchical head
    #[arg(long, default_value_t = 24)]
    segment_length: usize,
    /// Steps on either side that the cross-channel head sees
    #[arg(long, default_value_t = 1)]
    cross_channel_context: usize,
    /// Train on the last share of the training windows only
    #[arg(long, value_name = "SHARE")]
    few_shot: Option<f64>,
    /// File for everything that was measured (.json)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// One row of the table.
#[derive(Debug, Clone, Serialize)]
struct Row {
    name: String,
    mode: &'static str,
    hierarchy: bool,
    cross_channel: bool,
    parameters: usize,
    seeds: Vec<u64>,
    mse: Vec<f64>,
    mae: Vec<f64>,
    /// Coherence of sums and steps at the start and at the end, where there are sums.
    coherence: Vec<(Coherence, Coherence)>,
}

/// A choice of mode and heads.
struct Variant {
    mode: &'static str,
    hierarchy: bool,
    cross_channel: bool,
}

impl Variant {
    /// Independent, mixing and hybrid channels, each with and without sums, and mixing channels
    /// with the cross-channel head as well.
    fn all() -> Vec<Variant> {
        let mut all = Vec::new();
        for mode in ["common_channel", "mix_channel"] {
            for cross_channel in [false, true] {
                for hierarchy in [false, true] {
                    all.push(Variant { mode, hierarchy, cross_channel });
                }
            }
        }
        all
    }

    fn name(&self) -> String {
        let mode = match (self.mode, self.cross_channel) {
            ("mix_channel", true) => "mixing + cross-channel head",
            ("mix_channel", false) => "mixing",
            (_, true) => "hybrid (cross-channel head)",
            (_, false) => "independent",
        };
        if self.hierarchy { format!("{mode} + hierarchy") } else { mode.to_owned() }
    }
}

/// Trains every variant with every seed.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let recipe = Recipe::from_file(&args.recipe)?;
    let source = args.data.read(global)?;
    let set = args.data.series(&source)?;
    remark(global, &summary(&source, &set));
    let base = config(args, &recipe.model, set.channels.len(), &Variant::all()[0])?;
    let shape = WindowShape {
        context_length: base.context_length,
        prediction_length: base.prediction_length,
        step: recipe.training.window_step,
    };
    let split = args.split.unwrap_or_else(|| source.default_split());
    let prepared = prepare(&set, &split, shape, Some(recipe.training.transform), None)?;
    let variants = Variant::all();
    let runs = (variants.len() * args.seeds.len()) as u64;
    let mut progress = Progress::new(global, "runs", runs);
    let mut rows = Vec::new();
    for variant in &variants {
        let config = config(args, &recipe.model, set.channels.len(), variant)?;
        let mut row = Row {
            name: variant.name(),
            mode: variant.mode,
            hierarchy: variant.hierarchy,
            cross_channel: variant.cross_channel,
            parameters: Model::new(config.clone(), Init::PyTorch, 0)?.layout().num_trained(),
            seeds: args.seeds.clone(),
            mse: Vec::new(),
            mae: Vec::new(),
            coherence: Vec::new(),
        };
        for &seed in &args.seeds {
            let training = Training { seed, ..recipe.training.clone() };
            one_run(args, (&config, &training), &prepared, &mut row)?;
            let done = (rows.len() * args.seeds.len() + row.mse.len()) as u64;
            progress.update(done, &row.name);
        }
        progress.line(&line(&row));
        rows.push(row);
    }
    progress.finish();
    report(global, args, &source.name, &rows)
}

fn config(
    args: &Args,
    fields: &Map<String, Value>,
    channels: usize,
    variant: &Variant,
) -> Result<Config> {
    let mut fields = fields.clone();
    let mut extension = Map::new();
    if variant.hierarchy {
        extension.insert("hierarchy".into(), json!({"segment_length": args.segment_length}));
    }
    if variant.cross_channel {
        let cross = json!({"context_length": args.cross_channel_context});
        extension.insert("cross_channel".into(), cross);
    }
    fields.insert("mode".into(), variant.mode.into());
    fields.insert("num_input_channels".into(), channels.into());
    fields.insert("model_type".into(), ptsm::MODEL_TYPE.into());
    fields.insert("architectures".into(), json!([Task::Forecasting.architecture()]));
    if !extension.is_empty() {
        fields.insert("ptsm".into(), extension.into());
    }
    Config::from_json(&Value::Object(fields).to_string()).map_err(|e| e.at(variant.name()))
}

fn one_run(
    args: &Args,
    (config, training): (&Config, &Training),
    prepared: &Prepared,
    row: &mut Row,
) -> Result<()> {
    let model = Model::new(config.clone(), training.init, training.seed)?;
    let few = args.few_shot.map(|share| Subset::last(&prepared.train, share)).transpose()?;
    let data = TrainData {
        train: few.as_ref().map_or(&prepared.train as &dyn Samples, |few| few),
        validation: &prepared.validation,
    };
    let trainer = Trainer { training, data, dir: None, resume: false };
    let start = model.clone();
    let trained =
        trainer.run(model, &mut |_: &Event<'_>| std::ops::ControlFlow::Continue(()))?.model;
    if row.hierarchy {
        let of = |model: &Model| Coherence::new(model, &prepared.test);
        row.coherence.push((of(&start)?, of(&trained)?));
    }
    let mut session = Cpu::default().load(&trained)?.session()?;
    let options = EvaluateOptions {
        batch_size: 256,
        channels: Some(config.prediction_channels()),
        ..EvaluateOptions::default()
    };
    let mut forecast = |batch: &ptsm::data::Batch| {
        let mut output = Prediction::default();
        Session::forward(session.as_mut(), batch, &mut output)?;
        Ok(output.prediction)
    };
    let metrics = evaluate(&mut forecast, &prepared.test, &options)?;
    row.mse.push(metrics.mse);
    row.mae.push(metrics.mae);
    Ok(())
}

fn line(row: &Row) -> String {
    let ((mse, mse_spread), (mae, mae_spread)) = (spread(&row.mse), spread(&row.mae));
    let mut text = format!(
        "{:39} {mse:.4} +- {mse_spread:.4}   {mae:.4} +- {mae_spread:.4}   {:>9}",
        row.name, row.parameters
    );
    if let [first, ..] = row.coherence.as_slice() {
        let last = row.coherence.iter().map(|pair| pair.1.relative).collect::<Vec<f64>>();
        text += &format!("   {:.3} -> {:.3}", first.0.relative, spread(&last).0);
    }
    text
}

fn report(global: &Global, args: &Args, dataset: &str, rows: &[Row]) -> Result<()> {
    let value = json!({
        "dataset": dataset, "seeds": args.seeds, "few_shot": args.few_shot,
        "segment_length": args.segment_length,
        "cross_channel_context": args.cross_channel_context, "rows": rows,
    });
    if let Some(path) = &args.out {
        let text = serde_json::to_string_pretty(&value)
            .map_err(|e| Error::internal("the report cannot be written").because(e))?;
        write_text(path, &(text + "\n"))?;
    }
    let mut text = format!(
        "{:39} {:18}  {:18}  {:>9}   incoherence\n",
        format!("{dataset}, {} seeds", args.seeds.len()),
        "MSE",
        "MAE",
        "parameters"
    );
    rows.iter().for_each(|row| text += &(line(row) + "\n"));
    answer(global, &value, &text)
}
