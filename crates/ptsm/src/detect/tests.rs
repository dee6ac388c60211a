//! Scans against plain loops, and what is promised of p-values and flags.

use super::*;
use crate::data::{Grid, Part, Series, SeriesSet, Split, Standardiser, Table};
use crate::data::{ReadOptions, Repair, Roles};
use crate::preprocessor::Preprocessor;
use crate::{Config, Cpu, ErrorKind, Forecaster, Model};
use ptsm_core::Init;

/// Rows of the context.
const CONTEXT: usize = 16;

/// Draws of the standard normal distribution.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    move || {
        let (u, v) = (uniform(), uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// Series `s0`, `s1`, ... of two channels, of these numbers of rows; `value` gives a point, NaN for a gap.
fn set(rows: &[usize], mut value: impl FnMut(usize, usize, usize) -> f64) -> SeriesSet {
    let table = Table::from_csv(b"id,x,y\ns,1,2\n", "t.csv", &ReadOptions::default()).unwrap();
    let roles = Roles { id: Some("id".into()), ..Roles::default() };
    let mut set = SeriesSet::from_table(&table, &roles, &Repair::default()).unwrap();
    let series = |(number, &rows): (usize, &usize)| {
        let points = (0..rows).flat_map(|row| [(row, 0), (row, 1)]);
        let values = points.map(|(row, channel)| value(number, row, channel)).collect();
        Series::new(format!("s{number}"), 2, values).unwrap()
    };
    set.series = rows.iter().enumerate().map(series).collect();
    set
}

/// A small network of these series with the weights that it begins a training with.
fn forecaster(set: &SeriesSet) -> Forecaster {
    let config = Config {
        context_length: CONTEXT,
        patch_length: 4,
        patch_stride: 4,
        d_model: 4,
        num_layers: 1,
        prediction_length: 4,
        num_input_channels: 2,
        ..Config::default()
    };
    let preprocessor = Preprocessor {
        dataset: "t".into(),
        channels: set.channels.clone(),
        roles: set.roles.clone(),
        frequency: set.frequency,
        times: Default::default(),
        missing: Vec::new(),
        grid: Grid::Regular,
        seasonal_period: 1,
        split: Split::default(),
        standardiser: Standardiser::identity(2),
        labels: None,
        covariates: None,
    };
    let folder = tempfile::tempdir().unwrap();
    Model::new(config, Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
    preprocessor.save(folder.path()).unwrap();
    Forecaster::from_dir(folder.path(), &Cpu::default()).unwrap()
}

fn silent() -> impl FnMut(usize, usize) -> crate::Result<()> {
    |_, _| Ok(())
}

/// Calibrates on the validation part of halves, and scans the test part.
fn scan(
    set: &SeriesSet,
    options: DetectorOptions,
    how: impl Into<ScanOptions>,
) -> (Detector, Detection) {
    let mut forecaster = forecaster(set);
    let split = Split::Ratio { train: 1, validation: 4, test: 5 };
    let rows = rows_of_part(set, split, Part::Validation).unwrap();
    let detector = forecaster.detector(set, &rows, &options, "half", &mut silent()).unwrap();
    let rows = rows_of_part(set, split, Part::Test).unwrap();
    let found = forecaster.detect(set, &rows, &detector, how, &mut silent()).unwrap();
    (detector, found)
}

/// The residual of a point of the first channel: the forecast is that of the cut series.
fn residual(forecaster: &mut Forecaster, set: &SeriesSet, point: PointAt) -> f64 {
    let PointAt { series, row, ahead } = point;
    let alone = SeriesSet { series: vec![set.series[series].clone()], ..set.clone() };
    let end = row + 1 - ahead;
    let forecast = forecaster.predict(&alone, set.series[series].num_rows() - end).unwrap();
    set.series[series].get(row, 0).unwrap() - forecast[0].values[2 * (ahead - 1)]
}

#[derive(Clone, Copy)]
struct PointAt {
    series: usize,
    row: usize,
    ahead: usize,
}

/// The median; of few the smallest order statistic that is above that of the distribution in nine of ten cases.
fn spread(sizes: &[f64]) -> f64 {
    let mut sorted = sizes.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    if count >= 99 {
        return sorted[count / 2];
    }
    // How often so many of all are below the median, by Pascal's triangle.
    let mut row = vec![1.0f64];
    for _ in 0..count {
        let next = (0..=row.len()).map(|k| {
            let of = |k: Option<usize>| k.and_then(|k| row.get(k)).copied().unwrap_or(0.0);
            (of(Some(k)) + of(k.checked_sub(1))) / 2.0
        });
        row = next.collect();
    }
    let place = (0..count).find(|&place| row[..=place].iter().sum::<f64>() >= 0.9).unwrap();
    sorted[place]
}

#[test]
fn scores_and_p_values_are_those_of_a_plain_loop() {
    for ahead in [1, 3] {
        let mut draw = noise(3);
        // The second series has too few rows for p-values of its own.
        let set = set(&[400, 100], |series, row, channel| match (row + channel) % 11 {
            5 => f64::NAN,
            _ => (series + 1) as f64 * draw() + 0.1 * row as f64,
        });
        let options = DetectorOptions { ahead, ..DetectorOptions::default() };
        let (detector, found) = scan(&set, options, FlagBy::FalseDiscoveries(0.1));
        let mut forecaster = forecaster(&set);
        // Rows of the calibration: 40 to 200 and 10 to 50; of the test: 200 to 400 and 50 to 100.
        let parts = [(40..200, 200..400), (10..50, 50..100)];
        let mut sizes: Vec<Vec<f64>> = Vec::new();
        for (series, (calibration, _)) in parts.iter().enumerate() {
            let rows =
                calibration.clone().filter(|row| row + 1 - ahead >= CONTEXT && row % 11 != 5);
            let size = |row| residual(&mut forecaster, &set, PointAt { series, row, ahead }).abs();
            sizes.push(rows.map(size).collect());
        }
        assert!(sizes[0].len() >= 99 && (20..99).contains(&sizes[1].len()));
        let long = spread(&sizes[0]);
        let held: Vec<f64> = sizes[0].iter().map(|x| x / long).collect();
        let mut checked = 0;
        for (series, (_, test)) in parts.iter().enumerate() {
            for row in test.clone().filter(|row| row % 11 != 5) {
                let size = residual(&mut forecaster, &set, PointAt { series, row, ahead }).abs();
                let score = size / spread(&sizes[series]);
                let above = held.iter().filter(|&&x| x >= score).count();
                let p = (1 + above) as f64 / (held.len() + 1) as f64;
                let one = |point: &&ScannedPoint| {
                    (point.series, point.row, point.channel) == (series, row, 0)
                };
                let point = found.points.iter().find(one).unwrap();
                assert_eq!((point.score, point.p), (score, p), "series {series}, row {row}");
                assert_eq!(Some(point.value), set.series[series].get(row, 0));
                checked += 1;
            }
        }
        let of_channel = |channel| found.points.iter().filter(|p| p.channel == channel).count();
        assert_eq!(of_channel(0), checked);
        assert_eq!(of_channel(0) + of_channel(1) + found.not_scored.missing, 2 * 250);
        assert_eq!(found.not_scored.total(), found.not_scored.missing);
        assert_eq!(detector.points(), found_points(&set, ahead));
    }
}

/// Points of the calibration rows with a value and a whole context.
fn found_points(set: &SeriesSet, ahead: usize) -> usize {
    let of = |series: usize, rows: std::ops::Range<usize>| {
        let both = rows.flat_map(|row| [(row, 0), (row, 1)]);
        let seen = |&(row, c): &(usize, usize)| {
            row + 1 - ahead >= CONTEXT && set.series[series].get(row, c).is_some()
        };
        both.filter(seen).count()
    };
    of(0, 40..200) + of(1, 10..50)
}

/// The largest distance of the distribution of these p-values from the uniform one.
fn distance(p_values: &[f64]) -> f64 {
    let mut sorted = p_values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let far = |(rank, &p): (usize, &f64)| {
        (p - rank as f64 / count).abs().max((p - (rank + 1) as f64 / count).abs())
    };
    sorted.iter().enumerate().map(far).fold(0.0, f64::max)
}

#[test]
fn p_values_of_exchangeable_points_are_uniform() {
    let mut draw = noise(11);
    let set = set(&[4000], |_, _, _| draw());
    let (_, found) = scan(&set, DetectorOptions::default(), FlagBy::Level(0.05));
    for channel in 0..2 {
        let of = found.points.iter().filter(|point| point.channel == channel);
        let p: Vec<f64> = of.map(|point| point.p).collect();
        // Kolmogorov and Smirnov's bound of 0.1 % for 1,600 calibration points and 2,000 others.
        let bound = 1.95 * (1.0 / 1600.0 + 1.0 / p.len() as f64).sqrt();
        assert!(distance(&p) < bound, "{} {bound}", distance(&p));
        // It tells scores that are ten per cent too large.
        let wrong: Vec<f64> = p.iter().map(|p| p.powf(1.25)).collect();
        assert!(distance(&wrong) > bound, "{} {bound}", distance(&wrong));
        let flagged = p.iter().filter(|&&p| p <= 0.05).count() as f64 / p.len() as f64;
        assert!((0.03..0.07).contains(&flagged), "{flagged}");
    }
}

#[test]
fn planted_spikes_are_found_and_false_discoveries_are_as_many_as_stated() {
    const RATE: f64 = 0.3;
    let mut draw = noise(5);
    let spike = |row: usize| row >= 500 && row % 17 == 3;
    // Each set has calibration points of its own, which the share of false ones depends on.
    let (mut found, mut planted, mut shares) = (0, 0, Vec::new());
    for _ in 0..12 {
        let set = set(&[1000], |_, row, channel| {
            draw() + if spike(row) && channel == 1 { 9.0 } else { 0.0 }
        });
        // Spikes in the context would make the rows after them unexpected.
        let how = ScanOptions { flag_by: FlagBy::FalseDiscoveries(RATE), hide: Some(0.003) };
        let (detector, scanned) = scan(&set, DetectorOptions::default(), how);
        let true_one = |point: &&ScannedPoint| spike(point.row) && point.channel == 1;
        let flagged = scanned.anomalies().count();
        let right = scanned.anomalies().filter(true_one).count();
        found += right;
        planted += scanned.points.iter().filter(true_one).count();
        shares.push((flagged - right) as f64 / flagged.max(1) as f64);
        let report = scanned.report(&set, &detector);
        assert_eq!(report.anomalies, flagged);
        let in_events: usize = report.events.iter().map(|event| event.points).sum();
        assert_eq!(in_events, flagged);
    }
    assert!(found as f64 > 0.95 * planted as f64, "{found} of {planted}");
    // Of 1,000 points 30 are spikes, so 0.97 of the rate is expected; the deviation of one set is about 0.12.
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((mean - 0.97 * RATE).abs() < 0.12, "{mean} {shares:?}");
}

#[test]
fn neighbouring_flagged_rows_are_one_event() {
    let mut draw = noise(8);
    let high = |row: usize| (700..704).contains(&row) || row == 900;
    let set = set(&[1000], |_, row, c| draw() + if high(row) && c == 0 { 40.0 } else { 0.0 });
    let level = 1.0 / 401.0;
    let how = ScanOptions { flag_by: FlagBy::Level(level), hide: Some(level) };
    let (detector, found) = scan(&set, DetectorOptions::default(), how);
    let events = found.events(&set);
    let run = events.iter().find(|event| event.first_row == 700).unwrap();
    assert_eq!((run.last_row, run.points), (703, 4));
    assert_eq!((&*run.from, &*run.to), ("700", "703"));
    assert_eq!(run.channels, ["x"]);
    assert!(events.iter().any(|event| (event.first_row, event.last_row) == (900, 900)));
    let report = found.report(&set, &detector);
    assert_eq!(report.expected_false_alarms, found.points.len() as f64 / 401.0);
    assert_eq!(report.smallest_p, 1.0 / 401.0);
    assert_eq!(report.least_flagged, None);
    let table = found.table(&set).unwrap();
    let names: Vec<&str> = table.columns().iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["id", "row", "channel", "value", "expected", "score", "p", "q", "anomaly"]);
    assert_eq!(table.num_rows(), found.points.len());
}

#[test]
fn bits_do_not_depend_on_threads_or_on_what_else_is_scanned() {
    let mut draw = noise(2);
    let set = set(&[300, 220, 90], |_, row, c| draw() + if row % 7 == c { 2.0 } else { 0.0 });
    let run = || scan(&set, DetectorOptions::default(), FlagBy::Level(0.05));
    let (detector, wanted) = run();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(run), (detector.clone(), wanted.clone()));
    }
    let one = vec![160..161, 0..0, 0..0];
    let alone =
        forecaster(&set).detect(&set, &one, &detector, FlagBy::Level(0.05), &mut silent()).unwrap();
    for point in &alone.points {
        let same = |other: &&ScannedPoint| {
            (other.series, other.row, other.channel) == (point.series, point.row, point.channel)
        };
        let other = wanted.points.iter().find(same).unwrap();
        assert_eq!((other.score, other.p), (point.score, point.p));
    }
}

