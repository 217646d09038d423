//! A hash over the rows of a put, to tell whether another put brings the same.
//!
//! Each column has lanes, and each lane a hash of its own: validity bits, values, lengths. A batch adds to the lanes of
//! each column what its rows have there, so the hash is that of the rows, however a client cut them into messages, and
//! whether they were compressed or not.
//!
//! Not so where the cut is part of the form, and taking it out would cost more than the put: list views, unions, runs,
//! views that share bytes, and dictionaries. There the same rows have the same hash when the messages are the same, and for
//! dictionaries when their values come in the same order.
//!
//! What lies under nulls does not count: programs leave there what the memory had. The hash is xxh3-128: it finds what differs by mistake, and withstands nobody who makes two
//! contents of one hash on purpose.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryViewType, ByteArrayType, ByteViewType, StringViewType};
use arrow_array::{Array, ArrayRef, GenericByteArray, GenericByteViewArray, OffsetSizeTrait, RecordBatch, make_array};
use arrow_buffer::{ArrowNativeType, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;

mod lanes;
mod raw;

use lanes::{Bits, Lane, Sum};
pub(crate) use raw::RawRows;

/// The hash of the rows so far.
#[derive(Default)]
pub(crate) struct Fingerprint {
    rows: u64,
    columns: Vec<Column>,
}

impl Fingerprint {
    /// Takes the next rows.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        self.columns.resize_with(batch.num_columns(), Column::default);
        self.columns.iter_mut().zip(batch.columns()).for_each(|(column, array)| column.add(array));
    }

    /// The hash.
    pub(crate) fn value(&self) -> u128 {
        let mut sum = Sum::default();
        sum.number(self.rows);
        // No rows are no rows, in a batch or without one.
        if self.rows > 0 {
            self.columns.iter().for_each(|column| column.sum(&mut sum));
        }
        sum.value()
    }
}

/// What the rows of a column have, at one level.
#[derive(Default)]
struct Column {
    rows: u64,
    validity: Bits,
    /// Bits of booleans.
    bits: Bits,
    /// Bytes of values.
    values: Lane,
    /// Lengths of texts and lists.
    lengths: Lane,
    /// Where a part begins that counts as it came, and how it came.
    marks: Lane,
    children: Vec<Column>,
    dictionary: Option<(ArrayRef, u128)>,
}

impl Column {
    fn sum(&self, sum: &mut Sum) {
        self.validity.sum(sum);
        self.bits.sum(sum);
        [&self.values, &self.lengths, &self.marks].into_iter().for_each(|lane| lane.sum(sum));
        sum.number(self.children.len() as u64);
        self.children.iter().for_each(|child| child.sum(sum));
    }

    fn child(&mut self, index: usize) -> &mut Self {
        if self.children.len() <= index {
            self.children.resize_with(index + 1, Self::default);
        }
        &mut self.children[index]
    }

    fn add(&mut self, array: &ArrayRef) {
        if array.is_empty() {
            return;
        }
        match array.nulls() {
            Some(nulls) => self.validity.add(nulls.inner()),
            None => self.validity.add_ones(array.len()),
        }
        self.add_values(array);
        self.rows += array.len() as u64;
    }

    fn add_values(&mut self, array: &ArrayRef) {
        match array.data_type() {
            DataType::Null => {}
            DataType::Boolean => match array.nulls() {
                None => self.bits.add(array.as_boolean().values()),
                Some(nulls) => self.bits.add(&(array.as_boolean().values() & nulls.inner())),
            },
            DataType::Utf8 => self.add_bytes(array.as_string::<i32>()),
            DataType::LargeUtf8 => self.add_bytes(array.as_string::<i64>()),
            DataType::Binary => self.add_bytes(array.as_binary::<i32>()),
            DataType::LargeBinary => self.add_bytes(array.as_binary::<i64>()),
            DataType::Utf8View => self.add_views(array.as_byte_view::<StringViewType>()),
            DataType::BinaryView => self.add_views(array.as_byte_view::<BinaryViewType>()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                self.add_list(list.offsets(), list.values(), list.nulls());
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                self.add_list(list.offsets(), list.values(), list.nulls());
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let entries: ArrayRef = Arc::new(map.entries().clone());
                self.add_list(map.offsets(), &entries, map.nulls());
            }
            DataType::FixedSizeList(_, size) => {
                let (size, values) = (usize::try_from(*size).unwrap_or_default(), array.as_fixed_size_list().values());
                let child = self.child(0);
                valid_runs(array, |rows| child.add(&values.slice(rows.start * size, rows.len() * size)));
            }
            DataType::Struct(_) => {
                for (index, column) in array.as_struct().columns().iter().enumerate() {
                    let child = self.child(index);
                    valid_runs(array, |rows| child.add(&column.slice(rows.start, rows.len())));
                }
            }
            DataType::Dictionary(..) => self.add_dictionary(array),
            DataType::FixedSizeBinary(width) => {
                let width = usize::try_from(*width).unwrap_or_default();
                self.add_fixed(array, width);
            }
            other => match other.primitive_width() {
                Some(width) => self.add_fixed(array, width),
                None => self.add_as_it_came(array),
            },
        }
    }

