//! The three homes, chosen by the writer's bounds and factory.

use std::fs::File;
use std::io::{self, IoSlice};

use airlane_model::{ByteSize, Result};
use airlane_segment::home::{HomeKind, MemfdPool, storage_error, write_all_at};
use airlane_segment::{Home, HomeFactory, MemoryBudget, Segment, TableSchema, TableWriter, Target, WriterOptions};
use arrow_array::RecordBatch;

use super::arbitrary::Table;

pub(super) const HOMES: [HomeKind; 3] = [HomeKind::Heap, HomeKind::Memfd, HomeKind::File];

/// Sizes so small that everything happens in a few kilobytes.
pub(super) fn small() -> WriterOptions {
    WriterOptions {
        batch_bytes_target: ByteSize::kib(4),
        batch_bytes_min: ByteSize::kib(1),
        batch_bytes_max: ByteSize::kib(8),
        segment_bytes_target: ByteSize::kib(24),
        segment_small_bytes_max: ByteSize::bytes(0),
        dictionary_bytes_max: ByteSize::kib(2),
    }
}

/// The table in segments that live in such homes.
pub(super) fn write(table: &Table, options: WriterOptions, kind: HomeKind) -> Vec<Segment> {
    try_write(&TableSchema::from_arrow(&table.schema).expect("a schema"), &table.batches, options, kind)
        .expect("segments")
}

fn try_write(
    schema: &TableSchema,
    batches: &[RecordBatch],
    mut options: WriterOptions,
    kind: HomeKind,
) -> Result<Vec<Segment>> {
    options.segment_small_bytes_max = if kind == HomeKind::Heap { ByteSize::gib(1) } else { ByteSize::bytes(0) };
    let homes: Box<dyn HomeFactory> = match kind {
        HomeKind::File => Box::new(FileFactory { label: 0, budget: MemoryBudget::unlimited() }),
        _ => Box::<MemfdPool>::default(),
    };
    let mut writer = TableWriter::new(schema.clone(), options, homes);
    batches.iter().try_for_each(|batch| writer.append(batch))?;
    writer.finish()
}

struct FileFactory {
    label: u128,
    budget: MemoryBudget,
}

struct FileTarget {
    file: File,
    label: u128,
}

impl HomeFactory for FileFactory {
    fn create(&mut self) -> Result<Box<dyn Target>> {
        self.label += 1;
        let file = tempfile::tempfile().map_err(|error| storage_error("make a file", error))?;
        Ok(Box::new(FileTarget { file, label: self.label }))
    }

    fn budget(&self) -> &MemoryBudget {
        &self.budget
    }
}

impl Target for FileTarget {
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        write_all_at(offset, pieces, |pieces, offset| Ok(rustix::io::pwritev(&self.file, pieces, offset)?))
    }

    fn seal(self: Box<Self>, len: u64) -> Result<Home> {
        self.file.set_len(len).map_err(|error| storage_error("size a file", error))?;
        Home::map_file(&self.file, len, self.label).map_err(|error| storage_error("map a file", error))
    }
}
