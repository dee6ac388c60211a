//! Coherence of a hierarchical forecast: how far its steps are from the segment sums forecast with
//! them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::WindowSet;
use crate::{Error, Result};
use ptsm_core::Hierarchy;
use ptsm_core::{ForwardOptions, Model};

/// Windows per parallel piece.
const PIECE: usize = 16;

/// Difference between the bottom-up sums of a forecast's segments and the sums that the hierarchical
/// reconciliation head forecast itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Coherence {
    /// Root of the mean squared difference, in units of one step (divided by the segment's length).
    pub rmse: f64,
    /// The same, divided by the root mean square of the forecast sums.
    pub relative: f64,
}

impl Coherence {
    /// Measures `model` on every window of a set.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the model has no hierarchical head; `InvalidInput` if there is no window,
    /// or they do not fit the model.
    pub fn new(model: &Model, windows: &WindowSet) -> Result<Self> {
        let Some(hierarchy) = &model.config().extension().hierarchy else {
            let text = "is not set: the model forecasts no segment sums";
            return Err(Error::config("ptsm.hierarchy", text));
        };
        let indices: Vec<usize> = (0..windows.len()).collect();
        let parts: Vec<Result<(f64, f64, usize)>> = indices
            .par_chunks(PIECE)
            .map(|indices| {
                let forward = model.forward(&windows.batch(indices), ForwardOptions::default())?;
                Ok(differences(model, hierarchy, &forward.outputs))
            })
            .collect();
        let (mut squares, mut sums, mut count) = (0.0, 0.0, 0);
        for part in parts {
            let part = part?;
            squares += part.0;
            sums += part.1;
            count += part.2;
        }
        if count == 0 {
            return Err(Error::input("there is no window to score"));
        }
        let length = hierarchy.segment_length as f64;
        Ok(Self {
            rmse: (squares / count as f64).sqrt() / length,
            relative: if sums > 0.0 { (squares / sums).sqrt() } else { 0.0 },
        })
    }
}

/// Squared differences, squared sums, and their number.
fn differences(
    model: &Model,
    hierarchy: &Hierarchy,
    outputs: &ptsm_core::Outputs<f32>,
) -> (f64, f64, usize) {
    let steps = model.config().prediction_length;
    let channels = model.config().prediction_channels().len();
    let segments = steps / hierarchy.segment_length;
    let (mut squares, mut sums) = (0.0, 0.0);
    for (i, &sum) in outputs.aggregates.iter().enumerate() {
        let (b, s, k) = (i / (segments * channels), i / channels % segments, i % channels);
        let first = s * hierarchy.segment_length;
        let bottom_up: f64 = (first..first + hierarchy.segment_length)
            .map(|t| f64::from(outputs.prediction[(b * steps + t) * channels + k]))
            .sum();
        squares += (bottom_up - f64::from(sum)) * (bottom_up - f64::from(sum));
        sums += f64::from(sum) * f64::from(sum);
    }
    (squares, sums, outputs.aggregates.len())
}
