//! Trainings of the default forecaster within a budget.

use crate::Result;
use crate::job::reckoned::{budget, core_seconds};
use crate::train::Recipe;

/// A training of the default forecaster, and what it is reckoned to take.
pub(super) struct Reckoned<'a> {
    pub(super) recipe: &'a mut Recipe,
    /// Multiply-adds of its network for one window.
    pub(super) multiply_adds: u64,
    /// Training windows of an epoch.
    pub(super) windows: usize,
    /// How often it is trained: again with the validation part, if it may be chosen for its logarithms.
    pub(super) times: f64,
}

impl Reckoned<'_> {
    fn steps(&self) -> usize {
        self.recipe.training.steps_per_epoch(self.windows)
    }

    fn core_seconds(&self) -> f64 {
        let training = &self.recipe.training;
        let steps = f64::from(training.epochs) * self.steps() as f64;
        self.times * core_seconds(self.multiply_adds, training.batch_size, steps)
    }

    /// Leaves out steps: fewer passes, and of each as many steps as together are the share. Trainings that count their steps
    /// keep their number of parts.
    fn shorten(&mut self, share: f64) {
        let steps = self.steps();
        let training = &mut self.recipe.training;
        let epochs = f64::from(training.epochs) * share;
        let wanted = ((epochs * steps as f64) as u64).max(1);
        let parts = match training.epoch_steps {
            Some(_) => u64::from(training.epochs).min(wanted),
            None => (epochs.ceil() as u64).max(1),
        };
        training.epochs = parts as u32;
        training.epoch_steps = Some((wanted / parts).max(1) as u32);
    }
}

/// Shortens all trainings alike where they are reckoned to take more than `seconds` together, but to one step at least;
/// gives the share of the work that is left.
///
/// # Errors
///
/// `InvalidConfig` if the budget is not above 0.
pub(super) fn shorten(seconds: f64, trainings: &mut [Reckoned<'_>]) -> Result<f64> {
    let (most, all) = (budget(seconds)?, trainings.iter().map(Reckoned::core_seconds).sum::<f64>());
    if all <= most {
        return Ok(1.0);
    }
    trainings.iter_mut().for_each(|training| training.shorten(most / all));
    Ok(trainings.iter().map(Reckoned::core_seconds).sum::<f64>() / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Training;

    #[test]
    fn trainings_are_shortened_alike_to_the_budget_and_not_below_a_step() {
        let recipes = || {
            let passes = Training { epochs: 8, batch_size: 32, ..Training::default() };
            let steps = Training { epochs: 10, epoch_steps: Some(100), ..Training::default() };
            [passes, steps].map(|training| Recipe { training, ..Recipe::default() })
        };
        let shortened = |seconds: f64| {
            let mut recipes = recipes();
            let [first, second] = &mut recipes;
            let mut trainings = [(first, 1.0), (second, 2.0)].map(|(recipe, times)| Reckoned {
                recipe,
                multiply_adds: 2_000_000,
                windows: 3200,
                times,
            });
            let share = shorten(seconds, &mut trainings).unwrap();
            let all: f64 = trainings.iter().map(Reckoned::core_seconds).sum();
            let training = |recipe: &Recipe| (recipe.training.epochs, recipe.training.epoch_steps);
            (share, all, recipes.each_ref().map(training))
        };
        let (share, all, whole) = shortened(1e6);
        assert_eq!((share, whole), (1.0, [(8, None), (10, Some(100))]));
        for part in [0.9, 0.5, 0.24, 0.2, 0.05, 0.02] {
            let (share, found, _) = shortened(part * all / 2.0);
            assert!((share - found / all).abs() < 1e-12, "{part}: {share}");
            assert!((0.9 * part..=part + 1e-12).contains(&share), "{part}: {share}");
        }
        assert_eq!(shortened(all / 4.0).2, [(4, Some(100)), (10, Some(50))]);
        assert_eq!(shortened(all / 40.0).2, [(1, Some(40)), (10, Some(5))]);
        assert_eq!(shortened(1e-9).2, [(1, Some(1)), (1, Some(1))]);
        assert!(shorten(0.0, &mut []).is_err() && shorten(f64::NAN, &mut []).is_err());
    }
}
