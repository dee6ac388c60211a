//! Pretraining without labels, and its backbone under a forecasting head (linear probing).
//!
//! `cargo run --release -p ptsm --example pretraining`

// An example says what it found.
#![allow(clippy::print_stdout)]

mod common;

use std::ops::ControlFlow;

use ptsm::core::Init;
use ptsm::train::{Subset, TrainData, Trainer, Training, take_backbone};
use ptsm::{Model, Result, Task};

fn main() -> Result<()> {
    let unlabelled = common::weather(0)?;
    let config = common::config(Task::Pretraining, 12);
    let pretrained = common::train(config, 3, &unlabelled.train, &unlabelled.validation)?;
    println!(
        "hidden patches: loss {:.4}",
        pretrained.history.best_validation_loss.unwrap_or(f64::NAN)
    );

    let data = common::weather(12)?;
    let mut model = Model::new(common::config(Task::Forecasting, 12), Init::PyTorch, 0)?;
    let copied = take_backbone(&mut model, &pretrained.model)?;
    let backbone = model.parameters.trained[..copied].to_vec();
    let few = Subset::last(&data.train, 0.2)?;
    let training = Training { epochs: 5, freeze_backbone: true, ..Training::default() };
    let data = TrainData { train: &few, validation: &data.validation };
    let trainer = Trainer { training: &training, data, dir: None, resume: false };
    let probed = trainer.run(model, &mut |_| ControlFlow::Continue(()))?;
    println!(
        "probing with a fifth of the windows: loss {:.4}",
        probed.history.best_validation_loss.unwrap_or(f64::NAN)
    );
    assert_eq!(probed.model.parameters.trained[..copied], backbone[..]);
    Ok(())
}
