//! `ptsm bench`: times a model's forecasts, and compares their speed with the machine's peak.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ptsm::core::{ForwardOptions, Init};
use ptsm::data::Batch;
use ptsm::{Error, Model, Prediction, Result, Session};
use serde::Serialize;

use super::bench_train;
use super::shapes::{Shape, windows};
use super::timing::{beside_peak, quantile, rayon_pool, share_text, warning};
use crate::global::{Global, check_threads};
use crate::output::{answer, remark};
use ptsm_backends::open;

/// Largest difference from the definition in f64 that is timed, relative to the largest number.
const TOLERANCE: f64 = 1e-4;
/// The same for backends whose numbers have eight bits.
const BFLOAT16_TOLERANCE: f64 = 3e-2;
/// Fewest calls that a percentile is taken from.
const MIN_CALLS: usize = 5;

/// Options of `bench`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("subject").args(["model", "shape"]).required(true)))]
pub(crate) struct Args {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A named shape with random weights
    #[arg(long, value_name = "NAME")]
    shape: Option<Shape>,
    /// Batch sizes
    #[arg(long, value_name = "B,...", value_delimiter = ',', default_values_t = [1, 8, 32, 128])]
    batch: Vec<usize>,
    /// Numbers of threads; 1 and all cores if not given
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Time training steps with dropout (forward, backward, AdamW) in place of forecasts
    #[arg(long)]
    train: bool,
    /// Seconds for each line
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Backend that computes: cpu, tenstorrent or tenstorrent-emulator (whose time says nothing of
    /// a device's)
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    backend: String,
}

/// One line: a batch size on a number of threads.
#[derive(Debug, Serialize)]
struct Line {
    batch: usize,
    threads: usize,
    /// Latency of one call.
    p50_ms: f64,
    p99_ms: f64,
    best_ms: f64,
    /// At the median latency.
    sequences_per_s: f64,
    gflops: f64,
    /// Share of this machine's peak; `None` for work on a device, and where the machine was so busy
    /// that it would be above 1.
    share_of_peak: Option<f64>,
    /// Why share and times are unreliable; `None` on a quiet machine.
    disturbed: Option<String>,
    /// The multiply-add peak of this many threads, measured around this line.
    peak_gflops: f64,
    calls: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Peak of one core.
    peak_gflops: f64,
    instruction_set: &'static str,
    backend: String,
    flops_per_sequence: u64,
    num_parameters: usize,
    load_ms: f64,
    /// Difference from the definition in f64 (in f32 if memory is short), relative to the largest
    /// number.
    max_rel_error: f64,
    /// Most memory of the process while it forecast, in bytes, without that of the check.
    peak_memory_bytes: Option<u64>,
    results: Vec<Line>,
}

/// Checks, times, prints.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let positive = |name: &str, values: &[usize]| match values.contains(&0) {
        true => Err(Error::config(name, "0 must be at least 1")),
        false => Ok(()),
    };
    positive("--batch", &args.batch)?;
    args.threads.iter().try_for_each(|&threads| check_threads("--threads", threads))?;
    if !(args.seconds > 0.0 && args.seconds.is_finite()) {
        return Err(Error::config("--seconds", format!("{} must be above 0", args.seconds)));
    }
    let model = match (&args.model, args.shape) {
        (Some(dir), _) => Model::from_dir(dir)?,
        (None, shape) => Model::new(shape.unwrap_or(Shape::Seed).config(), Init::PyTorch, 1)?,
    };
    if args.train {
        let setting = bench_train::Setting {
            batches: &args.batch,
            threads: &threads(args),
            seconds: args.seconds,
        };
        return bench_train::run(global, &setting, &model);
    }
    let report = measure(global, args, &model)?;
    answer(global, &report, &table(&report))
}

fn measure(global: &Global, args: &Args, model: &Model) -> Result<Report> {
    let isa = ptsm::core::instruction_set()?;
    let began = Instant::now();
    let on_cpu = args.backend == "cpu";
    let mut session = open(&args.backend)?.load(model)?.session()?;
    let load_ms = milliseconds(began.elapsed());
    let flops = 2 * model.network().multiply_adds();
    let tolerance = if on_cpu { TOLERANCE } else { BFLOAT16_TOLERANCE };
    let max_rel_error = check(model, session.as_mut(), tolerance)?;
    let counts_memory = ptsm::core::reset_peak_memory();
    let mut results: Vec<Line> = Vec::new();
    // Only the CPU backend uses our threads.
    let counts = if on_cpu { threads(args) } else { vec![1] };
    for threads in counts {
        let pool = rayon_pool(threads)?;
        for &size in &args.batch {
            remark(global, &format!("batch {size} on {threads} threads"));
            let batch = windows(model.config(), size);
            let gflops_of = |times: &[f64]| flops as f64 * size as f64 / quantile(times, 0.5) / 1e9;
            let (times, peak) = beside_peak(&pool, isa, || {
                let times = time(session.as_mut(), &batch, args.seconds)?;
                let gflops = gflops_of(&times);
                Ok((times, gflops))
            })?;
            let (p50, gflops) = (quantile(&times, 0.5), gflops_of(&times));
            results.push(Line {
                batch: size,
                threads,
                p50_ms: 1e3 * p50,
                p99_ms: 1e3 * quantile(&times, 0.99),
                best_ms: 1e3 * times[0],
                sequences_per_s: size as f64 / p50,
                gflops,
                share_of_peak: peak.share(gflops).filter(|_| on_cpu),
                peak_gflops: peak.gflops,
                disturbed: peak.disturbed.filter(|_| on_cpu),
                calls: times.len(),
            });
        }
    }
    let per_core = results.iter().map(|line| line.peak_gflops / line.threads as f64);
    Ok(Report {
        peak_gflops: per_core.fold(0.0, f64::max),
        instruction_set: isa.name(),
        backend: args.backend.clone(),
        flops_per_sequence: flops,
        num_parameters: model.layout().num_trained(),
        load_ms,
        max_rel_error,
        peak_memory_bytes: ptsm::core::peak_memory().filter(|_| counts_memory),
        results,
    })
}

