//! How numbers are written in text: the mark of the decimals, the mark of the thousands, the sign.

use super::table::ReadOptions;
use super::thousands::ThousandsMark;

/// The marks of the numbers of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumberMarks {
    /// Whether decimals have a comma.
    pub(super) decimal_comma: bool,
    pub(super) thousands: ThousandsMark,
}

impl NumberMarks {
    /// As the options say. Where decimals have a comma, a dot is the mark of thousands; where
    /// thousands have a dot, decimals have a comma.
    pub(super) fn of(options: &ReadOptions) -> Self {
        let decimal_comma = options.decimal_comma || options.thousands == Some(ThousandsMark::Dot);
        let usual = if decimal_comma { ThousandsMark::Dot } else { ThousandsMark::Absent };
        Self { decimal_comma, thousands: options.thousands.unwrap_or(usual) }
    }

    /// Every way in which numbers are written, likely ones first.
    pub(super) const ALL: [NumberMarks; 8] = [
        Self { decimal_comma: false, thousands: ThousandsMark::Absent },
        Self { decimal_comma: false, thousands: ThousandsMark::Comma },
        Self { decimal_comma: true, thousands: ThousandsMark::Absent },
        Self { decimal_comma: true, thousands: ThousandsMark::Dot },
        Self { decimal_comma: false, thousands: ThousandsMark::Space },
        Self { decimal_comma: true, thousands: ThousandsMark::Space },
        Self { decimal_comma: false, thousands: ThousandsMark::Apostrophe },
        Self { decimal_comma: true, thousands: ThousandsMark::Apostrophe },
    ];

    /// Whether decimals have a dot and thousands nothing.
    pub(super) fn is_plain(self) -> bool {
        !self.decimal_comma && self.thousands == ThousandsMark::Absent
    }

    /// The number that `text` writes, which may be infinite or NaN.
    pub(super) fn read(self, text: &str) -> Option<f64> {
        if self.is_plain() {
            if let Ok(number) = text.parse() {
                return Some(number);
            }
            // A minus of typesetting is not ASCII; all else that is no number ends here.
            let rest = text.strip_prefix(['\u{2212}', '\u{2013}'])?;
            return if rest.starts_with(['+', '-']) {
                None
            } else {
                rest.parse().ok().map(|x: f64| -x)
            };
        }
        let (sign, rest) = split_sign(text);
        if rest.starts_with(['+', '-']) {
            return None;
        }
        if !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == ',') {
            return rest.parse().ok().map(|x: f64| sign * x);
        }
        let (digits, exponent) = match rest.find(['e', 'E']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let decimal = if self.decimal_comma { ',' } else { '.' };
        let (whole, fraction) = digits.split_once(decimal).unwrap_or((digits, ""));
        if !is_digits(fraction) {
            return None;
        }
        let whole = without_marks(whole, self.thousands)?;
        let number: f64 = format!("{whole}.{fraction}{exponent}").parse().ok()?;
        Some(sign * number)
    }
}

/// The number that a text of at most 15 digits, a dot and a sign writes; `None` if it is longer or
/// anything else. As a whole number of 15 digits and a power of ten up to 15 are exact, so is the
/// rounding of their quotient: it is the number that the standard library reads.
pub(super) fn short_number(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.len() > 16 {
        return None;
    }
    let (mut whole, mut count, mut dot) = (0u64, 0, None);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                whole = 10 * whole + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if dot.is_none() => dot = Some(count),
            _ => return None,
        }
    }
    if count == 0 || count > 15 {
        return None;
    }
    let number = whole as f64 / POWERS[count - dot.unwrap_or(count)];
    Some(if negative { -number } else { number })
}

