//! A forecaster of distributions: Student's t distribution for every step, its quantiles and its samples.
//!
//! `cargo run --release -p ptsm --example distribution`

// An example says what it found.
#![allow(clippy::print_stdout)]

mod common;

use ptsm::core::SampleOptions;
use ptsm::{Backend, Cpu, Prediction, Result, Task};

fn main() -> Result<()> {
    let data = common::weather(12)?;
    let mut config = common::config(Task::Forecasting, 12);
    config.loss = "nll".into();
    config.distribution_output = "student_t".into();
    let trained = common::train(config, 3, &data.train, &data.validation)?;
    let mut output = Prediction::default();
    Cpu::default().load(&trained.model)?.session()?.forward(&data.test.batch(&[0]), &mut output)?;
    let (mean, low, high) = (output.points(), output.quantiles(0.1), output.quantiles(0.9));
    let samples = output.sample(SampleOptions { count: 5, ..SampleOptions::default() })?;
    println!("step  mean    80 % interval       five samples (channel 0, standardised)");
    for step in 0..12 {
        let i = step * 6;
        let drawn: Vec<String> =
            samples.chunks_exact(mean.len()).map(|s| format!("{:6.2}", s[i])).collect();
        println!(
            "{:4} {:6.2}  [{:6.2}, {:6.2}]  {}",
            step + 1,
            mean[i],
            low[i],
            high[i],
            drawn.join(" ")
        );
        assert!(low[i] < high[i]);
    }
    Ok(())
}
