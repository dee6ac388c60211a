//! `ptsm ablate`: compares the channel modes, with and without each reconciliation head, by one
//! recipe.

use std::path::PathBuf;

use ptsm::data::Split;
use ptsm::job::{Ablation, AblationRow, spread};
use ptsm::spec::DataSpec;
use ptsm::train::Recipe;
use ptsm::{Error, Result};
use serde_json::json;

use crate::global::Global;
use crate::output::{answer, remark, write_text};
use crate::progress::Progress;
use crate::source::{DataArgs, read_series, summary};
use crate::words::counted;

/// Options of `ablate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TOML file with the tables model and training, as for `train`
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Borders of the parts; the data set's own, or 7:1:2, if not given
    #[arg(long)]
    split: Option<Split>,
    /// Seeds; the table shows mean and spread
    #[arg(long, value_delimiter = ',', default_value = "0,1,2", value_name = "N,...")]
    seeds: Vec<u64>,
    /// Steps per segment of the hierarchical head [default: the most that divide the horizon, up to 24]
    #[arg(long)]
    segment_length: Option<usize>,
    /// Steps on either side that the cross-channel head sees
    #[arg(long, default_value_t = 1)]
    cross_channel_context: usize,
    /// Train on the last share of the training windows only
    #[arg(long, value_name = "SHARE")]
    few_shot: Option<f64>,
    /// File for everything that was measured (.json)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

/// Trains every variant with every seed.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let recipe = Recipe::from_file(&args.recipe)?;
    let flags = DataSpec { split: args.split, ..args.data.spec() };
    let (data, _) = read_series(global, &recipe.data.clone().with(&flags))?;
    remark(global, &summary(&data.name, &data.set));
    let ablation = Ablation {
        recipe,
        seeds: args.seeds.clone(),
        segment_length: args.segment_length,
        cross_channel_context: args.cross_channel_context,
        few_shot: args.few_shot,
    };
    if ablation.without_heads() {
        remark(global, "no rows with reconciliation heads: they need a point forecast");
    }
    let (name, data) = (data.name.clone(), data.into());
    let segment_length = match ablation.without_heads() {
        true => None,
        false => Some(ablation.segment_length(&data)?),
    };
    if let (Some(steps), None) = (segment_length, args.segment_length) {
        let text = format!("hierarchy: sums of segments of {steps} steps (--segment-length)");
        remark(global, &text);
    }
    let runs = (ablation.num_rows() * args.seeds.len()) as u64;
    let mut progress = Progress::new(global, "runs", runs);
    let mut done = 0;
    let rows = ablation.run(&data, &mut |row, _| {
        done += 1;
        progress.update(done, &row.name);
        if row.mse.len() == row.seeds.len() {
            progress.line(&told(row));
        }
    })?;
    progress.finish();
    report(global, args, &Compared { dataset: name, segment_length, rows })
}

/// What an ablation found.
struct Compared {
    dataset: String,
    /// Steps per segment of the hierarchical head, if there are rows with one.
    segment_length: Option<usize>,
    rows: Vec<AblationRow>,
}

/// A row that is finished, before the table is.
fn told(row: &AblationRow) -> String {
    format!("{}: MSE {}, MAE {}", row.name, with_spread(&row.mse), with_spread(&row.mae))
}

/// The mean over the seeds, and their deviation where there are several.
fn with_spread(errors: &[f64]) -> String {
    let (mean, deviation) = spread(errors);
    match errors.len() {
        1 => format!("{mean:.4}"),
        _ => format!("{mean:.4} +- {deviation:.4}"),
    }
}

/// Width of the names of the rows.
const NAMES: usize = 39;

/// A row of the table; `best` are the least mean MSE and MAE.
fn line(row: &AblationRow, best: &Best) -> String {
    let cell = |errors: &[f64], best: f64| {
        let mark = if spread(errors).0 == best { "*" } else { " " };
        format!("{}{mark}", with_spread(errors))
    };
    let (mse, mae) = (cell(&row.mse, best.mse), cell(&row.mae, best.mae));
    let width = best.width;
    let mut text =
        format!("{:NAMES$} {mse:>width$} {mae:>width$} {:>10}", row.name, row.parameters);
    if let [first, ..] = row.coherence.as_slice() {
        let last = row.coherence.iter().map(|pair| pair.1.relative).collect::<Vec<f64>>();
        text += &format!("  {:.3} -> {:.3}", first.0.relative, spread(&last).0);
    }
    text
}

/// What the rows of the table have in common.
struct Best {
    mse: f64,
    mae: f64,
    /// Letters of an error with its spread and its mark.
    width: usize,
}

impl Best {
    fn of(rows: &[AblationRow]) -> Self {
        let least = |errors: fn(&AblationRow) -> &Vec<f64>| {
            rows.iter().map(|row| spread(errors(row)).0).fold(f64::INFINITY, f64::min)
        };
        let cells = rows.iter().flat_map(|row| [&row.mse, &row.mae]);
        let width = cells.map(|errors| with_spread(errors).len() + 1).max().unwrap_or(0);
        Self { mse: least(|row| &row.mse), mae: least(|row| &row.mae), width }
    }
}

fn report(global: &Global, args: &Args, compared: &Compared) -> Result<()> {
    let Compared { dataset, segment_length, rows } = compared;
    let value = json!({
        "dataset": dataset, "seeds": args.seeds, "few_shot": args.few_shot,
        "segment_length": segment_length,
        "cross_channel_context": args.cross_channel_context, "rows": rows,
    });
    if let Some(path) = &args.out {
        let text = serde_json::to_string_pretty(&value)
            .map_err(|e| Error::internal("the report cannot be written").because(e))?;
        write_text(path, &(text + "\n"))?;
        remark(global, &format!("measured: {}", path.display()));
    }
    answer(global, &value, &table(dataset, args.seeds.len(), rows))
}

fn table(dataset: &str, seeds: usize, rows: &[AblationRow]) -> String {
    let best = Best::of(rows);
    let width = best.width;
    let name = format!("{dataset}, {}", counted(seeds, "seed"));
    let coherent = rows.iter().any(|row| !row.coherence.is_empty());
    let mut text =
        format!("{name:NAMES$} {:>width$} {:>width$} {:>10}", "MSE ", "MAE ", "parameters");
    text += if coherent { "  incoherence\n" } else { "\n" };
    rows.iter().for_each(|row| text += &(line(row, &best) + "\n"));
    let of = if seeds == 1 { "" } else { "; mean +- deviation over the seeds" };
    text += &format!("\n* = best of its column; test part, in standardised units{of}\n");
    if coherent {
        text += "incoherence: difference between the forecast sums of segments and the sums of the forecast steps, \
                 relative to the\nsums (root mean squares), before -> after training\n";
    }
    text
}
