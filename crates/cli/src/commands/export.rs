//! `ptsm export`: writes a model as an ONNX file, checks it, and compares it with this program.

use std::path::{Path, PathBuf};

use ptsm::{Error, ErrorKind, Result};
use ptsm_onnx::{
    Comparison, Difference, Engine, Exported, Missing, Options, PYTHON, Runtime, Standardise,
    check, compare_file, compare_random, export,
};
use serde_json::{Map, Value, json};

use crate::global::Global;
use crate::output::{answer, remark};
use crate::words::words;

/// Difference beyond which a file gives other numbers than this program, not only rounded otherwise.
const MOST: f64 = 1e-4;

/// Options of `export`.
///
/// The file takes the last rows in the units of the data and gives forecasts, or labels, in the units of the data; the
/// number of windows is free. docs/onnx.md shows how it is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory, or a folder from Hugging Face
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
    /// How the file is told which points are missing: nan (they are NaN), mask (a second input, observed_mask), or none
    /// (no point is ever missing)
    #[arg(long, value_name = "HOW", default_value = "nan", value_parser = words::<Missing>(Missing::NAMES))]
    missing: Missing,
    /// Levels of an output `quantiles`, for models of quantiles (between the trained levels) and of a normal distribution
    #[arg(long, value_delimiter = ',', value_name = "LEVEL,...")]
    quantiles: Vec<f64>,
    /// inside: the file takes and gives data units; none: the numbers of the network [default: inside, for a model
    /// directory]
    #[arg(long, value_name = "WHERE", value_parser = words::<Standardise>(Standardise::NAMES))]
    standardise: Option<Standardise>,
    /// Only this network of an ensemble; its forecasts are others than those of the whole
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// Only these heads: main, and those of `ptsm heads`; all if not given
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    heads: Option<Vec<String>>,
    /// Check names and shapes of the file before it is written, and run it beside this program on random windows, if there
    /// is a Python with onnxruntime (PTSM_ONNX_PYTHON names one)
    #[arg(long)]
    check: bool,
    /// Run the file beside this program on every window, or every case, of these data; of more than 20,000 on so many
    /// evenly spread ones
    #[arg(long, value_name = "FILE")]
    verify_data: Option<PathBuf>,
}

/// Exports, checks and prints.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let options = Options {
        missing: args.missing,
        standardise: args.standardise,
        quantiles: args.quantiles.clone(),
        member: args.member.clone(),
        heads: args.heads.clone(),
    };
    let runtime = args.runtime()?;
    args.require_place()?;
    let exported = export(&args.model, &options)?;
    let mut report = Report::of(&args.onnx, &exported);
    if args.check {
        report.checked(&args.onnx, &exported)?;
    }
    if let Some(runtime) = &runtime {
        if args.check {
            let found = compare_random(&args.model, &options, &exported, runtime)?;
            report.compared("random windows", runtime, &found);
        }
        if let Some(data) = &args.verify_data {
            let data = data.display().to_string();
            let found = compare_file(&args.model, &options, &exported, runtime, &data)?;
            report.compared(&format!("windows of {data}"), runtime, &found);
        }
    } else if args.check {
        report.not_run();
    }
    // Last, so that there is no file whose numbers are others.
    report.require_same(&args.onnx)?;
    exported.write(&args.onnx)?;
    exported.notes.iter().for_each(|note| remark(global, note));
    answer(global, &Value::Object(report.json), &report.text)
}

impl Args {
    /// Refuses a place where no file can be, before any work.
    fn require_place(&self) -> Result<()> {
        let folder = self.onnx.parent().filter(|folder| *folder != Path::new(""));
        let refused = |text: String| Err(Error::config("--onnx", text));
        match folder {
            Some(folder) if !folder.is_dir() => {
                refused(format!("the folder {} must exist first", folder.display()))
            }
            _ if self.onnx.is_dir() => {
                refused(format!("{} is a folder (name a file)", self.onnx.display()))
            }
            _ => Ok(()),
        }
    }

