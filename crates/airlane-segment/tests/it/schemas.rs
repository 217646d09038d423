//! Schemas of strangers: the type policy (A8, A9, A15).

use airlane_model::error::codes::{MESSAGE_INVALID, SCHEMA_INVALID, SCHEMA_MISMATCH};
use airlane_segment::TableSchema;
use arrow_ipc::{DateUnit, Endianness, IntervalUnit, MessageHeader, Precision, TimeUnit, Type, UnionMode};
use arrow_schema::{DataType, Field, Schema};

use crate::drive;
use crate::forge::{self, ForgedField, empty, int};

fn refused(header: &[u8]) -> airlane_model::Error {
    let error = drive::schema(header).expect_err("the schema is refused");
    let known = [SCHEMA_INVALID, MESSAGE_INVALID].contains(&error.code());
    assert!(known, "{error:?}");
    error
}

fn decimal(bits: i32, precision: i32, scale: i32) -> ForgedField {
    ForgedField::new(Type::Decimal, move |builder| {
        let mut decimal = arrow_ipc::DecimalBuilder::new(builder);
        decimal.add_bitWidth(bits);
        decimal.add_precision(precision);
        decimal.add_scale(scale);
        decimal.finish().as_union_value()
    })
}

macro_rules! parameters {
    ($kind:ident, $builder:ident { $($add:ident: $value:expr),* }) => {
        ForgedField::new(Type::$kind, |builder| {
            let mut table = arrow_ipc::$builder::new(builder);
            $(table.$add($value);)*
            table.finish().as_union_value()
        })
    };
}

fn union_of(ids: Option<Vec<i32>>, children: usize) -> ForgedField {
    let union = ForgedField::new(Type::Union, move |builder| {
        let ids = ids.as_ref().map(|ids| builder.create_vector(ids));
        let mut union = arrow_ipc::UnionBuilder::new(builder);
        if let Some(ids) = ids {
            union.add_typeIds(ids);
        }
        union.finish().as_union_value()
    });
    union.with_children(vec![ForgedField::int32(); children])
}