#[test]
fn a_detector_is_read_back_as_it_was_and_others_are_refused() {
    let mut draw = noise(4);
    let set = set(&[300], |_, _, _| draw());
    let (detector, _) = scan(&set, DetectorOptions::default(), FlagBy::Level(0.05));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.json");
    detector.save(&path).unwrap();
    let forecaster = forecaster(&set);
    assert_eq!(Detector::load(&path, forecaster.model()).unwrap(), detector);
    assert_eq!(
        Detector::load(&path, forecaster.model()).unwrap().fingerprint(),
        detector.fingerprint()
    );
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"spread\":", "\"spread\":1", 1)).unwrap();
    let error = Detector::load(&path, forecaster.model()).unwrap_err().to_string();
    assert!(error.contains("checksum") && error.contains("d.json"), "{error}");
    let mut other = detector.clone();
    other.kept.model = "0".into();
    other.save(&path).unwrap();
    let error = Detector::load(&path, forecaster.model()).unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");
    // Under a checksum of their own.
    type Damage = fn(&mut detector::Kept);
    let damages: [Damage; 4] = [
        |kept| kept.ahead = 99,
        |kept| kept.series.values_mut().for_each(|all| all.truncate(1)),
        |kept| each_scores(kept, |own| own.scores.truncate(19)),
        |kept| each_scores(kept, |own| own.spread = 0.0),
    ];
    for damage in damages {
        let mut other = detector.clone();
        damage(&mut other.kept);
        other.save(&path).unwrap();
        let error = Detector::load(&path, forecaster.model()).unwrap_err().to_string();
        assert!(error.contains("impossible numbers") && error.contains("d.json"), "{error}");
    }
}

