//! An ONNX file in memory, and what it takes and gives.

use std::fmt;
use std::path::Path;

use ptsm::Result;
use ptsm::core::write_atomically;
use serde_json::{Value, json};

use crate::fact::{BATCH, Dim, Fact, Kind};
use crate::proto::ValueInfoProto;

/// An ONNX file in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// What it is given.
    pub inputs: Vec<Tensor>,
    /// What comes out.
    pub outputs: Vec<Tensor>,
    /// Steps of the graph.
    pub nodes: usize,
    /// What the model directory has and the file has not, in words.
    pub notes: Vec<String>,
}

/// An input or output of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Type of its numbers.
    pub kind: Kind,
    /// Its shape.
    pub shape: Vec<Dim>,
    /// What it is, in words.
    pub doc: String,
}

impl Tensor {
    /// What an entry of a file says; `None` if it says something that no file of ours does.
    pub(crate) fn of(info: &ValueInfoProto) -> Option<Self> {
        let Fact { kind, shape, .. } = Fact::of_value_info(info)?;
        let (name, doc) = (info.name.clone(), info.doc_string.clone());
        Some(Self { name, kind, shape, doc })
    }

    fn to_json(&self) -> Value {
        let dim = |dim: &Dim| match dim {
            Dim::Batch => json!(BATCH),
            Dim::Fixed(length) => json!(length),
        };
        let shape: Vec<Value> = self.shape.iter().map(dim).collect();
        json!({"name": self.name, "type": self.kind.name(), "shape": shape, "what": self.doc})
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "{} {} [{}]: {}", self.name, self.kind.name(), shape.join(", "), self.doc)
    }
}

impl Exported {
    /// Size, inputs, outputs and notes as one JSON object.
    pub fn to_json(&self) -> Value {
        let list = |tensors: &[Tensor]| -> Value { tensors.iter().map(Tensor::to_json).collect() };
        json!({
            "bytes": self.bytes.len(),
            "nodes": self.nodes,
            "inputs": list(&self.inputs),
            "outputs": list(&self.outputs),
            "notes": self.notes,
        })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |out| out.write_all(&self.bytes))
    }
}
