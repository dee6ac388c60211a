//! The step of a table's rows, the clock it is counted on, and the days of the month of each series.

use std::borrow::Cow;

use rayon::prelude::*;

use super::calendar::{Anchor, Calendar, Frequency, Holidays, anchor, common_distance, detect};
use super::raw_series::{Origin, RawSeries};
use super::repair::{ModelTimes, Repair};
use super::zone::{Clock, Zone};
use crate::civil::date;
use ptsm_core::{Error, Result, option};

/// What the rows have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    /// `None` where no series has two rows and none is given.
    pub(super) step: Option<Frequency>,
    pub(super) clock: Clock,
}

/// Rows at the end of a series that must lie on the calendar for times to be continued, where each
/// row is one step.
const ROWS_THAT_CONTINUE: usize = 32;

/// Finds the step, puts the times of every series on its clock and finds their days of the month.
/// Rows must rise where they lie on a grid.
pub(super) fn settle(
    series: &mut [RawSeries],
    repair: &Repair,
    origin: Origin<'_>,
) -> Result<Steps> {
    let is_index = origin.roles.is_index();
    let steps = match (wanted_step(repair, is_index)?, &repair.model) {
        (Some(step), _) => Steps { step: Some(step), clock: best_clock(series, step, repair) },
        (None, Some(model)) => of_model(series, model, repair, origin)?,
        (None, None) if is_index => {
            let times = series.iter().filter_map(|raw| raw.times.as_deref());
            let distance = common_distance(times, |from, to| to.saturating_sub(from));
            Steps { step: distance.map(Frequency::Index), clock: Clock::Utc }
        }
        (None, None) => search(series, repair),
    };
    if !is_index {
        on_clock(series, steps.clock);
    }
    if let Some(step) = steps.step {
        find_anchors(series, step, repair);
    }
    Ok(steps)
}

/// The step requested by the user.
fn wanted_step(repair: &Repair, is_index: bool) -> Result<Option<Frequency>> {
    let (field, step) = match repair.resample {
        Some(resample) => ("resample", Some(resample.step)),
        None => ("frequency", repair.frequency),
    };
    match step {
        Some(step) if step.is_index() != is_index => {
            let (kind, wanted) = match is_index {
                true => ("whole numbers", "a number alone, such as 1"),
                false => ("dates", "a length of time, such as 1h"),
            };
            let text = format!("{step} is no step of times that are {kind} (wanted {wanted})");
            Err(Error::config(field, text))
        }
        step => Ok(step),
    }
}

/// The times of every series on a clock.
fn on(series: &[RawSeries], clock: Clock) -> Vec<Cow<'_, [i64]>> {
    let mut all = Vec::with_capacity(series.len());
    for raw in series {
        let times = raw.times.as_deref().unwrap_or_default();
        all.push(match clock == Clock::Utc || raw.zone == Zone::Fixed(0) {
            true => Cow::Borrowed(times),
            false => raw.zone.local_times(times).into(),
        });
    }
    all
}

fn on_clock(series: &mut [RawSeries], clock: Clock) {
    for raw in series {
        if clock == Clock::Local
            && raw.zone != Zone::Fixed(0)
            && let Some(times) = &raw.times
        {
            raw.times = Some(raw.zone.local_times(times));
        }
    }
}

/// The step of the rows, on the clock on which it fits them: days and months on the local one,
/// shorter steps in UTC, if both do.
fn search(series: &[RawSeries], repair: &Repair) -> Steps {
    let find = |clock| {
        let times = on(series, clock);
        let step = detect(times.iter().map(AsRef::as_ref), &repair.holidays);
        (Steps { step, clock }, times)
    };
    let (local, local_times) = find(Clock::Local);
    let days = local.step.is_none_or(Frequency::counts_days);
    if !series.iter().any(|raw| raw.zone.changes()) {
        return Steps { clock: if days { Clock::Local } else { Clock::Utc }, ..local };
    }
    let (utc, utc_times) = find(Clock::Utc);
    let fits = |steps: Steps, times: &[Cow<'_, [i64]>]| {
        steps.step.is_some_and(|step| times.iter().all(|times| fits(times, step, &repair.holidays)))
    };
    let local_fits = fits(local, &local_times);
    match days {
        true if local_fits || !fits(utc, &utc_times) => local,
        true => utc,
        false if fits(utc, &utc_times) || !local_fits => utc,
        false => local,
    }
}

