//! Series of a table as a model reads them.

use ptsm::data::{SeriesSet, Split};
use ptsm::forecast::{AnySeriesOptions, ForecastModel, OpenSeries};
use ptsm::spec::{DataSpec, Source};

use super::rows::{Rows, TableSource, limit};
use crate::failure::{Answered, Failure};
use crate::limits::Limits;
use crate::registry::{Kind, Served};

/// The series that a model would forecast from, with their season and the steps that are usual: those of the model, or, for
/// any series and without a model, those of the rows.
pub(crate) fn open(
    model: Option<&Served>,
    rows: &Rows,
    data: &DataSpec,
    limits: &Limits,
) -> Answered<OpenSeries> {
    let opened = match model.map(|model| &model.kind) {
        Some(Kind::Labels(_)) => return Err(labels_alone()),
        Some(Kind::Forecasts(model)) => {
            let rows = TableSource::Body(rows.clone());
            let (mut set, source) = trained_series(model, &rows, data, limits)?;
            let every_row = Split::Fraction { train: 1.0, validation: 0.0 };
            let data = data.for_model(model.preprocessor());
            let shown = DataSpec { split: Some(every_row), ..data };
            let season = shown.seasonal_period(&source, &mut set)?;
            OpenSeries { set, season, steps: model.config().prediction_length }
        }
        Some(Kind::AnySeries(_)) | None => {
            let source = Source::of_table(rows.read(&data.read_options()?, limits)?);
            let options = AnySeriesOptions { data, steps: None, levels: None, season_from: None };
            OpenSeries::read(&source, &options)?
        }
    };
    limit("series", opened.set.series.len(), limits.series)?;
    limit("channels", opened.set.channels.len(), limits.channels)?;
    Ok(opened)
}

/// The refusal of forecasts by a model that makes none.
pub(super) fn labels_alone() -> Failure {
    Failure::unusable("model: it labels cases (POST /v1/classify), and forecasts nothing")
}

/// The series of a table as a trained model reads them.
pub(super) fn trained_series(
    model: &ForecastModel,
    rows: &TableSource,
    data: &DataSpec,
    limits: &Limits,
) -> Answered<(SeriesSet, Source)> {
    if data.season.is_some() {
        return Err(Failure::unusable("season: is for models that forecast any series"));
    }
    let preprocessor = model.preprocessor();
    let data = data.for_model(preprocessor);
    let source = Source::of_table(rows.read(&data.read_options()?, limits)?);
    let (roles, repair) = (data.roles(), data.repair(&source)?);
    Ok((preprocessor.read_as(&source.table, &roles, &repair)?, source))
}
