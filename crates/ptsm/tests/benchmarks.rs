//! Our files, splits, standardisation and metric are those of the published tables: baselines that
//! need no training reproduce their known scores on the whole test sets.

// A failed `unwrap` in a test helper is a failed test; tests may say what they skipped.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;

use ptsm::data::{
    Dataset, Grid, Prepared, ReadOptions, Repair, Roles, SeriesSet, Table, Transform, WindowShape,
    prepare,
};
use ptsm::evaluate::{EvaluateOptions, Metrics, Ridge, evaluate, repeat_last};

/// The folder with the data of the papers, where it is present.
fn data_dir() -> Option<PathBuf> {
    let shared = std::env::var_os("PTSM_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let dir = shared.join("data");
    if !dir.is_dir() {
        eprintln!("skipped: the data sets of the papers are not here");
        return None;
    }
    Some(dir)
}

fn series(dir: &std::path::Path, name: &str) -> (&'static Dataset, SeriesSet) {
    let dataset = Dataset::named(name).unwrap();
    let path = dataset.locate(dir).unwrap().expect("the data set is in the folder");
    let table = Table::read(&path, &ReadOptions::default()).unwrap();
    let repair = Repair { grid: Grid::Rows, ..Repair::default() };
    let set = SeriesSet::from_table(&table, &Roles::default(), &repair).unwrap();
    assert_eq!(set.series[0].num_rows(), dataset.size.0, "{name}");
    assert_eq!(set.channels.len(), dataset.size.1, "{name}");
    (dataset, set)
}

fn windows(name: &(&'static Dataset, SeriesSet), context: usize, horizon: usize) -> Prepared {
    let shape = WindowShape { context_length: context, prediction_length: horizon, step: 1 };
    prepare(&name.1, &name.0.split, shape, Some(Transform::None), None).unwrap()
}

/// Windows, MSE and MAE of repeating the last value, at each horizon, with a context of 96.
fn check_repeat_last(name: &str, wanted: [(usize, f64, f64); 4]) {
    let Some(dir) = data_dir() else { return };
    let set = series(&dir, name);
    for (horizon, (count, mse, mae)) in [96, 192, 336, 720].into_iter().zip(wanted) {
        let prepared = windows(&set, 96, horizon);
        let mut forecaster = |batch: &ptsm::data::Batch| Ok(repeat_last(batch, horizon));
        let got: Metrics =
            evaluate(&mut forecaster, &prepared.test, &EvaluateOptions::default()).unwrap();
        assert_eq!(prepared.test.len(), count, "{name} {horizon}");
        let text = format!("{:.3}/{:.3}", got.mse, got.mae);
        assert_eq!(text, format!("{mse:.3}/{mae:.3}"), "{name} {horizon}");
    }
}

#[test]
fn repeating_the_last_value_scores_as_published_on_etth1() {
    let wanted = [(2785, 1.294, 0.713), (2689, 1.325, 0.733), (2545, 1.330, 0.746)];
    check_repeat_last("ETTh1", [wanted[0], wanted[1], wanted[2], (2161, 1.335, 0.755)]);
}

#[test]
fn repeating_the_last_value_scores_as_published_on_etth2() {
    let wanted = [(2785, 0.432, 0.422), (2689, 0.534, 0.473), (2545, 0.597, 0.511)];
    check_repeat_last("ETTh2", [wanted[0], wanted[1], wanted[2], (2161, 0.594, 0.519)]);
}

#[test]
fn repeating_the_last_value_scores_as_published_on_ettm1() {
    let wanted = [(11425, 1.214, 0.665), (11329, 1.261, 0.690), (11185, 1.287, 0.707)];
    check_repeat_last("ETTm1", [wanted[0], wanted[1], wanted[2], (10801, 1.322, 0.729)]);
}

#[test]
fn repeating_the_last_value_scores_as_published_on_weather() {
    let wanted = [(10444, 0.259, 0.254), (10348, 0.309, 0.292), (10204, 0.376, 0.338)];
    check_repeat_last("weather", [wanted[0], wanted[1], wanted[2], (9820, 0.465, 0.394)]);
}

#[test]
fn repeating_the_last_value_scores_as_published_on_exchange() {
    let wanted = [(1422, 0.081, 0.196), (1326, 0.167, 0.289), (1182, 0.306, 0.398)];
    check_repeat_last("exchange", [wanted[0], wanted[1], wanted[2], (798, 0.810, 0.676)]);
}

#[test]
fn training_windows_are_as_many_as_in_the_papers() {
    let Some(dir) = data_dir() else { return };
    for (name, count) in [("ETTh1", 8033), ("ETTm1", 33953), ("weather", 36280), ("exchange", 4704)]
    {
        assert_eq!(windows(&series(&dir, name), 512, 96).train.len(), count, "{name}");
    }
}

#[test]
fn ridge_scores_as_measured_on_etth2() {
    let Some(dir) = data_dir() else { return };
    let prepared = windows(&series(&dir, "ETTh2"), 512, 96);
    let ridge = Ridge::fit(&prepared.train, &prepared.validation).unwrap();
    let mut forecaster = |batch: &ptsm::data::Batch| ridge.predict(batch);
    let got = evaluate(&mut forecaster, &prepared.test, &EvaluateOptions::default()).unwrap();
    assert_eq!(format!("{:.3}/{:.3}", got.mse, got.mae), "0.266/0.332");
}
