//! What is known of a value before the graph runs: type and shape, and the numbers of a constant of whole numbers.

use crate::proto::{DimensionProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto};

/// Name of the axis whose length is known only when the model runs.
pub(crate) const BATCH: &str = "batch";

/// Type of the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Single precision.
    Float,
    /// Whole numbers of 64 bits.
    Int,
    /// True or false.
    Bool,
}

/// Length of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// Any: the number of windows.
    Batch,
    /// This one.
    Fixed(usize),
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<Dim>,
    /// The numbers of a constant of whole numbers, which may be a shape or a range of others.
    pub(crate) ints: Option<Vec<i64>>,
}

impl Kind {
    /// Its number in the file.
    pub(crate) fn number(self) -> i32 {
        match self {
            Kind::Float => 1,
            Kind::Int => 7,
            Kind::Bool => 9,
        }
    }

    /// The type with this number; `None` = one that no file of ours has.
    pub(crate) fn of_number(number: i32) -> Option<Self> {
        [Kind::Float, Kind::Int, Kind::Bool].into_iter().find(|kind| kind.number() == number)
    }

    /// Bytes of one number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Kind::Float => 4,
            Kind::Int => 8,
            Kind::Bool => 1,
        }
    }

    /// Its name in Python and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Float => "float32",
            Kind::Int => "int64",
            Kind::Bool => "bool",
        }
    }
}

impl Dim {
    pub(crate) fn fixed(self) -> Option<usize> {
        match self {
            Dim::Batch => None,
            Dim::Fixed(length) => Some(length),
        }
    }
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dim::Batch => f.write_str(BATCH),
            Dim::Fixed(length) => write!(f, "{length}"),
        }
    }
}

impl Fact {
    pub(crate) fn new(kind: Kind, shape: Vec<Dim>) -> Self {
        Self { kind, shape, ints: None }
    }

    /// Of fixed lengths.
    pub(crate) fn fixed(kind: Kind, shape: &[usize]) -> Self {
        Self::new(kind, shape.iter().map(|&length| Dim::Fixed(length)).collect())
    }

    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The entry of an input or output of this name.
    pub(crate) fn value_info(&self, name: &str, doc: &str) -> ValueInfoProto {
        let dim = |dim: &Dim| DimensionProto {
            dim_value: dim.fixed().map(|length| length as i64),
            dim_param: (*dim == Dim::Batch).then(|| BATCH.to_owned()),
        };
        let shape = TensorShapeProto { dim: self.shape.iter().map(dim).collect() };
        let tensor = TensorTypeProto { elem_type: self.kind.number(), shape: Some(shape) };
        ValueInfoProto {
            name: name.to_owned(),
            r#type: Some(TypeProto { tensor_type: Some(tensor) }),
            doc_string: doc.to_owned(),
        }
    }

    /// What such an entry says; `None` if it says something that no file of ours does.
    pub(crate) fn of_value_info(info: &ValueInfoProto) -> Option<Self> {
        let tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
        let dim = |dim: &DimensionProto| match (dim.dim_value, dim.dim_param.as_deref()) {
            (Some(length), None) => usize::try_from(length).ok().map(Dim::Fixed),
            (None, Some(BATCH)) => Some(Dim::Batch),
            _ => None,
        };
        let shape = tensor.shape.as_ref()?.dim.iter().map(dim).collect::<Option<_>>()?;
        Some(Self::new(Kind::of_number(tensor.elem_type)?, shape))
    }
}
