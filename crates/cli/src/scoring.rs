//! Scores a forecaster and the baselines on one part of the data, with a progress bar.

use std::path::Path;

use ptsm::data::Prepared;
use ptsm::evaluate::{BaselineOutcome, Detail, Evaluation, Measure, Metrics};
use ptsm::job::Choice;
use ptsm::model_dir::{ModelDir, read_json};
use ptsm::score::ScoreOptions;
use ptsm::{Forecaster, Result};

use crate::global::Global;
use crate::progress::Progress;

/// Scores the model and the baselines on every window of one part.
pub(crate) fn score(
    global: &Global,
    forecaster: &mut Forecaster,
    prepared: &Prepared,
    options: ScoreOptions<'_>,
) -> Result<Evaluation> {
    let windows = prepared.part(options.part).len() as u64;
    let progress = std::cell::RefCell::new(Progress::new(global, "scoring", windows));
    let tick = |done: usize, total: usize| {
        progress.borrow_mut().update(done as u64, "");
        if done == total {
            progress.borrow_mut().finish();
        }
        Ok(())
    };
    forecaster.score(prepared, &ScoreOptions { progress: Some(&tick), ..options })
}

/// What the forecaster was chosen by, if it was; otherwise the usual one.
pub(crate) fn measure(model: &Path) -> Result<Measure> {
    let choice: Option<Choice> = read_json(&ModelDir::new(model).choice())?;
    Ok(choice.map_or(Measure::default(), |choice| choice.metric.measure()))
}

/// Removes the errors of single steps and channels unless they are asked for.
pub(crate) fn trim(evaluation: &mut Evaluation, wanted: Detail) {
    let trim = |metrics: &mut Metrics| {
        if !wanted.per_step {
            metrics.per_step = None;
        }
        if !wanted.per_channel {
            metrics.per_channel = None;
        }
    };
    trim(&mut evaluation.model);
    for baseline in &mut evaluation.baselines {
        if let BaselineOutcome::Scored(metrics) = &mut baseline.outcome {
            trim(metrics);
        }
    }
}

/// The errors of one forecaster, under the name that it has in pictures and tables.
pub(crate) struct NamedMetrics<'a> {
    pub(crate) name: String,
    pub(crate) metrics: &'a Metrics,
    pub(crate) is_model: bool,
}

/// What a model is called in scores and pictures: the last part of its path.
pub(crate) fn called(model: &Path) -> String {
    let name = model.file_name().unwrap_or(model.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The model of this directory, and every baseline that was scored.
pub(crate) fn named_metrics<'a>(evaluation: &'a Evaluation, model: &Path) -> Vec<NamedMetrics<'a>> {
    let (name, metrics) = (called(model), &evaluation.model);
    let mut all = vec![NamedMetrics { name, metrics, is_model: true }];
    for baseline in &evaluation.baselines {
        if let BaselineOutcome::Scored(metrics) = &baseline.outcome {
            let name = baseline.name.replace('_', " ");
            all.push(NamedMetrics { name, metrics, is_model: false });
        }
    }
    all
}
