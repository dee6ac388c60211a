//! Errors on published sets of series.

#[cfg(test)]
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

/// Every how many series the quick test looks at.
const STRIDE: usize = 8;

/// Errors of Theta and ETS on these series at most, in percent.
const BOUNDS: [(f64, f64); 7] = [
    (17.7, 16.5),
    (11.2, 10.9),
    (14.1, 14.1),
    (4.5, 3.8),
    (21.3, 23.4),
    (14.2, 13.0),
    (25.7, 22.3),
];

/// Scaled errors on the last year of AirPassengers at most.
const MOST_THETA: f64 = 0.65;
const MOST_ETS: f64 = 0.36;

/// The mean error over every `stride`-th series, in percent. A value of 0 has no share to be wrong
/// by: it is left out, as far as errors are not the symmetric ones.
fn error(set: &Set, series: &[Vec<f64>], method: Method, stride: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for values in series.iter().step_by(stride) {
        let (past, future) = values.split_at(values.len() - set.horizon);
        let history = History { values: past, season: set.season, zero: Some(0.0) };
        for (f, y) in method.forecast(&history, set.horizon).iter().zip(future) {
            if *y == 0.0 && !set.symmetric {
                continue;
            }
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

/// The error of one year ahead by that of repeating the year before, over the past.
fn scaled_error(values: &[f64], season: usize, method: Method) -> f64 {
    let (past, future) = values.split_at(values.len() - season);
    let history = History { values: past, season, zero: Some(0.0) };
    let forecast = method.forecast(&history, season);
    let mean = |pairs: Vec<f64>| pairs.iter().sum::<f64>() / pairs.len() as f64;
    let errors = forecast.iter().zip(future).map(|(f, y)| (f - y).abs()).collect();
    let steps = past[season..].iter().zip(past).map(|(late, early)| (late - early).abs()).collect();
    mean(errors) / mean(steps)
}

#[test]
fn air_passengers_are_forecast_well() {
    let Some(series) = common::read("small/AirPassengers.csv") else { return };
    for (method, most) in [(Method::Theta, MOST_THETA), (Method::Ets, MOST_ETS)] {
        let got = scaled_error(&series[0], 12, method);
        println!("{}: {got:.3}", method.name());
        assert!(got < most, "{method:?}: {got}");
    }
}

/// The bounds lie a little above what the methods had when they were written; a part of all series
/// is harder or easier than all.
#[test]
fn a_part_of_the_competitions_is_forecast_as_well_as_published() {
    for (set, (theta, ets)) in SETS.iter().zip(BOUNDS) {
        let Some(series) = common::read(set.name) else { return };
        for (method, most) in [(Method::Theta, theta), (Method::Ets, ets)] {
            let got = error(set, &series, method, STRIDE);
            println!("{} {}: {got:.2}", set.name, method.name());
            assert!(got < most, "{} {method:?}: {got}", set.name);
        }
    }
}

#[test]
fn seasonal_naive_errors_are_exactly_the_published_ones() {
    let published = [17.88, 11.07, 17.23, 6.30, 23.61, 16.46, 22.56];
    for (set, expected) in SETS.iter().zip(published) {
        let Some(series) = common::read(set.name) else { return };
        let got = error(set, &series, Method::SeasonalNaive, 1);
        assert!((got - expected).abs() < 0.0051, "{}: {got}", set.name);
    }
}

/// The values of all series of a set.
type AllSeries = Vec<Vec<f64>>;

/// The series without the part that the published errors are measured on, so that the last
/// `horizon` values left are the validation part. Series with too little before it are left out:
/// two seasons and three values are needed, or four values where there is no season.
fn without_test_part(set: &Set, series: AllSeries) -> AllSeries {
    let least = if set.season > 1 { 2 * set.season + 3 } else { 4 };
    let long = series.into_iter().filter(|values| values.len() >= least + 2 * set.horizon);
    long.map(|mut values| {
        values.truncate(values.len() - set.horizon);
        values
    })
    .collect()
}

/// Prints the errors of all methods on all sets, and their ratios to that of seasonal naive.
#[cfg(test)]
fn print_errors(part: fn(&Set, AllSeries) -> AllSeries) {
    let mut ratios = [0.0; Method::ALL.len()];
    for set in &SETS {
        let Some(series) = common::read(set.name) else { return };
        let series = part(set, series);
        let naive = error(set, &series, Method::SeasonalNaive, 1);
        println!("{}: {} series", set.name, series.len());
        for (method, sum) in Method::ALL.into_iter().zip(&mut ratios) {
            let start = Instant::now();
            let got = error(set, &series, method, 1);
            let each = start.elapsed().as_secs_f64() * 1e3 / series.len() as f64;
            let ratio = got / naive;
            println!("    {:15} {got:8.3} %  ratio {ratio:.4}  {each:.3} ms", method.name());
            *sum += ratio;
        }
    }
    println!("mean ratio over the sets");
    for (method, sum) in Method::ALL.into_iter().zip(ratios) {
        println!("    {:15} {:.4}", method.name(), sum / SETS.len() as f64);
    }
}

#[test]
#[ignore = "prints the errors of all methods on all series; run it with --release"]
fn print_test_parts() {
    print_errors(|_, series| series);
}

/// Constants of the methods are chosen by these errors, never by those on the test parts.
#[test]
#[ignore = "prints the errors of all methods on the validation parts; run it with --release"]
fn print_validation_parts() {
    print_errors(without_test_part);
}
