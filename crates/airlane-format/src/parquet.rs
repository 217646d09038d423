//! Parquet, read row group by row group.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use airlane_model::{ByteSize, Result};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::error::{failed, from_arrow, from_parquet, invalid};
use crate::guard::guarded;
use crate::source::Source;
use crate::{BATCH_BYTES_TARGET, BATCH_ROWS_MAX, BatchReader, BatchWriter, Spooling};

/// The encoded bytes at which a row group ends, even when it has few rows.
const ROW_GROUP_BYTES_MAX: ByteSize = ByteSize::mib(128);
const ROW_GROUP_ROWS_MAX: usize = 1 << 20;

/// Reads Parquet.
pub(crate) struct Reader {
    name: String,
    file: File,
    metadata: ArrowReaderMetadata,
    batch_rows: usize,
    group_next: usize,
    group: Option<ParquetRecordBatchReader>,
    /// Rows of the group that are still to come, as the footer has it.
    group_rows: i64,
    done: bool,
}

impl Reader {
    pub(crate) fn open(source: Source, spooling: &Spooling) -> Result<Self> {
        let name = source.name().to_owned();
        let file = source.into_file(spooling)?;
        let place = || format!("{name}, footer");
        let metadata = guarded(place, || {
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())
                .map_err(|error| from_parquet(error, place()))
        })?;
        let batch_rows = batch_rows(&metadata);
        Ok(Self { name, file, metadata, batch_rows, group_next: 0, group: None, group_rows: 0, done: false })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(group) = &mut self.group {
                let place = || format!("{}, row group {}", self.name, self.group_next - 1);
                let next = guarded(place, || group.next().transpose().map_err(|error| from_arrow(error, place())))?;
                match next {
                    // The reader's batches lack the metadata of the schema.
                    Some(batch) => {
                        self.group_rows = self.group_rows.saturating_sub_unsigned(batch.num_rows() as u64);
                        let schema = self.metadata.schema().clone();
                        return batch.with_schema(schema).map(Some).map_err(|error| from_arrow(error, place()));
                    }
                    // The library takes the end of the pages for that of the rows.
                    None if self.group_rows != 0 => {
                        return Err(invalid("the row group has other rows than the footer says", place()));
                    }
                    None => self.group = None,
                }
            }
            if self.group_next == self.metadata.metadata().num_row_groups() {
                return Ok(None);
            }
            let index = self.group_next;
            self.group_next += 1;
            let place = || format!("{}, row group {index}", self.name);
            let file = self.file.try_clone().map_err(|error| failed(error, &self.name))?;
            let (metadata, batch_rows) = (self.metadata.clone(), self.batch_rows);
            let group = guarded(place, || {
                ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                    .with_row_groups(vec![index])
                    .with_batch_size(batch_rows)
                    .build()
                    .map_err(|error| from_parquet(error, place()))
            })?;
            self.group = Some(group);
            self.group_rows = self.metadata.metadata().row_group(index).num_rows();
        }
    }
}

/// Rows of about the target size, going by what the footer says of the columns' bytes.
fn batch_rows(metadata: &ArrowReaderMetadata) -> usize {
    let groups = metadata.metadata().row_groups();
    let bytes: u64 = groups.iter().map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0)).sum();
    let rows: u64 = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum();
    let row_bytes = (bytes / rows.max(1)).max(1);
    usize::try_from(BATCH_BYTES_TARGET.as_u64() / row_bytes).unwrap_or(BATCH_ROWS_MAX).clamp(1, BATCH_ROWS_MAX)
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl BatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.metadata.schema().clone()
    }

    fn rows_total(&self) -> Option<u64> {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).ok()
    }
}

/// Writes Parquet, compressed with zstd.
pub(crate) struct Writer {
    inner: ArrowWriter<Box<dyn Write + Send>>,
}

const PLACE: &str = "the Parquet output";

impl Writer {
    pub(crate) fn new(output: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX.as_usize()))
            .build();
        let inner = guarded(
            || PLACE.into(),
            || {
                ArrowWriter::try_new(output, Arc::clone(&schema), Some(properties)).map_err(|error| {
                    from_parquet(error, PLACE).hint("Parquet has no such type; write Arrow (`--format arrow`)")
                })
            },
        )?;
        Ok(Self { inner })
    }
}

impl BatchWriter for Writer {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        guarded(|| PLACE.into(), || self.inner.write(batch).map_err(|error| from_parquet(error, PLACE)))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        guarded(|| PLACE.into(), || self.inner.close().map(drop).map_err(|error| from_parquet(error, PLACE)))
    }
}

#[cfg(test)]
mod tests;
