//! Schedules of the learning rate.

use serde::{Deserialize, Serialize};

/// Course of the learning rate between the first and the last step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The peak in every step.
    Constant,
    /// From the peak down to 0 along half a cosine.
    Cosine,
    /// Up from 1/25 of the peak for the first 30 % of the steps, then down to 1/250,000 of it, both
    /// along half a cosine: PyTorch's `OneCycleLR` with its defaults (moments stay as they are).
    #[default]
    OneCycle,
}

/// Share of a one-cycle run in which the rate rises.
const RISE: f64 = 0.3;
/// Peak over first rate of a one-cycle run.
const FIRST_DIVISOR: f64 = 25.0;
/// First over last rate of a one-cycle run.
const LAST_DIVISOR: f64 = 1e4;

impl Schedule {
    /// Learning rate of step `step` (from 0) of `total`, for a peak of 1.
    ///
    /// In the first `warmup` steps the rate rises linearly to the schedule's own value.
    pub fn factor(self, step: u64, total: u64, warmup: u64) -> f64 {
        let last = total.saturating_sub(1).max(1) as f64;
        let at = step as f64;
        let value = match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => cosine(1.0, 0.0, at / last),
            Schedule::OneCycle => {
                let first = 1.0 / FIRST_DIVISOR;
                let peak = RISE * total as f64 - 1.0;
                if at <= peak {
                    cosine(first, 1.0, at / peak)
                } else {
                    cosine(1.0, first / LAST_DIVISOR, (at - peak) / (last - peak))
                }
            }
        };
        if step < warmup { value * (at + 1.0) / (warmup as f64 + 1.0) } else { value }
    }
}

/// Half a cosine from `from` (at 0) to `to` (at 1).
fn cosine(from: f64, to: f64, share: f64) -> f64 {
    let share = share.clamp(0.0, 1.0);
    to + (from - to) / 2.0 * (1.0 + libm::cos(std::f64::consts::PI * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_starts_peaks_and_ends_where_pytorch_does() {
        let at = |step| Schedule::OneCycle.factor(step, 100, 0);
        assert!((at(0) - 0.04).abs() < 1e-12);
        assert!((at(29) - 1.0).abs() < 1e-12);
        assert!((at(99) - 4e-6).abs() < 1e-12);
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=100), steps 10 and 60.
        assert!((at(10) - 0.295_163_948_464_100_8).abs() < 1e-12, "{}", at(10));
        assert!((at(60) - 0.589_280_090_285_528_7).abs() < 1e-12, "{}", at(60));
    }

    #[test]
    fn cosine_falls_to_zero_and_warm_up_rises_to_the_schedule() {
        assert_eq!(Schedule::Cosine.factor(0, 11, 0), 1.0);
        assert!((Schedule::Cosine.factor(5, 11, 0) - 0.5).abs() < 1e-12);
        assert!(Schedule::Cosine.factor(10, 11, 0).abs() < 1e-12);
        assert_eq!(Schedule::Constant.factor(0, 10, 4), 0.2);
        assert_eq!(Schedule::Constant.factor(4, 10, 4), 1.0);
    }

    #[test]
    fn runs_of_one_or_two_steps_have_finite_rates() {
        for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::OneCycle] {
            for (step, total) in [(0, 1), (0, 2), (1, 2), (2, 3)] {
                let factor = schedule.factor(step, total, 0);
                assert!((0.0..=1.0).contains(&factor), "{schedule:?} {step}/{total}: {factor}");
            }
        }
    }
}
