//! Ablation: one recipe trained in every channel mode, with and without each reconciliation head, and
//! the scores.

use serde::{Deserialize, Serialize};

use super::data::JobData;
use super::event::{JobEvent, Observer};
use super::plan::Job;
use super::run::Trained;
use super::used::{Usage, check_seed, check_used};
use crate::data::{Batch, WindowSet};
use crate::evaluate::{Coherence, EvaluateOptions, Metrics, evaluate};
use crate::spec::{ChannelModeChoice, LossChoice, ModelSpec};
use crate::train::{Recipe, Training};
use crate::{Backend, Cpu, Error, Model, Prediction, Result, Session, Task};
use ptsm_core::{CrossChannel, Hierarchy, Layout};

/// Steps per segment of the hierarchical head where none are given and the horizon allows as many: a day of hours.
pub const SEGMENT_LENGTH: usize = 24;

/// An ablation over channel modes and reconciliation heads.
#[derive(Debug, Clone, PartialEq)]
pub struct Ablation {
    /// The recipe that all rows have in common.
    pub recipe: Recipe,
    /// Seeds of every row.
    pub seeds: Vec<u64>,
    /// Steps per segment of the hierarchical head; `None` = [`Ablation::segment_length()`] finds one that fits the
    /// horizon.
    pub segment_length: Option<usize>,
    /// Steps on either side that the cross-channel head sees.
    pub cross_channel_context: usize,
    /// Share of the training windows that is used, the last ones; `None` = all.
    pub few_shot: Option<f64>,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AblationRow {
    /// Name of the channel mode and heads, for the table.
    pub name: String,
    /// `mode` of its models.
    pub mode: ChannelModeChoice,
    /// Whether they have the hierarchical head.
    pub hierarchy: bool,
    /// Whether they have the cross-channel head.
    pub cross_channel: bool,
    /// Number of trained weights of one model.
    pub parameters: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Mean squared error on the test part, for each seed.
    pub mse: Vec<f64>,
    /// Mean absolute error on the test part, for each seed.
    pub mae: Vec<f64>,
    /// Coherence of sums and steps before and after training, for each seed; empty without the
    /// hierarchical head.
    pub coherence: Vec<(Coherence, Coherence)>,
}

/// A choice of mode and heads.
#[derive(Debug, Clone, Copy)]
struct Variant {
    mode: ChannelModeChoice,
    hierarchy: bool,
    cross_channel: bool,
}

impl Variant {
    /// Independent, mixing and hybrid channels, each with and without sums, and mixing channels with
    /// the cross-channel head as well.
    fn all() -> Vec<Variant> {
        let mut all = Vec::new();
        for mode in [ChannelModeChoice::CommonChannel, ChannelModeChoice::MixChannel] {
            for cross_channel in [false, true] {
                for hierarchy in [false, true] {
                    all.push(Variant { mode, hierarchy, cross_channel });
                }
            }
        }
        all
    }

    fn name(self) -> String {
        let mode = match (self.mode, self.cross_channel) {
            (ChannelModeChoice::MixChannel, true) => "mixing + cross-channel head",
            (ChannelModeChoice::MixChannel, false) => "mixing",
            (_, true) => "hybrid (cross-channel head)",
            (_, false) => "independent",
        };
        if self.hierarchy { format!("{mode} + hierarchy") } else { mode.to_owned() }
    }
}

impl Ablation {
    /// Whether rows with a reconciliation head are left out: they need a point forecast.
    pub fn without_heads(&self) -> bool {
        let loss = self.recipe.model.loss;
        let levels = self.recipe.model.ptsm.as_ref().is_some_and(|ptsm| ptsm.quantiles.is_some());
        levels || loss.is_some_and(|loss| loss != LossChoice::Mse)
    }

    /// Rows of the table.
    pub fn num_rows(&self) -> usize {
        self.variants().len()
    }

    /// Steps per segment of the hierarchical head: those that are given, or else the most that divide the horizon, up to
    /// [`SEGMENT_LENGTH`] where such a number is there.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if those that are given do not divide the horizon, with those that do; or for a horizon of one
    /// step, which has no segments.
    pub fn segment_length(&self, data: &JobData) -> Result<usize> {
        let plain = Variant {
            mode: ChannelModeChoice::CommonChannel,
            hierarchy: false,
            cross_channel: false,
        };
        let steps = self.job(data, plain, 0)?.config()?.prediction_length;
        let divides = |length: usize| length >= 2 && steps.is_multiple_of(length);
        let fitting: Vec<usize> = (2..=steps).rev().filter(|&length| divides(length)).collect();
        let usual = fitting.iter().find(|&&length| length <= SEGMENT_LENGTH);
        match (self.segment_length, usual.or(fitting.last())) {
            (Some(length), _) if divides(length) => Ok(length),
            (None, Some(&length)) => Ok(length),
            (_, None) => {
                let text = format!(
                    "a horizon of {steps} step has no segments (give the recipe another prediction_length)"
                );
                Err(Error::config("segment_length", text))
            }
            (Some(length), Some(_)) => {
                let fitting: Vec<String> = fitting.iter().map(usize::to_string).collect();
                let text = format!(
                    "{length} does not divide the horizon of {steps} steps (one of {} does)",
                    fitting.join(", ")
                );
                Err(Error::config("segment_length", text))
            }
        }
    }

