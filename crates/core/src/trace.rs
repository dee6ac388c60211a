//! One batch through the model with every intermediate, for comparison with another implementation.

use std::collections::BTreeMap;

use crate::batch::{Batch, BatchShape};
use crate::loss::{LossOptions, loss, loss_weight};
use crate::model::{ForwardOptions, Model};
use crate::output_kind::OutputKind;
use crate::real::Real;
use crate::tensor_file::NamedTensor;
use crate::tensor_file::WideTensor;
use crate::{Error, Result};

/// What a trace computes in addition to the outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceOptions {
    /// Gradients of the loss for every weight and for the input.
    pub gradients: bool,
    /// Batch norm in train mode; the updated statistics are added as `after.*`.
    pub train_norm: bool,
}

/// Makes a batch of tensors named as in the fixtures: `in.past_values` `[B, L, C]`, and where they
/// are given `in.observed_mask`, `in.future_values` `[B, H, C]`, `in.future_observed_mask`,
/// `in.target_values` `[B]` or `[B, num_targets]`, and `in.mask` `[B, C, N]`.
///
/// # Errors
///
/// `InvalidInput` if `in.past_values` is missing or shapes do not fit each other.
pub fn batch_from_tensors<T: Real>(inputs: &BTreeMap<String, WideTensor>) -> Result<Batch<T>> {
    let Some(past) = inputs.get("in.past_values") else {
        let names: Vec<&str> = inputs.keys().map(String::as_str).take(8).collect();
        let text = format!("is missing among the inputs ({})", names.join(", "));
        return Err(Error::input(text).at("in.past_values"));
    };
    let &[size, context_length, num_channels] = past.shape.as_slice() else {
        let text = format!("has shape {:?}, wanted [batch, context_length, channels]", past.shape);
        return Err(Error::input(text).at("in.past_values"));
    };
    let like = |name: &str, steps: Option<usize>| -> Result<Option<Vec<T>>> {
        let Some(tensor) = inputs.get(name) else { return Ok(None) };
        let fits = tensor.shape.len() == 3
            && tensor.shape[0] == size
            && tensor.shape[2] == num_channels
            && steps.is_none_or(|steps| tensor.shape[1] == steps);
        if !fits {
            let steps = steps.map_or("prediction_length".to_owned(), |steps| steps.to_string());
            let text =
                format!("has shape {:?}, wanted [{size}, {steps}, {num_channels}]", tensor.shape);
            return Err(Error::input(text).at(name));
        }
        Ok(Some(tensor.values.iter().map(|&x| T::from_f64(x)).collect()))
    };
    let for_each_sample = |name: &str| -> Result<Option<Vec<T>>> {
        let Some(tensor) = inputs.get(name) else { return Ok(None) };
        if tensor.shape.first() != Some(&size) {
            let text = format!("has shape {:?}, wanted [{size}, ...]", tensor.shape);
            return Err(Error::input(text).at(name));
        }
        Ok(Some(tensor.values.iter().map(|&x| T::from_f64(x)).collect()))
    };
    let shape = BatchShape { size, context_length, num_channels };
    Batch::new(shape, past.values.iter().map(|&x| T::from_f64(x)).collect())?
        .with_observed_mask(like("in.observed_mask", Some(context_length))?)?
        .with_future_values(like("in.future_values", None)?)?
        .with_future_observed_mask(like("in.future_observed_mask", None)?)?
        .with_target_values(for_each_sample("in.target_values")?)?
        .with_patch_mask(for_each_sample("in.mask")?)
}

/// Runs one batch and returns `out.*`, `trace.*`, `out.hidden.*`, and `out.loss` where the truth is
/// given; with [`TraceOptions::gradients`] also `grad.*` and `grad_in.past_values`; in train mode
/// also `after.*`.
///
/// Everything is as in the reference, also where we differ otherwise ([`ForwardOptions::as_reference`]).
///
/// # Errors
///
/// `InvalidInput` if the inputs do not fit the model, or gradients are asked for without a truth.
pub fn run_trace<T: Real>(
    model: &Model<T>,
    inputs: &BTreeMap<String, WideTensor>,
    options: TraceOptions,
) -> Result<Vec<NamedTensor<T>>> {
    let batch = batch_from_tensors::<T>(inputs)?;
    let mode = ForwardOptions {
        train_norm: options.train_norm,
        as_reference: true,
        ..ForwardOptions::default()
    };
    let forward = model.forward(&batch, mode)?;
    let mut tensors = model.trace(&forward);
    let aim = match model.output().kind() {
        OutputKind::Patches => ("in.mask", true),
        OutputKind::Logits | OutputKind::Values(_) => {
            ("in.target_values", batch.target_values().is_some())
        }
        _ => ("in.future_values", batch.future_values().is_some()),
    };
    if aim.1 {
        let loss_options = LossOptions { as_reference: true, ..LossOptions::default() };
        let weight = loss_weight(model, &batch, &loss_options)?;
        let loss = loss(model, &batch, &forward, weight, &loss_options)?;
        let values = vec![loss.value];
        tensors.push(NamedTensor { name: "out.loss".into(), shape: vec![], values });
        if options.gradients {
            let mut grads = vec![T::ZERO; model.layout().num_trained()];
            let gradient = &loss.gradient;
            let values = model.backward(&batch, &forward, gradient, &mut grads, mode);
            tensors.extend(model.name_trained("grad.", &grads));
            let shape = vec![batch.size(), batch.context_length(), batch.num_channels()];
            tensors.push(NamedTensor { name: "grad_in.past_values".into(), shape, values });
        }
    } else if options.gradients {
        let text = "is missing: gradients are those of the loss, which needs the truth";
        return Err(Error::input(text).at(aim.0));
    }
    if options.train_norm {
        let mut moved = model.clone();
        moved.update_running(&forward);
        tensors.extend(moved.name_buffers("after."));
    }
    Ok(tensors)
}