/// The sign, and what comes after it.
fn split_sign(text: &str) -> (f64, &str) {
    match text.strip_prefix(['-', '\u{2212}', '\u{2013}']) {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digits of a whole number: all of them, or one to three and then groups of three.
fn without_marks(whole: &str, mark: ThousandsMark) -> Option<String> {
    if is_digits(whole) {
        return Some(whole.to_owned());
    }
    let mut groups = whole.split(|c| mark.is(c));
    let first = groups.next()?;
    if !is_digits(first) || !(1..=3).contains(&first.len()) || first.starts_with('0') {
        return None;
    }
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || !is_digits(group) {
            return None;
        }
        digits += group;
    }
    Some(digits)
}

/// Whether the decimal marks of one column may actually separate thousands: `1.500` and `2.000`
/// beside `994`.
#[derive(Debug, Clone, Default)]
pub(super) struct DecimalMarks {
    /// A whole number below 1000 was there.
    small: bool,
    /// The first row with a mark before exactly three digits that end in 0, as no program writes
    /// decimals that leaves them out elsewhere.
    padded: Option<usize>,
    /// Whether there was a cell that can only be a decimal number.
    decimals: bool,
}

impl DecimalMarks {
    /// Looks at a cell that is a number; `decimal` is the mark of its decimals.
    pub(super) fn see(&mut self, row: usize, text: &str, decimal: u8) {
        if self.decimals {
            return;
        }
        let digits = split_sign(text).1.as_bytes();
        let mark = digits.iter().position(|&byte| byte == decimal);
        let (whole, fraction) = match mark {
            Some(at) => (&digits[..at], Some(&digits[at + 1..])),
            None => (digits, None),
        };
        let short = (1..=3).contains(&whole.len()) && whole.iter().all(u8::is_ascii_digit);
        match fraction {
            None if short => self.small = true,
            Some(fraction) if short && whole[0] != b'0' && fraction.len() == 3 => {
                if fraction.iter().all(u8::is_ascii_digit) && fraction[2] == b'0' {
                    self.padded.get_or_insert(row);
                }
            }
            _ => self.decimals = true,
        }
    }

    /// Takes in what was seen from the row `rows` on.
    pub(super) fn add(&mut self, more: &DecimalMarks, rows: usize) {
        self.small |= more.small;
        self.decimals |= more.decimals;
        self.padded = self.padded.or(more.padded.map(|row| rows + row));
    }

    /// The first row that [`DecimalMarks::doubtful`] may ask about.
    pub(super) fn padded_row(&self) -> Option<usize> {
        self.padded
    }

    /// The row to ask about, if the column is in doubt.
    pub(super) fn doubtful(&self) -> Option<usize> {
        self.padded.filter(|_| self.small && !self.decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marks(decimal_comma: bool, thousands: Option<ThousandsMark>) -> NumberMarks {
        NumberMarks::of(&ReadOptions { decimal_comma, thousands, ..ReadOptions::default() })
    }

    proptest! {
        #[test]
        fn short_numbers_are_those_of_the_standard_library(
            text in "-?[0-9]{0,9}\\.?[0-9]{0,9}|[-+.0-9e]{0,6}",
        ) {
            if let Some(number) = short_number(text.as_bytes()) {
                let plain: f64 = text.parse().unwrap();
                prop_assert_eq!(number.to_bits(), plain.to_bits(), "{}", text);
            }
        }
    }

    #[test]
    fn short_numbers_are_read_quickly() {
        for text in ["0", "-0.0", "12.5", ".5", "5.", "-123456.789012345", "000000000000001"] {
            assert!(short_number(text.as_bytes()).is_some(), "{text}");
        }
        for text in ["", "-", ".", "+1", "1e3", "1.2.3", "1234567890123456", "NaN", "--1"] {
            assert_eq!(short_number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn marks_of_thousands_stand_before_groups_of_three_digits() {
        use ThousandsMark::{Absent, Apostrophe, Comma, Dot, Space};
        for (decimal_comma, thousands, text, wanted) in [
            (false, None, "1.001", Some(1.001)),
            (false, None, "1,001", None),
            (false, None, "\u{2212}5.5", Some(-5.5)),
            (false, None, "\u{2013}5", Some(-5.0)),
            (false, None, "\u{2013}-5", None),
            (false, Some(Comma), "1,001", Some(1001.0)),
            (false, Some(Comma), "-12,345,678.25", Some(-12_345_678.25)),
            (false, Some(Comma), "500", Some(500.0)),
            (false, Some(Comma), "1234.5", Some(1234.5)),
            (false, Some(Comma), "1,5", None),
            (false, Some(Comma), "1,0001", None),
            (false, Some(Comma), "0,123", None),
            (false, Some(Comma), "1234,567", None),
            (false, Some(Comma), "1,00,000", None),
            (false, Some(Comma), ",500", None),
            (false, Some(Comma), "1.5,000", None),
            (false, Some(Comma), "1,500e3", Some(1.5e6)),
            (true, None, "1,5", Some(1.5)),
            (true, None, "10.000,00", Some(10_000.0)),
            (true, None, "1.000", Some(1000.0)),
            (true, None, "1.5", None),
            (true, None, "0.123", None),
            (true, None, "1,000.5", None),
            (true, None, ",5", Some(0.5)),
            (true, None, "-1,5e-3", Some(-0.0015)),
            (true, Some(Absent), "1,000", Some(1.0)),
            (true, Some(Absent), "1.000", None),
            (false, Some(Dot), "1.000,5", Some(1000.5)),
            (true, Some(Space), "1 000,5", Some(1000.5)),
            (false, Some(Space), "1\u{a0}000\u{202f}000", Some(1e6)),
            (false, Some(Apostrophe), "1'000.5", Some(1000.5)),
            (true, Some(Apostrophe), "1\u{2019}000,5", Some(1000.5)),
            (true, None, "", None),
            (true, None, "e5", None),
            (true, None, ",", None),
            (true, None, "--5", None),
        ] {
            assert_eq!(marks(decimal_comma, thousands).read(text), wanted, "{text} {thousands:?}");
        }
        assert!(marks(true, None).read("nan").is_some_and(f64::is_nan));
        assert_eq!(marks(true, None).read("-inf"), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn three_digits_that_end_in_zero_beside_small_whole_numbers_are_doubtful() {
        let doubtful = |cells: &[&str]| {
            let mut marks = DecimalMarks::default();
            cells.iter().enumerate().for_each(|(row, cell)| marks.see(row, cell, b'.'));
            marks.doubtful()
        };
        assert_eq!(doubtful(&["994", "1.001", "-1.010"]), Some(2));
        for decimals in [
            &["994", "1.001"][..],
            &["1.010", "2.000"],
            &["5", "0.500", "1.000"],
            &["5", "1.000", "1.25"],
            &["5", "1.000", "1500"],
            &["5", "1.000", "1e3"],
        ] {
            assert_eq!(doubtful(decimals), None, "{decimals:?}");
        }
    }
}
