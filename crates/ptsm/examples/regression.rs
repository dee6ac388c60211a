//! A regression: one number for each case.
//!
//! `cargo run --release -p ptsm --example regression`

// An example says what it found.
#![allow(clippy::print_stdout)]

mod common;

use ptsm::data::{Labels, PreparedCases, Series, Standardiser, Transform};
use ptsm::evaluate::ValueScores;
use ptsm::train::Samples;
use ptsm::{Backend, Config, Cpu, Prediction, Result, Task};

fn main() -> Result<()> {
    let set = common::waves(700, false)?;
    let Labels::Values { names, of } = &set.labels else { unreachable!("waves have heights") };
    let heights = Series::new("", 1, of.clone())?;
    let targets = Standardiser::fit(names, &[(&heights, 0..500)], Transform::None)?;
    let channels = set.standardiser(Transform::None)?;
    let lay = |range: std::ops::Range<usize>| {
        let indices: Vec<usize> = range.collect();
        PreparedCases::new(&set.subset(&indices), 64, &channels, Some(&targets))
    };
    let (train, validation, test) = (lay(0..500)?, lay(500..600)?, lay(600..700)?);
    let config = Config {
        context_length: 64,
        num_input_channels: 1,
        num_targets: 1,
        head_aggregation: Some("avg_pool".into()),
        // The scaler would take the height away.
        scaling: serde_json::Value::Null,
        ..common::config(Task::Regression, 1)
    };
    let trained = common::train(config, 60, &train, &validation)?;
    let all: Vec<usize> = (0..test.len()).collect();
    let mut output = Prediction::default();
    Cpu::default().load(&trained.model)?.session()?.forward(&test.batch(&all), &mut output)?;
    let undo = |x: &f32| targets.undo_value(0, *x);
    let prediction: Vec<f64> = output.numbers.iter().map(undo).collect();
    let scores = ValueScores::new(&prediction, &of[600..], names, &targets.mean)?;
    print!("{}", scores.table());
    assert!(scores.rmse < 0.5 * scores.training_mean_rmse);
    Ok(())
}
