//! Shared checks: the golden fixtures, the tolerance table, and how tensors are compared.
//!
//! A fixture is a folder with `config.json`, `model.safetensors` (or `weights_recipe.json`),
//! `io.safetensors` and `meta.json`; `tests/golden` holds a compact set, and a larger one is used
//! where it is present.

mod conformance;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::batch::Batch;
use crate::tensor_file::{WideTensor, read_tensors};
use crate::trace::batch_from_tensors;
use crate::{Config, Error, Layout, Model, Parameters, Real, Result, TensorStore};

pub use crate::train::{read_resealed, write_unbegun};
pub use conformance::{Accuracy, Conformance, conformance, correlation};

/// How far a result may be from the float64 reference, relative to the reference's largest element.
pub mod tolerance {
    /// The definition in f64 against a float64 reference.
    pub const F64: f64 = 1e-9;
    /// f32 against a float64 reference, as a multiple of what the reference's own f32 misses by.
    pub const F32_TIMES: f64 = 8.0;
    /// Least relative difference that f32 is allowed: a few units in the last place.
    pub const F32_FLOOR: f64 = 2e-6;
    /// f64 against a reference that is stored in f32 only, as a multiple of the reference's error.
    pub const STORED_F32_TIMES: f64 = 2.0;
    /// Weights and losses after some optimiser steps in f32: AdamW's first steps have the size of
    /// the learning rate whatever the gradient, so the sign of a tiny gradient matters.
    pub const F32_STEPS: f64 = 2e-5;
}

/// How a fixture was made.
#[derive(Debug, Clone, Deserialize)]
pub struct Meta {
    /// Which head the fixture is for: `forecast`, `classification`, ...
    pub head: String,
    /// `eval` or `train`.
    pub mode: String,
    /// For some tensors: the reference's f32 result against its f64 one.
    #[serde(default)]
    pub float32_vs_float64_max_rel: BTreeMap<String, f64>,
    /// Settings of the optimiser steps, where the fixture has some.
    pub adamw: Option<Value>,
}

/// One fixture.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Name of the folder.
    pub name: String,
    /// The folder.
    pub dir: PathBuf,
    /// How it was made.
    pub meta: Meta,
    /// Everything in `io.safetensors`.
    pub io: BTreeMap<String, WideTensor>,
}

/// Folders with fixtures: the compact set of the project, and the full one where it is present
/// (`$PTSM_SHARED/fixtures`, or `shared/fixtures` beside the project).
pub fn fixture_roots() -> Vec<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = match std::env::var_os("PTSM_SHARED") {
        Some(dir) => PathBuf::from(dir),
        None => project.join("../shared"),
    };
    [project.join("tests/golden"), shared.join("fixtures")]
        .into_iter()
        .filter(|dir| dir.is_dir())
        .collect()
}

/// All fixtures under one root whose `meta.json` names `head`, in the order of their names.
///
/// # Errors
///
/// `Io` or `InvalidInput` if a fixture is incomplete or damaged.
pub fn fixtures(root: &Path, head: &str) -> Result<Vec<Fixture>> {
    let entries = std::fs::read_dir(root).map_err(|e| Error::io(root, "cannot be listed", e))?;
    let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    dirs.retain(|dir| dir.join("meta.json").is_file() && dir.join("io.safetensors").is_file());
    dirs.sort();
    let mut found = Vec::new();
    for dir in dirs {
        let text = read(&dir.join("meta.json"))?;
        let value: Value = serde_json::from_slice(&text)
            .map_err(|e| Error::input("is not JSON").at(dir.display().to_string()).because(e))?;
        if value["head"] == head {
            found.push(Fixture::load(&dir)?);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path, "cannot be read", e))
}

