//! Which values can be compared at a cost that is in proportion to their bytes.
//!
//! Rows can share memory: of views, list views, unions and runs, and of types without bytes. A hundred kilobytes can
//! show a million values of a hundred kilobytes each, and looking at every value would take days.

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryViewType, ByteViewType, StringViewType};
use arrow_array::{Array, ArrayRef, GenericByteViewArray};
use arrow_buffer::Buffer;
use arrow_schema::DataType;

/// How many times the bytes of a dictionary's buffers its values may have together.
const SHARING_MAX: usize = 4;

/// Whether the values of a dictionary can be compared one by one.
pub(super) fn is_comparable(values: &ArrayRef) -> bool {
    match values.data_type() {
        DataType::Utf8View => views_are_comparable::<StringViewType>(values.as_byte_view()),
        DataType::BinaryView => views_are_comparable::<BinaryViewType>(values.as_byte_view()),
        other => is_unshared(other),
    }
}

fn views_are_comparable<T: ByteViewType>(values: &GenericByteViewArray<T>) -> bool {
    let shown: usize = values.lengths().map(|length| length as usize).sum();
    let held: usize = values.data_buffers().iter().map(Buffer::len).sum();
    shown <= (held + values.views().inner().len()).saturating_mul(SHARING_MAX)
}

/// Whether every value of the type has bytes of its own, on every level.
fn is_unshared(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null
        | DataType::Utf8View
        | DataType::BinaryView
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Union(_, _)
        | DataType::RunEndEncoded(_, _)
        | DataType::Dictionary(_, _)
        | DataType::FixedSizeBinary(0)
        | DataType::FixedSizeList(_, 0) => false,
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|field| is_unshared(field.data_type())),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => is_unshared(field.data_type()),
        _ => true,
    }
}
