//! The families of series and the effects on top of them, by name, with their weights.

use std::fmt;

/// Defines an enum whose variants have a name, a weight and a description.
macro_rules! named {
    ($(#[$meta:meta])* $kind:ident { $($(#[doc = $about:literal])* $variant:ident = $name:literal, $weight:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[doc = $about])* $variant,)*
        }

        impl $kind {
            /// All of them, in a fixed order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Name on the command line and in files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it is, in one line.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($about),*).trim_ascii(),)*
                }
            }

            /// Weight or chance in [`Mix::default`].
            pub fn default_weight(self) -> f64 {
                match self {
                    $(Self::$variant => $weight,)*
                }
            }

            /// The one of this name.
            ///
            /// # Errors
            ///
            /// [`MixError`] that lists the known names.
            pub fn from_name(name: &str) -> Result<Self, MixError> {
                let found = Self::ALL.iter().find(|kind| kind.name() == name);
                found.copied().ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
                    MixError(format!("\"{name}\" is not one of {}", known.join(", ")))
                })
            }
        }
    };
}

named! {
    /// How the path of a series comes about; every series has one, drawn by weight.
    Family {
        /// Exponential-smoothing states: level, damped trend that changes, season that moves.
        Smoothing = "smoothing", 0.27;
        /// ARMA by poles inside the unit circle, with seasonal autoregression near 1, around a level or a drifting walk.
        Sarima = "sarima", 0.15;
        /// Walks, or walks of each season, whose steps are a fractionally integrated ARMA.
        Integrated = "integrated", 0.26;
        /// Pure random walks, sometimes with a small drift or changing volatility.
        Walk = "walk", 0.06;
        /// Trends in pieces with a fixed season and autoregressive noise.
        Trend = "trend", 0.10;
        /// Saturating, damped or exponential growth with noise and season that follow the level.
        Growth = "growth", 0.04;
        /// A fast season and a slow one, added or one swinging with the other.
        TwoSeasons = "two-seasons", 0.08;
        /// Counts and intermittent demand: a moving rate, drawn as whole numbers, often zero.
        Counts = "counts", 0.04;
    }
}

named! {
    /// What happens to a path; each with a chance of its own.
    Effect {
        /// Noise from Student's t with four degrees of freedom.
        HeavyTails = "heavy-tails", 0.40;
        /// Variance of the noise that swings with the season.
        SeasonalVariance = "seasonal-variance", 0.15;
        /// A further season on top.
        SecondSeason = "second-season", 0.10;
        /// Months of unequal length and numbers of working days; holidays of daily series.
        Calendar = "calendar", 0.12;
        /// The path is the logarithm of the series, so that growth and swings multiply.
        Exponentiated = "exponentiated", 0.60;
        /// Noise that grows with the level: counted or multiplied.
        LevelNoise = "level-noise", 0.08;
        /// Values are cut off at a floor.
        Floor = "floor", 0.03;
        /// Single values far off.
        Outliers = "outliers", 0.10;
        /// The level jumps once.
        LevelShift = "level-shift", 0.14;
    }
}

/// A name or a weight that makes no mix; says what was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixError(String);

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MixError {}

/// How often each family is drawn, and the chance of each effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    families: Vec<f64>,
    effects: Vec<f64>,
}

impl Default for Mix {
    /// All families and effects with their default weights.
    fn default() -> Self {
        Self {
            families: Family::ALL.iter().map(|family| family.default_weight()).collect(),
            effects: Effect::ALL.iter().map(|effect| effect.default_weight()).collect(),
        }
    }
}

impl Mix {
    /// Weight of a family; only their proportions count.
    pub fn weight(&self, family: Family) -> f64 {
        self.families[family as usize]
    }

    /// Chance of an effect, 0 to 1.
    pub fn chance(&self, effect: Effect) -> f64 {
        self.effects[effect as usize]
    }

