//! Backtests: the same bits in every way to run them, and forecasts that are those of the cut series.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ptsm::backtest::{
    Backtest, BacktestBlock, BacktestObserver, BacktestOptions, BacktestReport, Contestant,
    Journal, Origins, Refit, Rival, Silent,
};
use ptsm::data::{NO_COLUMN, ReadOptions, Repair, Roles, SeriesSet, Table};
use ptsm::evaluate::{Measure, PairedComparison};
use ptsm::forecast::{IntervalNames, ZeroShotOptions};
use ptsm::job::{Again, SeriesData};
use ptsm::zero_shot::{ZeroShot, builtin_model};
use ptsm::{Cpu, Error, FitOptions, Forecaster, Result};

/// Series of several lengths, the last ones too short for every cutoff, or for the early ones; some cells
/// are missing.
fn set() -> SeriesSet {
    let mut text = "id,day,y\n".to_owned();
    for (number, rows) in
        [90, 80, 100, 70, 60, 95, 85, 75, 65, 88, 92, 12, 3].into_iter().enumerate()
    {
        for row in 0..rows {
            let t = row as f64;
            let value = 50.0 + 5.0 * number as f64 + 0.1 * t + 9.0 * (t * 0.9).sin();
            let missing = (row + 11 * number) % 61 == 7;
            let value = if missing { String::new() } else { format!("{value:.3}") };
            text += &format!("s{number},{row},{value}\n");
        }
    }
    let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
    let none = Some(NO_COLUMN.to_owned());
    let roles = Roles {
        id: Some("id".into()),
        timestamp: none,
        targets: Some(vec!["y".into()]),
        ..Roles::default()
    };
    SeriesSet::from_table(&table, &roles, &Repair::default()).unwrap()
}

fn data() -> SeriesData {
    SeriesData { seasonal_period: 7, ..SeriesData::new("t", set()) }
}

fn zero_shot() -> Contestant {
    let (network, set) = (builtin_model().unwrap(), set());
    let options = ZeroShotOptions { steps: 5, levels: None };
    let zero_shot = ZeroShot::new(network, 7).unwrap();
    let forecaster = Forecaster::zero_shot(zero_shot, &set, &options, &Cpu::default()).unwrap();
    contestant("zero", forecaster)
}

fn contestant(name: &str, forecaster: Forecaster) -> Contestant {
    let name = name.to_owned();
    Contestant { name, forecaster, split: None, with_validation: false, again: None }
}

/// A small network that was trained on these series and can be trained again.
fn trained(dir: &Path) -> Contestant {
    let mut options = FitOptions::steps(5).context(14).epochs(2);
    if !dir.exists() {
        options = options.save_to(dir);
        let set = set();
        let long = set.series.into_iter().filter(|one| one.num_rows() >= 60).collect();
        Forecaster::fit(&SeriesSet { series: long, ..set_without_series() }, &options).unwrap();
    }
    let forecaster = Forecaster::from_dir(dir, &Cpu::default()).unwrap();
    let split = Some(forecaster.preprocessor().split);
    let again = Some(Again::from_dir(dir).unwrap());
    Contestant { split, again, ..contestant("net", forecaster) }
}

fn set_without_series() -> SeriesSet {
    SeriesSet { series: Vec::new(), ..set() }
}

fn backtest(data: &SeriesData) -> Backtest<'_> {
    Backtest {
        data,
        origins: Origins::new(5, 4, Some(3)).unwrap(),
        refit: Refit::Never,
        baselines: true,
        every_theta: false,
        measure: Measure::Mase,
    }
}

/// Collects all rows as text, and stops after some blocks if asked.
#[derive(Default)]
struct Rows {
    text: String,
    blocks: usize,
    stop_after: Option<usize>,
}

impl BacktestObserver for Rows {
    fn block(&mut self, block: &BacktestBlock<'_>) -> Result<()> {
        if self.stop_after == Some(self.blocks) {
            return Err(Error::input("killed"));
        }
        self.blocks += 1;
        let mut bytes = Vec::new();
        block.table(IntervalNames::Quantile)?.write_csv(&mut bytes).unwrap();
        self.text += &String::from_utf8(bytes).unwrap();
        Ok(())
    }
}

fn run(backtest: &Backtest<'_>, contestants: &mut [Contestant]) -> (BacktestReport, String) {
    let mut rows = Rows::default();
    let report = backtest.run(contestants, None, &mut rows).unwrap();
    (report, rows.text)
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let data = data();
    let found = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&backtest(&data), &mut [zero_shot()]))
    });
    assert!(found[0] == found[1]);
}

