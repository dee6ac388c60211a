//! Streams whose rows are compared with their forecasts.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::tests::{HOUR, START, batch, config, forecaster, of_scale, values};
use super::*;
use crate::data::{ReadOptions, Repair, Table};
use crate::detect::{Detector, DetectorOptions, whole_rows};
use crate::{Forecast, Forecaster, Result};

/// Rows of the context.
const CONTEXT: usize = 24;

/// A wave, and a channel with gaps.
fn row(number: usize) -> [f64; 2] {
    values(number)
}

/// Calibrated on 200 rows.
fn detector(min_rows: Option<usize>) -> Detector {
    let mut text = "time,x,y\n".to_owned();
    for number in 0..200 {
        let [x, y] = row(number);
        text += &format!("2024-01-{:02} {:02}:00,{x},{y}\n", 1 + number / 24, number % 24);
    }
    let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
    let mut forecaster = forecaster(config());
    let set = forecaster.read(&table, &Repair::default()).unwrap();
    let options = DetectorOptions { min_rows, ..DetectorOptions::default() };
    forecaster.detector(&set, &whole_rows(&set), &options, "rows", &mut |_, _| Ok(())).unwrap()
}

fn detection(hide: Option<f64>, min_rows: Option<usize>) -> StreamDetection {
    StreamDetection { detector: Arc::new(detector(min_rows)), alpha: 0.006, adapt: 0.0, hide }
}

fn panel(detection: StreamDetection) -> StreamPanel {
    let forecaster: Forecaster = forecaster(config());
    StreamPanel::new(forecaster, StreamOptions::default())
        .unwrap()
        .with_detector(detection)
        .unwrap()
}

fn push(stream: &mut StreamPanel, number: usize, values: &[f64]) -> Result<Option<Forecast>> {
    let time = Some(START + HOUR * number as i64);
    stream.push("", StreamRow { time, values }).map(|forecast| forecast.cloned())
}

#[test]
fn a_hidden_point_does_not_return_by_a_second_or_a_late_row() {
    const SPIKE: usize = 40;
    let mut stream = panel(detection(Some(0.006), None));
    // With the hidden point missing.
    let mut known: Vec<(usize, [f64; 2])> = Vec::new();
    let spike = [500.0, row(SPIKE)[1]];
    for number in 0..50 {
        let values = if number == SPIKE { spike } else { row(number) };
        let found = push(&mut stream, number, &values).unwrap();
        let mut kept = values;
        for point in stream.watched("") {
            assert_eq!(point.hidden, number == SPIKE && point.channel == 0, "row {number}");
            if point.hidden {
                kept[point.channel] = f64::NAN;
            }
        }
        known.push((number, kept));
        if number + 1 >= CONTEXT {
            assert_eq!(found.unwrap().values, batch(&known).values, "row {number}");
        }
        if number == SPIKE {
            assert!(stream.watched("")[0].anomaly);
            // The row again, as it was and with another value.
            assert!(push(&mut stream, SPIKE, &spike).unwrap().is_none());
            assert!(push(&mut stream, SPIKE, &[11.0, spike[1]]).unwrap().is_none());
        }
        if number == SPIKE + 3 {
            assert!(push(&mut stream, SPIKE, &spike).unwrap().is_none());
        }
    }
    let counters = stream.counters();
    assert_eq!((counters.duplicates, counters.late_used, counters.late_dropped), (2, 0, 1));
    assert!(known[SPIKE].1[0].is_nan());
}

#[test]
fn forecasts_begin_after_the_rows_that_the_detector_wants() {
    let mut stream = panel(detection(None, Some(8)));
    assert_eq!(stream.wanted_rows(), 8);
    for number in 0..30 {
        let found = push(&mut stream, number, &row(number)).unwrap();
        assert_eq!(found.is_some(), number >= 7, "row {number}");
        assert_eq!(!stream.watched("").is_empty(), number >= 8, "row {number}");
    }
    // As early as the stream is asked to, but not later than the detector wants.
    let with = |min_rows: u64| {
        let options = StreamOptions { min_rows: Some(min_rows), ..StreamOptions::default() };
        let stream = StreamPanel::new(forecaster(config()), options).unwrap();
        stream.with_detector(detection(None, Some(8)))
    };
    assert_eq!(with(3).unwrap().wanted_rows(), 3);
    let error = with(9).err().unwrap().to_string();
    assert!(error.contains("9 must be at most 8"), "{error}");
}

#[test]
fn a_row_is_compared_even_if_its_own_forecast_is_not_finite() {
    // In these units the value is beyond single precision.
    let forecaster = of_scale(config(), vec![0.1, 7.0]);
    let stream = StreamPanel::new(forecaster, StreamOptions::default()).unwrap();
    let mut stream = stream.with_detector(detection(None, None)).unwrap();
    for number in 0..30 {
        push(&mut stream, number, &row(number)).unwrap();
    }
    let before = stream.rows();
    let error = push(&mut stream, 30, &[3.0e38, 1.0]).unwrap_err();
    assert!(error.to_string().contains("finite"), "{error}");
    assert_eq!(stream.rows(), before + 1);
    let point = stream.watched("")[0];
    assert_eq!((point.channel, point.value, point.anomaly), (0, 3.0e38, true));
    assert_eq!(stream.newest_row(""), Some(30));
}

#[test]
fn a_state_needs_its_detector_and_has_possible_numbers() {
    let forecaster = forecaster(config());
    let (model, options) = (forecaster.model(), StreamOptions::default());
    let detection = detection(Some(0.006), None);
    let state = StreamState::new(model, options).unwrap().with_detection(detection.clone());
    let text = state.unwrap().to_json().unwrap();
    let error = StreamState::from_json(&text, model, options).unwrap_err().to_string();
    assert!(error.contains("was written with a detector"), "{error}");
    let read = |text: &str| StreamState::from_json_with_detection(text, model, options, &detection);
    assert_eq!(read(&text).unwrap().to_json().unwrap(), text);
    let most = u64::MAX.to_string();
    let other = StreamDetection { alpha: 0.5, ..detection.clone() };
    let error = StreamState::from_json_with_detection(&text, model, options, &other).unwrap_err();
    assert!(error.to_string().contains("another detector, alpha"), "{error}");
    let content = ptsm_core::unseal(&text).unwrap();
    for (field, wrong) in [
        ("\"scored\":0", format!("\"scored\":{most}")),
        ("\"forecasts\":0", format!("\"forecasts\":{most}")),
        ("\"alarms\":0", format!("\"alarms\":{most}")),
        ("\"hidden\":[{\"rows\":[]}", "\"hidden\":[{\"rows\":[7,3]}".to_owned()),
        ("\"rows\":[null]", format!("\"rows\":[{most}]")),
    ] {
        assert!(content.contains(field), "{field} {content}");
        let damaged = ptsm_core::seal(&content.replacen(field, &wrong, 1));
        let error = read(&damaged).unwrap_err().to_string();
        assert!(error.contains("impossible counts"), "{field}: {error}");
    }
}
