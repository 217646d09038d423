//! A record batch to the pieces of an IPC message: metadata, and a body of aligned buffers that mostly point into the
//! batch.
//!
//! ```text
//! FF FF FF FF | length of the metadata | flatbuffer of `Message`, zeroes until the body starts at 64
//! body:  buffer 0, zeroes to 64 | buffer 1, zeroes to 64 | …
//! ```
//!
//! The order of nodes and buffers is that of the Arrow format, "Recordbatch message" and "Serialization and
//! Interprocess Communication" in <https://arrow.apache.org/docs/format/Columnar.html>. What an array does not show is
//! never written: offsets begin at 0, children and views are reduced to what the rows refer to, bits and bytes beyond
//! the length are zero.

mod compact;
mod compressed;
mod empty;
mod message;
mod plain;
mod runs;
mod weight;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    BinaryType, BinaryViewType, ByteArrayType, ByteViewType, Int16Type, Int32Type, Int64Type, LargeBinaryType,
    LargeUtf8Type, RunEndIndexType, StringViewType, Utf8Type,
};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericByteArray, GenericByteViewArray, GenericListArray,
    GenericListViewArray, OffsetSizeTrait, RecordBatch, RunArray, StructArray, UnionArray,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ipc::FieldNode;
use arrow_schema::DataType;

use crate::home::aligned_len;

pub(crate) use compact::{dense_union, list_view};
pub use compressed::{Codec, compress, compressed};
pub use empty::{empty_batch, empty_dictionary};
pub(crate) use message::{Block, MAGIC, PREFIX_BYTES, end_of_stream, footer, framed, sent};
pub(crate) use plain::plain_dictionary;
pub use plain::{PlainBatch, plain_schema};

/// Arrays as the parts of a record batch message. Dictionary columns are their indices.
#[derive(Debug, Default)]
pub struct Encoded {
    rows: usize,
    nodes: Vec<FieldNode>,
    buffers: Vec<arrow_ipc::Buffer>,
    variadic_counts: Vec<i64>,
    pieces: Vec<Buffer>,
    body_bytes: u64,
    /// How the buffers are compressed; those of a segment never are.
    codec: Option<Codec>,
    /// Whether columns are written in types that every reader knows; those of a segment never are.
    is_plain: bool,
    /// Whether there was a column that cannot be.
    is_refused: bool,
}

impl Encoded {
    /// Encodes the columns of a batch.
    pub fn batch(batch: &RecordBatch) -> Self {
        Self::columns(batch.num_rows(), batch.columns())
    }

    /// Encodes columns of `rows` rows each.
    pub fn columns(rows: usize, columns: &[ArrayRef]) -> Self {
        let mut encoded = Self { rows, ..Self::default() };
        columns.iter().for_each(|column| encoded.array(column));
        encoded
    }

    /// The metadata of columns that have validity and values and nothing else, given by their null counts and the
    /// lengths of the two buffers. There are no pieces.
    pub(crate) fn reserved(rows: usize, columns: impl Iterator<Item = (u64, [u64; 2])>) -> Self {
        let mut encoded = Self { rows, ..Self::default() };
        for (null_count, lengths) in columns {
            encoded.nodes.push(FieldNode::new(rows as i64, null_count as i64));
            lengths.into_iter().for_each(|length| encoded.reserve(length));
        }
        encoded
    }