fn each_scores(kept: &mut detector::Kept, of: fn(&mut detector::Scores)) {
    kept.series.values_mut().flatten().flatten().for_each(of);
}

#[test]
fn a_point_without_a_place_or_a_number_has_no_p_value() {
    let mut draw = noise(12);
    let set = set(&[300], |_, _, _| draw());
    let (detector, _) = scan(&set, DetectorOptions::default(), FlagBy::Level(0.05));
    let pair = |value: f64, forecast: f64| ValueAndForecast { value, forecast };
    assert!(detector.p_value("s0", 1, pair(1.0, 0.0)).is_some());
    for (id, channel) in [("s0", 2), ("s0", usize::MAX), ("s1", 0), ("", 0)] {
        assert_eq!(detector.p_value(id, channel, pair(1.0, 0.0)), None, "{id} {channel}");
        assert_eq!(detector.smallest_p(id, channel), None, "{id} {channel}");
    }
    for (value, forecast) in [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, f64::INFINITY)] {
        assert_eq!(detector.p_value("s0", 0, pair(value, forecast)), None, "{value} {forecast}");
    }
}

#[test]
fn the_report_is_of_the_series_that_are_scanned() {
    let mut draw = noise(13);
    // The third one is not calibrated.
    let set = set(&[600, 200, 200], |_, _, _| draw());
    let mut forecaster = forecaster(&set);
    let options = DetectorOptions::default();
    let rows = vec![0..416, 0..136, 0..0];
    let detector = forecaster.detector(&set, &rows, &options, "rows", &mut silent()).unwrap();
    let mut report = |rows: SeriesRows, level: f64| {
        let how = FlagBy::Level(level);
        forecaster
            .detect(&set, &rows, &detector, how, &mut silent())
            .unwrap()
            .report(&set, &detector)
    };
    let found = report(vec![416..600, 136..200, 100..200], 0.005);
    assert_eq!(found.smallest_p, 1.0 / 401.0);
    assert_eq!((found.compared, found.blind, found.without_score), (4, 2, 1));
    assert_eq!(found.not_scored.not_calibrated, 200);
    let found = report(vec![0..0, 136..200, 0..0], 0.005);
    assert_eq!(found.smallest_p, 1.0 / 121.0);
    assert_eq!((found.compared, found.blind, found.without_score), (2, 2, 2));
    let found = report(vec![416..600, 136..200, 0..0], 0.01);
    assert_eq!((found.compared, found.blind, found.without_score), (4, 0, 1));
}

