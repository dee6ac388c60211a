//! Scores of a [`Forecaster`] on data like its training data, beside baselines.

use std::time::Instant;

use crate::data::{
    Batch, Part, Prepared, Series, SeriesSet, Split, Standardiser, WindowShape, prepare_for_scores,
};
use crate::evaluate::{
    BaselinePlan, Detail, EvaluateOptions, Evaluation, MaseScale, Measure, evaluate,
    score_baselines,
};
use crate::fit::SeriesSource;
use crate::{Config, Forecaster, Result};

/// Seasons that a baseline has to see, at least, to know the season.
const FEW_SEASONS: usize = 3;

/// Options of a score.
#[derive(Clone)]
pub struct ScoreOptions<'a> {
    /// Name of the data set, for the report.
    pub dataset: String,
    /// Part of the split.
    pub part: Part,
    /// Whether repeat-last, seasonal naive, drift, Theta and ridge are scored on the same windows.
    pub baselines: bool,
    /// Whether Theta is among them also where that takes long, see
    /// [`THETA_LIMIT`](crate::evaluate::THETA_LIMIT).
    pub every_theta: bool,
    /// Windows per forward pass, at least 1; does not affect the scores.
    pub batch_size: usize,
    /// Steps of the season, for MASE and the seasonal naive forecast; `None` = the model's.
    pub season: Option<usize>,
    /// By what the verdict compares with the best baseline.
    pub measure: Measure,
    /// Which parts to list besides the totals.
    pub detail: Detail,
    /// Called after each batch of the model's pass with the windows done and their total; an error
    /// from it stops the pass with that error.
    pub progress: Option<&'a dyn Fn(usize, usize) -> Result<()>>,
}

impl Default for ScoreOptions<'_> {
    fn default() -> Self {
        Self {
            dataset: "data".to_owned(),
            part: Part::Test,
            baselines: true,
            every_theta: false,
            batch_size: 256,
            season: None,
            measure: Measure::default(),
            detail: Detail::default(),
            progress: None,
        }
    }
}

impl Forecaster {
    /// Scores this forecaster and the baselines on every window of the test part of `data`, which
    /// are read and split like the training data.
    ///
    /// ```
    /// use ptsm::data::Dataset;
    /// use ptsm::{FitOptions, Forecaster};
    ///
    /// # fn main() -> ptsm::Result<()> {
    /// let table = Dataset::embedded_table()?;
    /// let options = FitOptions::steps(12).context(48).epochs(1);
    /// let evaluation = Forecaster::fit(&table, &options)?.evaluate(&table)?;
    /// assert!(evaluation.model.mse.is_finite());
    /// assert_eq!(evaluation.baselines.len(), 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it, or the data are too short for
    /// the split, stating the numbers.
    pub fn evaluate(&mut self, data: &impl SeriesSource) -> Result<Evaluation> {
        let set = data.series(Some(self.preprocessor()))?;
        let prepared = self.prepare(&set, None)?;
        self.score(&prepared, &ScoreOptions::default())
    }

    /// Every window of each part of `set`, standardised as in training; `split` replaces the split
    /// of the training.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the series do not fit the model or are too short, stating the numbers.
    pub fn prepare(&self, set: &SeriesSet, split: Option<Split>) -> Result<Prepared> {
        let Config { context_length, prediction_length, .. } = *self.config();
        let shape = WindowShape { context_length, prediction_length, step: 1 };
        let preprocessor = self.preprocessor();
        let split = split.unwrap_or(preprocessor.split);
        prepare_for_scores(set, &split, shape, &preprocessor.standardiser)
    }

    /// As [`Forecaster::prepare`]; where the split is the last rows, and fewer than the model's steps,
    /// each window has as many steps as there are, and the first ones of each forecast are scored.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::prepare`].
    pub fn prepare_up_to(&self, set: &SeriesSet, split: Option<Split>) -> Result<Prepared> {
        let preprocessor = self.preprocessor();
        let split = split.unwrap_or(preprocessor.split);
        let own = self.config().prediction_length;
        let prediction_length = match split {
            Split::Last { rows } => rows.clamp(1, own),
            _ => own,
        };
        let context_length = self.config().context_length;
        let shape = WindowShape { context_length, prediction_length, step: 1 };
        prepare_for_scores(set, &split, shape, &preprocessor.standardiser)
    }

    /// Series that have fewer rows before the first forecast of a part than the model looks back on
    /// ([`ForecastModel::wanted_rows`](crate::forecast::ForecastModel::wanted_rows)); of the training part those that
    /// hold no whole window. `split` replaces the split of the training.
    pub fn lacking_rows(&self, set: &SeriesSet, split: Option<Split>, part: Part) -> usize {
        let split = split.unwrap_or(self.preprocessor().split);
        let wanted = self.model().wanted_rows();
        let steps = self.config().prediction_length;
        let lacks = |series: &&Series| {
            // With a context of one row, since the own rows of a part do not depend on it.
            let borders = split.borders(series.num_rows(), series.timestamps.as_ref(), 1);
            borders.is_ok_and(|borders| match part {
                Part::Train => borders.train.len() < wanted + steps,
                Part::Validation => borders.train.end < wanted,
                Part::Test => borders.train.end.max(borders.validation.end) < wanted,
            })
        };
        set.series.iter().filter(lacks).count()
    }

