//! The backtest of a forecaster in a line.

use super::contestant::{Contestant, Refit};
use super::origins::Origins;
use super::report::BacktestReport;
use super::run::{Backtest, BacktestObserver};
use super::table::BacktestBlock;
use crate::data::Grid;
use crate::evaluate::Measure;
use crate::fit::SeriesSource;
use crate::job::SeriesData;
use crate::{Forecast, Forecaster, Result};

/// Options of [`Forecaster::backtest`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BacktestOptions {
    /// Number of cutoffs.
    pub windows: usize,
    /// Rows from one cutoff to the next; `None` = a horizon.
    pub step: Option<usize>,
    /// Steps that are forecast; `None` = the model's own.
    pub prediction_length: Option<usize>,
    /// Whether simple forecasts are scored on the same points.
    pub baselines: bool,
    /// By what forecasters are compared.
    pub measure: Measure,
}

impl Default for BacktestOptions {
    fn default() -> Self {
        Self {
            windows: 5,
            step: None,
            prediction_length: None,
            baselines: true,
            measure: Measure::default(),
        }
    }
}

impl BacktestOptions {
    /// So many cutoffs.
    pub fn windows(windows: usize) -> Self {
        Self { windows, ..Self::default() }
    }
}

/// Scores and forecasts of a backtest.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Backtested {
    /// The scores.
    pub report: BacktestReport,
    /// The forecasts, cutoff after cutoff, in each the series in their order.
    pub forecasts: Vec<Forecast>,
}

struct Collected(Vec<Forecast>);

impl BacktestObserver for Collected {
    fn block(&mut self, block: &BacktestBlock<'_>) -> Result<()> {
        self.0.extend(block.forecasts.first().into_iter().flatten().cloned());
        Ok(())
    }
}

impl Forecaster {
    /// Forecasts `data` from rolling cutoffs by this forecaster as it is, and scores it beside simple
    /// forecasts. [`Backtest`] has more: refits, other models, forecasts that are handed out as they come.
    ///
    /// ```
    /// use ptsm::backtest::BacktestOptions;
    /// use ptsm::data::Dataset;
    /// use ptsm::{FitOptions, Forecaster};
    ///
    /// # fn main() -> ptsm::Result<()> {
    /// let table = Dataset::embedded_table()?;
    /// let options = FitOptions::steps(12).context(48).epochs(1);
    /// let forecaster = Forecaster::fit(&table, &options)?;
    /// let found = forecaster.backtest(&table, &BacktestOptions::windows(4))?;
    /// assert_eq!(found.forecasts.len(), 4);
    /// assert!(found.report.models[0].overall.mase.is_some());
    /// println!("{}", found.report.table());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Backtest::run`], and [`Origins::new`]; `InvalidInput` if a column is missing or damaged.
    pub fn backtest(
        &self,
        data: &impl SeriesSource,
        options: &BacktestOptions,
    ) -> Result<Backtested> {
        let preprocessor = self.preprocessor();
        let data = SeriesData {
            name: preprocessor.dataset.clone(),
            set: data.series(Some(preprocessor))?,
            split: preprocessor.split,
            missing: preprocessor.missing.clone(),
            grid: Grid::Regular,
            seasonal_period: preprocessor.seasonal_period,
            effects: None,
            covariates: None,
        };
        let steps = options.prediction_length.unwrap_or(self.config().prediction_length);
        let contestant = Contestant {
            name: "model".to_owned(),
            forecaster: Self::new(self.model().clone())?,
            split: (!preprocessor.takes_any_series()).then_some(preprocessor.split),
            with_validation: false,
            again: None,
        };
        let backtest = Backtest {
            data: &data,
            origins: Origins::new(steps, options.windows, options.step)?,
            refit: Refit::Never,
            baselines: options.baselines,
            every_theta: false,
            measure: options.measure,
        };
        let mut collected = Collected(Vec::new());
        let report = backtest.run(&mut [contestant], None, &mut collected)?;
        Ok(Backtested { report, forecasts: collected.0 })
    }
}