#[test]
fn what_cannot_be_scored_is_refused_or_counted() {
    let mut draw = noise(6);
    let set = set(&[300, 60], |_, _, _| draw());
    let mut forecaster = forecaster(&set);
    let options = DetectorOptions::default();
    for ahead in [0, 5] {
        let error = forecaster
            .detector(
                &set,
                &whole_rows(&set),
                &DetectorOptions { ahead, ..options },
                "",
                &mut silent(),
            )
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }
    let error = forecaster.detector(&set, &vec![0..10, 0..0], &options, "rows", &mut silent());
    assert!(error.unwrap_err().to_string().contains("needs 16 rows before it"));
    // Of 19 rows with a forecast no series is calibrated, of 20 it is.
    let error = forecaster.detector(&set, &vec![0..35, 0..0], &options, "rows", &mut silent());
    assert!(error.unwrap_err().to_string().contains("no series has 20 points of a channel"));
    forecaster.detector(&set, &vec![0..36, 0..0], &options, "rows", &mut silent()).unwrap();
    // The second series had no calibration rows.
    let detector =
        forecaster.detector(&set, &vec![0..200, 0..0], &options, "rows", &mut silent()).unwrap();
    let flag_by = FlagBy::Level(0.01);
    let found =
        forecaster.detect(&set, &whole_rows(&set), &detector, flag_by, &mut silent()).unwrap();
    let NotScored { missing, without_context, not_calibrated } = found.not_scored;
    assert_eq!((missing, without_context, not_calibrated), (0, 2 * 16 * 2, 2 * 44));
    let error = forecaster.detect(&set, &vec![0..0, 0..60], &detector, flag_by, &mut silent());
    assert!(error.unwrap_err().to_string().contains("no point can be scored"));
    let impossible = FlagBy::FalseDiscoveries(1.0);
    let error = forecaster.detect(&set, &whole_rows(&set), &detector, impossible, &mut silent());
    assert!(error.unwrap_err().to_string().contains("fdr"));
}

