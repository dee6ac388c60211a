//! Scores of several forecasting heads, each on its own windows, in one pass of the backbone.

use std::sync::Arc;

use super::files::SharedHead;
use super::shared::SharedModel;
use crate::data::WindowSet;
use crate::evaluate::{Accumulator, Detail, MaseScale, Metrics, ScoredWindows, select_channels};
use crate::{Error, Result};
use ptsm_core::OutputSpec;

/// The windows that one head is scored on.
#[derive(Debug, Clone)]
pub struct HeadWindows {
    /// Windows of the head's own horizon.
    pub windows: WindowSet,
    /// Scale for MASE, for all channels of the windows; `None` leaves MASE out.
    pub mase_scale: Option<MaseScale>,
}

/// One head, and its progress through its windows.
struct Scored<'a> {
    windows: &'a WindowSet,
    spec: Arc<OutputSpec>,
    steps: usize,
    sums: Accumulator,
    /// Number of its next window.
    next: usize,
}

/// Scores every head of `shared` on its own windows: `windows` has one set for each head, all over
/// the same rows. `batch_size` windows (at least 1) go through the backbone at once, which does not
/// affect the scores; `detail` selects the parts listed besides the totals. A head with a short
/// horizon has more windows than one with a long horizon; windows that start at the same row share
/// one pass of the backbone. The scores have the same bits as those of each head alone.
///
/// # Errors
///
/// `InvalidConfig` if a head does not forecast; `InvalidInput` if a set has another horizon than its
/// head or no window, the sets are of different rows, or a forecast is not finite.
pub fn score_heads(
    shared: &mut SharedModel,
    windows: &[HeadWindows],
    batch_size: usize,
    detail: Detail,
) -> Result<Vec<Metrics>> {
    let mut heads = start(shared.heads(), windows)?;
    // The head with the shortest horizon has every start that another head has.
    let Some(all) = windows.iter().map(|head| &head.windows).max_by_key(|all| all.len()) else {
        return Err(Error::config("heads", "wanted one or more names"));
    };
    let indices: Vec<usize> = (0..all.len()).collect();
    for part in indices.chunks(batch_size.max(1)) {
        let batch = all.batch(part);
        let outputs = shared.forward(&batch)?;
        for (head, output) in heads.iter_mut().zip(&outputs) {
            head.add(all, part, &output.points())?;
        }
    }
    if heads.iter().any(|head| head.next != head.windows.len()) {
        return Err(Error::input("the windows of the heads are not of the same rows"));
    }
    heads.into_iter().map(|head| head.sums.metrics(detail)).collect()
}

fn start<'a>(heads: &[SharedHead], windows: &'a [HeadWindows]) -> Result<Vec<Scored<'a>>> {
    if heads.len() != windows.len() {
        let text = format!("{} heads have {} sets of windows", heads.len(), windows.len());
        return Err(Error::input(text));
    }
    let start = |(head, own): (&SharedHead, &'a HeadWindows)| {
        let HeadWindows { windows, mase_scale } = own;
        head.require_forecast()?;
        let spec = head.model.output();
        let (got, steps) = (windows.shape().prediction_length, spec.prediction_length());
        if got != steps || windows.is_empty() {
            let count = windows.len();
            let text = format!(
                "head \"{}\" forecasts {steps} steps, its {count} windows have {got}",
                head.name
            );
            return Err(Error::input(text));
        }
        let scale = mase_scale.as_ref().map(|scale| scale.select(spec.channels()));
        let sums = Accumulator::new(steps, spec.channels().len(), scale.as_ref())?;
        Ok(Scored { windows, spec: Arc::clone(spec), steps, sums, next: 0 })
    };
    heads.iter().zip(windows).map(start).collect()
}

impl Scored<'_> {
    /// Adds those of the windows `part` of `all` that are also windows of this head.
    fn add(&mut self, all: &WindowSet, part: &[usize], points: &[f32]) -> Result<()> {
        let each = self.steps * self.spec.channels().len();
        let (mut own, mut forecast) = (Vec::new(), Vec::new());
        for (&index, points) in part.iter().zip(points.chunks_exact(each)) {
            if self.next == self.windows.len() {
                break;
            }
            let (wanted, first) = self.windows.locate(self.next);
            let (series, start) = all.locate(index);
            if start == first && series.id == wanted.id {
                own.push(self.next);
                forecast.extend_from_slice(points);
                self.next += 1;
            }
        }
        if own.is_empty() {
            return Ok(());
        }
        let batch = self.windows.batch(&own);
        let kept =
            |values: &[f32]| select_channels(values, batch.num_channels(), self.spec.channels());
        let Some(truth) = batch.future_values().map(kept) else {
            return Err(Error::internal("windows with a future gave a batch without"));
        };
        let mask = batch.future_observed_mask().map(kept);
        self.sums.push_windows(&ScoredWindows {
            windows: self.windows,
            indices: &own,
            forecast: &forecast,
            truth: &truth,
            mask: mask.as_deref(),
        })
    }
}
