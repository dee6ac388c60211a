//! Errors on published sets of series.

mod common;

use std::time::Instant;

use ptsm_classical::{History, Method};

/// A set of series, its season, its horizon and whether its error is the symmetric one.
struct Set {
    name: &'static str,
    season: usize,
    horizon: usize,
    symmetric: bool,
}

const fn set(name: &'static str, season: usize, horizon: usize, symmetric: bool) -> Set {
    Set { name, season, horizon, symmetric }
}

const SETS: [Set; 7] = [
    set("m3/yearly.csv.gz", 1, 6, true),
    set("m3/quarterly.csv.gz", 4, 8, true),
    set("m3/monthly.csv.gz", 12, 18, true),
    set("m3/other.csv.gz", 1, 8, true),
    set("tourism/yearly.csv.gz", 1, 4, false),
    set("tourism/quarterly.csv.gz", 4, 8, false),
    set("tourism/monthly.csv.gz", 12, 24, false),
];

/// The mean error over every `stride`-th series, in percent.
fn error(set: &Set, series: &[Vec<f64>], method: Method, stride: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for values in series.iter().step_by(stride) {
        let (past, future) = values.split_at(values.len() - set.horizon);
        let history = History { values: past, season: set.season, zero: Some(0.0) };
        for (f, y) in method.forecast(&history, set.horizon).iter().zip(future) {
            sum += if set.symmetric {
                200.0 * (f - y).abs() / (y.abs() + f.abs())
            } else {
                100.0 * (f - y).abs() / y.abs()
            };
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[test]
#[ignore = "prints the errors of all methods on all series; run it with --release"]
fn print_all() {
    for set in &SETS {
        let Some(series) = common::read(set.name) else { return };
        for method in Method::ALL {
            let start = Instant::now();
            let got = error(set, &series, method, 1);
            let each = start.elapsed().as_secs_f64() * 1e3 / series.len() as f64;
            println!("{:24} {:15} {got:8.3} %  {each:.3} ms", set.name, method.name());
        }
    }
}
