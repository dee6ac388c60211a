//! A model as an ONNX file.

use std::path::Path;

use ptsm::Result;
use ptsm_onnx::{Options, export};
use serde::Deserialize;

use crate::files::Files;
use crate::settings::from_text;

/// What a file is asked for; a text is one that the command's option takes, too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    missing: String,
    quantiles: Vec<f64>,
    standardise: Option<String>,
    member: Option<String>,
    heads: Option<Vec<String>>,
}

/// Writes the file of a model, and gives its inputs and outputs as JSON; what is asked for is JSON.
pub(crate) fn write(files: &Files, path: &Path, asked: &str) -> Result<String> {
    let Asked { missing, quantiles, standardise, member, heads } = from_text(asked)?;
    let options = Options {
        missing: missing.parse()?,
        standardise: standardise.map(|text| text.parse()).transpose()?,
        quantiles,
        member,
        heads,
    };
    let exported = files.in_folder(|dir| export(dir, &options))?;
    exported.write(path)?;
    Ok(exported.to_json().to_string())
}
