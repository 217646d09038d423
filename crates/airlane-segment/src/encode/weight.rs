//! What the elements of an array take in plain types, estimated before anything is written.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    BinaryViewType, ByteViewType, Int16Type, Int32Type, Int64Type, RunEndIndexType, StringViewType,
};
use arrow_array::{Array, GenericByteViewArray, GenericListViewArray, OffsetSizeTrait, RunArray};
use arrow_buffer::{ArrowNativeType, OffsetBuffer};
use arrow_schema::DataType;

/// What any element is counted as at least: while it is copied it has an index or an offset.
const ELEMENT_BYTES_MIN: u64 = 8;

/// The weights of the elements of an array, in bytes.
#[derive(Debug)]
pub(super) enum Weight {
    /// Each element has the same.
    Each(u64),
    /// Those of the elements before each element, and of all.
    Sums(Vec<u64>),
}

impl Weight {
    /// Weighs the elements of an array.
    pub(super) fn of(array: &dyn Array) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::of_bytes(array.as_string::<i32>().offsets()),
            DataType::LargeUtf8 => Self::of_bytes(array.as_string::<i64>().offsets()),
            DataType::Binary => Self::of_bytes(array.as_binary::<i32>().offsets()),
            DataType::LargeBinary => Self::of_bytes(array.as_binary::<i64>().offsets()),
            DataType::Utf8View => Self::of_views::<StringViewType>(array.as_byte_view()),
            DataType::BinaryView => Self::of_views::<BinaryViewType>(array.as_byte_view()),
            DataType::List(_) => Self::of_lists(array.as_list::<i32>().offsets(), array.as_list::<i32>().values()),
            DataType::LargeList(_) => Self::of_lists(array.as_list::<i64>().offsets(), array.as_list::<i64>().values()),
            DataType::Map(_, _) => Self::of_lists(array.as_map().offsets(), array.as_map().entries()),
            DataType::ListView(_) => Self::of_list_views::<i32>(array.as_list_view()),
            DataType::LargeListView(_) => Self::of_list_views::<i64>(array.as_list_view()),
            DataType::FixedSizeList(_, size) => {
                let size = size.unsigned_abs() as usize;
                let values = Self::of(array.as_fixed_size_list().values());
                Self::sums((0..array.len()).map(|row| values.of_range(row * size..(row + 1) * size)))
            }
            DataType::Struct(_) => {
                let columns: Vec<Self> = array.as_struct().columns().iter().map(|column| Self::of(column)).collect();
                Self::Sums(Self::together(array.len(), &columns))
            }
            DataType::Union(fields, _) => {
                let union = array.as_union();
                let children: Vec<Self> = fields.iter().map(|(type_id, _)| Self::of(union.child(type_id))).collect();
                match union.offsets() {
                    None => Self::Sums(Self::together(array.len(), &children)),
                    Some(offsets) => {
                        // Type ids are 0 to 127.
                        let mut places = [0; 128];
                        fields.iter().enumerate().for_each(|(place, (type_id, _))| places[type_id as usize] = place);
                        let rows = union.type_ids().iter().zip(offsets.iter());
                        Self::sums(rows.map(|(type_id, offset)| {
                            let offset = *offset as usize;
                            children[places[*type_id as usize]].of_range(offset..offset + 1)
                        }))
                    }
                }
            }
            DataType::RunEndEncoded(run_ends, _) => match run_ends.data_type() {
                DataType::Int16 => Self::of_runs::<Int16Type>(array.as_run()),
                DataType::Int32 => Self::of_runs::<Int32Type>(array.as_run()),
                _ => Self::of_runs::<Int64Type>(array.as_run()),
            },
            DataType::Dictionary(_, _) => Self::of(array.as_any_dictionary().keys()),
            DataType::FixedSizeBinary(width) => Self::Each(width.unsigned_abs().into()),
            other => Self::Each(other.primitive_width().unwrap_or(1) as u64),
        }
    }

    /// What a range of elements weighs.
    pub(super) fn of_range(&self, range: Range<usize>) -> u64 {
        match self {
            Self::Each(bytes) => (bytes + ELEMENT_BYTES_MIN).saturating_mul(range.len() as u64),
            Self::Sums(sums) => {
                sums[range.end].saturating_sub(sums[range.start]) + ELEMENT_BYTES_MIN * range.len() as u64
            }
        }
    }

    /// The sums over rows to which each column adds its weight.
    pub(super) fn together(rows: usize, columns: &[Self]) -> Vec<u64> {
        let row =
            |row: usize| columns.iter().fold(0_u64, |sum, column| sum.saturating_add(column.of_range(row..row + 1)));
        sums((0..rows).map(row))
    }

    fn sums(weights: impl Iterator<Item = u64>) -> Self {
        Self::Sums(sums(weights))
    }

    fn of_bytes<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Self {
        Self::sums(offsets.windows(2).map(|pair| (pair[1] - pair[0]).as_usize() as u64))
    }

    fn of_views<T: ByteViewType>(array: &GenericByteViewArray<T>) -> Self {
        // The length is in the lower 32 bits; views of nulls may hold anything.
        let length = |(row, view): (usize, &u128)| if array.is_null(row) { 0 } else { u64::from(*view as u32) };
        Self::sums(array.views().iter().enumerate().map(length))
    }

    fn of_lists<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, values: &dyn Array) -> Self {
        let values = Self::of(values);
        Self::sums(offsets.windows(2).map(|pair| values.of_range(pair[0].as_usize()..pair[1].as_usize())))
    }

    fn of_list_views<O: OffsetSizeTrait>(array: &GenericListViewArray<O>) -> Self {
        let values = Self::of(array.values());
        let rows = array.offsets().iter().zip(array.sizes().iter()).enumerate();
        Self::sums(rows.map(|(row, (offset, size))| match array.is_valid(row) {
            true => values.of_range(offset.as_usize()..offset.as_usize() + size.as_usize()),
            false => 0,
        }))
    }

    fn of_runs<R: RunEndIndexType>(array: &RunArray<R>) -> Self {
        let values = Self::of(&array.values_slice());
        let (mut run, mut ends) = (0, array.run_ends().sliced_values().peekable());
        Self::sums((0..array.len()).map(|row| {
            while ends.next_if(|end| end.as_usize() <= row).is_some() {
                run += 1;
            }
            values.of_range(run..run + 1)
        }))
    }
}

fn sums(weights: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sum = 0_u64;
    let sums = weights.map(|weight| {
        sum = sum.saturating_add(weight);
        sum
    });
    std::iter::once(0).chain(sums).collect()
}
