//! Sample tables.

use std::sync::Arc;

use airlane_format::ReadOptions;
use arrow_array::builder::{
    FixedSizeListBuilder, Int32Builder, LargeListBuilder, ListBuilder, MapBuilder, StringBuilder,
};
use arrow_array::types::{Int8Type, Int32Type, UInt32Type};
use arrow_array::*;
use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano, ScalarBuffer, i256};
use arrow_schema::{DataType, Field, Fields, SchemaRef, UnionFields};
use half::f16;

/// A table of `samples/`: `flights`, `weather`, `planes`, `airlines` or `airports`.
///
/// # Panics
/// When there is no such table.
pub fn sample(name: &str) -> (SchemaRef, Vec<RecordBatch>) {
    let path = crate::workspace().join("samples").join(format!("{name}.parquet"));
    let reader = airlane_format::read_path(&path, &ReadOptions::default()).expect("a sample");
    let schema = reader.schema();
    (schema, reader.map(|batch| batch.expect("a batch")).collect())
}

/// Three rows with a column of every Arrow type, nulls in the middle where the type has them.
///
/// # Panics
/// Never.
pub fn every_type() -> RecordBatch {
    let columns = plain_types().into_iter().chain(nested_types()).map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn plain_types() -> Vec<(&'static str, ArrayRef)> {
    macro_rules! primitives {
        ($($name:literal: $array:ty = [$a:expr, $b:expr]),+ $(,)?) => {
            vec![$(($name, Arc::new(<$array>::from(vec![Some($a), None, Some($b)])) as ArrayRef)),+]
        };
    }
    let decimals = |precision, scale| {
        let values = Decimal128Array::from(vec![Some(12_345), None, Some(-1)]);
        values.with_precision_and_scale(precision, scale).expect("a precision")
    };
    let wide = Decimal256Array::from(vec![Some(i256::MAX), None, Some(i256::MINUS_ONE)]);
    let fixed =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(b"abc"), None, Some(b"\0\xff\0")].into_iter(), 3);
    let mut columns = primitives![
        "bool": BooleanArray = [true, false],
        "int8": Int8Array = [i8::MIN, i8::MAX],
        "int16": Int16Array = [i16::MIN, i16::MAX],
        "int32": Int32Array = [i32::MIN, i32::MAX],
        "int64": Int64Array = [i64::MIN, i64::MAX],
        "uint8": UInt8Array = [0, u8::MAX],
        "uint16": UInt16Array = [0, u16::MAX],
        "uint32": UInt32Array = [0, u32::MAX],
        "uint64": UInt64Array = [0, u64::MAX],
        "float16": Float16Array = [f16::from_f32(1.5), f16::NEG_INFINITY],
        "float32": Float32Array = [f32::MIN_POSITIVE, f32::NAN],
        "float64": Float64Array = [-0.0, f64::INFINITY],
        "decimal32": Decimal32Array = [1, -1],
        "decimal64": Decimal64Array = [1, -1],
        "utf8": StringArray = ["Ä€😀", ""],
        "large_utf8": LargeStringArray = ["Ä€😀", ""],
        "utf8_view": StringViewArray = ["longer than twelve bytes", "short"],
        "binary": BinaryArray = [b"\0\xff".as_slice(), b"".as_slice()],
        "large_binary": LargeBinaryArray = [b"\0\xff".as_slice(), b"".as_slice()],
        "binary_view": BinaryViewArray = [b"longer than \xff twelve bytes".as_slice(), b"\0".as_slice()],
        "date32": Date32Array = [-1, 20_000],
        "date64": Date64Array = [-86_400_000, 86_400_000],
        "time32_s": Time32SecondArray = [0, 86_399],
        "time32_ms": Time32MillisecondArray = [0, 86_399_999],
        "time64_us": Time64MicrosecondArray = [0, 86_399_999_999],
        "time64_ns": Time64NanosecondArray = [0, 86_399_999_999_999],
        "timestamp_s": TimestampSecondArray = [-1, 1_357_020_000],
        "timestamp_ms": TimestampMillisecondArray = [-1, 1_357_020_000_000],
        "timestamp_us": TimestampMicrosecondArray = [-1, 1_357_020_000_000_000],
        "timestamp_ns": TimestampNanosecondArray = [i64::MIN, i64::MAX],
        "duration_s": DurationSecondArray = [-1, 1],
        "duration_ns": DurationNanosecondArray = [i64::MIN, i64::MAX],
        "interval_months": IntervalYearMonthArray = [-1, 14],
        "interval_days": IntervalDayTimeArray = [IntervalDayTime::new(-1, 2), IntervalDayTime::new(3, -4)],
        "interval_all": IntervalMonthDayNanoArray =
            [IntervalMonthDayNano::new(1, -2, 3), IntervalMonthDayNano::new(-4, 5, i64::MIN)],
    ];
    let zoned = TimestampMicrosecondArray::from(vec![Some(0), None, Some(1)]).with_timezone("Europe/Berlin");
    columns.extend([
        ("null", Arc::new(NullArray::new(3)) as ArrayRef),
        ("decimal128", Arc::new(decimals(38, 3))),
        ("decimal256", Arc::new(wide.with_precision_and_scale(76, -2).expect("a precision"))),
        ("fixed_binary", Arc::new(fixed.expect("three bytes each"))),
        ("timestamp_zoned", Arc::new(zoned)),
    ]);
    columns
}

