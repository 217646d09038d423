use std::collections::HashMap;
use std::sync::Arc;

use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{Field, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};

use super::*;

fn dictionary(index: DataType, value: DataType) -> DataType {
    DataType::Dictionary(Box::new(index), Box::new(value))
}

fn list(data_type: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", data_type, true)))
}

/// A schema with every type there is.
fn every_type() -> Schema {
    use DataType::*;
    let pair = Fields::from(vec![Field::new("a", Int8, false), Field::new("b", dictionary(Int8, Utf8), true)]);
    let entries = Fields::from(vec![Field::new("key", Utf8, false), Field::new("value", Int32, true)]);
    let union = UnionFields::try_new([3, 100], [Field::new("x", Int32, true), Field::new("y", Utf8, true)]);
    let union = union.expect("type ids");
    let item = Arc::new(Field::new("item", Float32, true));
    let mut types = vec![
        Null,
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Date32,
        Date64,
        Binary,
        LargeBinary,
        BinaryView,
        Utf8,
        LargeUtf8,
        Utf8View,
        FixedSizeBinary(16),
        FixedSizeBinary(0),
        Time32(TimeUnit::Second),
        Time32(TimeUnit::Millisecond),
        Time64(TimeUnit::Microsecond),
        Time64(TimeUnit::Nanosecond),
        Decimal32(9, 2),
        Decimal64(18, -3),
        Decimal128(38, 10),
        Decimal256(76, 76),
        List(item.clone()),
        LargeList(item.clone()),
        ListView(item.clone()),
        LargeListView(item.clone()),
        FixedSizeList(item.clone(), 3),
        FixedSizeList(item, 0),
        Struct(Fields::empty()),
        Struct(pair.clone()),
        Map(Arc::new(Field::new("entries", Struct(entries), false)), false),
        Union(union.clone(), UnionMode::Sparse),
        Union(union, UnionMode::Dense),
        RunEndEncoded(Arc::new(Field::new("run_ends", Int16, false)), Arc::new(Field::new("values", Utf8, true))),
        dictionary(UInt8, Utf8),
        dictionary(Int64, Struct(pair.clone())),
        list(dictionary(Int16, list(Struct(pair)))),
    ];
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        types.extend([Timestamp(unit, None), Timestamp(unit, Some("Europe/Berlin".into())), Duration(unit)]);
    }
    types.extend([IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano].map(Interval));
    let fields: Vec<Field> = types
        .into_iter()
        .enumerate()
        .map(|(index, data_type)| Field::new(format!("c{index}"), data_type, index % 2 == 0))
        .collect();
    Schema::new(fields)
}

fn ids(schema: &Schema) -> Vec<i64> {
    #[expect(deprecated)]
    fn visit(field: &Field, found: &mut Vec<i64>) {
        canonical::children(canonical::values(field.data_type())).into_iter().for_each(|child| visit(child, found));
        found.extend(field.dict_id());
    }
    let mut found = Vec::new();
    schema.fields().iter().for_each(|field| visit(field, &mut found));
    found
}

#[test]
fn every_type_comes_back_equal() {
    let metadata = HashMap::from([("pandas".to_owned(), "{\"columns\": []}".to_owned())]);
    let extension = HashMap::from([
        ("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned()),
        ("ARROW:extension:metadata".to_owned(), String::new()),
    ]);
    let mut fields: Vec<Field> = every_type().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("id", DataType::FixedSizeBinary(16), false).with_metadata(extension));
    let schema = Schema::new_with_metadata(fields, metadata);

    let table = TableSchema::from_arrow(&schema).expect("every type is allowed");
    assert_eq!(table.arrow().as_ref(), &schema);
    assert_eq!(table.message().len() % 8, 0);
    let back = TableSchema::from_message(table.message()).expect("its own message");
    assert_eq!(back.arrow().as_ref(), &schema);
    assert_eq!(back.message(), table.message(), "the message is canonical");
    table.accept(&back).expect("the same schema");
}

#[test]
fn dictionaries_are_numbered_as_arrow_numbers_them() {
    let table = TableSchema::from_arrow(&every_type()).expect("a schema");
    let numbered = ids(table.arrow());
    assert_eq!(numbered, (0..6).collect::<Vec<i64>>());
    assert_eq!(table.dictionaries().len(), 6);

    let mut tracker = DictionaryTracker::new(true);
    let options = IpcWriteOptions::default();
    let message =
        IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(&every_type(), &mut tracker, &options);
    let stock = message::convert(message::verify_schema(&message.ipc_message).expect("valid")).expect("a schema");
    assert_eq!(ids(&stock), numbered);
}

#[test]
#[expect(deprecated)]
fn ordered_dictionaries_stay_ordered_and_shared_ids_are_parted() {
    let shared = |name| Field::new_dict(name, dictionary(DataType::Int8, DataType::Utf8), true, 77, true);
    let (table, before) = {
        let schema = Schema::new(vec![shared("a"), shared("b")]);
        let (canonical, before) = canonical::number(&schema);
        (TableSchema::from_arrow(&canonical).expect("a schema"), before)
    };
    assert_eq!(before, [77, 77]);
    assert_eq!(ids(table.arrow()), [0, 1]);
    let back = TableSchema::from_message(table.message()).expect("its own message");
    assert!(back.arrow().fields().iter().all(|field| field.dict_is_ordered() == Some(true)));
}
