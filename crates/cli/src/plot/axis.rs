//! Scales of value axes: the range, round ticks and their text.

/// Values beyond this are drawn at it, so that no difference of two values overflows.
const LARGEST: f64 = 1e300;

/// Never more ticks than this, whatever rounding does.
const MAX_TICKS: usize = 24;

/// Maps values to shares of an axis, from 0 at its low end to 1 at its high end.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// A linear scale over all finite `values` and a little more, with about `wanted` ticks.
    ///
    /// No finite value gives 0 to 1; equal values get room around them.
    pub(crate) fn covering(values: impl IntoIterator<Item = f64>, wanted: usize) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let middle = low / 2.0 + high / 2.0;
        let spread = high - low;
        let room = if spread > middle.abs() * 1e-12 {
            0.06 * spread
        } else if middle == 0.0 {
            1.0
        } else {
            0.1 * middle.abs()
        };
        Self::linear(low - room, high + room, wanted)
    }

    /// A linear scale that holds zero and all finite `values`, with about `wanted` ticks.
    pub(crate) fn with_zero(values: impl IntoIterator<Item = f64>, wanted: usize) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let (low, high) = (low.min(0.0), high.max(0.0));
        let high = if high > low { high } else { 1.0 };
        Self::linear(low, high, wanted)
    }

    /// A linear scale from zero to the first round value above all finite `values`.
    pub(crate) fn to_round(values: impl IntoIterator<Item = f64>, wanted: usize) -> Self {
        let (_, high) = extent(values).unwrap_or((0.0, 1.0));
        let high = if high > 0.0 { high } else { 1.0 };
        let step = round_step(0.7 * high / wanted.max(1) as f64);
        Self::linear(0.0, (high / step - 1e-9).ceil() * step, wanted)
    }

    /// A scale for losses: logarithmic when positive values spread over more than a factor of
    /// eight, else as [`Scale::covering`].
    pub(crate) fn for_losses(values: &[f64], wanted: usize) -> Self {
        match extent(values.iter().copied()) {
            Some((low, high)) if low > 0.0 && high / low > 8.0 => Self::logarithmic(low, high),
            _ => Self::covering(values.iter().copied(), wanted),
        }
    }

    fn linear(low: f64, high: f64, wanted: usize) -> Self {
        // Rounding is upwards only: aim a little low to get about as many as wanted.
        let step = round_step(0.7 * (high - low) / wanted.max(1) as f64);
        let first = (low / step).ceil();
        let largest = low.abs().max(high.abs());
        let ticks = (0..MAX_TICKS)
            .map(|number| (first + number as f64) * step)
            .take_while(|tick| *tick <= high + 1e-9 * step)
            .map(|tick| (tick, number(tick, step, largest)))
            .collect();
        Self { low, high, logarithmic: false, ticks }
    }

    fn logarithmic(low: f64, high: f64) -> Self {
        let (low, high) = (low.log10(), high.log10());
        let room = 0.05 * (high - low);
        let (low, high) = (low - room, high + room);
        let factors: &[f64] = match high - low {
            decades if decades < 1.6 => &[1.0, 2.0, 5.0],
            decades if decades < 3.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let skip = ((high - low) / 6.0).ceil().max(1.0) as usize;
        let ticks = (low.floor() as i32..=high.ceil() as i32)
            .step_by(skip)
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)))
            .filter(|tick| (low..=high).contains(&tick.log10()))
            .take(MAX_TICKS)
            .map(|tick| (tick, value(tick)))
            .collect();
        Self { low, high, logarithmic: true, ticks }
    }

    /// Where `value` lies on the axis: 0 at its low end, 1 at its high end.
    pub(crate) fn share(&self, value: f64) -> f64 {
        let value = value.clamp(-LARGEST, LARGEST);
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Round values within the range, with their text.
    pub(crate) fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// Whether equal distances mean equal factors.
    pub(crate) fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }
}

/// Smallest and largest finite value.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|value| value.is_finite())
        .map(|value| value.clamp(-LARGEST, LARGEST))
        .fold(None, |extent, value| match extent {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        })
}

/// The least of 1, 2, 5 times a power of ten that is not below `step`.
pub(crate) fn round_step(step: f64) -> f64 {
    if !(step.is_finite() && step > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step * (1.0 - 1e-9))
        .unwrap_or(10.0);
    factor * power
}

