//! Chunks become record batches.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use super::cells::{self, Cells, Most, Splitter};
use super::columns::{Column, Maker, Misfit};
use super::fault::{Fault, lines};
use super::{BATCH_CELLS_MAX, CsvOptions};
use crate::error::from_arrow;
use crate::{BATCH_BYTES_TARGET, BATCH_ROWS_MAX};

/// What all chunks of a file have in common.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) options: CsvOptions,
    pub(super) columns: Vec<Column>,
    pub(super) schema: SchemaRef,
}

/// A chunk that was parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) lines: u64,
}

/// Parses chunks, one after the other.
pub(super) struct Parser {
    layout: Arc<Layout>,
    splitter: Splitter,
    maker: Maker,
}

impl Parser {
    pub(super) fn new(layout: &Arc<Layout>) -> Self {
        Self {
            splitter: Splitter::new(&layout.options, layout.columns.len()),
            maker: Maker::new(&layout.options),
            layout: layout.clone(),
        }
    }

    /// Parses the records behind the first `from` bytes of a chunk.
    pub(super) fn parse(&mut self, chunk: &[u8], from: usize) -> Result<Parsed, Fault> {
        cells::check_text(chunk)?;
        let Self { layout, splitter, maker } = self;
        let columns = layout.columns.len();
        let most = Most {
            rows: (BATCH_CELLS_MAX / columns.max(1)).clamp(1, BATCH_ROWS_MAX),
            bytes: BATCH_BYTES_TARGET.as_usize(),
        };
        let (mut at, mut rows, mut batches) = (from, 0, Vec::new());
        // Before the row of the chunk that comes next.
        let lines_before = |row: usize| {
            let from = lines(&chunk[..from]);
            cells::lines_before(chunk, &layout.options).get(row).copied().unwrap_or(from)
        };
        let skipped = usize::from(from > 0);
        loop {
            let split = splitter.split(&chunk[at..], most);
            at += split.bytes;
            let split_rows = split.cells.rows();
            if split_rows > 0 {
                batches.push(batch(layout, maker, &split.cells, |row| lines_before(skipped + rows + row))?);
            }
            rows += split_rows;
            if split.is_ragged {
                return Err(cells::ragged(&chunk[at..], lines_before(skipped + rows), columns, &layout.options));
            }
            if split_rows == 0 {
                return Ok(Parsed { batches, lines: lines(chunk) });
            }
        }
    }
}

fn batch(
    layout: &Layout,
    maker: &Maker,
    cells: &Cells<'_>,
    lines_before: impl Fn(usize) -> u64,
) -> Result<RecordBatch, Fault> {
    let mut arrays = Vec::with_capacity(layout.columns.len());
    let mut worst: Option<(usize, Misfit)> = None;
    for (index, column) in layout.columns.iter().enumerate() {
        match maker.make(cells, index, column) {
            Ok(array) => arrays.push(array),
            // The first row is told, whichever column it is in.
            Err(misfit) if worst.as_ref().is_none_or(|(_, known)| misfit.row < known.row) => {
                worst = Some((index, misfit));
            }
            Err(_) => {}
        }
    }
    if let Some((index, misfit)) = worst {
        let column = &layout.columns[index];
        let text = cells.get(misfit.row, index);
        let hint = match column.is_given {
            true => "the schema says what the type is",
            false => {
                "the types come from the first part of the file; a larger one (`--sample 64MiB`, `?sample=64MiB`) sees more"
            }
        };
        let lines = lines_before(misfit.row);
        return Err(cells::value(text, &misfit.what, column.field.name(), lines).hint(hint));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(cells.rows()));
    RecordBatch::try_new_with_options(layout.schema.clone(), arrays, &options)
        .map_err(|error| from_arrow(error, "the CSV input").into())
}
