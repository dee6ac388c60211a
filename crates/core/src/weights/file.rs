//! Reading and writing `model.safetensors`, as Hugging Face does.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::layout::{TensorLayout, TensorStore};
use super::{Layout, Parameters};
use crate::checksums::{missing, read_listed, write_listed};
use crate::regular_file::open_regular;
use crate::{Error, Result, memory};

/// Bytes that a file may have beyond the numbers of its configuration in 8-byte floats: the header.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Largest count of batches: training adds to it.
const MAX_COUNT: i64 = 1 << 53;

/// Names in one error text, before "and N more".
const MAX_NAMES: usize = 4;

/// Format of the numbers in a file of weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// 16 bits of IEEE 754: half the size, three significant digits.
    Half,
}

impl Parameters<f32> {
    /// Reads the weights of `layout` from a safetensors file (f32, f64, f16 or bf16; computed as f32).
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidWeights` if it is larger than the layout can
    /// explain, damaged, or lacks a tensor, has one too many or one of another shape or type; all
    /// such names are in the text. Numbers that are not finite are refused too.
    pub fn from_file(path: &Path, layout: &Layout) -> Result<Self> {
        let bytes = read_file(path, layout)?;
        Self::from_bytes(&bytes, layout).map_err(|e| e.at(path.display().to_string()))
    }

    /// As [`Parameters::from_file`], out of several files that share the tensors.
    pub(super) fn from_shards(paths: &[PathBuf], layout: &Layout) -> Result<Self> {
        let files: Vec<Vec<u8>> =
            paths.iter().map(|path| read_file(path, layout)).collect::<Result<_>>()?;
        let views = files
            .iter()
            .zip(paths)
            .map(|(bytes, path)| open(bytes).map_err(|e| e.at(path.display().to_string())));
        Self::from_tensors(&views.collect::<Result<Vec<_>>>()?, layout)
    }

    /// Reads the weights of `layout` from the bytes of a safetensors file.
    ///
    /// # Errors
    ///
    /// `InvalidWeights`, as [`Parameters::from_file`].
    pub fn from_bytes(bytes: &[u8], layout: &Layout) -> Result<Self> {
        Self::from_tensors(&[open(bytes)?], layout)
    }

    fn from_tensors(files: &[SafeTensors<'_>], layout: &Layout) -> Result<Self> {
        check_names(files, layout)?;
        let mut parameters = Parameters {
            trained: vec![0.0; layout.len(TensorStore::Trained)],
            buffers: vec![0.0; layout.len(TensorStore::Buffer)],
            counters: vec![0; layout.len(TensorStore::Counter)],
        };
        for tensor in layout.tensors() {
            let Some(view) = find(files, &tensor.name) else {
                return Err(Error::weights("cannot be read").at(&tensor.name));
            };
            let range = tensor.range.clone();
            match tensor.store {
                TensorStore::Trained => read_floats(&view, tensor, &mut parameters.trained[range])?,
                TensorStore::Buffer => read_floats(&view, tensor, &mut parameters.buffers[range])?,
                TensorStore::Counter => {
                    parameters.counters[range].fill(read_counter(&view, tensor)?)
                }
            }
        }
        Ok(parameters)
    }

    /// Writes the weights as Hugging Face does (`format = pt`), atomically.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be written; an older file is left as it was. As
    /// [`Parameters::to_bytes`].
    pub fn save(&self, path: &Path, layout: &Layout, precision: Precision) -> Result<()> {
        let bytes = self.to_bytes(layout, precision)?;
        write_listed(path, &bytes)
    }

    /// The bytes of a safetensors file with these weights.
    ///
    /// # Errors
    ///
    /// `InvalidWeights` for a number beyond the range of half precision, where it is asked for;
    /// `Internal` if the layout is not the one that the numbers were made for.
    pub fn to_bytes(&self, layout: &Layout, precision: Precision) -> Result<Vec<u8>> {
        let internal = |e| Error::internal("the weights cannot be written").because(e);
        let bytes = layout.tensors().iter().map(|tensor| self.tensor_bytes(tensor, precision));
        let bytes: Vec<Vec<u8>> = bytes.collect::<Result<_>>()?;
        let mut views = Vec::new();
        for (tensor, bytes) in layout.tensors().iter().zip(&bytes) {
            let dtype = match (tensor.store, precision) {
                (TensorStore::Counter, _) => Dtype::I64,
                (_, Precision::Single) => Dtype::F32,
                (_, Precision::Half) => Dtype::F16,
            };
            let view = TensorView::new(dtype, tensor.shape.clone(), bytes).map_err(internal)?;
            views.push((tensor.name.as_str(), view));
        }
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        safetensors::serialize(views, Some(metadata)).map_err(internal)
    }

    fn tensor_bytes(&self, tensor: &TensorLayout, precision: Precision) -> Result<Vec<u8>> {
        let range = tensor.range.clone();
        let numbers = match tensor.store {
            TensorStore::Trained => &self.trained[range],
            TensorStore::Buffer => &self.buffers[range],
            TensorStore::Counter => {
                let counters = self.counters[range].iter();
                return Ok(counters.flat_map(|x| x.to_le_bytes()).collect());
            }
        };
        if precision == Precision::Single {
            return Ok(numbers.iter().flat_map(|x| x.to_le_bytes()).collect());
        }
        let halves: Vec<half::f16> = numbers.iter().map(|&x| half::f16::from_f32(x)).collect();
        if let Some(i) = halves.iter().position(|x| !x.is_finite()) {
            let text = format!("element {i} is {}, beyond the range of half precision", numbers[i]);
            return Err(Error::weights(text).at(&tensor.name));
        }
        Ok(halves.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
}

/// The bytes of a file that is not larger than the layout can explain.
fn read_file(path: &Path, layout: &Layout) -> Result<Vec<u8>> {
    let size = match path.symlink_metadata() {
        Ok(_) => open_regular(path)?.1.len(),
        // Says so if it should be there.
        Err(_) => return read_listed(path).and(Err(missing(path))),
    };
    let numbers: usize = layout.tensors().iter().map(|t| t.range.len()).sum();
    let limit = 8 * numbers as u64 + MAX_HEADER_BYTES;
    let place = path.display().to_string();
    if size > limit {
        let text = format!("has {size} bytes, the configuration explains at most {limit}");
        return Err(Error::weights(text).at(place));
    }
    // The file, and the numbers out of it.
    let needed = size.saturating_add(memory::bytes_of(&[numbers]));
    memory::require_memory("reading the weights", needed, "a machine with more memory")
        .map_err(|e| e.at(place))?;
    read_listed(path)?.ok_or_else(|| missing(path))
}

fn open(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(bytes)
        .map_err(|e| Error::weights("is not a valid safetensors file").because(e))
}

/// A tensor out of one of the files.
fn find<'a>(files: &'a [SafeTensors<'_>], name: &str) -> Option<TensorView<'a>> {
    files.iter().find_map(|file| file.tensor(name).ok())
}

/// Compares the names and shapes in the files with those of the layout, and reports all differences.
fn check_names(files: &[SafeTensors<'_>], layout: &Layout) -> Result<()> {
    let wanted = |name: &str| layout.tensors().iter().find(|t| t.name == name);
    let mut unknown: Vec<&str> = files.iter().flat_map(SafeTensors::names).collect();
    unknown.retain(|name| wanted(name).is_none());
    unknown.sort_unstable();
    let mut missing = Vec::new();
    let mut misshapen = Vec::new();
    for tensor in layout.tensors() {
        match find(files, &tensor.name) {
            None => missing.push(tensor.name.clone()),
            Some(view) if view.shape() != tensor.shape => misshapen.push(format!(
                "{} has shape {:?}, wanted {:?}",
                tensor.name,
                view.shape(),
                tensor.shape
            )),
            Some(_) => {}
        }
    }
    let unknown: Vec<String> = unknown.into_iter().map(str::to_owned).collect();
    let problems: Vec<String> = [("lacks", missing), ("has unknown", unknown), ("", misshapen)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {}", list(&names)).trim_start().to_owned())
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::weights(format!("does not fit config.json: {}", problems.join("; "))))
}

fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn read_floats(view: &TensorView<'_>, tensor: &TensorLayout, out: &mut [f32]) -> Result<()> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => {
            for (value, bytes) in out.iter_mut().zip(data.chunks_exact(4)) {
                *value = f32::from_le_bytes(bytes.try_into().expect("chunks of 4"));
            }
        }
        Dtype::F64 => {
            for (value, bytes) in out.iter_mut().zip(data.chunks_exact(8)) {
                *value = f64::from_le_bytes(bytes.try_into().expect("chunks of 8")) as f32;
            }
        }
        Dtype::BF16 => {
            for (value, bytes) in out.iter_mut().zip(data.chunks_exact(2)) {
                let high = u16::from_le_bytes(bytes.try_into().expect("chunks of 2"));
                *value = f32::from_bits(u32::from(high) << 16);
            }
        }
        Dtype::F16 => {
            for (value, bytes) in out.iter_mut().zip(data.chunks_exact(2)) {
                *value = half::f16::from_le_bytes(bytes.try_into().expect("chunks of 2")).to_f32();
            }
        }
        other => {
            let text = format!("has type {other:?}, wanted F32, F64, F16 or BF16");
            return Err(Error::weights(text).at(&tensor.name));
        }
    }
    match out.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(i) => {
            let text = format!("element {i} is {}, wanted a finite number", out[i]);
            Err(Error::weights(text).at(&tensor.name))
        }
    }
}

fn read_counter(view: &TensorView<'_>, tensor: &TensorLayout) -> Result<i64> {
    match (view.dtype(), <[u8; 8]>::try_from(view.data())) {
        (Dtype::I64, Ok(bytes)) => match i64::from_le_bytes(bytes) {
            count @ 0..=MAX_COUNT => Ok(count),
            count => {
                let text = format!("is {count}, wanted a count from 0 to {MAX_COUNT}");
                Err(Error::weights(text).at(&tensor.name))
            }
        },
        (other, _) => {
            Err(Error::weights(format!("has type {other:?}, wanted I64")).at(&tensor.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::config::Config;
    use crate::weights::Init;

    fn some(config: &Config) -> (Layout, Parameters<f32>) {
        let layout = Layout::new(&config.network().unwrap()).unwrap();
        let parameters = Parameters::init(&layout, Init::PyTorch, 3);
        (layout, parameters)
    }

    fn message(bytes: &[u8], layout: &Layout) -> String {
        let error = Parameters::from_bytes(bytes, layout).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidWeights);
        error.to_string()
    }

    #[test]
    fn saving_and_loading_is_the_identity() {
        let config = Config { norm_mlp: "BatchNorm".into(), ..Config::default() };
        let (layout, mut parameters) = some(&config);
        parameters.counters[0] = 12;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        parameters.save(&path, &layout, Precision::Single).unwrap();
        assert_eq!(Parameters::from_file(&path, &layout).unwrap(), parameters);
    }

    #[test]
    fn half_precision_halves_the_file_and_refuses_what_it_cannot_hold() {
        let (layout, mut parameters) = some(&Config::default());
        let [single, half] = [Precision::Single, Precision::Half]
            .map(|precision| parameters.to_bytes(&layout, precision).unwrap());
        let saved = single.len() - half.len();
        assert!(saved.abs_diff(2 * parameters.trained.len()) < 64, "{saved}");
        let read = Parameters::from_bytes(&half, &layout).unwrap();
        for (read, wanted) in read.trained.iter().zip(&parameters.trained) {
            assert!((read - wanted).abs() <= wanted.abs() / 2048.0 + 1e-7, "{read} {wanted}");
        }
        parameters.trained[0] = 70_000.0;
        let error = parameters.to_bytes(&layout, Precision::Half).unwrap_err().to_string();
        assert!(error.contains("element 0 is 70000, beyond the range"), "{error}");
    }

    #[test]
    fn differences_from_the_configuration_are_named() {
        let (layout, parameters) = some(&Config::default());
        let bytes = parameters.to_bytes(&layout, Precision::Single).unwrap();
        let wider = some(&Config { d_model: 10, ..Config::default() }).0;
        let text = message(&bytes, &wider);
        assert!(text.contains("patcher.weight has shape [8, 8], wanted [10, 8]"), "{text}");
        let deeper = some(&Config { num_layers: 4, ..Config::default() }).0;
        let text = message(&bytes, &deeper);
        assert!(text.contains("lacks model.encoder.mlp_mixer_encoder.mixers.3"), "{text}");
        assert!(text.contains("and 12 more"), "{text}");
        let flat = some(&Config { gated_attn: false, ..Config::default() }).0;
        assert!(message(&bytes, &flat).contains("has unknown"));
    }

    #[test]
    fn hostile_files_are_errors() {
        let (layout, parameters) = some(&Config::default());
        let bytes = parameters.to_bytes(&layout, Precision::Single).unwrap();
        let mut table: Vec<Vec<u8>> = vec![
            vec![],
            vec![1, 2, 3],
            bytes[..bytes.len() - 1].to_vec(),
            bytes[..200].to_vec(),
            u64::MAX.to_le_bytes().to_vec(),
        ];
        let header = |json: &str, data: usize| {
            let mut file = (json.len() as u64).to_le_bytes().to_vec();
            file.extend_from_slice(json.as_bytes());
            file.resize(file.len() + data, 0);
            file
        };
        table.push(header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 8));
        table.push(header(
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
            8,
        ));
        table.push(header(
            r#"{"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}"#,
            4,
        ));
        for file in table {
            let text = message(&file, &layout);
            assert!(text.contains("not a valid safetensors file"), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let (layout, mut parameters) = some(&Config::default());
        parameters.trained[1] = f32::NAN;
        let bytes = parameters.to_bytes(&layout, Precision::Single).unwrap();
        assert!(message(&bytes, &layout).contains("patcher.weight: element 1 is NaN"));
    }
}
