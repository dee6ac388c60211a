//! `ptsm compare`: compares two tensor files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ptsm::core::{WideTensor, read_tensors};
use ptsm::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::agreement::correlation;
use crate::global::Global;
use crate::output::answer;
use crate::words::counted;

/// Options of `compare`.
///
/// A tensor `ref64.NAME` in B is compared with `out.NAME` or `NAME` in A, in place of B's own f32
/// copy.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tensors to check, a .safetensors file such as ptsm trace writes
    a: PathBuf,
    /// Reference, another one
    b: PathBuf,
    /// Exit with 2 if a tensor differs by more, relative to the largest element of the reference
    #[arg(long, value_name = "X")]
    tolerance: Option<f64>,
}

/// Difference of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Difference {
    name: String,
    /// Largest absolute difference.
    max_abs: f64,
    /// The same over the largest absolute reference.
    max_rel: f64,
    /// Pearson correlation; null where one side is constant.
    pcc: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Comparison {
    tensors: Vec<Difference>,
    only_in_a: Vec<String>,
    only_in_b: Vec<String>,
    worst_max_rel: f64,
}

/// Compares and prints; the exit code is 2 if the tolerance is exceeded.
pub(crate) fn run(global: &Global, args: &Args) -> Result<u8> {
    if let Some(tolerance) = args.tolerance
        && (tolerance.is_nan() || tolerance < 0.0)
    {
        return Err(Error::config("--tolerance", format!("{tolerance} must be at least 0")));
    }
    let comparison = compare(&read(&args.a)?, &read(&args.b)?)?;
    answer(global, &comparison, &table(&comparison))?;
    let exceeded = args.tolerance.is_some_and(|limit| comparison.worst_max_rel > limit);
    Ok(if exceeded { 2 } else { 0 })
}

/// The tensors of a file; what is no such file is probably a table or a model.
fn read(path: &Path) -> Result<Tensors> {
    read_tensors(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Io if path.exists() && !is_named_so(path) => {
            let text = "is no tensor file: .safetensors files are compared, such as those of ptsm trace (to compare \
                        models: ptsm backtest --model A --versus B --data FILE)";
            Error::input(text).at(path.display().to_string()).because(error)
        }
        _ => error,
    })
}

fn is_named_so(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors")
}

type Tensors = BTreeMap<String, WideTensor>;

/// The best reference for a tensor: B's float64 one, or that of the same name.
fn reference<'b>(b: &'b Tensors, name: &str) -> Option<&'b WideTensor> {
    let short = name.strip_prefix("out.").unwrap_or(name);
    b.get(&format!("ref64.{short}")).or_else(|| b.get(name))
}

fn compare(a: &Tensors, b: &Tensors) -> Result<Comparison> {
    let mut comparison = Comparison {
        tensors: Vec::new(),
        only_in_a: Vec::new(),
        only_in_b: Vec::new(),
        worst_max_rel: 0.0,
    };
    for (name, tensor) in a {
        let Some(wanted) = reference(b, name) else {
            comparison.only_in_a.push(name.clone());
            continue;
        };
        if tensor.shape != wanted.shape {
            let text = format!("has shape {:?} and {:?}", tensor.shape, wanted.shape);
            return Err(Error::input(text).at(name));
        }
        let difference = difference(name, &tensor.values, &wanted.values);
        comparison.worst_max_rel = worst(comparison.worst_max_rel, difference.max_rel);
        comparison.tensors.push(difference);
    }
    let known = |name: &str| {
        let short = name.strip_prefix("ref64.").unwrap_or(name);
        a.contains_key(short) || a.contains_key(&format!("out.{short}"))
    };
    comparison.only_in_b = b.keys().filter(|name| !known(name)).cloned().collect();
    if comparison.tensors.is_empty() {
        return Err(Error::input("the files have no tensor in common"));
    }
    Ok(comparison)
}

/// The larger; NaN is the largest.
fn worst(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::INFINITY } else { a.max(b) }
}

fn difference(name: &str, a: &[f64], b: &[f64]) -> Difference {
    let max_abs = a.iter().zip(b).fold(0.0, |max, (a, b)| worst(max, (a - b).abs()));
    let largest = b.iter().fold(0.0_f64, |max, b| max.max(b.abs()));
    let max_rel = if max_abs == 0.0 { 0.0 } else { max_abs / largest };
    Difference { name: name.into(), max_abs, max_rel, pcc: correlation(a, b) }
}

fn table(comparison: &Comparison) -> String {
    let width = comparison.tensors.iter().map(|t| t.name.len()).max().unwrap_or(0);
    let mut text =
        format!("{:width$}  {:>9}  {:>9}  {:>12}\n", "tensor", "max abs", "max rel", "pcc");
    for t in &comparison.tensors {
        let pcc = t.pcc.map_or("-".to_owned(), |pcc| format!("{pcc:.10}"));
        text +=
            &format!("{:width$}  {:>9.2e}  {:>9.2e}  {pcc:>12}\n", t.name, t.max_abs, t.max_rel);
    }
    for (side, names) in [("A", &comparison.only_in_a), ("B", &comparison.only_in_b)] {
        if !names.is_empty() {
            text += &format!("only in {side}: {}\n", counted(names.len(), "tensor"));
        }
    }
    text + &format!(
        "worst max rel: {:.2e}\nmax rel: over the largest element of the reference; pcc: Pearson's correlation\n",
        comparison.worst_max_rel
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(entries: &[(&str, &[f64])]) -> Tensors {
        let tensor =
            |values: &[f64]| WideTensor { shape: vec![values.len()], values: values.into() };
        entries.iter().map(|(name, values)| ((*name).to_owned(), tensor(values))).collect()
    }

    #[test]
    fn float64_references_are_preferred_and_leftovers_are_listed() {
        let a = tensors(&[("out.x", &[1.0, 2.0]), ("extra", &[0.0])]);
        let b = tensors(&[("out.x", &[9.0, 9.0]), ("ref64.x", &[1.0, 2.5]), ("in.y", &[0.0])]);
        let comparison = compare(&a, &b).unwrap();
        assert_eq!(comparison.tensors[0].max_abs, 0.5);
        assert_eq!(comparison.tensors[0].max_rel, 0.2);
        assert_eq!(comparison.only_in_a, ["extra"]);
        assert_eq!(comparison.only_in_b, ["in.y"]);
    }

    #[test]
    fn nan_is_the_worst_difference() {
        let comparison =
            compare(&tensors(&[("x", &[f64::NAN])]), &tensors(&[("x", &[1.0])])).unwrap();
        assert_eq!(comparison.worst_max_rel, f64::INFINITY);
        assert_eq!(comparison.tensors[0].pcc, None);
    }

    #[test]
    fn other_shapes_and_nothing_in_common_are_errors() {
        assert!(compare(&tensors(&[("x", &[1.0])]), &tensors(&[("x", &[1.0, 2.0])])).is_err());
        assert!(compare(&tensors(&[("x", &[1.0])]), &tensors(&[("y", &[1.0])])).is_err());
    }
}