/// The clock on which a given step fits.
fn best_clock(series: &[RawSeries], step: Frequency, repair: &Repair) -> Clock {
    let (first, other) = match step.counts_days() {
        true => (Clock::Local, Clock::Utc),
        false => (Clock::Utc, Clock::Local),
    };
    let fits_on = |clock| on(series, clock).iter().all(|times| fits(times, step, &repair.holidays));
    let changes = series.iter().any(|raw| raw.zone.changes());
    if changes && !fits_on(first) && fits_on(other) { other } else { first }
}

fn calendar_of(times: &[i64], step: Frequency, holidays: &Holidays) -> Calendar {
    let anchor = anchor(times, step).unwrap_or(Anchor::NONE);
    Calendar { step, anchor, holidays: holidays.clone() }
}

fn fits(times: &[i64], step: Frequency, holidays: &Holidays) -> bool {
    if Calendar::of(step).is_even(times) {
        return true;
    }
    let calendar = calendar_of(times, step, holidays);
    let Some(&first) = times.first() else { return true };
    times.iter().all(|&time| calendar.steps_between(first, time).is_some())
}

/// The days of the month of every series: those of the model if the rows fit them, else those inferred
/// from the rows, else those of another series.
fn find_anchors(series: &mut [RawSeries], step: Frequency, repair: &Repair) {
    let mut common = None;
    for raw in series.iter_mut() {
        let times = raw.times.as_deref().unwrap_or_default();
        let dates = || times.iter().map(|&time| date(time));
        let of_model = repair.model.as_ref().filter(|model| model.frequency == step);
        let saved = of_model.and_then(|model| model.rules.anchors.get(&raw.id)).copied();
        let found = saved.filter(|saved| saved.fits(dates())).or_else(|| anchor(times, step));
        common = common.or(found);
        raw.anchor = found.unwrap_or(Anchor::NONE);
    }
    let Some(common) = common.filter(|common| !common.is_none()) else { return };
    for raw in series.iter_mut().filter(|raw| raw.anchor.is_none()) {
        let times = raw.times.as_deref().unwrap_or_default();
        if common.fits(times.iter().map(|&time| date(time))) {
            raw.anchor = common;
        }
    }
}

/// How the rows of one series lie on a calendar.
enum Rows {
    /// On it, mostly one step apart; or too few to decide.
    Same,
    /// They have this other step.
    Other(Frequency),
}

