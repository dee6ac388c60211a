//! The linear layer of the definition, `y = x W^T + b`, forward and backward.

use crate::real::{LinearDims, Real};
use crate::weights::LinearSlot;

impl LinearSlot {
    fn dims(&self, rows: usize) -> LinearDims {
        LinearDims { rows, inputs: self.inputs, outputs: self.outputs }
    }

    /// `x` `[rows, inputs]` gives `[rows, outputs]`.
    pub(crate) fn forward<T: Real>(&self, trained: &[T], x: &[T]) -> Vec<T> {
        let rows = x.len() / self.inputs;
        let mut out = vec![T::ZERO; rows * self.outputs];
        let (weight, bias) = (&trained[self.weight.clone()], &trained[self.bias.clone()]);
        T::linear(self.dims(rows), x, weight, bias, &mut out);
        out
    }

    /// Adds the gradients of weight and bias to `grads` and returns that of the input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        x: &[T],
        d_out: &[T],
        grads: &mut [T],
    ) -> Vec<T> {
        self.backward_weight(x, d_out, grads);
        self.backward_input(trained, d_out)
    }

    /// The gradient of the input.
    pub(crate) fn backward_input<T: Real>(&self, trained: &[T], d_out: &[T]) -> Vec<T> {
        let rows = d_out.len() / self.outputs;
        let mut d_x = vec![T::ZERO; rows * self.inputs];
        T::linear_d_input(self.dims(rows), d_out, &trained[self.weight.clone()], &mut d_x);
        d_x
    }

    /// Adds the gradients of weight and bias to `grads`.
    pub(crate) fn backward_weight<T: Real>(&self, x: &[T], d_out: &[T], grads: &mut [T]) {
        let rows = x.len() / self.inputs;
        // The bias directly follows its weight in every layout, so one split serves both.
        debug_assert_eq!(self.weight.end, self.bias.start);
        let (d_weight, d_bias) =
            grads[self.weight.start..self.bias.end].split_at_mut(self.weight.len());
        T::linear_d_weight(self.dims(rows), d_out, x, d_weight, d_bias);
    }
}
