//! Numbers with a fraction in columns of whole numbers.
//!
//! arrow-json cuts `1.5` down to `1` in a column of whole numbers. That would change data silently, so lines that hold such a
//! number at all are read a second time, with the whole-number columns as `float64`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::BATCH_ROWS_MAX;

/// Refuses lines with a number that has a fraction where the schema has whole numbers.
pub(super) fn check(lines: &[u8], schema: &SchemaRef) -> Result<(), ArrowError> {
    if !may_hold_fraction(lines) {
        return Ok(());
    }
    let fields: Fields = schema.fields().iter().filter_map(as_float).collect();
    if fields.is_empty() {
        return Ok(());
    }
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_batch_size(BATCH_ROWS_MAX)
        .build_decoder()?;
    let mut rest = lines;
    while !rest.is_empty() {
        let decoded = decoder.decode(rest)?;
        rest = &rest[decoded..];
        if let Some(batch) = decoder.flush()? {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                if let Some(value) = fraction(column) {
                    let name = field.name();
                    return Err(ArrowError::JsonError(format!("{value} is no whole number, as key \"{name}\" has")));
                }
            }
        }
    }
    Ok(())
}

/// Whether a digit is followed by a point or an exponent anywhere: in a text too, which costs time and nothing else.
fn may_hold_fraction(lines: &[u8]) -> bool {
    memchr::memchr3_iter(b'.', b'e', b'E', lines).any(|at| at > 0 && lines[at - 1].is_ascii_digit())
}

/// The field with `float64` for whole numbers, and without anything else.
fn as_float(field: &FieldRef) -> Option<FieldRef> {
    let data_type = match field.data_type() {
        whole if whole.is_integer() => DataType::Float64,
        DataType::List(item) => DataType::List(as_float(item)?),
        DataType::Struct(fields) => {
            let fields: Fields = fields.iter().filter_map(as_float).collect();
            if fields.is_empty() {
                return None;
            }
            DataType::Struct(fields)
        }
        _ => return None,
    };
    Some(Arc::new(Field::new(field.name(), data_type, true)))
}

fn fraction(array: &ArrayRef) -> Option<f64> {
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().find(|value| value.fract() != 0.0),
        DataType::List(_) => fraction(array.as_list::<i32>().values()),
        DataType::Struct(_) => array.as_struct().columns().iter().find_map(fraction),
        _ => None,
    }
}
