//! The rows of a read as they arrive.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use airlane_client::{TableStream, payload_bytes};
use airlane_format::{Format, writer};
use airlane_model::{Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::error::raise;
use crate::process::Own;
use crate::table::{Batch, Schema, Table};
use crate::wait::Call;

/// A read that has begun. Dropping it cancels the read.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Stream {
    schema: SchemaRef,
    rows: Own<Mutex<TableStream>>,
}

impl Stream {
    pub(crate) fn new(stream: TableStream) -> Self {
        Self { schema: stream.schema().clone(), rows: Own::new(Mutex::new(stream)) }
    }
}

#[pymethods]
impl Stream {
    #[getter]
    fn schema(&self) -> Schema {
        Schema(self.schema.clone())
    }

    /// The next batch, or `None` at the end.
    fn next(&self, py: Python<'_>, call: &Call) -> PyResult<Option<Batch>> {
        let rows = self.rows.get().map_err(raise)?;
        Ok(call.wait(py, async { rows.lock().await.next().await })?.map(Batch))
    }

    /// All rows that are left, after those of `first`.
    fn read(&self, py: Python<'_>, call: &Call, first: Vec<PyRef<'_, Batch>>) -> PyResult<Table> {
        let rows = self.rows.get().map_err(raise)?;
        let mut batches: Vec<RecordBatch> = first.iter().map(|batch| batch.0.clone()).collect();
        let count = Count::of(call);
        batches.iter().for_each(|batch| count.add(batch));
        let reading = async {
            let mut rows = rows.lock().await;
            while let Some(batch) = rows.next().await? {
                count.add(&batch);
                batches.push(batch);
            }
            Ok(())
        };
        call.wait_telling(py, reading, || count.get())?;
        call.tell(py, count.get())?;
        Ok(Table { schema: self.schema.clone(), batches })
    }

    /// Writes all rows that are left into a file, and answers their number. The file is there when it is whole: until then it
    /// has another name beside its own.
    fn write(&self, py: Python<'_>, call: &Call, path: PathBuf, format: &str) -> PyResult<u64> {
        let format = Format::parse(format).map_err(raise)?;
        let rows = self.rows.get().map_err(raise)?;
        let count = Count::of(call);
        let (part, failed) = (part(&path), |error| file_failed(&path, error));
        let writing = async {
            let file = File::create(&part).map_err(failed)?;
            let mut output = writer(Box::new(BufWriter::new(file)), self.schema.clone(), format)?;
            let mut rows = rows.lock().await;
            while let Some(batch) = rows.next().await? {
                output.write(&batch)?;
                count.add(&batch);
            }
            output.finish()?;
            if part == path { Ok(()) } else { std::fs::rename(&part, &path).map_err(failed) }
        };
        let written = call.wait_telling(py, writing, || count.get());
        if written.is_err() && part != path {
            // That what is there cannot be removed either is the lesser news.
            let _ = std::fs::remove_file(&part);
        }
        written?;
        call.tell(py, count.get())?;
        Ok(count.get().0)
    }

    /// How the rows come.
    fn transport(&self, py: Python<'_>, call: &Call) -> PyResult<String> {
        let rows = self.rows.get().map_err(raise)?;
        call.wait(py, async { Result::Ok(rows.lock().await.transport().to_string()) })
    }

    /// How often the read broke and went on.
    fn resumptions(&self, py: Python<'_>, call: &Call) -> PyResult<u64> {
        let rows = self.rows.get().map_err(raise)?;
        call.wait(py, async { Result::Ok(rows.lock().await.resumptions()) })
    }
}

/// Where a file is written before it is whole; a pipe or a device is written in place.
fn part(path: &Path) -> PathBuf {
    let is_special = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
    match path.file_name() {
        Some(name) if !is_special => {
            let mut part = name.to_owned();
            part.push(format!(".{}.part", std::process::id()));
            path.with_file_name(part)
        }
        _ => path.to_owned(),
    }
}

fn file_failed(path: &Path, error: std::io::Error) -> Error {
    let place = path.display().to_string();
    Error::new(codes::FILE_FAILED, format!("the file cannot be written: {error}")).at(place).source(error)
}

/// Rows and bytes that came so far.
#[derive(Debug)]
pub(crate) struct Count {
    rows: AtomicU64,
    bytes: AtomicU64,
    counts_bytes: bool,
}

impl Count {
    /// Bytes are counted where somebody is told of them: it takes a look at the offsets of every column, and so at pages of shared
    /// memory that nothing else may need.
    pub(crate) fn of(call: &Call) -> Self {
        Self { rows: AtomicU64::new(0), bytes: AtomicU64::new(0), counts_bytes: call.is_told() }
    }

    pub(crate) fn add(&self, batch: &RecordBatch) {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        if self.counts_bytes {
            self.bytes.fetch_add(payload_bytes(batch), Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> (u64, u64) {
        (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
