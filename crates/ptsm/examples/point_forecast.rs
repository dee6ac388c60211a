//! The plain forecaster: mean squared error, scored on every window of the test part.
//!
//! `cargo run --release -p ptsm --example point_forecast`

// An example says what it found.
#![allow(clippy::print_stdout)]

mod common;

use ptsm::evaluate::{EvaluateOptions, evaluate, repeat_last};
use ptsm::{Backend, Cpu, Prediction, Result, Task};

fn main() -> Result<()> {
    let data = common::weather(24)?;
    let config = common::config(Task::Forecasting, 24);
    let trained = common::train(config, 8, &data.train, &data.validation)?;
    let mut session = Cpu::default().load(&trained.model)?.session()?;
    let mut forecast = |batch: &ptsm::data::Batch| {
        let mut output = Prediction::default();
        session.forward(batch, &mut output)?;
        Ok(output.numbers)
    };
    let options = EvaluateOptions::default();
    let model = evaluate(&mut forecast, &data.test, &options)?;
    let naive = evaluate(&mut |batch| Ok(repeat_last(batch, 24)), &data.test, &options)?;
    println!(
        "{} windows: MSE {:.4}, repeating the last value {:.4}",
        model.windows, model.mse, naive.mse
    );
    assert!(model.mse < naive.mse);
    Ok(())
}
