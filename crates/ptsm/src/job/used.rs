//! Refuses settings that a job would not use, so that its record lists no option without effect.

use serde_json::Value;

use super::data::JobData;
use super::plan::Job;
use super::samples::LaidSamples;
use super::windows::counts;
use crate::spec::ModelSpec;
use crate::train::Training;
use crate::{Config, Error, Result, Task};
use ptsm_core::Scaler;

/// The facts that determine which settings a training run uses.
#[derive(Debug, Clone, Copy)]
pub struct Usage<'a> {
    /// The model, or the heads that are trained together.
    pub models: &'a [&'a Config],
    /// Whether several heads are trained together.
    pub joint: bool,
    /// Whether at least some samples are windows.
    pub windows: bool,
    /// Whether there are validation samples, which pick the best epoch.
    pub validation: bool,
    /// Whether checkpoints are written.
    pub saved: bool,
    /// Whether at least some initial weights are drawn at random.
    pub drawn: bool,
    /// Whether the standardisation of the channels is fitted to these data.
    pub standardised: bool,
}

/// A setting and why it is not used.
type Unused = (&'static str, &'static str);

impl Usage<'_> {
    /// Whether some head has this property.
    fn any(&self, has: impl Fn(&Config) -> bool) -> bool {
        self.models.iter().any(|config| has(config))
    }

    /// The settings that are not used, each with the reason.
    fn unused(&self) -> Vec<Unused> {
        let task = |wanted: Task| self.any(|config| config.task().is_ok_and(|task| task == wanted));
        let points = self.any(costs_points);
        let skip = self.any(|config| config.extension().linear_skip);
        let classes = task(Task::Classification);
        let alone = "several heads are trained together";
        let rules: [(bool, &[&'static str], &'static str); 10] = [
            (
                points,
                &["mae_share", "huber_delta", "percent_loss"],
                "the loss is not that of a point forecast",
            ),
            (skip, &["skip_start", "skip_rate"], "the model has no linear skip"),
            (
                !self.joint,
                &["skip_start", "init"],
                "heads that are trained together start as they are",
            ),
            (
                !self.joint,
                &[
                    "freeze_backbone",
                    "ema_decay",
                    "class_weights",
                    "epoch_steps",
                    "partial_windows",
                    "with_validation",
                ],
                alone,
            ),
            (classes, &["class_weights"], "the model is not a classifier"),
            (
                self.windows,
                &["window_step", "partial_windows", "with_validation"],
                "labelled cases are not cut into windows",
            ),
            (
                self.validation,
                &["patience", "min_delta"],
                "no samples are left to pick an epoch by",
            ),
            (self.saved, &["checkpoint_steps"], "no checkpoints are written"),
            (self.drawn, &["init"], "all weights are those of the model that training starts from"),
            (self.standardised, &["transform"], "the channels keep their earlier standardisation"),
        ];
        let unused = rules.iter().filter(|(used, ..)| !used);
        unused.flat_map(|(_, names, why)| names.iter().map(|name| (*name, *why))).collect()
    }
}

/// Whether the loss of a head is an error of point forecasts.
fn costs_points(config: &Config) -> bool {
    let extension = config.extension();
    config.task().is_ok_and(|task| task == Task::Forecasting)
        && config.distribution().is_none()
        && extension.quantiles.is_none()
        && extension.hierarchy.is_none()
}

/// Refuses settings that are not at their default although a run would not use them.
///
/// # Errors
///
/// `InvalidConfig`, naming the field, its value and the reason.
pub fn check_used(training: &Training, usage: &Usage<'_>) -> Result<()> {
    let read = |training: &Training| {
        serde_json::to_value(training)
            .map_err(|e| Error::internal("settings cannot be listed").because(e))
    };
    let (given, default) = (read(training)?, read(&Training::default())?);
    let found = usage.unused().into_iter().find(|(name, _)| {
        // `null` switches early stopping off, and without validation samples there is none anyway.
        let never = *name == "patience" && given[name].is_null();
        given[name] != default[name] && !never
    });
    match found {
        Some((name, why)) => Err(refused(name, &given[name], why)),
        None => Ok(()),
    }
}