#[test]
fn forecasts_of_a_cutoff_are_those_of_the_cut_series() {
    let data = data();
    let backtest = backtest(&data);
    let (_, text) = run(&backtest, &mut [zero_shot()]);
    let mut zero_shot = zero_shot();
    // The second cutoff: 11 rows before the end.
    assert_eq!(backtest.origins.rows_before_end(1), 11);
    let mut cut = set();
    cut.series.retain(|series| series.num_rows() > 11);
    for series in &mut cut.series {
        let rows = series.num_rows() - 11;
        series.values.truncate(rows);
        series.observed.iter_mut().for_each(|observed| observed.truncate(rows));
    }
    let mut compared = 0;
    for (series, forecast) in cut.series.iter().zip(zero_shot.forecaster.predict(&cut, 0).unwrap())
    {
        let last = series.num_rows() - 1;
        for (step, value) in forecast.values.iter().enumerate() {
            let row = last + 1 + step;
            let start = format!("{},{last},{row},", series.id);
            let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
            // id, cutoff, row, actual, two lower quantiles, the forecast.
            assert_eq!(line.split(',').nth(6).unwrap().parse::<f64>().unwrap(), *value, "{line}");
            compared += 1;
        }
    }
    assert_eq!(compared, 12 * 5);
}

#[test]
fn a_backtest_that_was_killed_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("model");
    let data = data();
    for refit in [Refit::Never, Refit::Every(1), Refit::Every(3)] {
        let backtest = Backtest { refit, ..backtest(&data) };
        let contestants = || [trained(&dir), zero_shot()];
        let (whole, rows) = run(&backtest, &mut contestants());
        let path = folder.path().join(format!("out-{refit}.partial"));
        let what = backtest.described(&contestants()).unwrap();
        for stop_after in [0, 1, 2, 3] {
            let mut journal = Journal::open(&path, &what).unwrap();
            assert_eq!(journal.len(), stop_after);
            let mut killed = Rows { stop_after: Some(stop_after), ..Rows::default() };
            let error = backtest.run(&mut contestants(), Some(&mut journal), &mut killed);
            assert_eq!(error.unwrap_err().to_string(), "killed");
        }
        let mut journal = Journal::open(&path, &what).unwrap();
        let mut found = Rows::default();
        let report = backtest.run(&mut contestants(), Some(&mut journal), &mut found).unwrap();
        assert!(report == whole && found.text == rows, "{refit}");
        let other = Backtest { origins: Origins::new(5, 3, None).unwrap(), ..backtest.clone() };
        let other = other.described(&contestants()).unwrap();
        drop(journal);
        assert!(Journal::open(&path, &other).is_err(), "of other cutoffs");
    }
}

#[test]
fn short_series_are_left_out_and_missing_truths_are_counted() {
    let data = data();
    let (report, text) = run(&backtest(&data), &mut [zero_shot()]);
    assert_eq!(report.left_out, ["s12"]);
    assert_eq!(report.series, 12);
    // Cutoffs 14, 11, 8 and 5 rows before the end; s11 has 12 rows.
    let series: Vec<usize> = report.cutoffs.iter().map(|cutoff| cutoff.series).collect();
    let short: Vec<usize> = report.cutoffs.iter().map(|cutoff| cutoff.too_short).collect();
    assert_eq!((series, short), (vec![11, 12, 12, 12], vec![2, 1, 1, 1]));
    let windows: usize = 11 + 3 * 12;
    let overall = &report.models[0].overall;
    let missing = text.lines().filter(|line| line.split(',').nth(3) == Some("")).count();
    assert!(missing > 0);
    assert_eq!(
        (overall.missing, overall.points + overall.missing),
        (missing as u64, 5 * windows as u64)
    );
    assert_eq!(report.missing, missing as u64);
    // The parts have all points among them.
    for scores in report.models.iter().chain(&report.baselines) {
        for parts in [&scores.by_cutoff, &scores.by_step] {
            assert_eq!(parts.iter().map(|part| part.points).sum::<u64>(), overall.points);
        }
        let by_series = scores.by_series.iter().map(|one| one.metrics.points);
        assert_eq!(by_series.sum::<u64>(), overall.points);
        assert_eq!(scores.by_series.len(), 12);
    }
    let far = Backtest { origins: Origins::new(200, 1, None).unwrap(), ..backtest(&data) };
    let error = far.run(&mut [zero_shot()], None, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("200 rows before the end") && error.contains("100 rows"), "{error}");
}

