//! Successive halving: many settings are compared a little, few of them thoroughly.

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::budget::Budget;
use crate::data::LabelledSet;
use crate::job::event::{SearchRound, stopped};
use crate::job::selection::{CaseSearch, Cuts, SearchCell, SearchWatch};
use crate::{Error, Result};

/// Parts of the cross-validation of each round.
const FOLDS: [usize; 3] = [3, 5, 5];

/// Settings that are kept after the first and the second round.
const KEPT: [usize; 2] = [4, 2];

/// Networks whose mean is scored in the last round, as it is what is kept.
pub(super) const NETWORKS: u64 = 3;

/// What a search found.
pub(super) struct Found {
    /// The best setting of the last round, and the others, the better ones first.
    pub(super) chosen: SearchCell,
    pub(super) others: Vec<SearchCell>,
    /// The cuts that they were compared by.
    pub(super) cuts: Cuts,
    /// Settings in all, and how many of them were trained.
    pub(super) settings: usize,
    pub(super) tried: usize,
}

/// A search over the settings of labelled cases.
pub(super) struct Halving<'a> {
    pub(super) search: &'a CaseSearch,
    pub(super) set: &'a LabelledSet,
    pub(super) budget: Budget,
}

impl Halving<'_> {
    /// Runs the three rounds.
    pub(super) fn run(
        &self,
        told: &mut (dyn FnMut(SearchRound) -> ControlFlow<()> + Send),
    ) -> Result<Found> {
        let all = self.search.all_settings()?;
        let first = self.search.first_round(&all);
        let mut cells = self.round(0, first, &[], told)?.0;
        let settings =
            |cells: &[SearchCell]| cells.iter().map(|cell| cell.setting.clone()).collect();
        let mut tried: Vec<Map<String, Value>> = settings(&cells);
        cells.truncate(KEPT[0]);
        let mut second: Vec<Map<String, Value>> = Vec::new();
        for cell in &cells {
            second.extend(CaseSearch::relatives(&all, &cell.setting));
        }
        if second.len() > cells.len() {
            cells = self.round(1, second, &tried, told)?.0;
            let more: Vec<Map<String, Value>> = settings(&cells);
            let new: Vec<_> = more.into_iter().filter(|setting| !tried.contains(setting)).collect();
            tried.extend(new);
        }
        cells.truncate(KEPT[1]);
        let third = cells.into_iter().map(|cell| cell.setting).collect();
        let (mut others, cuts) = self.round(2, third, &tried, told)?;
        let chosen = others.remove(0);
        Ok(Found { chosen, others, cuts, settings: all.len(), tried: tried.len() })
    }

    /// One round, the best setting first and at least one: as many of the settings, in their order, and as many folds
    /// as its part of the budget allows. `tried` are those of earlier rounds.
    fn round(
        &self,
        number: usize,
        mut settings: Vec<Map<String, Value>>,
        tried: &[Map<String, Value>],
        told: &mut (dyn FnMut(SearchRound) -> ControlFlow<()> + Send),
    ) -> Result<(Vec<SearchCell>, Cuts)> {
        let last = number + 1 == FOLDS.len();
        let folds = FOLDS[number].min(self.set.len());
        let cuts = Cuts::draw(self.set, folds, 1)?;
        let cuts = cuts.averaging(if last { NETWORKS } else { 1 });
        let (count, folds) = self.budget.allows(self.search, &settings, &cuts)?;
        settings.truncate(count);
        let cuts = cuts.limited_to(folds);
        let trainings = settings.len() * cuts.held_out().count();
        let (rounds, count) = (FOLDS.len(), settings.len());
        let again = settings.iter().filter(|setting| tried.contains(setting)).count();
        let mut round =
            SearchRound { round: number + 1, rounds, settings: count, again, done: 0, trainings };
        if told(round).is_break() {
            return Err(stopped());
        }
        let mut tick = |done| {
            round.done = done;
            told(round)
        };
        let watch = SearchWatch { tick: &mut tick, kept: None };
        let mut cells = self.search.compare(self.set, &cuts, &settings, watch)?;
        self.search.sort(&mut cells);
        match cells.is_empty() {
            true => Err(Error::config("grid", "has no setting to compare")),
            false => Ok((cells, cuts)),
        }
    }
}
