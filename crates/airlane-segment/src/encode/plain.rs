//! Columns in types that every reader knows: text and bytes instead of views, lists instead of list views, a row for
//! each row of a run. Dictionaries stay.
//!
//! What rows share is written once for each of them then, and a few kilobytes can become gigabytes. So rows are
//! [weighed](super::weight) first, and written in parts.

use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Arc;

use airlane_model::error::codes::{LIMIT_EXCEEDED, NOT_IMPLEMENTED};
use airlane_model::{ByteSize, Error, Result, limits};
use arrow_array::types::{ByteViewType, RunEndIndexType};
use arrow_array::{
    Array, ArrayRef, GenericByteViewArray, GenericListViewArray, OffsetSizeTrait, RecordBatch, RunArray,
};
use arrow_buffer::{ArrowNativeType, Buffer};
use arrow_schema::{DataType, Field, Fields, Schema, UnionFields};

use super::message::sent;
use super::weight::Weight;
use super::{Encoded, runs};
use crate::home::shared;
use crate::schema::TableSchema;
use crate::segment::Message;

/// A row, or a dictionary, of plain types. They cannot be cut.
const WHOLE_BYTES_MAX: ByteSize = ByteSize::mib(64);

/// The schema of a table in plain types; `None` when it has no others.
///
/// # Errors
/// `schema_invalid` when the schema's message would become too large; `not_implemented` for a dictionary of runs whose
/// values are a dictionary again: without the runs it would be a dictionary of dictionaries, which no schema may hold.
pub fn plain_schema(schema: &TableSchema) -> Result<Option<TableSchema>> {
    let fields = plain_fields(schema.arrow().fields())?;
    if fields == *schema.arrow().fields() {
        return Ok(None);
    }
    let plain = Schema::new_with_metadata(fields, schema.arrow().metadata().clone());
    TableSchema::from_arrow(&plain).map(Some)
}

fn plain_fields(fields: &Fields) -> Result<Fields> {
    fields.iter().map(|field| plain_field(field)).collect()
}

fn plain_field(field: &Field) -> Result<Field> {
    // The nulls of runs are those of their values.
    let has_nulls = match field.data_type() {
        DataType::RunEndEncoded(_, values) => values.is_nullable(),
        _ => false,
    };
    let plain = field.clone().with_data_type(plain_type(field.data_type())?);
    Ok(plain.with_nullable(field.is_nullable() || has_nulls))
}

fn plain_type(data_type: &DataType) -> Result<DataType> {
    let child = |field: &Field| plain_field(field).map(Arc::new);
    Ok(match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(field) | DataType::ListView(field) => DataType::List(child(field)?),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(child(field)?),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field)?, *size),
        DataType::Map(entries, is_sorted) => DataType::Map(child(entries)?, *is_sorted),
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields)?),
        DataType::Union(fields, mode) => {
            let fields = fields.iter().map(|(type_id, field)| Ok((type_id, child(field)?)));
            DataType::Union(fields.collect::<Result<UnionFields>>()?, *mode)
        }
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type())?,
        DataType::Dictionary(index, values) => match plain_type(values)? {
            DataType::Dictionary(..) => return Err(refused("a dictionary of runs of a dictionary")),
            plain => DataType::Dictionary(index.clone(), plain.into()),
        },
        other => other.clone(),
    })
}

fn refused(what: &str) -> Error {
    Error::new(NOT_IMPLEMENTED, format!("{what} cannot be written as rows"))
        .hint("read the table in its own types, without `airlane-types: plain`")
}

/// A batch whose rows are to be written in plain types.
#[derive(Clone, Debug)]
pub struct PlainBatch {
    batch: RecordBatch,
    /// What the rows before each row take, and all of them.
    sums: Vec<u64>,
}

impl PlainBatch {
    /// Weighs the rows of a batch.
    pub fn new(batch: RecordBatch) -> Self {
        let weights: Vec<Weight> = batch.columns().iter().map(|column| Weight::of(column)).collect();
        let sums = Weight::together(batch.num_rows(), &weights);
        Self { batch, sums }
    }

    /// The end of the rows from `start` on that go into one message; always more than none.
    pub fn end_of_message(&self, start: usize) -> usize {
        let target = self.sums[start].saturating_add(limits::BATCH_BYTES_TARGET.as_u64());
        let end = self.sums.partition_point(|sum| *sum <= target).saturating_sub(1);
        end.clamp((start + 1).min(self.batch.num_rows()), self.batch.num_rows())
    }

