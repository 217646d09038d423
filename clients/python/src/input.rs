//! What is put: batches from an object that exports Arrow data, from an iterable of such objects, or from a file.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use airlane_format::{BatchReader, Format, ReadOptions, read_path};
use airlane_model::{Error, Result, codes};
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use pyo3_arrow::PySchema;
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::{data, raise};

/// Batches that can be taken once.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Input(Mutex<Option<Batches>>);

#[pymethods]
impl Input {
    /// From an object with `__arrow_c_stream__` or `__arrow_c_array__`.
    #[staticmethod]
    fn of(object: AnyRecordBatch) -> PyResult<Self> {
        let reader = object.into_reader()?;
        Ok(Self::new(reader.schema(), Source::Exported(reader)))
    }

    /// From an iterable of such objects, and the schema that all of them have.
    #[staticmethod]
    fn of_iterable(batches: &Bound<'_, PyAny>, schema: PySchema) -> PyResult<Self> {
        let iterator = batches.try_iter()?.unbind();
        Ok(Self::new(schema.into_inner(), Source::Iterated { iterator, current: None }))
    }

    /// From a file; without a format by its name or its first bytes.
    #[staticmethod]
    #[pyo3(signature = (path, format=None))]
    fn of_file(py: Python<'_>, path: PathBuf, format: Option<&str>) -> PyResult<Self> {
        let format = format.map(Format::parse).transpose().map_err(raise)?;
        let options = ReadOptions { format, ..ReadOptions::default() };
        let reader = py.detach(|| read_path(&path, &options)).map_err(raise)?;
        Ok(Self::new(reader.schema(), Source::File(reader)))
    }
}

impl Input {
    fn new(schema: SchemaRef, source: Source) -> Self {
        Self(Mutex::new(Some(Batches { schema, source })))
    }

    /// The batches.
    ///
    /// # Errors
    /// `option_invalid` when they were taken before.
    pub(crate) fn take(&self) -> Result<Batches> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| Error::new(codes::OPTION_INVALID, "these batches were put before"))
    }
}

/// Batches of one schema.
pub(crate) struct Batches {
    pub(crate) schema: SchemaRef,
    source: Source,
}

enum Source {
    Exported(Box<dyn RecordBatchReader + Send>),
    Iterated { iterator: Py<PyIterator>, current: Option<Box<dyn RecordBatchReader + Send>> },
    File(Box<dyn BatchReader>),
}

impl Batches {
    /// The next batch. What Python code raises on the way comes as it is; all other errors are raised as the package's.
    pub(crate) fn next(&mut self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        match &mut self.source {
            Source::Exported(reader) => exported(py, reader),
            Source::File(reader) => py.detach(|| reader.next()).transpose().map_err(raise),
            Source::Iterated { iterator, current } => loop {
                if let Some(reader) = current
                    && let Some(batch) = exported(py, reader)?
                {
                    return Ok(Some(batch));
                }
                let Some(object) = iterator.bind(py).clone().next() else { return Ok(None) };
                *current = Some(object?.extract::<AnyRecordBatch>()?.into_reader()?);
            },
        }
    }
}

fn exported(py: Python<'_>, reader: &mut Box<dyn RecordBatchReader + Send>) -> PyResult<Option<RecordBatch>> {
    py.detach(|| reader.next()).transpose().map_err(|error| raise(data(&error)))
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("schema", &self.schema).finish_non_exhaustive()
    }
}
