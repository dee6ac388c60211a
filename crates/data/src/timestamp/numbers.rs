//! Numbers as times: epochs, digits alone, Excel's days, and the plain index.

use jiff::civil::Date;

use super::stamp::NotATime;
use super::style::{CompactForm, EXCEL_ORIGIN_DAYS, EpochUnit, TimeStyle};
use crate::civil::{DAY, SECOND, nanoseconds};

/// Smallest number that counts as seconds since the epoch: 1973; below it a column called `time`
/// rather holds row numbers.
const FIRST_EPOCH_SECOND: f64 = 1e8;
/// Each unit of an epoch is a thousand of the next, and so are the borders between them: from here on
/// numbers are milliseconds, the year 5138 in seconds, 1973 in milliseconds.
const FIRST_EPOCH_MILLISECOND: f64 = 1e11;
const FIRST_EPOCH_MICROSECOND: f64 = 1e14;
const FIRST_EPOCH_NANOSECOND: f64 = 1e17;
/// Excel's days from 1954 to 2119.
const EXCEL_DAYS: std::ops::Range<f64> = 20_000.0..80_000.0;

/// Times and their style, or the number of the first cell that does not fit, and why.
type Read = Result<(Vec<i64>, TimeStyle), (usize, NotATime)>;

/// Reads a column of numbers as times: dates of 6, 8, 10, 12 or 14 digits, epochs in seconds to
/// nanoseconds, and, where `excel` says that the column has the name of a date, Excel's days.
///
/// # Errors
///
/// The number of the first cell that does not fit, and why.
pub(crate) fn parse_numbers(cells: &[f64], excel: bool) -> Read {
    let first = *cells.first().ok_or((0, NotATime::Unknown))?;
    let mut refused = (0, NotATime::Unknown);
    for style in styles_of(first, excel) {
        match parse_as(cells, style) {
            Ok(times) => return Ok((times, style)),
            Err(error) if error.0 >= refused.0 => refused = error,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// The styles that a first number may have, the likeliest first.
fn styles_of(first: f64, excel: bool) -> Vec<TimeStyle> {
    let mut styles = Vec::new();
    if let Some(form) = compact_form(first).filter(|form| compact(first, *form).is_some()) {
        styles.push(TimeStyle::Compact(form));
    }
    let unit = match first {
        FIRST_EPOCH_SECOND..FIRST_EPOCH_MILLISECOND => Some(EpochUnit::Seconds),
        FIRST_EPOCH_MILLISECOND..FIRST_EPOCH_MICROSECOND => Some(EpochUnit::Milliseconds),
        FIRST_EPOCH_MICROSECOND..FIRST_EPOCH_NANOSECOND => Some(EpochUnit::Microseconds),
        FIRST_EPOCH_NANOSECOND.. => Some(EpochUnit::Nanoseconds),
        _ => None,
    };
    if let Some(unit) = unit {
        styles.push(TimeStyle::Epoch { unit, decimals: 0 });
    }
    if excel && EXCEL_DAYS.contains(&first) {
        styles.push(TimeStyle::ExcelDays);
    }
    styles
}

/// Reads numbers in a style that is known; the decimals of an epoch may differ.
///
/// # Errors
///
/// The number of the first cell that does not fit, and why.
pub(crate) fn parse_as(cells: &[f64], style: TimeStyle) -> Result<Vec<i64>, (usize, NotATime)> {
    let one = |cell: f64| match style {
        TimeStyle::Compact(form) => compact(cell, form).ok_or(NotATime::Unknown),
        TimeStyle::Epoch { unit, .. } => epoch(cell, unit),
        TimeStyle::ExcelDays if EXCEL_DAYS.contains(&cell) => Ok(excel(cell)),
        TimeStyle::Index => index(cell),
        TimeStyle::ExcelDays | TimeStyle::Calendar(_) => Err(NotATime::Unknown),
    };
    let numbered = cells.iter().enumerate();
    numbered.map(|(row, &cell)| one(cell).map_err(|why| (row, why))).collect()
}

/// Reads whole numbers as the index of rows.
///
/// # Errors
///
/// The number of the first cell that is not whole.
pub(crate) fn parse_index(cells: &[f64]) -> Read {
    Ok((parse_as(cells, TimeStyle::Index)?, TimeStyle::Index))
}

fn index(cell: f64) -> Result<i64, NotATime> {
    // Beyond 2^53 a number does not hold every whole one.
    let exact = cell.fract() == 0.0 && cell.abs() <= 9_007_199_254_740_992.0;
    exact.then_some(cell as i64).ok_or(NotATime::Unknown)
}

fn epoch(cell: f64, unit: EpochUnit) -> Result<i64, NotATime> {
    if cell.is_nan() {
        return Err(NotATime::Unknown);
    }
    let (whole, part) = (cell.trunc(), cell.fract());
    let size = unit.nanoseconds();
    if whole.abs() * size as f64 >= i64::MAX as f64 {
        return Err(NotATime::OutOfRange);
    }
    // A double holds the epochs of today to the microsecond, no finer.
    let part = (part * size as f64 / 1000.0).round() as i64 * 1000;
    let time = match unit {
        EpochUnit::Nanoseconds => (whole / 1000.0).round() as i64 * 1000,
        _ => (whole as i64 * size).checked_add(part).ok_or(NotATime::OutOfRange)?,
    };
    Ok(time)
}

/// Digits that a compact stamp has, and its form.
fn compact_form(number: f64) -> Option<CompactForm> {
    if number.fract() != 0.0 || number < 0.0 {
        return None;
    }
    Some(match number as i64 {
        100_000..1_000_000 => CompactForm::Month,
        10_000_000..100_000_000 => CompactForm::Day,
        1_000_000_000..10_000_000_000 => CompactForm::Hour,
        100_000_000_000..1_000_000_000_000 => CompactForm::Minute,
        10_000_000_000_000..100_000_000_000_000 => CompactForm::Second,
        _ => return None,
    })
}

/// The time of digits such as 20160731, from 1800 to 2199.
fn compact(number: f64, form: CompactForm) -> Option<i64> {
    if compact_form(number) != Some(form) {
        return None;
    }
    let digits = number as i64;
    // Missing parts at the end are the first ones.
    let full = match form {
        CompactForm::Month => digits * 100_000_000 + 1_000_000,
        CompactForm::Day => digits * 1_000_000,
        CompactForm::Hour => digits * 10_000,
        CompactForm::Minute => digits * 100,
        CompactForm::Second => digits,
    };
    let part = |size: i64| (full / size % 100) as i8;
    let year = (full / 10_000_000_000) as i16;
    if !(1800..2200).contains(&year) {
        return None;
    }
    let date = Date::new(year, part(100_000_000), part(1_000_000)).ok()?;
    let time = jiff::civil::Time::new(part(10_000), part(100), part(1), 0).ok()?;
    nanoseconds(date.to_datetime(time))
}

/// To the second where the number is that close to one, otherwise to the millisecond.
fn excel(days: f64) -> i64 {
    let seconds = days.fract() * DAY as f64 / SECOND as f64;
    let part = match (seconds - seconds.round()).abs() < 0.05 {
        true => seconds.round() as i64 * SECOND,
        false => (seconds * 1000.0).round() as i64 * 1_000_000,
    };
    (days.trunc() as i64 - EXCEL_ORIGIN_DAYS) * DAY + part
}
