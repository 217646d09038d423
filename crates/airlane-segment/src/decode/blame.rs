//! Finds the column and the row that make a message invalid, once it is known that something does.
//!
//! The message is cut to one column, and that column to its first rows: the shortest cut that still fails ends with the
//! row. This takes as many validations as a row number has bits, and costs nothing as long as messages are valid. Where
//! it would cost too much (a stranger may send a million buffers for a column, or a huge list whose values are looked
//! at in every cut), the column is all that is said.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::{Buffer, bit_util};
use arrow_ipc::MetadataVersion;
use arrow_schema::{Schema, SchemaRef};

use super::arrays::{self, Fault};
use super::header::{self, Parts};
use crate::check::batch::{Extent, Judged};
use crate::check::layout::{Kind, Layout, Role, Rows};

/// What is wrong, and where.
pub(super) struct Blame {
    pub(super) column: usize,
    /// The row in the message, where one row is the reason.
    pub(super) row: Option<u64>,
    pub(super) what: String,
}

/// What the search for a row may look at.
const SEARCH_BYTES_MAX: u64 = 1 << 30;

/// What a buffer of a cut costs beside its bytes: its place in the flatbuffer, and a reference to the body.
const BUFFER_BYTES: u64 = 64;

/// A message whose body is uncompressed.
pub(super) struct Suspect<'a> {
    pub(super) schema: &'a SchemaRef,
    pub(super) layout: &'a Layout,
    pub(super) judged: &'a Judged,
    /// Where the buffers lie: offset and length.
    pub(super) buffers: &'a [(u64, u64)],
    pub(super) body: &'a Buffer,
    pub(super) version: MetadataVersion,
    pub(super) dictionaries: &'a HashMap<i64, ArrayRef>,
}

/// Finds the first column that is invalid by itself, and its first such row.
pub(super) fn find(suspect: &Suspect<'_>) -> Option<Blame> {
    (0..suspect.layout.columns).find_map(|column| {
        let column = Column::of(suspect, column)?;
        let rows = suspect.judged.rows;
        let what = column.fault(rows, false)?;
        let row = if column.search_bytes(rows) <= SEARCH_BYTES_MAX { column.first_row(rows) } else { None };
        let what = row.and_then(|row| column.fault(row + 1, true)).unwrap_or(what);
        Some(Blame { column: column.index, row, what })
    })
}

struct Column<'a> {
    suspect: &'a Suspect<'a>,
    index: usize,
    schema: SchemaRef,
    /// The nodes of the column in the layout.
    nodes: std::ops::Range<usize>,
}

impl<'a> Column<'a> {
    fn of(suspect: &'a Suspect<'a>, index: usize) -> Option<Self> {
        let nodes = &suspect.layout.nodes;
        let start = nodes.partition_point(|node| node.column < index);
        let end = nodes.partition_point(|node| node.column <= index);
        let field = suspect.schema.fields().get(index)?;
        Some(Self { suspect, index, schema: Arc::new(Schema::new(vec![field.clone()])), nodes: start..end })
    }

    /// What [`first_row`](Self::first_row) will look at. Cuts halve what has the rows of the batch; the rest is in each.
    fn search_bytes(&self, rows: u64) -> u64 {
        let cuts = u64::from(u64::BITS - rows.leading_zeros()) + 2;
        self.nodes.clone().fold(0_u64, |sum, node| {
            let (_, buffers) = self.buffers_of(node);
            let times = if self.follows_batch(node) { 4 } else { cuts };
            let bytes = buffers.iter().map(|(_, bytes)| bytes.saturating_mul(times));
            bytes.fold(sum.saturating_add(cuts * BUFFER_BYTES * buffers.len() as u64), u64::saturating_add)
        })
    }

    /// Whether a node has as many rows as the batch, whatever it holds.
    fn follows_batch(&self, node: usize) -> bool {
        let node = &self.suspect.layout.nodes[node];
        match node.rows {
            Rows::Batch => true,
            Rows::Parent => node.parent.is_some_and(|parent| self.follows_batch(parent)),
            _ => false,
        }
    }

    /// The buffers of a node, which lie together: as they were judged, and where they are.
    fn buffers_of(&self, node: usize) -> (&'a [Extent], &'a [(u64, u64)]) {
        let Suspect { judged, buffers, .. } = *self.suspect;
        let start = judged.buffers.partition_point(|extent| extent.node < node);
        let end = judged.buffers.partition_point(|extent| extent.node <= node);
        (judged.buffers.get(start..end).unwrap_or_default(), buffers.get(start..end).unwrap_or_default())
    }

    /// The row that ends the shortest invalid cut.
    fn first_row(&self, rows: u64) -> Option<u64> {
        if self.fault(0, true).is_some() || self.fault(rows, true).is_none() {
            return None;
        }
        let (mut valid, mut invalid) = (0, rows);
        while invalid - valid > 1 {
            let middle = valid + (invalid - valid) / 2;
            if self.fault(middle, true).is_some() { invalid = middle } else { valid = middle }
        }
        Some(valid)
    }

    /// What is wrong with the first `rows` rows. Null counts are counted anew where `is_cut`.
    fn fault(&self, rows: u64, is_cut: bool) -> Option<String> {
        let header = header::encode(&self.parts(rows, is_cut), self.suspect.version);
        let message = header::open(&header).ok()?;
        let batch = message.header_as_record_batch()?;
        let Suspect { version, body, dictionaries, .. } = *self.suspect;
        match arrays::decode(&self.schema, version, batch, body, dictionaries) {
            Ok(_) | Err(Fault::Memory(_)) => None,
            Err(Fault::Data(what)) => Some(what),
            Err(Fault::Panic) => Some("the decoder gave up".to_owned()),
        }
    }

    fn parts(&self, rows: u64, is_cut: bool) -> Parts {
        let Suspect { layout, judged, .. } = self.suspect;
        let mut parts = Parts { rows, nodes: Vec::new(), buffers: Vec::new(), variadic_counts: Vec::new() };
        for index in self.nodes.clone() {
            let node = &layout.nodes[index];
            let follows = self.follows_batch(index);
            let (extents, buffers) = self.buffers_of(index);
            let own = extents.iter().zip(buffers);
            let (length, null_count) = judged.nodes[index];
            let length = if follows { rows } else { length };
            let null_count = match node.kind {
                Kind::Null => length,
                _ if !is_cut || null_count == 0 => null_count,
                _ => own
                    .clone()
                    .find(|(extent, _)| extent.role == Role::Validity)
                    .map_or(null_count, |(_, buffer)| self.count_nulls(*buffer, length)),
            };
            if node.kind == Kind::View {
                let data = own.clone().filter(|(extent, _)| extent.role == Role::Data).count();
                parts.variadic_counts.push(data as i64);
            }
            parts.nodes.push((length, null_count));
            parts.buffers.extend(own.map(|(_, buffer)| *buffer));
        }
        parts
    }

    fn count_nulls(&self, (offset, bytes): (u64, u64), rows: u64) -> u64 {
        let body = self.suspect.body.as_slice();
        let bits = body.get(offset as usize..(offset + bytes) as usize).unwrap_or_default();
        let rows = rows.min(bits.len() as u64 * 8);
        (0..rows as usize).filter(|row| !bit_util::get_bit(bits, *row)).count() as u64
    }
}
