//! Validates record batches of flat columns at the speed of memory.
//!
//! arrow-data looks at the values of a text or dictionary column one by one, several times as long as it takes to copy
//! them. Columns that are not nested need so little that whole buffers can be looked at in a form that compiles to
//! vector instructions:
//!
//! | buffer | must hold |
//! | --- | --- |
//! | validity | as many zeros as the node counts nulls; none where the field may hold none |
//! | offsets | no offset is less than the one before it, none is negative or behind the end of the data |
//! | text | is ASCII; or else is UTF-8, and each offset is at the boundary of a character |
//! | indices | each names a value of the dictionary, null or not |
//!
//! The answer "no" is not final: then arrow-rs decides, and says why.

use std::collections::HashMap;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::Buffer;
use arrow_buffer::bit_chunk_iterator::UnalignedBitChunk;
use arrow_schema::{DataType, Field, SchemaRef};

use crate::check::batch::{Extent, Judged};
use crate::check::layout::{Layout, Role};

/// Whether every buffer of an uncompressed record batch was looked at and is valid.
pub(super) fn is_valid(
    schema: &SchemaRef,
    layout: &Layout,
    judged: &Judged,
    body: &Buffer,
    dictionaries: &HashMap<i64, ArrayRef>,
) -> bool {
    // A node for each column and no more: nothing is nested.
    if judged.codec.is_some() || layout.nodes.len() != layout.columns {
        return false;
    }
    let mut extents = judged.buffers.as_slice();
    schema.fields().iter().zip(layout.nodes.iter().zip(&judged.nodes)).all(|(field, (node, (rows, null_count)))| {
        let (Some(own), Some(rest)) = (extents.get(..node.roles.len()), extents.get(node.roles.len()..)) else {
            return false;
        };
        extents = rest;
        let column = Column { rows: *rows as usize, null_count: *null_count as usize, extents: own, body };
        column.is_valid(field, dictionaries)
    })
}

struct Column<'a> {
    rows: usize,
    null_count: usize,
    extents: &'a [Extent],
    body: &'a Buffer,
}

impl Column<'_> {
    fn is_valid(&self, field: &Field, dictionaries: &HashMap<i64, ArrayRef>) -> bool {
        let has_values = match field.data_type() {
            #[expect(deprecated, reason = "the decoder of arrow-ipc has no other way to find a dictionary")]
            DataType::Dictionary(index, _) => {
                let values = field.dict_id().and_then(|id| dictionaries.get(&id));
                // A null among the values is a null that no bitmap shows.
                let values = values.filter(|values| field.is_nullable() || values.logical_null_count() == 0);
                values.is_some_and(|values| self.has_indices(values.len() as u64, index.is_signed_integer()))
            }
            DataType::Utf8 | DataType::LargeUtf8 => self.has_offsets(true),
            DataType::Binary | DataType::LargeBinary => self.has_offsets(false),
            // Any bits are a number.
            DataType::Boolean | DataType::FixedSizeBinary(_) => true,
            other => other.is_primitive(),
        };
        has_values && self.has_nulls_as_counted(field.is_nullable())
    }

    fn bytes(&self, index: usize) -> &[u8] {
        let range = self.extents.get(index).map_or(0..0, |extent| {
            let start = extent.offset as usize;
            start..start + extent.bytes as usize
        });
        self.body.as_slice().get(range).unwrap_or_default()
    }

    /// The first `count` numbers of a buffer.
    fn numbers<const WIDTH: usize>(&self, index: usize, count: usize) -> Option<&[[u8; WIDTH]]> {
        self.bytes(index).as_chunks::<WIDTH>().0.get(..count)
    }

    fn has_nulls_as_counted(&self, is_nullable: bool) -> bool {
        if self.null_count == 0 {
            return true;
        }
        let validity = self.bytes(0);
        is_nullable
            && validity.len() >= self.rows.div_ceil(8)
            && UnalignedBitChunk::new(validity, 0, self.rows).count_ones() == self.rows - self.null_count
    }

    fn has_offsets(&self, is_text: bool) -> bool {
        // Without rows there may be no offset. One that is there is looked at like any other, since a reader slices the
        // data by it.
        if self.rows == 0 && self.bytes(1).is_empty() {
            return true;
        }
        let data = self.bytes(2);
        let count = self.rows + 1;
        match self.extents.get(1).map(|extent| extent.role) {
            Some(Role::Offsets(4)) => {
                let offsets = self.numbers::<4>(1, count);
                offsets.is_some_and(|it| are_offsets(it, |it| i32::from_le_bytes(it).into(), data, is_text))
            }
            Some(Role::Offsets(8)) => {
                let offsets = self.numbers::<8>(1, count);
                offsets.is_some_and(|it| are_offsets(it, i64::from_le_bytes, data, is_text))
            }
            _ => false,
        }
    }

    /// Whether every index names one of the values. As an unsigned number a negative index is at least `half`.
    fn has_indices(&self, values: u64, is_signed: bool) -> bool {
        let below = |half: u64| if is_signed { values.min(half) } else { values };
        let rows = self.rows;
        match self.extents.get(1).map(|extent| extent.role) {
            Some(Role::Numbers(1)) => {
                let limit = below(1 << 7);
                self.numbers::<1>(1, rows).is_some_and(|it| max(it, u8::from_le_bytes).is_none_or(|it| it < limit))
            }
            Some(Role::Numbers(2)) => {
                let limit = below(1 << 15);
                self.numbers::<2>(1, rows).is_some_and(|it| max(it, u16::from_le_bytes).is_none_or(|it| it < limit))
            }
            Some(Role::Numbers(4)) => {
                let limit = below(1 << 31);
                self.numbers::<4>(1, rows).is_some_and(|it| max(it, u32::from_le_bytes).is_none_or(|it| it < limit))
            }
            Some(Role::Numbers(8)) => {
                let limit = below(1 << 63);
                self.numbers::<8>(1, rows).is_some_and(|it| max(it, u64::from_le_bytes).is_none_or(|it| it < limit))
            }
            _ => false,
        }
    }
}

fn max<const WIDTH: usize, T: Ord + Copy + Into<u64>>(
    numbers: &[[u8; WIDTH]],
    read: impl Fn([u8; WIDTH]) -> T,
) -> Option<u64> {
    numbers.iter().map(|bytes| read(*bytes)).max().map(Into::into)
}

fn are_offsets<const WIDTH: usize>(
    offsets: &[[u8; WIDTH]],
    read: impl Fn([u8; WIDTH]) -> i64,
    data: &[u8],
    is_text: bool,
) -> bool {
    let (Some(first), Some(last), Some(next)) = (offsets.first(), offsets.last(), offsets.get(1..)) else {
        return false;
    };
    // Without a branch in the loop it is compiled to vector instructions.
    let is_ascending = offsets.iter().zip(next).fold(true, |so_far, (a, b)| so_far & (read(*a) <= read(*b)));
    let range = usize::try_from(read(*first)).ok().zip(usize::try_from(read(*last)).ok());
    let (Some((start, end)), true) = (range, is_ascending) else { return false };
    match data.get(start..end) {
        None => false,
        Some(text) if !is_text || text.is_ascii() => true,
        Some(text) => simdutf8::basic::from_utf8(text).is_ok_and(|text| {
            offsets.iter().all(|offset| text.is_char_boundary((read(*offset) as usize).saturating_sub(start)))
        }),
    }
}
