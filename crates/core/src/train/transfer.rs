//! Transfer of a backbone from one trained model to another, which keeps a head of its own.

use crate::Result;
use crate::model::Model;
use crate::{Error, ErrorKind};

/// Copies everything before the head from `from` into `to`; returns how many numbers were
/// copied.
///
/// As transformers does when a pretraining checkpoint is loaded into another class: tensors of the
/// backbone are kept, those of the head (and of the scale injection) are not.
///
/// # Errors
///
/// `InvalidConfig`, naming the first tensor that one backbone has and the other has not, or has in
/// another shape.
pub fn take_backbone(to: &mut Model, from: &Model) -> Result<usize> {
    let differ = |name: &str, text: String| {
        let text = format!("{text} (the backbones must have the same fields in config.json)");
        Err(Error::new(ErrorKind::InvalidConfig, text).at(name))
    };
    let own: Vec<_> = to.layout().backbone_tensors().to_vec();
    for tensor in from.layout().backbone_tensors() {
        if !own.iter().any(|other| other.name == tensor.name) {
            return differ(&tensor.name, "is in the first model, but not in the new one".into());
        }
    }
    let mut copied = 0;
    for tensor in &own {
        let Some(source) = from.layout().backbone_tensors().iter().find(|t| t.name == tensor.name)
        else {
            return differ(&tensor.name, "is in the new model, but not in the first".into());
        };
        if source.shape != tensor.shape {
            let text =
                format!("has shape {:?}, the new model wants {:?}", source.shape, tensor.shape);
            return differ(&tensor.name, text);
        }
        let (to_range, from_range) = (tensor.range.clone(), source.range.clone());
        match tensor.store {
            crate::TensorStore::Trained => to.parameters.trained[to_range]
                .copy_from_slice(&from.parameters.trained[from_range]),
            crate::TensorStore::Buffer => to.parameters.buffers[to_range]
                .copy_from_slice(&from.parameters.buffers[from_range]),
            crate::TensorStore::Counter => to.parameters.counters[to_range]
                .copy_from_slice(&from.parameters.counters[from_range]),
        }
        copied += tensor.range.len();
    }
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Init, Task};

    fn model(task: Task, d_model: usize) -> Model {
        let architectures = Some(vec![task.architecture().into()]);
        let config = Config { architectures, d_model, ..Config::default() };
        Model::new(config, Init::PyTorch, d_model as u64 + task as u64).unwrap()
    }

    #[test]
    fn the_backbone_is_taken_and_the_head_is_not() {
        let from = model(Task::Pretraining, 8);
        let mut to = model(Task::Classification, 8);
        let before = to.clone();
        let copied = take_backbone(&mut to, &from).unwrap();
        let head = to.layout().head_start();
        assert_eq!(copied, head);
        assert_eq!(to.parameters.trained[..head], from.parameters.trained[..head]);
        assert_eq!(to.parameters.trained[head..], before.parameters.trained[head..]);
    }

    #[test]
    fn another_backbone_is_refused_by_name() {
        let from = model(Task::Pretraining, 8);
        let text = take_backbone(&mut model(Task::Forecasting, 4), &from).unwrap_err().to_string();
        assert!(text.contains("model.encoder.patcher.weight") && text.contains("[8, 8]"), "{text}");
    }
}
