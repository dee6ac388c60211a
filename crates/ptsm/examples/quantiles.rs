//! A quantile head whose intervals are calibrated on the validation part.
//!
//! `cargo run --release -p ptsm --example quantiles`

// An example says what it found.
#![allow(clippy::print_stdout)]

mod common;

use ptsm::calibration::{Calibration, CalibrationOptions};
use ptsm::core::Extension;
use ptsm::evaluate::ProbabilisticSums;
use ptsm::{Backend, Cpu, Prediction, Result, Task};

fn main() -> Result<()> {
    let data = common::weather(12)?;
    let mut config = common::config(Task::Forecasting, 12);
    let quantiles = Some(vec![0.1, 0.5, 0.9]);
    config.ptsm = Some(Extension { quantiles, ..Extension::default() });
    let trained = common::train(config.clone(), 3, &data.train, &data.validation)?;
    let mut session = Cpu::default().load(&trained.model)?.session()?;
    let options = CalibrationOptions { name: "validation", levels: &[0.8], season: 24 };
    let calibration = Calibration::fit(&config, session.as_mut(), &data.validation, &options)?;
    let mut sums = ProbabilisticSums::new(&[0.8]);
    for window in 0..data.test.len() {
        let batch = data.test.batch(&[window]);
        let mut output = Prediction::default();
        session.forward(&batch, &mut output)?;
        let band = &calibration.bands(&batch, &output)[0];
        let (Some(truth), mask) = (batch.future_values(), batch.future_observed_mask()) else {
            continue;
        };
        for (i, &y) in truth.iter().enumerate() {
            if mask.is_none_or(|mask| mask[i] != 0.0) {
                sums.push(f64::from(y), &[(band.lower[i], band.upper[i])], None);
            }
        }
    }
    let scores = sums.scores().expect("the test part has known points");
    print!("{}", scores.table());
    assert!((scores.intervals[0].coverage - 0.8).abs() < 0.1);
    Ok(())
}
