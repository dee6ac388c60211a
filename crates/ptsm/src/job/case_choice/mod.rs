//! The default for labelled cases: settings are searched by cross-validation, and the mean of a few networks with the
//! best of them, trained on all cases, is what the model directory holds.
//!
//! | file | holds |
//! |---|---|
//! | `space.rs` | the settings that are searched |
//! | `halving.rs` | rounds of fewer and fewer settings that are compared more and more thoroughly |
//! | `budget.rs` | how much work that may be |
//! | `told.rs` | what was chosen, as files and users see it |

mod budget;
mod halving;
mod space;
mod told;

use super::data::JobData;
use super::event::{JobEvent, Observer, tell};
use super::plan::{Save, SaveMode};
use super::run::Trained;
use super::selection::CaseSearch;
use crate::data::LabelledSet;
use crate::ensemble::{new_names, write_labelling};
use crate::evaluate::SimpleLabels;
use crate::model_dir::write_json;
use crate::model_writer::ModelWriter;
use crate::{Error, Result};
use budget::Budget;
use halving::{Found, Halving, NETWORKS};
use ptsm_core::list_all;

pub use told::CaseChoice;

/// Version of the rule. A change of its settings, rounds or numbers makes a new one.
pub const CASE_RULE: u32 = 1;

/// Fewest cases that settings can be chosen by.
const FEWEST: usize = 4;

/// Training of the default classifier or regression.
#[derive(Clone)]
pub struct CaseChoiceJob<'a> {
    /// The labelled cases, none of them held out: the search does that itself.
    pub data: &'a JobData,
    /// Settings and what is searched, such as [`CaseSearch::built_in`].
    pub search: CaseSearch,
    /// Work of the search: as many seconds as it would take two cores of a small server. Counted, not timed, so that the
    /// result does not depend on the machine.
    pub budget: f64,
    /// Where the chosen networks are saved; `None` writes nothing.
    pub save: Option<Save>,
}

/// What was chosen, and the networks that were trained with it on all cases.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CaseChosen {
    /// What was chosen.
    pub choice: CaseChoice,
    /// The networks, whose labels are averaged; at least one.
    pub networks: Vec<Trained>,
}

/// [`CaseChoiceJob::budget`] of those who do not ask for another one, in seconds.
pub const CASE_BUDGET: f64 = 120.0;

impl CaseChoiceJob<'_> {
    /// Searches, trains what was chosen on all cases, and saves it.
    ///
    /// The bits of the result depend on the job and the instruction set alone, not on the number of threads. A search that
    /// was stopped begins anew.
    ///
    /// # Errors
    ///
    /// As [`Job::run`](super::Job::run); `InvalidConfig` for series, or cases some of which are held out; `InvalidInput`
    /// for fewer than four cases, which nothing can be chosen by; `Interrupted` if the observer stops it.
    pub fn run(&self, observer: &mut (dyn Observer + Send)) -> Result<CaseChosen> {
        let set = self.cases()?;
        self.check_folder()?;
        let writer = self.save.as_ref().map(Save::hold).transpose()?;
        let budget = Budget::new(self.budget, self.data)?;
        let halving = Halving { search: &self.search, set, budget };
        let found = halving.run(&mut |round| observer.observe(&JobEvent::Searching(round)))?;
        let simple = SimpleLabels::cross_validated(set, found.cuts.held_out())?;
        let choice = self.choice(set.len(), found, simple);
        let part = format!("{NETWORKS} networks, on all cases");
        tell(observer, &JobEvent::Part(&part))?;
        let networks = self.search.train_average(self.data, &choice.chosen.setting, NETWORKS)?;
        if let Some(writer) = &writer {
            write(writer, &choice, &networks)?;
        }
        Ok(CaseChosen { choice, networks })
    }

    /// The labelled cases, if something can be chosen by them.
    fn cases(&self) -> Result<&LabelledSet> {
        let JobData::Cases(data) = self.data else {
            return Err(Error::config("task", "wanted labelled cases"));
        };
        if data.validation.is_some() {
            let text = "the search holds cases out itself, wanted 0";
            return Err(Error::config("hold_out", text));
        }
        let cases = data.train.len();
        if cases < FEWEST {
            let text = format!(
                "{cases} labelled cases are too few to choose settings by, wanted at least {FEWEST} (more cases, or \
                 an option of the network, which is then trained as it is told)"
            );
            return Err(Error::input(text));
        }
        Ok(&data.train)
    }

    /// Refuses a folder that holds a finished model where a run is to be resumed.
    fn check_folder(&self) -> Result<()> {
        match &self.save {
            Some(save) if save.mode == SaveMode::Resume && save.dir.is_taken() => {
                let text = "holds a finished model: there is nothing to resume (replace it, or use another folder)";
                Err(Error::config(save.dir.path().display().to_string(), text))
            }
            _ => Ok(()),
        }
    }

    fn choice(&self, cases: usize, found: Found, simple: SimpleLabels) -> CaseChoice {
        CaseChoice {
            rule: CASE_RULE,
            task: self.search.task,
            cases,
            settings: found.settings,
            tried: found.tried,
            held_out: found.cuts.held_out().map(<[usize]>::len).sum(),
            networks: NETWORKS as usize,
            chosen: found.chosen,
            others: found.others,
            constant: simple.constant,
            nearest: simple.nearest,
        }
    }
}

/// Writes the networks as members of an ensemble, and what was chosen.
fn write(writer: &ModelWriter, choice: &CaseChoice, networks: &[Trained]) -> Result<()> {
    let names = new_names(writer.dir(), networks.len());
    writer.replace(|staged| {
        for (network, name) in networks.iter().zip(&names) {
            let member = staged.member(name);
            network.model.save(member.path())?;
            write_json(&member.training(), &network.record)?;
            list_all(member.path())?;
        }
        if let Some(first) = networks.first() {
            write_labelling(staged, &names, &first.preprocessor)?;
        }
        write_json(&staged.choice(), choice)?;
        Ok(names.clone())
    })
}
