//! Scores a forecaster and the baselines on one part of the data.

use std::time::Instant;

use ptsm::data::{Prepared, Segment, SeriesSet, Split, WindowSet, WindowShape, prepare};
use ptsm::evaluate::{
    BaselineOutcome, BaselinePlan, Detail, EvaluateOptions, Evaluation, MaseScale, Metrics,
    evaluate, score_baselines,
};
use ptsm::{Config, Forecaster, Result};

use crate::global::Global;
use crate::progress::Progress;

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }

    pub(crate) fn windows(self, prepared: &Prepared) -> &WindowSet {
        match self {
            Part::Train => &prepared.train,
            Part::Validation => &prepared.validation,
            Part::Test => &prepared.test,
        }
    }
}

/// What is scored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring {
    pub(crate) part: Part,
    pub(crate) baselines: bool,
    pub(crate) batch_size: usize,
    pub(crate) per_step: bool,
    pub(crate) per_channel: bool,
}

/// Windows of new data under the model's own standardisation and split.
pub(crate) fn prepare_for(
    forecaster: &Forecaster,
    set: &SeriesSet,
    borders: Option<Split>,
) -> Result<Prepared> {
    let Config { context_length, prediction_length, .. } = *forecaster.config();
    let shape = WindowShape { context_length, prediction_length, step: 1 };
    let preprocessor = forecaster.preprocessor();
    let split = borders.unwrap_or(preprocessor.split);
    prepare(set, &split, shape, None, Some(&preprocessor.standardiser))
}

/// Scores the model and the baselines on every window of one part.
pub(crate) fn score(
    global: &Global,
    forecaster: &mut Forecaster,
    prepared: &Prepared,
    dataset: &str,
    scoring: &Scoring,
) -> Result<Evaluation> {
    let windows = scoring.part.windows(prepared);
    let season = forecaster.preprocessor().seasonal_period;
    let config = forecaster.config().clone();
    let channels = config.prediction_channels();
    let progress = std::cell::RefCell::new(Progress::new(global, "scoring", windows.len() as u64));
    let tick = |done: usize, _: usize| {
        progress.borrow_mut().update(done as u64, "");
        Ok(())
    };
    let train: &[Segment] = prepared.train.segments();
    let mut options = EvaluateOptions {
        batch_size: scoring.batch_size,
        channels: Some(channels.clone()),
        mase_scale: Some(MaseScale::fit(train, season)?),
        detail: Detail { per_step: scoring.per_step, per_channel: scoring.per_channel },
        progress: Some(&tick),
    };
    let began = Instant::now();
    let model = evaluate(&mut |batch| forecaster.forward(batch), windows, &options)?;
    let seconds = began.elapsed().as_secs_f64();
    options.progress = None;
    progress.borrow_mut().finish();
    let baselines = match scoring.baselines {
        false => Vec::new(),
        true => {
            let plan = BaselinePlan {
                season_length: (season > 1).then_some(season),
                ridge: Some((&prepared.train, &prepared.validation)),
            };
            score_baselines(windows, &plan, &options)?
        }
    };
    let probabilistic = forecaster.interval_scores(windows)?;
    let names = &forecaster.preprocessor().channels;
    Ok(Evaluation {
        probabilistic,
        coherence: None,
        dataset: dataset.to_owned(),
        split: scoring.part.name().to_owned(),
        context_length: config.context_length,
        prediction_length: config.prediction_length,
        seconds,
        model,
        channel_names: channels.iter().map(|&c| names[c].clone()).collect(),
        baselines,
    })
}

/// Removes the errors of single steps and channels unless they are asked for.
pub(crate) fn trim(evaluation: &mut Evaluation, per_step: bool, per_channel: bool) {
    let trim = |metrics: &mut Metrics| {
        if !per_step {
            metrics.per_step = None;
        }
        if !per_channel {
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

/// The model and every baseline that was scored.
pub(crate) fn named_metrics(evaluation: &Evaluation) -> Vec<NamedMetrics<'_>> {
    let (name, metrics) = ("PatchTSMixer".to_owned(), &evaluation.model);
    let mut all = vec![NamedMetrics { name, metrics, is_model: true }];
    for baseline in &evaluation.baselines {
        if let BaselineOutcome::Scored(metrics) = &baseline.outcome {
            let name = baseline.name.replace('_', " ");
            all.push(NamedMetrics { name, metrics, is_model: false });
        }
    }
    all
}
