//! Tests of the metrics.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::data::PreparedSeries;

const ALL: Detail = Detail { per_step: true, per_channel: true, per_series: true };

fn segment(values: &[f32], channels: usize, mask: Option<&[f32]>) -> Segment {
    let series = PreparedSeries {
        id: String::new(),
        num_channels: channels,
        values: values.to_vec(),
        observed_mask: mask.map(<[f32]>::to_vec),
    };
    let rows = 0..series.num_rows();
    Segment { series: Arc::new(series), rows }
}

fn close(got: Option<f64>, want: f64) -> bool {
    got.is_some_and(|got| (got - want).abs() < 1e-12 * want.abs().max(1.0))
}

#[test]
fn scores_of_a_worked_example_are_right() {
    // Errors 1, -2, 0, 3; two windows of one step and two channels.
    let truth = [1.0, 2.0, 3.0, 4.0];
    let forecast = [2.0, 0.0, 3.0, 7.0];
    let scale = MaseScale {
        season_length: 1,
        per_channel: vec![Some(0.5), Some(4.0)],
        per_series: BTreeMap::new(),
    };
    let mut sums = Accumulator::new(1, 2, Some(&scale)).unwrap();
    sums.push(&forecast, &truth, None).unwrap();
    let got = sums.metrics(ALL).unwrap();
    assert_eq!((got.mse, got.mae, got.rmse), (3.5, 1.5, 3.5f64.sqrt()));
    assert_eq!((got.windows, got.points), (2, 4));
    // Channel errors 0.5 and 2.5, scaled 1 and 0.625.
    assert!(close(got.mase, 0.8125));
    // Deviations: forecast -1, -3, 0, 4; truth -1.5, -0.5, 0.5, 1.5.
    assert!(close(got.correlation, 9.0 / (26.0f64 * 5.0).sqrt()));
    let channels = got.per_channel.unwrap();
    assert_eq!(channels[0].mse, Some(0.5));
    assert_eq!(channels[1].mae, Some(2.5));
    assert!(close(channels[1].mase, 0.625));
    let steps = got.per_step.unwrap();
    assert!(close(steps[0].mase, 0.8125));
    assert_eq!(steps[0].points, 4);
}

#[test]
fn masked_points_do_not_count_whatever_they_hold() {
    let mut sums = Accumulator::new(2, 1, None).unwrap();
    let mask = [1.0, 0.0, 1.0, 0.0];
    let forecast = [1.0, f32::NAN, 5.0, 9.0];
    sums.push(&forecast, &[2.0, 0.0, 2.0, 0.0], Some(&mask)).unwrap();
    let got = sums.metrics(ALL).unwrap();
    assert_eq!((got.mse, got.mae, got.points), (5.0, 2.0, 2));
    assert_eq!(got.mase, None);
    assert_eq!(got.correlation, None, "the truth is constant");
    let last = &got.per_step.unwrap()[1];
    assert_eq!((last.points, last.mse, last.correlation), (0, None, None));
}

#[test]
fn no_points_and_non_finite_points_are_errors_that_add_nothing() {
    let mut sums = Accumulator::new(2, 1, None).unwrap();
    sums.push(&[1.0, 1.0], &[1.0, 1.0], Some(&[0.0, 0.0])).unwrap();
    let error = sums.metrics(Detail::default()).unwrap_err().to_string();
    assert!(error.contains("not one known point in 1 windows"), "{error}");
    let error = sums.push(&[1.0, f32::NAN], &[1.0, 2.0], None).unwrap_err();
    assert!(error.to_string().starts_with("window 1, step 1, channel 0"), "{error}");
    let error = sums.push(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], None).unwrap_err();
    assert!(error.to_string().contains("multiples of 2"), "{error}");
    sums.push(&[3.0, 1.0], &[1.0, 1.0], None).unwrap();
    assert_eq!(sums.metrics(Detail::default()).unwrap().mse, 2.0);
}

