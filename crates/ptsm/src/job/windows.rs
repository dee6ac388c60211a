//! Jobs on windows over series: forecasting and pretraining.

use super::automatic::suit_short_series;
use super::data::SeriesData;
use super::plan::Job;
use super::samples::{Laid, LaidSamples};
use crate::data::{Prepared, Transform, WindowShape, prepare};
use crate::preprocessor::Preprocessor;
use crate::spec::{DataShape, ModelSpec, ScalingChoice};
use crate::train::{SkipStart, start_skip};
use crate::{Config, Error, Model, Result, Task};
use ptsm_core::train::start_skip_at_season;
use ptsm_core::{Distribution, Level, Note, Scaler, option};

/// How series are cut into the windows of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windowing<'a> {
    /// The model's configuration.
    pub(crate) config: &'a Config,
    /// Steps from one training window to the next.
    pub(crate) step: usize,
    /// What is done to values in front of standardising; `None` = they are not standardised.
    pub(crate) standardise: Option<Transform>,
}

/// Series cut into windows, and how later data are read the same way.
pub(crate) struct WindowedSeries {
    pub(crate) prepared: Prepared,
    pub(crate) preprocessor: Preprocessor,
}

/// Whether a model forecasts counts: the negative binomial distribution needs them as they are, and
/// standardising would destroy them.
pub(crate) fn counts(config: &Config) -> bool {
    config.distribution() == Some(Distribution::NegativeBinomial)
}

fn of_series(id: &str) -> String {
    if id.is_empty() { String::new() } else { format!(" of series \"{id}\"") }
}

impl SeriesData {
    /// Refuses values below zero, which have no logarithm.
    fn check_levels(&self) -> Result<()> {
        for series in &self.set.series {
            for row in 0..series.num_rows() {
                for (channel, name) in self.set.channels.iter().enumerate() {
                    if let Some(value) = series.get(row, channel).filter(|value| *value < 0.0) {
                        let text = format!(
                            "\"level\" takes logarithms, and channel \"{name}\"{} has {value} in row {row} \
                             (use \"std\")",
                            of_series(&series.id)
                        );
                        return Err(Error::config("scaling", text));
                    }
                }
            }
        }
        Ok(())
    }

    /// Splits and standardises the series, and cuts the parts into windows.
    ///
    /// # Errors
    ///
    /// As [`prepare`].
    pub(crate) fn windows(&self, windowing: &Windowing<'_>) -> Result<WindowedSeries> {
        let Windowing { config, step, standardise } = *windowing;
        if matches!(config.scaler(), Scaler::Level { .. }) {
            self.check_levels()?;
        }
        let shape = WindowShape {
            context_length: config.context_length,
            prediction_length: match config.task()? {
                Task::Pretraining => 0,
                _ => config.prediction_length,
            },
            step,
        };
        self.require_settled()?;
        let mut prepared = prepare(&self.set, &self.split, shape, standardise, None)?;
        if self.effects.is_some() {
            if standardise != Some(Transform::None) {
                let text = "have linear effects on the values themselves (leave transform out, and count distributions)";
                return Err(Error::config("future_covariates", text));
            }
            let fitted = self.with_effects(&prepared.standardiser);
            prepared = prepare(&self.set, &self.split, shape, None, Some(&fitted))?;
        }
        let mut standardiser = prepared.standardiser.clone();
        // The std scaler subtracts the mean of a window and divides by its deviation, so that a
        // forecast follows shift and scale of its context, and levels are the same in any units; not so
        // with logarithms and counts.
        let moves = matches!(config.scaler(), Scaler::Std { .. } | Scaler::Level { .. });
        // Effects are in the units of the training.
        let moves = moves && self.effects.is_none();
        standardiser.adapts = moves && standardise == Some(Transform::None);
        let preprocessor = Preprocessor {
            dataset: self.name.clone(),
            channels: self.set.channels.clone(),
            roles: self.set.roles.clone(),
            frequency: self.set.frequency,
            times: self.set.times.clone(),
            missing: self.missing.clone(),
            grid: self.grid,
            seasonal_period: self.seasonal_period,
            split: self.split,
            standardiser,
            labels: None,
            covariates: self.covariates.clone(),
        };
        Ok(WindowedSeries { prepared, preprocessor })
    }
}

impl Job<'_> {
    pub(super) fn window_config(&self, data: &SeriesData) -> Result<Config> {
        let shape = DataShape::windows(self.task, data.set.channels.len());
        self.suited(data).0.with_channels(&data.set.channels)?.config(&shape)
    }

    /// What is chosen of the model, with lengths that suit the series where nobody chose them; what
    /// was chosen, in a sentence.
    fn suited(&self, data: &SeriesData) -> (ModelSpec, Option<String>) {
        let mut spec = self.specification();
        let note = suit_short_series(data, &mut spec);
        if spec.scaling == Some(ScalingChoice::Level) {
            let length = spec.context_length.or(ModelSpec::defaults().context_length);
            let season = data.seasonal_period.max(1);
            let season = if length.is_some_and(|length| season <= length) { season } else { 1 };
            spec.extension_mut().level.get_or_insert(Level { season });
        }
        (spec, note)
    }

    /// Splits the series, cuts the parts into windows, makes the model with its initial weights.
    pub(super) fn lay_out_windows(&self, data: &SeriesData, config: Config) -> Result<Laid> {
        let windowing = Windowing {
            config: &config,
            step: self.training.window_step,
            standardise: (!counts(&config)).then_some(self.training.transform),
        };
        self.check_transform(&config)?;
        let WindowedSeries { mut prepared, preprocessor } = data.windows(&windowing)?;
        if self.training.with_validation {
            prepared = prepared.with_validation()?;
        }
        if self.training.partial_windows {
            prepared.train = prepared.train.partial()?;
        }
        let mut model = Model::new(config, self.training.init, self.training.seed)?;
        if let Some(start) = &self.start {
            start.give(&mut model)?;
        }
        self.start_linear_skip(&mut model, &prepared)?;
        let mut notes = prepared.notes();
        notes.extend(self.suited(data).1.map(Note::from));
        Ok(Laid { model, preprocessor, samples: LaidSamples::Windows(prepared), notes })
    }

    /// Refuses a transform where levels count: it hides where the data's zero lies.
    fn check_transform(&self, config: &Config) -> Result<()> {
        let level = matches!(config.scaler(), Scaler::Level { .. });
        let field = if level { "scaling" } else { "percent_loss" };
        let used = level || self.training.percent_loss.is_some();
        if used && !self.training.transform.is_none() {
            let text = "works with distances from the data's zero, which a transform hides (leave \
                        transform out)";
            return Err(Error::config(field, text));
        }
        Ok(())
    }

    /// Initialises the linear skip as `skip_start` states, if there is one with new weights.
    fn start_linear_skip(&self, model: &mut Model, prepared: &Prepared) -> Result<()> {
        let kept = self.start.as_ref().is_some_and(|start| start.keep_head);
        let starts = model.config().extension().linear_skip && !kept;
        match self.training.skip_start {
            _ if !starts => return Ok(()),
            SkipStart::Zero => return Ok(()),
            SkipStart::Season => return start_skip_at_season(model),
            SkipStart::Ridge => {}
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
