//! What must hold for every configuration: gradients are derivatives, samples do not see each
//! other, channels can be renamed, files lose nothing.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ptsm_core::testing::max_relative;
use ptsm_core::train::{Loss, LossOptions, PercentLoss, PointLoss, loss_weight};
use ptsm_core::{
    Backend, Batch, BatchShape, Config, Cpu, CrossChannel, Dropout, Extension, Forward,
    ForwardOptions, Hierarchy, Init, Level, Location, Model, Prediction,
};
use serde_json::Value;

/// A small configuration from a few choices that cover every branch of the model.
fn config(choice: u32) -> Config {
    let pick = |bit: u32| choice >> bit & 1 == 1;
    Config {
        context_length: 19,
        patch_length: 4,
        patch_stride: [4, 3, 5, 2][(choice >> 8 & 3) as usize],
        num_input_channels: 3,
        d_model: 4,
        expansion_factor: 2,
        num_layers: 2,
        prediction_length: 3,
        mode: if pick(0) { "mix_channel" } else { "common_channel" }.into(),
        gated_attn: pick(1),
        norm_mlp: if pick(2) { "BatchNorm" } else { "LayerNorm" }.into(),
        self_attn: pick(3),
        self_attn_heads: 2,
        use_positional_encoding: pick(4),
        positional_encoding_type: if pick(5) { "random" } else { "sincos" }.into(),
        scaling: [Value::from("std"), Value::from("mean"), Value::Null, Value::Bool(true)]
            [(choice >> 6 & 3) as usize]
            .clone(),
        prediction_channel_indices: pick(10).then(|| vec![0, 2]),
        ..Config::default()
    }
}

/// A batch with some missing points in it, from a simple formula.
fn batch(size: usize, seed: u64) -> Batch<f64> {
    let number = |i: usize| {
        let x = (i as f64 + seed as f64 * 0.7) * 12.9898;
        (x.sin() * 43_758.545).fract() * 3.0
    };
    let mask = |i: usize| f64::from(u8::from(!(i + seed as usize).is_multiple_of(6)));
    let (past, future) = (size * 19 * 3, size * 3 * 3);
    let shape = BatchShape { size, context_length: 19, num_channels: 3 };
    let known: Vec<f64> = (0..future).map(|i| mask(i + 3)).collect();
    Batch::new(shape, (0..past).map(|i| number(i) * mask(i)).collect())
        .and_then(|batch| batch.with_observed_mask((0..past).map(mask).collect::<Vec<_>>()))
        .and_then(|batch| {
            batch.with_future_values((0..future).map(|i| number(i + 7)).collect::<Vec<_>>())
        })
        .and_then(|batch| batch.with_future_observed_mask(known))
        .unwrap()
}

fn model(choice: u32) -> Model<f64> {
    Model::new(config(choice), Init::PyTorch, u64::from(choice)).unwrap().cast()
}

fn loss(model: &Model<f64>, batch: &Batch<f64>, mode: ForwardOptions) -> f64 {
    let forward = model.forward(batch, mode).unwrap();
    loss_of(model, batch, &forward).value
}

fn loss_of(model: &Model<f64>, batch: &Batch<f64>, forward: &Forward<f64>) -> Loss<f64> {
    let options = LossOptions::default();
    let weight = loss_weight(model, batch, &options).unwrap();
    ptsm_core::train::loss(model, batch, forward, weight, &options).unwrap()
}

/// Central difference of `f` at `x`.
fn slope(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    let step = 1e-5;
    (f(x + step) - f(x - step)) / (2.0 * step)
}

/// Gradients against finite differences at a few weights of every tensor and a few inputs.
fn check_gradients(choice: u32, dropout: bool) {
    check_model(&format!("{choice:#x}"), &model(choice), &batch(3, u64::from(choice)), dropout);
}

