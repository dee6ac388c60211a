//! What holds for all methods on any history.

use std::f64::consts::TAU;

use ptsm_classical::{History, Method};

const NAN: f64 = f64::NAN;

/// A step of a fixed pseudo-random walk, from -1 to 1.
fn noise(i: usize) -> f64 {
    let bits = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as f64 / 2f64.powi(63) - 1.0
}

fn history(values: &[f64], season: usize, zero: Option<f64>) -> History<'_> {
    History { values, season, zero }
}

fn assert_near(got: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (a, b) in got.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance, "{what}: {got:?} for {expected:?}");
    }
}

/// Series of many kinds, all above 0: season, values.
fn examples() -> Vec<(usize, Vec<f64>)> {
    let kind = |k: usize, season: usize, count: usize| {
        let (trend, wave, rough) = (0.3 * (k % 3) as f64, 0.2 * (k % 4) as f64, 0.5 + k as f64);
        let value = |i: usize| {
            let angle = i as f64 / season as f64 * TAU;
            let level = 40.0 + trend * i as f64;
            let hole = k % 5 == 4 && i % 9 == 3;
            let value = level * (1.0 + wave * angle.sin()) + rough * noise(100 * k + i);
            if hole { NAN } else { value }
        };
        (season, (0..count).map(value).collect())
    };
    let seasons = [1, 4, 12, 7, 30];
    (0..15).map(|k| kind(k, seasons[k % 5], 12 + 9 * k)).collect()
}

#[test]
fn units_do_not_matter() {
    for (season, values) in examples() {
        for (scale, shift) in [(8.0, 0.0), (1e-3, 5.0), (123.4, -7000.0), (1.0, 1e4)] {
            let other: Vec<f64> = values.iter().map(|y| scale * y + shift).collect();
            for zero in [None, Some(0.0)] {
                for method in Method::ALL {
                    let plain = method.forecast(&history(&values, season, zero), 9);
                    let expected: Vec<f64> = plain.iter().map(|y| scale * y + shift).collect();
                    let zero = zero.map(|zero| scale * zero + shift);
                    let got = method.forecast(&history(&other, season, zero), 9);
                    let what = format!("{method:?} season {season} {scale} {shift} {zero:?}");
                    assert_near(&got, &expected, 1e-9 * (scale + shift.abs()), &what);
                }
            }
        }
    }
}

#[test]
fn a_line_goes_on() {
    let values: Vec<f64> = (0..40).map(|i| 5.0 + 2.0 * f64::from(i)).collect();
    let expected: Vec<f64> = (40..48).map(|i| 5.0 + 2.0 * f64::from(i)).collect();
    for (method, tolerance) in [(Method::Drift, 1e-9), (Method::Theta, 0.5), (Method::Ets, 1e-3)] {
        for (season, zero) in [(1, None), (12, None), (1, Some(0.0))] {
            let got = method.forecast(&history(&values, season, zero), 8);
            assert_near(&got, &expected, tolerance, &format!("{method:?} {season} {zero:?}"));
        }
    }
}

#[test]
fn a_season_goes_on() {
    let shape = [1.0, 1.5, 0.5, 2.0, 1.0, 0.0];
    let additive = |i: usize| 9.0 + shape[i % 6] + 0.25 * i as f64;
    let multiplicative = |i: usize| (9.0 + 0.25 * i as f64) * (0.5 + shape[i % 6]);
    let near = |method: Method, zero: Option<f64>, value: &dyn Fn(usize) -> f64| {
        let values: Vec<f64> = (0..48).map(value).collect();
        let expected: Vec<f64> = (48..60).map(value).collect();
        let got = method.forecast(&history(&values, 6, zero), 12);
        let error: f64 = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum();
        error / expected.iter().sum::<f64>()
    };
    for (method, least) in [(Method::Theta, 0.03), (Method::Ets, 0.005)] {
        assert!(near(method, None, &additive) < least, "{method:?}");
        let error = near(method, Some(0.0), &multiplicative);
        assert!(error < least, "{method:?} {error}");
        let without = near(method, None, &multiplicative);
        assert!(without > 3.0 * error, "{method:?} {without} {error}: nothing but additive ones");
    }
}

#[test]
fn noise_about_a_level_is_averaged() {
    let values: Vec<f64> = (0..80).map(|i| 50.0 + 5.0 * noise(i)).collect();
    for method in [Method::Theta, Method::Ets] {
        for season in [1, 12] {
            let got = method.forecast(&history(&values, season, Some(0.0)), 12);
            assert_near(&got, &[50.0; 12], 3.0, &format!("{method:?} {season}"));
        }
    }
}

