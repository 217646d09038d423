//! Files that are written in other ways, and what decides types.

use super::*;

#[test]
fn options_say_how_a_file_is_written() {
    let options = with(&[("delimiter", "semicolon"), ("decimal", ","), ("thousands", "."), ("null", "NA,-")]);
    let text = b"n;x;t\n1.234;1.234,5;a\n-;NA;NA\n;,25;\"b;\"\n";
    let (schema, batches) = read_with(text, options).expect("read");
    assert_eq!(schema.field(1).data_type(), &DataType::Float64);
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1234), None, None]);
    let reals = batches[0].column(1).as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
    assert_eq!(reals, [Some(1234.5), None, Some(0.25)]);
    assert_eq!(batches[0].column(2).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None, Some("b;")]);

    let options = with(&[("quote", "'"), ("escape", "\\"), ("header", "false"), ("delimiter", "tab")]);
    let (schema, batches) = read_with(b"'a\\'\tb'\t1\nc\"\t2\n", options).expect("read");
    assert_eq!(schema.field(1).name(), "column_2");
    assert_eq!(batches[0].column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a'\tb"), Some("c\"")]);

    let (_, batches) = read_with(b"a,b\n\"x,1\ny\",2\n", with(&[("quote", "none")])).expect("read");
    assert_eq!(batches[0].column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("\"x"), Some("y\"")]);
}

#[test]
fn options_that_are_none_are_refused() {
    for (name, value) in [
        ("delimiter", ";;"),
        ("delimiter", "none"),
        ("delimiter", "\n"),
        ("header", "yes"),
        ("decimal", ":"),
        ("quote", "é"),
    ] {
        let error = CsvOptions::default().set(name, value).expect_err(value);
        assert_eq!(error.code(), codes::OPTION_INVALID, "{name}");
        assert!(error.message().contains(name), "{error}");
    }
    assert!(!CsvOptions::default().set("colour", "red").expect("no option"));
    for (name, _) in CsvOptions::NAMES {
        let value = if name == "header" { "true" } else { "." };
        assert!(CsvOptions::default().set(name, value).expect(name), "{name}");
    }
    for pair in [
        [("delimiter", ";"), ("quote", ";")],
        [("decimal", ","), ("thousands", ",")],
        [("quote", "x"), ("escape", ",")],
        [("thousands", "1"), ("decimal", ",")],
    ] {
        assert_eq!(read_with(b"a\n1\n", with(&pair)).expect_err("a clash").code(), codes::OPTION_INVALID);
    }
}

#[test]
fn a_schema_says_what_is_not_inferred() {
    let moment = DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Berlin".into()));
    let given = Schema::new(vec![
        Field::new("price", DataType::Decimal128(10, 2), true),
        Field::new("id", DataType::Utf8, false),
        Field::new("at", moment.clone(), true),
        Field::new("absent", DataType::Int8, true),
    ]);
    let options = || ReadOptions { schema: Some(Arc::new(given.clone())), ..csv() };
    let text = b"id,price,at,n\n7,1.5,2013-01-01T01:00:00,1\n8,,2013-01-01T00:00:00Z,2\n";
    let (schema, batches) = read_with(text, options()).expect("read");
    let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Decimal128(10, 2), moment, DataType::Int64]);
    assert_eq!(batches[0].column(1).as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [Some(150), None]);
    let moments = batches[0].column(2).as_primitive::<TimestampMillisecondType>();
    assert_eq!(moments.value(0), moments.value(1), "a wall time is one of the zone");
    for (text, what) in [
        ("id,price\n7,1.505\n", "\"1.505\" is not of type Decimal128(10, 2)"),
        ("id,price\n,1\n", "\"\" is a null, and the column has none"),
        (
            "id,at\n7,2013-01-01T01:00:00.0001Z\n",
            "\"2013-01-01T01:00:00.0001Z\" is not of type Timestamp(ms, \"Europe/Berlin\")",
        ),
    ] {
        assert_eq!(read_with(text.as_bytes(), options()).expect_err(text).message(), what);
    }
    let given = Schema::new(vec![Field::new("id", DataType::new_list(DataType::Int8, true), true)]);
    let options = ReadOptions { schema: Some(Arc::new(given)), ..csv() };
    assert!(read_with(b"id\n1\n", options).expect_err("nested").message().contains("CSV has no values of type List"));
}

#[test]
fn what_was_inferred_is_told_with_its_reason() {
    let text = "n,x,t,zip,empty,at\n1,1,a,01234,,2013-01-01\n2,,5,1,,2013-01-01T00:00:00.5\n3,2.5,,7,,\n";
    let reader = crate::read_stream("input", Box::new(std::io::Cursor::new(text)), &csv()).expect("open");
    let inference = reader.inference().expect("inferred").clone();
    assert_eq!((inference.rows, inference.is_whole), (3, true));
    let told: Vec<_> = inference.columns.iter().map(|c| (c.r#type.as_str(), c.nulls, c.why.as_str())).collect();
    assert_eq!(
        told,
        [
            ("Int64", 0, "3 of 3 rows have a value, and each is a whole number"),
            (
                "Float64",
                1,
                "2 of 3 rows have a value, and each is a whole number or a number; the first of the latter is \"2.5\" in line 4"
            ),
            ("Utf8", 1, "\"a\" in line 2 is a text"),
            ("Utf8", 0, "\"01234\" in line 2 is a number that would lose its leading zeros"),
            ("Utf8", 3, "no row of the sample has a value"),
            (
                "Timestamp(ms)",
                1,
                "2 of 3 rows have a value, and each is a date or a date and time; the first of the latter is \
                 \"2013-01-01T00:00:00.5\" in line 3"
            ),
        ]
    );
    let mixed = "m\n2013-01-01T00:00:00\n2013-01-01T00:00:00Z\n";
    assert_eq!(types(mixed), ["Utf8"], "wall times and moments are not mixed");
}

#[test]
fn byte_order_marks_tell_the_encoding() {
    let text = "näme,x\n€😀,1\n";
    let expected = read(text.as_bytes(), Some(Format::Csv)).expect("UTF-8");
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = [0xff, 0xfe].into_iter().chain(units.iter().flat_map(|unit| unit.to_le_bytes())).collect();
    let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(units.iter().flat_map(|unit| unit.to_be_bytes())).collect();
    for bytes in [little, big, [b"\xef\xbb\xbf", text.as_bytes()].concat()] {
        assert_eq!(read(&bytes, None).expect("read"), expected);
    }
}

#[test]
fn line_ends_may_be_mixed() {
    let (_, batches) = read(b"a,b\r\n1,2\n3,4\r5,6\r\n\n\r\n7,8", Some(Format::Csv)).expect("read");
    assert_eq!(batches[0].column(1).as_primitive::<Int64Type>().values(), &[2, 4, 6, 8]);
}
