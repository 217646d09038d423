//! Dictionaries whose index type is left out: the format says that their indices are int32, and the conversion of
//! arrow-ipc panics.
//!
//! Such a message is rare, so it is written again. A flatbuffer refers to what lies behind, so that everything can stay
//! where it is: the fields in question get another dictionary encoding at the end.
//!
//! ```text
//! the message | layout of an encoding | encoding: layout, type, id, is ordered | … | layout of an integer | integer
//!                                                 └────────────────────────────────────────────────────────▲
//! ```
//!
//! The source: [Schema.fbs](https://github.com/apache/arrow/blob/main/format/Schema.fbs), `DictionaryEncoding`.

use arrow_ipc::{DictionaryEncoding, Field, Schema};

/// A field whose dictionary has no index type.
pub(crate) struct Missing {
    /// Where the field refers to its dictionary encoding.
    slot: usize,
    id: i64,
    is_ordered: bool,
}

/// The fields of a judged schema, on all levels, whose dictionary has no index type.
pub(crate) fn missing(schema: &Schema<'_>) -> Vec<Missing> {
    fn visit(field: Field<'_>, found: &mut Vec<Missing>) {
        if let Some(encoding) = field.dictionary().filter(|encoding| encoding.indexType().is_none()) {
            let slot = field._tab.loc() + usize::from(field._tab.vtable().get(Field::VT_DICTIONARY));
            found.push(Missing { slot, id: encoding.id(), is_ordered: encoding.isOrdered() });
        }
        field.children().into_iter().flatten().for_each(|child| visit(child, found));
    }
    let mut found = Vec::new();
    schema.fields().into_iter().flatten().for_each(|field| visit(field, &mut found));
    found
}

/// The message with int32 for what is missing.
pub(crate) fn fill(header: &[u8], missing: &[Missing]) -> Vec<u8> {
    const ENCODING_BYTES: usize = 24;
    const INT_BYTES: usize = 12;
    let mut bytes = header.to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let encoding_layout = bytes.len();
    // Its own length, that of the table, and the places of id, index type and order.
    bytes.extend([10_u16, ENCODING_BYTES as u16, 8, 4, 16].map(u16::to_le_bytes).as_flattened());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let first = bytes.len();
    let int_layout = first + missing.len() * ENCODING_BYTES;
    let int = int_layout + 8;
    for field in missing {
        let encoding = bytes.len();
        bytes.extend(((encoding - encoding_layout) as i32).to_le_bytes());
        bytes.extend(((int - encoding - 4) as u32).to_le_bytes());
        bytes.extend(field.id.to_le_bytes());
        bytes.push(field.is_ordered.into());
        bytes.resize(encoding + ENCODING_BYTES, 0);
        if let Some(slot) = bytes.get_mut(field.slot..field.slot + 4) {
            slot.copy_from_slice(&((encoding - field.slot) as u32).to_le_bytes());
        }
    }
    bytes.extend([8_u16, INT_BYTES as u16, 4, 8].map(u16::to_le_bytes).as_flattened());
    bytes.extend(((int - int_layout) as i32).to_le_bytes());
    bytes.extend(32_i32.to_le_bytes());
    bytes.push(true.into());
    bytes.resize(int + INT_BYTES, 0);
    bytes
}

const _: () = assert!(
    DictionaryEncoding::VT_ID == 4 && DictionaryEncoding::VT_INDEXTYPE == 6 && DictionaryEncoding::VT_ISORDERED == 8
);
