//! How much work a search may be.

use serde_json::{Map, Value};

use crate::job::JobData;
use crate::job::reckoned::{budget, core_seconds};
use crate::job::selection::{CaseSearch, Cuts};
use crate::{Error, Result};

/// Rounds, each of which gets an equal part.
const ROUNDS: f64 = 3.0;

/// The work of a search.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// Seconds of one round on one core.
    round: f64,
    /// All cases.
    data: JobData,
    cases: usize,
}

impl Budget {
    /// So many seconds on two cores, for a search on these cases.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is not above 0.
    pub(super) fn new(seconds: f64, data: &JobData) -> Result<Self> {
        let JobData::Cases(cases) = data else {
            return Err(Error::config("task", "wanted labelled cases"));
        };
        let (data, cases) = (data.clone(), cases.train.len());
        Ok(Self { round: budget(seconds)? / ROUNDS, data, cases })
    }

    /// How many of these settings, in their order, and how many of the folds of `cuts` a round may try: at first all
    /// settings on fewer folds, then fewer settings on one; always one of each.
    pub(super) fn allows(
        &self,
        search: &CaseSearch,
        settings: &[Map<String, Value>],
        cuts: &Cuts,
    ) -> Result<(usize, usize)> {
        let folds = cuts.held_out().count();
        let networks = (cuts.fits() / folds.max(1)) as f64;
        let each: Vec<f64> = settings
            .iter()
            .map(|setting| Ok(networks * self.seconds(search, setting)?))
            .collect::<Result<_>>()?;
        let all: f64 = each.iter().sum();
        let affordable = (self.round / all.max(f64::MIN_POSITIVE)) as usize;
        if affordable >= 1 {
            return Ok((settings.len(), affordable.min(folds)));
        }
        let mut left = self.round;
        let fits = |seconds: &&f64| {
            left -= **seconds;
            left >= 0.0
        };
        let count = each.iter().take_while(fits).count().max(1);
        Ok((count, 1))
    }

    /// Seconds of one training on one core.
    fn seconds(&self, search: &CaseSearch, setting: &Map<String, Value>) -> Result<f64> {
        let recipe = search.recipe(setting)?;
        let training = recipe.training.clone();
        let network = search.job(&self.data, recipe).config()?.network()?;
        let steps = f64::from(training.epochs) * training.steps_per_epoch(self.cases) as f64;
        Ok(core_seconds(network.multiply_adds(), training.batch_size, steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::data::{LabelledSet, Labels, Series};
    use crate::job::CaseData;

    #[test]
    fn folds_are_left_out_before_settings() {
        let case = |i: usize| Series::new(i.to_string(), 1, vec![i as f64; 30]).unwrap();
        let labels = Labels::classes((0..50).map(|i| (i % 2).to_string()).collect());
        let set = LabelledSet::new(vec!["x".into()], (0..50).map(case).collect(), labels).unwrap();
        let search = CaseSearch::built_in(Task::Classification, &set);
        let settings = search.all_settings().unwrap();
        let cuts = Cuts::draw(&set, 5, 1).unwrap();
        let data = CaseData { name: String::new(), train: set, validation: None }.into();
        let allowed = |seconds: f64| {
            Budget::new(seconds, &data).unwrap().allows(&search, &settings, &cuts).unwrap()
        };
        assert_eq!(allowed(1e7), (settings.len(), 5));
        assert_eq!(allowed(1e-6), (1, 1));
        let (mut before, mut seen) = ((1, 1), Vec::new());
        for seconds in [0.6, 6.0, 30.0, 60.0, 120.0, 300.0, 600.0] {
            let now = allowed(seconds);
            assert!(now >= before && (now.1 == 1 || now.0 == settings.len()), "{now:?}");
            (before, seen) = (now, [seen, vec![now]].concat());
        }
        assert!(seen.iter().any(|&(count, _)| count > 1 && count < settings.len()), "{seen:?}");
        assert!(Budget::new(0.0, &data).is_err() && Budget::new(f64::NAN, &data).is_err());
    }
}
