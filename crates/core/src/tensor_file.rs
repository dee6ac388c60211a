//! Tensors by name in safetensors files: inputs and outputs of `trace`, and what `compare` reads.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::real::Real;
use crate::regular_file::read_regular;
use crate::{Error, Result, write_atomically};

/// A tensor with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor<T> {
    /// As in the fixtures: `out.loc`, `trace.0.patch_mixer`, `grad.NAME`, ...
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<T>,
}

/// A tensor as read, widened to f64.
#[derive(Debug, Clone, PartialEq)]
pub struct WideTensor {
    /// Row-major shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<f64>,
}

/// Reads every tensor of a safetensors file (f32, f64, bf16, i64, i32, u8, bool), widened to f64.
///
/// # Errors
///
/// `Io` if the file cannot be read; `OutOfMemory` if it is larger than the memory; `InvalidInput` if it
/// is damaged or holds another type of number.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, WideTensor>> {
    tensors_in(&read_regular(path)?).map_err(|e| e.at(path.display().to_string()))
}

/// As [`read_tensors`], from the bytes of a file.
///
/// # Errors
///
/// `InvalidInput` if they are damaged or hold another type of number.
pub fn tensors_in(bytes: &[u8]) -> Result<BTreeMap<String, WideTensor>> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| Error::input("is not a valid safetensors file").because(e))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let values = widen(&view).map_err(|e| e.at(&name))?;
        tensors.insert(name, WideTensor { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

fn widen(view: &TensorView<'_>) -> Result<Vec<f64>> {
    let data = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => numbers(data, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => numbers(data, f64::from_le_bytes),
        Dtype::BF16 => {
            numbers(data, |b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)))
        }
        Dtype::I64 => numbers(data, |b| i64::from_le_bytes(b) as f64),
        Dtype::I32 => numbers(data, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::U8 | Dtype::BOOL => data.iter().map(|&b| f64::from(b)).collect(),
        other => {
            let text = format!("has type {other:?}, wanted F32, F64, BF16, I64, I32, U8 or BOOL");
            return Err(Error::input(text));
        }
    })
}

fn numbers<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.as_chunks::<N>().0.iter().map(|&bytes| read(bytes)).collect()
}

/// Writes tensors to a safetensors file, atomically: f32 for `T` = f32, f64 for f64.
///
/// # Errors
///
/// `Io` if the file cannot be written; `InvalidInput` if a name comes twice.
pub fn write_tensors<T: Real>(path: &Path, tensors: &[NamedTensor<T>]) -> Result<()> {
    let wide = std::mem::size_of::<T>() == 8;
    let dtype = if wide { Dtype::F64 } else { Dtype::F32 };
    let bytes_of = |tensor: &NamedTensor<T>| -> Vec<u8> {
        let numbers = tensor.values.iter().map(|x| x.to_f64());
        match wide {
            true => numbers.flat_map(f64::to_le_bytes).collect(),
            false => numbers.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        }
    };
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::input(format!("the tensor {} comes twice", pair[0])));
    }
    let bytes: Vec<Vec<u8>> = tensors.iter().map(bytes_of).collect();
    let internal = |e| Error::internal("the tensors cannot be written").because(e);
    let mut views = Vec::new();
    for (tensor, bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(dtype, tensor.shape.clone(), bytes).map_err(internal)?;
        views.push((tensor.name.as_str(), view));
    }
    let file = safetensors::serialize(views, None).map_err(internal)?;
    write_atomically(path, |out| out.write_all(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<T: Real>(name: &str, values: Vec<T>) -> NamedTensor<T> {
        NamedTensor { name: name.into(), shape: vec![values.len()], values }
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        write_tensors(&path, &[tensor("a", vec![0.1_f64, 2.0]), tensor("b", vec![])]).unwrap();
        let tensors = read_tensors(&path).unwrap();
        assert_eq!(tensors["a"].values, [0.1, 2.0]);
        assert_eq!(tensors["b"].shape, [0]);
        write_tensors(&path, &[tensor("a", vec![0.1_f32])]).unwrap();
        assert_eq!(read_tensors(&path).unwrap()["a"].values, [f64::from(0.1_f32)]);
    }

    #[test]
    fn double_names_and_damaged_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let twice = [tensor("a", vec![1.0_f32]), tensor("a", vec![2.0])];
        assert!(write_tensors(&path, &twice).unwrap_err().to_string().contains("a comes twice"));
        assert!(!path.exists());
        std::fs::write(&path, b"nonsense").unwrap();
        let text = read_tensors(&path).unwrap_err().to_string();
        assert!(text.contains("not a valid safetensors file"), "{text}");
    }
}