impl Fixture {
    /// Reads one fixture.
    ///
    /// # Errors
    ///
    /// `Io` or `InvalidInput` if it is incomplete or damaged.
    pub fn load(dir: &Path) -> Result<Self> {
        let meta: Meta = serde_json::from_slice(&read(&dir.join("meta.json"))?)
            .map_err(|e| Error::input("is no fixture").at(dir.display().to_string()).because(e))?;
        let io = read_tensors(&dir.join("io.safetensors"))?;
        let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, dir: dir.to_owned(), meta, io })
    }

    /// The fixture's model.
    ///
    /// # Errors
    ///
    /// As [`Model::from_dir`].
    pub fn model(&self) -> Result<Model> {
        if self.dir.join("model.safetensors").is_file() {
            return Model::from_dir(&self.dir);
        }
        let config = Config::from_file(&self.dir.join("config.json"))?;
        let recipe = read(&self.dir.join("weights_recipe.json"))?;
        let recipe: Value = serde_json::from_slice(&recipe)
            .map_err(|e| Error::input("is not JSON").at("weights_recipe.json").because(e))?;
        let parameters = recipe_weights(&Layout::new(&config.network()?)?, &recipe["tensors"])?;
        Model::from_parameters(config, parameters)
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    ///
    /// `InvalidInput` naming it if it is not.
    pub fn tensor(&self, name: &str) -> Result<&WideTensor> {
        self.io
            .get(name)
            .ok_or_else(|| Error::input(format!("lacks the tensor {name}")).at(&self.name))
    }

    /// The inputs as a batch.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no `in.past_values`.
    pub fn batch<T: Real>(&self) -> Result<Batch<T>> {
        batch_from_tensors(&self.io).map_err(|e| e.at(&self.name))
    }

    /// The best reference for a tensor (`out.head`, `trace.0.patch_mixer`, `grad.NAME`, ...), and
    /// whether it is a float64 one.
    pub fn reference(&self, name: &str) -> Option<(&WideTensor, bool)> {
        let short = name.strip_prefix("out.").unwrap_or(name);
        match self.io.get(&format!("ref64.{short}")) {
            Some(golden) => Some((golden, true)),
            None => self.io.get(name).map(|golden| (golden, false)),
        }
    }

    /// How far the reference's f32 result is from its f64 one, relative; for a tensor without an
    /// entry, what is known of tensors of its kind.
    pub fn f32_error(&self, name: &str) -> f64 {
        let errors = &self.meta.float32_vs_float64_max_rel;
        if let Some(error) = errors.get(name) {
            return *error;
        }
        if name.starts_with("grad.") || name.starts_with("train.") {
            return errors.get("grad.max").copied().unwrap_or_default();
        }
        let outputs = errors.iter().filter(|(k, _)| k.starts_with("out."));
        let largest = outputs.fold(0.0_f64, |max, (_, &e)| max.max(e));
        // The input's gradient has been through everything, forward and backward.
        let backward = errors.get("grad.max").copied().unwrap_or_default();
        largest + if name.starts_with("grad_in.") { 2.0 * backward } else { 0.0 }
    }
}

/// Largest absolute difference over the largest absolute reference.
///
/// # Panics
///
/// If the lengths differ: the caller compares tensors of one shape.
pub fn max_relative<T: Real>(values: &[T], reference: &[f64]) -> f64 {
    assert_eq!(values.len(), reference.len(), "tensors of different sizes");
    let largest = reference.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    let difference = values.iter().zip(reference).fold(0.0_f64, |max, (x, r)| {
        let difference = (x.to_f64() - r).abs();
        if difference.is_nan() { f64::INFINITY } else { max.max(difference) }
    });
    difference / largest.max(f64::MIN_POSITIVE)
}

/// Weights by formula: element i of a tensor is `u * amp + offset`, `u` from SplitMix64.
fn recipe_weights(layout: &Layout, recipe: &Value) -> Result<Parameters<f32>> {
    let mut parameters = Parameters {
        trained: vec![0.0; layout.num_trained()],
        buffers: Vec::new(),
        counters: Vec::new(),
    };
    for tensor in layout.tensors() {
        let entry = &recipe[&tensor.name];
        let field = |name: &str| {
            entry[name].as_f64().ok_or_else(|| {
                Error::input(format!("lacks {name}")).at(&tensor.name).at("weights_recipe.json")
            })
        };
        let (seed, amp, offset) = (field("seed")? as u64, field("amp")? as f32, field("offset")?);
        if tensor.store != TensorStore::Trained {
            return Err(Error::input("can hold trained tensors only").at("weights_recipe.json"));
        }
        for (i, value) in parameters.trained[tensor.range.clone()].iter_mut().enumerate() {
            *value = splitmix_uniform(seed, i as u64) * amp + offset as f32;
        }
    }
    Ok(parameters)
}

fn splitmix_uniform(seed: u64, i: u64) -> f32 {
    let z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let z = z ^ (z >> 31);
    ((z >> 40) as f64 / 8_388_608.0 - 1.0) as f32
}
