//! Messages of gRPC from and into tensors.

use bytes::Bytes;
use serde_json::{Value, json};

use super::inference::infer_parameter::ParameterChoice;
use super::inference::model_infer_request::InferInputTensor;
use super::inference::model_infer_response::InferOutputTensor;
use super::inference::model_metadata_response::TensorMetadata;
use super::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
    ModelMetadataResponse,
};
use crate::dialects::tensors::{self, Infer, MASK, Tensor, VERSION};
use crate::failure::{Answered, Failure};
use crate::registry::Served;

fn value(parameter: &InferParameter) -> Value {
    match &parameter.parameter_choice {
        Some(ParameterChoice::BoolParam(flag)) => json!(flag),
        Some(ParameterChoice::Int64Param(number)) => json!(number),
        Some(ParameterChoice::StringParam(text)) => json!(text),
        Some(ParameterChoice::DoubleParam(number)) => json!(number),
        Some(ParameterChoice::Uint64Param(number)) => json!(number),
        None => Value::Null,
    }
}

/// Whether the numbers of a request are bytes beside it; the answer has the same form.
pub(super) fn is_raw(request: &ModelInferRequest) -> bool {
    !request.raw_input_contents.is_empty()
}

/// About how many bytes the numbers of a request take.
pub(super) fn size(request: &ModelInferRequest) -> usize {
    let raw: usize = request.raw_input_contents.iter().map(Bytes::len).sum();
    let typed = request.inputs.iter().filter_map(|input| input.contents.as_ref());
    raw + typed.map(|all| 4 * all.fp32_contents.len() + 8 * all.fp64_contents.len()).sum::<usize>()
}

pub(super) fn infer(request: ModelInferRequest) -> Answered<Infer> {
    let mut infer = Infer::default();
    for (name, parameter) in &request.parameters {
        infer.parameters.take(name, &value(parameter))?;
    }
    let raw = request.raw_input_contents;
    if !raw.is_empty() && raw.len() != request.inputs.len() {
        let text = format!("raw_input_contents: {} for {} inputs", raw.len(), request.inputs.len());
        return Err(Failure::unusable(text));
    }
    let mut raw = raw.into_iter();
    for input in request.inputs {
        infer.inputs.push(tensor(input, raw.next())?);
    }
    for output in &request.outputs {
        if let Some(name) = output.parameters.keys().next() {
            return Err(tensors::unknown_parameter(
                &output.name,
                name,
                "none of outputs over gRPC",
            ));
        }
    }
    infer.outputs = request.outputs.into_iter().map(|output| output.name).collect();
    Ok(infer)
}

fn tensor(input: InferInputTensor, raw: Option<Bytes>) -> Answered<Tensor> {
    let InferInputTensor { name, datatype, shape, contents, parameters } = input;
    // A client that also speaks REST says how many bytes there are.
    let size = raw.as_ref().map(|raw| json!(raw.len()));
    for (key, parameter) in &parameters {
        if key != "binary_data_size" || size.as_ref() != Some(&value(parameter)) {
            return Err(tensors::unknown_parameter(
                &name,
                key,
                "none over gRPC but the right binary_data_size",
            ));
        }
    }
    let flags = datatype == "BOOL" && name == MASK;
    let single = if flags { true } else { tensors::is_single(&name, &datatype)? };
    let values = match (raw, contents) {
        (Some(_), Some(contents)) if contents != InferTensorContents::default() => {
            let text = format!("{name}: contents beside raw_input_contents");
            return Err(Failure::unusable(text));
        }
        (Some(raw), _) if flags => raw.iter().map(|&byte| f64::from(byte)).collect(),
        (Some(raw), _) => tensors::of_bytes(&name, single, &raw)?,
        (None, Some(contents)) if flags => {
            contents.bool_contents.into_iter().map(|flag| f64::from(u8::from(flag))).collect()
        }
        (None, Some(contents)) if single => {
            contents.fp32_contents.into_iter().map(f64::from).collect()
        }
        (None, Some(contents)) => contents.fp64_contents,
        (None, None) => return Err(Failure::unusable(format!("{name}: it has no contents"))),
    };
    let shape = tensors::shape_of(&name, &shape, values.len())?;
    Ok(Tensor { name, single, shape, values })
}

pub(super) fn response(
    model: &Served,
    id: String,
    outputs: Vec<Tensor>,
    raw: bool,
) -> ModelInferResponse {
    let mut answer = ModelInferResponse {
        model_name: model.name.clone(),
        model_version: VERSION.into(),
        id,
        ..ModelInferResponse::default()
    };
    for tensor in outputs {
        let mut contents = None;
        let (datatype, shape) = (tensor.datatype().to_owned(), &tensor.shape);
        let shape = shape.iter().map(|&length| length as i64).collect();
        if raw {
            answer.raw_output_contents.push(tensor.bytes().into());
        } else {
            let mut own = InferTensorContents::default();
            match tensor.single {
                true => own.fp32_contents = tensor.values.iter().map(|&x| x as f32).collect(),
                false => own.fp64_contents = tensor.values,
            }
            contents = Some(own);
        }
        let name = tensor.name;
        let parameters = Default::default();
        answer.outputs.push(InferOutputTensor { name, datatype, shape, parameters, contents });
    }
    answer
}

pub(super) fn metadata(model: &Served) -> ModelMetadataResponse {
    let (inputs, outputs) = tensors::metadata(model);
    let all = |list: Vec<tensors::TensorMetadata>| {
        let one = |tensor: tensors::TensorMetadata| TensorMetadata {
            name: tensor.name,
            datatype: "FP32".into(),
            shape: tensor.shape.to_vec(),
            parameters: Default::default(),
        };
        list.into_iter().map(one).collect()
    };
    ModelMetadataResponse {
        name: model.name.clone(),
        versions: vec![VERSION.into()],
        platform: "ptsm".into(),
        inputs: all(inputs),
        outputs: all(outputs),
        properties: Default::default(),
    }
}