    fn add_fixed(&mut self, array: &ArrayRef, width: usize) {
        let data = array.to_data();
        let all = data.buffers().first().and_then(|values| {
            let range = data.offset() * width..(data.offset() + data.len()) * width;
            values.as_slice().get(range)
        });
        let all = all.unwrap_or_default();
        valid_runs(array, |rows| {
            self.values.add(all.get(rows.start * width..rows.end * width).unwrap_or_default());
        });
    }

    fn add_bytes<T: ByteArrayType>(&mut self, array: &GenericByteArray<T>) {
        let (offsets, values) = (array.offsets(), array.values().as_slice());
        self.add_lengths(offsets, array.nulls());
        valid_runs(array, |rows| {
            let range = offsets[rows.start].as_usize()..offsets[rows.end].as_usize();
            self.values.add(values.get(range).unwrap_or_default());
        });
    }

    fn add_list<O: OffsetSizeTrait>(
        &mut self,
        offsets: &OffsetBuffer<O>,
        values: &ArrayRef,
        nulls: Option<&NullBuffer>,
    ) {
        let length = self.add_lengths(offsets, nulls);
        let all = offsets[0].as_usize()..offsets[offsets.len() - 1].as_usize();
        let child = self.child(0);
        match nulls {
            // It is rare that a list that is null has values.
            Some(nulls) if length < all.len() as u64 => {
                for (start, end) in nulls.valid_slices() {
                    let range = offsets[start].as_usize()..offsets[end].as_usize();
                    child.add(&values.slice(range.start, range.len()));
                }
            }
            _ => child.add(&values.slice(all.start, all.len())),
        }
    }

    /// Takes the lengths between offsets, of nulls as nothing. Gives their sum.
    fn add_lengths<O: ArrowNativeType + std::ops::Sub<Output = O>>(
        &mut self,
        offsets: &[O],
        nulls: Option<&NullBuffer>,
    ) -> u64 {
        let mut sum = 0;
        let lengths = offsets.windows(2).enumerate().map(|(row, pair)| {
            let is_null = nulls.is_some_and(|nulls| nulls.is_null(row));
            let length = if is_null { 0 } else { (pair[1] - pair[0]).as_usize() as u64 };
            sum += length;
            length
        });
        self.lengths.add_numbers(lengths);
        sum
    }

    fn add_views<T: ByteViewType>(&mut self, array: &GenericByteViewArray<T>) {
        let is_null = |row| array.is_null(row);
        let length = |(row, view): (usize, &u128)| if is_null(row) { 0 } else { u64::from(*view as u32) };
        let total: u64 = array.views().iter().enumerate().map(length).sum();
        let there: usize = array.data_buffers().iter().map(arrow_buffer::Buffer::len).sum();
        // Kilobytes of views can name the same megabyte again and again.
        if total > 2 * there as u64 + 16 * array.len() as u64 {
            self.mark(array);
            self.values.add(array.views().inner().as_slice());
            for buffer in array.data_buffers() {
                self.lengths.add_numbers([buffer.len() as u64]);
                self.values.add(buffer.as_slice());
            }
            return;
        }
        self.lengths.add_numbers(array.views().iter().enumerate().map(length));
        for value in array.iter().flatten() {
            self.values.add(value.as_ref());
        }
    }

    /// Indices, and the values whenever they are others.
    fn add_dictionary(&mut self, array: &ArrayRef) {
        let dictionary = array.as_any_dictionary();
        let values = dictionary.values();
        let known = self.dictionary.as_ref();
        if !known.is_some_and(|(known, _)| Arc::ptr_eq(known, values)) {
            let mut hash = Self::default();
            hash.add(values);
            let mut sum = Sum::default();
            sum.number(values.len() as u64);
            hash.sum(&mut sum);
            let value = sum.value();
            if known.is_none_or(|(_, before)| *before != value) {
                self.marks.add_numbers([self.rows]);
                self.marks.add(&value.to_le_bytes());
            }
            self.dictionary = Some((values.clone(), value));
        }
        let keys = make_array(dictionary.keys().to_data());
        let width = keys.data_type().primitive_width().unwrap_or_default();
        self.add_fixed(&keys, width);
    }

    fn add_as_it_came(&mut self, array: &ArrayRef) {
        self.mark(array);
        let data = array.to_data();
        self.marks.add_numbers([data.offset() as u64]);
        for buffer in data.buffers() {
            self.marks.add_numbers([buffer.len() as u64]);
            self.values.add(buffer.as_slice());
        }
        for (index, child) in data.child_data().iter().enumerate() {
            self.marks.add_numbers([child.len() as u64]);
            self.child(index).add(&make_array(child.clone()));
        }
    }

    fn mark(&mut self, array: &dyn Array) {
        self.marks.add_numbers([self.rows, array.len() as u64]);
    }

    /// Rows of fixed width that need not be an array: see [`raw`].
    fn begin_raw(&mut self, rows: u64, has_nulls: bool) {
        self.rows += rows;
        if !has_nulls {
            self.validity.add_ones(rows as usize);
        }
    }
}

/// Does something with each run of rows that are not null.
fn valid_runs(array: &dyn Array, mut act: impl FnMut(Range<usize>)) {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => act(0..array.len()),
        Some(nulls) => nulls.valid_slices().for_each(|(start, end)| act(start..end)),
    }
}
