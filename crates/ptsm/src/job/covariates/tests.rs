use std::fmt::Write as _;

use super::*;
use crate::data::{
    CalendarFeature, ReadOptions, Repair, Roles, SeriesSet, Table, Transform, prepare_for_scores,
};
use crate::job::windows::{WindowedSeries, Windowing};
use crate::{Config, Cpu, Forecaster, Model};
use ptsm_core::Init;

/// Numbers from -1 to 1 that look random.
fn noise(seed: u64, index: usize) -> f64 {
    let mut z = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Daily rows: a random walk, three times `price` and twice the `promo` of the day before; `idle` does nothing.
fn table(rows: usize) -> Table {
    let mut text = "day,y,z,price,promo,idle\n".to_owned();
    let (mut walk, mut before) = (0.0, 0.0);
    for row in 0..rows {
        walk += 0.2 * noise(1, row);
        let (price, promo) = (noise(2, row), f64::from(u8::from(noise(3, row) > 0.6)));
        let idle = noise(4, row);
        let y = walk + 3.0 * price + 2.0 * before;
        let date = jiff_date(row);
        let gap = if row % 17 == 5 { String::new() } else { format!("{:.6}", walk - price) };
        writeln!(text, "{date},{y:.6},{gap},{price:.6},{promo},{idle:.6}").unwrap();
        before = promo;
    }
    Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
}

/// The dates of 2021 and 2022.
fn jiff_date(row: usize) -> String {
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (year, mut day) = (2021 + row / 365, row % 365);
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, day + 1)
}

fn data(names: &[&str], calendar: &[CalendarFeature]) -> SeriesData {
    let roles = Roles {
        targets: Some(vec!["y".into(), "z".into()]),
        future_covariates: names.iter().map(|name| (*name).to_owned()).collect(),
        calendar: calendar.to_vec(),
        ..Roles::default()
    };
    let set = SeriesSet::from_table(&table(400), &roles, &Repair::default()).unwrap();
    SeriesData::new("t", set)
}

fn config() -> Config {
    Config {
        context_length: 14,
        prediction_length: 7,
        patch_length: 7,
        patch_stride: 7,
        num_input_channels: 2,
        ..Config::default()
    }
}

impl SeriesData {
    fn cut(&self) -> Result<WindowedSeries> {
        let config = config();
        self.windows(&Windowing { config: &config, step: 1, standardise: Some(Transform::None) })
    }
}

#[test]
fn what_helps_is_kept_with_its_effect_and_the_rest_forgotten() {
    let mut data = data(&["price", "promo", "idle"], &[]);
    let choice = data.settle_covariates(7).unwrap().unwrap();
    assert!(choice.used && choice.error_with < 0.5 * choice.error_without, "{choice:?}");
    assert!(choice.kept.contains(&"price".into()) && choice.kept.contains(&"promo".into()));
    assert_ne!(choice.fitted_to, "levels", "{choice:?}");
    assert_eq!(data.set.covariates.len(), data.effects.as_ref().unwrap().names.len());
    assert_eq!(data.set.covariates, data.set.roles.future_covariates);
    let effects = data.effects.as_ref().unwrap();
    assert!(effects.lags >= 1);
    let place = |name: &str| effects.names.iter().position(|one| one == name).unwrap();
    let prepared = data.cut().unwrap();
    let scale = &prepared.prepared.standardiser;
    // In data units: the weight times the scale of the channel over that of the covariate.
    let weight = |channel: usize, lag: usize, name: &str| {
        let (k, width) = (place(name), effects.names.len());
        let weight = effects.weights[channel * effects.inputs() + lag * width + k];
        weight * scale.scale[channel] / effects.scale[k]
    };
    for (found, wanted) in [
        (weight(0, 0, "price"), 3.0),
        (weight(0, 1, "price"), 0.0),
        (weight(0, 0, "promo"), 0.0),
        (weight(0, 1, "promo"), 2.0),
        (weight(1, 0, "price"), -1.0),
        (weight(1, 1, "promo"), 0.0),
    ] {
        assert!((found - wanted).abs() < 0.06, "{found} for {wanted}");
    }
}

