//! What a sample says of the columns, besides the types that arrow-json infers: those that a schema has, and the reasons.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{BYTE_ORDER_MARK, decode};
use crate::{Inference, InferredColumn};

/// The inferred schema with the types that another one fixes, where arrow-json reads values of them as they are. It cuts moments
/// and decimals to what fits, so these are left to whoever casts them.
pub(super) fn with_given(inferred: &SchemaRef, given: Option<&SchemaRef>) -> SchemaRef {
    let fields = inferred.fields().iter().map(|field| match fixed(field.name(), given) {
        Some(fixed) => Arc::new(Field::new(field.name(), fixed.data_type().clone(), true)),
        None => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn fixed<'a>(name: &str, given: Option<&'a SchemaRef>) -> Option<&'a Field> {
    let field = given?.field_with_name(name).ok()?;
    let is_exact = matches!(
        field.data_type(),
        DataType::Boolean | DataType::Float64 | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    (is_exact || field.data_type().is_integer()).then_some(field)
}

/// Why the columns have their types.
pub(super) fn reasons(sample: &[u8], is_whole: bool, schema: &SchemaRef, given: Option<&SchemaRef>) -> Inference {
    let end = match memchr::memrchr(b'\n', sample) {
        Some(end) if !is_whole => end + 1,
        _ => sample.len(),
    };
    let sample = &sample[..end];
    // Lines that cannot be read are told when they are.
    let batches = decode(sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sample), schema).unwrap_or_default();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let nulls: usize = batches.iter().map(|batch| batch.column(index).null_count()).sum();
        let why = match fixed(field.name(), given) {
            Some(_) => "the schema says so".to_owned(),
            None if nulls == rows => "no row of the sample has a value".to_owned(),
            None => format!("{} of {rows} rows have a value, and this type has all of them", rows - nulls),
        };
        InferredColumn { name: field.name().clone(), r#type: field.data_type().to_string(), nulls: nulls as u64, why }
    });
    Inference { rows: rows as u64, is_whole, columns: columns.collect() }
}
