//! A stream in steady state asks for no memory.

#![allow(clippy::unwrap_used)]

use std::alloc::System;

use ptsm::core::Init;
use ptsm::data::{Grid, Roles, Split, Standardiser};
use ptsm::preprocessor::Preprocessor;
use ptsm::stream::{StreamOptions, StreamRow};
use ptsm::{Config, Cpu, Model, OnlineForecaster};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn stream(mode: &str) -> OnlineForecaster {
    let config = Config {
        context_length: 64,
        prediction_length: 8,
        num_input_channels: 3,
        mode: mode.into(),
        ..Config::default()
    };
    let folder = tempfile::tempdir().unwrap();
    Model::new(config, Init::PyTorch, 0).unwrap().save(folder.path()).unwrap();
    let preprocessor = Preprocessor {
        dataset: String::new(),
        channels: ["a", "b", "c"].map(String::from).to_vec(),
        roles: Roles::default(),
        frequency: Some("15min".parse().unwrap()),
        times: Default::default(),
        missing: Vec::new(),
        grid: Grid::Regular,
        seasonal_period: 96,
        split: Split::default(),
        standardiser: Standardiser {
            mean: vec![0.0; 3],
            scale: vec![1.0; 3],
            ..Standardiser::default()
        },
        labels: None,
        covariates: None,
    };
    preprocessor.save(folder.path()).unwrap();
    OnlineForecaster::from_dir(folder.path(), &Cpu::default(), StreamOptions::default()).unwrap()
}

/// A quarter of an hour in nanoseconds.
const STEP: i64 = 900_000_000_000;

fn push(stream: &mut OnlineForecaster, row: i64) {
    let missing = if row % 5 == 0 { f64::NAN } else { row as f64 };
    let values = [(row as f64).sin(), missing, 1.0];
    // Every fiftieth row is skipped, and every seventieth comes twice.
    if row % 50 != 7 {
        let row = StreamRow { time: Some(row * STEP), values: &values };
        stream.push(row).unwrap();
        if row.time.unwrap() % (70 * STEP) == 0 {
            stream.push(row).unwrap();
        }
    }
}

#[test]
fn steady_state_allocates_nothing() {
    for mode in ["common_channel", "mix_channel"] {
        let mut stream = stream(mode);
        // On a thread of the pool, as calls from outside it queue up in memory of their own.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let change = pool.install(|| {
            (1..200).for_each(|row| push(&mut stream, row));
            let region = Region::new(ALLOCATOR);
            (200..1200).for_each(|row| push(&mut stream, row));
            region.change()
        });
        assert!(stream.counters().forecasts > 1000);
        assert_eq!((change.allocations, change.reallocations), (0, 0), "{mode}: {change:?}");
    }
}
