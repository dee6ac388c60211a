//! Both reconciliation heads: channels correct each other, and steps agree with segment sums.
//!
//! `cargo run --release -p ptsm --example reconciliation`

// An example says what it found.
#![allow(clippy::print_stdout)]

mod common;

use ptsm::core::{ChannelMode, CrossChannel, Extension, Hierarchy, Init};
use ptsm::evaluate::Coherence;
use ptsm::{Model, Result, Task};

fn main() -> Result<()> {
    let data = common::weather(12)?;
    let mut config = common::config(Task::Forecasting, 12);
    config.ptsm = Some(Extension {
        cross_channel: Some(CrossChannel { context_length: 1, ..CrossChannel::default() }),
        hierarchy: Some(Hierarchy { segment_length: 4 }),
        ..Extension::default()
    });
    assert_eq!(config.channel_mode(), ChannelMode::Hybrid);
    let untrained = Model::new(config.clone(), Init::PyTorch, 0)?;
    let trained = common::train(config, 12, &data.train, &data.validation)?;
    let before = Coherence::new(&untrained, &data.test)?;
    let after = Coherence::new(&trained.model, &data.test)?;
    println!(
        "steps and segment sums differ by {:.4} a step before training, {:.4} after",
        before.rmse, after.rmse
    );
    assert!(after.rmse < before.rmse);
    Ok(())
}
