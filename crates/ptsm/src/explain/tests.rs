//! Influences beside forecasts of series whose points are missing, and the exact ones of covariates.

use super::*;
use crate::data::{
    CovariateEffects, Covariates, Grid, ReadOptions, Repair, Roles, Series, SeriesSet, Split,
    Standardiser, Table,
};
use crate::preprocessor::Preprocessor;
use crate::{Config, Cpu, Forecaster, Model};
use ptsm_core::Init;

const MIXED: &str = "mix_channel";
const COMMON: &str = "common_channel";

const STEPS: usize = 3;

fn value(row: usize, channel: usize) -> f64 {
    match (row * 7 + channel) % 13 {
        4 => f64::NAN,
        x => x as f64 * (channel + 1) as f64 + (row as f64 * 0.4).sin(),
    }
}

/// A series of two channels and one covariate.
fn set(rows: usize) -> SeriesSet {
    let table = Table::from_csv(b"x,y\n1,2\n", "t.csv", &ReadOptions::default()).unwrap();
    let mut set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
    let values = (0..rows).flat_map(|row| [value(row, 0), value(row, 1)]).collect();
    let known = (0..rows + STEPS).map(|row| (row % 5) as f64).collect();
    let series = Series::new("", 2, values).unwrap();
    set.covariates = vec!["price".into()];
    set.series = vec![Series { covariates: Some(Covariates::new(1, known)), ..series }];
    set
}

fn effects() -> CovariateEffects {
    CovariateEffects {
        names: vec!["price".into()],
        mean: vec![2.0],
        scale: vec![1.5],
        lags: 1,
        weights: vec![0.5, 0.25, -1.0, 0.0],
    }
}

