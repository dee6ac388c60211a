//! The loop of a backtest: cutoff after cutoff, block of series after block.

use serde_json::json;

use super::block::{Forecasts, Known, Plan};
use super::contestant::{Contestant, Refit, before};
use super::journal::{BlockName, Journal};
use super::origins::Origins;
use super::report::BacktestReport;
use super::ridge::ridge;
use super::table::BacktestBlock;
use super::totals::{Place, Totals};
use crate::data::Series;
use crate::ensemble::Method;
use crate::evaluate::{Measure, THETA_LIMIT};
use crate::forecast::{ScoredForecast, forecast_times};
use crate::job::SeriesData;
use crate::{Error, ErrorKind, Forecaster, Result};
use ptsm_core::{bytes_of, require_memory, sha256};

/// Series, and channels of series, of a block: enough for every thread, few enough that memory does not grow
/// with their number.
const SERIES_AT_ONCE: usize = 256;
const CHANNELS_AT_ONCE: usize = 1024;

/// A backtest of series.
#[derive(Debug, Clone)]
pub struct Backtest<'a> {
    /// The series, with the split of the training, which refits keep the proportion of, and the season.
    pub data: &'a SeriesData,
    /// The cutoffs.
    pub origins: Origins,
    /// When models are trained again.
    pub refit: Refit,
    /// Whether simple forecasts are scored on the same points: the last value, the seasonal naive forecast,
    /// the drift, Theta, and a ridge regression of the rows before the first cutoff.
    pub baselines: bool,
    /// Whether Theta is among them also where that takes long, see [`THETA_LIMIT`].
    pub every_theta: bool,
    /// By what forecasters are compared.
    pub measure: Measure,
}

/// Hears of a backtest in progress; an error from it stops the backtest with that error.
pub trait BacktestObserver {
    /// The forecasts of a block are there.
    ///
    /// # Errors
    ///
    /// Whatever stops the backtest.
    fn block(&mut self, block: &BacktestBlock<'_>) -> Result<()>;

    /// So many of all windows are done.
    ///
    /// # Errors
    ///
    /// Whatever stops the backtest.
    fn progress(&mut self, done: usize, windows: usize) -> Result<()> {
        let _ = (done, windows);
        Ok(())
    }

    /// A model is trained again; the text says which part of it, and is empty between.
    ///
    /// # Errors
    ///
    /// Whatever stops the backtest.
    fn training(&mut self, cutoff: usize, text: &str) -> Result<()> {
        let _ = (cutoff, text);
        Ok(())
    }
}

/// An observer that hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl BacktestObserver for Silent {
    fn block(&mut self, _: &BacktestBlock<'_>) -> Result<()> {
        Ok(())
    }
}

/// The state of a run.
pub(super) struct Run<'a, 'b> {
    pub(super) backtest: &'a Backtest<'a>,
    pub(super) contestants: &'b mut [Contestant],
    journal: Option<&'b mut Journal>,
    pub(super) plan: Plan,
    /// The linear baseline, or why there is none; `None` without baselines.
    pub(super) ridge: Option<std::result::Result<Forecaster, String>>,
    /// Of the contestants, the simple forecasts of the plan, and the ridge regression.
    pub(super) totals: Vec<Totals>,
    /// The cutoff that the models were last trained before.
    trained: Option<usize>,
    /// Windows of all series and cutoffs, and how many are done.
    windows: usize,
    done: usize,
}

