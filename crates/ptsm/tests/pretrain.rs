//! Training on simulated windows: what is trained on, what is held back, and what the generator costs.

// A failed `unwrap` in a test helper is a failed test; one test prints what the generator costs.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Instant;

use ptsm::core::{Batch, Extension};
use ptsm::pretrain::SimulatedSamples;
use ptsm::simulate::{Mix, Simulator, WindowLengths, Windows};
use ptsm::train::{Samples, TrainData, Trainer, Training};
use ptsm::{Config, Model};

const LENGTHS: WindowLengths = WindowLengths { context: 128, horizon: 24 };

fn windows(seed: u64) -> Windows {
    windows_of(seed, LENGTHS)
}

fn windows_of(seed: u64, lengths: WindowLengths) -> Windows {
    Windows::new(Simulator::new(seed, Mix::default()), lengths)
}

fn bits(batch: &Batch) -> Vec<u32> {
    let known = [Some(batch.past_values()), batch.future_values(), batch.future_observed_mask()];
    known.into_iter().flatten().flatten().map(|x| x.to_bits()).collect()
}

/// Remembers the numbers of the samples that were asked for.
struct Watched<'a> {
    samples: &'a SimulatedSamples,
    asked: Mutex<Vec<usize>>,
}

impl Samples for Watched<'_> {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        self.asked.lock().unwrap().extend(indices);
        self.samples.batch(indices)
    }

    fn fingerprint(&self) -> String {
        self.samples.fingerprint()
    }

    fn describe(&self) -> String {
        self.samples.describe()
    }

    fn are_drawn(&self) -> bool {
        self.samples.are_drawn()
    }
}

/// Windows in memory, over and over.
struct Stored(Vec<Batch>);

impl Samples for Stored {
    fn len(&self) -> usize {
        1 << 40
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        assert_eq!(indices.len(), 1, "steps take single windows");
        self.0[indices[0] % self.0.len()].clone()
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn are_drawn(&self) -> bool {
        true
    }
}

fn config(lengths: WindowLengths, patch_length: usize) -> Config {
    let ptsm = Extension { quantiles: Some(vec![0.1, 0.5, 0.9]), ..Extension::default() };
    Config {
        context_length: lengths.context,
        prediction_length: lengths.horizon,
        patch_length,
        patch_stride: patch_length,
        dropout: 0.0,
        head_dropout: 0.0,
        ptsm: Some(ptsm),
        ..Config::default()
    }
}

fn model(config: Config) -> Model {
    Model::new(config, ptsm::core::Init::PyTorch, 0).unwrap()
}

fn train(samples: &dyn Samples, model: Model, training: &Training) {
    let none = SimulatedSamples::new(windows(0), 0);
    let data = TrainData { train: samples, validation: &none };
    let trainer = Trainer { training, data, dir: None, resume: false };
    trainer.run(model, &mut |_| ControlFlow::Continue(())).unwrap();
}

#[test]
fn each_window_is_trained_on_once_in_order_of_the_steps() {
    let samples = SimulatedSamples::new(windows(1), 3 * 5 * 8);
    let watched = Watched { samples: &samples, asked: Mutex::default() };
    let training =
        Training { epochs: 3, epoch_steps: Some(5), batch_size: 8, ..Training::default() };
    let config = Config { d_model: 4, num_layers: 1, ..config(LENGTHS, 8) };
    train(&watched, model(config), &training);
    let asked = watched.asked.into_inner().unwrap();
    assert_eq!(asked.len(), samples.len());
    // Threads take the windows of a step in any order, but no step those of another.
    for (step, part) in asked.chunks(8).enumerate() {
        let mut part = part.to_vec();
        part.sort_unstable();
        assert_eq!(part, (step * 8..step * 8 + 8).collect::<Vec<_>>());
    }
}

#[test]
fn held_back_windows_are_never_trained_on() {
    let own = SimulatedSamples::new(windows(0), 400);
    let held_back = SimulatedSamples::held_back(windows(0), 400);
    let all = |samples: &SimulatedSamples| -> HashSet<Vec<u32>> {
        (0..samples.len()).map(|index| bits(&samples.batch(&[index]))).collect()
    };
    let (own_bits, held_bits) = (all(&own), all(&held_back));
    assert_eq!((own_bits.len(), held_bits.len()), (400, 400));
    assert!(own_bits.is_disjoint(&held_bits));
    assert_ne!(own.fingerprint(), held_back.fingerprint());
    assert_ne!(own.fingerprint(), SimulatedSamples::new(windows(1), 400).fingerprint());
    let less = Windows::new(Simulator::new(0, Mix::default().without("floor").unwrap()), LENGTHS);
    assert_ne!(own.fingerprint(), SimulatedSamples::new(less, 400).fingerprint());
}

#[test]
fn a_batch_is_its_windows_one_after_the_other() {
    let samples = SimulatedSamples::new(windows(2), 50);
    let batch = samples.batch(&[7, 3]);
    let single = |index: usize| samples.batch(&[index]);
    let both = [single(7).past_values(), single(3).past_values()].concat();
    assert_eq!(batch.past_values(), both);
    assert_eq!(batch.observed_mask().unwrap().len(), 2 * LENGTHS.context);
    assert_eq!(batch.future_values().unwrap().len(), 2 * LENGTHS.horizon);
}

/// Seconds of processor time that this process has taken, where the system says so.
fn processor_seconds(since: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 2 { (ticks[0] + ticks[1]) / 100.0 } else { since.elapsed().as_secs_f64() }
}

#[test]
#[ignore = "prints what the generator costs beside training from memory"]
fn print_the_cost_of_the_generator() {
    const STEPS: u32 = 12;
    let began = Instant::now();
    let training =
        Training { epochs: 1, epoch_steps: Some(STEPS), batch_size: 256, ..Training::default() };
    for (context, horizon, patch_length) in [(128, 24, 4), (512, 48, 16)] {
        let lengths = WindowLengths { context, horizon };
        let simulated = SimulatedSamples::new(windows_of(3, lengths), 256 * STEPS as usize);
        let stored = Stored((0..2048).map(|index| simulated.batch(&[index])).collect());
        let config = Config { d_model: 48, num_layers: 5, ..config(lengths, patch_length) };
        let start = model(config);
        // In turn, so that other work on the machine slows both alike.
        let mut sums = [0.0; 2];
        for _ in 0..8 {
            for (sum, samples) in sums.iter_mut().zip([&stored as &dyn Samples, &simulated]) {
                let before = processor_seconds(began);
                train(samples, start.clone(), &training);
                *sum += processor_seconds(began) - before;
            }
        }
        let [stored, simulated] = sums.map(|seconds| 8.0 * 256.0 * f64::from(STEPS) / seconds);
        let cost = 100.0 * (sums[1] / sums[0] - 1.0);
        println!(
            "{context} + {horizon}: {stored:.0} windows from memory in a second of processor time, \
             {simulated:.0} simulated ones; the generator costs {cost:.1} %"
        );
    }
}