/// A tick as text, with the decimals that `step` needs and a prefix that `largest` asks for.
fn number(tick: f64, step: f64, largest: f64) -> String {
    if largest >= 1e15 || step < 1e-6 {
        return signed(&format!("{tick:.2e}"));
    }
    let (unit, prefix) = match largest {
        size if size >= 1e12 => (1e12, "T"),
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-(step / unit).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    // Adding zero turns a negative zero into zero.
    let text = format!("{:.decimals$}", tick / unit + 0.0);
    if text.chars().all(|c| matches!(c, '-' | '0' | '.')) {
        return "0".to_owned();
    }
    signed(&format!("{text}{prefix}"))
}

/// A measured value as text, with four significant digits.
pub(crate) fn value(value: f64) -> String {
    if !value.is_finite() {
        return "none".to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        return signed(&format!("{value:.2e}"));
    }
    let decimals = (3.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = match text.split_once('.') {
        // Trailing zeros are dropped for round numbers only; for others they align columns.
        Some((whole, decimals)) if decimals.chars().all(|c| c == '0') => whole.to_owned(),
        _ if is_short(value) => text.trim_end_matches('0').to_owned(),
        _ => text,
    };
    signed(&text)
}

/// Whether the value has one significant digit, as 0.2.
fn is_short(value: f64) -> bool {
    let power = 10_f64.powf(value.abs().log10().floor());
    let digit = value.abs() / power;
    (digit - digit.round()).abs() < 1e-9
}

/// Puts the true minus sign in front, which is as wide as a digit.
fn signed(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<&str> {
        scale.ticks().iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::covering([-3.2, 7.9], 5);
        assert_eq!(texts(&scale), ["−2", "0", "2", "4", "6", "8"]);
        let scale = Scale::covering([0.11, 0.48], 4);
        assert_eq!(texts(&scale), ["0.1", "0.2", "0.3", "0.4", "0.5"]);
    }

    #[test]
    fn large_values_get_a_prefix_and_negative_ones_a_minus() {
        assert_eq!(
            texts(&Scale::covering([-20_000.0, 20_000.0], 4)),
            ["−20k", "−10k", "0", "10k", "20k"]
        );
        assert_eq!(
            texts(&Scale::covering([1.0e6, 3.0e6], 4)),
            ["1.0M", "1.5M", "2.0M", "2.5M", "3.0M"]
        );
    }

    #[test]
    fn odd_ranges_keep_shares_finite() {
        let cases: [&[f64]; 7] = [
            &[],
            &[0.0],
            &[5.0, 5.0],
            &[f64::NAN, f64::INFINITY],
            &[-1e308, 1e308],
            &[1e16, 1e16 + 2.0],
            &[1e-310, 2e-310],
        ];
        for values in cases {
            let scale = Scale::covering(values.iter().copied(), 5);
            assert!(scale.ticks().len() <= MAX_TICKS);
            for value in values.iter().filter(|value| value.is_finite()) {
                let share = scale.share(*value);
                assert!((-1e-9..=1.0 + 1e-9).contains(&share), "{values:?}: {share}");
            }
        }
    }

    #[test]
    fn widely_spread_losses_get_a_logarithmic_scale() {
        let scale = Scale::for_losses(&[0.3, 30.0], 5);
        assert!(scale.is_logarithmic());
        assert!((scale.share(3.0) - 0.5).abs() < 1e-12);
        assert_eq!(texts(&scale), ["0.3", "1", "3", "10", "30"]);
        assert!(!Scale::for_losses(&[0.3, 0.5], 5).is_logarithmic());
        assert!(!Scale::for_losses(&[-1.0, 50.0], 5).is_logarithmic());
    }

    #[test]
    fn a_rounded_scale_ends_with_a_tick() {
        let scale = Scale::to_round([0.0, 0.000_99], 2);
        assert_eq!(texts(&scale), ["0", "0.0005", "0.0010"]);
        assert!((scale.share(0.001) - 1.0).abs() < 1e-12);
        assert!(Scale::to_round([-3.0, f64::NAN], 2).share(0.5).is_finite());
    }

    #[test]
    fn values_have_four_significant_digits() {
        assert_eq!(value(0.370_24), "0.3702");
        assert_eq!(value(12.345_6), "12.35");
        assert_eq!(value(-0.5), "−0.5");
        assert_eq!(value(0.37), "0.3700");
        assert_eq!(value(1e-9), "1.00e−9");
        assert_eq!(value(f64::NAN), "none");
    }
}