#[test]
fn a_constant_has_a_spread_and_a_change_of_it_is_found() {
    let set = set(&[400], |_, row, c| if row == 390 && c == 0 { 8.0 } else { 7.0 });
    let (_, found) = scan(&set, DetectorOptions::default(), FlagBy::Level(0.01));
    let flagged: Vec<(usize, usize)> = found.anomalies().map(|p| (p.row, p.channel)).collect();
    assert!(flagged.contains(&(390, 0)), "{flagged:?}");
    assert!(found.points.iter().all(|point| point.score.is_finite()));
}

#[test]
fn hidden_points_are_missing_in_later_forecasts() {
    const LEVEL: f64 = 0.02;
    let mut draw = noise(9);
    let burst = |row: usize| (600..604).contains(&row);
    let set = set(&[1000, 400], |series, row, c| {
        draw() + if burst(row) && series + c == 0 { 60.0 } else { 0.0 }
    });
    let (detector, plain) = scan(&set, DetectorOptions::default(), FlagBy::Level(LEVEL));
    let options = ScanOptions { flag_by: FlagBy::Level(LEVEL), hide: Some(LEVEL) };
    let mut forecaster = forecaster(&set);
    let rows = vec![500..1000, 200..400];
    let mut detect = |hide: Option<f64>| {
        let options = ScanOptions { hide, ..options };
        forecaster.detect(&set, &rows, &detector, options, &mut silent()).unwrap()
    };
    assert_eq!(detect(None), plain);
    let found = detect(Some(LEVEL));
    // By definition: the forecast of each row is that of the series without the points flagged before it.
    let mut known = set.clone();
    for point in found.points.iter().filter(|point| point.series == 0) {
        let alone = SeriesSet { series: vec![known.series[0].clone()], ..set.clone() };
        let forecast = self::forecaster(&set).predict(&alone, 1000 - point.row).unwrap();
        assert_eq!(point.expected, forecast[0].values[point.channel], "row {}", point.row);
        if point.channel == 1 {
            let of_row = found.points.iter().filter(|p| (p.series, p.row) == (0, point.row));
            for flagged in of_row.filter(|point| point.p <= LEVEL) {
                let count = known.series[0].values.len();
                let seen = known.series[0].observed.get_or_insert_with(|| vec![true; count]);
                seen[2 * flagged.row + flagged.channel] = false;
            }
        }
        if point.row == 640 {
            break;
        }
    }
    let after = |found: &Detection| {
        let near = |p: &&ScannedPoint| p.anomaly && p.series == 0 && (604..620).contains(&p.row);
        found.anomalies().filter(near).count()
    };
    assert!(after(&plain) > 2 * after(&found) + 3, "{} {}", after(&plain), after(&found));
    let bad = ScanOptions { hide: Some(0.0), ..options };
    let error = forecaster.detect(&set, &rows, &detector, bad, &mut silent()).unwrap_err();
    assert!(error.to_string().contains("hide"));
}