#[test]
fn mase_scale_is_the_seasonal_naive_error_of_observed_pairs() {
    let values = [0.0, 5.0, 1.0, 5.0, 4.0, 5.0, 3.0, 5.0];
    let scale = MaseScale::fit(&[segment(&values, 2, None)], 2).unwrap();
    assert_eq!(scale.per_channel, [Some(3.0), None], "a constant has none");
    let mut mask = [1.0; 8];
    mask[0] = 0.0;
    let scale = MaseScale::fit(&[segment(&values, 2, Some(&mask))], 2).unwrap();
    assert_eq!(scale.per_channel[0], Some(2.0));
    let scale = MaseScale::fit(&[segment(&values, 2, None)], 9).unwrap();
    assert_eq!(scale.per_channel, [None, None]);
    // A cell of -9999 does not make the errors small; data that mostly stand still keep their jumps.
    let glitch: Vec<f32> = (0..20).map(|i| if i == 7 { -9999.0 } else { (i % 2) as f32 }).collect();
    let scale = MaseScale::fit(&[segment(&glitch, 1, None)], 1).unwrap();
    assert_eq!(scale.per_channel, [Some(1.0)]);
    let steps: Vec<f32> = (0..20).map(|i| if i < 15 { 0.0 } else { 9999.0 }).collect();
    let scale = MaseScale::fit(&[segment(&steps, 1, None)], 1).unwrap();
    assert_eq!(scale.per_channel, [Some(9999.0 / 19.0)]);
    assert!(MaseScale::fit(&[], 1).is_err());
    assert!(MaseScale::fit(&[segment(&values, 2, None)], 0).is_err());
}

#[test]
fn correlation_survives_a_level_far_above_the_spread() {
    let truth: Vec<f32> = (0..100).map(|i| 1e6 + (i % 7) as f32).collect();
    let forecast: Vec<f32> = (0..100).map(|i| 3e6 - 2.0 * (i % 7) as f32).collect();
    let mut sums = Accumulator::new(1, 1, None).unwrap();
    sums.push(&forecast, &truth, None).unwrap();
    let got = sums.metrics(Detail::default()).unwrap().correlation.unwrap();
    assert!((got + 1.0).abs() < 1e-9, "{got}");
}

/// Forecast, truth and mask in three channels, some whole windows of two steps.
fn points() -> impl Strategy<Value = Vec<(f32, f32, bool)>> {
    let point = (-1e3f32..1e3, -1e3f32..1e3, any::<bool>());
    (1usize..8).prop_flat_map(move |windows| prop::collection::vec(point.clone(), windows * 6))
}

fn naive(points: &[(f64, f64)]) -> (f64, f64, f64) {
    let n = points.len() as f64;
    let sum = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|&(a, b)| f(a, b)).sum::<f64>();
    let (a, b) = (sum(&|a, _| a) / n, sum(&|_, b| b) / n);
    let common = sum(&|x, y| (x - a) * (y - b));
    let spread = (sum(&|x, _| (x - a).powi(2)) * sum(&|_, y| (y - b).powi(2))).sqrt();
    let mse = sum(&|x, y| (x - y).powi(2)) / n;
    (mse, sum(&|x, y| (x - y).abs()) / n, common / spread)
}

proptest! {
    #[test]
    fn streaming_equals_two_passes_and_no_bit_depends_on_the_batches(points in points()) {
        let forecast: Vec<f32> = points.iter().map(|p| p.0).collect();
        let truth: Vec<f32> = points.iter().map(|p| p.1).collect();
        let mask: Vec<f32> = points.iter().map(|p| f32::from(p.2)).collect();
        let kept = |keep: &dyn Fn(usize) -> bool| -> Vec<(f64, f64)> {
            let numbered = points.iter().enumerate().filter(|(i, p)| p.2 && keep(*i));
            numbered.map(|(_, p)| (f64::from(p.0), f64::from(p.1))).collect()
        };
        let total = kept(&|_| true);
        prop_assume!(total.len() > 2);
        let mut whole = Accumulator::new(2, 3, None).unwrap();
        whole.push(&forecast, &truth, Some(&mask)).unwrap();
        let got = whole.metrics(ALL).unwrap();
        let (mse, mae, correlation) = naive(&total);
        prop_assert!(close(Some(got.mse), mse));
        prop_assert!(close(Some(got.mae), mae));
        prop_assert!((got.correlation.unwrap() - correlation).abs() < 1e-9);
        prop_assert_eq!(got.points, total.len() as u64);
        for (channel, part) in got.per_channel.iter().flatten().enumerate() {
            let want = kept(&|i| i % 3 == channel);
            prop_assert_eq!(part.points, want.len() as u64);
            prop_assert!(want.is_empty() || close(part.mse, naive(&want).0));
        }
        for (step, part) in got.per_step.iter().flatten().enumerate() {
            let want = kept(&|i| i / 3 % 2 == step);
            prop_assert_eq!(part.points, want.len() as u64);
            prop_assert!(want.is_empty() || close(part.mae, naive(&want).1));
        }
        let mut single = Accumulator::new(2, 3, None).unwrap();
        for i in (0..points.len()).step_by(6) {
            single.push(&forecast[i..i + 6], &truth[i..i + 6], Some(&mask[i..i + 6])).unwrap();
        }
        prop_assert_eq!(single.metrics(ALL).unwrap(), got);
    }
}