    /// What runs the file, if it is to be run; without one `--verify-data` is refused before any work.
    fn runtime(&self) -> Result<Option<Runtime>> {
        if !self.check && self.verify_data.is_none() {
            return Ok(None);
        }
        let found = Runtime::find(Engine::OnnxRuntime)?;
        if found.is_none() && self.verify_data.is_some() {
            let text = format!(
                "needs a Python with onnxruntime (pip install onnxruntime; {PYTHON} names a Python that is not on the path)"
            );
            return Err(Error::new(ErrorKind::BackendUnavailable, text).at("--verify-data"));
        }
        Ok(found)
    }
}

/// What is printed.
struct Report {
    text: String,
    json: Map<String, Value>,
    /// The largest relative difference that was seen.
    largest: f64,
}

impl Report {
    fn of(path: &Path, exported: &Exported) -> Self {
        let Exported { bytes, inputs, outputs, nodes, .. } = exported;
        let mut text = format!("{}: {} bytes, {nodes} nodes\n", path.display(), bytes.len());
        for (what, tensors) in [("input ", inputs), ("output", outputs)] {
            tensors.iter().for_each(|tensor| text += &format!("{what}  {tensor}\n"));
        }
        let mut json = Map::from_iter([("file".to_owned(), path.display().to_string().into())]);
        if let Value::Object(fields) = exported.to_json() {
            json.extend(fields);
        }
        Self { text, json, largest: 0.0 }
    }

    /// Reads the bytes of the file back.
    fn checked(&mut self, path: &Path, exported: &Exported) -> Result<()> {
        let found = check(&exported.bytes).map_err(|e| e.at(path.display().to_string()))?;
        self.text += &format!(
            "checked  names and shapes of {} nodes, {} constants of {} numbers\n",
            found.nodes, found.constants, found.numbers
        );
        self.json.insert("checked".into(), true.into());
        Ok(())
    }

    /// Refuses a file that gives other numbers, with what was seen of each output.
    fn require_same(&self, path: &Path) -> Result<()> {
        if self.largest <= MOST {
            return Ok(());
        }
        let text = format!(
            "gives other numbers than this program, and is not written: a relative difference of {:.1e}, more than {MOST:e}\n{}",
            self.largest,
            self.text.trim_end()
        );
        Err(Error::new(ErrorKind::Internal, text).at(path.display().to_string()))
    }

    fn not_run(&mut self) {
        self.text += &format!(
            "not run  there is no Python with onnxruntime (pip install onnxruntime; {PYTHON} names a Python that is not on \
             the path)\n"
        );
        self.json.insert("ran".into(), false.into());
    }

    fn compared(&mut self, what: &str, runtime: &Runtime, found: &Comparison) {
        let Comparison { windows, all, left_out, outputs } = found;
        let name = runtime.name();
        let largest = found.largest();
        self.largest = self.largest.max(largest);
        let of_all = match windows + left_out < *all {
            true => format!("{windows} evenly spread of {all}"),
            false => windows.to_string(),
        };
        self.text +=
            &format!("{name}  {of_all} {what}: largest relative difference {largest:.1e}\n");
        if outputs.len() > 1 {
            for Difference { output, largest } in outputs {
                self.text += &format!("  {output}  {largest:.1e}\n");
            }
        }
        if *left_out > 0 {
            self.text += &format!(
                "  {left_out} windows were left out: a point is missing, and --missing none has no input for that\n"
            );
        }
        let each: Map<String, Value> =
            outputs.iter().map(|found| (found.output.clone(), json!(found.largest))).collect();
        let entry = json!({
            "what": what,
            "runtime": name,
            "windows": windows,
            "all_windows": all,
            "left_out": left_out,
            "largest_relative_difference": largest,
            "outputs": each,
        });
        self.json.insert("ran".into(), true.into());
        let list = self.json.entry("comparisons").or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(entry);
        }
    }
}
