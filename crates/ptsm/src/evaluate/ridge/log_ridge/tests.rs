//! Growth, seasons, missing points and percentage errors of ridge regressions on logarithms.

use std::sync::Arc;

use super::*;
use crate::data::{BatchShape, PreparedSeries, Segment, WindowShape};

/// Series that grow by a fifth every step, but for a swing of two steps, of very different size.
fn windows(masked: bool) -> WindowSet {
    let series = |number: i32| {
        let size = 10f32.powi(number);
        let value = |t: i32| size * 1.2f32.powi(t) * if t % 2 == 0 { 2.0 } else { 0.5 };
        let mask = (0..12).map(|t| if masked && t == 0 { 0.0 } else { 1.0 }).collect();
        let series = PreparedSeries {
            id: number.to_string(),
            num_channels: 1,
            values: (number..number + 12).map(value).collect(),
            observed_mask: masked.then_some(mask),
        };
        Segment { rows: 0..series.num_rows(), series: Arc::new(series) }
    };
    let shape = WindowShape { context_length: 3, prediction_length: 2, step: 1 };
    WindowSet::new((-3..4).map(series).collect(), shape).unwrap()
}

fn options(loss: Option<PercentLoss>) -> LogRidgeOptions {
    LogRidgeOptions { season: 1, loss, penalty: None }
}

#[test]
fn growth_and_seasons_of_series_of_any_size_are_found() {
    for masked in [false, true] {
        let all = windows(masked);
        for loss in [None, Some(PercentLoss::Smape), Some(PercentLoss::Mape)] {
            let ridge = LogRidge::fit(&all, &all, options(loss)).unwrap();
            assert_eq!(ridge.penalty(), PENALTIES[0]);
            let shape = BatchShape { size: 1, context_length: 3, num_channels: 1 };
            // 5e5 times 1.2^t: 2, 0.5, 2, then 0.5 and 2.
            let past = [1.0, 0.3, 1.44].map(|x| 1e6 * x).to_vec();
            let batch = Batch::new(shape, past).unwrap();
            let got = ridge.predict(&batch).unwrap();
            for (got, wanted) in got.iter().zip([0.432e6, 2.0736e6]) {
                assert!((got / wanted - 1.0).abs() < 0.02, "{masked} {loss:?}: {got} {wanted}");
            }
        }
    }
}

#[test]
fn series_that_vary_by_little_of_their_level_are_not_shrunk_to_it() {
    // 1000 and 1001 in turn, of very different size.
    let series = |number: i32| {
        let value = |t: i32| 10f32.powi(number) * (1000 + t.rem_euclid(2)) as f32;
        let series = PreparedSeries {
            id: number.to_string(),
            num_channels: 1,
            values: (number..number + 12).map(value).collect(),
            observed_mask: None,
        };
        Segment { rows: 0..series.num_rows(), series: Arc::new(series) }
    };
    let shape = WindowShape { context_length: 3, prediction_length: 1, step: 1 };
    let all = WindowSet::new((-3..4).map(series).collect(), shape).unwrap();
    let ridge = LogRidge::fit(&all, &all, options(None)).unwrap();
    let shape = BatchShape { size: 1, context_length: 3, num_channels: 1 };
    for past in [[1001.0, 1000.0, 1001.0], [1000.0, 1001.0, 1000.0]] {
        let got = ridge.predict(&Batch::new(shape, past.to_vec()).unwrap()).unwrap()[0];
        assert!((got - past[1]).abs() < 0.1, "{got} {past:?}");
    }
}

#[test]
fn missing_points_are_inputs_of_their_own() {
    let all = windows(true);
    let ridge = LogRidge::fit(&all, &all, options(None)).unwrap();
    assert_eq!(ridge.weights().0.len(), 2 * 3 * 2);
    assert_eq!(
        LogRidge::fit(&windows(false), &windows(false), options(None)).unwrap().weights().0.len(),
        6
    );
}

#[test]
fn percentage_errors_forecast_less_than_the_median() {
    // One in three futures is ten times as large: the median is the lower value, and so is the least MAPE; of
    // squares of logarithms it would be between.
    let series = |number: usize| {
        let last = if number.is_multiple_of(3) { 10.0 } else { 1.0 };
        let series = PreparedSeries {
            id: number.to_string(),
            num_channels: 1,
            values: vec![1.0, last],
            observed_mask: None,
        };
        Segment { rows: 0..2, series: Arc::new(series) }
    };
    let shape = WindowShape { context_length: 1, prediction_length: 1, step: 1 };
    let all = WindowSet::new((0..30).map(series).collect(), shape).unwrap();
    let forecast = |loss| {
        let ridge = LogRidge::fit(&all, &all, options(loss)).unwrap();
        f64::from(ridge.weights().1[0])
    };
    let (median, percent) = (forecast(None), forecast(Some(PercentLoss::Mape)));
    assert!(percent <= median + 1e-6 && median < 0.5 * f64::ln(10.0) / 3.0, "{percent} {median}");
}

#[test]
fn forecasts_stay_near_the_window_and_files_are_checked() {
    let all = windows(false);
    let mut ridge = LogRidge::fit(&all, &all, options(None)).unwrap();
    ridge.bias = vec![50.0, -50.0];
    let shape = BatchShape { size: 1, context_length: 3, num_channels: 1 };
    let got = ridge.predict(&Batch::new(shape, vec![2.0, 4.0, 3.0]).unwrap()).unwrap();
    assert!((got[0] - 20.0).abs() < 1e-3 && (got[1] - 0.2).abs() < 1e-4, "{got:?}");
    let none = Batch::new(shape, vec![0.0; 3]).and_then(|b| b.with_observed_mask(vec![0.0; 3]));
    assert!(ridge.predict(&none.unwrap()).unwrap().iter().all(|x| x.is_finite()));
    let text = serde_json::to_string(&ridge).unwrap();
    assert_eq!(serde_json::from_str::<LogRidge>(&text).unwrap(), ridge);
    let other = text.replace("\"context_length\":3", "\"context_length\":4");
    assert!(serde_json::from_str::<LogRidge>(&other).is_err());
    let few = LogRidge::fit(&all.shortened(3, true), &all, options(None));
    assert!(few.is_ok());
}

#[test]
fn too_few_rows_are_refused() {
    let shape = WindowShape { context_length: 9, prediction_length: 2, step: 1 };
    let segments = windows(false).segments().to_vec();
    let long = WindowSet::new(segments, shape).unwrap();
    let error = LogRidge::fit(&long, &long, options(None)).unwrap_err().to_string();
    assert!(error.contains("14 training rows") && error.contains("10 weights"), "{error}");
}
