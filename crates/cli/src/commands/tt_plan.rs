//! `ptsm tt-plan`: prints the Tenstorrent program of a model, and its predicted figures.

use std::path::PathBuf;

use ptsm::core::Init;
use ptsm::{Error, Model, Result};
use ptsm_tenstorrent::{
    Arch, HostTime, Optimisation, Options, Plan, Tenstorrent, Variant, compare, measure_host, plan,
};
use serde_json::{Value, json};

use crate::commands::shapes::Shape;
use crate::global::Global;
use crate::output::answer;
use crate::words::words;

/// Options of `tt-plan`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("subject").args(["model", "shape"]).required(true)))]
pub(crate) struct Args {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A named shape with random weights
    #[arg(long, value_name = "NAME")]
    shape: Option<Shape>,
    /// Samples of a request
    #[arg(long, value_name = "B", default_value_t = 32)]
    batch: usize,
    /// Chip; of an n300, with two of them, one is planned for
    #[arg(long, value_name = "CHIP", default_value = "wormhole-n150", value_parser = words::<Arch>(Arch::ALL.map(Arch::name)))]
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
    /// Also measure the host's part of a request: the fastest of so many, on the device or simulator of the
    /// environment
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    measure_host: Option<u32>,
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
    let backend = Tenstorrent { options: options.clone(), worker: None };
    let host = args.measure_host.map(|n| measure_host(&model, &backend, args.batch, n as usize));
    let host = host.transpose()?;
    if let Some(host) = &host {
        text += &host_table(host);
    }
    let to_json = |value: std::result::Result<Value, serde_json::Error>| {
        value.map_err(|e| Error::internal("the plan cannot be written as JSON").because(e))
    };
    let mut value = to_json(serde_json::to_value(&report))?;
    value["arch"] = json!(args.arch);
    if let Some(host) = host {
        value["host"] = to_json(serde_json::to_value(host))?;
    }
    value["optimisations"] = json!(options.optimisations);
    if args.compare {
        value["variants"] = to_json(serde_json::to_value(&variants))?;
    }
    if !args.no_program {
        value["program"] = to_json(serde_json::to_value(&program))?;
    }
    answer(global, &value, &text)
}

fn host_table(host: &HostTime) -> String {
    let parts = [
        ("scale, cut", host.prepare_s),
        ("round, write", host.write_s),
        ("pipe, one way", host.pipe_s),
        ("upload, start", host.start_s),
        ("read, widen", host.read_s),
        ("finish", host.finish_s),
    ];
    let mut text = "\nhost, measured     us a request\n".to_owned();
    for (name, seconds) in parts {
        text += &format!("{name:<18} {:>8.0}\n", 1e6 * seconds);
    }
    text + &format!(
        "from windows to the start {:.0} sequences/s; all of these parts {:.0} sequences/s\n",
        host.started_sequences_per_s, host.host_sequences_per_s
    )
}

fn table(variants: &[Variant]) -> String {
    let mut text = "switched on        ops  waste    L1 KiB    NoC MiB   DRAM MiB  upload KiB  us a run   ms a request  sequences/s\n".to_owned();
    for Variant { with, report } in variants {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let name = if *with == "none" { (*with).to_owned() } else { format!("+ {with}") };
        text += &format!(
            "{name:<18} {:>3} {:>5.1}% {:>9.1} {:>10.2} {:>10.2} {:>11.1} {:>9.0} {:>14.3} {:>12.0}\n",
            report.device_ops,
            100.0 * report.tile_waste,
            report.l1_peak_bytes as f64 / 1024.0,
            mib(report.noc_bytes),
            mib(report.dram_bytes),
            report.upload_bytes as f64 / 1024.0,
            report.work_us + report.start_us,
            report.predicted_latency_ms.fitted,
            report.predicted_overlapped_sequences_per_s.fitted,
        );
    }
    text + "all times are predictions of the cost model; nothing here was measured on a device\n"
}
