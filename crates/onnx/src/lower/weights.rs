//! Weights of a model by the names of its state dict, as constants of the graph.

use std::collections::BTreeMap;

use ptsm::core::network::{LinearLayer, Norm, NormLayer};
use ptsm::core::{TensorLayout, TensorStore};
use ptsm::{Error, Model, Result};

use crate::graph::{Attribute, Graph, Value};
use crate::ops::Linear;

/// The weights of one model.
pub(crate) struct Weights<'a> {
    model: &'a Model,
    tensors: BTreeMap<&'a str, &'a TensorLayout>,
    /// In front of their names: which member of an ensemble, or which head, they are of.
    prefix: String,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(model: &'a Model, prefix: &str) -> Self {
        let tensors = model.layout().tensors().iter().map(|t| (t.name.as_str(), t)).collect();
        Self { model, tensors, prefix: prefix.to_owned() }
    }

    pub(crate) fn model(&self) -> &'a Model {
        self.model
    }

    /// The name of a part of the model, for its nodes.
    pub(crate) fn scope(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    fn values(&self, name: &str) -> Result<&'a [f32]> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::internal("is no tensor of this model").at(name));
        };
        let parameters = &self.model.parameters;
        Ok(match tensor.store {
            TensorStore::Trained => &parameters.trained[tensor.range.clone()],
            _ => &parameters.buffers[tensor.range.clone()],
        })
    }

    /// A tensor as it is, in a shape.
    pub(crate) fn constant(&self, g: &mut Graph, name: &str, shape: &[usize]) -> Result<Value> {
        let values = self.values(name)?;
        Ok(g.floats(&format!("{}{name}", self.prefix), shape, values))
    }

    /// A linear layer, its weight transposed.
    pub(crate) fn linear(&self, g: &mut Graph, layer: &LinearLayer) -> Result<Linear> {
        let LinearLayer { inputs, outputs, .. } = *layer;
        let stored = self.values(&layer.weight())?;
        let mut weight = vec![0.0; stored.len()];
        for (o, row) in stored.chunks_exact(inputs).enumerate() {
            row.iter().enumerate().for_each(|(i, &w)| weight[i * outputs + o] = w);
        }
        let name = format!("{}{}.transposed", self.prefix, layer.weight());
        let weight = g.floats(&name, &[inputs, outputs], &weight);
        let bias = self.constant(g, &layer.bias(), &[outputs])?;
        Ok(Linear { weight, bias })
    }

    /// Applies a linear layer to the last axis.
    pub(crate) fn apply(&self, g: &mut Graph, layer: &LinearLayer, x: Value) -> Result<Value> {
        let layer = self.linear(g, layer)?;
        g.linear(x, layer)
    }

    /// The norm of the last axis.
    pub(crate) fn norm(&self, g: &mut Graph, norm: &NormLayer, x: Value) -> Result<Value> {
        let width = norm.width;
        if norm.kind == Norm::Layer {
            let weight = self.constant(g, &norm.tensor("weight"), &[width])?;
            let bias = self.constant(g, &norm.tensor("bias"), &[width])?;
            let eps = Attribute::Float("epsilon", norm.eps as f32);
            return g.step(
                "LayerNormalization",
                &[x, weight, bias],
                &[Attribute::Int("axis", -1), eps],
            );
        }
        let part = |part: &str| self.values(&norm.tensor(part));
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let slope = |d: usize| f64::from(weight[d]) / (f64::from(variance[d]) + norm.eps).sqrt();
        let slopes: Vec<f32> = (0..width).map(|d| slope(d) as f32).collect();
        let offset = |d: usize| (f64::from(bias[d]) - f64::from(mean[d]) * slope(d)) as f32;
        let offsets: Vec<f32> = (0..width).map(offset).collect();
        let slopes = g.floats(&format!("{}{}.slope", self.prefix, norm.name), &[width], &slopes);
        let offsets = g.floats(&format!("{}{}.offset", self.prefix, norm.name), &[width], &offsets);
        let scaled = g.binary("Mul", x, slopes)?;
        g.binary("Add", scaled, offsets)
    }
}
