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
    let runs = (ablation.num_rows() * args.seeds.len()) as u64;
    let mut progress = Progress::new(global, "runs", runs);
    let (name, mut done) = (data.name.clone(), 0);
    let rows = ablation.run(&data.into(), &mut |row, _| {
        done += 1;
        progress.update(done, &row.name);
        if row.mse.len() == row.seeds.len() {
            progress.line(&line(row));
        }
    })?;
    progress.finish();
    report(global, args, &name, &rows)
}

fn line(row: &AblationRow) -> String {
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

fn report(global: &Global, args: &Args, dataset: &str, rows: &[AblationRow]) -> Result<()> {
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
