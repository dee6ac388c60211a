//! Runs a program on the CPU with the chip's numbers and the chip's padding.
//!
//! A tensor is held as the device holds it: every matrix padded to whole tiles. Uploads are padded
//! with zeros, as `ttnn` does. Operations that compute their padding like other numbers do so here
//! too (sums, products, transposes). Operations that leave their padding undefined fill it with
//! garbage here, so that a program that relies on it gives wrong answers. Sums are in f32, and
//! every result is rounded to its tensor's data type.

mod kernels;
mod ops;
mod product;
mod rounding;
mod tensor;

use std::collections::HashMap;

use ptsm_core::{Error, Result};
use ptsm_kernels::Isa;

use crate::program::{Program, Role, Step, TensorId};
pub use tensor::GARBAGE;
pub(crate) use tensor::TileTensor;

/// Is called after each step; the function that it is given returns the step's output without
/// padding.
pub type Watch<'a> = dyn FnMut(&Step, &dyn Fn() -> Vec<f32>) + 'a;

/// A program with its constants in place, ready to run.
#[derive(Debug)]
pub struct Emulator {
    program: Program,
    constants: HashMap<TensorId, TileTensor>,
    isa: Isa,
    garbage: f32,
}

impl Emulator {
    /// An emulator of `program`.
    ///
    /// # Errors
    ///
    /// `Internal` if the program breaks a rule; `BackendUnavailable` if `PTSM_ISA` names an
    /// instruction set that is not there.
    pub fn new(program: Program) -> Result<Self> {
        Self::with_garbage(program, GARBAGE)
    }

    /// As [`Emulator::new`], with `garbage` as the value of undefined padding.
    ///
    /// # Errors
    ///
    /// As [`Emulator::new`].
    pub fn with_garbage(mut program: Program, garbage: f32) -> Result<Self> {
        program.check()?;
        let isa = ptsm_core::instruction_set()?;
        let constants = std::mem::take(&mut program.constants)
            .into_iter()
            .map(|(id, values)| {
                let spec = &program.tensors[id];
                (id, TileTensor::upload(spec.shape, spec.dtype, &values))
            })
            .collect();
        Ok(Self { program, constants, isa, garbage })
    }

    /// The program, without its constants.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Runs it: one row-major slice for every input, one vector for every output.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if inputs are missing or have another length.
    pub fn run(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        self.run_watched(inputs, &mut |_, _| {})
    }

    /// As [`Emulator::run`]; `watch` is called after every step.
    ///
    /// # Errors
    ///
    /// As [`Emulator::run`].
    pub fn run_watched(&self, inputs: &[&[f32]], watch: &mut Watch<'_>) -> Result<Vec<Vec<f32>>> {
        let program = &self.program;
        let ids: Vec<TensorId> = program.with_role(Role::Input).collect();
        if ids.len() != inputs.len() {
            let text = format!("has {} inputs, got {}", ids.len(), inputs.len());
            return Err(Error::input(text).at("program"));
        }
        let mut alive: HashMap<TensorId, TileTensor> = HashMap::new();
        for (&id, values) in ids.iter().zip(inputs) {
            let spec = &program.tensors[id];
            if values.len() != spec.volume() {
                let text = format!("has {} numbers, wanted {}", values.len(), spec.volume());
                return Err(Error::input(text).at(&spec.name));
            }
            alive.insert(id, TileTensor::upload(spec.shape, spec.dtype, values));
        }
        for step in &program.steps {
            let read: Vec<&TileTensor> = step
                .inputs
                .iter()
                .map(|id| self.constants.get(id).or_else(|| alive.get(id)))
                .collect::<Option<_>>()
                .ok_or_else(|| Error::internal("reads a tensor that is gone").at(step.op.name()))?;
            let spec = &program.tensors[step.output];
            let context = product::Context { isa: self.isa, garbage: self.garbage };
            let mut made = ops::run(&step.op, &read, spec.shape, context);
            rounding::round(spec.dtype, &mut made.values);
            watch(step, &|| made.download());
            alive.insert(step.output, made);
            step.frees.iter().for_each(|id| drop(alive.remove(id)));
        }
        program
            .with_role(Role::Output)
            .map(|id| {
                let made = alive.get(&id).ok_or_else(|| Error::internal("makes no output"))?;
                Ok(made.download())
            })
            .collect()
    }
}
