//! An ensemble: several models of one job's data, trained one after the other and averaged.

use super::data::JobData;
use super::event::Observer;
use super::plan::{Job, Save, SaveMode};
use super::run::Trained;
use crate::ensemble::save_ensemble;
use crate::model_dir::ModelDir;
use crate::train::Recipe;
use crate::{Error, Result, Task};

/// The training of an ensemble of forecasters.
#[derive(Clone)]
pub struct EnsembleJob<'a> {
    /// What is learnt from.
    pub data: &'a JobData,
    /// The whole recipe of every member: model and training.
    pub members: Vec<Recipe>,
    /// Share of the training windows that is used, the last ones; `None` = all.
    pub few_shot: Option<f64>,
    /// Where the ensemble goes.
    pub save: Save,
}

impl EnsembleJob<'_> {
    /// The directory of member `number`.
    pub fn member_dir(&self, number: usize) -> ModelDir {
        self.save.dir.member(&number.to_string())
    }

    /// Trains every member into its folder, and describes the ensemble.
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `InvalidConfig` if there is no member or forecasts of members cannot be
    /// averaged.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Vec<Trained>> {
        self.save.check()?;
        let mut trained: Vec<Trained> = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            let dir = self.member_dir(number);
            // A member that is there already belongs to the ensemble that is replaced, or to no model.
            let mode = match self.save.mode {
                SaveMode::Resume => SaveMode::Resume,
                SaveMode::New | SaveMode::Replace => SaveMode::Replace,
            };
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
        let names: Vec<String> = (0..trained.len()).map(|number| number.to_string()).collect();
        let Some(last) = trained.last() else {
            return Err(Error::config("members", "there is none, wanted at least one"));
        };
        save_ensemble(self.save.dir.path(), &names, &last.preprocessor)?;
        Ok(trained)
    }
}