fn check_model(name: &str, model: &Model<f64>, batch: &Batch<f64>, dropout: bool) {
    let dropout = dropout.then_some(Dropout { seed: 5, step: 2, first_sample: 0 });
    let train_norm = dropout.is_some();
    let mode = ForwardOptions { train_norm, dropout, as_reference: true, frozen_backbone: false };
    let forward = model.forward(batch, mode).unwrap();
    let d = loss_of(model, batch, &forward).gradient;
    let mut grads = vec![0.0; model.layout().num_trained()];
    let d_past = model.backward(batch, &forward, &d, &mut grads, mode);
    let largest = grads.iter().fold(0.0_f64, |max, g| max.max(g.abs()));
    for tensor in model.layout().tensors() {
        if tensor.store != ptsm_core::TensorStore::Trained {
            continue;
        }
        let middle = (tensor.range.start + tensor.range.end) / 2;
        for i in [tensor.range.start, middle.min(tensor.range.end - 1)] {
            let numeric = slope(model.parameters.trained[i], |x| {
                let mut moved = model.clone();
                moved.parameters.trained[i] = x;
                loss(&moved, batch, mode)
            });
            let error = (grads[i] - numeric).abs();
            assert!(error < 1e-6 * (1.0 + largest), "{name} {} {error:.2e}", tensor.name);
        }
    }
    let mask = batch.observed_mask().unwrap();
    for i in (0..batch.past_values().len()).step_by(13).filter(|&i| mask[i] == 1.0) {
        let numeric = slope(batch.past_values()[i], |x| {
            let mut moved = batch.clone();
            moved.past_values_mut()[i] = x;
            loss(model, &moved, mode)
        });
        let error = (d_past[i] - numeric).abs();
        assert!(error < 1e-5 * (1.0 + numeric.abs()), "{name} past_values[{i}] {error:.2e}");
    }
}

/// Weights of parts that start at 0 are moved, so that their gradients are seen.
fn random_model(config: Config) -> Model<f64> {
    let mut model: Model<f64> = Model::new(config, Init::PyTorch, 3).unwrap().cast();
    for (i, x) in model.parameters.trained.iter_mut().enumerate() {
        *x += 0.05 * (i as f64 * 0.7).sin();
    }
    model
}

fn forecaster(change: impl Fn(&mut Config)) -> Config {
    let mut config = Config { prediction_length: 4, ..config(0x400) };
    change(&mut config);
    config
}

/// A batch for the task of `config`: counts for a negative binomial, classes, values, masks.
fn batch_for(config: &Config) -> Batch<f64> {
    let points = 3 * config.prediction_length * 3;
    let known = |i: usize| f64::from(u8::from(!(i + 3).is_multiple_of(6)));
    let counts: Vec<f64> = (0..points).map(|i| (i * 7 % 5) as f64).collect();
    let known: Vec<f64> = (0..points).map(known).collect();
    let batch = batch(3, 9)
        .with_future_observed_mask(None)
        .and_then(|batch| batch.with_future_values(counts))
        .and_then(|batch| batch.with_future_observed_mask(known))
        .unwrap();
    // Below all values, so that there are levels above it and, of missing points, some below.
    let batch =
        batch.with_origin((0..9).map(|i| -3.5 - 0.1 * f64::from(i)).collect::<Vec<_>>()).unwrap();
    let batch = match config.task().unwrap() {
        ptsm_core::Task::Classification => batch.with_target_values(vec![2.0, 0.0, 1.0]),
        ptsm_core::Task::Regression => {
            let values = (0..3 * config.num_targets).map(|i| i as f64 * 0.4 - 1.0);
            batch.with_target_values(values.collect::<Vec<_>>())
        }
        ptsm_core::Task::Pretraining => {
            let masks = ptsm_core::draw_masks(config, 3, 1, 0);
            batch.with_patch_mask(masks.into_iter().map(f64::from).collect::<Vec<_>>())
        }
        ptsm_core::Task::Forecasting => Ok(batch),
    };
    batch.unwrap()
}

fn extended(extension: Extension) -> Config {
    forecaster(|config| config.ptsm = Some(extension.clone()))
}

/// Windows scaled by level.
fn by_level(season: usize, extension: Extension) -> Config {
    forecaster(|config| {
        config.scaling = Value::Null;
        config.ptsm = Some(Extension { level: Some(Level { season }), ..extension.clone() });
    })
}

fn task(name: &str, change: impl Fn(&mut Config)) -> Config {
    forecaster(|config| {
        config.architectures = Some(vec![name.into()]);
        change(config);
    })
}