/// Each of these makes the conversion of arrow-ipc 59 panic, or gives a type that its decoder cannot read.
fn schemas_that_panic() -> Vec<(&'static str, Vec<u8>)> {
    let one = |field: ForgedField| forge::schema(&[field]);
    let with_dictionary = |index| ForgedField { dictionary: Some(index), ..ForgedField::int32() };
    let without_children = |kind, parameters| ForgedField { children: None, ..ForgedField::new(kind, parameters) };
    let pair = vec![ForgedField::int32(), ForgedField::int32()];
    let entries = |children| ForgedField::new(Type::Struct_, empty).with_children(children);
    let run_ends = |field| vec![field, ForgedField::int32()];
    let nullary: Vec<(&'static str, Vec<u8>)> = [Type::List, Type::LargeList, Type::ListView, Type::LargeListView]
        .into_iter()
        .flat_map(|kind| {
            [
                ("a list without children", one(without_children(kind, empty))),
                ("a list of no child", one(ForgedField::new(kind, empty))),
                ("a list of two children", one(ForgedField::new(kind, empty).with_children(pair.clone()))),
            ]
        })
        .collect();
    let mut schemas = vec![
        ("an integer of 7 bits", one(ForgedField::new(Type::Int, |builder| int(builder, 7, true)))),
        ("an integer of no bits", one(ForgedField::new(Type::Int, empty))),
        ("a negative width", one(parameters!(FixedSizeBinary, FixedSizeBinaryBuilder { add_byteWidth: -1 }))),
        (
            "a float of unknown precision",
            one(parameters!(FloatingPoint, FloatingPointBuilder { add_precision: Precision(3) })),
        ),
        ("a date of unknown unit", one(parameters!(Date, DateBuilder { add_unit: DateUnit(2) }))),
        (
            "a time of 32 bits in nanoseconds",
            one(parameters!(Time, TimeBuilder { add_bitWidth: 32, add_unit: TimeUnit::NANOSECOND })),
        ),
        (
            "a time of 64 bits in seconds",
            one(parameters!(Time, TimeBuilder { add_bitWidth: 64, add_unit: TimeUnit::SECOND })),
        ),
        ("a time of 16 bits", one(parameters!(Time, TimeBuilder { add_bitWidth: 16, add_unit: TimeUnit::SECOND }))),
        ("a timestamp of unknown unit", one(parameters!(Timestamp, TimestampBuilder { add_unit: TimeUnit(9) }))),
        ("a duration of unknown unit", one(parameters!(Duration, DurationBuilder { add_unit: TimeUnit(-1) }))),
        ("an interval of unknown unit", one(parameters!(Interval, IntervalBuilder { add_unit: IntervalUnit(3) }))),
        ("a decimal of 100 bits", one(decimal(100, 10, 2))),
        ("a decimal without precision", one(decimal(128, 0, 0))),
        ("a decimal with a precision of 300", one(decimal(128, 300, 0))),
        ("a decimal with a negative precision", one(decimal(256, -1, 0))),
        ("a decimal with too much precision", one(decimal(64, 19, 0))),
        ("a decimal with a scale of 1000", one(decimal(128, 10, 1000))),
        ("a decimal with a scale of -129", one(decimal(128, 10, -129))),
        ("a fixed size list without child", one(parameters!(FixedSizeList, FixedSizeListBuilder { add_listSize: 2 }))),
        (
            "a fixed size list of negative size",
            one(parameters!(FixedSizeList, FixedSizeListBuilder { add_listSize: -2 })
                .with_children(vec![ForgedField::int32()])),
        ),
        (
            "a run-end encoded field of one child",
            one(ForgedField::new(Type::RunEndEncoded, empty).with_children(vec![ForgedField::int32()])),
        ),
        (
            "run ends that are text",
            one(ForgedField::new(Type::RunEndEncoded, empty)
                .with_children(run_ends(ForgedField::new(Type::Utf8, empty)))),
        ),
        (
            "run ends of 8 bits",
            one(ForgedField::new(Type::RunEndEncoded, empty)
                .with_children(run_ends(ForgedField::new(Type::Int, |builder| int(builder, 8, true))))),
        ),
        (
            "run ends in a dictionary",
            one(ForgedField::new(Type::RunEndEncoded, empty).with_children(run_ends(with_dictionary(Some((8, true)))))),
        ),
        ("a map without children", one(without_children(Type::Map, empty))),
        ("a map of integers", one(ForgedField::new(Type::Map, empty).with_children(vec![ForgedField::int32()]))),
        (
            "a map of keys alone",
            one(ForgedField::new(Type::Map, empty).with_children(vec![entries(vec![ForgedField::int32()])])),
        ),
        ("a union of unknown mode", one(parameters!(Union, UnionBuilder { add_mode: UnionMode(2) }))),
        ("a union of no types", one(union_of(None, 0))),
        ("a union of 129 types", one(union_of(None, 129))),
        ("a union with fewer ids than types", one(union_of(Some(vec![0]), 2))),
        ("a union with an id twice", one(union_of(Some(vec![5, 5]), 2))),
        ("a union with a negative id", one(union_of(Some(vec![-1, 0]), 2))),
        ("a union with an id that wraps", one(union_of(Some(vec![256, 0]), 2))),
        ("a dictionary with an index of 24 bits", one(with_dictionary(Some((24, true))))),
        ("a field without type", one(ForgedField::new(Type::NONE, empty))),
        ("a type that does not exist", one(ForgedField::new(Type(77), empty))),
        ("an integer with a child", one(ForgedField::int32().with_children(vec![ForgedField::int32()]))),
        ("a schema in big-endian order", forge::schema_with(&[ForgedField::int32()], Endianness::Big, &[])),
        ("a decimal in big-endian order", forge::schema_with(&[decimal(128, 10, 2)], Endianness::Big, &[])),
    ];
    schemas.extend(nullary);
    schemas
}

#[test]
fn a8_schemas_that_make_the_conversion_panic_are_refused_with_a_place() {
    for (name, header) in schemas_that_panic() {
        let error = refused(&header);
        assert_eq!(error.code(), SCHEMA_INVALID, "{name}: {error:?}");
        if !name.contains("big-endian") {
            let place = error.place().unwrap_or_default();
            assert!(place.starts_with("column \"f"), "{name}: {error:?}");
        }
    }
}

#[test]
fn a8_a_wrong_field_deep_inside_is_named_by_its_path() {
    let inner = ForgedField { name: "x".to_owned(), ..ForgedField::new(Type::Int, |builder| int(builder, 3, true)) };
    let column = ForgedField { name: "col".to_owned(), ..ForgedField::list(ForgedField::list(inner)) };
    let error = refused(&forge::schema(&[ForgedField::int32(), column]));
    assert_eq!(error.place(), Some("column \"col.f.x\""));
    assert_eq!(error.message(), "integer of 3 bits");
}

#[test]
fn a8_messages_that_hold_no_schema_are_refused() {
    for kind in [MessageHeader::RecordBatch, MessageHeader::DictionaryBatch, MessageHeader::Tensor, MessageHeader::NONE]
    {
        assert_eq!(refused(&forge::message(kind)).code(), MESSAGE_INVALID, "{kind:?}");
    }
    for bytes in [&[][..], &[0], &[0; 8], &[255; 64], b"ARROW1\0\0"] {
        assert_eq!(refused(bytes).code(), MESSAGE_INVALID, "{bytes:?}");
    }
    let valid = forge::schema(&[ForgedField::int32()]);
    for length in 0..valid.len() {
        // Cut anywhere, a flatbuffer may still be whole: its last bytes may be padding.
        let _ = drive::schema(&valid[..length]);
    }
}

fn nested(levels: usize) -> ForgedField {
    (1..levels).fold(ForgedField::int32(), |child, _| ForgedField::list(child))
}

#[test]
fn a9_nesting_is_bounded_at_32_levels() {
    for levels in [1, 31, 32] {
        let schema = drive::schema(&forge::schema(&[nested(levels)])).expect("not too deep");
        assert_eq!(schema.arrow().fields().len(), 1, "{levels}");
    }
    // Deeper ones are written on a thread with a large stack: writing recurses, too.
    let deep = std::thread::Builder::new().stack_size(256 << 20).spawn(|| {
        [33, 60, 64, 1_000, 10_000].map(|levels| {
            let field = nested(levels);
            let header = forge::schema(&[field]);
            (levels, header)
        })
    });
    for (levels, header) in deep.expect("a thread").join().expect("writes") {
        let error = refused(&header);
        assert_eq!(error.code(), SCHEMA_INVALID, "{levels}: {error:?}");
        assert!(error.message().contains("32 levels"), "{levels}: {error:?}");
    }
}

#[test]
fn a9_nesting_of_this_process_is_bounded_alike() {
    let nested = |levels: usize| {
        (1..levels).fold(DataType::Int32, |child, _| DataType::List(Field::new("item", child, true).into()))
    };
    for (levels, allowed) in [(31, true), (32, true), (33, false), (64, false), (1_000, false)] {
        let schema = Schema::new(vec![Field::new("deep", nested(levels), true)]);
        assert_eq!(TableSchema::from_arrow(&schema).is_ok(), allowed, "{levels}");
    }
}

#[test]
fn a9_fields_names_and_metadata_are_bounded() {
    let named = |bytes: usize| vec![ForgedField { name: "n".repeat(bytes), ..ForgedField::int32() }];
    assert!(drive::schema(&forge::schema(&named(1024))).is_ok());
    let error = refused(&forge::schema(&named(1025)));
    assert!(error.message().contains("1 KiB"), "{error:?}");
    assert!(error.to_string().len() < 300, "the name is not repeated in full: {error}");

    assert!(drive::schema(&forge::schema(&vec![ForgedField::int32(); 10_000])).is_ok());
    assert!(refused(&forge::schema(&vec![ForgedField::int32(); 10_001])).message().contains("10000 fields"));

    let pair = |bytes: usize| vec![("key".to_owned(), "v".repeat(bytes - 3))];
    let with = |bytes| forge::schema_with(&[ForgedField::int32()], Endianness::Little, &pair(bytes));
    assert!(drive::schema(&with(1 << 20)).is_ok());
    assert!(refused(&with((1 << 20) + 1)).message().contains("1 MiB"));
    let halves = ForgedField { metadata: pair(600 << 10), ..ForgedField::int32() };
    assert!(drive::schema(&forge::schema(std::slice::from_ref(&halves))).is_ok());
    assert!(refused(&forge::schema(&[halves.clone(), halves])).message().contains("1 MiB"));
}

/// A schema message of timestamps that share one flatbuffer text for a time zone.
fn timestamps(fields: usize, name_bytes: usize, zone_bytes: usize, pairs: usize) -> Vec<u8> {
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let zone = builder.create_string(&"z".repeat(zone_bytes));
    let fields: Vec<_> = (0..fields)
        .map(|index| {
            let name = builder.create_string(&format!("{index:0name_bytes$}"));
            let mut timestamp = arrow_ipc::TimestampBuilder::new(&mut builder);
            timestamp.add_timezone(zone);
            let timestamp = timestamp.finish().as_union_value();
            let mut field = arrow_ipc::FieldBuilder::new(&mut builder);
            field.add_name(name);
            field.add_type_type(Type::Timestamp);
            field.add_type_(timestamp);
            field.finish()
        })
        .collect();
    let fields = builder.create_vector(&fields);
    let empty = builder.create_string("");
    let pairs: Vec<_> = (0..pairs)
        .map(|index| {
            let key = builder.create_string(&format!("{index:x}"));
            let mut pair = arrow_ipc::KeyValueBuilder::new(&mut builder);
            pair.add_key(key);
            pair.add_value(empty);
            pair.finish()
        })
        .collect();
    let pairs = builder.create_vector(&pairs);
    let mut schema = arrow_ipc::SchemaBuilder::new(&mut builder);
    schema.add_fields(fields);
    schema.add_custom_metadata(pairs);
    let schema = schema.finish().as_union_value();
    forge::finish(&mut builder, arrow_ipc::MetadataVersion::V5, MessageHeader::Schema, schema, 0, None)
}

#[test]
fn a9_a_schema_that_is_taken_can_be_read_back() {
    let mut refused_count = 0;
    for (fields, name_bytes, zone_bytes, pairs) in [(10_000, 1024, 300, 0), (10_000, 1024, 1024, 0), (1, 1, 1, 30_000)]
    {
        let header = timestamps(fields, name_bytes, zone_bytes, pairs);
        assert!(header.len() < 16 << 20, "{}", header.len());
        // A schema that is taken is read back there.
        let Err(error) = drive::schema(&header) else { continue };
        refused_count += 1;
        assert_eq!(error.code(), SCHEMA_INVALID, "{error:?}");
        assert!(error.message().contains("the limit is 16 MiB"), "{error:?}");
    }
    assert_eq!(refused_count, 1);

    let zone = Some("z".repeat(1024).into());
    let data_type = DataType::Timestamp(arrow_schema::TimeUnit::Second, zone);
    let fields: Vec<_> =
        (0..10_000).map(|index| Field::new(format!("{index:01024}"), data_type.clone(), true)).collect();
    let error = TableSchema::from_arrow(&Schema::new(fields)).expect_err("too large");
    assert_eq!(error.code(), SCHEMA_INVALID, "{error:?}");
}

#[test]
fn a9_a_header_that_is_small_and_expands_is_refused() {
    // A flatbuffer may point to one table many times: the whole is judged by what it expands to.
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let name = builder.create_string("n");
    let parameters = int(&mut builder, 32, true);
    let mut field = arrow_ipc::FieldBuilder::new(&mut builder);
    field.add_name(name);
    field.add_type_type(Type::Int);
    field.add_type_(parameters);
    let mut field = field.finish();
    for _ in 0..8 {
        let children = builder.create_vector(&[field; 100]);
        let parameters = empty(&mut builder);
        let mut parent = arrow_ipc::FieldBuilder::new(&mut builder);
        parent.add_name(name);
        parent.add_type_type(Type::Struct_);
        parent.add_type_(parameters);
        parent.add_children(children);
        field = parent.finish();
    }
    let fields = builder.create_vector(&[field]);
    let mut schema = arrow_ipc::SchemaBuilder::new(&mut builder);
    schema.add_fields(fields);
    let schema = schema.finish().as_union_value();
    let header = forge::finish(&mut builder, arrow_ipc::MetadataVersion::V5, MessageHeader::Schema, schema, 0, None);
    assert!(header.len() < 8_192);
    assert_eq!(refused(&header).code(), MESSAGE_INVALID);
}

#[test]
fn a15_extension_metadata_is_carried_and_never_read() {
    let hostile = ["[".repeat(5_000), "{\"a\":".repeat(3_000), "\u{0}\u{1}".to_owned(), "not json".to_owned()];
    for metadata in hostile {
        let metadata = vec![
            ("ARROW:extension:name".to_owned(), "stranger.type".to_owned()),
            ("ARROW:extension:metadata".to_owned(), metadata),
        ];
        let field = ForgedField { metadata: metadata.clone(), ..ForgedField::int32() };
        let schema = drive::schema(&forge::schema(&[field])).expect("carried");
        let carried = schema.arrow().field(0).metadata();
        assert!(metadata.iter().all(|(key, value)| carried.get(key) == Some(value)));
    }
}

#[test]
fn strangers_spell_some_types_in_other_ways() {
    let mut key = ForgedField::new(Type::Utf8, empty);
    key.name = "key".to_owned();
    let entries = ForgedField::new(Type::Struct_, empty).with_children(vec![key, ForgedField::int32()]);
    let map = ForgedField::new(Type::Map, empty).with_children(vec![entries]);
    let ends =
        ForgedField::new(Type::RunEndEncoded, empty).with_children(vec![ForgedField::int32(), ForgedField::int32()]);
    let zone = ForgedField::new(Type::Timestamp, |builder| {
        let zone = builder.create_string("");
        let mut timestamp = arrow_ipc::TimestampBuilder::new(builder);
        timestamp.add_timezone(zone);
        timestamp.finish().as_union_value()
    });
    let schema = drive::schema(&forge::schema(&[map, ends, zone])).expect("accepted");
    let types: Vec<_> = schema.arrow().fields().iter().map(|field| field.data_type().clone()).collect();
    let DataType::Map(entries, _) = &types[0] else { panic!("{:?}", types[0]) };
    let DataType::Struct(pair) = entries.data_type() else { panic!("{entries:?}") };
    assert!(!entries.is_nullable() && !pair[0].is_nullable() && pair[1].is_nullable());
    let DataType::RunEndEncoded(ends, _) = &types[1] else { panic!("{:?}", types[1]) };
    assert!(!ends.is_nullable());
    assert_eq!(types[2], DataType::Timestamp(arrow_schema::TimeUnit::Second, None));
}

#[test]
fn indices_are_int32_where_a_dictionary_does_not_say() {
    let dictionary = |index| ForgedField { dictionary: Some(index), ..ForgedField::new(Type::Utf8, empty) };
    let fields = [
        dictionary(Some((8, false))),
        dictionary(None),
        ForgedField::int32(),
        ForgedField::list(ForgedField::list(dictionary(None))),
    ];
    let schema = drive::schema(&forge::schema(&fields)).expect("accepted");
    let utf8 = |index| DataType::Dictionary(Box::new(index), Box::new(DataType::Utf8));
    let list = |data_type| DataType::List(Field::new("f", data_type, true).into());
    let expected = [utf8(DataType::UInt8), utf8(DataType::Int32), DataType::Int32, list(list(utf8(DataType::Int32)))];
    let types: Vec<_> = schema.arrow().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, expected);
}

