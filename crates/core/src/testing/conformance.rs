//! The tests that every backend must pass, in one list, so that all have to meet the same standard.

use super::{Fixture, fixture_roots, fixtures, max_relative, tolerance};
use crate::backend::Backend;
use crate::batch::{Batch, BatchShape};
use crate::prediction::Prediction;
use crate::{ErrorKind, ForwardOptions, Model, Real, Result};

/// Heads that have fixtures.
const HEADS: [&str; 4] = ["forecast", "classification", "regression", "pretrain"];

/// How near to the definition in f64 a backend's outputs have to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Accuracy {
    /// As near as the reference's own f32 is, by the tolerance table; and a sample has the same
    /// bits alone as among others.
    F32,
    /// Pearson's correlation of at least this much, and errors whose root mean square is at most a
    /// tenth of the outputs' deviation (or, where they are constant, of their size), for numbers of
    /// fewer bits.
    Correlation(f64),
}

/// What the suite found.
#[derive(Debug, Clone, Default)]
pub struct Conformance {
    /// Fixtures that were compared.
    pub compared: usize,
    /// What was wrong, by fixture; empty for a backend that conforms.
    pub complaints: Vec<String>,
}

/// Runs the suite: on every fixture of evaluation the outputs of a batch, the same call again, the
/// first sample alone, and inputs that must be refused.
///
/// # Errors
///
/// Those of reading fixtures and of the definition; a backend's errors are complaints.
pub fn conformance(backend: &dyn Backend, accuracy: Accuracy) -> Result<Conformance> {
    let mut found = Conformance::default();
    for root in fixture_roots() {
        for head in HEADS {
            for fixture in fixtures(&root, head)? {
                // Some configurations are refused on purpose.
                let Ok(model) = fixture.model() else { continue };
                if fixture.meta.mode != "eval" {
                    continue;
                }
                found.compared += 1;
                let name = fixture.name.clone();
                let wrong = match check(backend, accuracy, &fixture, &model) {
                    Ok(wrong) => wrong,
                    Err(error) => vec![error.to_string()],
                };
                found.complaints.extend(wrong.into_iter().map(|text| format!("{name}: {text}")));
            }
        }
    }
    Ok(found)
}

/// Complaints about one fixture.
fn check(
    backend: &dyn Backend,
    accuracy: Accuracy,
    fixture: &Fixture,
    model: &Model,
) -> Result<Vec<String>> {
    let (batch, wide) = (fixture.batch::<f32>()?, fixture.batch::<f64>()?);
    let wanted = model.cast::<f64>().forward(&wide, ForwardOptions::default())?.outputs.prediction;
    let mut session = backend.load(model)?.session()?;
    let (mut out, mut again, mut alone) =
        (Prediction::default(), Prediction::default(), Prediction::default());
    session.forward(&batch, &mut out)?;
    let mut wrong = Vec::new();
    if out.spec() != model.output() {
        wrong.push(format!("the numbers are taken for {:?}", out.kind()));
    }
    if out.numbers.len() != wanted.len() {
        return Ok(vec![format!("{} numbers, wanted {}", out.numbers.len(), wanted.len())]);
    }
    match accuracy {
        Accuracy::F32 => {
            let error = max_relative(&out.numbers, &wanted);
            let allowed =
                tolerance::F32_TIMES * fixture.f32_error("out.prediction") + tolerance::F32_FLOOR;
            if error.is_nan() || error > allowed {
                wrong.push(format!("{error:.2e} off, allowed {allowed:.2e}"));
            }
        }
        Accuracy::Correlation(least) => {
            let found = correlation(&out.numbers, &wanted);
            if found.is_nan() || found < least {
                wrong.push(format!("correlation {found:.6}, wanted {least}"));
            }
            let error = relative_error(&out.numbers, &wanted);
            if error.is_nan() || error > 0.1 {
                wrong.push(format!("errors are {error:.3} of the deviation, allowed 0.1"));
            }
        }
    }
    session.forward(&batch.slice(0..1), &mut alone)?;
    session.forward(&batch, &mut again)?;
    if again.numbers != out.numbers {
        wrong.push("another call gives other bits".into());
    }
    let same = out.numbers.starts_with(&alone.numbers) && !alone.numbers.is_empty();
    if accuracy == Accuracy::F32 && !same {
        wrong.push("the first sample has other bits alone".into());
    }
    for (what, bad) in impossible(&batch) {
        match session.forward(&bad, &mut again) {
            Ok(()) => wrong.push(format!("{what} was accepted")),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {}
            Err(error) => wrong.push(format!("{what}: no InvalidInput but {error}")),
        }
    }
    Ok(wrong)
}

/// Pearson's correlation; 1 for two constants.
///
/// # Panics
///
/// If the lengths differ: the caller compares tensors of one shape.
pub fn correlation<T: Real>(values: &[f32], wanted: &[T]) -> f64 {
    assert_eq!(values.len(), wanted.len(), "tensors of different sizes");
    let n = values.len() as f64;
    let mean_x = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let mean_y = wanted.iter().map(|y| y.to_f64()).sum::<f64>() / n;
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (&x, y) in values.iter().zip(wanted) {
        let (x, y) = (f64::from(x) - mean_x, y.to_f64() - mean_y);
        (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
    }
    if xx == 0.0 && yy == 0.0 { 1.0 } else { xy / (xx * yy).sqrt() }
}

/// Root mean square of the errors over the deviation of what was wanted, or over its size where
/// that is constant.
fn relative_error(values: &[f32], wanted: &[f64]) -> f64 {
    let n = wanted.len() as f64;
    let mean = wanted.iter().sum::<f64>() / n;
    let rms = |sum: f64| (sum / n).sqrt();
    let deviation = rms(wanted.iter().map(|y| (y - mean) * (y - mean)).sum());
    let size = if deviation > 0.0 { deviation } else { mean.abs() };
    let errors = values.iter().zip(wanted).map(|(&x, y)| (f64::from(x) - y).powi(2));
    rms(errors.sum()) / size.max(f64::MIN_POSITIVE)
}

/// Batches that no model of this shape can take.
fn impossible(batch: &Batch) -> Vec<(&'static str, Batch)> {
    let first = batch.slice(0..1);
    let shape = first.shape();
    let longer = BatchShape { context_length: shape.context_length + 1, ..shape };
    let wider = BatchShape { num_channels: shape.num_channels + 1, ..shape };
    let mut unknown = first;
    unknown.past_values_mut()[0] = f32::NAN;
    vec![
        ("a longer context", Batch::zeros(longer)),
        ("another channel", Batch::zeros(wider)),
        ("a NaN", unknown),
    ]
}
