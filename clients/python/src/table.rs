//! Rows in memory, and what exports them to other libraries without a copy.

use airlane_client::payload_bytes;
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, Field, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use pyo3_arrow::ffi::{ArrayIterator, to_array_pycapsules, to_schema_pycapsule, to_stream_pycapsule};
use std::sync::Arc;

use crate::columns::{Column, column};
use crate::error::{data, raise};

/// A schema.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Schema(pub(crate) SchemaRef);

#[pymethods]
impl Schema {
    /// Name, type and whether there may be nulls, of each column.
    fn fields(&self) -> Vec<(String, String, bool)> {
        let fields = self.0.fields().iter();
        fields.map(|field| (field.name().clone(), field.data_type().to_string(), field.is_nullable())).collect()
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.0.as_ref())?)
    }
}

/// A record batch.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Batch(pub(crate) RecordBatch);

#[pymethods]
impl Batch {
    #[getter]
    fn schema(&self) -> Schema {
        Schema(self.0.schema())
    }

    #[getter]
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    #[getter]
    fn nbytes(&self) -> u64 {
        payload_bytes(&self.0)
    }

    /// The same rows as a table.
    fn table(&self) -> Table {
        Table { schema: self.0.schema(), batches: vec![self.0.clone()] }
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        self.schema().__arrow_c_schema__(py)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let field = row_field(&self.0.schema());
        Ok(to_array_pycapsules(py, field, &StructArray::from(self.0.clone()), requested_schema)?)
    }
}

/// Batches of one schema.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Table {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

#[pymethods]
impl Table {
    /// Of batches that have the schema.
    #[staticmethod]
    fn of(schema: &Schema, batches: Vec<PyRef<'_, Batch>>) -> Self {
        Self { schema: schema.0.clone(), batches: batches.iter().map(|batch| batch.0.clone()).collect() }
    }

    #[getter]
    fn schema(&self) -> Schema {
        Schema(self.schema.clone())
    }

    #[getter]
    fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    #[getter]
    fn nbytes(&self) -> u64 {
        self.batches.iter().map(payload_bytes).sum()
    }

    fn batches(&self) -> Vec<Batch> {
        self.batches.iter().cloned().map(Batch).collect()
    }

    /// The first rows, without a copy.
    fn head(&self, rows: usize) -> Self {
        let mut left = rows;
        let mut batches = Vec::new();
        for batch in &self.batches {
            if left == 0 {
                break;
            }
            let part = batch.slice(0, left.min(batch.num_rows()));
            left -= part.num_rows();
            batches.push(part);
        }
        Self { schema: self.schema.clone(), batches }
    }

    /// The texts of the first rows, each of a text for each column; `None` is a null.
    fn texts(&self, rows: usize) -> PyResult<Vec<Vec<Option<String>>>> {
        let mut texts = Vec::new();
        for batch in &self.head(rows).batches {
            rows_as_texts(batch, &mut texts).map_err(|error| raise(data(&error)))?;
        }
        Ok(texts)
    }

    /// The values of a column for numpy; `None` for a type that numpy does not have.
    fn column(&self, py: Python<'_>, index: usize) -> PyResult<Option<Column>> {
        py.detach(|| column(&self.schema, &self.batches, index)).map_err(|error| raise(data(&error)))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        self.schema().__arrow_c_schema__(py)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let reader = RecordBatchIterator::new(self.batches.clone().into_iter().map(Ok), self.schema.clone());
        let field = row_field(&reader.schema());
        let arrays = reader.map(|batch| batch.map(|batch| Arc::new(StructArray::from(batch)) as _));
        Ok(to_stream_pycapsule(py, Box::new(ArrayIterator::new(arrays, field)), requested_schema)?)
    }
}

/// A row as the C data interface has it: a struct of the columns.
fn row_field(schema: &SchemaRef) -> Arc<Field> {
    Arc::new(Field::new_struct("", schema.fields().clone(), false).with_metadata(schema.metadata().clone()))
}

fn rows_as_texts(batch: &RecordBatch, texts: &mut Vec<Vec<Option<String>>>) -> Result<(), ArrowError> {
    let options = FormatOptions::new();
    let columns = batch.columns().iter();
    let formatters = columns.map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let cells = batch.columns().iter().zip(&formatters).map(|(column, formatter)| {
            let is_null = column.is_null(row);
            if is_null { Ok(None) } else { formatter.value(row).try_to_string().map(Some) }
        });
        texts.push(cells.collect::<Result<_, _>>()?);
    }
    Ok(())
}
