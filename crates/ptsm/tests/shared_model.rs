//! One packed copy of the weights serves every stream of a process, and immutable models may be
//! shared between threads.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::alloc::System;
use std::sync::Arc;

use ptsm::core::{Init, Loaded, LoadedHeads};
use ptsm::data::{Grid, Roles, Split, Standardiser};
use ptsm::forecast::ForecastModel;
use ptsm::preprocessor::Preprocessor;
use ptsm::stream::{StreamOptions, StreamRow, StreamState, StreamWorker};
use ptsm::{Backend, Config, Cpu, Forecaster, Model};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const STREAMS: usize = 64;

/// A model whose weights are much more than what a stream keeps.
fn model() -> ForecastModel {
    let config = Config {
        context_length: 256,
        prediction_length: 24,
        patch_length: 8,
        patch_stride: 8,
        d_model: 64,
        num_layers: 4,
        ..Config::default()
    };
    let folder = tempfile::tempdir().unwrap();
    Model::new(config, Init::PyTorch, 0).unwrap().save(folder.path()).unwrap();
    let preprocessor = Preprocessor {
        dataset: String::new(),
        channels: vec!["x".into()],
        roles: Roles::default(),
        frequency: None,
        times: Default::default(),
        missing: Vec::new(),
        grid: Grid::Rows,
        seasonal_period: 1,
        split: Split::default(),
        standardiser: Standardiser { mean: vec![0.0], scale: vec![1.0], ..Standardiser::default() },
        labels: None,
        covariates: None,
    };
    preprocessor.save(folder.path()).unwrap();
    ForecastModel::from_dir(folder.path(), &Cpu::default()).unwrap()
}

fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}

#[test]
fn sixty_four_streams_take_one_packed_copy() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let region = Region::new(ALLOCATOR);
        let model = Arc::new(model());
        let (one, weights) = (held(&region), model.loaded().bytes() as usize);
        assert!(one >= weights, "{one} bytes, of which the weights are {weights}");

        // Each with a session of its own, as threads have: buffers, no weights.
        let region = Region::new(ALLOCATOR);
        let row = |i: usize| [(i as f64 * 0.1).sin()];
        let mut streams: Vec<(StreamWorker, StreamState)> = (0..STREAMS)
            .map(|_| {
                let state = StreamState::new(&model, StreamOptions::default()).unwrap();
                (StreamWorker::new(Arc::clone(&model)).unwrap(), state)
            })
            .collect();
        for i in 0..300 {
            for (worker, state) in &mut streams {
                worker.push(state, StreamRow { time: None, values: &row(i) }).unwrap();
            }
        }
        assert_eq!(Arc::strong_count(&model), 1 + STREAMS);
        let with_workers = held(&region);
        let each = with_workers / STREAMS;
        assert!(each < weights / 4, "a stream and its worker take {each} bytes");

        // All served by one worker: their states alone.
        let region = Region::new(ALLOCATOR);
        let mut worker = StreamWorker::new(Arc::clone(&model)).unwrap();
        let mut states: Vec<StreamState> = (0..STREAMS)
            .map(|_| StreamState::new(&model, StreamOptions::default()).unwrap())
            .collect();
        for i in 0..300 {
            for state in &mut states {
                worker.push(state, StreamRow { time: None, values: &row(i) }).unwrap();
            }
        }
        let with_one = held(&region);
        assert!(with_one < with_workers, "{with_one} bytes, {with_workers} with workers");
        for ((_, wanted), state) in streams.iter().zip(&states) {
            assert!(state == wanted, "the same bits from one worker and from many");
            assert_eq!(state.counters().forecasts, 300 - 255);
        }
        let kib = |bytes: usize| bytes as f64 / 1024.0;
        eprintln!(
            "model {:.0} KiB (weights {:.0}); {STREAMS} streams with a worker each: {:.0} KiB more \
             ({:.1} each); with one worker: {:.0} KiB more ({:.1} each)",
            kib(one),
            kib(weights),
            kib(with_workers),
            kib(each),
            kib(with_one),
            kib(with_one / STREAMS),
        );
    });
}

#[test]
fn immutable_models_are_shared_between_threads() {
    fn shared<T: Send + Sync + ?Sized>() {}
    fn sent<T: Send>() {}
    shared::<Cpu>();
    shared::<Model>();
    shared::<dyn Backend>();
    shared::<dyn Loaded>();
    shared::<dyn LoadedHeads>();
    shared::<ForecastModel>();
    shared::<StreamState>();
    sent::<Forecaster>();
    sent::<StreamWorker>();
}