    /// The first `steps` steps of forecasts `[B, H, C']` of this model, `[B, steps, C']`.
    fn first_steps(&self, forecasts: Vec<f32>, steps: usize) -> Vec<f32> {
        let own = self.config().prediction_length;
        if steps >= own {
            return forecasts;
        }
        let outputs = self.output_spec().channels().len();
        let windows = forecasts.chunks_exact(own * outputs);
        windows.flat_map(|window| window[..steps * outputs].iter().copied()).collect()
    }

    /// What the numbers of the scores mean.
    fn legend(&self, season: usize, context_length: usize, baselines: bool) -> String {
        let standardiser = &self.preprocessor().standardiser;
        let units = match *standardiser == Standardiser::identity(standardiser.num_channels()) {
            true => "in the units of the data",
            false => "in standardised units (1 = the deviation of the training rows)",
        };
        let naive = match season {
            0 | 1 => "the last value".to_owned(),
            season => format!("the last season, of {season} steps"),
        };
        let mut text = format!(
            "MSE, MAE and RMSE {units}; MASE: MAE divided by that of repeating {naive}, on the training rows"
        );
        if baselines {
            let seen = self.model().recent_rows().min(context_length);
            text += &format!(
                "\n* = best of its column; baselines see the {seen} steps before each forecast, as the model does"
            );
            // In so few steps a season is hardly told from chance.
            if season > 1 && seen < FEW_SEASONS * season {
                text += &format!(
                    "; these are too few to be sure of a season of {season} steps, so Theta mostly forecasts without \
                     one, and better where more steps are seen"
                );
            }
        }
        text
    }

    /// Scores this forecaster, and the baselines if asked, on every window of one part.
    ///
    /// # Errors
    ///
    /// As [`evaluate`] and [`score_baselines`].
    pub fn score(&mut self, prepared: &Prepared, options: &ScoreOptions<'_>) -> Result<Evaluation> {
        let windows = prepared.part(options.part);
        let plain = prepared.without_covariates()?;
        let season = options.season.unwrap_or(self.preprocessor().seasonal_period);
        let config = self.config().clone();
        let channels = config.prediction_channels();
        let mut passes = EvaluateOptions {
            batch_size: options.batch_size,
            channels: Some(channels.clone()),
            mase_scale: Some(MaseScale::fit(plain.train.segments(), season)?),
            scales: Some(&prepared.scales),
            detail: options.detail,
            progress: options.progress,
        };
        let began = Instant::now();
        let steps = windows.shape().prediction_length;
        let model = if prepared.with_effects.is_some() {
            let mut done = 0;
            let mut forecast = |plain_batch: &Batch| {
                // Windows come in their order.
                let indices: Vec<usize> = (done..done + plain_batch.size()).collect();
                done += plain_batch.size();
                let batch = windows.batch(&indices);
                let all = self.forward(&batch)?;
                let mut all = self.first_steps(all, steps);
                add_effects(&mut all, plain_batch, &batch, &channels);
                Ok(all)
            };
            evaluate(&mut forecast, plain.part(options.part), &passes)?
        } else {
            let mut forecast =
                |batch: &Batch| self.forward(batch).map(|all| self.first_steps(all, steps));
            evaluate(&mut forecast, windows, &passes)?
        };
        let seconds = began.elapsed().as_secs_f64();
        passes.progress = None;
        let baselines = match options.baselines {
            true => {
                let recent = self.model().recent_rows();
                let train = plain.train.shortened(recent, false);
                let validation = plain.validation.shortened(recent, true);
                let plan = BaselinePlan {
                    season_length: (season > 1).then_some(season),
                    every_theta: options.every_theta,
                    ridge: Some((&train, &validation)),
                };
                let windows = plain.part(options.part).shortened(recent, true);
                score_baselines(&windows, &plan, &passes)?
            }
            false => Vec::new(),
        };
        let mut probabilistic = self.interval_scores(windows)?;
        if let Some(scores) = probabilistic.as_mut().filter(|_| !options.detail.per_series) {
            scores.per_series = None;
        }
        let names = &self.preprocessor().channels;
        let mut evaluation = Evaluation {
            verdict: None,
            probabilistic,
            coherence: None,
            legend: self.legend(season, windows.shape().context_length, options.baselines),
            dataset: options.dataset.clone(),
            split: options.part.name().to_owned(),
            context_length: config.context_length,
            wanted_rows: self.model().wanted_rows().min(config.context_length),
            prediction_length: steps,
            seconds,
            model,
            channel_names: channels.iter().map(|&c| names[c].clone()).collect(),
            baselines,
        };
        evaluation.verdict = evaluation.judge(options.measure);
        Ok(evaluation)
    }
}

/// Adds what covariates do to forecasts `[B, H, C']`: the difference between the truth with and without their effects.
fn add_effects(forecasts: &mut [f32], with: &Batch, without: &Batch, channels: &[usize]) {
    let (Some(with), Some(without), all) =
        (with.future_values(), without.future_values(), with.num_channels())
    else {
        return;
    };
    for (place, forecast) in forecasts.iter_mut().enumerate() {
        let from = place / channels.len() * all + channels[place % channels.len()];
        *forecast += with[from] - without[from];
    }
}
