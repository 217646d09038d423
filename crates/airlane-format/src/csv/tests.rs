use airlane_model::codes;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, cast::AsArray};
use arrow_schema::{DataType, Field, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::tests::{read, read_with, write};
use crate::{BATCH_BYTES_TARGET, BATCH_ROWS_MAX, Format};

mod chunked;
mod options;
mod refused;

fn types(text: &str) -> Vec<String> {
    let (schema, _) = read(text.as_bytes(), Some(Format::Csv)).expect("read");
    schema.fields().iter().map(|field| field.data_type().to_string()).collect()
}

fn csv() -> ReadOptions {
    ReadOptions { format: Some(Format::Csv), ..ReadOptions::default() }
}

fn with(options: &[(&str, &str)]) -> ReadOptions {
    let mut read = csv();
    for (name, value) in options {
        assert!(read.csv.set(name, value).expect(value), "{name}");
    }
    read
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
fn a_value_that_does_not_fit_is_named_with_line_and_column() {
    let mut text = String::from("id,price\n");
    for row in 1..=3000 {
        let price = if row == 1842 { "12,5".replace(',', "x") } else { "1.5".into() };
        text.push_str(&format!("{row},{price}\n"));
    }
    let options = ReadOptions { sample: ByteSize::kib(1), ..csv() };
    let error = read_with(text.as_bytes(), options).expect_err("refused");
    assert_eq!(error.message(), "\"12x5\" is not of type Float64");
    assert_eq!(error.place(), Some("input, line 1843, column \"price\""));
    assert!(error.hint_text().expect("hint").contains("--sample"));
    let (schema, _) = read_with(text.as_bytes(), csv()).expect("a larger sample sees it");
    assert_eq!(schema.field(1).data_type().to_string(), "Utf8");
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

    let header: Vec<String> = (0..10_000).map(|column| format!("c{column}")).collect();
    let row = vec!["7"; 10_000].join(",");
    let (schema, batches) = read(format!("{}\n{row}\n{row}\n", header.join(",")).as_bytes(), None).expect("read");
    assert_eq!((schema.fields().len(), batches[0].num_rows()), (10_000, 2));
}

#[test]
fn a_sample_that_ends_inside_quotes_changes_nothing() {
    let mut text = String::from("a,b\n");
    for row in 0..200 {
        text.push_str(&format!("{row},\"line one\nline two, {row}\"\n"));
    }
    let (schema, whole) = read(text.as_bytes(), Some(Format::Csv)).expect("read");
    for bytes in 1..200 {
        let options = ReadOptions { sample: ByteSize::bytes(40 + bytes), ..csv() };
        let part = read_with(text.as_bytes(), options).expect("read");
        assert_eq!(part.0, schema, "a sample of {bytes} bytes");
        // A batch ends with the sample; the rows are the same.
        let mut at = 0;
        for batch in part.1 {
            assert_eq!(batch, whole[0].slice(at, batch.num_rows()), "a sample of {bytes} bytes");
            at += batch.num_rows();
        }
        assert_eq!(at, 200);
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