/// Refuses a seed of a recipe that is run with other seeds.
///
/// # Errors
///
/// `InvalidConfig` if it is not at its default.
pub(super) fn check_seed(training: &Training) -> Result<()> {
    match training.seed == Training::default().seed {
        true => Ok(()),
        false => Err(refused("seed", &training.seed.into(), "the seeds are given separately")),
    }
}

fn refused(name: &str, value: &Value, why: &str) -> Error {
    Error::config(name, format!("{value} would not be used: {why} (leave it out)"))
}

/// Refuses choices of a model that are not at Hugging Face's default although the model would not
/// use them.
///
/// # Errors
///
/// `InvalidConfig`, naming the field, its value and the reason.
pub fn check_model_used(spec: &ModelSpec, config: &Config) -> Result<()> {
    let task = config.task()?;
    let labels = matches!(task, Task::Classification | Task::Regression);
    let pretraining = task == Task::Pretraining;
    let has_loss = matches!(task, Task::Forecasting | Task::Regression);
    let random = pretraining && config.mask_type == "random";
    let scaled = config.scaler() != Scaler::None;
    let rules: [(bool, &[&'static str], &'static str); 9] = [
        (scaled, &["minimum_scale"], "windows are not scaled"),
        (labels, &["head_aggregation"], "only heads that label cases pool patches"),
        (task == Task::Regression, &["output_range"], "the model is not a regression"),
        (has_loss, &["loss"], "the loss of this task is fixed"),
        (config.distribution().is_some(), &["distribution_output"], "the loss is not \"nll\""),
        (pretraining, &MASKS, "only pretraining hides patches"),
        (random, &["random_mask_ratio"], "masks are not random"),
        (!random, &["num_forecast_mask_patches"], "masks are random"),
        (task == Task::Forecasting, &["prediction_channel_indices"], "the model forecasts nothing"),
    ];
    let (given, default) = (spec.fields()?, Config::default());
    let default = serde_json::to_value(default)
        .map_err(|e| Error::internal("the defaults cannot be listed").because(e))?;
    for (_, names, why) in rules.iter().filter(|(used, ..)| !used) {
        for name in *names {
            if let Some(value) = given.get(*name)
                && *value != default[name]
            {
                return Err(refused(name, value, why));
            }
        }
    }
    Ok(())
}

/// Fields of the masks of pretraining.
const MASKS: [&str; 7] = [
    "mask_type",
    "random_mask_ratio",
    "num_forecast_mask_patches",
    "mask_value",
    "channel_consistent_masking",
    "masked_loss",
    "unmasked_channel_indices",
];

impl Job<'_> {
    /// Refuses what this job would not use, and weights of other classes than the data have.
    pub(super) fn check_used(&self, config: &Config, samples: &LaidSamples) -> Result<()> {
        check_model_used(&self.model, config)?;
        let usage = Usage {
            models: &[config],
            joint: false,
            windows: matches!(samples, LaidSamples::Windows(_)),
            validation: samples.validation().is_some_and(|set| !set.is_empty()),
            saved: self.save.is_some(),
            drawn: !self.start.as_ref().is_some_and(|start| start.keep_head),
            standardised: match self.data {
                JobData::Series(_) => !counts(config),
                JobData::Cases(data) => self.kept_standardiser(data).is_none(),
            },
        };
        check_used(&self.training, &usage)?;
        match &self.training.class_weights {
            Some(weights) if weights.len() != config.num_targets => {
                let (got, wanted) = (weights.len(), config.num_targets);
                let text =
                    format!("has {got} weights, wanted one for each of the {wanted} classes");
                Err(Error::config("class_weights", text))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Schedule, SkipStart};
    use ptsm_core::Extension;

    fn config(task: Task) -> Config {
        Config { architectures: Some(vec![task.architecture().into()]), ..Config::default() }
    }

    fn usage<'a>(models: &'a [&'a Config]) -> Usage<'a> {
        let task = models[0].task().unwrap();
        Usage {
            models,
            joint: false,
            windows: matches!(task, Task::Forecasting | Task::Pretraining),
            validation: true,
            saved: true,
            drawn: true,
            standardised: true,
        }
    }

    /// The field that is refused.
    fn refused(training: &Training, usage: &Usage<'_>) -> String {
        match check_used(training, usage) {
            Ok(()) => String::new(),
            Err(error) => error.place().unwrap().to_owned(),
        }
    }

    #[test]
    fn each_setting_is_refused_where_it_changes_nothing_and_there_alone() {
        let base = Training::default;
        let points = config(Task::Forecasting);
        let skip = Extension { linear_skip: true, ..Extension::default() };
        let skip = Config { ptsm: Some(skip), ..points.clone() };
        let distribution = Config { loss: "nll".into(), ..points.clone() };
        let classes = config(Task::Classification);
        let pretraining = config(Task::Pretraining);
        let table = [
            (Training { mae_share: 0.5, ..base() }, &points, &distribution),
            (Training { huber_delta: Some(1.0), ..base() }, &points, &pretraining),
            (Training { huber_delta: Some(1.0), ..base() }, &skip, &classes),
            (Training { skip_rate: 0.1, ..base() }, &skip, &points),
            (Training { skip_start: SkipStart::Zero, ..base() }, &skip, &distribution),
            (Training { class_weights: Some(vec![1.0]), ..base() }, &classes, &points),
            (Training { window_step: 2, ..base() }, &pretraining, &classes),
        ];
        for (training, used, unused) in table {
            assert_eq!(refused(&training, &usage(&[used])), "", "{training:?}");
            assert_ne!(refused(&training, &usage(&[unused])), "", "{training:?}");
        }
        // What every run uses.
        let all = Training { epochs: 3, schedule: Schedule::Cosine, beta1: 0.8, ..base() };
        for config in [&points, &skip, &distribution, &classes, &pretraining] {
            assert_eq!(refused(&all, &usage(&[config])), "");
            assert_eq!(refused(&base(), &usage(&[config])), "");
        }
    }

    #[test]
    fn circumstances_decide_too() {
        let points = config(Task::Forecasting);
        let models = [&points];
        let all = usage(&models);
        let base = Training::default;
        for (training, usage, field) in [
            (
                Training { patience: Some(2), ..base() },
                Usage { validation: false, ..all },
                "patience",
            ),
            (
                Training { min_delta: 0.1, ..base() },
                Usage { validation: false, ..all },
                "min_delta",
            ),
            (
                Training { checkpoint_steps: 5, ..base() },
                Usage { saved: false, ..all },
                "checkpoint_steps",
            ),
            (
                Training { init: ptsm_core::Init::Normal, ..base() },
                Usage { drawn: false, ..all },
                "init",
            ),
            (
                Training { transform: crate::data::Transform::Log1p, ..base() },
                Usage { standardised: false, ..all },
                "transform",
            ),
            (
                Training { ema_decay: Some(0.9), ..base() },
                Usage { joint: true, ..all },
                "ema_decay",
            ),
            (
                Training { freeze_backbone: true, ..base() },
                Usage { joint: true, ..all },
                "freeze_backbone",
            ),
        ] {
            assert_eq!(refused(&training, &all), "", "{field}");
            assert_eq!(refused(&training, &usage), field);
        }
        let never = Training { patience: None, ..base() };
        assert_eq!(refused(&never, &Usage { validation: false, ..all }), "");
    }

    #[test]
    fn choices_of_a_model_that_it_does_not_use_are_refused() {
        let check = |text: &str, task: Task| {
            let spec: ModelSpec = serde_json::from_str(text).unwrap();
            let shape = crate::spec::DataShape::windows(task, 2);
            check_model_used(&spec, &spec.config(&shape).unwrap())
        };
        for (text, used, unused) in [
            ("{\"head_aggregation\": \"avg_pool\"}", Task::Regression, Task::Forecasting),
            ("{\"output_range\": [0, 1]}", Task::Regression, Task::Classification),
            ("{\"loss\": \"nll\"}", Task::Regression, Task::Pretraining),
            ("{\"mask_type\": \"forecast\"}", Task::Pretraining, Task::Forecasting),
            ("{\"prediction_channel_indices\": [1]}", Task::Forecasting, Task::Classification),
        ] {
            check(text, used).unwrap();
            let error = check(text, unused).unwrap_err().to_string();
            assert!(error.contains("would not be used"), "{error}");
        }
        let named = "{\"distribution_output\": \"normal\"}";
        assert!(check(named, Task::Forecasting).is_err());
        // What is at its default anyway changes nothing.
        check("{\"head_aggregation\": \"max_pool\", \"loss\": \"mse\"}", Task::Forecasting)
            .unwrap();
    }
}