impl Backtest<'_> {
    /// What the forecasts depend on, for the [`Journal`] that keeps them.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the instruction set that was asked for is not there.
    pub fn described(&self, contestants: &[Contestant]) -> Result<String> {
        let model = |one: &Contestant| {
            let forecaster = &one.forecaster;
            let parts = json!([
                forecaster.model().fingerprint(),
                forecaster.preprocessor(),
                forecaster.calibration(),
                forecaster.interval_levels(),
            ]);
            json!([one.name, sha256(parts.to_string().as_bytes())])
        };
        let models: Vec<serde_json::Value> = contestants.iter().map(model).collect();
        let what = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "instruction_set": ptsm_core::instruction_set()?.name(),
            "data": self.data.set.fingerprint(),
            "split": self.data.split,
            "season": self.data.seasonal_period,
            "origins": self.origins,
            "refit": self.refit.to_string(),
            "models": models,
        });
        Ok(what.to_string())
    }

    /// Forecasts every series from every cutoff by every contestant, the first of which is the one that is
    /// tested, and scores them.
    ///
    /// The bits of forecasts and scores do not depend on the number of threads, on the size of blocks, or on
    /// whether the run was killed and resumed from its journal.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if every series is too short, stating the numbers, or a forecast is not finite;
    /// `InvalidConfig` if contestants forecast other channels than the first; `OutOfMemory`; what the
    /// observer returns; errors of trainings.
    pub fn run(
        &self,
        contestants: &mut [Contestant],
        journal: Option<&mut Journal>,
        observer: &mut dyn BacktestObserver,
    ) -> Result<BacktestReport> {
        let plan = self.plan(contestants)?;
        let (cutoffs, steps) = (self.origins.windows, self.origins.steps);
        let series = self.data.set.series.len();
        let ridge = match self.baselines {
            true => Some(self.ridge(&plan, &contestants[0].forecaster)?),
            false => None,
        };
        let linear = usize::from(matches!(ridge, Some(Ok(_))));
        let forecasters = contestants.len() + plan.baselines.len() + linear;
        // Some hundred bytes of sums for each.
        let bytes = bytes_of(&[forecasters, series + cutoffs + steps, 600]);
        require_memory("the sums of a backtest", bytes, "fewer series or cutoffs")?;
        let totals = vec![Totals::new(cutoffs, steps, series); forecasters];
        let mut run = Run {
            backtest: self,
            contestants,
            journal,
            plan,
            ridge,
            totals,
            trained: None,
            windows: self.windows(),
            done: 0,
        };
        observer.progress(0, run.windows)?;
        for cutoff in 0..cutoffs {
            run.cutoff(cutoff, observer)?;
        }
        run.report()
    }

    /// The windows of all series and cutoffs.
    fn windows(&self) -> usize {
        (0..self.origins.windows).map(|cutoff| self.eligible(cutoff).count()).sum()
    }

    /// Numbers of the series that are forecast from a cutoff.
    pub(super) fn eligible(&self, cutoff: usize) -> impl Iterator<Item = usize> {
        let all = self.data.set.series.iter().enumerate();
        all.filter(move |(_, one)| self.origins.has_past(one, cutoff)).map(|(number, _)| number)
    }

    fn plan(&self, contestants: &[Contestant]) -> Result<Plan> {
        let Some(first) = contestants.first() else {
            return Err(Error::config("model", "there is none, wanted at least one"));
        };
        let channels = first.forecaster.config().prediction_channels();
        for one in contestants {
            let own = one.forecaster.config();
            if own.prediction_channels() != channels
                || own.num_input_channels != self.data.set.channels.len()
            {
                let text = "forecasts other channels than the first model";
                return Err(Error::config("versus", text).at(&one.name));
            }
        }
        if self.eligible(self.origins.windows - 1).next().is_none() {
            let longest = self.data.set.series.iter().map(Series::num_rows).max();
            let text = format!(
                "no series has a known value before the last cutoff, which lies {} rows before the end (the \
                 longest series has {} rows; forecast fewer steps)",
                self.origins.steps,
                longest.unwrap_or_default()
            );
            return Err(Error::input(text));
        }
        let past = first.forecaster.model().recent_rows();
        let season = self.data.seasonal_period.max(1);
        let mut plan =
            Plan { steps: self.origins.steps, channels, season, baselines: Vec::new(), past };
        if self.baselines {
            let seasonal = (season > 1 && season <= past).then_some(Method::SeasonalNaive);
            let theta = (self.every_theta || self.theta_points(&plan) <= THETA_LIMIT)
                .then_some(Method::Theta);
            plan.baselines = std::iter::once(Method::RepeatLast)
                .chain(seasonal)
                .chain([Method::Drift])
                .chain(theta)
                .collect();
        }
        Ok(plan)
    }

    /// The linear baseline, or why there is none.
    fn ridge(
        &self,
        plan: &Plan,
        first: &Forecaster,
    ) -> Result<std::result::Result<Forecaster, String>> {
        match ridge(self.data, self.origins, plan, first) {
            Ok(found) => Ok(Ok(found)),
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidConfig) => {
                Ok(Err(format!("ridge: on the rows before the first cutoff: {e}")))
            }
            Err(e) => Err(e.at("ridge")),
        }
    }

    /// Points that Theta would be fitted to.
    fn theta_points(&self, plan: &Plan) -> usize {
        let of_cutoff = |cutoff: usize| -> usize {
            let rows = self.origins.rows_before_end(cutoff);
            let past = |number: usize| {
                self.data.set.series[number].num_rows().saturating_sub(rows).min(plan.past)
            };
            self.eligible(cutoff).map(past).sum()
        };
        (0..self.origins.windows).map(of_cutoff).sum::<usize>() * plan.channels.len()
    }
}

