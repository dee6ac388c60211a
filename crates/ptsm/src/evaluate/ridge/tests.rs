//! Tests of the ridge regression.

use std::sync::Arc;

use super::*;
use crate::data::{PreparedSeries, Segment, WindowShape};
use crate::evaluate::{EvaluateOptions, evaluate};

fn set(
    values: &[f32],
    mask: Option<&[f32]>,
    channels: usize,
    lengths: (usize, usize),
) -> WindowSet {
    let series = PreparedSeries {
        id: String::new(),
        num_channels: channels,
        values: values.to_vec(),
        observed_mask: mask.map(<[f32]>::to_vec),
    };
    let rows = 0..series.num_rows();
    let series = Arc::new(series);
    let shape = WindowShape { context_length: lengths.0, prediction_length: lengths.1, step: 1 };
    WindowSet::new(vec![Segment { series, rows }], shape).unwrap()
}

/// Two channels: waves of different length, level and size, and a little noise.
fn waves(rows: usize) -> Vec<f32> {
    let mut state = 7u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 - 0.5
    };
    let wave = |i: usize, period: f32| (std::f32::consts::TAU * i as f32 / period).sin();
    (0..rows)
        .flat_map(|i| [2.0 + wave(i, 12.0) + 0.01 * noise(), 3.0 * wave(i, 7.0) + 0.01 * noise()])
        .collect()
}

#[test]
fn a_worked_example_has_the_weights_of_the_normal_equations() {
    // L = 2, H = 1: the centred context is (-d, d) with d = half the last change, so with
    // u = change / 2 the fit is y = w1 d - w0 d + b and w0 = -w1 by symmetry of the penalty.
    let values = [0.0, 1.0, 3.0, 2.0, 4.0, 3.0];
    let windows = set(&values, None, 1, (2, 1));
    let ridge = Ridge::fit(&windows, &windows).unwrap();
    // Four rows, d = 0.5, 1, -0.5, 1; targets less the context mean 2.5, 0, 1.5, 0.
    let (d, y) = ([0.5, 1.0, -0.5, 1.0f64], [2.5, 0.0, 1.5, 0.0f64]);
    let (dd, d1): (f64, f64) = (d.iter().map(|d| d * d).sum(), d.iter().sum());
    let (dy, y1): (f64, f64) = (d.iter().zip(y).map(|(d, y)| d * y).sum(), y.iter().sum());
    // Minimise sum (2 w d + b - y)^2 + 2 lambda w^2 over w and b.
    let solve = |lambda: f64| {
        let (a, b, c) = (4.0 * dd + 2.0 * lambda, 2.0 * d1, 4.0);
        let (p, q) = (2.0 * dy, y1);
        let w = (p * c - q * b) / (a * c - b * b);
        (w, (q - b * w) / c)
    };
    // Validation sees the first window alone, which every penalty forecasts as 1.0 here.
    let error = |(w, b): (f64, f64)| (2.0 * w * d[0] + b - y[0]).powi(2);
    let (w, b) = solve(ridge.penalty() * 4.0);
    assert!((f64::from(ridge.weights[1]) - w).abs() < 1e-6, "{ridge:?} {w}");
    assert!((f64::from(ridge.weights[0]) + w).abs() < 1e-6, "{ridge:?} {w}");
    assert!((f64::from(ridge.bias[0]) - b).abs() < 1e-6, "{ridge:?} {b}");
    assert!((ridge.validation_mse() - error((w, b))).abs() < 1e-12);
    assert_eq!(ridge.training_rows(), 4);
}

#[test]
fn waves_are_learnt_and_levels_are_carried_over() {
    let values = waves(400);
    let (train, rest) = values.split_at(500);
    let train = set(train, None, 2, (24, 5));
    let ridge = Ridge::fit(&train, &set(rest, None, 2, (24, 5))).unwrap();
    let lifted: Vec<f32> = rest.iter().map(|value| value + 50.0).collect();
    let test = set(&lifted, None, 2, (24, 5));
    let options = EvaluateOptions::default();
    let got = evaluate(&mut |batch| ridge.predict(batch), &test, &options).unwrap();
    assert!(got.mse < 1e-3, "{got:?}");
}

#[test]
fn without_a_constant_the_level_is_forecast_from_the_level_alone() {
    // A ramp: the constant alone would forecast its rise.
    let ramp: Vec<f32> = (0..40).map(|i| i as f32).collect();
    let windows = set(&ramp, None, 1, (4, 2));
    let fit = |constant, location| {
        let options = RidgeOptions { constant, location, ..RidgeOptions::default() };
        Ridge::fit_with(&windows, &windows, options).unwrap()
    };
    for location in [Location::Mean, Location::Last] {
        assert!(fit(true, location).bias.iter().any(|bias| *bias != 0.0));
        let free = fit(false, location);
        assert_eq!(free.bias, [0.0; 2]);
        let batch = windows.batch(&[7]);
        let future = batch.future_values().unwrap();
        let got = free.predict(&batch).unwrap();
        assert!(got.iter().zip(future).all(|(x, y)| (x - y).abs() < 0.1), "{location:?} {got:?}");
    }
}

