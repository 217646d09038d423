//! Copies parts of an array, at a cost in proportion to what is copied.
//!
//! `take` of arrow-select wants an index of 4 bytes for each row, and where lists are inside, another for each of their
//! values: for bits that is 32 times what is copied. Copied part by part, a value that rows share (of list views, dense
//! unions) would be written once for each of them. So offsets are copied here and values left to the next level.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, GenericListViewArray, MapArray, NullArray, OffsetSizeTrait,
    StructArray, UInt32Array, UnionArray, make_array,
};
use arrow_buffer::{ArrowNativeType, BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_schema::{ArrowError, DataType, Field, UnionMode};
use arrow_select::take::take;

use super::nulls;
use crate::schema::canonical::children;

/// Rows of a run-end encoded array that are taken by index.
const INDEXED_ROWS_MAX: usize = 1 << 18;

/// The parts of the array one after another; `None` for what cannot be copied like this.
pub(super) fn copy(array: &ArrayRef, parts: &[Range<usize>]) -> Option<ArrayRef> {
    copy_parts(array, parts).ok().flatten()
}

fn copy_parts(array: &ArrayRef, parts: &[Range<usize>]) -> Result<Option<ArrayRef>, ArrowError> {
    let rows = parts.iter().map(Range::len).sum();
    let copied: ArrayRef = match array.data_type() {
        // The parts may be more than the array, where rows share them.
        DataType::Null => Arc::new(NullArray::new(rows)),
        DataType::List(field) => return list(array, array.as_list::<i32>(), field, parts),
        DataType::LargeList(field) => return list(array, array.as_list::<i64>(), field, parts),
        DataType::Map(field, is_sorted) => {
            let map = array.as_map();
            let (offsets, inside) = list_parts(map.offsets(), parts);
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let Some(entries) = copy_parts(&entries, &inside)? else { return Ok(None) };
            let (entries, nulls) = (entries.as_struct().clone(), copy_nulls(array, parts));
            Arc::new(MapArray::try_new(field.clone(), offsets, entries, nulls, *is_sorted)?)
        }
        DataType::ListView(field) => list_view::<i32>(array, field, parts)?,
        DataType::LargeListView(field) => list_view::<i64>(array, field, parts)?,
        DataType::FixedSizeList(field, size) => {
            let width = size.unsigned_abs() as usize;
            let inside: Vec<_> = parts.iter().map(|part| part.start * width..part.end * width).collect();
            let values = array.as_fixed_size_list().values();
            let Some(values) = copy_parts(values, &inside)? else { return Ok(None) };
            let nulls = copy_nulls(array, parts);
            Arc::new(FixedSizeListArray::try_new_with_length(field.clone(), *size, values, nulls, rows)?)
        }
        DataType::Struct(fields) => {
            let Some(columns) = copy_all(array.as_struct().columns(), parts)? else { return Ok(None) };
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, copy_nulls(array, parts), rows)?)
        }
        DataType::Union(fields, mode) => {
            let union = array.as_union();
            let children: Vec<_> = fields.iter().map(|(type_id, _)| union.child(type_id).clone()).collect();
            let children = match mode {
                UnionMode::Dense => children,
                UnionMode::Sparse => match copy_all(&children, parts)? {
                    Some(children) => children,
                    None => return Ok(None),
                },
            };
            let offsets = union.offsets().map(|offsets| scalars(offsets, parts));
            Arc::new(UnionArray::try_new(fields.clone(), scalars(union.type_ids(), parts), offsets, children)?)
        }
        DataType::RunEndEncoded(_, values) => {
            if rows > INDEXED_ROWS_MAX || array.len() > u32::MAX as usize || is_shared(values) {
                return Ok(None);
            }
            let indices = parts.iter().flat_map(|part| part.start as u32..part.end as u32);
            take(array, &UInt32Array::from_iter_values(indices), None)?
        }
        _ => {
            let data = array.to_data();
            let mut copied = MutableArrayData::new(vec![&data], false, rows);
            parts.iter().try_for_each(|part| copied.try_extend(0, part.start, part.end))?;
            make_array(copied.freeze())
        }
    };
    Ok(Some(copied))
}

fn copy_all(arrays: &[ArrayRef], parts: &[Range<usize>]) -> Result<Option<Vec<ArrayRef>>, ArrowError> {
    arrays.iter().map(|array| copy_parts(array, parts)).collect()
}

fn list<O: OffsetSizeTrait>(
    array: &ArrayRef,
    list: &GenericListArray<O>,
    field: &Arc<Field>,
    parts: &[Range<usize>],
) -> Result<Option<ArrayRef>, ArrowError> {
    let (offsets, inside) = list_parts(list.offsets(), parts);
    let Some(values) = copy_parts(list.values(), &inside)? else { return Ok(None) };
    let copied = GenericListArray::try_new(field.clone(), offsets, values, copy_nulls(array, parts))?;
    Ok(Some(Arc::new(copied)))
}

/// The offsets of the parts, and the parts of the values.
fn list_parts<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    parts: &[Range<usize>],
) -> (OffsetBuffer<O>, Vec<Range<usize>>) {
    let mut copied = Vec::with_capacity(1 + parts.iter().map(Range::len).sum::<usize>());
    let mut end = O::usize_as(0);
    copied.push(end);
    let mut inside = Vec::with_capacity(parts.len());
    for part in parts {
        let (first, last) = (offsets[part.start], offsets[part.end]);
        copied.extend(offsets[part.start + 1..=part.end].iter().map(|offset| end + (*offset - first)));
        end += last - first;
        if first < last {
            inside.push(first.as_usize()..last.as_usize());
        }
    }
    (OffsetBuffer::new(copied.into()), inside)
}

fn list_view<O: OffsetSizeTrait>(
    array: &ArrayRef,
    field: &Arc<Field>,
    parts: &[Range<usize>],
) -> Result<ArrayRef, ArrowError> {
    let list = array.as_list_view::<O>();
    let (offsets, sizes) = (scalars(list.offsets(), parts), scalars(list.sizes(), parts));
    let nulls = copy_nulls(array, parts);
    Ok(Arc::new(GenericListViewArray::try_new(field.clone(), offsets, sizes, list.values().clone(), nulls)?))
}

fn scalars<T: ArrowNativeType>(values: &ScalarBuffer<T>, parts: &[Range<usize>]) -> ScalarBuffer<T> {
    let mut copied = Vec::with_capacity(parts.iter().map(Range::len).sum());
    parts.iter().for_each(|part| copied.extend_from_slice(&values[part.clone()]));
    copied.into()
}

fn copy_nulls(array: &ArrayRef, parts: &[Range<usize>]) -> Option<NullBuffer> {
    let nulls = nulls(array)?;
    let mut copied = BooleanBufferBuilder::new(parts.iter().map(Range::len).sum());
    parts.iter().for_each(|part| copied.append_buffer(&nulls.inner().slice(part.start, part.len())));
    Some(NullBuffer::new(copied.finish()))
}

/// Whether rows may share values that `take` would write once for each of them.
fn is_shared(field: &Field) -> bool {
    matches!(
        field.data_type(),
        DataType::ListView(_) | DataType::LargeListView(_) | DataType::Union(_, UnionMode::Dense)
    ) || matches!(field.data_type(), DataType::FixedSizeBinary(0) | DataType::FixedSizeList(_, 0))
        || children(field.data_type()).into_iter().any(is_shared)
}
