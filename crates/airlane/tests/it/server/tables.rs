//! Tables to put.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::*;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

/// One column of numbers from `start` on.
pub(crate) fn numbers(start: i64, rows: usize) -> RecordBatch {
    let column = Int64Array::from_iter_values((start..).take(rows));
    RecordBatch::try_new(numbers_schema(), vec![Arc::new(column)]).expect("a batch")
}

pub(crate) fn numbers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

/// Columns of the kinds that are laid out differently.
pub(crate) fn kinds(rows: usize) -> RecordBatch {
    let texts: Vec<Option<String>> = (0..rows).map(|row| (row % 3 != 0).then(|| format!("text {row}"))).collect();
    let short = |row: usize| ["red", "green", "blue"][row % 3];
    let mut lists = ListBuilder::new(Int32Builder::new());
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..rows {
        lists.append_option((row % 4 != 1).then(|| (0..row % 5).map(|item| (item % 2 == 0).then_some(item as i32))));
        maps.keys().append_value(short(row));
        maps.values().append_value(row as i32);
        maps.append(row % 7 != 0).expect("a map");
    }
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from_iter(0..rows as i32)) as ArrayRef),
        (Arc::new(Field::new("b", DataType::Utf8, true)), Arc::new(StringArray::from(texts.clone())) as ArrayRef),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("int", Arc::new((0..rows).map(|row| (row % 2 == 0).then_some(row as i32)).collect::<Int32Array>())),
        ("float", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 3.0)))),
        ("bool", Arc::new((0..rows).map(|row| (row % 5 != 0).then_some(row % 2 == 0)).collect::<BooleanArray>())),
        ("text", Arc::new(StringArray::from(texts.clone()))),
        ("view", Arc::new(StringViewArray::from(texts.clone()))),
        ("binary", Arc::new(LargeBinaryArray::from_iter(texts.iter().map(|text| text.as_ref().map(|t| t.as_bytes()))))),
        ("null", Arc::new(NullArray::new(rows))),
        ("label", Arc::new((0..rows).map(short).collect::<DictionaryArray<Int8Type>>())),
        ("list", Arc::new(lists.finish())),
        ("map", Arc::new(maps.finish())),
        ("pair", Arc::new(pair)),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(0..rows as i64).with_timezone("UTC"))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from_iter_values(0..rows as i128).with_precision_and_scale(20, 2).expect("a type"),
            ),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("a batch")
}

/// Rows without columns.
pub(crate) fn no_columns(rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).expect("a batch")
}

/// A column whose dictionary holds the given values.
pub(crate) fn labels(values: &[&str], keys: &[i32]) -> RecordBatch {
    let values = Arc::new(StringArray::from(values.to_vec()));
    let column = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys.to_vec()), values).expect("valid keys");
    let field = Field::new("label", column.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(column)]).expect("a batch")
}

/// The values of a column of labels, whatever its dictionary.
pub(crate) fn label_values(batches: &[RecordBatch]) -> Vec<String> {
    let mut found = Vec::new();
    for batch in batches {
        let column = batch.column(0).as_any().downcast_ref::<DictionaryArray<Int32Type>>().expect("a dictionary");
        let typed = column.downcast_dict::<StringArray>().expect("of texts");
        found.extend(typed.into_iter().map(|value| value.expect("no nulls").to_owned()));
    }
    found
}

/// One batch of all.
pub(crate) fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    arrow_select::concat::concat_batches(schema, batches).expect("one schema")
}

pub(crate) fn fields(names: &[&str]) -> Fields {
    names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect()
}
