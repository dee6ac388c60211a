//! A classifier of labelled cases.
//!
//! `cargo run --release -p ptsm --example classification`

// An example says what it found.
#![allow(clippy::print_stdout)]

mod common;

use ptsm::data::{PreparedCases, Transform};
use ptsm::evaluate::ClassScores;
use ptsm::train::Samples;
use ptsm::{Backend, Config, Cpu, Prediction, Result, Task};

fn main() -> Result<()> {
    let set = common::waves(120, true)?;
    let standardiser = set.standardiser(Transform::None)?;
    let lay = |indices: &[usize]| PreparedCases::new(&set.subset(indices), 64, &standardiser, None);
    let folds = set.folds(4, 0)?;
    let rest: Vec<usize> =
        (0..set.len()).filter(|i| !folds[0].contains(i) && !folds[1].contains(i)).collect();
    let (train, validation, test) = (lay(&rest)?, lay(&folds[1])?, lay(&folds[0])?);
    let config = Config {
        context_length: 64,
        num_input_channels: 1,
        num_targets: 2,
        head_aggregation: Some("avg_pool".into()),
        ..common::config(Task::Classification, 1)
    };
    let trained = common::train(config, 150, &train, &validation)?;
    let all: Vec<usize> = (0..test.len()).collect();
    let mut output = Prediction::default();
    Cpu::default().load(&trained.model)?.session()?.forward(&test.batch(&all), &mut output)?;
    let truth: Vec<usize> = test.targets().iter().map(|&class| class as usize).collect();
    let scores = ClassScores::new(&output.numbers, &truth, &["slow".into(), "fast".into()])?;
    print!("{}", scores.table());
    assert!(scores.accuracy > 0.8);
    Ok(())
}