fn nested_types() -> Vec<(&'static str, ArrayRef)> {
    let values = || [Some(vec![Some(1), None]), None, Some(vec![])];
    let list: ListArray = ListArray::from_iter_primitive::<Int32Type, _, _>(values());
    let mut large = LargeListBuilder::new(Int32Builder::new());
    let mut words = ListBuilder::new(StringBuilder::new());
    let mut fixed = FixedSizeListBuilder::new(Int32Builder::new(), 2);
    for row in [Some([7, 8]), None, Some([9, 10])] {
        large.append_option(row.map(|row| row.map(Some)));
        words.append_option(row.map(|row| row.map(|n| Some(n.to_string()))));
        fixed.values().append_slice(&row.unwrap_or_default());
        fixed.append(row.is_some());
    }
    let view = ListViewArray::try_new(
        Arc::new(Field::new_list_field(DataType::Int32, true)),
        ScalarBuffer::from(vec![2, 0, 0]),
        ScalarBuffer::from(vec![1, 0, 3]),
        Arc::new(Int32Array::from(vec![1, 2, 3])),
        Some(vec![true, false, true].into()),
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for (row, entries) in [vec![("a", Some(1)), ("b", None)], vec![], vec![("c", Some(3))]].into_iter().enumerate() {
        for (key, value) in entries {
            map.keys().append_value(key);
            map.values().append_option(value);
        }
        map.append(row != 1).expect("keys and values");
    }
    let structure = StructArray::new(
        Fields::from(vec![Field::new("n", DataType::Int32, true), Field::new("s", DataType::Utf8, true)]),
        vec![
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(StringArray::from(vec![Some("x"), Some("y"), None])),
        ],
        Some(vec![true, false, true].into()),
    );
    let keyed: DictionaryArray<Int8Type> = [Some("x"), None, Some("y")].into_iter().collect();
    let unsigned: DictionaryArray<UInt32Type> = [Some("x"), None, Some("x")].into_iter().collect();
    let runs = RunArray::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec![Some("run"), None]));
    vec![
        ("list", Arc::new(list) as ArrayRef),
        ("list_words", Arc::new(words.finish())),
        ("large_list", Arc::new(large.finish())),
        ("list_view", Arc::new(view.expect("a list view"))),
        ("fixed_list", Arc::new(fixed.finish())),
        ("map", Arc::new(map.finish())),
        ("struct", Arc::new(structure)),
        ("dictionary", Arc::new(keyed)),
        ("dictionary_unsigned", Arc::new(unsigned)),
        ("run_end", Arc::new(runs.expect("runs"))),
        ("union_sparse", Arc::new(union(None))),
        ("union_dense", Arc::new(union(Some(vec![0, 0, 1])))),
    ]
}

fn union(offsets: Option<Vec<i32>>) -> UnionArray {
    let numbers = Int32Array::from(vec![1, 2, 3]);
    let texts = StringArray::from(vec!["a", "b", "c"]);
    let fields = [(0, Field::new("number", DataType::Int32, true)), (5, Field::new("text", DataType::Utf8, true))];
    let fields: UnionFields = fields.into_iter().map(|(id, field)| (id, Arc::new(field))).collect();
    let children: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(texts)];
    UnionArray::try_new(fields, vec![0, 5, 0].into(), offsets.map(Into::into), children).expect("a union")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_three_rows_and_the_samples_are_there() {
        let batch = every_type();
        assert_eq!(batch.num_rows(), 3);
        assert!(batch.num_columns() > 45, "{}", batch.num_columns());
        let rows = |name| sample(name).1.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!((rows("flights"), rows("weather")), (336_776, 26_115));
        assert_eq!((rows("planes"), rows("airlines"), rows("airports")), (3_322, 16, 1_458));
    }
}
