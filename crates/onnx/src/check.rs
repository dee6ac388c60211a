//! Reads a file of ours back and checks it: versions, names, order, and the shape of every value.

use std::collections::BTreeMap;

use prost::Message;
use ptsm::{Error, Result};

use crate::export::{IR_VERSION, OPSET};
use crate::fact::{Dim, Fact, Kind};
use crate::infer::infer;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Steps of the graph.
    pub nodes: usize,
    /// Constants.
    pub constants: usize,
    /// Numbers in them.
    pub numbers: usize,
}

fn refuse(place: impl Into<String>, text: impl Into<String>) -> Error {
    Error::input(text).at(place)
}

/// Decodes the bytes of a file and checks that it is one that [`export`](crate::export()) writes: every value has one
/// name, is made before it is read, and has the shape that the rules of its operator give; outputs have the shapes that
/// the file says.
///
/// # Errors
///
/// `InvalidInput`, naming the node or value.
pub fn check(bytes: &[u8]) -> Result<Checked> {
    let model =
        ModelProto::decode(bytes).map_err(|e| Error::input("is no ONNX file").because(e))?;
    let sets: Vec<(&str, i64)> =
        model.opset_import.iter().map(|set| (set.domain.as_str(), set.version)).collect();
    if sets != [("", OPSET)] || model.ir_version != IR_VERSION {
        let text = format!(
            "has operators {sets:?} and representation {}, wanted version {OPSET} and {IR_VERSION}",
            model.ir_version
        );
        return Err(refuse("opset_import", text));
    }
    let Some(graph) = &model.graph else { return Err(refuse("graph", "is missing")) };
    let numbers = check_graph(graph)?;
    Ok(Checked { nodes: graph.node.len(), constants: graph.initializer.len(), numbers })
}

/// What is known of every value, by its name.
#[derive(Default)]
struct Known<'a>(BTreeMap<&'a str, Fact>);

impl<'a> Known<'a> {
    fn add(&mut self, name: &'a str, fact: Fact) -> Result<()> {
        match name.is_empty() || self.0.insert(name, fact).is_some() {
            true => Err(refuse(name, "names two values, or none")),
            false => Ok(()),
        }
    }

    fn step(&mut self, node: &'a NodeProto) -> Result<()> {
        let at = |text: String| refuse(format!("node {}", node.name), text);
        let read = |name: &String| {
            self.0
                .get(name.as_str())
                .ok_or_else(|| at(format!("reads {name}, which is not there yet")))
        };
        let inputs = node.input.iter().map(read).collect::<Result<Vec<&Fact>>>()?;
        let [output] = node.output.as_slice() else {
            return Err(at(format!("makes {} values, wanted one", node.output.len())));
        };
        let fact = infer(node, &inputs).map_err(at)?;
        self.add(output, fact)
    }
}

/// Gives how many numbers the constants have.
fn check_graph(graph: &GraphProto) -> Result<usize> {
    let mut known = Known::default();
    let mut numbers = 0;
    for input in &graph.input {
        let fact = Fact::of_value_info(input)
            .filter(|fact| fact.shape.first() == Some(&Dim::Batch))
            .ok_or_else(|| {
                refuse(format!("input {}", input.name), "has no shape from the batch on")
            })?;
        known.add(&input.name, fact)?;
    }
    for tensor in &graph.initializer {
        let fact = constant(tensor)?;
        numbers += tensor.raw_data.len() / fact.kind.bytes();
        known.add(&tensor.name, fact)?;
    }
    graph.node.iter().try_for_each(|node| known.step(node))?;
    let read =
        |name: &str| graph.node.iter().any(|node| node.input.iter().any(|read| read == name));
    let unused = graph.initializer.iter().map(|tensor| &tensor.name).find(|name| !read(name));
    if let Some(name) = unused {
        return Err(refuse(format!("constant {name}"), "is read by no node"));
    }
    if graph.output.is_empty() {
        return Err(refuse("graph", "has no output"));
    }
    for output in &graph.output {
        let said = Fact::of_value_info(output);
        let found = known.0.get(output.name.as_str());
        let same = |(a, b): (&Fact, &Fact)| a.kind == b.kind && a.shape == b.shape;
        if !said.as_ref().zip(found).is_some_and(same) {
            let text = format!("is said to be {said:?}, but is {found:?}");
            return Err(refuse(format!("output {}", output.name), text));
        }
    }
    Ok(numbers)
}

fn constant(tensor: &TensorProto) -> Result<Fact> {
    let at = |text: &str| refuse(format!("constant {}", tensor.name), text);
    let kind = Kind::of_number(tensor.data_type).ok_or_else(|| at("has an unknown type"))?;
    let lengths = tensor.dims.iter().map(|&length| usize::try_from(length));
    let lengths: Vec<usize> =
        lengths.collect::<std::result::Result<_, _>>().map_err(|_| at("has a negative length"))?;
    let count = lengths.iter().try_fold(kind.bytes(), |all, &length| all.checked_mul(length));
    if count != Some(tensor.raw_data.len()) {
        return Err(at("has not as many numbers as its shape says"));
    }
    let ints = (kind == Kind::Int).then(|| {
        let chunks = tensor.raw_data.chunks_exact(8);
        chunks.map(|chunk| i64::from_le_bytes(chunk.try_into().unwrap_or_default())).collect()
    });
    Ok(Fact { ints, ..Fact::fixed(kind, &lengths) })
}

#[cfg(test)]
mod tests {
    use ptsm::core::Init;
    use ptsm::{Config, Model};

    use super::*;
    use crate::{Options, export_model};

    /// The file of a small model.
    fn file() -> Result<Vec<u8>> {
        let config = Config {
            context_length: 16,
            patch_length: 4,
            patch_stride: 4,
            prediction_length: 4,
            ..Config::default()
        };
        Ok(export_model(&Model::new(config, Init::PyTorch, 3)?, &Options::default())?.bytes)
    }

    fn graph(model: &mut ModelProto) -> &mut GraphProto {
        model.graph.get_or_insert_with(GraphProto::default)
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_place() -> Result<()> {
        let bytes = file()?;
        check(&bytes)?;
        assert!(check(&bytes[..bytes.len() / 2]).is_err());
        assert!(check(b"").is_err());
        let damaged = |change: &dyn Fn(&mut ModelProto), wanted: &str| {
            let mut model = match ModelProto::decode(bytes.as_slice()) {
                Ok(model) => model,
                Err(error) => panic!("{error}"),
            };
            assert_eq!(model.encode_to_vec(), bytes, "read and written again");
            change(&mut model);
            match check(&model.encode_to_vec()) {
                Ok(_) => panic!("not refused: {wanted}"),
                Err(error) => assert!(error.to_string().contains(wanted), "{error}"),
            }
        };
        damaged(&|m| m.opset_import[0].version = 20, "wanted version 17");
        damaged(&|m| graph(m).node[2].input[0] = "nowhere".into(), "reads nowhere");
        damaged(&|m| graph(m).node.swap(0, 9), "not there yet");
        damaged(&|m| graph(m).initializer[0].raw_data.truncate(2), "as many numbers");
        damaged(&|m| graph(m).initializer[0].dims = vec![i64::MAX, i64::MAX], "as many numbers");
        damaged(&|m| graph(m).node[0].op_type = "Gelu".into(), "operator Gelu");
        Ok(())
    }
}
