//! Streams: gaps, late and duplicate rows, saved state, drift.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::data::{
    Duplicates, Grid, ReadOptions, Repair, Roles, SeriesSet, Split, Standardiser, Table,
};
use crate::preprocessor::Preprocessor;
use crate::{Config, Cpu, Forecast, Forecaster, Model, Result};
use ptsm_core::Init;

pub(super) const HOUR: i64 = 3_600_000_000_000;
/// 2024-01-01 00:00 UTC.
pub(super) const START: i64 = 1_704_067_200_000_000_000;

/// Two channels, some points missing.
pub(super) fn values(row: usize) -> [f64; 2] {
    let x = (row as f64 * 0.7).sin() * 3.0 + 10.0;
    let y = if row % 7 == 3 { f64::NAN } else { (row * row % 23) as f64 };
    [x, y]
}

pub(super) fn config() -> Config {
    Config {
        context_length: 24,
        prediction_length: 5,
        num_input_channels: 2,
        patch_length: 4,
        patch_stride: 4,
        d_model: 8,
        num_layers: 2,
        ..Config::default()
    }
}

pub(super) fn forecaster(config: Config) -> Forecaster {
    of_scale(config, vec![2.0, 7.0])
}

/// A forecaster of channels of these deviations.
pub(super) fn of_scale(config: Config, scale: Vec<f64>) -> Forecaster {
    let preprocessor = Preprocessor {
        dataset: "t".into(),
        channels: vec!["x".into(), "y".into()],
        roles: Roles { timestamp: Some("time".into()), ..Roles::default() },
        frequency: Some("1h".parse().unwrap()),
        times: Default::default(),
        missing: Vec::new(),
        grid: Grid::Regular,
        seasonal_period: 24,
        split: Split::default(),
        standardiser: Standardiser { mean: vec![10.0, 11.0], scale, ..Standardiser::default() },
        labels: None,
        covariates: None,
    };
    let folder = tempfile::tempdir().unwrap();
    Model::new(config, Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
    preprocessor.save(folder.path()).unwrap();
    Forecaster::from_dir(folder.path(), &Cpu::default()).unwrap()
}

fn online(options: StreamOptions) -> OnlineForecaster {
    OnlineForecaster::new(forecaster(config()), options).unwrap()
}

fn push(stream: &mut OnlineForecaster, row: usize, values: &[f64]) -> Result<Option<Forecast>> {
    let time = Some(START + HOUR * row as i64);
    stream.push(StreamRow { time, values }).map(|forecast| forecast.cloned())
}

/// What `predict` says for a table of these rows (number and values).
pub(super) fn batch(rows: &[(usize, [f64; 2])]) -> Forecast {
    let mut text = "time,x,y\n".to_owned();
    for (row, [x, y]) in rows {
        text += &format!("2024-01-{:02} {:02}:00,{x},{y}\n", 1 + row / 24, row % 24);
    }
    let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
    let mut forecaster = forecaster(config());
    let set: SeriesSet = forecaster.read(&table, &Repair::default()).unwrap();
    forecaster.predict(&set, 0).unwrap().remove(0)
}

fn bits(forecast: &Forecast) -> Vec<u64> {
    forecast.values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_streamed_forecast_has_the_bits_of_the_batch() {
    let mut stream = online(StreamOptions::default());
    let rows: Vec<(usize, [f64; 2])> = (0..40).map(|row| (row, values(row))).collect();
    for (row, value) in &rows {
        let found = push(&mut stream, *row, value).unwrap();
        assert_eq!(found.is_some(), *row >= 23, "row {row}");
        if let Some(found) = found {
            let wanted = batch(&rows[..=*row]);
            assert_eq!(bits(&found), bits(&wanted), "row {row}");
            assert_eq!(found, wanted);
        }
    }
    assert_eq!(stream.counters().forecasts, 17);
}

#[test]
fn a_window_without_gaps_has_the_bits_of_one_without_a_mask() {
    let mut stream = online(StreamOptions { min_rows: Some(24), ..StreamOptions::default() });
    let rows: Vec<(usize, [f64; 2])> = (0..24).map(|row| (row, [row as f64, 1.0])).collect();
    let found = rows.iter().map(|(row, value)| push(&mut stream, *row, value).unwrap()).last();
    assert_eq!(bits(&found.unwrap().unwrap()), bits(&batch(&rows)));
}

#[test]
fn skipped_times_are_missing_rows() {
    let mut stream = online(StreamOptions { every: 4, ..StreamOptions::default() });
    let rows: Vec<(usize, [f64; 2])> =
        (0..60).filter(|row| !(30..37).contains(row)).map(|row| (row, values(row))).collect();
    for (i, (row, value)) in rows.iter().enumerate() {
        if let Some(found) = push(&mut stream, *row, value).unwrap() {
            assert_eq!(found, batch(&rows[..=i]), "row {row}");
        }
    }
    let counters = stream.counters();
    assert_eq!((counters.rows, counters.gap_rows), (53, 7));
    // Rows 23, 27, then 37 after the gap, 41, ...
    assert_eq!(counters.forecasts, 2 + 6);
}

#[test]
fn a_gap_longer_than_the_context_leaves_nothing_of_it() {
    let mut stream = online(StreamOptions::default());
    for row in 0..30 {
        push(&mut stream, row, &values(row)).unwrap();
    }
    let found = push(&mut stream, 700, &values(700)).unwrap().unwrap();
    let mut other = online(StreamOptions::default());
    for row in 0..30 {
        push(&mut other, row, &values(row + 11)).unwrap();
    }
    let wanted = push(&mut other, 700, &values(700)).unwrap().unwrap();
    assert_eq!(found.values, wanted.values);
}

#[test]
fn late_rows_fill_in_and_never_change_what_was_seen() {
    let mut stream = online(StreamOptions::default());
    let mut rows: Vec<(usize, [f64; 2])> = (0..32).map(|row| (row, values(row))).collect();
    let late = rows.remove(28);
    for (row, value) in &rows {
        push(&mut stream, *row, value).unwrap();
    }
    assert!(push(&mut stream, late.0, &late.1).unwrap().is_none());
    // Seen already, and older than the context.
    assert!(push(&mut stream, 29, &[500.0, 500.0]).unwrap().is_none());
    assert!(push(&mut stream, 2, &values(2)).unwrap().is_none());
    let counters = stream.counters();
    assert_eq!((counters.late_used, counters.late_dropped), (1, 2));
    rows.insert(28, late);
    rows.push((32, values(32)));
    let found = push(&mut stream, 32, &values(32)).unwrap().unwrap();
    assert_eq!(found, batch(&rows));
}

#[test]
fn a_second_row_of_a_time_follows_the_rule() {
    for (duplicates, wanted) in [(Duplicates::First, 1.0), (Duplicates::Last, 2.0)] {
        let mut stream = online(StreamOptions { duplicates, ..StreamOptions::default() });
        let mut rows: Vec<(usize, [f64; 2])> = (0..24).map(|row| (row, [1.0, 1.0])).collect();
        for (row, value) in &rows {
            push(&mut stream, *row, value).unwrap();
        }
        assert!(push(&mut stream, 23, &[2.0, f64::NAN]).unwrap().is_none());
        rows[23].1[0] = wanted;
        rows.push((24, [3.0, 3.0]));
        assert_eq!(push(&mut stream, 24, &[3.0, 3.0]).unwrap().unwrap(), batch(&rows));
        assert_eq!(stream.counters().duplicates, 1);
    }
    let options = StreamOptions { duplicates: Duplicates::Error, ..StreamOptions::default() };
    let mut stream = online(options);
    push(&mut stream, 0, &values(0)).unwrap();
    assert!(push(&mut stream, 0, &values(0)).unwrap_err().to_string().contains("second row"));
}

#[test]
fn a_restored_state_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let (mut whole, mut second) =
        (online(StreamOptions::default()), online(StreamOptions::default()));
    for row in 0..50 {
        push(&mut whole, row, &values(row)).unwrap();
    }
    whole.save_state(&path).unwrap();
    second.restore_state(&path).unwrap();
    for row in 50..80 {
        let (a, b) = (
            push(&mut whole, row, &values(row)).unwrap(),
            push(&mut second, row, &values(row)).unwrap(),
        );
        assert_eq!(a, b);
    }
    assert_eq!(whole.state, second.state);

    let other = forecaster(Config { prediction_length: 6, ..config() });
    let mut other = OnlineForecaster::new(other, StreamOptions::default()).unwrap();
    let text = other.restore_state(&path).unwrap_err().to_string();
    assert!(text.contains("another model") && text.contains("state.json"), "{text}");
    let mut every = online(StreamOptions { every: 2, ..StreamOptions::default() });
    assert!(every.restore_state(&path).unwrap_err().to_string().contains("every"));
    std::fs::write(&path, "{").unwrap();
    assert!(second.restore_state(&path).unwrap_err().to_string().contains("is damaged"));
}

#[test]
fn a_refused_row_changes_nothing() {
    let mut stream = online(StreamOptions::default());
    for row in 0..30 {
        push(&mut stream, row, &values(row)).unwrap();
    }
    let before = stream.state.clone();
    let time = Some(START + 30 * HOUR + 60);
    let table: [(Option<i64>, &[f64], &str); 5] = [
        (time, &[1.0, 1.0], "not a whole number of steps (1h)"),
        (None, &[1.0, 1.0], "has no time"),
        (Some(START + 30 * HOUR), &[1.0], "has 1 values, the model wants 2"),
        (Some(START + 30 * HOUR), &[1.0, f64::INFINITY], "channel y"),
        (Some(START + 30 * HOUR), &[1e300, 1.0], "single precision"),
    ];
    for (time, values, wanted) in table {
        let text = stream.push(StreamRow { time, values }).unwrap_err().to_string();
        assert!(text.contains(wanted), "{text}");
        assert!(stream.state == before, "{wanted}");
    }
    for options in [
        StreamOptions { every: 0, ..StreamOptions::default() },
        StreamOptions { duplicates: Duplicates::Mean, ..StreamOptions::default() },
        StreamOptions {
            drift: DriftOptions { threshold: f64::NAN, ..DriftOptions::default() },
            ..StreamOptions::default()
        },
    ] {
        assert!(OnlineForecaster::new(forecaster(config()), options).is_err());
    }
}

#[test]
fn errors_are_those_of_the_forecasts_whose_rows_came() {
    let mut stream = online(StreamOptions { every: 3, ..StreamOptions::default() });
    let standardiser = stream.preprocessor().standardiser.clone();
    let mut forecasts: Vec<Forecast> = Vec::new();
    let (mut squared, mut absolute, mut points) = (0.0, 0.0, 0_u64);
    for row in 0..60 {
        let value = values(row);
        for forecast in forecasts.iter().filter(|f| (f.first_row..f.first_row + 5).contains(&row)) {
            for c in 0..2 {
                if !value[c].is_nan() {
                    let x = forecast.values[(row - forecast.first_row) * 2 + c];
                    let error = (x - value[c]) / standardiser.scale[c];
                    squared += error * error;
                    absolute += error.abs();
                    points += 1;
                }
            }
        }
        forecasts.extend(push(&mut stream, row, &value).unwrap());
    }
    let score = stream.score();
    assert_eq!(score.points, points);
    assert!((score.mse().unwrap() / (squared / points as f64) - 1.0).abs() < 1e-5);
    assert!((score.mae().unwrap() / (absolute / points as f64) - 1.0).abs() < 1e-5);
}

#[test]
fn streams_of_one_model_share_it_and_keep_apart() {
    let (model, _) = forecaster(config()).into_parts();
    let options = StreamOptions::default();
    let mut worker = StreamWorker::new(model.clone()).unwrap();
    let mut states: Vec<StreamState> =
        (0..3).map(|_| StreamState::new(&model, options).unwrap()).collect();
    let mut alone: Vec<OnlineForecaster> = (0..3).map(|_| online(options)).collect();
    for row in 0..40 {
        // Taken in turn by one worker, each with rows of its own.
        for (i, (state, alone)) in states.iter_mut().zip(&mut alone).enumerate() {
            let values = values(row + 5 * i);
            let time = Some(START + HOUR * row as i64);
            let found = worker.push(state, StreamRow { time, values: &values }).unwrap().cloned();
            assert_eq!(found, push(alone, row, &values).unwrap(), "stream {i}, row {row}");
        }
    }
    for (state, alone) in states.iter().zip(&alone) {
        assert_eq!(*state, alone.state);
        let text = state.to_json().unwrap();
        assert!(text.contains("\"content\":{\"version\":3,\"model\":\""), "{text}");
        assert_eq!(StreamState::from_json(&text, &model, options).unwrap(), *state);
    }
    let (other, _) = forecaster(Config { prediction_length: 6, ..config() }).into_parts();
    let mut other = StreamWorker::new(other).unwrap();
    let row = StreamRow { time: None, values: &[1.0, 1.0] };
    let before = states[0].clone();
    let text = other.push(&mut states[0], row).unwrap_err().to_string();
    assert!(text.contains("another model"), "{text}");
    assert!(states[0] == before);
}

#[test]
fn the_file_of_a_state_has_its_fields_in_their_order() {
    let text = online(StreamOptions { every: 5, ..StreamOptions::default() });
    let text = text.state.to_json().unwrap();
    let names = [
        "version",
        "model",
        "id",
        "units",
        "clock",
        "counters",
        "score",
        "drift",
        "since_forecast",
        "window",
        "pending",
    ];
    let places: Vec<usize> =
        names.iter().map(|name| text.find(&format!("\"{name}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["content"].as_object().unwrap().len(), names.len());
}

#[test]
fn a_short_stream_forecasts_as_a_short_series_does() {
    let mut stream = online(StreamOptions { min_rows: Some(1), ..StreamOptions::default() });
    let rows: Vec<(usize, [f64; 2])> = (0..30).map(|row| (row, values(row))).collect();
    for (i, (row, value)) in rows.iter().enumerate() {
        let found = push(&mut stream, *row, value).unwrap().unwrap();
        assert_eq!(found, batch(&rows[..=i]), "row {row}");
    }
}
