//! Computes small graphs for tests, where no runtime is: one row of numbers, step by step in single precision.

use std::collections::BTreeMap;

use crate::fact::Kind;
use crate::proto::{GraphProto, NodeProto};

/// Every value of a graph by its name: as many numbers as the row has, or one that counts for all of them. Truths are
/// 1 and 0.
pub(crate) fn evaluate(
    graph: &GraphProto,
    inputs: &[(&str, &[f32])],
) -> BTreeMap<String, Vec<f32>> {
    let mut known: BTreeMap<String, Vec<f32>> =
        inputs.iter().map(|(name, row)| ((*name).to_owned(), row.to_vec())).collect();
    let floats = graph.initializer.iter().filter(|t| t.data_type == Kind::Float.number());
    for tensor in floats {
        let numbers = tensor.raw_data.chunks_exact(4);
        let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap_or_default());
        known.insert(tensor.name.clone(), numbers.map(number).collect());
    }
    for node in &graph.node {
        let inputs: Vec<&[f32]> = node.input.iter().map(|name| known[name].as_slice()).collect();
        let row = step(node, &inputs);
        known.insert(node.output[0].clone(), row);
    }
    known
}

fn step(node: &NodeProto, inputs: &[&[f32]]) -> Vec<f32> {
    let length = inputs.iter().map(|row| row.len()).max().unwrap_or(0);
    let at = |input: usize, i: usize| inputs[input][if inputs[input].len() == 1 { 0 } else { i }];
    let each = |f: &dyn Fn(usize) -> f32| (0..length).map(f).collect::<Vec<f32>>();
    let truth = |yes: bool| f32::from(u8::from(yes));
    match node.op_type.as_str() {
        "Add" => each(&|i| at(0, i) + at(1, i)),
        "Sub" => each(&|i| at(0, i) - at(1, i)),
        "Mul" => each(&|i| at(0, i) * at(1, i)),
        "Div" => each(&|i| at(0, i) / at(1, i)),
        "Max" => each(&|i| at(0, i).max(at(1, i))),
        "Less" => each(&|i| truth(at(0, i) < at(1, i))),
        "Greater" => each(&|i| truth(at(0, i) > at(1, i))),
        "Where" => each(&|i| if at(0, i) > 0.0 { at(1, i) } else { at(2, i) }),
        "Exp" => each(&|i| at(0, i).exp()),
        "Log" => each(&|i| at(0, i).ln()),
        "Tanh" => each(&|i| at(0, i).tanh()),
        "Softmax" | "LogSoftmax" => {
            let most = inputs[0].iter().fold(f32::MIN, |a, &b| a.max(b));
            let sum: f32 = inputs[0].iter().map(|x| (x - most).exp()).sum();
            match node.op_type == "Softmax" {
                true => each(&|i| (at(0, i) - most).exp() / sum),
                false => each(&|i| at(0, i) - most - sum.ln()),
            }
        }
        other => panic!("no test needs {other}"),
    }
}
