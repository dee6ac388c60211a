//! The training loop: the same bits for any threads and after a resume, skips, averages, checkpoints.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use ptsm::core::{Extension, Init, Location};
use ptsm::data::{PreparedSeries, Segment, WindowSet, WindowShape};
use ptsm::evaluate::{EvaluateOptions, Ridge, evaluate};
use ptsm::train::{
    CHECKPOINT_FILE, Event, LossOptions, Outcome, Schedule, SkipStart, TrainData, Trainer,
    Training, score, start_skip,
};
use ptsm::{Backend, Config, Cpu, Model, Result};

const SHAPE: WindowShape = WindowShape { context_length: 24, prediction_length: 4, step: 1 };

fn series(masked: bool) -> Arc<PreparedSeries> {
    let values: Vec<f32> =
        (0..240).map(|i| ((i / 2) as f32 * 0.5).sin() + (i % 2) as f32 * 0.1).collect();
    let observed_mask = masked.then(|| (0..240).map(|i| f32::from(i % 7 != 0)).collect());
    Arc::new(PreparedSeries { id: String::new(), num_channels: 2, values, observed_mask })
}

fn windows(rows: std::ops::Range<usize>, masked: bool) -> WindowSet {
    WindowSet::new(vec![Segment { series: series(masked), rows }], SHAPE).unwrap()
}

fn config() -> Config {
    Config {
        context_length: 24,
        prediction_length: 4,
        num_input_channels: 2,
        d_model: 4,
        num_layers: 2,
        ..Config::default()
    }
}

fn training() -> Training {
    Training { epochs: 3, batch_size: 11, checkpoint_steps: 2, seed: 3, ..Training::default() }
}

fn model(config: &Config) -> Model {
    Model::new(config.clone(), Init::PyTorch, 3).unwrap()
}

fn bits(model: &Model) -> Vec<u32> {
    model.parameters.trained.iter().map(|x| x.to_bits()).collect()
}

struct Run {
    config: Config,
    training: Training,
    masked: bool,
}

impl Run {
    fn new() -> Self {
        Self { config: config(), training: training(), masked: false }
    }

