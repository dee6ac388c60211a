//! Runs a file by a Python that has ONNX Runtime (or OpenVINO), in a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ptsm::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

use crate::fact::Kind;

/// Environment variable that names the Python to be used.
pub const PYTHON: &str = "PTSM_ONNX_PYTHON";

/// The program that it runs.
const PROGRAM: &str = include_str!("run.py");

/// What runs a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// ONNX Runtime, on the CPU.
    OnnxRuntime,
    /// OpenVINO, on the CPU.
    OpenVino,
}

/// A Python that has a runtime.
#[derive(Debug, Clone)]
pub struct Runtime {
    python: PathBuf,
    engine: Engine,
    version: String,
}

/// A tensor for an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Name of the input.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, row-major.
    pub values: Values,
}

/// Numbers of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Single precision.
    Floats(Vec<f32>),
    /// Whole numbers.
    Ints(Vec<i64>),
}

/// The numbers of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, row-major.
    pub values: Vec<f32>,
}

#[derive(Deserialize)]
struct Answer {
    outputs: Vec<(String, Vec<usize>)>,
}

impl Engine {
    /// The module of Python that has it.
    pub fn module(self) -> &'static str {
        match self {
            Engine::OnnxRuntime => "onnxruntime",
            Engine::OpenVino => "openvino",
        }
    }
}

impl Values {
    fn kind(&self) -> Kind {
        match self {
            Values::Floats(_) => Kind::Float,
            Values::Ints(_) => Kind::Int,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Values::Floats(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::Ints(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

fn version(python: &Path, engine: Engine) -> Option<String> {
    let module = engine.module();
    let ask = format!("import numpy, {module}; print({module}.__version__)");
    let output = Command::new(python).args(["-c", &ask]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

impl Runtime {
    /// A Python with this runtime: the one that [`PYTHON`] names, or else `python3` or `python` of the path; `None` if
    /// those have none.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if [`PYTHON`] names one that has none.
    pub fn find(engine: Engine) -> Result<Option<Self>> {
        let found = |python: PathBuf| {
            version(&python, engine).map(|version| Self { python, engine, version })
        };
        match std::env::var_os(PYTHON) {
            Some(named) => {
                let python = PathBuf::from(named);
                let place = python.display().to_string();
                let module = engine.module();
                let text = format!("has no {module} ({python:?} -m pip install {module})");
                let missing = || Error::new(ErrorKind::BackendUnavailable, text).at(place);
                found(python.clone()).map(Some).ok_or_else(missing)
            }
            None => Ok(["python3", "python"].into_iter().find_map(|name| found(name.into()))),
        }
    }

    /// Name and version.
    pub fn name(&self) -> String {
        format!("{} {}", self.engine.module(), self.version)
    }

    /// Runs a file.
    ///
    /// # Errors
    ///
    /// `Io` if a temporary file cannot be written or read; `BackendUnavailable` with the words of the runtime if it
    /// refuses the file.
    pub fn run(&self, file: &[u8], inputs: &[Given]) -> Result<BTreeMap<String, Ran>> {
        let folder = tempfile::tempdir()
            .map_err(|e| Error::io(&std::env::temp_dir(), "cannot hold a folder", e))?;
        let place = |name: &str| folder.path().join(name);
        let write = |name: &str, bytes: &[u8]| {
            let path = place(name);
            std::fs::write(&path, bytes).map_err(|e| Error::io(&path, "cannot be written", e))
        };
        write("run.py", PROGRAM.as_bytes())?;
        write("model.onnx", file)?;
        let mut listed = serde_json::Map::new();
        for (number, Given { name, shape, values }) in inputs.iter().enumerate() {
            listed.insert(name.clone(), json!([values.kind().name(), shape]));
            write(&format!("in.{number}"), &values.bytes())?;
        }
        write("inputs.json", serde_json::Value::Object(listed).to_string().as_bytes())?;
        let ran = Command::new(&self.python)
            .arg(place("run.py"))
            .arg(folder.path())
            .arg(self.engine.module())
            .output()
            .map_err(|e| Error::io(&self.python, "cannot be run", e))?;
        self.require(&ran)?;
        let read = |name: &str| {
            let path = place(name);
            std::fs::read(&path).map_err(|e| Error::io(&path, "cannot be read", e))
        };
        let answer: Answer = serde_json::from_slice(&read("outputs.json")?)
            .map_err(|e| Error::internal("the runtime's answer cannot be read").because(e))?;
        let mut found = BTreeMap::new();
        for (number, (name, shape)) in answer.outputs.into_iter().enumerate() {
            let bytes = read(&format!("out.{number}"))?;
            let chunks = bytes.chunks_exact(4);
            let values =
                chunks.map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap_or_default()));
            found.insert(name, Ran { shape, values: values.collect() });
        }
        Ok(found)
    }

    fn require(&self, ran: &Output) -> Result<()> {
        if ran.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&ran.stderr);
        let last =
            words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        let text = format!("{} cannot run the file: {last}", self.name());
        Err(Error::new(ErrorKind::BackendUnavailable, text))
    }
}
