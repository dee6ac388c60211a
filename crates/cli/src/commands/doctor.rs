//! `ptsm doctor`: shows what this machine offers.

use ptsm::Result;
use ptsm::spec::data_dir;
use ptsm_kernels::{Isa, measure_fma_peak};
use serde_json::json;

use crate::global::Global;
use crate::output::answer;
use crate::version::{COMMIT, version};
use ptsm_backends::NAMES;

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave out the measurement of the multiply-add peak
    #[arg(long)]
    no_measure: bool,
}

/// Collects what is known and prints it.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let available: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
    let chosen = ptsm::core::instruction_set();
    let peak = match (&chosen, args.no_measure) {
        (Ok(isa), false) => Some(measure_fma_peak(*isa)),
        _ => None,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let isa = chosen.as_ref().map_or("none", |isa| isa.name());
    let problem = chosen.as_ref().err().map(ToString::to_string);
    let tenstorrent = ptsm_tenstorrent::doctor();
    let dir = data_dir().display().to_string();
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"), "commit": COMMIT, "cpu": cpu_name(), "cores": cores,
        "instruction_sets": available, "instruction_set": isa, "peak_gflops_per_core": peak,
        "memory_bytes": memory_bytes(), "data_dir": dir, "backends": NAMES,
        "tenstorrent": tenstorrent, "problem": problem,
    });
    let mut text = format!("ptsm {}\n", version());
    let mut line = |name: &str, value: String| text += &format!("{name:18} {value}\n");
    line("CPU", format!("{}, {cores} cores", cpu_name().unwrap_or("unknown".into())));
    if let Some(bytes) = memory_bytes() {
        line("memory", format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)));
    }
    line("instruction sets", format!("{} (used: {isa}; PTSM_ISA lowers it)", available.join(", ")));
    if let Some(peak) = peak {
        line("peak of one core", format!("{peak:.1} GFLOP/s in f32"));
    }
    line("backends", NAMES.join(", "));
    for finding in &tenstorrent {
        let mark = if finding.ready { "" } else { "not there, and needed for its devices alone: " };
        line(finding.name, format!("{mark}{}", finding.text));
    }
    line("data sets", format!("{dir} (PTSM_DATA_DIR moves it)"));
    if let Some(problem) = &problem {
        line("problem", problem.clone());
    }
    answer(global, &value, &text)?;
    chosen.map(|_| ())
}

fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