    fn train(&self, dir: Option<PathBuf>, resume: bool, stop_at: Option<u64>) -> Result<Outcome> {
        let (train, validation) = (windows(0..80, self.masked), windows(56..120, self.masked));
        let data = TrainData { train: &train, validation: &validation };
        let trainer = Trainer { training: &self.training, data, dir, resume };
        trainer.run(model(&self.config), &mut |event| match event {
            Event::Step { step, .. } if Some(*step) == stop_at => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }
}

#[test]
fn training_lowers_the_loss_and_keeps_the_best_weights() {
    let run = Run { training: Training { epochs: 12, ..training() }, ..Run::new() };
    let outcome = run.train(None, false, None).unwrap();
    let history = &outcome.history;
    let first = history.epochs[0].validation_loss.unwrap();
    assert!(history.best_validation_loss.unwrap() < 0.8 * first, "{history:?}");
    let validation = windows(56..120, false);
    let again = score(&outcome.model, &validation, &LossOptions::default()).unwrap();
    assert_eq!(Some(again.loss), history.best_validation_loss);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for (norm, self_attn, batch_size) in [
        ("LayerNorm", false, 27),
        ("LayerNorm", false, 5),
        ("LayerNorm", true, 27),
        ("BatchNorm", true, 27),
        ("BatchNorm", false, 11),
    ] {
        let training = Training { batch_size, ..training() };
        let config = Config { norm_mlp: norm.into(), self_attn, ..config() };
        let run = Run { config, masked: true, training };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run.train(None, false, None).unwrap().model.parameters)
        };
        let one = with(1);
        assert_eq!(one, with(2), "{norm}, {self_attn}");
        assert_eq!(one, with(3), "{norm}, {self_attn}");
        let (train, validation) = (windows(0..80, true), windows(56..120, true));
        let data = TrainData { train: &train, validation: &validation };
        let trainer = Trainer { training: &run.training, data, dir: None, resume: false };
        let on = Cpu::with_threads(2).unwrap().training().unwrap();
        let start = model(&run.config);
        let own = trainer.run_on(on.as_ref(), start, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(one, own.model.parameters, "threads of the backend's own: {norm}, {self_attn}");
    }
}

#[test]
fn epochs_of_steps_are_passes_that_are_cut_elsewhere() {
    // One batch is one pass, so that they end at the same place.
    let batch_size = windows(0..80, false).len();
    let of = |epochs, epoch_steps| {
        let schedule = Schedule::Constant;
        let training = Training { epochs, epoch_steps, batch_size, schedule, ..training() };
        Run { training: Training { patience: None, ..training }, ..Run::new() }
    };
    let passes = of(6, None).train(None, false, None).unwrap();
    let cut = of(3, Some(2)).train(None, false, None).unwrap();
    assert_eq!((passes.history.epochs.len(), cut.history.epochs.len()), (6, 3));
    assert_eq!((passes.history.steps, cut.history.steps), (6, 6));
    let last = |outcome: &Outcome| outcome.history.epochs.last().unwrap().validation_loss;
    assert_eq!(last(&passes), last(&cut));
    let folder = tempfile::tempdir().unwrap();
    let dir = Some(folder.path().to_owned());
    of(3, Some(2)).train(dir.clone(), false, Some(3)).unwrap();
    let resumed = of(3, Some(2)).train(dir, true, None).unwrap();
    assert_eq!(resumed.model.parameters, cut.model.parameters);
}

#[test]
fn a_stopped_and_resumed_run_ends_with_the_same_bits() {
    for norm in ["LayerNorm", "BatchNorm"] {
        let run = Run { config: Config { norm_mlp: norm.into(), ..config() }, ..Run::new() };
        let whole = run.train(None, false, None).unwrap();
        for stop in [1, 4, 5, 6, 11] {
            let folder = tempfile::tempdir().unwrap();
            let dir = Some(folder.path().to_owned());
            let stopped = run.train(dir.clone(), false, Some(stop)).unwrap();
            assert_eq!(stopped.history.stopped_by, "interrupted");
            let resumed = run.train(dir, true, None).unwrap();
            assert_eq!(bits(&resumed.model), bits(&whole.model), "{norm}, stopped at {stop}");
            assert_eq!(resumed.model.parameters, whole.model.parameters);
            assert_eq!(resumed.history.best_epoch, whole.history.best_epoch);
        }
    }
}

/// A model with a linear skip, started at the ridge regression of the training windows.
fn with_skip(location: Location) -> (Model, Ridge) {
    let ptsm = Some(Extension { linear_skip: true, location, ..Extension::default() });
    let mut model = model(&Config { ptsm, ..config() });
    let ridge = start_skip(&mut model, &windows(0..80, false), &windows(56..120, false)).unwrap();
    (model, ridge)
}

fn train_from(model: Model, training: &Training) -> Outcome {
    let (train, validation) = (windows(0..80, false), windows(56..120, false));
    let data = TrainData { train: &train, validation: &validation };
    let trainer = Trainer { training, data, dir: None, resume: false };
    trainer.run(model, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_model_with_a_skip_starts_as_the_ridge_regression() {
    for location in [Location::Mean, Location::Last] {
        let (model, ridge) = with_skip(location);
        let validation = windows(56..120, false);
        let options = EvaluateOptions::default();
        let wanted = evaluate(&mut |batch| ridge.predict(batch), &validation, &options).unwrap();
        let got = score(&model, &validation, &LossOptions::default()).unwrap();
        assert!((got.loss - wanted.mse).abs() < 1e-5, "{location:?}: {} {}", got.loss, wanted.mse);
    }
}

#[test]
fn a_skip_that_is_held_back_stays_and_the_start_may_be_the_best() {
    let (start, _) = with_skip(Location::Mean);
    let tensor = |model: &Model, name: &str| {
        let found = model.layout().tensors().iter().find(|t| t.name == name).unwrap();
        model.parameters.trained[found.range.clone()].to_vec()
    };
    let name = "head.linear_skip.weight";
    // Harmful steps: nothing beats the start.
    let training = Training { learning_rate: 1.0, ..training() };
    let outcome = train_from(start.clone(), &training);
    assert_eq!((outcome.history.best_epoch, &outcome.model.parameters), (0, &start.parameters));
    let ptsm = Some(Extension { linear_skip: true, ..Extension::default() });
    let start = model(&Config { ptsm, ..config() });
    for (skip_rate, moves) in [(0.0, false), (0.5, true), (1.0, true)] {
        let skip_start = SkipStart::Zero;
        let outcome =
            train_from(start.clone(), &Training { skip_rate, skip_start, ..self::training() });
        assert!(outcome.history.best_epoch > 0, "{:?}", outcome.history);
        let moved = tensor(&outcome.model, name) != tensor(&start, name);
        assert_eq!(moved, moves, "skip_rate {skip_rate}");
    }
}

#[test]
fn an_average_of_the_weights_is_what_is_scored_and_resumed() {
    let averaged = Training { ema_decay: Some(0.9), ..training() };
    let run = Run { training: averaged, ..Run::new() };
    let whole = run.train(None, false, None).unwrap();
    let plain = Run::new().train(None, false, None).unwrap();
    assert_ne!(bits(&whole.model), bits(&plain.model));
    let validation = windows(56..120, false);
    let again = score(&whole.model, &validation, &LossOptions::default()).unwrap();
    assert_eq!(Some(again.loss), whole.history.best_validation_loss);
    let folder = tempfile::tempdir().unwrap();
    let dir = Some(folder.path().to_owned());
    run.train(dir.clone(), false, Some(7)).unwrap();
    assert_eq!(bits(&run.train(dir, true, None).unwrap().model), bits(&whole.model));
}

#[test]
fn early_stopping_waits_for_its_patience() {
    let training = Training { epochs: 50, patience: Some(2), learning_rate: 1e-9, ..training() };
    let run = Run { training: Training { min_delta: 1.0, ..training }, ..Run::new() };
    let outcome = run.train(None, false, None).unwrap();
    assert_eq!(outcome.history.stopped_by, "early stopping");
    assert_eq!(outcome.history.epochs.len(), 3);
    assert_eq!(outcome.history.best_epoch, 1);
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Some(folder.path().to_owned());
    Run::new().train(dir.clone(), false, Some(3)).unwrap();
    let other = Run { training: Training { learning_rate: 0.5, ..training() }, ..Run::new() };
    let error = other.train(dir.clone(), true, None).unwrap_err();
    assert!(error.to_string().contains("training settings changed"), "{error}");
    let masked = Run { masked: true, ..Run::new() };
    let error = masked.train(dir, true, None).unwrap_err();
    assert!(error.to_string().contains("data or their split changed"), "{error}");
}

#[test]
fn a_damaged_checkpoint_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Some(folder.path().to_owned());
    Run::new().train(dir.clone(), false, Some(3)).unwrap();
    let path = folder.path().join(CHECKPOINT_FILE);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let error = Run::new().train(dir, true, None).unwrap_err();
    assert!(error.to_string().contains("is damaged: its checksum does not fit"), "{error}");
}

#[test]
fn no_window_is_an_error_that_names_the_lengths() {
    let (train, validation) = (windows(0..10, false), windows(56..120, false));
    let data = TrainData { train: &train, validation: &validation };
    let training = training();
    let trainer = Trainer { training: &training, data, dir: None, resume: false };
    let error = trainer.run(model(&config()), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("the training part holds no windows"), "{error}");
}
