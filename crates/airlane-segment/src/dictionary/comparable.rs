//! Which values can be compared at a cost that is in proportion to their bytes.
//!
//! Rows can share memory: of views, list views, unions and runs, and of types without bytes. A hundred kilobytes can
//! show a million values of a hundred kilobytes each, and looking at every value would take days.
//!
//! And the form in which they are compared has tens of bytes for each element of a list, even where that is a bit.

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryViewType, ByteViewType, StringViewType};
use arrow_array::{Array, ArrayRef, GenericByteViewArray};
use arrow_buffer::Buffer;
use arrow_schema::DataType;

use crate::encode::Encoded;

/// How many times the bytes of a dictionary's buffers its values may have together.
const SHARING_MAX: usize = 4;

/// What an element of any depth takes at most in the form in which values are compared, beside its bytes.
const ELEMENT_BYTES: u64 = 32;

/// What that form may take in any case, and how many times the bytes of the values.
const COMPARED_BYTES_FREE: u64 = 64 << 20;
const COMPARED_RATIO_MAX: u64 = 8;

/// Whether the values of a dictionary can be compared one by one.
pub(super) fn is_comparable(values: &ArrayRef) -> bool {
    is_apart(values) && is_compact(values)
}

/// Whether they take not many times their bytes when they are compared.
fn is_compact(values: &ArrayRef) -> bool {
    let encoded = Encoded::columns(values.len(), std::slice::from_ref(values));
    let bytes = encoded.buffer_bytes();
    let compared = encoded.elements().saturating_mul(ELEMENT_BYTES).saturating_add(bytes.saturating_mul(2));
    compared <= COMPARED_BYTES_FREE.max(bytes.saturating_mul(COMPARED_RATIO_MAX))
}

/// Whether the values share little or nothing with one another.
fn is_apart(values: &ArrayRef) -> bool {
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
