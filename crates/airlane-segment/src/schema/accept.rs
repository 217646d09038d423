//! Whether the batches of one schema can be appended to a table of another.

use airlane_model::error::codes::SCHEMA_MISMATCH;
use airlane_model::{Error, Result};
use arrow_schema::{DataType, Field, Schema};

use super::canonical::children;
use super::policy::{place, shorten};

/// Compares column by column and names the first that differs.
pub(crate) fn compare(expected: &Schema, got: &Schema) -> Result<()> {
    for (index, column) in expected.fields().iter().enumerate() {
        let Some(other) = got.fields().get(index) else {
            return Err(mismatch(format!("column {} is missing", index + 1), column));
        };
        if column.name() != other.name() {
            let name = shorten(other.name());
            return Err(mismatch(format!("column {} is named \"{name}\"", index + 1), column));
        }
        if other.is_nullable() && !column.is_nullable() {
            return Err(mismatch("the column may hold nulls, the table's may not".to_owned(), column));
        }
        if !fits_type(column.data_type(), other.data_type()) {
            let (expected, got) = (column.data_type(), other.data_type());
            return Err(mismatch(format!("expected the type {expected}, got {got}"), column));
        }
    }
    match got.fields().get(expected.fields().len()) {
        None => Ok(()),
        Some(extra) => Err(mismatch("the table has no such column".to_owned(), extra)),
    }
}

fn mismatch(message: String, column: &Field) -> Error {
    Error::new(SCHEMA_MISMATCH, message)
        .at(place(&[column.name()]))
        .hint("cast the data to the schema of the table, or replace the table")
}

/// Whether data of `other` is data of `own`, byte for byte.
fn fits_type(own: &DataType, other: &DataType) -> bool {
    match (own, other) {
        (DataType::Dictionary(own_index, own), DataType::Dictionary(other_index, other)) => {
            own_index == other_index && fits_type(own, other)
        }
        (DataType::Struct(_), DataType::Struct(_)) => fits_children(own, other, true),
        (DataType::Union(own_fields, own_mode), DataType::Union(other_fields, other_mode)) => {
            own_mode == other_mode
                && own_fields.iter().map(|(id, _)| id).eq(other_fields.iter().map(|(id, _)| id))
                && fits_children(own, other, true)
        }
        (DataType::Map(_, own_sorted), DataType::Map(_, other_sorted)) => {
            own_sorted <= other_sorted && fits_entries(own, other)
        }
        (DataType::FixedSizeList(_, own_size), DataType::FixedSizeList(_, other_size)) => {
            own_size == other_size && fits_children(own, other, false)
        }
        (DataType::List(_), DataType::List(_))
        | (DataType::LargeList(_), DataType::LargeList(_))
        | (DataType::ListView(_), DataType::ListView(_))
        | (DataType::LargeListView(_), DataType::LargeListView(_))
        | (DataType::RunEndEncoded(_, _), DataType::RunEndEncoded(_, _)) => fits_children(own, other, false),
        _ => own == other,
    }
}

/// The names of a map's entries, keys and values differ between writers.
fn fits_entries(own: &DataType, other: &DataType) -> bool {
    let entries = |map| children(map).first().map(|entries| entries.data_type().clone());
    match (entries(own), entries(other)) {
        (Some(own), Some(other)) => fits_children(&own, &other, false),
        _ => false,
    }
}

fn fits_children(own: &DataType, other: &DataType, named: bool) -> bool {
    let (own, other) = (children(own), children(other));
    own.len() == other.len()
        && own.iter().zip(other).all(|(own, other)| {
            (!named || own.name() == other.name())
                && own.is_nullable() >= other.is_nullable()
                && fits_type(own.data_type(), other.data_type())
        })
}