#[test]
fn what_a_message_cannot_say_is_refused_in_schemas_of_this_process() {
    let dictionary = |index, value| DataType::Dictionary(Box::new(index), Box::new(value));
    let of_dictionary = dictionary(DataType::Int8, dictionary(DataType::Int8, DataType::Utf8));
    let zone = DataType::Timestamp(arrow_schema::TimeUnit::Second, Some("".into()));
    let index = dictionary(DataType::Utf8, DataType::Utf8);
    for (data_type, what) in [(of_dictionary, "themselves"), (zone, "time zone"), (index, "index")] {
        let list = DataType::List(Field::new("item", data_type, true).into());
        let error = TableSchema::from_arrow(&Schema::new(vec![Field::new("c", list, true)])).expect_err(what);
        assert_eq!((error.code(), error.place()), (SCHEMA_INVALID, Some("column \"c.item\"")));
        assert!(error.message().contains(what), "{error:?}");
    }
}

#[test]
fn an_append_of_other_columns_is_refused_with_the_first_that_differs() {
    let table = |fields: Vec<Field>| TableSchema::from_arrow(&Schema::new(fields)).expect("a schema");
    let field = |name: &str, data_type: DataType, nullable| Field::new(name, data_type, nullable);
    let list = |name: &str, nullable| DataType::List(Field::new(name, DataType::Int8, nullable).into());
    let own = table(vec![field("a", DataType::Int64, true), field("b", list("item", true), true)]);

    for other in [
        vec![field("a", DataType::Int64, false), field("b", list("element", false), false)],
        vec![
            field("a", DataType::Int64, true).with_metadata([("k".to_owned(), "v".to_owned())].into()),
            field("b", list("item", true), true),
        ],
    ] {
        own.accept(&table(other)).expect("fits");
    }
    for (other, place, message) in [
        (vec![field("a", DataType::Int64, true)], "b", "column 2 is missing"),
        (vec![field("x", DataType::Int64, true)], "a", "column 1 is named \"x\""),
        (vec![field("a", DataType::Int32, true)], "a", "expected the type Int64, got Int32"),
        (
            vec![
                field("a", DataType::Int64, true),
                field("b", list("item", true), true),
                field("c", list("x", true), true),
            ],
            "c",
            "the table has no such column",
        ),
    ] {
        let error = own.accept(&table(other)).expect_err(message);
        assert_eq!(error.code(), SCHEMA_MISMATCH);
        assert_eq!(error.place(), Some(format!("column \"{place}\"").as_str()));
        assert_eq!(error.message(), message);
    }
    let strict = table(vec![field("a", DataType::Int64, false)]);
    let loose = table(vec![field("a", DataType::Int64, true)]);
    loose.accept(&strict).expect("never null fits maybe null");
    assert!(strict.accept(&loose).expect_err("maybe null").message().contains("may hold nulls"));
}

#[test]
fn a8_what_is_filled_in_is_judged_too() {
    // The place of a missing index type overlaps another table: filling it in makes a type of that which is none.
    let path = "../../fuzz/corpus/f2_schema/regressions/filled_index_type_in_overlapping_tables";
    let header = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a regression");
    let error = refused(&header);
    assert_ne!(error.message(), "the schema cannot be converted", "it was refused before it was converted");
}
