//! The definition against the Hugging Face implementation, tensor by tensor.

// A failed `unwrap` in a test helper is a failed test; tests may say what they skipped.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use ptsm_core::testing::{Fixture, fixture_roots, fixtures, max_relative, tolerance};
use ptsm_core::train::{AdamW, LossOptions, loss, loss_weight};
use ptsm_core::{ForwardOptions, Model, NamedTensor, Real, TraceOptions, run_trace};

/// Heads, as `meta.json` names them.
const HEADS: [&str; 4] = ["forecast", "classification", "regression", "pretrain"];

fn all_fixtures() -> Vec<Fixture> {
    let roots = fixture_roots();
    assert!(!roots.is_empty(), "tests/golden is part of the project");
    if roots.len() == 1 {
        eprintln!("skipped: the full fixtures are not here, the compact ones are checked");
    }
    let mut found = Vec::new();
    for root in roots {
        for head in HEADS {
            found.extend(fixtures(&root, head).unwrap());
        }
    }
    // Those of TinyTimeMixer, which is another model, have a test of their own.
    found.retain(|fixture| !fixture.name.starts_with('t'));
    found
}

/// Everything that a fixture may hold: results, intermediates, gradients, updated buffers.
fn run<T: Real>(fixture: &Fixture) -> Vec<NamedTensor<T>> {
    let model: Model<T> = fixture.model().unwrap().cast();
    let train_norm = fixture.meta.mode == "train";
    run_trace(&model, &fixture.io, TraceOptions { gradients: true, train_norm }).unwrap()
}

/// Compares `tensors` with the fixture and returns the complaints and how many were compared.
fn compare<T: Real>(
    fixture: &Fixture,
    tensors: &[NamedTensor<T>],
    allowed: impl Fn(&str, bool) -> f64,
) -> (Vec<String>, usize) {
    // A gradient that is zero in exact arithmetic (a key's bias) is measured by the largest one.
    let gradients = tensors.iter().filter(|t| t.name.starts_with("grad."));
    let largest = gradients
        .filter_map(|t| fixture.reference(&t.name))
        .flat_map(|(golden, _)| golden.values.iter())
        .fold(0.0_f64, |max, x| max.max(x.abs()));
    let (mut complaints, mut compared) = (Vec::new(), 0);
    for tensor in tensors {
        let Some((golden, is_f64)) = fixture.reference(&tensor.name) else {
            continue;
        };
        compared += 1;
        if golden.shape != tensor.shape {
            let (got, wanted) = (&tensor.shape, &golden.shape);
            complaints.push(format!("{}: shape {got:?}, wanted {wanted:?}", tensor.name));
            continue;
        }
        let mut error = max_relative(&tensor.values, &golden.values);
        if tensor.name.starts_with("grad.") {
            let own = golden.values.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
            error *= own.max(f64::MIN_POSITIVE) / largest;
        }
        let allowed = allowed(&tensor.name, is_f64);
        if error.is_nan() || error > allowed {
            complaints.push(format!("{}: {error:.2e}, allowed {allowed:.2e}", tensor.name));
        }
    }
    (complaints, compared)
}

fn check<T: Real>(allowed: impl Fn(&Fixture, &str, bool) -> f64) {
    let mut complaints = Vec::new();
    let mut total = 0;
    for fixture in all_fixtures() {
        let tensors = run::<T>(&fixture);
        let (found, compared) =
            compare(&fixture, &tensors, |name, f64| allowed(&fixture, name, f64));
        assert!(compared >= 8, "{}: only {compared} tensors were compared", fixture.name);
        total += compared;
        complaints.extend(found.into_iter().map(|text| format!("{}: {text}", fixture.name)));
    }
    assert!(complaints.is_empty(), "{} of {total}:\n{}", complaints.len(), complaints.join("\n"));
    eprintln!("{total} tensors compared");
}

#[test]
fn in_f64_the_definition_is_the_reference() {
    check::<f64>(|fixture, name, is_f64| {
        if is_f64 {
            return tolerance::F64;
        }
        tolerance::STORED_F32_TIMES * fixture.f32_error(name) + tolerance::F32_FLOOR
    });
}

#[test]
fn in_f32_the_definition_is_as_close_as_the_reference_itself() {
    check::<f32>(|fixture, name, _| {
        tolerance::F32_TIMES * fixture.f32_error(name) + tolerance::F32_FLOOR
    });
}

/// Runs the fixture's optimiser steps and returns the losses and the final weights.
fn run_steps<T: Real>(fixture: &Fixture) -> (Vec<T>, Model<T>) {
    let settings = fixture.meta.adamw.as_ref().unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let mut model: Model<T> = fixture.model().unwrap().cast();
    let (beta1, beta2) = (number(&settings["betas"][0]), number(&settings["betas"][1]));
    let (eps, decay) = (number(&settings["eps"]), number(&settings["weight_decay"]));
    let mut adamw = AdamW::new(model.layout().num_trained(), beta1, beta2, eps, decay);
    let first = fixture.batch::<T>().unwrap();
    let (past, future) = (
        fixture.tensor("train.past_values").unwrap(),
        fixture.tensor("train.future_values").unwrap(),
    );
    let cast = |values: &[f64]| values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let mut losses = Vec::new();
    let per_step = |values: &[f64]| values.len() / past.shape[0];
    for (past_values, future_values) in past
        .values
        .chunks_exact(per_step(&past.values))
        .zip(future.values.chunks_exact(per_step(&future.values)))
    {
        let mut batch = first.clone().with_future_values(cast(future_values)).unwrap();
        batch.past_values_mut().copy_from_slice(&cast(past_values));
        let mode = ForwardOptions { train_norm: true, ..ForwardOptions::default() };
        let forward = model.forward(&batch, mode).unwrap();
        let options = LossOptions::default();
        let weight = loss_weight(&model, &batch, &options).unwrap();
        let loss = loss(&model, &batch, &forward, weight, &options).unwrap();
        let mut grads = vec![T::ZERO; model.layout().num_trained()];
        model.backward(&batch, &forward, &loss.gradient, &mut grads, mode);
        adamw.update(number(&settings["lr"]), &mut model.parameters.trained, &grads);
        losses.push(loss.value);
    }
    (losses, model)
}

fn check_steps<T: Real>(tolerances: impl Fn(bool) -> f64) {
    let mut fixtures = all_fixtures();
    fixtures.retain(|fixture| fixture.meta.adamw.is_some());
    assert!(!fixtures.is_empty(), "no fixture has optimiser steps");
    for fixture in fixtures {
        let (losses, model) = run_steps::<T>(&fixture);
        let (golden, is_f64) = fixture.reference("train.loss").unwrap();
        let error = max_relative(&losses, &golden.values);
        assert!(error < tolerances(is_f64), "{}: losses {error:.2e}", fixture.name);
        for tensor in model.name_trained("train.param.", &model.parameters.trained) {
            let (golden, is_f64) = fixture.reference(&tensor.name).unwrap();
            let error = max_relative(&tensor.values, &golden.values);
            assert!(error < tolerances(is_f64), "{}: {} {error:.2e}", fixture.name, tensor.name);
        }
    }
}

#[test]
fn in_f64_the_optimiser_steps_are_those_of_the_reference() {
    check_steps::<f64>(|is_f64| if is_f64 { tolerance::F64 } else { tolerance::F32_STEPS });
}

#[test]
fn in_f32_the_optimiser_steps_follow_the_reference() {
    check_steps::<f32>(|_| tolerance::F32_STEPS);
}
