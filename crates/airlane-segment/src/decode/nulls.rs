//! Nulls where the schema allows none.
//!
//! arrow-rs looks for them in columns and in the children of lists, maps and structs, by validity bitmaps alone. What
//! is left: list views, unions and run-end encoded columns, and nulls among the values of dictionaries and runs.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_schema::{ArrowError, DataType};

use crate::schema::canonical::children;

/// Validates every column of a decoded batch.
pub(crate) fn validate(batch: &RecordBatch) -> Result<(), ArrowError> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if !field.is_nullable() {
            let hidden = matches!(column.data_type(), DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _));
            if hidden && column.logical_null_count() > 0 {
                return Err(unexpected());
            }
        }
        validate_children(field.data_type(), column)?;
    }
    Ok(())
}

fn unexpected() -> ArrowError {
    ArrowError::InvalidArgumentError("a null in a field that may hold none".to_owned())
}

fn validate_children(data_type: &DataType, array: &ArrayRef) -> Result<(), ArrowError> {
    let fields = children(data_type);
    if fields.is_empty() {
        return Ok(());
    }
    let is_seen_by_arrow = !matches!(
        data_type,
        DataType::ListView(_) | DataType::LargeListView(_) | DataType::Union(_, _) | DataType::RunEndEncoded(_, _)
    );
    let arrays = child_arrays(array);
    for (field, child) in fields.into_iter().zip(&arrays) {
        if !is_seen_by_arrow && !field.is_nullable() && child.null_count() > 0 {
            return Err(unexpected());
        }
        validate_children(field.data_type(), child)?;
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
        DataType::RunEndEncoded(_, _) => {
            let data = array.to_data();
            data.child_data().iter().map(|child| make_array(child.clone())).collect()
        }
        _ => Vec::new(),
    }
}