    /// The message of some rows.
    ///
    /// # Errors
    /// `limit_exceeded` for a row that is too large; `not_implemented` for runs inside other columns whose values
    /// cannot be written once for each row.
    pub fn message(&self, rows: Range<usize>) -> Result<Message> {
        let bytes = self.sums[rows.end] - self.sums[rows.start];
        judge_bytes(bytes, || "a row".to_owned())?;
        let slice = self.batch.slice(rows.start, rows.len());
        let encoded = Encoded::plain(rows.len(), slice.columns())?;
        Ok(sent(encoded.batch_header(), shared(&encoded.body())))
    }
}

/// The message of a dictionary in plain types.
///
/// # Errors
/// `limit_exceeded`, `not_implemented`, as [`PlainBatch::message`].
pub(crate) fn plain_dictionary(id: i64, values: &ArrayRef) -> Result<Message> {
    let weight = Weight::of(values).of_range(0..values.len());
    judge_bytes(weight, || format!("dictionary {id}"))?;
    let encoded = Encoded::plain(values.len(), std::slice::from_ref(values))?;
    Ok(sent(encoded.dictionary_header(id), shared(&encoded.body())))
}

fn judge_bytes(bytes: u64, what: impl FnOnce() -> String) -> Result<()> {
    if bytes <= WHOLE_BYTES_MAX.as_u64() {
        return Ok(());
    }
    let (what, bytes) = (what(), ByteSize::bytes(bytes));
    let message = format!("{what} takes about {bytes} in plain types, the most is {WHOLE_BYTES_MAX}");
    Err(Error::new(LIMIT_EXCEEDED, message).hint("read the table in its own types, without `airlane-types: plain`"))
}

impl Encoded {
    fn plain(rows: usize, columns: &[ArrayRef]) -> Result<Self> {
        let mut encoded = Self { rows, is_plain: true, ..Self::default() };
        columns.iter().for_each(|column| encoded.array(column));
        match encoded.is_refused {
            false => Ok(encoded),
            true => Err(refused("runs inside other columns")),
        }
    }

    pub(super) fn plain_views<T: ByteViewType>(&mut self, array: &GenericByteViewArray<T>) {
        self.head(array);
        let (mut offsets, mut values) = (Vec::with_capacity(array.len() + 1), Vec::<u8>::new());
        offsets.push(0_i32);
        for row in 0..array.len() {
            if array.is_valid(row) {
                values.extend_from_slice(array.value(row).as_ref());
            }
            // Far below 2 GiB: it was weighed.
            offsets.push(values.len() as i32);
        }
        self.buffer(Buffer::from_vec(offsets));
        self.buffer(Buffer::from_vec(values));
    }

    pub(super) fn plain_list_view<O: OffsetSizeTrait>(&mut self, array: &GenericListViewArray<O>) {
        self.head(array);
        let (mut offsets, mut parts) = (Vec::with_capacity(array.len() + 1), Vec::new());
        let mut end = 0;
        offsets.push(O::usize_as(end));
        for (row, (offset, size)) in array.offsets().iter().zip(array.sizes().iter()).enumerate() {
            let (offset, size) = (offset.as_usize(), size.as_usize());
            if array.is_valid(row) && size > 0 {
                parts.push(offset..offset + size);
                end += size;
            }
            offsets.push(O::usize_as(end));
        }
        self.buffer(Buffer::from_vec(offsets));
        self.parts(array.values(), &parts);
    }

    pub(super) fn plain_runs<R: RunEndIndexType>(&mut self, array: &RunArray<R>) {
        let (mut parts, mut start) = (Vec::with_capacity(array.len()), 0);
        for (run, end) in array.run_ends().sliced_values().enumerate() {
            let end = end.as_usize();
            parts.extend(repeat_n(run..run + 1, end.saturating_sub(start)));
            start = end;
        }
        self.parts(&array.values_slice(), &parts);
    }

    fn parts(&mut self, values: &ArrayRef, parts: &[Range<usize>]) {
        match runs::copy(values, parts) {
            Some(values) => self.array(&values),
            None => self.is_refused = true,
        }
    }
}
