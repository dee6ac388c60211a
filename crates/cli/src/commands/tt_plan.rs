//! `ptsm tt-plan`: prints the Tenstorrent program of a model, and its predicted figures.

use std::path::PathBuf;

use ptsm::core::Init;
use ptsm::{Error, Model, Result};
use ptsm_tenstorrent::{Arch, Optimisation, Options, Plan, Variant, compare, plan};
use serde_json::{Value, json};

use crate::commands::shapes::Shape;
use crate::global::Global;
use crate::output::answer;

/// Options of `tt-plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory
    #[arg(long, value_name = "DIR", conflicts_with = "shape", required_unless_present = "shape")]
    model: Option<PathBuf>,
    /// A named shape with random weights
    #[arg(long)]
    shape: Option<Shape>,
    /// Samples of a request
    #[arg(long, value_name = "B", default_value_t = 32)]
    batch: usize,
    /// Product: wormhole-n150, wormhole-n300 or blackhole-p150
    #[arg(long, default_value = "wormhole-n150")]
    arch: Arch,
    /// Optimisations that the planner may use: fold, layout, fusion, kernels, l1, bfloat8-weights,
    /// trace, two-queues
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    optimisations: Option<Vec<Optimisation>>,
    /// Also the figures without optimisations, and then with one more in every line
    #[arg(long)]
    compare: bool,
    /// Leave out the program
    #[arg(long)]
    no_program: bool,
}

/// Plans and prints.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    if args.batch == 0 {
        return Err(Error::config("--batch", "0 must be at least 1"));
    }
    let model = match (&args.model, args.shape) {
        (Some(dir), _) => Model::from_dir(dir)?,
        (None, shape) => Model::new(shape.unwrap_or(Shape::Seed).config(), Init::PyTorch, 1)?,
    };
    let mut options = Options { arch: args.arch, ..Options::default() };
    if let Some(chosen) = &args.optimisations {
        options.optimisations.clone_from(chosen);
    }
    let Plan { program, report, .. } = plan(&model, &options, args.batch)?;
    let variants = match args.compare {
        true => compare(&model, &options, args.batch)?,
        false => Vec::new(),
    };
    let mut text = String::new();
    if !args.no_program {
        text += &format!("{program}\n");
    }
    text += &report.to_string();
    if args.compare {
        text += &format!("\n{}", table(&variants));
    }
    let to_json = |value: std::result::Result<Value, serde_json::Error>| {
        value.map_err(|e| Error::internal("the plan cannot be written as JSON").because(e))
    };
    let mut value = to_json(serde_json::to_value(&report))?;
    value["arch"] = json!(args.arch);
    value["optimisations"] = json!(options.optimisations);
    if args.compare {
        value["variants"] = to_json(serde_json::to_value(&variants))?;
    }
    if !args.no_program {
        value["program"] = to_json(serde_json::to_value(&program))?;
    }
    answer(global, &value, &text)
}

fn table(variants: &[Variant]) -> String {
    let mut text = "switched on        ops  waste    L1 KiB    NoC MiB   DRAM MiB  upload KiB  us a run  sequences/s\n".to_owned();
    for Variant { with, report } in variants {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let name = if *with == "none" { (*with).to_owned() } else { format!("+ {with}") };
        text += &format!(
            "{name:<18} {:>3} {:>5.1}% {:>9.1} {:>10.2} {:>10.2} {:>11.1} {:>9.0} {:>12.0}\n",
            report.device_ops,
            100.0 * report.tile_waste,
            report.l1_peak_bytes as f64 / 1024.0,
            mib(report.noc_bytes),
            mib(report.dram_bytes),
            report.upload_bytes as f64 / 1024.0,
            report.work_us + report.start_us,
            report.predicted_sequences_per_s,
        );
    }
    text + "all times are predictions of the cost model; nothing here was measured on a device\n"
}
