//! One batch through the model with every intermediate, for comparison with another implementation.

use std::collections::BTreeMap;

use crate::data::Batch;
use crate::model::{Mode, Model, NamedTensor, Real};
use crate::tensor_file::WideTensor;
use crate::train::{known_points, mse};
use crate::{Error, Result};

/// What a trace computes beside the outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceOptions {
    /// Gradients of the loss for every weight and for the input.
    pub gradients: bool,
    /// Batch norm in train mode; the updated statistics are added as `after.*`.
    pub train_norm: bool,
}

/// Makes a batch of tensors named as in the fixtures: `in.past_values` `[B, L, C]`, and where they
/// are given `in.observed_mask`, `in.future_values` `[B, H, C]` and `in.future_observed_mask`.
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
    Ok(Batch {
        size,
        context_length,
        num_channels,
        past_values: past.values.iter().map(|&x| T::from_f64(x)).collect(),
        observed_mask: like("in.observed_mask", Some(context_length))?,
        future_values: like("in.future_values", None)?,
        future_observed_mask: like("in.future_observed_mask", None)?,
    })
}

/// Runs one batch and returns `out.*`, `trace.*`, `out.hidden.*`, and `out.loss` where the truth is
/// given; with [`TraceOptions::gradients`] also `grad.*` and `grad_in.past_values`; in train mode
/// also `after.*`.
///
/// A mean-scaled channel without observations borrows its scale from the batch, as the reference
/// does.
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
    let mode = Mode { train_norm: options.train_norm, dropout: None, borrow_scale: true };
    let forward = model.forward(&batch, mode)?;
    let mut tensors = model.trace(&forward);
    if batch.future_values.is_some() {
        let channels = model.config().prediction_channels();
        let count = known_points(&batch, &channels);
        let loss = mse(&forward.prediction, &batch, &channels, count)?;
        let values = vec![loss.value];
        tensors.push(NamedTensor { name: "out.loss".into(), shape: vec![], values });
        if options.gradients {
            let mut grads = vec![T::ZERO; model.layout().num_trained()];
            let values = model.backward(&batch, &forward, &loss.d_prediction, &mut grads);
            tensors.extend(model.name_trained("grad.", &grads));
            let shape = vec![batch.size, batch.context_length, batch.num_channels];
            tensors.push(NamedTensor { name: "grad_in.past_values".into(), shape, values });
        }
    } else if options.gradients {
        let text = "is missing: gradients are those of the loss, which needs the truth";
        return Err(Error::input(text).at("in.future_values"));
    }
    if options.train_norm {
        let mut moved = model.clone();
        moved.update_running(&forward);
        tensors.extend(moved.name_buffers("after."));
    }
    Ok(tensors)
}
