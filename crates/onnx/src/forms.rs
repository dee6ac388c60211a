//! Windows of numbers that look random, and are the same each time: usual ones, and those that a model seldom sees.

use ptsm::Result;
use ptsm::core::Transform;
use ptsm::data::{ChannelScale, CovariateEffects, Covariates, Series, SeriesScale, Standardiser};

/// What a window looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As far from the mean of the channels as the training was.
    Usual,
    /// Above the mean by many scales.
    Far,
    /// One number per channel.
    Constant,
    /// A channel without a seen point.
    Unseen,
}

/// How far beyond the limits of the training's scale the windows lie that are standardised by their own points, and how
/// far inside of them all others.
const BEYOND: f64 = 10.0;
/// Logarithms beyond this are no data: single precision ends at 88.
const MOST_LOGARITHM: f64 = 20.0;
/// Share of the points that are missing where a window may have gaps.
const MISSING: f64 = 0.05;

impl Form {
    /// That of the window of a number; one with missing points only where there may be some.
    fn of(number: usize, gaps: bool) -> Self {
        match number % 8 {
            1 => Self::Far,
            3 => Self::Constant,
            5 if gaps => Self::Unseen,
            _ => Self::Usual,
        }
    }
}

/// Numbers in -1..1 (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// What random windows are made for.
pub(crate) struct Windowed<'a> {
    pub(crate) standardiser: &'a Standardiser,
    /// Rows that the model reads, L.
    pub(crate) context: usize,
    /// Channels, C.
    pub(crate) channels: usize,
    /// Steps of the forecast.
    pub(crate) horizon: usize,
    /// Whether points may be missing.
    pub(crate) gaps: bool,
}

/// What the numbers of a window lie around.
struct Around {
    shift: SeriesScale,
    /// Whether the window may be standardised by its own points.
    own: bool,
}

impl Windowed<'_> {
    /// The windows, each a series; every second one is of a known series, where there are some.
    pub(crate) fn random(&self, count: usize) -> Result<Vec<Series>> {
        let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
        let names: Vec<&String> = self.standardiser.series.keys().collect();
        // Pairs of windows have a form in turn, so that known and unknown series have all of them.
        let id = |number: usize| match number.is_multiple_of(2) && !names.is_empty() {
            true => names[number / 2 % names.len()].clone(),
            false => String::new(),
        };
        let form = |number: usize| match names.is_empty() {
            true => Form::of(number, self.gaps),
            false => Form::of(number / 2, self.gaps),
        };
        (0..count).map(|number| self.window(id(number), form(number), &mut draws)).collect()
    }

    fn window(&self, id: String, form: Form, draws: &mut Draws) -> Result<Series> {
        let effects = self.standardiser.effects.as_deref();
        let lags = effects.map_or(0, |effects| effects.lags);
        let rows = self.context + lags;
        let saved = self.standardiser.saved(&id);
        let own = self.standardiser.adapts || saved.is_none();
        let shift = saved.unwrap_or_else(|| SeriesScale {
            mean: self.standardiser.mean.clone(),
            scale: self.standardiser.scale.clone(),
        });
        let around = Around { shift, own };
        let mut values = Vec::with_capacity(rows * self.channels);
        for row in 0..rows {
            for channel in 0..self.channels {
                let x = self.point(form, &around, [row, channel], draws);
                let unseen = form == Form::Unseen && channel == 0;
                let missing = self.gaps && draws.next() > 1.0 - 2.0 * MISSING;
                values.push(if unseen || missing { f64::NAN } else { f64::from(x as f32) });
            }
        }
        let mut series = Series::new(id, self.channels, values)?;
        if let Some(effects) = effects {
            series.covariates = Some(covariates(effects, rows + self.horizon, draws));
        }
        Ok(series)
    }

    fn point(
        &self,
        form: Form,
        around: &Around,
        [row, channel]: [usize; 2],
        draws: &mut Draws,
    ) -> f64 {
        let transform = self.standardiser.transform;
        let Around { shift, own } = around;
        let z = ((row + 7 * channel) as f64 * 0.26).sin() + 0.5 * draws.next();
        let (mean, scale) = (shift.mean[channel], shift.scale[channel]);
        // Where windows are standardised by the training, single precision holds nothing beyond its limits.
        let far = match own {
            true => ChannelScale::FAR * BEYOND,
            false => ChannelScale::FAR / BEYOND,
        };
        let above = match transform {
            Transform::None => mean + far * scale,
            Transform::Log1p => (mean + far * scale).min(MOST_LOGARITHM),
        };
        let x = match form {
            Form::Constant => mean + 0.5 * scale,
            Form::Far => above + scale * z,
            Form::Usual | Form::Unseen => mean + scale * z,
        };
        transform.undo(x)
    }
}

