//! Runs a file by a Python that has ONNX Runtime (or OpenVINO), in a process of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use ptsm::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

use crate::fact::Kind;

/// Environment variable that names the Python to be used.
pub const PYTHON: &str = "PTSM_ONNX_PYTHON";

/// The program that it runs.
const PROGRAM: &str = include_str!("run.py");

/// How long a Python may take to say which version of a runtime it has, and to run a file.
const ANSWER: Duration = Duration::from_secs(60);
const RUN: Duration = Duration::from_secs(600);
/// How often it is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);
/// Names of the files that hold what it prints.
const SAID: &str = "said.txt";
const COMPLAINED: &str = "complained.txt";

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

fn folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|e| Error::io(&std::env::temp_dir(), "cannot hold a folder", e))
}

/// The version of a runtime; `None` if the program is not there, or has no such module.
fn version(python: &Path, engine: Engine, limit: Duration) -> Result<Option<String>> {
    let (module, folder) = (engine.module(), folder()?);
    let ask = format!("import numpy, {module}; print({module}.__version__)");
    let started = Python { program: python, folder: folder.path() };
    let Ok(child) = started.start(&["-c".as_ref(), ask.as_ref()]) else { return Ok(None) };
    let status = started.wait(child, limit)?;
    let text = std::fs::read_to_string(folder.path().join(SAID)).unwrap_or_default();
    let text = text.trim().to_owned();
    Ok((status.success() && !text.is_empty()).then_some(text))
}

/// A Python that is started in a folder made for it, so that no file where the command was given is taken for a module,
/// and that has to end in time.
#[derive(Debug, Clone, Copy)]
struct Python<'a> {
    program: &'a Path,
    folder: &'a Path,
}

impl Python<'_> {
    fn start(&self, arguments: &[&std::ffi::OsStr]) -> std::io::Result<Child> {
        // A name alone is looked up on the path; anything else is below where the command was given.
        let program = match self.program.components().count() {
            0 | 1 => self.program.to_owned(),
            _ => std::path::absolute(self.program)?,
        };
        let print = |name: &str| File::create(self.folder.join(name));
        Command::new(program)
            .args(arguments)
            .current_dir(self.folder)
            .stdin(std::process::Stdio::null())
            .stdout(print(SAID)?)
            .stderr(print(COMPLAINED)?)
            .spawn()
    }

    /// Waits until it ends, and ends it where that takes longer than it may.
    fn wait(&self, mut child: Child, limit: Duration) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            let ended = child.try_wait();
            match ended.map_err(|e| Error::io(self.program, "cannot be waited for", e))? {
                Some(status) => return Ok(status),
                None if started.elapsed() < limit => std::thread::sleep(PAUSE),
                None => {
                    // It may have ended just now; there is nothing else to be done.
                    let _ = child.kill();
                    let _ = child.wait();
                    let text = format!("took longer than {limit:?} and was ended");
                    let place = self.program.display().to_string();
                    return Err(Error::new(ErrorKind::BackendUnavailable, text).at(place));
                }
            }
        }
    }
}

impl Runtime {
    /// A Python with this runtime: the one that [`PYTHON`] names, or else `python3` or `python` of the path; `None` if
    /// those have none.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if [`PYTHON`] names one that has none, or one does not answer within a minute; `Io` if no
    /// temporary folder can be made.
    pub fn find(engine: Engine) -> Result<Option<Self>> {
        let found = |python: PathBuf| {
            let version = version(&python, engine, ANSWER)?;
            Ok(version.map(|version| Self { python, engine, version }))
        };
        let Some(named) = std::env::var_os(PYTHON) else {
            for name in ["python3", "python"] {
                if let Some(runtime) = found(name.into())? {
                    return Ok(Some(runtime));
                }
            }
            return Ok(None);
        };
        let python = PathBuf::from(named);
        let (place, module) = (python.display().to_string(), engine.module());
        match found(python)? {
            Some(runtime) => Ok(Some(runtime)),
            None => {
                let text = format!("has no {module} ({place} -m pip install {module})");
                Err(Error::new(ErrorKind::BackendUnavailable, text).at(place))
            }
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
    /// refuses the file, or takes longer than ten minutes.
    pub fn run(&self, file: &[u8], inputs: &[Given]) -> Result<BTreeMap<String, Ran>> {
        let folder = folder()?;
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
        let started = Python { program: &self.python, folder: folder.path() };
        let program = place("run.py");
        let arguments =
            [program.as_os_str(), folder.path().as_os_str(), self.engine.module().as_ref()];
        let child =
            started.start(&arguments).map_err(|e| Error::io(&self.python, "cannot be run", e))?;
        let status = started.wait(child, RUN)?;
        self.require(status, &place(COMPLAINED))?;
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

    fn require(&self, status: ExitStatus, complained: &Path) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let words = std::fs::read(complained).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let last =
            words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        let text = format!("{} cannot run the file: {last}", self.name());
        Err(Error::new(ErrorKind::BackendUnavailable, text))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_ended() -> Result<()> {
        let folder = folder()?;
        let slow = Python { program: Path::new("sleep"), folder: folder.path() };
        let child =
            slow.start(&["600".as_ref()]).map_err(|e| Error::io(slow.program, "no sleep", e))?;
        match slow.wait(child, Duration::from_millis(50)) {
            Ok(status) => panic!("{status}"),
            Err(error) => assert!(error.to_string().contains("took longer than 50ms"), "{error}"),
        }
        Ok(())
    }

    #[test]
    fn it_runs_where_no_file_of_the_user_is_taken_for_a_module() -> Result<()> {
        let folder = folder()?;
        let tells = Python { program: Path::new("ls"), folder: folder.path() };
        let child = tells.start(&[]).map_err(|e| Error::io(tells.program, "no ls", e))?;
        assert!(tells.wait(child, ANSWER)?.success());
        let said = std::fs::read_to_string(folder.path().join(SAID)).unwrap_or_default();
        assert_eq!(said.lines().collect::<Vec<_>>(), [COMPLAINED, SAID]);
        Ok(())
    }

    #[test]
    fn a_program_that_is_not_there_or_fails_has_no_runtime() -> Result<()> {
        for program in ["false", "true", "nowhere/python"] {
            assert_eq!(
                version(Path::new(program), Engine::OnnxRuntime, ANSWER)?,
                None,
                "{program}"
            );
        }
        Ok(())
    }
}