/// Every head with every choice that it has.
fn heads() -> Vec<(String, Config)> {
    let nll = |distribution: &str| {
        forecaster(|config| {
            (config.loss, config.distribution_output) = ("nll".into(), distribution.into());
        })
    };
    let cross = |context_length, gated, prepend_past| {
        let cross_channel = Some(CrossChannel { context_length, gated, prepend_past });
        Extension { cross_channel, ..Extension::default() }
    };
    let hierarchy = Some(Hierarchy { segment_length: 2 });
    let quantiles = Some(vec![0.1, 0.4, 0.5, 0.9]);
    let mut heads = vec![
        ("student_t".to_owned(), nll("student_t")),
        ("normal".into(), nll("normal")),
        ("negative_binomial".into(), nll("negative_binomial")),
        (
            "quantiles".into(),
            extended(Extension { quantiles: quantiles.clone(), ..Extension::default() }),
        ),
        ("skip".into(), extended(Extension { linear_skip: true, ..Extension::default() })),
        (
            "skip from the last value, cross".into(),
            extended(Extension {
                linear_skip: true,
                location: Location::Last,
                ..cross(1, true, true)
            }),
        ),
        ("level".into(), by_level(1, Extension::default())),
        ("level, skip".into(), {
            by_level(3, Extension { linear_skip: true, ..Extension::default() })
        }),
        ("level, skip, cross".into(), {
            by_level(3, Extension { linear_skip: true, ..cross(1, true, true) })
        }),
        ("level, quantiles".into(), {
            by_level(2, Extension { quantiles: quantiles.clone(), ..Extension::default() })
        }),
        ("cross".into(), extended(cross(2, true, true))),
        ("cross without gate".into(), extended(cross(0, false, false))),
        (
            "hierarchy".into(),
            extended(Extension { hierarchy: hierarchy.clone(), ..Extension::default() }),
        ),
        ("both".into(), extended(Extension { hierarchy, ..cross(1, true, false) })),
        (
            "both mixing".into(),
            forecaster(|config| {
                config.mode = "mix_channel".into();
                let hierarchy = Some(Hierarchy { segment_length: 2 });
                config.ptsm = Some(Extension { hierarchy, ..cross(1, true, true) });
            }),
        ),
        ("pretraining".into(), task("PatchTSMixerForPretraining", |_| ())),
        (
            "pretraining of all patches".into(),
            task("PatchTSMixerForPretraining", |config| config.masked_loss = false),
        ),
    ];
    for pooling in [None, Some("max_pool"), Some("avg_pool"), Some("use_last")] {
        let name = format!("{pooling:?}");
        let pooled = |config: &mut Config| config.head_aggregation = pooling.map(str::to_owned);
        heads.push((
            format!("classification {name}"),
            task("PatchTSMixerForTimeSeriesClassification", pooled),
        ));
        heads.push((
            format!("regression {name}"),
            task("PatchTSMixerForRegression", |config| {
                pooled(config);
                (config.num_targets, config.output_range) = (1, Some([-1.0, 2.0]));
            }),
        ));
        heads.push((
            format!("distribution of {name}"),
            task("PatchTSMixerForRegression", |config| {
                pooled(config);
                (config.num_targets, config.loss) = (1, "nll".into());
            }),
        ));
    }
    heads
}

#[test]
fn gradients_of_every_head_are_derivatives() {
    for (name, config) in heads() {
        let (model, batch) = (random_model(config.clone()), batch_for(&config));
        check_model(&name, &model, &batch, false);
        check_model(&name, &model, &batch, true);
    }
}

#[test]
fn every_head_keeps_its_bits_in_any_batch_and_in_its_file() {
    for (name, config) in heads() {
        let model = Model::new(config.clone(), Init::PyTorch, 1).unwrap();
        let batch = batch_for(&config).cast::<f32>();
        let whole = model.forward(&batch, ForwardOptions::default()).unwrap().outputs;
        let parts: Vec<f32> = (0..3)
            .flat_map(|i| {
                let part = batch.slice(i..i + 1);
                model.forward(&part, ForwardOptions::default()).unwrap().outputs.prediction
            })
            .collect();
        assert_eq!(whole.prediction, parts, "{name}");
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path()).unwrap();
        let loaded = Model::from_dir(folder.path()).unwrap();
        assert_eq!(loaded.parameters, model.parameters, "{name}");
        assert_eq!(loaded.config(), model.config(), "{name}");
    }
}

#[test]
fn the_cpu_backend_runs_every_head_and_no_sample_sees_its_neighbours() {
    for (name, config) in heads() {
        let model = random_model(config.clone()).cast::<f32>();
        let batch = batch_for(&config).cast::<f32>();
        let mut session = Cpu::default().load(&model).unwrap().session().unwrap();
        let mut run = |batch: &Batch<f32>| {
            let mut output = Prediction::default();
            session.forward(batch, &mut output).unwrap();
            output
        };
        let whole = run(&batch);
        let parts: Vec<f32> = (0..3).flat_map(|i| run(&batch.slice(i..i + 1)).numbers).collect();
        assert_eq!(whole.numbers, parts, "{name}");
        let wide = batch.cast::<f64>();
        let definition =
            model.cast::<f64>().forward(&wide, ForwardOptions::default()).unwrap().outputs;
        let error = max_relative(&whole.numbers, &definition.prediction);
        assert!(error < 2e-5, "{name}: {error:.1e}");
    }
}

