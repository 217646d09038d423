use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit, UnionFields, UnionMode};

use super::*;

#[test]
fn types_are_read_as_they_are_written() {
    let child = |data_type, is_nullable| Arc::new(Field::new("item", data_type, is_nullable));
    let union = UnionFields::try_new(
        [3, 7],
        [
            Field::new("a \"b\"", DataType::Int8, true),
            Field::new("é\n", DataType::List(child(DataType::Utf8, false)), false),
        ],
    )
    .unwrap();
    let pair = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int8, true)];
    let entries = Arc::new(Field::new("entries", DataType::Struct(pair.into()), false));
    let index = Box::new(DataType::UInt8);
    let types = [
        DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin, \"x\"".into())),
        DataType::Timestamp(TimeUnit::Second, None),
        DataType::Decimal32(9, -3),
        DataType::Decimal256(76, 76),
        DataType::FixedSizeBinary(16),
        DataType::Interval(IntervalUnit::DayTime),
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::FixedSizeList(child(DataType::Float32, false), 128),
        DataType::LargeListView(child(DataType::Null, true)),
        DataType::Union(union, UnionMode::Dense),
        DataType::Map(entries.clone(), true),
        DataType::Dictionary(index, Box::new(DataType::Map(entries, false))),
        DataType::RunEndEncoded(
            Arc::new(Field::new("run_ends", DataType::Int16, false)),
            Arc::new(Field::new("values", DataType::Utf8View, true)),
        ),
        DataType::Struct(Fields::empty()),
    ];
    for data_type in types {
        assert_eq!(read(&write(&data_type)).as_ref(), Ok(&data_type), "{}", write(&data_type));
    }
    for (name, data_type) in PLAIN {
        assert_eq!(read(name), Ok(data_type));
    }
}

use arrow_schema::Fields;

#[test]
fn names_of_databases_are_understood() {
    assert_eq!(read("DECIMAL(12,4)"), Ok(DataType::Decimal128(12, 4)));
    assert_eq!(read("numeric(40)"), Ok(DataType::Decimal256(40, 0)));
    assert_eq!(read("VARCHAR(20)"), Ok(DataType::Utf8));
    assert_eq!(sql_length("varchar(20)"), Some(Some(20)));
    assert_eq!(sql_length("decimal(20)"), Some(None));
    assert_eq!(read("BIGINT"), Ok(DataType::Int64));
    assert_eq!(read("timestamptz"), Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))));
}

#[test]
fn what_is_no_type_is_refused() {
    for text in [
        "",
        "int33",
        "decimal(0, 1)",
        "decimal(77)",
        "decimal128(39, 1)",
        "decimal(5, 6, 7)",
        "list",
        "list<int8",
        "list<int8>>",
        "timestamp(",
        "timestamp(us, )",
        "time32(us)",
        "fixed_binary(-1)",
        "dictionary(string)<int8>",
        "dictionary(int8)<dictionary(int8)<string>>",
        "run_end_encoded(int8)<int8>",
        "union(dense)<>",
        "union(dense)<1 \"a\": int8, 1 \"b\": int8>",
        "union(dense)<-1 \"a\": int8>",
        "struct<a: int8>",
        "int8 not null",
        "VARCHAR(x)",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    let deep = format!("{}int8{}", "list<".repeat(40), ">".repeat(40));
    assert!(read(&deep).unwrap_err().contains("nested deeper"));
    assert!(read(&"list<".repeat(200_000)).is_err());
}