/// Whether rows have the step of a calendar or clearly another one.
fn judge(times: &[i64], step: Frequency, holidays: &Holidays) -> Rows {
    let pairs = times.len().saturating_sub(1);
    if pairs < 2 {
        return Rows::Same;
    }
    if Calendar::of(step).is_even(times) {
        return Rows::Same;
    }
    let calendar = calendar_of(times, step, holidays);
    let own = || match step.is_index() {
        true => common_distance(std::iter::once(times), |a, b| b.saturating_sub(a))
            .map(Frequency::Index),
        false => detect(std::iter::once(times), holidays),
    };
    let distances = || times.windows(2).map(|pair| calendar.steps_between(pair[0], pair[1]));
    let one = distances().filter(|distance| *distance == Some(1)).count();
    if one == pairs {
        return Rows::Same;
    }
    let mut counts = std::collections::BTreeMap::<i64, usize>::new();
    for distance in distances() {
        let Some(distance) = distance else {
            let other = own().filter(|&own| own != step && mostly(times, own, holidays));
            return other.map_or(Rows::Same, Rows::Other);
        };
        *counts.entry(distance).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(0);
    // Gaps of many lengths are gaps; one length is a step.
    if one == most || 2 * most < pairs {
        return Rows::Same;
    }
    own().filter(|&own| own != step).map_or(Rows::Same, Rows::Other)
}

/// Whether half of the neighbours or more are one step apart.
fn mostly(times: &[i64], step: Frequency, holidays: &Holidays) -> bool {
    let calendar = calendar_of(times, step, holidays);
    let pairs = times.windows(2);
    let one = pairs.filter(|pair| calendar.steps_between(pair[0], pair[1]) == Some(1)).count();
    2 * one >= times.len() - 1
}

/// The model's step, if the rows have it.
fn of_model(
    series: &[RawSeries],
    model: &ModelTimes,
    repair: &Repair,
    origin: Origin<'_>,
) -> Result<Steps> {
    let step = model.frequency;
    let is_index = origin.roles.is_index();
    if is_index != step.is_index() {
        let (got, wanted) = match is_index {
            true => ("whole numbers".to_owned(), format!("dates, every {step}")),
            false => ("dates".to_owned(), "whole numbers".to_owned()),
        };
        let none = option("timestamp", Some("none"));
        let message = format!(
            "the times are {got}; the model was trained on {wanted} (use {none} to number the rows)"
        );
        return Err(origin.at_row(&series[0], 0, message));
    }
    let clock = best_clock(series, step, repair);
    let times = on(series, clock);
    let other = |(raw, times): (_, &Cow<'_, [i64]>)| match judge(times, step, &repair.holidays) {
        Rows::Other(own) => Some((raw, own)),
        Rows::Same => None,
    };
    match series.par_iter().zip(&times).find_map_first(other) {
        Some((raw, own)) => Err(other_step(raw, own, step, origin)),
        None => Ok(Steps { step: Some(step), clock }),
    }
}

fn other_step(raw: &RawSeries, own: Frequency, step: Frequency, origin: Origin<'_>) -> Error {
    let is_finer = own.usual_length().zip(step.usual_length()).is_some_and(|(a, b)| a < b);
    let mean = format!("{step}:mean");
    let join = match is_finer {
        true => format!("{} or another rule to join rows, ", option("resample", Some(&mean))),
        false => String::new(),
    };
    let message = format!(
        "the rows come every {own}, the model was trained on rows every {step} (use {join}a model of \
         rows every {own}, or {} if the rows between are missing)",
        option("frequency", Some(&step.to_string()))
    );
    origin.at_row(raw, 0, message)
}

/// Refuses series of one table that have different steps.
pub(super) fn check_same_step(
    series: &[RawSeries],
    steps: Steps,
    repair: &Repair,
    origin: Origin<'_>,
) -> Result<()> {
    let asked = repair.frequency.is_some() || repair.resample.is_some();
    let Some(step) = steps.step.filter(|_| !asked && series.len() > 1) else { return Ok(()) };
    let other = |raw| match judge(RawSeries::times(raw), step, &repair.holidays) {
        Rows::Other(own) => Some((raw, own)),
        Rows::Same => None,
    };
    if let Some((raw, own)) = series.par_iter().find_map_first(other) {
        let usual = series.iter().find(|raw| {
            let times = raw.times();
            times.len() > 1 && mostly(times, step, &repair.holidays)
        });
        let usual = usual.map_or("others", |raw| &raw.id);
        let longer = match own.usual_length() > step.usual_length() {
            true => own,
            false => step,
        };
        let join = match longer.is_index() {
            true => String::new(),
            false => {
                format!(", {} to join rows", option("resample", Some(&format!("{longer}:mean"))))
            }
        };
        let message = format!(
            "the rows come every {own}, but those of series \"{usual}\" every {step}, and a model has \
             one step (use a table for each{join}, or {} if rows between are missing)",
            option("frequency", Some(&step.to_string()))
        );
        return Err(origin.at_row(raw, 0, message));
    }
    Ok(())
}

/// Whether the last rows of every series lie on its calendar, so that it can be continued.
pub(super) fn can_continue(series: &[RawSeries], step: Frequency, holidays: &Holidays) -> bool {
    series.iter().all(|raw| {
        let times = raw.times.as_deref().unwrap_or_default();
        let last = &times[times.len().saturating_sub(ROWS_THAT_CONTINUE)..];
        let calendar = Calendar { step, anchor: raw.anchor, holidays: holidays.clone() };
        let rises = |pair: &[i64]| calendar.steps_between(pair[0], pair[1]).is_some_and(|n| n > 0);
        last.windows(2).all(rises)
    })
}
