//! Covariates of a training: what they are, and whether they help.

use ptsm::data::CalendarFeature;
use ptsm::job::SeriesData;
use ptsm::spec::DataSpec;
use ptsm::{Error, Result, Task};

use crate::global::Global;
use crate::output::remark;
use crate::words::words;

/// What is known ahead of a forecast.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct CovariateArgs {
    /// Columns that are known ahead, such as prices, promotions, planned output or another forecast; used if they
    /// help on the validation part
    ///
    /// They are no channels: a linear effect of each on every channel is fitted, taken off before anything is trained,
    /// and added to forecasts (regression with the errors of a model, or dynamic regression). `ptsm predict` needs them
    /// for the steps of the forecast: from rows at the end of the data that have no target, or from --future.
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    future_covariates: Option<Vec<String>>,
    /// What the calendar tells of each row, as covariates that need no plan; used if they help on the validation part
    #[arg(long, value_delimiter = ',', value_name = "FEATURE,...",
          value_parser = words::<CalendarFeature>(CalendarFeature::ALL.map(CalendarFeature::name)))]
    calendar: Option<Vec<CalendarFeature>>,
}

impl CovariateArgs {
    /// The specification with these covariates.
    pub(super) fn over(&self, spec: DataSpec) -> DataSpec {
        DataSpec {
            future_covariates: self.future_covariates.clone().or(spec.future_covariates),
            calendar: self.calendar.clone().or(spec.calendar),
            ..spec
        }
    }
}

/// Decides whether covariates help, and says so; refuses them where nothing is forecast.
pub(super) fn settle(
    global: &Global,
    data: &mut SeriesData,
    task: Task,
    prediction_length: usize,
) -> Result<()> {
    if data.set.covariates.is_empty() {
        return Ok(());
    }
    if task != Task::Forecasting {
        let calendar = data.set.roles.future_covariates.is_empty();
        let option = if calendar { "--calendar" } else { "--future-covariates" };
        return Err(Error::config(option, "is for forecasting (leave it out)"));
    }
    let Some(choice) = data.settle_covariates(prediction_length)? else { return Ok(()) };
    remark(global, &choice.sentence());
    for one in &choice.without_each {
        remark(global, &format!("  without {:16} {:.4}", one.name, one.error));
    }
    Ok(())
}
