use airlane_model::{ByteSize, codes};

use super::*;
use crate::tests::{read, read_with};
use crate::{Format, ReadOptions};

fn refuse(text: &str) -> Error {
    let error = read(text.as_bytes(), Some(Format::Ndjson)).expect_err("refused");
    assert_eq!(error.code(), codes::FILE_INVALID);
    error
}

#[test]
fn keys_become_columns() {
    let text = "{\"z\":1,\"b\":\"x\",\"c\":[1,2],\"d\":{\"y\":null,\"x\":1}}\n\n{\"b\":null,\"z\":2.5}\n";
    let (schema, batches) = read(text.as_bytes(), None).expect("read");
    let types: Vec<_> = schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    assert_eq!(types[..2], ["z Float64", "b Utf8"], "keys keep their order");
    assert!(types[2].starts_with("c List(Int64"), "{types:?}");
    assert!(types[3].starts_with("d Struct(\"y\": Utf8"), "{types:?}");
    assert_eq!(batches[0].num_rows(), 2);
}

#[test]
fn errors_name_the_line() {
    let place = |error: &Error| error.place().unwrap_or_default().to_owned();
    assert_eq!(place(&refuse("{\"a\":1}\n{\"a\":\n")), "input, line 2");
    assert_eq!(place(&refuse("{\"a\":1}\n{\"a\":1} x\n")), "input, line 2");
    let array = refuse("[{\"a\":1}]");
    assert!(array.hint_text().expect("hint").contains("json"), "{array}");
    assert!(refuse("{}\n").message().contains("no object with a key"));

    let late = |line: &str| {
        let text = "{\"a\":1}\n".repeat(100) + line + "\n" + &"{\"a\":1}\n".repeat(100);
        let options =
            ReadOptions { format: Some(Format::Ndjson), sample: ByteSize::bytes(64), ..ReadOptions::default() };
        read_with(text.as_bytes(), options).expect_err("refused")
    };
    for line in ["{\"a\":\"x\"}", "{\"a\":1,\"b\":2}", "{\"a\":1", "{\"a\":1.5}"] {
        let error = late(line);
        assert_eq!(place(&error), "input, line 101", "{line}: {error}");
        assert!(error.hint_text().expect("hint").contains("--sample"));
    }
}

#[test]
fn batches_are_bounded_in_rows_and_bytes() {
    let text = "{\"a\":1}\n".repeat(BATCH_ROWS_MAX + 5);
    let (_, batches) = read(text.as_bytes(), None).expect("read");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS_MAX, 5]);
    let text = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20)).repeat(20);
    let (_, batches) = read(text.as_bytes(), None).expect("read");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [8, 8, 4]);
}

#[test]
fn an_array_is_read_as_its_elements_are() {
    let (schema, batches) =
        read(b"[\n  {\"a\": 1, \"b\": \"x\\n\"},\n  {\"a\": null, \"b\": \"[\"}\n]\n", None).expect("read");
    let (lines_schema, lines) = read(b"{\"a\":1,\"b\":\"x\\n\"}\n{\"a\":null,\"b\":\"[\"}\n", None).expect("read");
    assert_eq!((schema, batches), (lines_schema, lines));
    let elements = vec!["{\"a\":1}"; 300].join(",");
    let options = || ReadOptions { format: Some(Format::Json), sample: ByteSize::bytes(64), ..ReadOptions::default() };
    let (_, batches) = read_with(format!("[{elements}]").as_bytes(), options()).expect("read");
    assert_eq!(batches[0].num_rows(), 300);
    for (last, place) in [
        ("{\"a\":\"x\"}", "input, element 301"),
        ("{\"a\":1.5}", "input, element 301"),
        ("{\"a\":1", "input, after element 301"),
        ("7", "input, element 301"),
    ] {
        let error = read_with(format!("[{elements},{last}]").as_bytes(), options()).expect_err("refused");
        assert_eq!((error.code(), error.place()), (codes::FILE_INVALID, Some(place)), "{last}: {error}");
    }
    let error = read_with(b"{\"a\":1}\n", options()).expect_err("no array");
    assert!(error.hint_text().expect("hint").contains("ndjson"), "{error}");
}

#[test]
fn types_are_inferred_with_reasons_or_given() {
    let text = "{\"n\":1,\"x\":null,\"t\":\"a\"}\n{\"n\":2,\"x\":null}\n";
    let open = |options: &ReadOptions| crate::read_stream("input", Box::new(std::io::Cursor::new(text)), options);
    let options = ReadOptions { format: Some(Format::Ndjson), ..ReadOptions::default() };
    let reader = open(&options).expect("open");
    let inference = reader.inference().expect("inferred");
    let told: Vec<_> = inference.columns.iter().map(|c| (c.r#type.as_str(), c.nulls, c.why.as_str())).collect();
    assert_eq!(
        told,
        [
            ("Int64", 0, "2 of 2 rows have a value, and this type has all of them"),
            ("Utf8", 2, "no row of the sample has a value"),
            ("Utf8", 1, "1 of 2 rows have a value, and this type has all of them"),
        ]
    );
    let given = Schema::new(vec![Field::new("n", DataType::Int8, false), Field::new("x", DataType::Float64, true)]);
    let options = ReadOptions { schema: Some(Arc::new(given)), ..options };
    let reader = open(&options).expect("open");
    let types: Vec<_> = reader.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int8, DataType::Float64, DataType::Utf8]);
    assert_eq!(reader.inference().expect("inferred").columns[0].why, "the schema says so");
    for text in ["{\"n\":1.5}\n", "{\"n\":300}\n"] {
        let read = crate::read_stream("input", Box::new(std::io::Cursor::new(text)), &options);
        let error = read.and_then(|reader| reader.collect::<Result<Vec<_>>>()).expect_err(text);
        assert_eq!(error.code(), codes::FILE_INVALID, "{error}");
    }
}