#[test]
fn the_calendar_needs_no_plan() {
    let mut data = data(&[], &[CalendarFeature::Weekday]);
    // Sundays are 20 higher; the 3rd of January 2021 was one.
    let series = &mut data.set.series[0];
    (0..series.num_rows())
        .filter(|row| row % 7 == 2)
        .for_each(|row| series.values[2 * row] += 20.0);
    let choice = data.settle_covariates(7).unwrap().unwrap();
    assert_eq!(choice.kept, ["weekday"], "{choice:?}");
    data.set.require_plan(0, 1000).unwrap();
    let rows = data.set.series[0].num_rows();
    let effects = data.effects.as_ref().unwrap();
    let known = data.set.series[0].covariates.as_ref().unwrap();
    let ahead = effects.of_rows(known, rows..rows + 14);
    let highest = (0..14).max_by(|a, b| ahead[2 * a].total_cmp(&ahead[2 * b])).unwrap();
    assert_eq!((rows + highest) % 7, 2);
}

#[test]
fn covariates_that_do_not_help_are_forgotten() {
    let mut data = data(&["idle"], &[]);
    let before = data.set.clone();
    let choice = data.settle_covariates(7).unwrap().unwrap();
    assert!(!choice.used && choice.kept.is_empty(), "{choice:?}");
    assert_eq!(choice.left_out, ["idle"]);
    assert!(data.effects.is_none() && data.set.covariates.is_empty());
    assert_eq!(data.set.series[0].values, before.series[0].values);
    // Later tables may plan it all the same.
    assert!(data.set.roles.planned);
    assert!(data.cut().unwrap().preprocessor.standardiser.effects.is_none());
}

#[test]
fn what_changes_first_in_the_validation_part_is_used_as_asked_for() {
    let mut data = data(&["price", "idle"], &[]);
    let rows = data.set.series[0].num_rows();
    // 7:1:2: validation begins with row 280.
    for (name, from, kept) in [("new", 290, true), ("never", rows, false)] {
        let mut data = data.clone();
        let covariates = data.set.series[0].covariates.as_mut().unwrap();
        (0..rows).for_each(|row| covariates.row_mut(row)[1] = f64::from(u8::from(row >= from)));
        let choice = data.settle_covariates(7).unwrap().unwrap();
        assert_eq!(choice.kept.contains(&"idle".into()), kept, "{name}: {choice:?}");
        assert_eq!(choice.not_judged.is_empty(), !kept);
    }
    let covariates = data.set.series[0].covariates.as_mut().unwrap();
    (0..rows).for_each(|row| covariates.row_mut(row).copy_from_slice(&[1.0, 2.0]));
    let choice = data.settle_covariates(7).unwrap().unwrap();
    assert!(!choice.used && data.set.covariates.is_empty());
}

#[test]
fn effects_come_off_the_windows_and_stay_in_those_beside_them() {
    let mut data = data(&["price", "promo"], &[]);
    let undecided = data.cut().err().unwrap().to_string();
    assert!(
        undecided.contains("future_covariates") && undecided.contains("decides"),
        "{undecided}"
    );
    data.settle_covariates(7).unwrap();
    let WindowedSeries { prepared, preprocessor } = data.cut().unwrap();
    assert!(prepared.without_covariates().is_err(), "training needs no windows beside its own");
    let shape = prepared.test.shape();
    let fitted = &preprocessor.standardiser;
    let prepared = prepare_for_scores(&data.set, &data.split, shape, fitted).unwrap();
    let plain = prepared.without_covariates().unwrap();
    let (with, without) = (plain.test.batch(&[3]), prepared.test.batch(&[3]));
    let (_, start) = prepared.test.locate(3);
    let effects = preprocessor.standardiser.effects(&data.set.series[0], start..start + 14);
    let effects = effects.unwrap().unwrap();
    let mask = with.observed_mask().unwrap();
    for (place, effect) in effects.iter().enumerate() {
        let found = with.past_values()[place] - without.past_values()[place];
        let wanted = if mask[place] == 0.0 { 0.0 } else { *effect };
        assert!((found - wanted).abs() < 1e-5, "{place}: {found} {wanted}");
    }
    assert!(effects.iter().any(|effect| effect.abs() > 0.5));
    assert!(!preprocessor.standardiser.adapts);
}

