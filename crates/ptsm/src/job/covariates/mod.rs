//! Known covariates: whether their effects help, and which ones.
//!
//! The effects are linear ([`CovariateEffects`]) and fitted in closed form to changes of the series (`fit.rs`). Several
//! fits are tried; simple forecasters judge each on the validation windows, beside none at all (`judge.rs`), and the
//! best is taken off the series before anything is trained on them. Only then do covariates have to be known ahead.

mod fit;
mod judge;

use std::sync::Arc;

use rayon::prelude::*;

use crate::covariates::{CovariateChoice, WithoutOne};
use crate::data::{CovariateEffects, Standardiser};
use crate::job::data::SeriesData;
use crate::{Error, Result};
use fit::{Changes, Changing, Fit, Material, Rows};
use judge::Judge;
use ptsm_core::option;

/// Earlier rows whose covariates may act too, that are tried.
const LAGS: [usize; 3] = [0, 1, 2];

/// Error with the effects, as a multiple of that without them, above which they are left out.
const HELPS: f64 = 0.99;

/// The same for each covariate beside the others.
const EACH_HELPS: f64 = 0.998;

/// One column, or one feature of the calendar with all its numbers.
struct Group {
    name: String,
    width: usize,
}

/// How effects are fitted.
struct Kind {
    changes: Changes,
    lags: usize,
}

/// What was found of the covariates.
struct Found {
    choice: CovariateChoice,
    /// Which columns and features of the calendar are used.
    kept: Vec<bool>,
    kind: Kind,
    /// Shift and scale that effects are fitted in.
    standardiser: Standardiser,
}

/// Covariates that do not help beside the others are left out, one after the other.
struct Elimination<'a> {
    judge: &'a Judge<'a>,
    material: &'a Material<'a>,
    groups: &'a [Group],
    /// With all covariates.
    fit: Fit<'a>,
}

/// What is left.
struct Kept {
    /// Which groups.
    kept: Vec<bool>,
    /// Error with them.
    error: f64,
    /// Without each of them that can be judged, where there are several.
    without_each: Vec<WithoutOne>,
}

impl Elimination<'_> {
    /// `error` is that with all covariates.
    fn run(&self, changing: &[Changing], mut error: f64) -> Result<Kept> {
        let mut kept: Vec<bool> = changing.iter().map(|one| *one != Changing::Never).collect();
        loop {
            let several = kept.iter().filter(|kept| **kept).count() > 1;
            let judged = |&number: &usize| {
                several && kept[number] && changing[number] == Changing::InTraining
            };
            let numbers = (0..self.groups.len()).filter(judged);
            let errors = numbers.map(|number| Ok((number, self.error_without(&kept, number)?)));
            let errors: Vec<(usize, f64)> = errors.collect::<Result<_>>()?;
            let least = errors.iter().min_by(|a, b| a.1.total_cmp(&b.1));
            match least {
                Some(&(number, without)) if error > EACH_HELPS * without => {
                    (kept[number], error) = (false, without);
                }
                _ => {
                    let one = |(number, error): (usize, f64)| WithoutOne {
                        name: self.groups[number].name.clone(),
                        error,
                    };
                    let without_each = errors.into_iter().map(one).collect();
                    return Ok(Kept { kept, error, without_each });
                }
            }
        }
    }

    /// The error without one more group than those that are not kept.
    fn error_without(&self, kept: &[bool], one: usize) -> Result<f64> {
        let mut kept = kept.to_vec();
        kept[one] = false;
        let active = active(self.groups, &kept);
        let fit = Fit { active: &active, ..self.fit };
        let effects = self.material.fit(&fit, Rows::Training);
        self.judge.error(effects.map(Arc::new).as_ref())
    }
}

/// Where the covariates of each group change.
fn changing(material: &Material<'_>, groups: &[Group]) -> Vec<Changing> {
    let mut first = 0;
    let one = |group: &Group| {
        let covariates = first..first + group.width;
        first = covariates.end;
        material.change(covariates)
    };
    groups.iter().map(one).collect()
}

/// Which covariates are of the groups that are kept.
fn active(groups: &[Group], kept: &[bool]) -> Vec<bool> {
    let each = groups.iter().zip(kept);
    each.flat_map(|(group, &kept)| vec![kept; group.width]).collect()
}

impl SeriesData {
    /// Decides by the validation part which covariates of the series help to forecast `prediction_length` steps, and
    /// forgets the others. The effects that are kept are then fitted again with the validation part. `None` where
    /// there are no covariates.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if there is no validation part to judge them by; `InvalidInput` if the series are too short, or the
    /// effects of what is used cannot be fitted.
    pub fn settle_covariates(
        &mut self,
        prediction_length: usize,
    ) -> Result<Option<CovariateChoice>> {
        if self.set.covariates.is_empty() {
            return Ok(None);
        }
        let Found { choice, kept, kind, standardiser } = self.find_effects(prediction_length)?;
        self.set.keep_covariates(&kept);
        if choice.used {
            let every = vec![true; self.set.covariates.len()];
            let fit = Fit { active: &every, changes: kind.changes, lags: kind.lags };
            let effects = Material::new(self, &standardiser)?.fit(&fit, Rows::WithValidation);
            let Some(effects) = effects else {
                let text = "change in none of the rows that effects are fitted to (leave them out)";
                return Err(Error::input(text).at(choice.kept.join(", ")));
            };
            self.effects = Some(Arc::new(effects));
        }
        self.covariates = Some(choice.clone());
        Ok(Some(choice))
    }

