use airlane_model::codes;
use arrow_array::{Array, cast::AsArray};
use proptest::prelude::*;

use super::*;
use crate::tests::{read, read_with, write};
use crate::{Format, ReadOptions};

fn types(text: &str) -> Vec<String> {
    let (schema, _) = read(text.as_bytes(), Some(Format::Csv)).expect("read");
    schema.fields().iter().map(|field| field.data_type().to_string()).collect()
}

fn refuse(text: &[u8]) -> (String, String) {
    let error = read(text, Some(Format::Csv)).expect_err("refused");
    assert_eq!(error.code(), codes::FILE_INVALID);
    (error.message().to_owned(), error.place().unwrap_or_default().replace("input, ", ""))
}

#[test]
fn types_come_from_the_sample() {
    assert_eq!(
        types(
            "a,b,c,d,e,f\n1,1.5,true,2013-01-01,2013-01-01T05:00:00,x\n,,,,,\n-7,2,False,1999-12-31,2013-01-01 05:00:00.5,1\n"
        ),
        ["Int64", "Float64", "Boolean", "Date32", "Timestamp(ms)", "Utf8"]
    );
    assert_eq!(types("zip,n,nothing\n01234,0,\n99999,0.5,\n"), ["Utf8", "Float64", "Utf8"], "zeros are kept");
    assert_eq!(types("n\n99999999999999999999\n"), ["Utf8"], "no number of 64 bits");
    assert_eq!(types("x\nNaN\ninf\n"), ["Float64"]);
}

#[test]
fn line_ends_quotes_and_a_byte_order_mark_are_read() {
    let (schema, batches) =
        read(b"\xef\xbb\xbfa,\"b, \"\"c\"\"\"\r\n\"1\",\"x\r\ny\"\r\n\r\n2,\"\"\r\n3,z", None).expect("read");
    assert_eq!(schema.field(0).name(), "a");
    assert_eq!(schema.field(1).name(), "b, \"c\"");
    assert_eq!(batches[0].column(0).as_primitive::<arrow_array::types::Int64Type>().values(), &[1, 2, 3]);
    let text = batches[0].column(1).as_string::<i32>();
    assert_eq!((text.value(0), text.is_null(1), text.value(2)), ("x\r\ny", true, "z"));
}

#[test]
fn a_value_that_does_not_fit_is_named_with_row_and_column() {
    let mut text = String::from("id,price\n");
    for row in 1..=3000 {
        let price = if row == 1842 { "12,5".replace(',', "x") } else { "1.5".into() };
        text.push_str(&format!("{row},{price}\n"));
    }
    let options =
        ReadOptions { format: Some(Format::Csv), sample: airlane_model::ByteSize::kib(1), ..ReadOptions::default() };
    let error = read_with(text.as_bytes(), options).expect_err("refused");
    assert_eq!(error.message(), "\"12x5\" is not of type Float64");
    assert_eq!(error.place(), Some("input, row 1842, column \"price\""));
    assert!(error.hint_text().expect("hint").contains("--sample"));
    let options = ReadOptions { format: Some(Format::Csv), ..ReadOptions::default() };
    let (schema, _) = read_with(text.as_bytes(), options).expect("a larger sample sees it");
    assert_eq!(schema.field(1).data_type().to_string(), "Utf8");
}

#[test]
fn rows_of_another_width_and_other_encodings_are_refused() {
    assert_eq!(refuse(b"a,b\n1,2\n3\n"), ("1 field where the header has 2".into(), "row 2".into()));
    assert_eq!(refuse(b"a,b\n1,2\n3,4,5\n"), ("3 fields where the header has 2".into(), "row 2".into()));
    let (message, _) = refuse(b"name\nJos\xe9\n");
    assert!(message.contains("UTF-8"), "{message}");
    let mut late = b"name\n".to_vec();
    late.extend(b"x\n".repeat(1 << 20));
    late.extend(b"Jos\xe9\n");
    assert_eq!(refuse(&late), ("the text is not UTF-8".into(), format!("row {}, column \"name\"", (1 << 20) + 1)));
    assert_eq!(refuse(b"").0, "the file is empty");
    let mut late = b"t\n2013-01-01T05:00:00\n".to_vec();
    late.extend(b"2013-01-01T05:00:00\n".repeat(100_000));
    late.extend(b"2013-13-01T05:00:00\n");
    let expected = ("\"2013-13-01T05:00:00\" is not of type timestamp".into(), "row 100002, column \"t\"".into());
    assert_eq!(refuse(&late), expected);
}

#[test]
fn a17_batches_are_bounded_in_rows_bytes_and_cells() {
    let rows = "1,2\n".repeat(BATCH_ROWS_MAX + 5);
    let (_, batches) = read(format!("a,b\n{rows}").as_bytes(), None).expect("read");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS_MAX, 5]);

    let wide = "x".repeat(300_000);
    let rows = format!("\"{wide}\n\"\"{wide}\",1\r\n").repeat(40);
    let (_, batches) = read(format!("a,b\n{rows}").as_bytes(), None).expect("read");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 40);
    for batch in &batches {
        assert!(batch.get_array_memory_size() < 3 * BATCH_BYTES_TARGET.as_usize(), "{} rows", batch.num_rows());
        for text in batch.column(0).as_string::<i32>() {
            assert_eq!(text.expect("no null").len(), 2 * wide.len() + 2);
        }
    }

    let header: Vec<String> = (0..100_000).map(|column| format!("c{column}")).collect();
    let row = vec!["7"; 100_000].join(",");
    let (schema, batches) = read(format!("{}\n{row}\n{row}\n", header.join(",")).as_bytes(), None).expect("read");
    assert_eq!((schema.fields().len(), batches[0].num_rows()), (100_000, 2));
}

#[test]
fn a_sample_that_ends_inside_quotes_changes_nothing() {
    let mut text = String::from("a,b\n");
    for row in 0..200 {
        text.push_str(&format!("{row},\"line one\nline two, {row}\"\n"));
    }
    let whole = read(text.as_bytes(), Some(Format::Csv)).expect("read");
    for bytes in 1..200 {
        let options = ReadOptions {
            format: Some(Format::Csv),
            sample: airlane_model::ByteSize::bytes(40 + bytes),
            ..ReadOptions::default()
        };
        let part = read_with(text.as_bytes(), options).expect("read");
        assert_eq!(part, whole, "a sample of {bytes} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_comes_back(texts in prop::collection::vec("[ -~\n\r\"',é€]{1,12}", 1..40)) {
        // A first value that cannot be anything else keeps the column a text.
        let texts: Vec<String> = std::iter::once("text".to_owned()).chain(texts).collect();
        let column = arrow_array::StringArray::from(texts);
        let batch = RecordBatch::try_from_iter_with_nullable([("a", std::sync::Arc::new(column) as _, true)]).expect("batch");
        let bytes = write(Format::Csv, &batch.schema(), std::slice::from_ref(&batch)).expect("write");
        let (_, back) = read(&bytes, Some(Format::Csv)).expect("read");
        prop_assert_eq!(back, vec![batch]);
    }
}