#[test]
fn missing_values_move_a_forecast_little() {
    let value = |i: usize| 60.0 + 10.0 * (i as f64 / 6.0 * TAU).sin() + noise(i);
    let values: Vec<f64> = (0..60).map(value).collect();
    let mut holed = vec![NAN; 7];
    holed.extend(&values);
    for place in [20, 21, 33, 50] {
        holed[place] = NAN;
    }
    for method in [Method::SeasonalNaive, Method::Theta, Method::Ets] {
        let full = method.forecast(&history(&values, 6, Some(0.0)), 6);
        let got = method.forecast(&history(&holed, 6, Some(0.0)), 6);
        assert_near(&got, &full, 2.5, method.name());
        // Steps that are missing at the end are forecast as well.
        let mut early = values[..58].to_vec();
        let longer = method.forecast(&history(&early, 6, None), 8);
        early.extend([NAN; 2]);
        let got = method.forecast(&history(&early, 6, None), 6);
        assert_near(&got, &longer[2..], 1e-9, method.name());
    }
}

#[test]
fn any_history_has_a_finite_forecast() {
    let spike = |i: usize| if i == 17 { 1e300 } else { 1.0 + noise(i) };
    let histories: Vec<Vec<f64>> = vec![
        vec![],
        vec![NAN; 5],
        vec![3.0],
        vec![1.0, 2.0],
        vec![1.0, NAN, 2.0],
        vec![0.0, 0.0, 1.0],
        vec![1.0, 2.0, 3.0, 4.0],
        (0..40).map(spike).collect(),
        (0..40).map(|i| 1e300 * noise(i)).collect(),
        (0..40).map(|i| f64::MAX * noise(i).signum()).collect(),
        (0..40).map(|i| 1e-310 * noise(i)).collect(),
        (0..40).map(|i| 1e9 + 1e-7 * noise(i)).collect(),
        (0..40).map(|i| if i % 7 == 0 { f64::INFINITY } else { noise(i) }).collect(),
        (0..40).map(|i| if i % 4 == 0 { 1.0 } else { 1e-12 }).collect(),
        (0..40).map(|i| 10f64.powi(3 * i)).collect(),
        (0..40).map(|i| 2f64.powi(-i)).collect(),
    ];
    for (number, values) in histories.iter().enumerate() {
        for season in [0, 1, 2, 4, 12, 30, usize::MAX] {
            for zero in [None, Some(0.0), Some(-1.0), Some(NAN), Some(f64::NEG_INFINITY)] {
                for method in Method::ALL {
                    for horizon in [0, 1, 30] {
                        let got = method.forecast(&history(values, season, zero), horizon);
                        let what = format!("{method:?} of history {number}, season {season}");
                        assert_eq!(got.len(), horizon, "{what}");
                        assert!(got.iter().all(|value| value.is_finite()), "{what}: {got:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn histories_that_show_nothing_have_their_forecast() {
    for method in Method::ALL {
        let of = |values: &[f64], zero| method.forecast(&history(values, 4, zero), 2);
        assert_eq!(of(&[NAN, NAN], Some(7.0)), [7.0, 7.0]);
        assert_eq!(of(&[], None), [0.0, 0.0]);
        assert_eq!(of(&[NAN, 3.0, NAN], None), [3.0, 3.0]);
        assert_eq!(of(&[0.1; 50], Some(0.0)), [0.1, 0.1]);
    }
    for method in [Method::Theta, Method::Ets] {
        assert_eq!(method.forecast(&history(&[1.0, 2.0], 1, None), 2), [2.0, 2.0]);
    }
}

#[test]
fn a_long_season_is_taken_out_and_a_long_history_cut() {
    let value = |i: usize| 100.0 + 30.0 * (i as f64 / 48.0 * TAU).sin() + noise(i);
    let values: Vec<f64> = (0..10_000).map(value).collect();
    let expected: Vec<f64> = (10_000..10_096).map(|i| value(i) - noise(i)).collect();
    for method in [Method::Theta, Method::Ets] {
        for zero in [None, Some(0.0)] {
            let got = method.forecast(&history(&values, 48, zero), 96);
            assert_near(&got, &expected, 2.0, method.name());
            let cut = method.forecast(&history(&values[9000..], 48, zero), 96);
            // The same steps, though the last 9000 are seen whole.
            assert_near(&got, &cut, 1e-9, method.name());
        }
    }
}

#[test]
fn names_are_those_of_serde() {
    for method in Method::ALL {
        let text = serde_json::to_string(&method).unwrap();
        assert_eq!(text, format!("\"{}\"", method.name()));
        assert_eq!(serde_json::from_str::<Method>(&text).unwrap(), method);
    }
}