#[test]
fn scores_are_those_of_the_rows() {
    let data = data();
    let (report, text) = run(&backtest(&data), &mut [zero_shot()]);
    let (mut absolute, mut truth, mut inside, mut count) = (0.0, 0.0, 0, 0);
    for line in text.lines().filter(|line| !line.starts_with("id,")) {
        let cells: Vec<f64> =
            line.split(',').skip(1).map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        // cutoff, row, actual, the ends of 95 and 80 %, the forecast between them.
        let &[_, _, actual, _, low, value, high, _] = &cells[..] else { panic!("{line}") };
        if actual.is_nan() {
            continue;
        }
        absolute += (value - actual).abs();
        truth += actual.abs();
        inside += usize::from(low <= actual && actual <= high);
        count += 1;
    }
    let overall = &report.models[0].overall;
    let close =
        |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 1e-12, "{found} {wanted}");
    assert_eq!(overall.points, count as u64);
    close(overall.mae.unwrap(), absolute / count as f64);
    close(overall.wape.unwrap(), 100.0 * absolute / truth);
    let interval = overall.intervals.iter().find(|one| (one.level - 0.8).abs() < 1e-9).unwrap();
    close(interval.coverage, inside as f64 / count as f64);
    assert!(overall.crps.is_some() && overall.mase.is_some() && interval.msis.is_some());
}

#[test]
fn a_model_beside_itself_is_no_better() {
    let data = data();
    let (report, _) = run(&backtest(&data), &mut [zero_shot(), zero_shot()]);
    let rival = &report.comparisons[0];
    let mase = rival.metrics.iter().find(|one| one.metric == "MASE").unwrap();
    assert_eq!((mase.difference, mase.won, mase.lost), (0.0, 0.0, 0.0));
    assert_eq!((mase.units, mase.unit.as_str()), (12, "series"));
    let interval = mase.interval.unwrap();
    assert_eq!((interval.lower, interval.upper), (0.0, 0.0));
    let best = report.comparisons.last().unwrap();
    assert!(best.is_baseline && !best.metrics.is_empty(), "{best:?}");
}

#[test]
fn what_was_seen_in_training_is_said_and_a_refit_has_seen_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("model");
    let data = data();
    let origins = Origins::new(5, 6, Some(5)).unwrap();
    let backtest = Backtest { origins, ..backtest(&data) };
    let (report, _) = run(&backtest, &mut [trained(&dir)]);
    // 7:1:2 of 60 to 100 rows: the test part has 12 to 20 of them, the validation part 6 to 10.
    let seen: Vec<usize> = report.cutoffs.iter().map(|cutoff| cutoff.seen[0].validation).collect();
    assert!(seen[0] > 0 && seen[5] == 0 && seen[4] == 0, "{seen:?}");
    assert!(report.cutoffs[0].seen[0].training > 0, "{:?}", report.cutoffs[0]);
    assert!(
        report.table().contains("(trained on)") && report.seen_note().contains("a refit before")
    );
    // The model is judged by what it has not seen.
    let rival = report.comparisons.last().unwrap();
    assert!(
        rival.sentence.starts_with("on the rows that no model has seen, "),
        "{}",
        rival.sentence
    );
    let of = |rival: &Rival| rival.metrics.iter().find(|one| one.metric == "MAE").unwrap().clone();
    let unseen: PairedComparison = of(rival);
    assert!(unseen.units > 0 && Some(unseen.error) != report.models[0].overall.mae, "{unseen:?}");
    let again = Backtest { refit: Refit::Every(1), ..backtest.clone() };
    let (again, _) = run(&again, &mut [trained(&dir)]);
    assert!(again.cutoffs.iter().all(|cutoff| cutoff.seen[0] == Default::default()));
    assert_eq!(again.cutoffs[2].trained_before, Some(3));
    assert_eq!(again.seen_note(), "");
    // After a refit that is everything.
    let fair = again.comparisons.last().unwrap();
    assert!(!fair.sentence.contains("has seen"), "{}", fair.sentence);
    assert!((of(fair).error / again.models[0].overall.mae.unwrap() - 1.0).abs() < 1e-12);
    assert_ne!(again.models[0].overall.mae, report.models[0].overall.mae);
}

#[test]
fn training_again_on_the_same_rows_gives_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("model");
    let mut first = trained(&dir);
    let set = set();
    let long = set.series.iter().filter(|one| one.num_rows() >= 60).cloned().collect();
    let set = SeriesSet { series: long, ..set_without_series() };
    let data = SeriesData::new("t", set);
    let mut again = Again::from_dir(&dir).unwrap().fit(&data, &mut ptsm::job::Silent).unwrap();
    let wanted = first.forecaster.predict(&data.set, 0).unwrap();
    assert_eq!(again.predict(&data.set, 0).unwrap(), wanted);
}

#[test]
fn a_forecaster_is_backtested_in_a_line() {
    let zero_shot = zero_shot();
    let options = BacktestOptions::windows(2);
    let found = zero_shot.forecaster.backtest(&set(), &options).unwrap();
    assert_eq!(found.report.origins.windows, 2);
    // Cutoffs 10 and 5 rows before the end: twelve series have a past.
    assert_eq!(found.forecasts.len(), 24);
    assert_eq!(found.forecasts[0].prediction_length(), 5);
}
