//! An ensemble: several models of one job's data, trained one after the other and averaged.

use super::data::JobData;
use super::event::Observer;
use super::plan::{Job, Save, SaveMode};
use super::run::Trained;
use crate::ensemble::{begun_names, new_names, save_ensemble};
use crate::train::Recipe;
use crate::{Error, Result, Task};

/// The training of an ensemble of forecasters.
#[derive(Clone)]
pub struct EnsembleJob<'a> {
    /// The data to train on.
    pub data: &'a JobData,
    /// The whole recipe of every member: model and training.
    pub members: Vec<Recipe>,
    /// Share of the training windows that is used, the last ones; `None` = all.
    pub few_shot: Option<f64>,
    /// Where the ensemble is saved.
    pub save: Save,
}

impl EnsembleJob<'_> {
    /// Trains every member into a folder of its own, then writes `ensemble.json`. An earlier
    /// ensemble in the directory stays usable until then.
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `InvalidConfig` if there is no member or forecasts of members cannot be
    /// averaged.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Vec<Trained>> {
        self.save.check()?;
        if self.members.is_empty() {
            return Err(Error::config("members", "there is none, wanted at least one"));
        }
        let writer = self.save.hold()?;
        let mode = self.save.mode;
        let names = match mode {
            SaveMode::Resume => begun_names(&self.save.dir, self.members.len()),
            SaveMode::New | SaveMode::Replace => new_names(&self.save.dir, self.members.len()),
        };
        let mut trained: Vec<Trained> = Vec::new();
        for (number, (member, name)) in self.members.iter().zip(&names).enumerate() {
            let dir = self.save.dir.member(name);
            let job = Job {
                data: self.data,
                task: Task::Forecasting,
                model: member.model.clone(),
                training: member.training.clone(),
                start: None,
                few_shot: self.few_shot,
                save: Some(Save { dir, mode }),
            };
            trained.push(job.run(observer).map_err(|e| e.at(format!("members[{number}]")))?);
        }
        if let Some(last) = trained.last() {
            save_ensemble(&writer, &names, &last.preprocessor)?;
        }
        Ok(trained)
    }
}