fn forecaster(set: &SeriesSet, mode: &str, effects: Option<CovariateEffects>) -> Forecaster {
    let config = Config {
        context_length: 12,
        patch_length: 4,
        patch_stride: 4,
        d_model: 4,
        num_layers: 2,
        prediction_length: STEPS,
        num_input_channels: 2,
        mode: mode.into(),
        ..Config::default()
    };
    let preprocessor = Preprocessor {
        dataset: "t".into(),
        channels: set.channels.clone(),
        roles: set.roles.clone(),
        frequency: None,
        times: Default::default(),
        missing: Vec::new(),
        grid: Grid::Regular,
        seasonal_period: 1,
        split: Split::default(),
        standardiser: Standardiser {
            mean: vec![1.0, 2.0],
            scale: vec![2.0, 4.0],
            effects: effects.map(std::sync::Arc::new),
            ..Standardiser::default()
        },
        labels: None,
        covariates: None,
    };
    let folder = tempfile::tempdir().unwrap();
    Model::new(config, Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
    preprocessor.save(folder.path()).unwrap();
    Forecaster::from_dir(folder.path(), &Cpu::default()).unwrap()
}

fn explain(forecaster: &mut Forecaster, set: &SeriesSet, options: ExplainOptions) -> Explanation {
    forecaster.explain(set, &options, &mut |_, _| Ok(())).unwrap().remove(0)
}

#[test]
fn an_influence_is_the_change_of_the_forecast_when_points_are_missing() {
    let set = set(40);
    for (rows_before_end, stretch) in [(0, None), (5, Some(5))] {
        let mut forecaster = forecaster(&set, MIXED, None);
        let options = ExplainOptions { rows_before_end, stretch };
        let found = explain(&mut forecaster, &set, options);
        let end = 40 - rows_before_end;
        assert_eq!(found.context, end - 12..end);
        assert_eq!(found.forecast, forecaster.predict(&set, rows_before_end).unwrap()[0]);
        assert_eq!(found.influences.len(), 6);
        for influence in &found.influences {
            let Source::Past { channel, rows } = &influence.source else { panic!("a covariate") };
            let mut other = set.clone();
            let seen = other.series[0].observed.get_or_insert_with(Vec::new);
            rows.clone().for_each(|row| seen[2 * row + channel] = false);
            let other = forecaster.predict(&other, rows_before_end).unwrap().remove(0);
            let change: Vec<f64> =
                found.forecast.values.iter().zip(&other.values).map(|(a, b)| a - b).collect();
            assert_eq!(influence.change, change);
            let size = change.iter().skip(1).step_by(2).map(|x| x.abs()).sum::<f64>() / 3.0;
            assert_eq!(influence.size(1, 2), size);
            assert!(size > 0.0, "channels are mixed");
        }
    }
}

#[test]
fn without_mixing_of_channels_another_channel_has_no_influence() {
    let set = set(40);
    let mut forecaster = forecaster(&set, COMMON, None);
    let found = explain(&mut forecaster, &set, ExplainOptions::default());
    for influence in &found.influences {
        let Source::Past { channel, .. } = influence.source else { panic!("a covariate") };
        assert!(influence.size(channel, 2) > 0.0);
        assert_eq!(influence.size(1 - channel, 2), 0.0);
    }
}

#[test]
fn a_covariate_adds_its_effect_and_nothing_else() {
    let set = set(40);
    let mut forecaster = forecaster(&set, COMMON, Some(effects()));
    let found = explain(&mut forecaster, &set, ExplainOptions::default());
    let influence = found.influences.last().unwrap();
    assert_eq!(influence.source, Source::Covariate { number: 0 });
    assert_eq!(found.forecast, forecaster.predict(&set, 0).unwrap()[0]);
    let z = |row: usize| ((row % 5) as f64 - 2.0) / 1.5;
    for step in 0..STEPS {
        let row = 40 + step;
        let wanted = [2.0 * (0.5 * z(row) + 0.25 * z(row - 1)), 4.0 * -z(row)];
        for (k, wanted) in wanted.into_iter().enumerate() {
            let change = influence.change[2 * step + k];
            assert!((change - wanted).abs() < 1e-6, "step {step}: {change} {wanted}");
        }
    }
    // Hidden points of the past, where a row before the context acts on its first one, too.
    for influence in &found.influences[..found.influences.len() - 1] {
        let Source::Past { channel, rows } = &influence.source else { panic!("a covariate") };
        let mut other = set.clone();
        let seen = other.series[0].observed.get_or_insert_with(Vec::new);
        rows.clone().for_each(|row| seen[2 * row + channel] = false);
        let other = forecaster.predict(&other, 0).unwrap().remove(0);
        let change = found.forecast.values.iter().zip(&other.values).map(|(a, b)| a - b);
        assert_eq!(influence.change, change.collect::<Vec<f64>>());
    }
}

#[test]
fn stretches_cover_the_seen_context_once_from_its_end() {
    let mut set = set(40);
    // The second channel is not seen in the last four rows.
    let seen = set.series[0].observed.get_or_insert_with(Vec::new);
    (36..40).for_each(|row| seen[2 * row + 1] = false);
    let mut forecaster = forecaster(&set, COMMON, None);
    let found =
        explain(&mut forecaster, &set, ExplainOptions { stretch: Some(5), rows_before_end: 0 });
    let of = |wanted: usize| {
        let rows = found.influences.iter().filter_map(|one| match &one.source {
            Source::Past { channel, rows } if *channel == wanted => Some(rows.clone()),
            _ => None,
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(of(0), [28..30, 30..35, 35..40]);
    assert_eq!(of(1), [28..30, 30..35, 35..40]);
    let table = explanation_table(&set, std::slice::from_ref(&found)).unwrap();
    let names: Vec<&str> = table.columns().iter().map(|column| &*column.name).collect();
    assert_eq!(
        names,
        ["channel", "kind", "source", "from", "to", "size", "mean", "step_1", "step_2", "step_3"]
    );
    assert_eq!(table.num_rows(), 2 * 6);
    for stretch in [0, 13] {
        let options = ExplainOptions { stretch: Some(stretch), rows_before_end: 0 };
        assert!(forecaster.explain(&set, &options, &mut |_, _| Ok(())).is_err());
    }
}
