//! What `ptsm stream` says once of series that its detector cannot flag.

use ptsm::stream::{StreamDetection, StreamPanel};

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
        if !detection.detector.is_calibrated(id) {
            if !std::mem::replace(&mut self.unknown, true) {
                let text = format!(
                    "note: {rows} are not calibrated, so their points have no p-values and are not flagged (calibrate \
                     on rows of the same series, at least 20 with a forecast: ptsm detect --save); others like them \
                     are only counted"
                );
                remark(global, &text);
            }
        } else if let Some(smallest) = smallest_p(detection, id)
            && smallest > detection.alpha
            && detection.adapt == 0.0
            && !std::mem::replace(&mut self.blind, true)
        {
            let alpha = detection.alpha;
            let text = format!(
                "note: no point of {rows} can be flagged at --alpha {alpha}, since p-values begin at {smallest:.2e} \
                 (calibrate on at least {:.0} points, or use a higher --alpha)",
                (1.0 / alpha).ceil()
            );
            remark(global, &text);
        }
    }
}

/// The smallest p-value that a point of a series can have.
fn smallest_p(detection: &StreamDetection, id: &str) -> Option<f64> {
    let channels = 0..detection.detector.channels().len();
    channels.filter_map(|channel| detection.detector.smallest_p(id, channel)).reduce(f64::min)
}
