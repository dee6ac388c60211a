//! A whole column of stamps: their times, their style, and which of two numbers is the day.

use super::scan::parse_timestamp;
use super::stamp::{NotATime, Stamp};
use super::style::{DateForm, DateOrder, TimeStyle};
use crate::civil::{SECOND, time_of_day};

/// A column of stamps that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stamps {
    /// Times in UTC; where stamps have no offset, what the clock shows.
    pub(crate) instants: Vec<i64>,
    /// Seconds ahead of UTC: of each row, or one for all.
    pub(crate) offsets: Vec<i32>,
    pub(crate) style: TimeStyle,
    /// Which of day and month comes first, where a cell alone does not say it.
    pub(crate) order: Option<DateOrder>,
}

/// The number of the first cell that does not fit, and why.
type Refused = (usize, NotATime);

/// Reads a whole column of stamps and finds its style.
///
/// # Errors
///
/// The number of the first cell that does not fit, and why. Dates such as `7/1/2016` are read in
/// `wanted` order; without one, with the order that fits every cell; if several do, with the one that
/// gives rising times; if several do that too, hours are taken to lie in days that follow each other,
/// and a column of days is ambiguous.
pub(crate) fn parse_column<'a>(
    cells: impl Iterator<Item = &'a str> + Clone,
    wanted: Option<DateOrder>,
) -> Result<Stamps, Refused> {
    let first = cells.clone().next().ok_or((0, NotATime::Unknown))?;
    let orders = orders_of(first);
    if orders.is_empty() {
        return read(cells, DateOrder::MonthDayYear);
    }
    if let Some(wanted) = wanted {
        return read(cells, wanted).map_err(|(row, why)| match why {
            NotATime::Unknown => (row, NotATime::OtherOrder(wanted)),
            why => (row, why),
        });
    }
    let mut refused = None;
    let mut found: Vec<Stamps> = Vec::new();
    for &order in orders {
        match read(cells.clone(), order) {
            Ok(stamps) => found.push(stamps),
            // The error of the order that read the most rows is reported.
            Err(error) if refused.is_none_or(|(row, _)| error.0 > row) => refused = Some(error),
            Err(_) => {}
        }
    }
    settle(found).ok_or(refused.unwrap_or((0, NotATime::Unknown)))?
}

/// One of several readings of a column; `None` if there is none.
fn settle(mut found: Vec<Stamps>) -> Option<Result<Stamps, Refused>> {
    let rises = |stamps: &Stamps| stamps.instants.is_sorted();
    if found.len() > 1 && found.iter().any(rises) {
        found.retain(rises);
    }
    // Years of two digits at the front are assumed only if the rows then lie closer together.
    let span = |stamps: &Stamps| {
        let (first, last) = (stamps.instants.first()?, stamps.instants.last()?);
        last.checked_sub(*first).map(i64::abs)
    };
    let is_year_first = |stamps: &Stamps| stamps.order == Some(DateOrder::YearMonthDay);
    if let Some(at) = found.iter().position(is_year_first)
        && found.len() > 1
    {
        let year_first = found.remove(at);
        if found.iter().all(|other| span(&year_first) < span(other)) {
            return Some(Ok(year_first));
        }
    }
    // Where the time of day changes, neighbouring rows are hours or days apart, not months.
    let changes_within_days = |stamps: &Stamps| {
        let first = stamps.instants.first().map(|&time| time_of_day(time));
        stamps.instants.iter().any(|&time| Some(time_of_day(time)) != first)
    };
    if let [one, other] = found.as_slice()
        && changes_within_days(one)
        && rises(one)
        && span(one) != span(other)
    {
        let at = usize::from(span(other) < span(one));
        return Some(Ok(found.swap_remove(at)));
    }
    let first = found.pop()?;
    let same = found.iter().all(|other| other.instants == first.instants);
    // Where both orders give the same times, no order is kept.
    let order = if found.is_empty() { first.order } else { None };
    Some(if same { Ok(Stamps { order, ..first }) } else { Err((0, NotATime::Ambiguous)) })
}

/// The orders that dates written like this one may have; none if the form itself says it.
fn orders_of(cell: &str) -> &'static [DateOrder] {
    use DateOrder::{DayMonthYear, MonthDayYear, YearMonthDay};
    // Bytes and not letters: a separator such as a dash of typesetting has several.
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let cell = cell.trim_ascii().as_bytes();
    let first = digits(cell);
    let (Some(separator), 1 | 2) = (cell.get(first), first) else { return &[] };
    let rest = &cell[first + 1..];
    let second = digits(rest);
    if second == 0 || rest.get(second) != Some(separator) {
        return &[];
    }
    match (separator, digits(&rest[second + 1..])) {
        (b'-' | b'/', 4) => &[MonthDayYear, DayMonthYear],
        (b'-' | b'/', 2) => &[MonthDayYear, DayMonthYear, YearMonthDay],
        (b'.', 2) => &[DayMonthYear, YearMonthDay],
        _ => &[],
    }
}

/// Reads every cell with one order.
fn read<'a>(cells: impl Iterator<Item = &'a str>, order: DateOrder) -> Result<Stamps, Refused> {
    let mut instants = Vec::new();
    let mut offsets: Vec<i32> = Vec::new();
    let mut style: Option<TimeStyle> = None;
    for (index, cell) in cells.enumerate() {
        let found = parse_timestamp(cell, order).map_err(|why| (index, why))?;
        let Stamp { local, offset, style: form } = found;
        let offset = offset.unwrap_or(0);
        if index == 0 {
            offsets.push(offset);
        } else if offsets.len() > 1 || offset != offsets[0] {
            offsets.resize(index, offsets[0]);
            offsets.push(offset);
        }
        instants.push(local - i64::from(offset) * SECOND);
        let form = TimeStyle::Calendar(form);
        // The same style again, as nearly always, changes nothing.
        if style != Some(form) {
            style = Some(style.map_or(form, |style| style.merge(form)));
        }
    }
    let style = style.ok_or((0, NotATime::Unknown))?;
    let ordered = match style {
        TimeStyle::Calendar(style) => match (style.date, style.offset) {
            (DateForm::Numbers { order, separator, short_year, .. }, _)
                if order != DateOrder::YearMonthDay || short_year =>
            {
                (separator != '.' || short_year).then_some(order)
            }
            _ => None,
        },
        _ => None,
    };
    Ok(Stamps { instants, offsets, style, order: ordered })
}