#[test]
fn a_forecast_adds_the_effects_of_its_own_steps() {
    let mut data = data(&["price", "promo"], &[]);
    data.settle_covariates(7).unwrap();
    let WindowedSeries { preprocessor, .. } = data.cut().unwrap();
    let folder = tempfile::tempdir().unwrap();
    Model::new(config(), Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
    preprocessor.save(folder.path()).unwrap();
    let mut forecaster = Forecaster::from_dir(folder.path(), &Cpu::default()).unwrap();
    let first = forecaster.predict(&data.set, 7).unwrap().remove(0);
    // Another plan changes the forecast by the difference of its effects alone.
    let mut other = data.set.clone();
    let rows = other.series[0].num_rows();
    let covariates = other.series[0].covariates.as_mut().unwrap();
    covariates.row_mut(rows - 3)[0] += 1.0;
    let second = forecaster.predict(&other, 7).unwrap().remove(0);
    let effects = preprocessor.standardiser.effects.as_ref().unwrap();
    for (place, (a, b)) in first.values.iter().zip(&second.values).enumerate() {
        let (step, channel) = (place / 2, place % 2);
        let lag = step.checked_sub(4).filter(|lag| *lag <= effects.lags);
        let wanted = lag.map_or(0.0, |lag| {
            let weight = effects.weights[channel * effects.inputs() + lag * effects.names.len()];
            weight / effects.scale[0] * preprocessor.standardiser.scale[channel]
        });
        assert!((b - a - wanted).abs() < 1e-4, "step {step}: {} for {wanted}", b - a);
    }
    // Past the end nothing is planned.
    let text = forecaster.predict(&data.set, 0).unwrap_err().to_string();
    assert!(text.contains("needs covariate \"price\" at 2022-02-05"), "{text}");
    // A forecast beyond the model's own steps follows the plan too.
    let longer = forecaster.predict_steps(&data.set, 12, 12).unwrap().remove(0);
    let own = forecaster.predict(&data.set, 12).unwrap().remove(0);
    assert_eq!(longer.values[..14], own.values);
    assert_eq!(longer.values.len(), 24);
}

#[test]
fn scores_are_those_of_forecasts_with_their_effects() {
    let mut data = data(&["price", "promo"], &[]);
    data.settle_covariates(7).unwrap();
    let WindowedSeries { preprocessor, .. } = data.cut().unwrap();
    let folder = tempfile::tempdir().unwrap();
    Model::new(config(), Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
    preprocessor.save(folder.path()).unwrap();
    let mut forecaster = Forecaster::from_dir(folder.path(), &Cpu::default()).unwrap();
    let prepared = forecaster.prepare(&data.set, None).unwrap();
    let scores = forecaster.score(&prepared, &Default::default()).unwrap();
    let (mut sum, mut count) = (0.0, 0.0);
    for window in 0..prepared.test.len() {
        let before = 7 + prepared.test.len() - 1 - window;
        let forecast = forecaster.predict(&data.set, before).unwrap().remove(0);
        for (place, value) in forecast.values.iter().enumerate() {
            let (row, channel) = (forecast.first_row + place / 2, place % 2);
            let Some(truth) = data.set.series[0].get(row, channel) else { continue };
            sum += ((truth - value) / preprocessor.standardiser.scale[channel]).abs();
            count += 1.0;
        }
    }
    assert!((scores.model.mae - sum / count).abs() < 1e-5, "{} {}", scores.model.mae, sum / count);
    // Baselines do not know covariates.
    let mut plain = SeriesData { effects: None, ..data.clone() };
    plain.set.keep_covariates(&vec![false; plain.set.covariates.len()]);
    let WindowedSeries { prepared, preprocessor } = plain.cut().unwrap();
    let folder = tempfile::tempdir().unwrap();
    Model::new(config(), Init::PyTorch, 1).unwrap().save(folder.path()).unwrap();
    preprocessor.save(folder.path()).unwrap();
    let mut forecaster = Forecaster::from_dir(folder.path(), &Cpu::default()).unwrap();
    let other = forecaster.score(&prepared, &Default::default()).unwrap();
    let errors = |scores: &crate::evaluate::Evaluation| {
        scores
            .baselines
            .iter()
            .map(|one| (one.name.clone(), format!("{:?}", one.outcome)))
            .collect::<Vec<_>>()
    };
    assert_eq!(errors(&scores), errors(&other));
}

#[test]
fn what_cannot_use_covariates_refuses_them() {
    let mut data = data(&["price"], &[]);
    data.settle_covariates(7).unwrap();
    let config = config();
    let logarithms = Windowing { config: &config, step: 1, standardise: Some(Transform::Log1p) };
    let text = data.windows(&logarithms).err().unwrap().to_string();
    assert!(text.contains("leave transform out"), "{text}");
    let mut unsplit = SeriesData { split: "1:0:0".parse().unwrap(), effects: None, ..data };
    let text = unsplit.settle_covariates(7).unwrap_err().to_string();
    assert!(text.contains("no validation part"), "{text}");
}