    /// Weights of all families, in the order of [`Family::ALL`].
    pub(crate) fn weights(&self) -> &[f64] {
        &self.families
    }

    /// Keeps these families alone, with these weights (`None` = the one that they have).
    ///
    /// # Errors
    ///
    /// [`MixError`] for a weight that is not above 0 and finite, or no family at all.
    pub fn only(mut self, families: &[(Family, Option<f64>)]) -> Result<Self, MixError> {
        let mut kept = vec![0.0; self.families.len()];
        for &(family, weight) in families {
            let weight = weight.unwrap_or(self.weight(family));
            if !(weight.is_finite() && weight > 0.0) {
                let name = family.name();
                return Err(MixError(format!("the weight {weight} of {name} must be above 0")));
            }
            kept[family as usize] = weight;
        }
        self.families = kept;
        self.checked()
    }

    /// Sets the chance of an effect.
    ///
    /// # Errors
    ///
    /// [`MixError`] if it is not 0 to 1.
    pub fn with_chance(mut self, effect: Effect, chance: f64) -> Result<Self, MixError> {
        if !(0.0..=1.0).contains(&chance) {
            let name = effect.name();
            return Err(MixError(format!("the chance {chance} of {name} must be 0 to 1")));
        }
        self.effects[effect as usize] = chance;
        Ok(self)
    }

    /// Leaves out the family or effect of this name.
    ///
    /// # Errors
    ///
    /// [`MixError`] for an unknown name, or if no family is left.
    pub fn without(mut self, name: &str) -> Result<Self, MixError> {
        match (Family::from_name(name), Effect::from_name(name)) {
            (Ok(family), _) => self.families[family as usize] = 0.0,
            (_, Ok(effect)) => self.effects[effect as usize] = 0.0,
            (Err(MixError(families)), Err(MixError(effects))) => {
                let rest = effects.split_once(" is not one of ").map_or("", |(_, rest)| rest);
                return Err(MixError(format!("{families}, {rest}")));
            }
        }
        self.checked()
    }

    fn checked(self) -> Result<Self, MixError> {
        match self.families.iter().any(|&weight| weight > 0.0) {
            true => Ok(self),
            false => Err(MixError("no family of series is left".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_effects_are_switched_by_name() {
        let all = Mix::default();
        assert!(Family::ALL.iter().all(|&family| all.weight(family) > 0.0));
        let sum: f64 = Family::ALL.iter().map(|family| family.default_weight()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        let walks = all.clone().only(&[(Family::Walk, None), (Family::Trend, Some(3.0))]).unwrap();
        assert_eq!((walks.weight(Family::Walk), walks.weight(Family::Trend)), (0.06, 3.0));
        assert_eq!(walks.weight(Family::Smoothing), 0.0);
        let rest = all.clone().without("walk").unwrap().without("outliers").unwrap();
        assert_eq!((rest.weight(Family::Walk), rest.chance(Effect::Outliers)), (0.0, 0.0));
        assert_eq!(rest.weight(Family::Trend), all.weight(Family::Trend));
    }

    #[test]
    fn wrong_names_and_weights_are_refused() {
        let text = |error: Result<Mix, MixError>| error.unwrap_err().to_string();
        let all = Mix::default;
        let unknown = text(all().without("walks"));
        assert!(unknown.contains("\"walks\" is not one of smoothing"), "{unknown}");
        assert!(unknown.contains("heavy-tails"), "{unknown}");
        assert!(text(all().only(&[])).contains("no family"));
        assert!(text(all().only(&[(Family::Walk, Some(0.0))])).contains("above 0"));
        assert!(text(all().with_chance(Effect::Floor, 1.5)).contains("0 to 1"));
        let last = all().only(&[(Family::Walk, None)]).unwrap();
        assert!(text(last.without("walk")).contains("no family"));
        for &family in Family::ALL {
            assert_eq!(Family::from_name(family.name()), Ok(family));
            assert!(!family.about().is_empty());
        }
    }
}
