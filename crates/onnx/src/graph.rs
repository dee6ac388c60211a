//! Builds a graph: every value has a name, a type and a shape, and what does not fit together is a defect of ours that
//! is found here.

use std::collections::{BTreeMap, BTreeSet};

use ptsm::{Error, Result};

use crate::fact::{Dim, Fact, Kind};
use crate::infer::infer;
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// A value of the graph that is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value(usize);

/// A setting of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute<'a> {
    Float(&'a str, f32),
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
}

/// Builder of one graph.
#[derive(Default)]
pub(crate) struct Graph {
    values: Vec<(String, Fact)>,
    taken: BTreeSet<String>,
    constants: BTreeMap<String, Value>,
    nodes: Vec<NodeProto>,
    initialisers: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
    /// In front of the names of nodes: which part of the model is being built.
    scope: String,
}

impl Attribute<'_> {
    fn proto(self) -> AttributeProto {
        let empty = AttributeProto::default();
        match self {
            Attribute::Float(name, f) => AttributeProto {
                name: name.into(),
                f: Some(f),
                r#type: AttributeProto::FLOAT,
                ..empty
            },
            Attribute::Int(name, i) => AttributeProto {
                name: name.into(),
                i: Some(i),
                r#type: AttributeProto::INT,
                ..empty
            },
            Attribute::Ints(name, ints) => AttributeProto {
                name: name.into(),
                ints: ints.to_vec(),
                r#type: AttributeProto::INTS,
                ..empty
            },
        }
    }
}

impl Graph {
    /// Names nodes after this part of the model from now on; gives the part before.
    pub(crate) fn enter(&mut self, scope: &str) -> String {
        std::mem::replace(&mut self.scope, scope.to_owned())
    }

    pub(crate) fn shape(&self, value: Value) -> &[Dim] {
        &self.values[value.0].1.shape
    }

    /// The length of an axis that is never the batch.
    ///
    /// # Errors
    ///
    /// `Internal` if it is the batch, or there is no such axis.
    pub(crate) fn length(&self, value: Value, axis: usize) -> Result<usize> {
        let found = self.shape(value).get(axis).and_then(|dim| dim.fixed());
        found.ok_or_else(|| {
            let Fact { shape, .. } = &self.values[value.0].1;
            Error::internal(format!("axis {axis} of {shape:?} has no fixed length"))
        })
    }

    /// A name that no other value has.
    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        name
    }

    fn push(&mut self, name: String, fact: Fact) -> Value {
        self.values.push((name, fact));
        Value(self.values.len() - 1)
    }

    /// An input of the graph.
    pub(crate) fn input(&mut self, name: &str, fact: Fact, doc: &str) -> Value {
        self.inputs.push(fact.value_info(name, doc));
        self.taken.insert(name.to_owned());
        self.push(name.to_owned(), fact)
    }

    /// Makes a value an output of this name.
    ///
    /// # Errors
    ///
    /// `Internal` if the name is taken.
    pub(crate) fn output(&mut self, name: &str, value: Value, doc: &str) -> Result<()> {
        if self.taken.contains(name) {
            return Err(Error::internal(format!(
                "the output {name} has the name of another value"
            )));
        }
        self.taken.insert(name.to_owned());
        let (from, fact) = self.values[value.0].clone();
        self.outputs.push(fact.value_info(name, doc));
        let made = |node: &NodeProto| node.output[0] == from;
        let is_output = self.outputs.iter().any(|output| output.name == from);
        if is_output || !self.nodes.iter().any(made) {
            self.nodes.push(NodeProto {
                input: vec![from],
                output: vec![name.to_owned()],
                name: name.to_owned(),
                op_type: "Identity".into(),
                attribute: Vec::new(),
            });
            return Ok(());
        }
        // The value itself gets the name, so that runtimes know it by that alone.
        for node in &mut self.nodes {
            let all = node.input.iter_mut().chain(&mut node.output);
            all.filter(|known| **known == from).for_each(|known| *known = name.to_owned());
        }
        self.values[value.0].0 = name.to_owned();
        Ok(())
    }

    /// A constant of single precision.
    ///
    /// # Panics
    ///
    /// If there are not as many numbers as the shape asks for: a defect of ours.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "numbers of {name}");
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constant(name, Fact::fixed(Kind::Float, shape), bytes)
    }

    /// A single number, the same constant wherever it is used.
    pub(crate) fn number(&mut self, x: f32) -> Value {
        let key = format!("number.{x:e}");
        if let Some(&known) = self.constants.get(&key) {
            return known;
        }
        let value = self.floats(&key, &[], &[x]);
        self.constants.insert(key, value);
        value
    }

    /// Whole numbers, the same constant wherever they are used.
    pub(crate) fn ints(&mut self, values: &[i64]) -> Value {
        self.places(&[values.len()], values)
    }

    /// As [`Graph::ints`], in a shape.
    pub(crate) fn places(&mut self, shape: &[usize], values: &[i64]) -> Value {
        let named: Vec<String> = values.iter().take(8).map(i64::to_string).collect();
        let wanted = format!("ints.{}", named.join("_"));
        let key = format!("{shape:?}{values:?}");
        if let Some(&known) = self.constants.get(&key) {
            return known;
        }
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let fact = Fact { ints: Some(values.to_vec()), ..Fact::fixed(Kind::Int, shape) };
        let value = self.constant(&wanted, fact, bytes);
        self.constants.insert(key, value);
        value
    }

    fn constant(&mut self, name: &str, fact: Fact, raw_data: Vec<u8>) -> Value {
        let name = self.unique(name);
        self.initialisers.push(TensorProto {
            dims: fact.shape.iter().filter_map(|dim| dim.fixed()).map(|n| n as i64).collect(),
            data_type: fact.kind.number(),
            name: name.clone(),
            raw_data,
        });
        self.push(name, fact)
    }

    /// A step with one output.
    ///
    /// # Errors
    ///
    /// `Internal` if its inputs do not fit.
    pub(crate) fn step(
        &mut self,
        op: &str,
        inputs: &[Value],
        attributes: &[Attribute<'_>],
    ) -> Result<Value> {
        let name = match self.scope.is_empty() {
            true => op.to_owned(),
            false => format!("{}/{op}", self.scope),
        };
        let name = self.unique(&name);
        let node = NodeProto {
            input: inputs.iter().map(|input| self.values[input.0].0.clone()).collect(),
            output: vec![name.clone()],
            name,
            op_type: op.to_owned(),
            attribute: attributes.iter().map(|attribute| attribute.proto()).collect(),
        };
        let facts: Vec<&Fact> = inputs.iter().map(|input| &self.values[input.0].1).collect();
        let fact = infer(&node, &facts)
            .map_err(|text| Error::internal(text).at(format!("ONNX node {}", node.name)))?;
        let name = node.name.clone();
        self.nodes.push(node);
        Ok(self.push(name, fact))
    }

    /// The finished graph.
    pub(crate) fn finish(self, name: &str) -> GraphProto {
        GraphProto {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.initialisers,
            input: self.inputs,
            output: self.outputs,
        }
    }
}