/// Covariates of some rows, as far from their mean as the training was.
fn covariates(effects: &CovariateEffects, rows: usize, draws: &mut Draws) -> Covariates {
    let width = effects.names.len();
    let value = |i: usize| effects.mean[i % width] + effects.scale[i % width] * draws.next();
    let known = (0..rows * width).map(value).map(|x| f64::from(x as f32)).collect();
    Covariates::new(width, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(series: &Series, channel: usize) -> Vec<f64> {
        (0..series.num_rows()).filter_map(|row| series.get(row, channel)).collect()
    }

    fn range(values: &[f64]) -> f64 {
        let ends = values.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
        ends.1 - ends.0
    }

    fn random(standardiser: &Standardiser, gaps: bool) -> Vec<Series> {
        let windowed = Windowed { standardiser, context: 32, channels: 2, horizon: 4, gaps };
        windowed.random(8).unwrap_or_else(|error| panic!("{error}"))
    }

    fn standardiser(adapts: bool) -> Standardiser {
        let (mean, scale) = (vec![10.0, -2.0], vec![2.0, 1.0]);
        Standardiser { mean, scale, adapts, ..Standardiser::default() }
    }

    #[test]
    fn windows_have_every_form() {
        let standardiser = standardiser(true);
        let all = random(&standardiser, true);
        assert!(seen(&all[1], 0).iter().all(|&x| x > 1900.0));
        assert_eq!(range(&seen(&all[3], 1)), 0.0);
        assert!(seen(&all[5], 0).is_empty() && !seen(&all[5], 1).is_empty());
        let whole = random(&standardiser, false);
        assert!(whole.iter().all(|series| series.num_rows() == 32 && seen(series, 0).len() == 32));
    }

    #[test]
    fn what_is_standardised_by_its_own_points_lies_beyond_the_limits_and_nothing_else_does() {
        for adapts in [true, false] {
            let standardiser = standardiser(adapts);
            let all = random(&standardiser, true);
            let found = standardiser.channel_scale("", 0, seen(&all[1], 0).into_iter());
            let shared = ChannelScale { mean: 10.0, scale: 2.0 };
            assert_eq!(found != shared, adapts, "a model that adapts: {adapts}");
        }
    }

    #[test]
    fn unknown_series_have_every_form_and_known_ones_those_of_the_training() {
        let mut standardiser = standardiser(false);
        let own = SeriesScale { mean: vec![5.0, 5.0], scale: vec![1.0, 1.0] };
        standardiser.series = [("a".to_owned(), own)].into();
        let windowed = Windowed {
            standardiser: &standardiser,
            context: 32,
            channels: 2,
            horizon: 4,
            gaps: false,
        };
        let all = windowed.random(4).unwrap_or_else(|error| panic!("{error}"));
        let ids: Vec<&str> = all.iter().map(|series| series.id.as_str()).collect();
        assert_eq!(ids, ["a", "", "a", ""]);
        // The second pair is far from its mean.
        assert!(seen(&all[2], 0).iter().all(|&x| x > 10.0 && x < 20.0));
        assert!(seen(&all[3], 0).iter().all(|&x| x > 1900.0));
    }
}
