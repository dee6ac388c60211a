//! Errors of the library as exceptions of the package `ptsm`.

use ptsm::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The exception of an error: a class of `ptsm.errors`, with its kind, place and exit code.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    if error.kind() == ErrorKind::Interrupted {
        return pyo3::exceptions::PyKeyboardInterrupt::new_err(());
    }
    let kind = format!("{:?}", error.kind());
    let text = renamed(&error.spelled(argument), error.place());
    made(py, &kind, (text, kind.as_str(), error.place(), error.kind().exit_code()))
}

/// A result whose error is an exception.
pub(crate) fn raised<T>(py: Python<'_>, result: ptsm::Result<T>) -> PyResult<T> {
    result.map_err(|error| exception(py, &error))
}

/// The exception of a panic: a defect of ours.
pub(crate) fn panicked(py: Python<'_>, panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let text = format!("this is a defect of ptsm, please report it: {text}");
    made(py, "Internal", (text, "Internal", None, ErrorKind::Internal.exit_code()))
}

fn made(py: Python<'_>, kind: &str, args: (String, &str, Option<&str>, u8)) -> PyErr {
    let class = py
        .import("ptsm.errors")
        .and_then(|module| module.getattr("CLASSES")?.get_item(kind))
        .and_then(|class| Ok(class.cast_into::<PyType>()?));
    match class {
        Ok(class) => PyErr::from_type(class, args.into_pyobject(py).map(Bound::unbind).ok()),
        Err(error) => error,
    }
}

/// Fields of the library that are called otherwise in Python.
const ARGUMENTS: [(&str, &str); 10] = [
    ("timestamp", "time_col"),
    ("id", "id_col"),
    ("targets", "target_col"),
    ("future", "X_df"),
    ("windows", "n_windows"),
    ("step", "step_size"),
    ("season", "season_length"),
    ("frequency", "freq"),
    ("prediction_length", "h"),
    ("levels", "level"),
];

/// The argument that sets a field of the library.
fn name_of(field: &str) -> &str {
    ARGUMENTS.iter().find(|(name, _)| *name == field).map_or(field, |(_, argument)| argument)
}

/// An option of the library as an argument of a call.
pub(crate) fn argument(field: &str, value: Option<&str>) -> String {
    let name = name_of(field);
    match value {
        None => format!("`{name}`"),
        Some(value) if value.parse::<f64>().is_ok() || value == "true" => {
            format!("`{name}={}`", if value == "true" { "True" } else { value })
        }
        Some(value) => format!("`{name}=\"{value}\"`"),
    }
}

/// A text whose place is a field, with the name of the argument.
fn renamed(text: &str, place: Option<&str>) -> String {
    match place.and_then(|place| text.strip_prefix(place).map(|rest| (place, rest))) {
        Some((place, rest)) => format!("{}{rest}", name_of(place)),
        None => text.to_owned(),
    }
}
