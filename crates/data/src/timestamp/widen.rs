//! Styles of several stamps made one, and styles made fine enough for what they write.

use super::style::{
    CalendarStyle, ClockForm, CompactForm, DateForm, OffsetForm, Precision, TimeStyle,
};
use crate::civil::{MINUTE, SECOND, civil, time_of_day};

impl TimeStyle {
    /// Takes in the style of one more stamp of the same column: the finest precision, and padding
    /// only where every stamp has it.
    pub(crate) fn merge(self, next: TimeStyle) -> TimeStyle {
        match (self, next) {
            (TimeStyle::Calendar(old), TimeStyle::Calendar(new)) => {
                TimeStyle::Calendar(old.merge(new))
            }
            (_, next) => next,
        }
    }

    /// This style made fine enough that each of `times` (local, a time or a distance of times) is
    /// written in full.
    #[must_use]
    pub fn holding(self, times: impl IntoIterator<Item = i64>) -> TimeStyle {
        times.into_iter().fold(self, TimeStyle::hold)
    }

    fn hold(self, time: i64) -> TimeStyle {
        match self {
            TimeStyle::Calendar(style) => TimeStyle::Calendar(style.hold(time)),
            TimeStyle::Compact(form) => {
                let day = time_of_day(time);
                let needed = match day {
                    day if day % SECOND != 0 => return TimeStyle::PLAIN.hold(time),
                    day if day % MINUTE != 0 => CompactForm::Second,
                    day if day % (60 * MINUTE) != 0 => CompactForm::Minute,
                    0 => CompactForm::Day,
                    _ => CompactForm::Hour,
                };
                let is_month = time_of_day(time) == 0 && civil(time).day() == 1;
                TimeStyle::Compact(if is_month { form } else { form.max(needed) })
            }
            TimeStyle::Epoch { unit, decimals } => {
                let mut part = time.rem_euclid(unit.nanoseconds());
                let (mut needed, mut size) = (0, unit.nanoseconds());
                while part != 0 && size > 1 {
                    (size, needed) = (size / 10, needed + 1);
                    part %= size;
                }
                TimeStyle::Epoch { unit, decimals: decimals.max(needed) }
            }
            TimeStyle::ExcelDays | TimeStyle::Index => self,
        }
    }
}

impl CalendarStyle {
    fn merge(self, new: CalendarStyle) -> CalendarStyle {
        let time = match (self.time, new.time) {
            (Some(old), Some(new)) => Some(ClockForm {
                precision: old.precision.max(new.precision),
                fraction: old.fraction.max(new.fraction),
                padded_hour: old.padded_hour && new.padded_hour,
                midnight_24: old.midnight_24 || new.midnight_24,
                ..new
            }),
            (old, new) => old.or(new),
        };
        let both = |a: bool, b: bool| a && b;
        let date = match (self.date, new.date) {
            (
                DateForm::Numbers { padded: old, .. },
                DateForm::Numbers { order, separator, padded, short_year },
            ) => DateForm::Numbers { order, separator, padded: both(old, padded), short_year },
            (
                DateForm::Named { padded: old, name: first, .. },
                DateForm::Named { order, separator, comma, name, padded, short_year },
            ) => {
                let (name, padded) = (first.merge(name), both(old, padded));
                DateForm::Named { order, separator, comma, name, padded, short_year }
            }
            (
                DateForm::NamedMonth { name: first, .. },
                DateForm::NamedMonth { year_first, separator, name, short_year },
            ) => {
                DateForm::NamedMonth { year_first, separator, name: first.merge(name), short_year }
            }
            (
                DateForm::Month { padded: old, .. },
                DateForm::Month { year_first, separator, padded },
            ) => DateForm::Month { year_first, separator, padded: both(old, padded) },
            // A day is finer than a month.
            (old @ DateForm::Numbers { .. }, DateForm::Month { .. }) => old,
            (_, new) => new,
        };
        let offset = match new.offset {
            OffsetForm::None => self.offset,
            offset => offset,
        };
        CalendarStyle { date, time, offset }
    }

    fn hold(mut self, time: i64) -> CalendarStyle {
        let at = civil(time);
        let part = time_of_day(time);
        let date_holds = match self.date {
            DateForm::Month { .. } | DateForm::NamedMonth { .. } => part == 0 && at.day() == 1,
            DateForm::Quarter { .. } => part == 0 && at.day() == 1 && at.month() % 3 == 1,
            DateForm::Week { day, .. } => {
                let monday = at.weekday() == jiff::civil::Weekday::Monday;
                part == 0 && (day || monday)
            }
            _ => true,
        };
        if !date_holds {
            self.date = DateForm::ISO;
        }
        if part == 0 {
            return self;
        }
        let between = if self.date == DateForm::Compact { 'T' } else { ' ' };
        let plain = ClockForm { precision: Precision::Hour, between, ..ClockForm::PLAIN };
        let mut clock = self.time.unwrap_or(plain);
        let needed = match part {
            part if part % MINUTE != 0 => Precision::Second,
            // An hour alone is only written where the column has it so.
            _ if self.time.is_none() => Precision::Minute,
            part if part % (60 * MINUTE) != 0 => Precision::Minute,
            _ => Precision::Hour,
        };
        clock.precision = clock.precision.max(needed);
        let (mut digits, mut size, mut rest) = (0, SECOND, part % SECOND);
        while rest != 0 {
            (digits, size) = (digits + 1, size / 10);
            rest %= size;
        }
        clock.fraction = clock.fraction.max(digits);
        self.time = Some(clock);
        self
    }
}
