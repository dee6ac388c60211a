//! `ptsm train --task classification|regression` without options of the network: settings are searched.

use std::path::Path;

use ptsm::data::{LabelledSet, Series};
use ptsm::job::{CASE_BUDGET, CaseChoice, CaseChoiceJob, CaseData, CaseSearch, Save};
use ptsm::spec::{DataSpec, ModelSpec};
use ptsm::{Result, Task};
use serde_json::json;

use super::fields::{ModelArgs, TrainingArgs};
use super::reporter::Reporter;
use crate::global::Global;
use crate::kept_run::keep_asked;
use crate::output::{answer, remark};
use crate::source::check_named;

/// What was asked of a search.
pub(super) struct Search<'a> {
    pub(super) data: DataSpec,
    pub(super) task: Task,
    /// Fields that are given, and not searched.
    pub(super) model: &'a ModelArgs,
    pub(super) training: &'a TrainingArgs,
    /// Seconds; `None` = the default.
    pub(super) budget: Option<f64>,
    pub(super) save: Save,
}

impl Search<'_> {
    /// Searches, trains what was chosen, and says how good it is.
    pub(super) fn run(self, global: &Global) -> Result<()> {
        check_named(&self.data)?;
        CaseData::refuse_series_options(&self.data)?;
        let (name, train) = self.data.read_cases(self.task)?;
        let began = std::time::Instant::now();
        let given = self.model.over(ModelSpec::default())?;
        let mut search =
            CaseSearch::built_in(self.task, &train).settled(&given, &self.training.searched());
        self.training.apply(&mut search.training);
        remark(global, &format!("{name}: {}", described(&train)));
        let budget = self.budget.unwrap_or(CASE_BUDGET);
        let out = self.save.dir.path().to_path_buf();
        let data = CaseData { name, train, validation: None }.into();
        let job = CaseChoiceJob { data: &data, search, budget, save: Some(self.save) };
        let mut reporter = Reporter::new(global);
        let chosen = job.run(&mut reporter);
        reporter.finish();
        let choice = chosen?.choice;
        // So that what is finished is known to be.
        keep_asked(global, &out);
        report(global, &out, &choice, began.elapsed().as_secs_f64())
    }
}

/// Cases, lengths and channels in words.
fn described(set: &LabelledSet) -> String {
    let longest = set.longest();
    let lengths = match set.cases.iter().map(Series::num_rows).min() {
        Some(shortest) if shortest < longest => format!("{shortest} to {longest}"),
        _ => longest.to_string(),
    };
    let channels = set.channels.len();
    let s = if channels == 1 { "" } else { "s" };
    format!("{} cases of {lengths} steps, {channels} channel{s}", set.len())
}

fn report(global: &Global, out: &Path, choice: &CaseChoice, seconds: f64) -> Result<()> {
    let value =
        json!({"out": out, "choice": choice, "sentence": choice.sentence(), "seconds": seconds});
    let text = format!(
        "{}: the mean of {} networks, trained on all {} cases, with the best of {} settings ({})\n{}\n",
        out.display(),
        choice.networks,
        choice.cases,
        choice.tried,
        choice.described(),
        choice.sentence()
    );
    answer(global, &value, &text)
}
