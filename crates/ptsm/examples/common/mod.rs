//! Data and a short training run, as every example needs them.

// Each example uses its share of these.
#![allow(dead_code)]

use std::ops::ControlFlow;

use ptsm::core::Init;
use ptsm::data::{
    Dataset, LabelledSet, Labels, Prepared, Repair, Roles, Series, SeriesSet, Split, Transform,
    WindowShape, prepare,
};
use ptsm::train::{Outcome, Samples, TrainData, Trainer, Training};
use ptsm::{Config, Model, Result, Task};

/// Two days of hourly weather in, half a day out; a window every other hour.
pub(crate) fn weather(prediction_length: usize) -> Result<Prepared> {
    let table = Dataset::embedded_table()?;
    let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default())?;
    let shape = WindowShape { context_length: 48, prediction_length, step: 2 };
    prepare(&set, &Split::default(), shape, Some(Transform::None), None)
}

/// A small model for that weather.
pub(crate) fn config(task: Task, prediction_length: usize) -> Config {
    Config {
        architectures: Some(vec![task.architecture().into()]),
        context_length: 48,
        prediction_length,
        num_input_channels: 6,
        d_model: 8,
        num_layers: 2,
        ..Config::default()
    }
}

/// Trains for some epochs; the best of them by the validation set stays.
pub(crate) fn train(
    config: Config,
    epochs: u32,
    train: &dyn Samples,
    validation: &dyn Samples,
) -> Result<Outcome> {
    let model = Model::new(config, Init::PyTorch, 0)?;
    let training = Training { epochs, patience: None, ..Training::default() };
    let data = TrainData { train, validation };
    let trainer = Trainer { training: &training, data, dir: None, resume: false };
    trainer.run(model, &mut |_| ControlFlow::Continue(()))
}

/// Noisy waves of two speeds: the class is the speed, the target the height.
pub(crate) fn waves(count: usize, classes: bool) -> Result<LabelledSet> {
    let noise = |i: usize| ((i as f64 * 12.9898).sin() * 43_758.545).fract();
    let wave = |i: usize| {
        let (speed, height) = (0.3 + 0.3 * (i % 2) as f64, 1.0 + noise(i).abs());
        let at = |t: usize| height * (t as f64 * speed + i as f64).sin() + 0.2 * noise(i * 97 + t);
        (Series::new(i.to_string(), 1, (0..64).map(at).collect()), height)
    };
    let (cases, heights): (Vec<Result<Series>>, Vec<f64>) = (0..count).map(wave).unzip();
    let labels = if classes {
        let names = vec!["slow".into(), "fast".into()];
        Labels::Classes { names, of: (0..count).map(|i| i % 2).collect() }
    } else {
        Labels::Values { names: vec!["height".into()], of: heights }
    };
    LabelledSet::new(vec!["x".into()], cases.into_iter().collect::<Result<_>>()?, labels)
}
