//! Nulls where the schema allows none, and unions that go backwards.
//!
//! arrow-rs looks for nulls in columns and in the children of lists, maps and structs, by validity bitmaps alone. What
//! is left: list views, unions and run-end encoded columns, and nulls among the values of dictionaries and runs.
//!
//! The offsets of a dense union "must be in order / increasing" for each child
//! ([the format](https://arrow.apache.org/docs/format/Columnar.html#dense-union)); Arrow C++ insists, arrow-rs does not
//! look.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, UnionArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType};

use crate::schema::canonical::children;

/// Validates every column of a decoded batch.
pub(crate) fn validate(batch: &RecordBatch) -> Result<(), ArrowError> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if !field.is_nullable() && hides_nulls(column.data_type()) && column.logical_null_count() > 0 {
            return Err(unexpected());
        }
        validate_children(field.data_type(), column)?;
    }
    Ok(())
}

fn unexpected() -> ArrowError {
    ArrowError::InvalidArgumentError("a null in a field that may hold none".to_owned())
}

/// Whether there are nulls that no validity bitmap of the array shows.
fn hides_nulls(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _))
}

fn validate_children(data_type: &DataType, array: &ArrayRef) -> Result<(), ArrowError> {
    let fields = children(data_type);
    if fields.is_empty() {
        return Ok(());
    }
    if matches!(data_type, DataType::Union(_, _)) {
        validate_offsets(array.as_union())?;
    }
    let is_seen_by_arrow = !matches!(
        data_type,
        DataType::ListView(_) | DataType::LargeListView(_) | DataType::Union(_, _) | DataType::RunEndEncoded(_, _)
    );
    for (position, (field, child)) in fields.into_iter().zip(&child_arrays(array)).enumerate() {
        let nulls = match (field.is_nullable(), hides_nulls(child.data_type())) {
            (true, _) => None,
            (false, true) => child.logical_nulls(),
            (false, false) => child.nulls().filter(|_| !is_seen_by_arrow).cloned(),
        };
        if nulls.is_some_and(|nulls| nulls.null_count() > 0 && shows(array, position, &nulls)) {
            return Err(unexpected());
        }
        validate_children(field.data_type(), child)?;
    }
    Ok(())
}

/// Whether a row of the parent shows one of the nulls of a child. The values of lists count even where no list shows
/// them: the constructors of arrow-rs insist on that.
fn shows(parent: &ArrayRef, position: usize, nulls: &NullBuffer) -> bool {
    match parent.data_type() {
        DataType::Struct(_) => parent.nulls().is_none_or(|valid| !valid.contains(nulls)),
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or_default();
            let nulls = nulls.slice(0, (parent.len() * size).min(nulls.len()));
            match parent.nulls() {
                Some(valid) => !valid.expand(size).contains(&nulls),
                None => nulls.null_count() > 0,
            }
        }
        DataType::Union(fields, _) => {
            let union = parent.as_union();
            let own = fields.iter().nth(position).map(|(type_id, _)| type_id);
            let mut rows = union.type_ids().iter().enumerate().filter(|(_, type_id)| Some(**type_id) == own);
            rows.any(|(row, _)| nulls.is_null(union.value_offset(row)))
        }
        _ => true,
    }
}

/// Rows may share a value; none may go back to one.
fn validate_offsets(union: &UnionArray) -> Result<(), ArrowError> {
    let Some(offsets) = union.offsets() else { return Ok(()) };
    let mut last = [0; i8::MAX as usize + 1];
    for (type_id, offset) in union.type_ids().iter().zip(offsets) {
        // arrow-rs has looked at the type ids; none is negative.
        let last = &mut last[usize::from(type_id.unsigned_abs()) % last.len()];
        if *offset < *last {
            let what = format!("the offset {offset} of a union comes after {last}, which is larger");
            return Err(ArrowError::InvalidArgumentError(what));
        }
        *last = *offset;
    }
    Ok(())
}

fn child_arrays(array: &ArrayRef) -> Vec<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => vec![array.as_list::<i32>().values().clone()],
        DataType::LargeList(_) => vec![array.as_list::<i64>().values().clone()],
        DataType::ListView(_) => vec![array.as_list_view::<i32>().values().clone()],
        DataType::LargeListView(_) => vec![array.as_list_view::<i64>().values().clone()],
        DataType::FixedSizeList(_, _) => vec![array.as_fixed_size_list().values().clone()],
        DataType::Map(_, _) => vec![Arc::new(array.as_map().entries().clone())],
        DataType::Struct(_) => array.as_struct().columns().to_vec(),
        DataType::Union(fields, _) => fields.iter().map(|(id, _)| array.as_union().child(id).clone()).collect(),
        DataType::RunEndEncoded(run_ends, _) => match run_ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array),
            DataType::Int32 => runs::<Int32Type>(array),
            _ => runs::<Int64Type>(array),
        },
        _ => Vec::new(),
    }
}

/// The runs that rows show. arrow-rs takes no nulls among the ends.
fn runs<R: RunEndIndexType>(array: &ArrayRef) -> Vec<ArrayRef> {
    let runs = array.as_run::<R>();
    let ends: ArrayRef = Arc::new(PrimitiveArray::<R>::new(runs.run_ends().inner().clone(), None));
    vec![ends, runs.values_slice()]
}
