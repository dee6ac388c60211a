//! The CPU backend against the Hugging Face implementation.

// A failed `unwrap` in a test helper is a failed test; tests may say what they skipped.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use ptsm_core::Batch;
use ptsm_core::testing::{
    Accuracy, Fixture, conformance, fixture_roots, fixtures, max_relative, tolerance,
};
use ptsm_core::{Backend, Cpu, ForwardOptions, Model, Prediction, Scaler};

/// Whether the reference takes a scale from the rest of the batch, which no session does: a
/// forecast does not depend on its neighbours.
fn borrows(model: &Model, batch: &Batch) -> bool {
    let Some(mask) = batch.observed_mask() else { return false };
    let channels = batch.num_channels();
    let unseen = |sample: &[f32]| {
        (0..channels).any(|c| sample[c..].iter().step_by(channels).all(|&seen| seen == 0.0))
    };
    matches!(model.config().scaler(), Scaler::Mean { default_scale: None, .. })
        && mask.chunks_exact(batch.context_length() * channels).any(unseen)
}

/// The forecast of the definition in f64 without borrowing.
fn definition_alone(model: &Model, fixture: &Fixture) -> Vec<f64> {
    let batch = fixture.batch::<f64>().unwrap();
    model.cast::<f64>().forward(&batch, ForwardOptions::default()).unwrap().outputs.prediction
}

#[test]
fn forecasts_are_as_close_to_the_reference_as_its_own_f32() {
    let roots = fixture_roots();
    assert!(!roots.is_empty(), "tests/golden is part of the project");
    if roots.len() == 1 {
        eprintln!("skipped: the full fixtures are not here, the compact ones are checked");
    }
    let (mut complaints, mut compared) = (Vec::new(), 0);
    for fixture in roots.iter().flat_map(|root| fixtures(root, "forecast").unwrap()) {
        let Ok(model) = fixture.model() else { continue };
        let Some((golden, _)) = fixture.reference("out.prediction") else { continue };
        if fixture.meta.mode != "eval" || model.config().loss != "mse" {
            continue;
        }
        let batch = fixture.batch::<f32>().unwrap();
        let mut out = Prediction::default();
        Cpu::default().load(&model).unwrap().session().unwrap().forward(&batch, &mut out).unwrap();
        let wanted = match borrows(&model, &batch) {
            true => definition_alone(&model, &fixture),
            false => golden.values.clone(),
        };
        let error = max_relative(&out.numbers, &wanted);
        let name = "out.prediction";
        let allowed = tolerance::F32_TIMES * fixture.f32_error(name) + tolerance::F32_FLOOR;
        compared += 1;
        if error.is_nan() || error > allowed {
            complaints.push(format!("{}: {error:.2e}, allowed {allowed:.2e}", fixture.name));
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {compared}:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(compared >= 10, "only {compared} fixtures were compared");
    eprintln!("{compared} fixtures compared");
}

#[test]
fn the_cpu_conforms() {
    let found = conformance(&Cpu::default(), Accuracy::F32).unwrap();
    assert!(found.complaints.is_empty(), "{}", found.complaints.join("\n"));
    assert!(found.compared >= 14, "only {} fixtures were compared", found.compared);
}

#[test]
fn no_bit_depends_on_the_pool_that_a_session_runs_in() {
    let mut compared = 0;
    for fixture in fixture_roots().iter().flat_map(|root| fixtures(root, "forecast").unwrap()) {
        let Ok(model) = fixture.model() else { continue };
        if fixture.meta.mode != "eval" {
            continue;
        }
        let batch = fixture.batch::<f32>().unwrap();
        let run = |cpu: &Cpu| {
            let mut out = Prediction::default();
            cpu.load(&model).unwrap().session().unwrap().forward(&batch, &mut out).unwrap();
            out
        };
        let wanted = run(&Cpu::default());
        for threads in [1, 3] {
            assert_eq!(run(&Cpu::with_threads(threads).unwrap()), wanted, "{}", fixture.name);
        }
        // A worker that is its own pool of one: everything runs on its own thread.
        let alone = std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
                let _pool = pool.build().unwrap();
                assert_eq!(rayon::current_num_threads(), 1);
                run(&Cpu::default())
            });
            worker.join().unwrap()
        });
        assert_eq!(alone, wanted, "{}", fixture.name);
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} fixtures were compared");
}

#[test]
fn sessions_of_one_model_run_side_by_side() {
    let fixture = fixtures(&fixture_roots()[0], "forecast").unwrap().swap_remove(0);
    let model = fixture.model().unwrap();
    let batch = fixture.batch::<f32>().unwrap();
    let loaded = Cpu::default().load(&model).unwrap();
    assert!(loaded.bytes() >= 8 * model.layout().num_trained() as u64);
    let run = || {
        let mut out = Prediction::default();
        loaded.session().unwrap().forward(&batch, &mut out).unwrap();
        out
    };
    let wanted = run();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        workers.into_iter().for_each(|worker| assert_eq!(worker.join().unwrap(), wanted));
    });
}