    fn variants(&self) -> Vec<Variant> {
        let plain = |variant: &Variant| !variant.hierarchy && !variant.cross_channel;
        let without = self.without_heads();
        Variant::all().into_iter().filter(|variant| !without || plain(variant)).collect()
    }

    /// The recipe's model in one row.
    fn specification(&self, data: &JobData, variant: Variant) -> Result<ModelSpec> {
        let mut spec = self.recipe.model.clone();
        spec.mode = Some(variant.mode);
        if variant.hierarchy {
            let segment_length = self.segment_length(data)?;
            spec.extension_mut().hierarchy = Some(Hierarchy { segment_length });
        }
        if variant.cross_channel {
            let context_length = self.cross_channel_context;
            let head = CrossChannel { context_length, ..CrossChannel::default() };
            spec.extension_mut().cross_channel = Some(head);
        }
        Ok(spec)
    }

    fn job<'a>(&self, data: &'a JobData, variant: Variant, seed: u64) -> Result<Job<'a>> {
        Ok(Job {
            data,
            task: Task::Forecasting,
            model: self.specification(data, variant)?,
            training: Training { seed, ..self.recipe.training.clone() },
            start: None,
            few_shot: self.few_shot,
            save: None,
        })
    }

    /// Refuses fields that the rows set, and settings that a row would not use.
    fn check(&self, data: &JobData) -> Result<()> {
        let Recipe { model, training, members, .. } = &self.recipe;
        check_seed(training)?;
        if !members.is_empty() {
            return Err(Error::config(
                "members",
                "are not allowed in an ablation: every row is one model",
            ));
        }
        let ptsm = model.ptsm.as_ref();
        let decided = [
            ("mode", model.mode.is_some_and(|mode| mode != ChannelModeChoice::CommonChannel)),
            ("ptsm.hierarchy", ptsm.is_some_and(|ptsm| ptsm.hierarchy.is_some())),
            ("ptsm.cross_channel", ptsm.is_some_and(|ptsm| ptsm.cross_channel.is_some())),
        ];
        if let Some((field, _)) = decided.iter().find(|(_, given)| *given) {
            return Err(Error::config(*field, "is what the rows differ in (leave it out)"));
        }
        if self.variants().iter().any(|variant| variant.hierarchy) {
            self.segment_length(data)?;
        }
        for variant in self.variants() {
            let config = self.job(data, variant, 0)?.config().map_err(|e| e.at(variant.name()))?;
            let usage = Usage {
                models: &[&config],
                joint: false,
                windows: true,
                validation: true,
                saved: false,
                drawn: true,
                standardised: true,
            };
            check_used(training, &usage).map_err(|e| e.at(variant.name()))?;
        }
        Ok(())
    }

    /// Trains every row with every seed and scores it on the test part; `tell` is called
    /// after every training, with the row so far.
    ///
    /// # Errors
    ///
    /// As [`Job::run`], naming the row; `InvalidConfig` for fields of the recipe that the rows
    /// set.
    pub fn run(
        &self,
        data: &JobData,
        tell: &mut dyn FnMut(&AblationRow, &Trained),
    ) -> Result<Vec<AblationRow>> {
        self.check(data)?;
        let mut rows = Vec::new();
        for variant in self.variants() {
            let config = self.job(data, variant, 0)?.config()?;
            let mut row = AblationRow {
                name: variant.name(),
                mode: variant.mode,
                hierarchy: variant.hierarchy,
                cross_channel: variant.cross_channel,
                parameters: Layout::new(&config.network()?)?.num_trained(),
                seeds: self.seeds.clone(),
                mse: Vec::new(),
                mae: Vec::new(),
                coherence: Vec::new(),
            };
            for &seed in &self.seeds {
                let job = self.job(data, variant, seed)?;
                let trained = one(&job, &mut row).map_err(|e| e.at(variant.name()))?;
                tell(&row, &trained);
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// Trains one model of a row and adds its scores to it.
fn one(job: &Job<'_>, row: &mut AblationRow) -> Result<Trained> {
    let mut first = First::default();
    let trained = job.run(&mut first)?;
    let Some(prepared) = trained.samples.windows() else {
        return Err(Error::internal("a row without windows"));
    };
    if let (true, Some(start)) = (row.hierarchy, first.model) {
        let of = |model: &Model| Coherence::new(model, &prepared.test);
        row.coherence.push((of(&start)?, of(&trained.model)?));
    }
    let metrics = score(&trained.model, &prepared.test)?;
    row.mse.push(metrics.mse);
    row.mae.push(metrics.mae);
    Ok(trained)
}

/// Observer that keeps a copy of the model with its initial weights.
#[derive(Default)]
struct First {
    model: Option<Model>,
}

impl Observer for First {
    fn observe(&mut self, event: &JobEvent<'_>) -> std::ops::ControlFlow<()> {
        if let JobEvent::Ready(ready) = event
            && ready.model.config().extension().hierarchy.is_some()
        {
            self.model = Some(ready.model.clone());
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// Errors of the point forecasts over every window.
fn score(model: &Model, windows: &WindowSet) -> Result<Metrics> {
    let config = model.config();
    let mut session = Cpu::default().load(model)?.session()?;
    let options = EvaluateOptions {
        batch_size: 256,
        channels: Some(config.prediction_channels()),
        ..EvaluateOptions::default()
    };
    let mut forecast = |batch: &Batch| {
        let mut output = Prediction::default();
        Session::forward(session.as_mut(), batch, &mut output)?;
        Ok(output.points())
    };
    evaluate(&mut forecast, windows, &options)
}