fn threads(args: &Args) -> Vec<usize> {
    if !args.threads.is_empty() {
        return args.threads.clone();
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 { vec![1, cores] } else { vec![1] }
}

/// Largest difference of one window from the definition, relative to the largest number.
fn check(model: &Model, session: &mut dyn Session, tolerance: f64) -> Result<f64> {
    let batch = windows(model.config(), 1);
    let mut out = Prediction::default();
    session.forward(&batch, &mut out)?;
    let wanted = defined(model, batch)?;
    let largest = wanted.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
    let difference = |(&x, y): (&f32, &f64)| (f64::from(x) - y).abs() / largest;
    let differences = out.numbers.iter().zip(&wanted).map(difference);
    // `f64::max` ignores NaN, which must not pass.
    let worst = differences.fold(0.0, |max, d| if d.is_nan() { f64::INFINITY } else { d.max(max) });
    if worst > tolerance || out.numbers.len() != wanted.len() {
        let text = format!("the forecast is {worst:.1e} off the definition, so it is not timed");
        return Err(Error::internal(text));
    }
    Ok(worst)
}

/// The forecast by the definition: in f64, or in f32 if weights in f64 do not fit into memory.
fn defined(model: &Model, batch: Batch) -> Result<Vec<f64>> {
    let bytes = (model.layout().num_trained() * 3 * size_of::<f64>()) as u64;
    if ptsm::core::available_memory()?.is_some_and(|available| available < bytes) {
        let found = model.forward(&batch, ForwardOptions::default())?.outputs.prediction;
        return Ok(found.into_iter().map(f64::from).collect());
    }
    Ok(model.cast::<f64>().forward(&batch.cast(), ForwardOptions::default())?.outputs.prediction)
}

/// Seconds of each call, ascending, after a few calls that warm up.
fn time(session: &mut dyn Session, batch: &Batch, seconds: f64) -> Result<Vec<f64>> {
    let mut out = Prediction::default();
    let warm_up = Instant::now();
    session.forward(batch, &mut out)?;
    while warm_up.elapsed().as_secs_f64() < 0.1 * seconds {
        session.forward(batch, &mut out)?;
    }
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < MIN_CALLS || began.elapsed().as_secs_f64() < seconds {
        let call = Instant::now();
        session.forward(batch, &mut out)?;
        times.push(call.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn milliseconds(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "{:.2} MFLOP a sequence; one core of {} does {:.1} GFLOP/s at most; loaded in {:.1} ms; {:.1e} \
         off the definition{}\n",
        report.flops_per_sequence as f64 / 1e6,
        report.instruction_set,
        report.peak_gflops,
        report.load_ms,
        report.max_rel_error,
        report
            .peak_memory_bytes
            .map_or(String::new(), |b| format!("; {} at most", ptsm::core::in_words(b))),
    );
    text += "batch threads     p50 ms     p99 ms    best ms  sequences/s  GFLOP/s  of peak\n";
    for line in &report.results {
        text += &format!(
            "{:>5} {:>7} {:>10.3} {:>10.3} {:>10.3} {:>12.0} {:>8.1} {:>8}\n",
            line.batch,
            line.threads,
            line.p50_ms,
            line.p99_ms,
            line.best_ms,
            line.sequences_per_s,
            line.gflops,
            share_text(line.share_of_peak, line.disturbed.as_ref()),
        );
    }
    text + &warning(report.results.iter().map(|line| &line.disturbed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.5), 50.0);
        assert_eq!(quantile(&sorted, 0.99), 99.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn the_named_shapes_cost_what_they_are_known_for() {
        let mflop =
            |shape: Shape| 2.0 * shape.config().network().unwrap().multiply_adds() as f64 / 1e6;
        assert_eq!(format!("{:.2}", mflop(Shape::Seed)), "24.43");
        assert_eq!(format!("{:.1}", mflop(Shape::Notebook)), "38.5");
        assert_eq!(format!("{:.0}", mflop(Shape::Large)), "418");
        assert_eq!(Shape::Long.config().num_patches(), 2048);
        assert!(Shape::Wide.config().mixes_channels());
    }
}
