//! Frames in and out, by Arrow's C stream: nothing is copied on the way.

use arrow::array::RecordBatchIterator;
use arrow::datatypes::SchemaRef;
use arrow::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow::record_batch::{RecordBatch, RecordBatchReader};
use arrow_pyarrow::FromPyArrow;
use ptsm::data::{ReadOptions, Table};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// The method that hands a frame over.
const STREAM: &str = "__arrow_c_stream__";

/// What messages call a frame.
pub(crate) const SOURCE: &str = "frame";

/// A frame that is to be read.
pub(crate) struct Frame {
    reader: RecordBatchStreamReader,
    /// Its columns.
    pub(crate) schema: SchemaRef,
}

impl Frame {
    /// Takes a frame over from another library.
    pub(crate) fn take(frame: &Bound<'_, PyAny>) -> PyResult<Self> {
        if !frame.hasattr(STREAM)? {
            let text = format!(
                "wanted a frame (pandas, polars, pyarrow, DuckDB, or any with {STREAM}), got {}",
                frame.get_type().fully_qualified_name()?
            );
            return Err(PyTypeError::new_err(text));
        }
        let reader = RecordBatchStreamReader::from_pyarrow_bound(frame)?;
        let schema = reader.schema();
        Ok(Self { reader, schema })
    }

    /// Its rows as a table.
    pub(crate) fn table(self, options: &ReadOptions) -> ptsm::Result<Table> {
        Table::from_batches(self.reader, SOURCE, options)
    }
}

/// Rows that any library with Arrow's C stream takes over.
#[pyclass(frozen, module = "ptsm._ptsm")]
pub(crate) struct Batches {
    batch: RecordBatch,
}

impl Batches {
    pub(crate) fn new(batch: RecordBatch) -> Self {
        Self { batch }
    }
}

#[pymethods]
impl Batches {
    /// Number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Arrow's C stream of the rows; another schema cannot be asked for.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // As the protocol has it, a wish that cannot be met is passed over.
        drop(requested_schema);
        let schema = self.batch.schema();
        let reader = RecordBatchIterator::new([Ok(self.batch.clone())], schema);
        PyCapsule::new_with_value(
            py,
            FFI_ArrowArrayStream::new(Box::new(reader)),
            c"arrow_array_stream",
        )
    }
}
