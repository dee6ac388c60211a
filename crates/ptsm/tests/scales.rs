//! A forecast moves and grows with its series: k times the rows give k times the forecast, whatever
//! the size of the series that the model learnt from.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

use ptsm::core::Extension;
use ptsm::data::{Column, Table};
use ptsm::{FitOptions, Forecast, Forecaster, Result};

/// One series of a long table: a noisy daily wave of two channels.
#[derive(Debug, Clone, Copy)]
struct Wave {
    id: &'static str,
    rows: usize,
    level: f64,
    factor: f64,
}

const ROWS: usize = 200;

fn wave(id: &'static str, level: f64, factor: f64) -> Wave {
    Wave { id, rows: ROWS, level, factor }
}

impl Wave {
    fn value(&self, row: usize, channel: usize) -> f64 {
        let noise = ((row * 7919 + channel * 104_729) % 1009) as f64 / 1009.0 - 0.5;
        let daily = (row as f64 * std::f64::consts::TAU / 24.0 + channel as f64).sin();
        self.level + self.factor * (10.0 + 2.0 * daily + 0.3 * noise)
    }
}

fn table(waves: &[Wave]) -> Table {
    let ids = waves.iter().map(|wave| (wave.id, wave.rows));
    let channel = |c| waves.iter().flat_map(|w| (0..w.rows).map(|row| w.value(row, c))).collect();
    let columns = vec![
        Column::repeated_texts("unique_id", ids),
        Column::numbers("a", channel(0)),
        Column::numbers("b", channel(1)),
    ];
    Table::new(columns).expect("the columns are of one length")
}

fn options() -> FitOptions {
    let mut options = FitOptions::steps(6).context(24).epochs(1);
    options.model.ptsm =
        Some(Extension { quantiles: Some(vec![0.1, 0.5, 0.9]), ..Extension::default() });
    options
}

/// Whether forecasts of `of` are those of the plain wave, moved and grown as `of` is, within two
/// thousandths of its factor.
fn check(forecaster: &mut Forecaster, of: Wave, plain: &Forecast) -> Result<()> {
    let got = forecaster.forecast(&table(&[of]))?.remove(0);
    for (got, want) in [
        (&got.values, &plain.values),
        (&got.intervals[0].lower, &plain.intervals[0].lower),
        (&got.intervals[0].upper, &plain.intervals[0].upper),
    ] {
        let near =
            |(x, want): (&f64, &f64)| (x - (of.level + of.factor * want)).abs() < 2e-3 * of.factor;
        assert!(got.len() == want.len() && got.iter().zip(want).all(near), "{of:?}: {got:?}");
    }
    Ok(())
}

#[test]
fn k_times_the_rows_give_k_times_the_forecast() {
    let small = wave("small", 0.0, 1.0);
    for learnt in [vec![small, wave("large", 5.0, 1e6)], vec![small]] {
        let mut forecaster = Forecaster::fit(&table(&learnt), &options()).unwrap();
        let plain = forecaster.forecast(&table(&[small])).unwrap().remove(0);
        for id in ["small", "unknown"] {
            for factor in [1e-6, 1e-3, 0.3, 1.0, 50.0, 1e6] {
                check(&mut forecaster, wave(id, 0.0, factor), &plain).unwrap();
            }
            check(&mut forecaster, wave(id, 1e8, 1.0), &plain).unwrap();
            check(&mut forecaster, wave(id, -1e8, 100.0), &plain).unwrap();
        }
    }
}

#[test]
fn series_a_million_times_apart_are_scored_and_forecast_alike() {
    let learnt = [wave("small", 0.0, 1.0), wave("large", 0.0, 1e6)];
    let data = table(&learnt);
    let mut forecaster = Forecaster::fit(&data, &options()).unwrap();
    let forecasts = forecaster.forecast(&data).unwrap();
    let (small, large) = (&forecasts[0].values, &forecasts[1].values);
    let near = |(a, b): (&f64, &f64)| (a - b / 1e6).abs() < 2e-3;
    assert!(small.iter().zip(large).all(near), "{small:?} {large:?}");
    let found = forecaster.evaluate(&data).unwrap().model;
    assert_eq!(found.series_mean.unwrap().series, 2);
    assert!((found.series_mean.unwrap().mse - found.mse).abs() < 1e-6 * found.mse);
}