    /// The rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The length of the body: every buffer padded to 64.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The bytes of the buffers without their paddings, which are most of a message of few rows.
    pub(crate) fn buffer_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.length() as u64).sum()
    }

    /// The length of the longest array at any depth.
    pub(crate) fn elements_max(&self) -> usize {
        self.nodes.iter().map(|node| node.length() as usize).max().unwrap_or(0).max(self.rows)
    }

    /// The lengths of the arrays at all depths together.
    pub(crate) fn elements(&self) -> u64 {
        self.nodes.iter().map(|node| node.length() as u64).sum()
    }

    /// The body's buffers in their order, without the empty ones. Each is followed by zeroes up to a multiple of 64.
    pub(crate) fn pieces(&self) -> &[Buffer] {
        &self.pieces
    }

    /// The body in one piece of memory.
    pub(crate) fn body(&self) -> Buffer {
        let mut body = MutableBuffer::new(self.body_bytes as usize);
        for piece in &self.pieces {
            body.extend_from_slice(piece.as_slice());
            body.resize(aligned_len(body.len() as u64) as usize, 0);
        }
        body.into()
    }

    fn node(&mut self, array: &dyn Array) {
        self.nodes.push(FieldNode::new(array.len() as i64, array.null_count() as i64));
    }

    fn buffer(&mut self, buffer: Buffer) {
        self.reserve(buffer.len() as u64);
        if !buffer.is_empty() {
            self.pieces.push(buffer);
        }
    }

    fn reserve(&mut self, length: u64) {
        self.buffers.push(arrow_ipc::Buffer::new(self.body_bytes as i64, length as i64));
        self.body_bytes += aligned_len(length);
    }

    /// The node and the validity bitmap, which is empty when nothing is null.
    fn head(&mut self, array: &dyn Array) {
        self.node(array);
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => self.buffer(bitmap(nulls.inner())),
            None => self.buffer(Buffer::default()),
        }
    }

    fn array(&mut self, array: &dyn Array) {
        match array.data_type() {
            // Of a null array every row counts as null, though it has no bitmap that says so.
            DataType::Null => self.nodes.push(FieldNode::new(array.len() as i64, array.len() as i64)),
            DataType::Boolean => {
                self.head(array);
                self.buffer(bitmap(array.as_boolean().values()));
            }
            DataType::Utf8 => self.bytes::<Utf8Type>(array.as_bytes()),
            DataType::LargeUtf8 => self.bytes::<LargeUtf8Type>(array.as_bytes()),
            DataType::Binary => self.bytes::<BinaryType>(array.as_bytes()),
            DataType::LargeBinary => self.bytes::<LargeBinaryType>(array.as_bytes()),
            DataType::Utf8View if self.is_plain => self.plain_views::<StringViewType>(array.as_byte_view()),
            DataType::BinaryView if self.is_plain => self.plain_views::<BinaryViewType>(array.as_byte_view()),
            DataType::Utf8View => self.views::<StringViewType>(array.as_byte_view()),
            DataType::BinaryView => self.views::<BinaryViewType>(array.as_byte_view()),
            DataType::FixedSizeBinary(width) => {
                self.head(array);
                let values = array.as_fixed_size_binary().values();
                self.buffer(values.slice_with_length(0, array.len() * *width as usize));
            }
            DataType::List(_) => self.list::<i32>(array.as_list()),
            DataType::LargeList(_) => self.list::<i64>(array.as_list()),
            DataType::Map(_, _) => {
                let map = array.as_map();
                self.head(map);
                let child = self.offsets(map.offsets());
                self.array(&map.entries().slice(child.start, child.len()));
            }
            DataType::ListView(_) if self.is_plain => self.plain_list_view::<i32>(array.as_list_view()),
            DataType::LargeListView(_) if self.is_plain => self.plain_list_view::<i64>(array.as_list_view()),
            DataType::ListView(_) => self.list_view::<i32>(array.as_list_view()),
            DataType::LargeListView(_) => self.list_view::<i64>(array.as_list_view()),
            DataType::FixedSizeList(_, width) => self.fixed_size_list(array.as_fixed_size_list(), *width as usize),
            DataType::Struct(_) => self.structs(array.as_struct()),
            DataType::Union(_, _) => self.union(array.as_union()),
            DataType::RunEndEncoded(run_ends, _) if self.is_plain => match run_ends.data_type() {
                DataType::Int16 => self.plain_runs::<Int16Type>(array.as_run()),
                DataType::Int32 => self.plain_runs::<Int32Type>(array.as_run()),
                _ => self.plain_runs::<Int64Type>(array.as_run()),
            },
            DataType::RunEndEncoded(run_ends, _) => match run_ends.data_type() {
                DataType::Int16 => self.runs::<Int16Type>(array.as_run()),
                DataType::Int32 => self.runs::<Int32Type>(array.as_run()),
                _ => self.runs::<Int64Type>(array.as_run()),
            },
            DataType::Dictionary(_, _) => self.array(array.as_any_dictionary().keys()),
            primitive => {
                self.head(array);
                let width = primitive.primitive_width().unwrap_or_default();
                self.buffer(array.to_data().buffers()[0].slice_with_length(0, array.len() * width));
            }
        }
    }

    /// Writes offsets that begin at 0, and answers which part of the values they refer to.
    fn offsets<O: OffsetSizeTrait>(&mut self, offsets: &OffsetBuffer<O>) -> std::ops::Range<usize> {
        let first = offsets.first().copied().unwrap_or_default();
        let last = offsets.last().copied().unwrap_or_default();
        if first == O::usize_as(0) {
            self.buffer(scalars(offsets.inner()));
        } else {
            self.buffer(offsets.iter().map(|offset| *offset - first).collect());
        }
        first.as_usize()..last.as_usize()
    }

    fn bytes<T: ByteArrayType>(&mut self, array: &GenericByteArray<T>) {
        self.head(array);
        let values = self.offsets(array.offsets());
        self.buffer(array.values().slice_with_length(values.start, values.len()));
    }

    fn views<T: ByteViewType>(&mut self, array: &GenericByteViewArray<T>) {
        self.head(array);
        let (views, buffers) = compact::views(array);
        self.buffer(scalars(&views));
        self.variadic_counts.push(buffers.len() as i64);
        buffers.into_iter().for_each(|buffer| self.buffer(buffer));
    }

    fn list<O: OffsetSizeTrait>(&mut self, array: &GenericListArray<O>) {
        self.head(array);
        let child = self.offsets(array.offsets());
        self.array(&array.values().slice(child.start, child.len()));
    }

    fn list_view<O: OffsetSizeTrait>(&mut self, array: &GenericListViewArray<O>) {
        self.head(array);
        let parts = list_view(array);
        self.buffer(scalars(&parts.offsets));
        self.buffer(scalars(&parts.sizes));
        self.array(&parts.values);
    }

    fn fixed_size_list(&mut self, array: &FixedSizeListArray, width: usize) {
        self.head(array);
        self.array(&array.values().slice(0, array.len() * width));
    }

    fn structs(&mut self, array: &StructArray) {
        self.head(array);
        array.columns().iter().for_each(|column| self.array(column));
    }

    fn union(&mut self, array: &UnionArray) {
        self.node(array);
        self.buffer(scalars(array.type_ids()));
        if let Some(parts) = dense_union(array) {
            self.buffer(scalars(&parts.offsets));
            parts.children.iter().for_each(|child| self.array(child));
        } else {
            array.fields().iter().for_each(|(type_id, _)| self.array(array.child(type_id)));
        }
    }

    fn runs<R: RunEndIndexType>(&mut self, array: &RunArray<R>) {
        self.node(array);
        let ends = array.run_ends();
        let whole = ends.offset() == 0 && ends.len() == ends.max_value();
        let (ends, values) = if whole {
            (ends.inner().clone(), array.values().clone())
        } else {
            (ends.sliced_values().collect(), array.values_slice())
        };
        self.nodes.push(FieldNode::new(ends.len() as i64, 0));
        self.buffer(Buffer::default());
        self.buffer(scalars(&ends));
        self.array(&values);
    }
}

/// The bytes of exactly these values.
fn scalars<T: ArrowNativeType>(values: &ScalarBuffer<T>) -> Buffer {
    values.inner().slice_with_length(0, values.len() * size_of::<T>())
}

/// A bitmap that begins at its first bit and whose last byte holds no bit beyond the length.
fn bitmap(bits: &BooleanBuffer) -> Buffer {
    let bytes = bits.sliced().slice_with_length(0, bits.len().div_ceil(8));
    let beyond = bits.len() % 8;
    match bytes.as_slice().split_last() {
        Some((last, head)) if beyond != 0 && last >> beyond != 0 => {
            let mut clean = MutableBuffer::new(bytes.len());
            clean.extend_from_slice(head);
            clean.push(last & ((1 << beyond) - 1));
            clean.into()
        }
        _ => bytes,
    }
}

/// The nulls of an array, unless there are none.
pub(crate) fn nulls(array: &dyn Array) -> Option<NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0).cloned()
}

#[cfg(test)]
mod tests;
