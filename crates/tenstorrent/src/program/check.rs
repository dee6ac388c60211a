//! Checks that a program is legal before it is sent to a device.

use ptsm_core::{Error, Result};

use super::{
    Buffer, DataType, Layout, MAX_COLUMNS, Op, Program, Role, Spread, Step, TILE, TensorSpec,
};
use crate::chip::Chip;
use crate::cost::circular_buffer_bytes;

impl Program {
    /// Checks shapes, tiles, legal pairs of operation and layout, lifetimes, and that every step
    /// fits into the cores' memory.
    ///
    /// # Errors
    ///
    /// `Internal` naming the step and the rule; a program that we planned breaks none.
    pub fn check(&self) -> Result<()> {
        let chip = self.arch.chip();
        for tensor in &self.tensors {
            let fits = tensor.memory.shard.is_none_or(|shard| {
                shard.shape.iter().all(|side| side.is_multiple_of(TILE) && *side > 0)
                    && shard.grid.x <= chip.grid.x
                    && shard.grid.y <= chip.grid.y
            });
            let consistent =
                (tensor.memory.spread == Spread::Interleaved) == tensor.memory.shard.is_none();
            if !fits || !consistent || tensor.volume() == 0 {
                let text =
                    "cannot be placed in memory so: shards are whole tiles on cores that exist";
                return Err(Error::internal(text).at(&tensor.name));
            }
        }
        for (id, values) in &self.constants {
            let tensor = &self.tensors[*id];
            if values.len() != tensor.volume() || tensor.role != Role::Constant {
                return Err(Error::internal("is a constant of another size").at(&tensor.name));
            }
        }
        let place = |i: usize, step: &Step| format!("step {i} ({})", step.op.name());
        for (i, step) in self.steps.iter().enumerate() {
            self.check_step(step).map_err(|e| e.at(place(i, step)))?;
        }
        self.check_lifetimes()?;
        for (i, bytes) in self.l1_bytes_per_core(&chip).into_iter().enumerate() {
            if bytes > chip.l1_bytes {
                let text = format!("takes {bytes} bytes of a core's {} in L1", chip.l1_bytes);
                return Err(Error::internal(text).at(place(i, &self.steps[i])));
            }
        }
        Ok(())
    }

    fn check_step(&self, step: &Step) -> Result<()> {
        let refuse = |text: &str| Err(Error::internal(text.to_owned()));
        if step.inputs.iter().chain([&step.output]).any(|&id| id >= self.tensors.len()) {
            return refuse("names a tensor that is not there");
        }
        let inputs = self.inputs(step);
        let output = &self.tensors[step.output];
        if step.op.output_shape(&inputs)? != output.shape {
            return refuse("gives another shape than its output has");
        }
        let rows = matches!(step.op, Op::Embed { .. });
        let has_layout = |(i, input): (usize, &&TensorSpec)| {
            input.layout == if rows && i == 0 { Layout::RowMajor } else { Layout::Tile }
        };
        if !inputs.iter().enumerate().all(has_layout) || output.layout != Layout::Tile {
            return refuse("works on tiles; only windows that are cut into patches are row-major");
        }
        let spread = inputs[0].memory.spread;
        match &step.op {
            Op::LayerNorm { .. } if spread == Spread::HeightSharded => {
                refuse("layer_norm refuses height-sharded inputs")
            }
            Op::Softmax { .. }
                if !matches!(spread, Spread::Interleaved | Spread::HeightSharded) =>
            {
                refuse("softmax takes interleaved or height-sharded inputs")
            }
            Op::Linear { transpose_a: true, .. } if has_several_tall(inputs[0].shape) => refuse(
                "linear reads several matrices transposed only if each then has one row of tiles",
            ),
            Op::MatmulAddcmul { .. } if !inputs[0].shape[2].is_multiple_of(TILE) => {
                refuse("the gate of the fused matmul and addcmul is read in whole tiles of rows")
            }
            Op::MatmulAddcmul { .. } if inputs[1].dtype != inputs[0].dtype => {
                refuse("the operands of the fused matmul and addcmul have different data types")
            }
            op if op.is_ours() && inputs.iter().any(|x| x.dtype != DataType::Bfloat16) => {
                refuse("a kernel of ours reads bfloat16")
            }
            Op::Mixer { .. } | Op::Channels { .. } | Op::Attention { .. }
                if inputs[0].padded()[3] > MAX_COLUMNS * TILE =>
            {
                refuse("a kernel of ours with a norm takes two columns of tiles (64 features)")
            }
            op if op.is_ours() && spread != Spread::Interleaved => {
                refuse("a kernel of ours reads interleaved tensors")
            }
            Op::Transpose | Op::Permute { .. } | Op::Reshape { .. }
                if inputs[0].dtype == DataType::Bfloat8B =>
            {
                refuse(
                    "bfloat8_b numbers share an exponent with their neighbours and cannot be moved",
                )
            }
            _ => Ok(()),
        }
    }

    /// Checks that every tensor is made before it is read, and freed at most once, after its last
    /// use.
    fn check_lifetimes(&self) -> Result<()> {
        let mut alive: Vec<bool> = self
            .tensors
            .iter()
            .map(|tensor| matches!(tensor.role, Role::Constant | Role::Input))
            .collect();
        let refuse = |i: usize, id: usize, text: &str| {
            let name = &self.tensors[id].name;
            Err(Error::internal(text.to_owned()).at(name).at(format!("step {i}")))
        };
        for (i, step) in self.steps.iter().enumerate() {
            if let Some(&id) = step.inputs.iter().find(|&&id| !alive[id]) {
                return refuse(i, id, "is read where it does not exist");
            }
            if std::mem::replace(&mut alive[step.output], true) {
                return refuse(i, step.output, "is made twice");
            }
            for &id in &step.frees {
                if self.tensors[id].role != Role::Temporary {
                    return refuse(i, id, "is no temporary, and cannot be freed");
                }
                if !std::mem::replace(&mut alive[id], false) {
                    return refuse(i, id, "is freed twice");
                }
            }
        }
        let end = self.steps.len();
        for (id, tensor) in self.tensors.iter().enumerate() {
            match tensor.role {
                Role::Temporary if alive[id] => return refuse(end, id, "is never freed"),
                Role::Output if !alive[id] => return refuse(end, id, "is never made"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Bytes that the fullest core holds while each step runs: tensors that are alive, and the
    /// step's circular buffers.
    pub fn l1_bytes_per_core(&self, chip: &Chip) -> Vec<usize> {
        let bytes = |id: usize| self.tensors[id].l1_bytes_per_core(chip);
        let fixed = self.tensors.iter().enumerate().filter(|(_, tensor)| {
            matches!(tensor.role, Role::Constant | Role::Input)
                && tensor.memory.buffer == Buffer::L1
        });
        let mut held: usize = fixed.map(|(id, _)| bytes(id)).sum();
        let mut all = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            held += bytes(step.output);
            let inputs = self.inputs(step);
            all.push(held + circular_buffer_bytes(step, &inputs, &self.tensors[step.output], chip));
            held -= step.frees.iter().map(|&id| bytes(id)).sum::<usize>();
        }
        all
    }
}

/// Whether these are several matrices with more than a tile of columns.
fn has_several_tall([batch, channels, _, columns]: [usize; 4]) -> bool {
    batch * channels > 1 && columns > TILE
}