#[test]
fn what_an_error_costs_has_its_derivative() {
    let config = forecaster(|_| ());
    let (model, batch) = (random_model(config.clone()), batch_for(&config));
    let mut forward = model.forward(&batch, ForwardOptions::default()).unwrap();
    let of = |mae_share, huber_delta| LossOptions {
        point: PointLoss { mae_share, huber_delta, percent: None },
        ..LossOptions::default()
    };
    let percent = |percent| LossOptions {
        point: PointLoss { percent: Some(percent), ..PointLoss::default() },
        ..LossOptions::default()
    };
    let percents = [percent(PercentLoss::Smape), percent(PercentLoss::Mape)];
    let plain = [of(0.0, None), of(1.0, None), of(0.3, Some(0.4)), of(0.0, Some(0.1))];
    for options in plain.into_iter().chain(percents) {
        let weight = loss_weight(&model, &batch, &options).unwrap();
        let mut cost = |place: usize, x: f64| {
            let kept = std::mem::replace(&mut forward.outputs.prediction[place], x);
            let found = ptsm_core::train::loss(&model, &batch, &forward, weight, &options).unwrap();
            forward.outputs.prediction[place] = kept;
            (found.value, found.gradient.prediction[place])
        };
        for place in 0..12 {
            let x = 0.37 * place as f64 - 2.0;
            let (up, down) = (cost(place, x + 1e-6).0, cost(place, x - 1e-6).0);
            let (_, slope) = cost(place, x);
            assert!(((up - down) / 2e-6 - slope).abs() < 1e-6, "{options:?}: {slope}");
        }
    }
}

#[test]
fn weights_of_classes_weigh_their_errors() {
    let config = task("PatchTSMixerForTimeSeriesClassification", |_| ());
    let (model, batch) = (random_model(config.clone()), batch_for(&config));
    let mut forward = model.forward(&batch, ForwardOptions::default()).unwrap();
    let (weights, classes) = ([0.5, 3.0, 1.25], [2usize, 0, 1]);
    let options = LossOptions { class_weights: Some(weights.to_vec()), ..LossOptions::default() };
    let weight = loss_weight(&model, &batch, &options).unwrap();
    // The mean of the negative logarithms of the probabilities, weighted by the class that is true, as in PyTorch.
    let definition = |logits: &[f64]| {
        let costs = logits.chunks_exact(3).zip(classes).map(|(row, class)| {
            let sum: f64 = row.iter().map(|logit| logit.exp()).sum();
            -weights[class] * (row[class].exp() / sum).ln()
        });
        costs.sum::<f64>() / classes.iter().map(|&class| weights[class]).sum::<f64>()
    };
    let found = ptsm_core::train::loss(&model, &batch, &forward, weight, &options).unwrap();
    assert!((found.value - definition(&forward.outputs.prediction)).abs() < 1e-12);
    for place in 0..9 {
        let mut cost = |change: f64| {
            let kept = forward.outputs.prediction[place];
            forward.outputs.prediction[place] = kept + change;
            let cost = definition(&forward.outputs.prediction);
            forward.outputs.prediction[place] = kept;
            cost
        };
        let slope = (cost(1e-6) - cost(-1e-6)) / 2e-6;
        assert!((slope - found.gradient.prediction[place]).abs() < 1e-8, "{place}: {slope}");
    }
}