    /// The best effects, of the covariates that help beside the others, and what they are worth.
    fn find_effects(&self, prediction_length: usize) -> Result<Found> {
        let judge = Judge::new(self, prediction_length)?;
        let material = Material::new(self, judge.standardiser())?;
        let groups = self.covariate_groups();
        let changing = changing(&material, &groups);
        let every = vec![true; self.set.covariates.len()];
        let (fit, error) = self.best_fit(&judge, &material, &every)?;
        let mut kind = Kind { changes: fit.changes, lags: fit.lags };
        let elimination = Elimination { judge: &judge, material: &material, groups: &groups, fit };
        let Kept { mut kept, mut error, mut without_each } = elimination.run(&changing, error)?;
        let error_without = judge.error(None)?;
        if error >= HELPS * error_without {
            // What nothing judged is used as it was asked for. Changes over a season show a new level in every row; the
            // fit that was judged is of what is left out.
            kept = changing.iter().map(|one| *one == Changing::InValidation).collect();
            let season = (self.seasonal_period > 1).then_some(self.seasonal_period);
            kind = Kind { changes: season.map_or(Changes::Levels, Changes::Over), lags: 0 };
            (error, without_each) = (error_without, Vec::new());
        }
        let names = |wanted: &dyn Fn(usize) -> bool| {
            let numbers = (0..groups.len()).filter(|&number| wanted(number));
            numbers.map(|number| groups[number].name.clone()).collect::<Vec<_>>()
        };
        let choice = CovariateChoice {
            error_without,
            error_with: error,
            used: kept.contains(&true),
            kept: names(&|number| kept[number]),
            left_out: names(&|number| !kept[number]),
            not_judged: names(&|number| changing[number] == Changing::InValidation),
            fitted_to: kind.changes.to_string(),
            lags: kind.lags,
            windows: judge.windows(),
            without_each,
        };
        Ok(Found { choice, kept, kind, standardiser: judge.standardiser().clone() })
    }

    /// The fit with which the series are forecast best.
    fn best_fit<'a>(
        &self,
        judge: &Judge<'_>,
        material: &Material<'_>,
        active: &'a [bool],
    ) -> Result<(Fit<'a>, f64)> {
        let mut kinds = vec![Changes::Levels, Changes::Over(1)];
        if self.seasonal_period > 1 {
            kinds.push(Changes::Over(self.seasonal_period));
        }
        let fits = kinds.into_iter().flat_map(|changes| LAGS.map(|lags| (changes, lags)));
        let fits: Vec<Fit<'_>> =
            fits.map(|(changes, lags)| Fit { changes, lags, active }).collect();
        let fitted: Vec<Option<CovariateEffects>> =
            fits.par_iter().map(|fit| material.fit(fit, Rows::Training)).collect();
        let mut best: Option<(Fit<'_>, f64)> = None;
        for (fit, effects) in fits.into_iter().zip(fitted) {
            let Some(effects) = effects.map(Arc::new) else { continue };
            let error = judge.error(Some(&effects))?;
            if best.as_ref().is_none_or(|(_, least)| error < *least) {
                best = Some((fit, error));
            }
        }
        // Nothing can be learnt of covariates that do not change in the training rows.
        let levels = Fit { changes: Changes::Levels, lags: 0, active };
        match best {
            Some(best) => Ok(best),
            None => Ok((levels, judge.error(None)?)),
        }
    }

    /// Columns and features of the calendar, in the order of the covariates.
    fn covariate_groups(&self) -> Vec<Group> {
        let columns = self.set.roles.future_covariates.iter().map(|name| (name.clone(), 1));
        let calendar =
            self.set.roles.calendar.iter().map(|feature| (feature.to_string(), feature.width()));
        columns.chain(calendar).map(|(name, width)| Group { name, width }).collect()
    }

    /// Refuses covariates that nobody decided on: what is trained would ignore them.
    pub(crate) fn require_settled(&self) -> Result<()> {
        if self.set.covariates.is_empty() || self.effects.is_some() {
            return Ok(());
        }
        let calendar = self.set.roles.future_covariates.is_empty();
        let field = if calendar { "calendar" } else { "future_covariates" };
        let text = format!(
            "is for ptsm train with {}, which decides whether covariates help; this would ignore them (leave it out)",
            option("task", Some("forecasting"))
        );
        Err(Error::config(field, text))
    }

    /// A standardiser that takes the effects of covariates off too.
    pub(crate) fn with_effects(&self, standardiser: &Standardiser) -> Standardiser {
        Standardiser { effects: self.effects.clone(), ..standardiser.clone() }
    }
}

#[cfg(test)]
mod tests;
