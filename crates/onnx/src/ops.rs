//! Steps that several parts of a model have.

use ptsm::Result;

use crate::fact::{Dim, Kind};
use crate::graph::{Attribute, Graph, Value};

/// Weight `[inputs, outputs]` and bias `[outputs]` of a linear layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) weight: Value,
    pub(crate) bias: Value,
}

impl Graph {
    pub(crate) fn unary(&mut self, op: &str, x: Value) -> Result<Value> {
        self.step(op, &[x], &[])
    }

    pub(crate) fn binary(&mut self, op: &str, a: Value, b: Value) -> Result<Value> {
        self.step(op, &[a, b], &[])
    }

    /// As [`Graph::binary`], with a number.
    pub(crate) fn with(&mut self, op: &str, a: Value, b: f32) -> Result<Value> {
        let b = self.number(b);
        self.binary(op, a, b)
    }

    pub(crate) fn choose(&mut self, mask: Value, yes: Value, no: Value) -> Result<Value> {
        self.step("Where", &[mask, yes, no], &[])
    }

    pub(crate) fn cast(&mut self, x: Value, to: Kind) -> Result<Value> {
        self.step("Cast", &[x], &[Attribute::Int("to", to.number().into())])
    }

    pub(crate) fn transpose(&mut self, x: Value, order: &[i64]) -> Result<Value> {
        self.step("Transpose", &[x], &[Attribute::Ints("perm", order)])
    }

    /// To `[B, ...]` of these lengths: the batch stays.
    pub(crate) fn reshape(&mut self, x: Value, lengths: &[usize]) -> Result<Value> {
        let shape: Vec<i64> = std::iter::once(0).chain(lengths.iter().map(|&n| n as i64)).collect();
        let shape = self.ints(&shape);
        self.binary("Reshape", x, shape)
    }

    /// `from..to` of an axis; the value itself if that is all of it.
    pub(crate) fn slice(&mut self, x: Value, axis: usize, from: usize, to: usize) -> Result<Value> {
        if from == 0 && self.shape(x)[axis] == Dim::Fixed(to) {
            return Ok(x);
        }
        let [from, to, axis] = [from, to, axis].map(|n| self.ints(&[n as i64]));
        self.step("Slice", &[x, from, to, axis], &[])
    }

    pub(crate) fn gather(&mut self, x: Value, places: Value, axis: i64) -> Result<Value> {
        self.step("Gather", &[x, places], &[Attribute::Int("axis", axis)])
    }

    /// Some channels of a value whose axis 1 they are; the value itself if they are all.
    pub(crate) fn channels(&mut self, x: Value, channels: &[usize]) -> Result<Value> {
        if self.shape(x)[1] == Dim::Fixed(channels.len()) {
            return Ok(x);
        }
        let places: Vec<i64> = channels.iter().map(|&c| c as i64).collect();
        let places = self.ints(&places);
        self.gather(x, places, 1)
    }

    /// A statistic `[C, 1]` or `[B, C, 1]` of some channels, in the shape that fits numbers `[B, C', H]` (rank 3) or
    /// `[B, C', H, Q]` (rank 4).
    pub(crate) fn fitting(&mut self, x: Value, channels: &[usize], rank: usize) -> Result<Value> {
        let fixed = self.shape(x)[0] != Dim::Batch;
        let axis = usize::from(!fixed);
        let mut picked = x;
        if self.shape(x)[axis] != Dim::Fixed(channels.len()) {
            let places: Vec<i64> = channels.iter().map(|&c| c as i64).collect();
            let places = self.ints(&places);
            picked = self.gather(x, places, axis as i64)?;
        }
        match (rank, fixed) {
            (3, _) => Ok(picked),
            (_, false) => self.reshape(picked, &[channels.len(), 1, 1]),
            (_, true) => {
                let shape = self.ints(&[channels.len() as i64, 1, 1]);
                self.binary("Reshape", picked, shape)
            }
        }
    }

    pub(crate) fn concat(&mut self, parts: &[Value], axis: i64) -> Result<Value> {
        self.step("Concat", parts, &[Attribute::Int("axis", axis)])
    }

    /// The sum over the last axis, which is kept with length 1.
    pub(crate) fn sum_last(&mut self, x: Value) -> Result<Value> {
        let axes = self.ints(&[-1]);
        self.step("ReduceSum", &[x, axes], &[Attribute::Int("keepdims", 1)])
    }

    /// `ReduceMax`, `ReduceMin` or `ReduceMean` over an axis, which is kept with length 1.
    pub(crate) fn reduce(&mut self, op: &str, x: Value, axis: i64) -> Result<Value> {
        self.step(op, &[x], &[Attribute::Ints("axes", &[axis]), Attribute::Int("keepdims", 1)])
    }

    pub(crate) fn softmax(&mut self, x: Value) -> Result<Value> {
        self.step("Softmax", &[x], &[Attribute::Int("axis", -1)])
    }

    pub(crate) fn log_softmax(&mut self, x: Value) -> Result<Value> {
        self.step("LogSoftmax", &[x], &[Attribute::Int("axis", -1)])
    }

    pub(crate) fn linear(&mut self, x: Value, layer: Linear) -> Result<Value> {
        let product = self.binary("MatMul", x, layer.weight)?;
        self.binary("Add", product, layer.bias)
    }

    /// `x * softmax(layer(x))` over the last axis.
    pub(crate) fn gate(&mut self, x: Value, layer: Linear) -> Result<Value> {
        let logits = self.linear(x, layer)?;
        let weights = self.softmax(logits)?;
        self.binary("Mul", x, weights)
    }

    /// GELU, in the order of steps that ONNX Runtime makes one of.
    pub(crate) fn gelu(&mut self, x: Value) -> Result<Value> {
        let scaled = self.with("Div", x, std::f32::consts::SQRT_2)?;
        let erf = self.unary("Erf", scaled)?;
        let above = self.with("Add", erf, 1.0)?;
        let product = self.binary("Mul", x, above)?;
        self.with("Mul", product, 0.5)
    }
}