#[test]
fn percent_losses_are_the_scores_of_their_names() {
    let config = forecaster(|_| ());
    let model = random_model(config.clone());
    let truth: Vec<f64> = (0..36).map(|i| f64::from(i % 5)).collect();
    let batch = batch_for(&config)
        .with_future_observed_mask(None)
        .and_then(|batch| batch.with_future_values(truth.clone()))
        .and_then(|batch| batch.with_origin(None))
        .unwrap();
    let forward = model.forward(&batch, ForwardOptions::default()).unwrap();
    let forecast = &forward.outputs.prediction;
    let channels = config.prediction_channels();
    let pairs: Vec<(f64, f64)> = forecast
        .iter()
        .enumerate()
        .map(|(i, &f)| (f, truth[i / channels.len() * 3 + channels[i % channels.len()]]))
        .collect();
    let mean = |cost: fn((f64, f64)) -> f64| {
        pairs.iter().map(|&pair| cost(pair)).sum::<f64>() / pairs.len() as f64
    };
    let smape = mean(|(f, y)| 2.0 * (f - y).abs() / (f.abs() + y.abs()));
    // A truth of 0 costs nothing.
    let mape = mean(|(f, y)| if y == 0.0 { 0.0 } else { (f - y).abs() / y });
    for (percent, wanted) in [(PercentLoss::Smape, smape), (PercentLoss::Mape, mape)] {
        let point = PointLoss { percent: Some(percent), ..PointLoss::default() };
        let options = LossOptions { point, ..LossOptions::default() };
        let weight = loss_weight(&model, &batch, &options).unwrap();
        let found = ptsm_core::train::loss(&model, &batch, &forward, weight, &options).unwrap();
        assert!((found.value - wanted).abs() < 1e-12, "{percent:?}");
    }
}

#[test]
fn reconciliation_starts_at_the_base_forecast() {
    let batch = batch_for(&forecaster(|_| ())).cast::<f32>();
    let forecast = |extension| {
        let model = Model::new(extended(extension), Init::PyTorch, 1).unwrap();
        model.forward(&batch, ForwardOptions::default()).unwrap().outputs.prediction
    };
    let base = forecast(Extension::default());
    let cross_channel = Some(CrossChannel::default());
    assert_eq!(forecast(Extension { cross_channel, ..Extension::default() }), base);
    let hierarchy = Some(Hierarchy { segment_length: 2 });
    assert_eq!(forecast(Extension { hierarchy, ..Extension::default() }), base);
    assert_eq!(forecast(Extension { linear_skip: true, ..Extension::default() }), base);
}

#[test]
fn gradients_are_derivatives() {
    // Each bit of `config` is 0 and 1 in some of these, in changing company.
    for choice in [0x000, 0x002, 0x7ff, 0x12b, 0x254, 0x3d8, 0x4a6, 0x577, 0x61d, 0x0c3] {
        check_gradients(choice, false);
        check_gradients(choice, true);
    }
}

/// Reorders the channels of `[rows, 3]`.
fn permute(values: &[f32], order: [usize; 3]) -> Vec<f32> {
    values.chunks_exact(3).flat_map(|row| order.map(|c| row[c])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_of_n_is_n_batches_of_one_bit_for_bit(choice in 0_u32..0x800, size in 1_usize..6) {
        let model = Model::new(config(choice), Init::PyTorch, 1).unwrap();
        let batch = batch(size, 3).cast::<f32>();
        let whole = model.forward(&batch, ForwardOptions::default()).unwrap().outputs.prediction;
        let alone: Vec<f32> = (0..size)
            .flat_map(|i| model.forward(&batch.slice(i..i + 1), ForwardOptions::default()).unwrap().outputs.prediction)
            .collect();
        prop_assert_eq!(whole, alone);
    }

    #[test]
    fn common_channel_forecasts_follow_their_channels(choice in 0_u32..0x400) {
        let config = Config { prediction_channel_indices: None, ..config(choice & !1) };
        let model = Model::new(config, Init::PyTorch, 1).unwrap();
        let straight = batch(2, 4).cast::<f32>();
        let order = [2, 0, 1];
        let mut mixed = straight.clone();
        mixed.past_values_mut().copy_from_slice(&permute(straight.past_values(), order));
        let mask = straight.observed_mask().map(|mask| permute(mask, order));
        let mixed = mixed.with_observed_mask(mask).unwrap();
        let forecast = model.forward(&straight, ForwardOptions::default()).unwrap().outputs.prediction;
        let other = model.forward(&mixed, ForwardOptions::default()).unwrap().outputs.prediction;
        prop_assert_eq!(permute(&forecast, order), other);
    }

    #[test]
    fn saving_and_loading_keeps_every_bit(choice in 0_u32..0x800, seed in any::<u64>()) {
        let model = Model::new(config(choice), Init::Normal, seed).unwrap();
        let folder = tempfile::tempdir().unwrap();
        model.save(folder.path()).unwrap();
        let loaded = Model::from_dir(folder.path()).unwrap();
        prop_assert_eq!(&loaded.parameters, &model.parameters);
        prop_assert_eq!(loaded.config(), model.config());
    }
}
