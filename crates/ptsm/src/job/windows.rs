//! Jobs on windows over series: forecasting and pretraining.

use super::data::SeriesData;
use super::plan::Job;
use super::samples::{Laid, LaidSamples};
use crate::data::{Prepared, WindowShape, prepare};
use crate::spec::DataShape;
use crate::train::{SkipStart, start_skip};
use crate::{Config, Distribution, Error, Model, Preprocessor, Result, Task};
use ptsm_core::option;

impl Job<'_> {
    pub(super) fn window_config(&self, data: &SeriesData) -> Result<Config> {
        let shape = DataShape::windows(self.task, data.set.channels.len());
        self.specification().config(&shape)
    }

    /// Splits the series, lays windows over the parts, and makes the model with its first weights.
    pub(super) fn lay_out_windows(&self, data: &SeriesData, config: Config) -> Result<Laid> {
        let shape = WindowShape {
            context_length: config.context_length,
            prediction_length: match self.task {
                Task::Pretraining => 0,
                _ => config.prediction_length,
            },
            step: self.training.window_step,
        };
        // Counts must stay counts.
        let counts = config.distribution() == Some(Distribution::NegativeBinomial);
        let standardise = (!counts).then_some(self.training.transform);
        let prepared = prepare(&data.set, &data.split, shape, standardise, None)?;
        let mut model = Model::new(config, self.training.init, self.training.seed)?;
        if let Some(start) = &self.start {
            start.give(&mut model)?;
        }
        self.start_linear_skip(&mut model, &prepared)?;
        let preprocessor = Preprocessor {
            dataset: data.name.clone(),
            channels: data.set.channels.clone(),
            roles: data.set.roles.clone(),
            frequency: data.set.frequency,
            times: data.set.times.clone(),
            grid: data.grid,
            seasonal_period: data.seasonal_period,
            split: data.split,
            standardiser: prepared.standardiser.clone(),
            labels: None,
        };
        Ok(Laid { model, preprocessor, samples: LaidSamples::Windows(prepared) })
    }

    /// Starts the linear skip, if there is one and its weights are new, where the training says.
    fn start_linear_skip(&self, model: &mut Model, prepared: &Prepared) -> Result<()> {
        let kept = self.start.as_ref().is_some_and(|start| start.keep_head);
        let starts = model.config().extension().linear_skip && !kept;
        if !starts || self.training.skip_start != SkipStart::Ridge {
            return Ok(());
        }
        if self.few_shot.is_some() {
            let zero = option("skip_start", Some("zero"));
            let text = format!(
                "would see every training window in the ridge regression of the linear skip (use \
                 {zero})"
            );
            return Err(Error::config("few_shot", text));
        }
        start_skip(model, &prepared.train, &prepared.validation).map(|_| ())
    }
}