impl Run<'_, '_> {
    fn cutoff(&mut self, cutoff: usize, observer: &mut dyn BacktestObserver) -> Result<()> {
        let numbers: Vec<usize> = self.backtest.eligible(cutoff).collect();
        let channels = self.backtest.data.set.channels.len();
        let at_once = (CHANNELS_AT_ONCE / channels.max(1)).clamp(1, SERIES_AT_ONCE);
        for (block, numbers) in numbers.chunks(at_once).enumerate() {
            let name = BlockName { cutoff, block };
            let series = numbers.iter().map(|&number| &self.backtest.data.set.series[number]);
            let series: Vec<&Series> = series.collect();
            let found = match self.kept(name, &series)? {
                Some(found) => found,
                None => self.forecast(name, &series, observer)?,
            };
            let rows = self.backtest.origins.rows_before_end(cutoff);
            let known = self.plan.all_known(&series, rows);
            let linear = match &mut self.ridge {
                Some(Ok(ridge)) => {
                    let (set, steps) = (&self.backtest.data.set, self.plan.steps);
                    Some(
                        ridge
                            .predict_scored(set, &series, rows, steps)
                            .map_err(|e| e.at("ridge"))?,
                    )
                }
                _ => None,
            };
            self.score(cutoff, numbers, &known, &found, linear.as_deref());
            observer.block(&BacktestBlock::new(
                &self.backtest.data.set,
                self.contestants,
                cutoff,
                series,
                found,
                known,
            ))?;
            self.done += numbers.len();
            observer.progress(self.done, self.windows)?;
        }
        Ok(())
    }

    /// The forecasts of a block from the journal.
    fn kept(
        &mut self,
        name: BlockName,
        series: &[&Series],
    ) -> Result<Option<Vec<Vec<ScoredForecast>>>> {
        let Some(journal) = self.journal.as_deref_mut() else { return Ok(None) };
        let Some(kept) = journal.get(name)? else { return Ok(None) };
        let origins = self.backtest.origins;
        let set = &self.backtest.data.set;
        let rows = origins.rows_before_end(name.cutoff);
        let mut all = Vec::with_capacity(kept.len());
        for (one, numbers) in self.contestants.iter().zip(kept) {
            let empty = one.forecaster.model().interface().empty_forecast();
            let filled = numbers.into_iter().zip(series).map(|(numbers, series)| {
                let mut forecast = empty.clone();
                forecast.id.clone_from(&series.id);
                forecast.first_row = series.num_rows().saturating_sub(rows);
                let first = forecast.first_row;
                forecast.timestamps = forecast_times(set, series, first..first + origins.steps);
                numbers.fill(forecast)
            });
            all.push(filled.collect());
        }
        Ok(Some(all))
    }

    /// Forecasts a block by every contestant, after the training that is due.
    fn forecast(
        &mut self,
        name: BlockName,
        series: &[&Series],
        observer: &mut dyn BacktestObserver,
    ) -> Result<Vec<Vec<ScoredForecast>>> {
        let Backtest { data, origins, refit, .. } = *self.backtest;
        let due = refit.cutoff(name.cutoff).filter(|due| self.trained != Some(*due));
        if let Some(due) = due {
            if self.contestants.iter().any(|one| one.again.is_some()) {
                let rows = before(data, origins, due)?;
                for one in self.contestants.iter_mut() {
                    one.train(&rows, &mut |text| observer.training(due, text)).map_err(|e| {
                        e.at(format!("{}, trained on the rows before cutoff {}", one.name, due + 1))
                    })?;
                }
            }
            self.trained = Some(due);
        }
        let rows = origins.rows_before_end(name.cutoff);
        let mut all = Vec::with_capacity(self.contestants.len());
        for one in self.contestants.iter_mut() {
            let found = one.forecaster.predict_scored(&data.set, series, rows, origins.steps);
            all.push(found.map_err(|e| e.at(&one.name))?);
        }
        if let Some(journal) = self.journal.as_deref_mut() {
            journal.push(name, &all)?;
        }
        Ok(all)
    }

    fn score(
        &mut self,
        cutoff: usize,
        numbers: &[usize],
        known: &[Known],
        found: &[Vec<ScoredForecast>],
        linear: Option<&[ScoredForecast]>,
    ) {
        let rows = self.backtest.origins.rows_before_end(cutoff);
        let place = |&series: &usize| {
            let seen = self.contestants.iter().any(|one| self.saw(one, series, rows).is_some());
            Place { cutoff, series, seen }
        };
        let places: Vec<Place> = numbers.iter().map(place).collect();
        let models = found.iter().map(|forecasts| Forecasts::Model(forecasts));
        let baselines = (0..self.plan.baselines.len()).map(Forecasts::Baseline);
        let linear = linear.map(Forecasts::Model);
        for (forecasts, totals) in models.chain(baselines).chain(linear).zip(&mut self.totals) {
            let windows = forecasts.sums(known, &mut totals.by_step);
            for (&place, window) in places.iter().zip(&windows) {
                totals.add(place, window);
            }
        }
    }
}
