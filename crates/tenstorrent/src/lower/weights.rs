//! Weights of a model by the names that its network gives them, and what is folded into them before
//! they are uploaded.

use std::collections::HashMap;

use ptsm_core::network::LinearLayer;
use ptsm_core::{Error, Model, Result, TensorLayout, TensorStore};
use ptsm_kernels::LinearDims;

use super::builder::LinearWeights;

/// A model's weights by name.
pub(super) struct Weights<'a> {
    model: &'a Model,
    tensors: HashMap<&'a str, &'a TensorLayout>,
    /// Whether numbers are wanted, or only shapes.
    with_values: bool,
}

impl<'a> Weights<'a> {
    pub(super) fn new(model: &'a Model, with_values: bool) -> Self {
        let tensors = model.layout().tensors().iter().map(|t| (t.name.as_str(), t)).collect();
        Self { model, tensors, with_values }
    }

    fn tensor(&self, name: &str) -> Result<&'a TensorLayout> {
        self.tensors
            .get(name)
            .copied()
            .ok_or_else(|| Error::internal("is no tensor of this model").at(name))
    }

    /// The numbers of a tensor.
    pub(super) fn values(&self, name: &str) -> Result<&'a [f32]> {
        let tensor = self.tensor(name)?;
        let parameters = &self.model.parameters;
        Ok(match tensor.store {
            TensorStore::Trained => &parameters.trained[tensor.range.clone()],
            _ => &parameters.buffers[tensor.range.clone()],
        })
    }

    /// The numbers of a linear layer.
    pub(super) fn linear(&self, layer: &LinearLayer) -> Result<LinearWeights> {
        let values = |name: String| -> Result<Vec<f32>> {
            Ok(match self.with_values {
                true => self.values(&name)?.to_vec(),
                false => Vec::new(),
            })
        };
        let (weight, bias) = (values(layer.weight())?, values(layer.bias())?);
        let LinearLayer { inputs, outputs, .. } = *layer;
        Ok(LinearWeights { name: layer.name.clone(), inputs, outputs, weight, bias })
    }

    /// `first` and then `second` as one layer.
    pub(super) fn composed(
        &self,
        first: &LinearWeights,
        second: &LinearWeights,
    ) -> Result<LinearWeights> {
        let name = format!("{} of {}", second.name, first.name);
        let (inputs, outputs) = (first.inputs, second.outputs);
        let mut folded =
            LinearWeights { name, inputs, outputs, weight: Vec::new(), bias: Vec::new() };
        if !self.with_values {
            return Ok(folded);
        }
        let isa = ptsm_core::instruction_set()?;
        folded.weight = vec![0.0; inputs * outputs];
        let dims = LinearDims { rows: outputs, inputs, outputs: first.outputs };
        let weight = &mut folded.weight;
        ptsm_kernels::linear_d_input(isa, dims, &second.weight, &first.weight, weight);
        folded.bias = second.bias.clone();
        let dims = LinearDims { rows: 1, inputs: first.outputs, outputs };
        let LinearWeights { weight, bias, .. } = second;
        ptsm_kernels::linear(isa, dims, &first.bias, weight, bias, &mut folded.bias);
        Ok(folded)
    }
}
