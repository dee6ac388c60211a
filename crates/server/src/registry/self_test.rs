//! The test of a model before it serves: one window, computed twice, must give finite numbers with equal bits.

use std::sync::Arc;

use ptsm::core::{BatchShape, Prediction};
use ptsm::data::{Batch, LabelledSet, Labels, Repair, Roles, Series, SeriesSet, Table};
use ptsm::forecast::ZeroShotOptions;
use ptsm::labeller::Predictions;
use ptsm::{Error, ErrorKind, Forecaster, Result};

use super::kind::Kind;

/// Steps of the window of a network that forecasts any series, and of its season.
const ROWS: usize = 96;
const SEASON: usize = 24;

/// Computes the window twice and compares.
pub(super) fn run(kind: &Kind) -> Result<()> {
    let compute = || -> Result<Vec<f64>> {
        match kind {
            Kind::Forecasts(model) => {
                let config = model.config();
                let shape = BatchShape {
                    size: 1,
                    context_length: config.context_length,
                    num_channels: config.num_input_channels,
                };
                let values = wave(shape.context_length * shape.num_channels);
                let mut output = Prediction::default();
                let batch = Batch::new(shape, values.iter().map(|&x| x as f32).collect())?;
                model.session()?.forward(&batch, &mut output)?;
                Ok(output.points().into_iter().map(f64::from).collect())
            }
            Kind::AnySeries(network) => {
                let table = Table::new(vec![ptsm::data::Column::numbers("y", wave(ROWS))])?;
                let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default())?;
                let options = ZeroShotOptions { steps: SEASON, levels: None };
                let model = Arc::new(network.model(SEASON, &set, &options)?);
                let forecasts = Forecaster::new(model)?.predict(&set, 0)?;
                Ok(forecasts.into_iter().flat_map(|forecast| forecast.values).collect())
            }
            Kind::Labels(labeller) => {
                let mut labeller =
                    labeller.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).another()?;
                let channels = labeller.preprocessor().channels.clone();
                let values = wave(labeller.config().context_length * channels.len());
                let case = Series::new("self-test", channels.len(), values)?;
                let set = LabelledSet::new(channels, vec![case], Labels::Unknown(1))?;
                Ok(match labeller.predict(&set)? {
                    Predictions::Logits(logits) => logits.into_iter().map(f64::from).collect(),
                    Predictions::Values(values) => values,
                })
            }
        }
    };
    let (first, second) = (compute()?, compute()?);
    let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Arc<[u64]>>();
    let text = match (first.iter().find(|x| !x.is_finite()), bits(&first) == bits(&second)) {
        (Some(value), _) => format!("the self-test gives {value}, not a finite number"),
        (None, false) => "the self-test gives other bits the second time".to_owned(),
        (None, true) => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidWeights, text))
}

/// Values of the size that standardised data have.
fn wave(count: usize) -> Vec<f64> {
    (0..count).map(|i| (i as f64 * 0.37).sin() + (i as f64 * 0.051).cos()).collect()
}
