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
    let same = pairs.filter(|pair| pair[0].multiples == pair[1].multiples).map(|pair| {
        format!(
            "those of {:.0} % and {:.0} % are the same",
            100.0 * pair[0].level,
            100.0 * pair[1].level
        )
    });
    let few = (calibration.windows < FEW).then(|| "too few for exact widths".to_owned());
    let doubts: Vec<String> = few.into_iter().chain(same).collect();
    (!doubts.is_empty()).then(|| format!(": {}", doubts.join("; ")))
}
