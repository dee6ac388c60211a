//! Training on windows: forecasting and pretraining.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use ptsm::data::{Prepared, WindowShape, prepare};
use ptsm::train::{
    Epoch, Event, History, Samples, SkipStart, Subset, TrainData, Trainer, Training, start_skip,
    take_backbone,
};
use ptsm::{CALIBRATION_FILE, Config, Distribution, Error, Model, Preprocessor, Result, Task};

use super::plan::config_of;
use super::{Plan, Record, TRAINING_FILE};
use crate::args::Global;
use crate::output::{remark, write_text};
use crate::progress::Progress;
use crate::source::summary;

/// A finished run.
pub(crate) struct Trained {
    pub(crate) record: Record,
    pub(crate) prepared: Prepared,
    pub(crate) seconds: f64,
}

/// Trains by a plan and writes the model directory.
pub(crate) fn train(global: &Global, plan: &Plan) -> Result<Trained> {
    let config = config_of(plan)?;
    let Config { context_length, mut prediction_length, .. } = config;
    if plan.task == Task::Pretraining {
        prediction_length = 0;
    }
    let shape = WindowShape { context_length, prediction_length, step: plan.training.window_step };
    // Counts must stay counts.
    let counts = config.distribution() == Some(Distribution::NegativeBinomial);
    let standardise = (!counts).then_some(plan.training.transform);
    let prepared = prepare(&plan.set, &plan.split, shape, standardise, None)?;
    let mut model = Model::new(config, plan.training.init, plan.training.seed)?;
    if let Some(start) = &plan.start {
        take(&mut model, start, plan.keep_head)?;
    }
    let skips = model.config().extension().linear_skip && !plan.keep_head;
    if skips && plan.training.skip_start == SkipStart::Ridge {
        if plan.few_shot.is_some() {
            let text = "would see every training window in the ridge regression of the linear skip \
                        (use --skip-start zero)";
            return Err(Error::config("--few-shot", text));
        }
        start_skip(&mut model, &prepared.train, &prepared.validation)?;
    }
    let num_parameters = model.layout().num_trained();
    let few = plan.few_shot.map(|share| Subset::last(&prepared.train, share)).transpose()?;
    let data = TrainData {
        train: few.as_ref().map_or(&prepared.train as &dyn Samples, |few| few),
        validation: &prepared.validation,
    };
    remark(global, &summary(&plan.source, &plan.set));
    plan.set.repairs.notes().iter().for_each(|note| remark(global, &format!("  {note}")));
    remark(
        global,
        &format!(
            "{} training and {} validation windows of {context_length} + {prediction_length} steps \
             (split {}), {num_parameters} parameters",
            data.train.len(),
            data.validation.len(),
            plan.split
        ),
    );
    check_writable(&plan.out)?;
    let preprocessor = preprocessor_of(plan, &prepared);
    let began = Instant::now();
    let (model, history) =
        optimise(global, (&plan.training, &plan.out, plan.resume), data, model, &preprocessor)?;
    let record = Record {
        version: env!("CARGO_PKG_VERSION").into(),
        instruction_set: ptsm::instruction_set()?.name().into(),
        dataset: plan.source.name.clone(),
        split: plan.split,
        train_windows: data.train.len(),
        validation_windows: data.validation.len(),
        num_parameters,
        init: plan.start.is_some(),
        training: plan.training.clone(),
        history,
    };
    save(&plan.out, &model, &preprocessor)?;
    let text = serde_json::to_string_pretty(&record)
        .map_err(|e| Error::internal("training.json cannot be written").because(e))?;
    write_text(&plan.out.join(TRAINING_FILE), &(text + "\n"))?;
    Ok(Trained { record, prepared, seconds: began.elapsed().as_secs_f64() })
}

/// Takes the backbone of the model that training starts from, and its head where that is asked for.
pub(super) fn take(model: &mut Model, start: &Model, keep_head: bool) -> Result<()> {
    take_backbone(model, start).map_err(|e| e.at("--init"))?;
    if !keep_head {
        return Ok(());
    }
    let tensors = |model: &Model| -> Vec<(String, Vec<usize>)> {
        let all = model.layout().tensors().iter();
        all.map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect()
    };
    if tensors(model) != tensors(start) {
        let text = "needs the same head in both models: the same task, lengths and loss";
        return Err(Error::config("--keep-head", text));
    }
    model.parameters.clone_from(&start.parameters);
    Ok(())
}

fn preprocessor_of(plan: &Plan, prepared: &Prepared) -> Preprocessor {
    Preprocessor {
        dataset: plan.source.name.clone(),
        channels: plan.set.channels.clone(),
        roles: plan.set.roles.clone(),
        frequency: plan.set.frequency,
        grid: plan.grid,
        seasonal_period: plan.source.seasonal_period(&plan.set),
        split: plan.split,
        standardiser: prepared.standardiser.clone(),
        labels: None,
    }
}

pub(super) fn save(dir: &Path, model: &Model, preprocessor: &Preprocessor) -> Result<()> {
    // A calibration belongs to the weights that it was made with.
    let old = dir.join(CALIBRATION_FILE);
    if old.is_file() {
        std::fs::remove_file(&old).map_err(|e| Error::io(&old, "cannot be removed", e))?;
    }
    preprocessor.save(dir)?;
    model.save(dir)
}

/// Finds out before hours of work whether the folder can be written.
pub(super) fn check_writable(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
    let probe = tempfile::NamedTempFile::new_in(dir);
    probe.map(|_| ()).map_err(|e| Error::io(dir, "cannot be written to", e))
}

/// The loop with its progress; every better epoch is saved as a whole model directory.
pub(super) fn optimise(
    global: &Global,
    (training, out, resume): (&Training, &Path, bool),
    data: TrainData<'_>,
    model: Model,
    preprocessor: &Preprocessor,
) -> Result<(Model, History)> {
    let trainer = Trainer { training, data, dir: Some(out.to_path_buf()), resume };
    let steps = data.train.len().div_ceil(training.batch_size) as u64;
    let mut progress = Progress::new(global, "training", steps * u64::from(training.epochs));
    let mut failure = None;
    let outcome = trainer.run(model, &mut |event| {
        match event {
            Event::Resumed { step, total_steps } => {
                progress.line(&format!("resumed after step {step} of {total_steps}"));
            }
            Event::Step { epoch, step, loss, .. } => {
                progress.update(*step, &format!("epoch {epoch}, loss {loss:.4}"));
            }
            Event::Epoch { epoch, best, best_model } => {
                progress.line(&describe(epoch, *best));
                if *best && let Err(error) = save(out, best_model, preprocessor) {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    });
    progress.finish();
    match failure {
        Some(error) => Err(error),
        None => outcome.map(|outcome| (outcome.model, outcome.history)),
    }
}

/// One line for one epoch.
fn describe(epoch: &Epoch, best: bool) -> String {
    let mut text = format!("epoch {:3}  train {:.4}", epoch.epoch, epoch.train_loss);
    if let Some(loss) = epoch.validation_loss {
        text += &format!("  validation {loss:.4}");
    }
    if let Some(mae) = epoch.validation_mae {
        text += &format!(" (MAE {mae:.4})");
    }
    if let Some(accuracy) = epoch.validation_accuracy {
        text += &format!(" (accuracy {accuracy:.4})");
    }
    text + &format!("{}  {:.1} s", if best { " *" } else { "" }, epoch.seconds)
}
