//! What computes the forecasts of streams: a shared model, a session and buffers.

use std::sync::Arc;

use super::state::{StreamRow, StreamState};
use crate::data::{Batch, BatchShape, Standardiser};
use crate::forecast::{Forecast, ForecastModel, ForecastUnits, OneContext};
use crate::{Config, Result};
use ptsm_core::{Prediction, Session};

/// Serves any number of streams of one model, one row at a time. The weights are those of the shared
/// model; a thread that serves streams has a worker of its own.
///
/// After the first forecasts a model with point forecasts allocates nothing.
pub struct StreamWorker {
    model: Arc<ForecastModel>,
    session: Box<dyn Session>,
    batch: Batch,
    /// What the window is standardised by.
    units: ForecastUnits,
    output: Prediction,
    /// Standardised points of the last forecast.
    points: Vec<f32>,
    forecast: Forecast,
}

impl StreamWorker {
    /// A further worker of this model.
    ///
    /// # Errors
    ///
    /// As [`ForecastModel::session`].
    pub fn new(model: Arc<ForecastModel>) -> Result<Self> {
        let session = model.session()?;
        Ok(Self::with_session(model, session))
    }

    pub(super) fn with_session(model: Arc<ForecastModel>, session: Box<dyn Session>) -> Self {
        let Config { context_length, num_input_channels: num_channels, .. } = *model.config();
        let shape = BatchShape { size: 1, context_length, num_channels };
        let scale = Standardiser {
            transform: model.preprocessor().standardiser.transform,
            ..Standardiser::identity(num_channels)
        };
        let batch = Batch::zeros(shape).with_origin(scale.origin());
        Self {
            batch: batch.expect("there is one origin for each channel"),
            units: ForecastUnits::without_effects(scale),
            forecast: model.interface().empty_forecast(),
            output: Prediction::default(),
            points: Vec::new(),
            session,
            model,
        }
    }

    /// The model that all its streams are of.
    pub fn model(&self) -> &Arc<ForecastModel> {
        &self.model
    }

    /// Takes a row into a stream; gives a forecast if one is due, which is, bit for bit, that of
    /// [`Forecaster::predict`](crate::Forecaster::predict) for a series that ends with this row.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the stream is of another model, the row has another number of values, one
    /// that is infinite or beyond the range of f32, no time or one that is not on the grid, or is a
    /// duplicate that is refused; the row then changes nothing. `InvalidInput` too if the forecast is
    /// not finite; the row is taken in then. In both cases the stream can continue.
    pub fn push(
        &mut self,
        state: &mut StreamState,
        row: StreamRow<'_>,
    ) -> Result<Option<&Forecast>> {
        state.check_model(&self.model)?;
        if !state.take(&self.model, row)? {
            return Ok(None);
        }
        let Self { model, session, batch, units, output, points, forecast } = self;
        state.copy_window(model, batch, &mut units.scale);
        session.forward(batch, output)?;
        let context = OneContext { batch, units };
        model.interface().read_one(output, context, points, forecast);
        if forecast.id != state.id() {
            state.id().clone_into(&mut forecast.id);
        }
        forecast.check_finite()?;
        let first_row = state.keep_forecast(model, &forecast.values, &mut forecast.timestamps);
        forecast.first_row = first_row as usize;
        Ok(Some(forecast))
    }
}
