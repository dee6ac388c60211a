//! `ptsm bench --train`: times a model's training steps.

use std::time::Instant;

use ptsm::core::{ForwardOptions, OutputKind};
use ptsm::data::Batch;
use ptsm::train::{LossOptions, Samples, Stepper, Training, loss, loss_weight};
use ptsm::{Config, Error, Model, Result};
use serde::Serialize;

use super::shapes::windows;
use super::timing::{beside_peak, quantile, rayon_pool, share_text, warning};
use crate::global::Global;
use crate::output::{answer, remark};

/// Largest difference from the definition's gradient, relative to its largest number.
const TOLERANCE: f64 = 1e-3;
/// Fewest steps that a median is taken from.
const MIN_STEPS: usize = 5;

/// What is measured.
pub(super) struct Setting<'a> {
    pub(super) batches: &'a [usize],
    pub(super) threads: &'a [usize],
    pub(super) seconds: f64,
}

/// One line: a batch size on a number of threads.
#[derive(Debug, Serialize)]
struct Line {
    batch: usize,
    threads: usize,
    /// Of one step.
    p50_ms: f64,
    best_ms: f64,
    /// At the median.
    samples_per_s: f64,
    /// Three times the forward's multiply-adds.
    gflops: f64,
    /// `None` where the machine was so busy that it would be above 1.
    share_of_peak: Option<f64>,
    /// Why share and times are unreliable; `None` on a quiet machine.
    disturbed: Option<String>,
    peak_gflops: f64,
    steps: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    instruction_set: &'static str,
    num_parameters: usize,
    flops_per_sample: u64,
    dropout: f64,
    head_dropout: f64,
    /// Of the gradient, against the definition, relative to the largest number.
    max_rel_error: f64,
    train: Vec<Line>,
}

/// Windows with their true values, as samples of the trainer.
struct Repeated(Batch);

impl Samples for Repeated {
    fn len(&self) -> usize {
        self.0.size()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        self.0.select(indices)
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn describe(&self) -> String {
        "windows".into()
    }
}

/// Checks, times, prints.
pub(super) fn run(global: &Global, setting: &Setting<'_>, model: &Model) -> Result<()> {
    let isa = ptsm::core::instruction_set()?;
    let config = model.config();
    let flops = 3 * 2 * model.network().multiply_adds();
    let max_rel_error = check(model)?;
    let mut lines = Vec::new();
    for &threads in setting.threads {
        let pool = rayon_pool(threads)?;
        for &size in setting.batches {
            remark(global, &format!("training, batch {size} on {threads} threads"));
            let samples = samples(config, size)?;
            let gflops_of = |times: &[f64]| flops as f64 * size as f64 / quantile(times, 0.5) / 1e9;
            let (times, peak) = beside_peak(&pool, isa, || {
                let times = time(model, &samples, setting.seconds)?;
                let gflops = gflops_of(&times);
                Ok((times, gflops))
            })?;
            let (p50, gflops) = (quantile(&times, 0.5), gflops_of(&times));
            lines.push(Line {
                batch: size,
                threads,
                p50_ms: 1e3 * p50,
                best_ms: 1e3 * times[0],
                samples_per_s: size as f64 / p50,
                gflops,
                share_of_peak: peak.share(gflops),
                peak_gflops: peak.gflops,
                disturbed: peak.disturbed,
                steps: times.len(),
            });
        }
    }
    let report = Report {
        instruction_set: isa.name(),
        num_parameters: model.layout().num_trained(),
        flops_per_sample: flops,
        dropout: config.dropout,
        head_dropout: config.head_dropout,
        max_rel_error,
        train: lines,
    };
    answer(global, &report, &table(&report))
}

fn samples(config: &Config, size: usize) -> Result<Repeated> {
    let batch = windows(config, size);
    let numbers = |len: usize| (0..len).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
    let batch = match OutputKind::of(config)? {
        OutputKind::Logits => {
            let classes = config.num_targets.max(1);
            let of: Vec<f32> = (0..size).map(|i| (i % classes) as f32).collect();
            batch.with_target_values(of)?
        }
        OutputKind::Values(_) => batch.with_target_values(numbers(size * config.num_targets))?,
        OutputKind::Patches => batch,
        _ => {
            let points = size * config.prediction_length * config.num_input_channels;
            batch.with_future_values(numbers(points))?
        }
    };
    Ok(Repeated(batch))
}

/// Largest difference of the gradient of two samples from the definition's, relative to the largest
/// number.
fn check(model: &Model) -> Result<f64> {
    if *model.output().kind() == OutputKind::Patches {
        // Only the trainer can repeat its random masks; our tests compare its gradients.
        return Ok(0.0);
    }
    let samples = samples(model.config(), 2)?;
    let mut stepper = Stepper::new(model.clone(), &Training::default())?;
    let (_, got) = stepper.gradient(&samples, &[0, 1])?;
    let batch = samples.batch(&[0, 1]);
    let mode = ForwardOptions {
        train_norm: true,
        dropout: Some(stepper.dropout()),
        ..ForwardOptions::default()
    };
    let options = LossOptions::default();
    let forward = model.forward(&batch, mode)?;
    let weight = loss_weight(model, &batch, &options)?;
    let found = loss(model, &batch, &forward, weight, &options)?;
    let mut wanted = vec![0.0; got.len()];
    model.backward(&batch, &forward, &found.gradient, &mut wanted, mode);
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |max, x| max.max(x.abs()));
    let differences = got.iter().zip(&wanted).map(|(x, y)| f64::from((x - y).abs() / largest));
    let worst = differences.fold(0.0, |max, d| if d.is_nan() { f64::INFINITY } else { d.max(max) });
    if worst > TOLERANCE {
        let text = format!("the gradient is {worst:.1e} off the definition, so it is not timed");
        return Err(Error::internal(text));
    }
    Ok(worst)
}

/// Seconds of each step, ascending, after some that warm up.
fn time(model: &Model, samples: &Repeated, seconds: f64) -> Result<Vec<f64>> {
    let training = Training { learning_rate: 1e-4, ..Training::default() };
    let mut stepper = Stepper::new(model.clone(), &training)?;
    let indices: Vec<usize> = (0..samples.len()).collect();
    let warm_up = Instant::now();
    stepper.step(samples, &indices)?;
    while warm_up.elapsed().as_secs_f64() < 0.1 * seconds {
        stepper.step(samples, &indices)?;
    }
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < MIN_STEPS || began.elapsed().as_secs_f64() < seconds {
        let step = Instant::now();
        stepper.step(samples, &indices)?;
        times.push(step.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "{:.2} MFLOP a sample and step; {} parameters; dropout {} and {}; gradient {:.1e} off the definition\n",
        report.flops_per_sample as f64 / 1e6,
        report.num_parameters,
        report.dropout,
        report.head_dropout,
        report.max_rel_error,
    );
    text += "batch threads     p50 ms    best ms    samples/s  GFLOP/s  of peak\n";
    for line in &report.train {
        text += &format!(
            "{:>5} {:>7} {:>10.3} {:>10.3} {:>12.0} {:>8.1} {:>8}\n",
            line.batch,
            line.threads,
            line.p50_ms,
            line.best_ms,
            line.samples_per_s,
            line.gflops,
            share_text(line.share_of_peak, line.disturbed.as_ref()),
        );
    }
    text + &warning(report.train.iter().map(|line| &line.disturbed))
}