#[test]
fn validation_error_is_that_of_the_forecasts_on_every_eighth_window() {
    let values = waves(300);
    let (train, rest) = values.split_at(400);
    let ridge = Ridge::fit(&set(train, None, 2, (10, 3)), &set(rest, None, 2, (10, 3))).unwrap();
    let every = set(rest, None, 2, (10, 3));
    let shape = WindowShape { step: VALIDATION_STRIDE, ..every.shape() };
    let eighth = WindowSet::new(every.segments().to_vec(), shape).unwrap();
    let options = EvaluateOptions::default();
    let got = evaluate(&mut |batch| ridge.predict(batch), &eighth, &options).unwrap();
    assert!((got.mse - ridge.validation_mse()).abs() < 1e-6 * got.mse.max(1e-3), "{got:?}");
}

#[test]
fn windows_with_gaps_are_left_out_of_the_fit() {
    let mut values = waves(300);
    let mut mask = vec![1.0; values.len()];
    // What a missing point holds must not matter: a fit that saw this would be ruined.
    (values[200], mask[200]) = (1e6, 0.0);
    let gaps = set(&values, Some(&mask), 2, (10, 3));
    let ridge = Ridge::fit(&gaps, &gaps).unwrap();
    // Channel 0 loses the 13 windows over its row 100.
    assert_eq!(ridge.training_rows(), 2 * 288 - 13);
    assert!(ridge.validation_mse() < 1e-3);
}

#[test]
fn too_few_complete_windows_are_an_error_that_says_so() {
    let values = waves(40);
    let whole = set(&values, None, 2, (10, 3));
    let mut mask = vec![1.0; values.len()];
    mask.iter_mut().step_by(10).for_each(|mask| *mask = 0.0);
    let gaps = set(&values, Some(&mask), 2, (10, 3));
    let refused = |train, validation| {
        let error = Ridge::fit(train, validation).unwrap_err();
        error.to_string()
    };
    // Channel 0 has a gap every 5 rows, channel 1 none: 28 rows; with both broken: none.
    assert!(Ridge::fit(&gaps, &whole).is_ok());
    let mask = vec![0.0; values.len()];
    let nothing = set(&values, Some(&mask), 2, (10, 3));
    let text = refused(&nothing, &whole);
    assert!(text.contains("0 complete training rows") && text.contains("11 weights"), "{text}");
    let text = refused(&whole, &nothing);
    assert!(text.contains("no complete validation window"), "{text}");
    let text = refused(&whole, &set(&values, None, 2, (10, 4)));
    assert!(text.contains("10 + 3 steps, validation windows 10 + 4"), "{text}");
}

#[test]
fn a_forecast_has_the_same_bits_alone_and_in_a_batch_and_gaps_count_as_the_mean() {
    let values = waves(200);
    let train = set(&values, None, 2, (23, 130));
    let ridge = Ridge::fit(&train, &train).unwrap();
    let whole = ridge.predict(&train.batch(&(0..20).collect::<Vec<_>>())).unwrap();
    for (index, want) in whole.chunks_exact(2 * 130).enumerate() {
        assert_eq!(ridge.predict(&train.batch(&[index])).unwrap(), want, "window {index}");
    }

    let mut batch = train.batch(&[0]);
    let mut mask = vec![1.0; batch.past_values().len()];
    mask[4] = 0.0;
    let masked = ridge.predict(&batch.clone().with_observed_mask(mask).unwrap()).unwrap();
    let others = (0..23).filter(|step| *step != 2).map(|step| batch.past_values()[2 * step]);
    let mean = others.sum::<f32>() / 22.0;
    batch.past_values_mut()[4] = mean;
    let filled = ridge.predict(&batch).unwrap();
    assert!(masked.iter().zip(&filled).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn json_and_back_is_the_same_and_wrong_lengths_are_refused() {
    let windows = set(&waves(60), None, 2, (6, 2));
    let ridge = Ridge::fit(&windows, &windows).unwrap();
    let text = serde_json::to_string(&ridge).unwrap();
    assert_eq!(serde_json::from_str::<Ridge>(&text).unwrap(), ridge);
    let text = text.replace("\"context_length\":6", "\"context_length\":7");
    let error = serde_json::from_str::<Ridge>(&text).unwrap_err();
    assert!(error.to_string().contains("from 7 to 2 steps"), "{error}");
    let batch = set(&waves(60), None, 2, (7, 2)).batch(&[0]);
    let error = ridge.predict(&batch).unwrap_err();
    assert!(error.to_string().contains("context_length 6"), "{error}");
}
