use std::sync::Arc;

use super::*;
use crate::data::{BatchShape, PreparedSeries, Segment, WindowSet, WindowShape};
use ptsm_core::OutputSpec;

fn config() -> Config {
    Config { context_length: 4, prediction_length: 1, num_input_channels: 1, ..Config::default() }
}

/// Forecasts the last value of a window.
struct Last(Arc<OutputSpec>);

impl Session for Last {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        out.reset(&self.0);
        out.numbers.extend(batch.past_values().iter().skip(3).step_by(4));
        Ok(())
    }
}

fn last() -> Last {
    Last(Arc::new(OutputSpec::new(&config()).unwrap()))
}

/// Rows that go up and down by `size`, with a few larger steps.
fn series(id: &str, size: f32) -> Segment {
    let values: Vec<f32> =
        (0..64).map(|i| size * (i % 2) as f32 * if i % 16 == 0 { 4.0 } else { 1.0 }).collect();
    let series = PreparedSeries { id: id.into(), num_channels: 1, values, observed_mask: None };
    let rows = 0..series.num_rows();
    Segment { series: Arc::new(series), rows }
}

fn fit(segments: Vec<Segment>, levels: &[f64]) -> Calibration {
    let shape = WindowShape { context_length: 4, prediction_length: 1, step: 1 };
    let windows = WindowSet::new(segments, shape).unwrap();
    let options = CalibrationOptions { name: "v", levels, season: 1 };
    Calibration::fit(&config(), &mut last(), &windows, &options).unwrap()
}

fn bands(calibration: &Calibration, past: Vec<f32>) -> Vec<Band> {
    let shape = BatchShape { size: 1, context_length: 4, num_channels: 1 };
    let batch = Batch::new(shape, past).unwrap();
    let mut output = Prediction::default();
    last().forward(&batch, &mut output).unwrap();
    calibration.bands(&batch, &output)
}

#[test]
fn a_large_series_has_wide_intervals_and_a_small_one_narrow_ones() {
    let calibration = fit(vec![series("small", 1.0), series("large", 100.0)], &[0.8]);
    assert_eq!(calibration.difficulty, Difficulty::Change { season: 1 });
    let width = |size: f32| {
        let band = &bands(&calibration, vec![0.0, size, 0.0, size])[0];
        band.upper[0] - band.lower[0]
    };
    assert!((width(1.0) - 2.0).abs() < 1e-6, "{}", width(1.0));
    for size in [3.0, 100.0, 2000.0] {
        assert!((width(size) / f64::from(size) - 2.0).abs() < 1e-6, "{size}");
    }
    // A constant among others.
    let constant = &bands(&calibration, vec![5.0; 4])[0];
    assert!(constant.lower[0] < 5.0 && constant.upper[0] > 5.0, "{constant:?}");
    assert!((constant.upper[0] - constant.lower[0]).is_finite());
}

#[test]
fn a_wider_level_holds_the_narrower_one() {
    let interval = |level, multiple| CalibratedInterval {
        level,
        multiples: vec![multiple],
        typical: Vec::new(),
        pooling: Pooling::None,
        points: 0,
    };
    let calibration = Calibration {
        version: 1,
        fitted_on: String::new(),
        windows: 1,
        difficulty: Difficulty::Unit,
        intervals: vec![interval(0.5, 2.0), interval(0.8, 1.0), interval(0.9, -3.0)],
    };
    for band in bands(&calibration, vec![0.0, 0.0, 0.0, 5.0]) {
        assert_eq!(band, Band { lower: vec![3.0], upper: vec![7.0] });
    }
}

#[test]
fn a_file_of_the_first_version_gives_the_intervals_that_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let path = ModelDir::new(folder.path()).calibration();
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write(r#"{"fitted_on":"v","windows":9,"intervals":[{"level":0.8,"offsets":[1.5]}]}"#);
    let found = Calibration::from_dir(folder.path(), &config()).unwrap().unwrap();
    assert_eq!((found.version, found.difficulty), (1, Difficulty::Unit));
    for size in [1.0, 100.0] {
        let band = &bands(&found, vec![0.0, size, 0.0, size])[0];
        assert_eq!(band.upper[0] - band.lower[0], 3.0);
    }
    write(r#"{"version":9,"fitted_on":"v","windows":9,"intervals":[]}"#);
    let error = Calibration::from_dir(folder.path(), &config()).unwrap_err().to_string();
    assert!(error.contains("version 9") && error.contains("repeat ptsm calibrate"), "{error}");
    write(
        r#"{"version":2,"fitted_on":"v","windows":9,"difficulty":{"kind":"width"},
            "intervals":[{"level":0.8,"multiples":[1.5]}]}"#,
    );
    let error = Calibration::from_dir(folder.path(), &config()).unwrap_err().to_string();
    assert!(error.contains("does not fit"), "{error}");
}

#[test]
fn a_calibration_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let calibration = fit(vec![series("a", 1.0)], &[0.5, 0.999]);
    assert_eq!(calibration.intervals[0].pooling, Pooling::None);
    assert_eq!(calibration.intervals[1].pooling, Pooling::StudentT);
    calibration.save(folder.path()).unwrap();
    let text = std::fs::read_to_string(ModelDir::new(folder.path()).calibration()).unwrap();
    assert!(text.contains("\"pooling\":\"student-t\"") && text.contains("\"multiples\""), "{text}");
    let found = Calibration::from_dir(folder.path(), &config()).unwrap();
    assert_eq!(found, Some(calibration));
}
