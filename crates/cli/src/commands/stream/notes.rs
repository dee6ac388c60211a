//! What `ptsm stream` says once of series that its detector cannot flag.

use ptsm::stream::StreamPanel;

use crate::global::Global;
use crate::output::remark;

/// What was said.
#[derive(Default)]
pub(super) struct Notes {
    unknown: bool,
    blind: bool,
}

impl Notes {
    /// Says of a series that begins that its points have no p-values, or none that is small enough; of the first such
    /// series alone.
    pub(super) fn of_series(&mut self, global: &Global, stream: &StreamPanel, id: &str) {
        let Some(detection) = stream.detection() else { return };
        let rows = match id {
            "" => "these rows".to_owned(),
            id => format!("series \"{id}\""),
        };
        let channels = detection.detector.channels();
        let smallest = |channel: &usize| detection.detector.smallest_p(id, *channel);
        let of_rows = |found: &[usize]| match found.len() == channels.len() {
            true => rows.clone(),
            false => format!("channel {} of {rows}", channels[found[0]]),
        };
        let unknown: Vec<usize> = (0..channels.len()).filter(|c| smallest(c).is_none()).collect();
        let is_blind = |c: &usize| smallest(c).is_some_and(|least| least > detection.alpha);
        let blind: Vec<usize> = (0..channels.len()).filter(is_blind).collect();
        if !unknown.is_empty() && !std::mem::replace(&mut self.unknown, true) {
            let text = format!(
                "note: points of {} are not calibrated, so they have no p-values and are not flagged (calibrate on rows \
                 of the same series, at least 20 with a forecast: ptsm detect --save); others like them are only counted",
                of_rows(&unknown)
            );
            remark(global, &text);
        }
        if let Some(least) = blind.first().and_then(smallest)
            && detection.adapt == 0.0
            && !std::mem::replace(&mut self.blind, true)
        {
            let alpha = detection.alpha;
            let text = format!(
                "note: no point of {} can be flagged at --alpha {alpha}, since p-values begin at {least:.2e} (calibrate \
                 on at least {:.0} points, or use a higher --alpha)",
                of_rows(&blind),
                (1.0 / alpha).ceil()
            );
            remark(global, &text);
        }
    }
}
