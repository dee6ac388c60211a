//! What intervals rest on, in words.

use ptsm::calibration::Calibration;

/// Windows below which the widths of intervals are rough.
const FEW: usize = 20;

/// On how many windows the intervals of a model rest, and what is to be doubted of them.
pub(crate) fn rest_on(calibration: &Calibration) -> String {
    let windows = calibration.windows;
    let s = if windows == 1 { "" } else { "s" };
    format!("intervals rest on {windows} window{s}{}", doubt(calibration).unwrap_or_default())
}

/// The same, where there is a doubt.
pub(crate) fn doubtful(calibration: &Calibration) -> Option<String> {
    doubt(calibration).map(|_| rest_on(calibration))
}

fn doubt(calibration: &Calibration) -> Option<String> {
    let pairs = calibration.intervals.windows(2);
    let same = pairs.filter_map(|pair| {
        let widths = pair[0].multiples.iter().zip(&pair[1].multiples);
        let equal = widths.filter(|(narrow, wide)| narrow == wide).count();
        let [low, high] = [&pair[0], &pair[1]].map(|interval| 100.0 * interval.level);
        let share = if equal == pair[0].multiples.len() { "" } else { "of some steps " };
        (equal > 0).then(|| {
            format!(
                "{share}those of {low:.0} % and {high:.0} % are the same, and the {high:.0} % one too narrow (a longer \
                 validation part tells them apart: --split)"
            )
        })
    });
    let few = (calibration.windows < FEW).then(|| "too few for exact widths".to_owned());
    let doubts: Vec<String> = few.into_iter().chain(same).collect();
    (!doubts.is_empty()).then(|| format!(": {}", doubts.join("; ")))
}
