//! A level that follows the share of flagged rows.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Adaptive conformal inference: the level goes up by `rate * level` with each point that is not flagged, and down by
/// `rate * (1 - level)` with each that is, so that in the long run the wanted share of points is flagged, whatever the
/// series does. Gibbs, Candes: Adaptive conformal inference under distribution shift, 2021, equation 2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveLevel {
    /// Share of points that is to be flagged, in (0, 1).
    pub wanted: f64,
    /// Size of a step, gamma, at least 0; 0 = the level stays.
    pub rate: f64,
    /// The level now: a point with a p-value of at most this is flagged.
    pub now: f64,
}

impl AdaptiveLevel {
    /// One that begins at the wanted share.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a share outside (0, 1), or a rate that is negative or above 1.
    pub fn new(wanted: f64, rate: f64) -> Result<Self> {
        if !(wanted > 0.0 && wanted < 1.0) {
            return Err(Error::config("alpha", format!("{wanted} must be above 0 and below 1")));
        }
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::config("adapt", format!("{rate} must be from 0 to 1")));
        }
        Ok(Self { wanted, rate, now: wanted })
    }

    /// Takes in the p-value of a point; says whether it is flagged.
    pub fn flag(&mut self, p_value: f64) -> bool {
        let flagged = p_value <= self.now;
        self.now += self.rate * (self.wanted - f64::from(u8::from(flagged)));
        flagged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_flagged_points_is_the_wanted_one_whatever_comes() {
        // Twice as large in the second half: without adapting, more is flagged.
        let p = |t: u32| {
            let u = (f64::from(t) * 0.618_033_988_75).fract();
            if t < 5000 { u } else { u * u }
        };
        let share = |rate: f64| {
            let mut level = AdaptiveLevel::new(0.1, rate).unwrap();
            let flagged = (0..10_000).filter(|&t| level.flag(p(t)) && t >= 5000).count();
            flagged as f64 / 5000.0
        };
        assert!((share(0.0) - 0.1f64.sqrt()).abs() < 0.01, "{}", share(0.0));
        // The bound of the paper: (max(alpha, 1 - alpha) + gamma) / (T gamma).
        assert!((share(0.01) - 0.1).abs() < 0.91 / 50.0, "{}", share(0.01));
    }

    #[test]
    fn a_step_is_that_of_the_paper() {
        let mut level = AdaptiveLevel::new(0.1, 0.05).unwrap();
        assert!(!level.flag(0.5));
        assert_eq!(level.now, 0.1 + 0.05 * 0.1);
        assert!(level.flag(0.05));
        assert_eq!(level.now, 0.1 + 0.05 * 0.1 + 0.05 * (0.1 - 1.0));
        for (wanted, rate) in [(0.0, 0.1), (1.0, 0.1), (0.1, -0.1), (0.1, f64::NAN), (0.1, 2.0)] {
            assert!(AdaptiveLevel::new(wanted, rate).is_err(), "{wanted} {rate}");
        }
    }
}
