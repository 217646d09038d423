use std::io::Cursor;
use std::sync::Arc;

use airlane_model::codes;
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::*;
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::*;

pub(crate) fn write(format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let sink = SharedBytes::default();
    let mut writer = writer(Box::new(sink.clone()), schema.clone(), format)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(sink.take())
}

pub(crate) fn read(bytes: &[u8], format: Option<Format>) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    read_with(bytes, ReadOptions { format, ..ReadOptions::default() })
}

pub(crate) fn read_with(bytes: &[u8], options: ReadOptions) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let piped = collect(read_stream("input", Box::new(Cursor::new(bytes.to_vec())), &options));
    let mut file = tempfile::NamedTempFile::new().expect("temporary file");
    file.write_all(bytes).expect("write");
    let filed = collect(read_path(file.path(), &options));
    match (&piped, &filed) {
        (Ok(piped), Ok(filed)) => assert_eq!(piped.1, filed.1, "a pipe and a file give the same batches"),
        (Err(piped), Err(filed)) => assert_eq!(piped.message(), filed.message()),
        _ => panic!("a pipe gives {piped:?}, a file {filed:?}"),
    }
    piped
}

fn collect(reader: Result<Box<dyn BatchReader>>) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let reader = reader?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>>>()?;
    for batch in &batches {
        assert_eq!(batch.schema(), schema);
    }
    Ok((schema, batches))
}

/// Types that CSV and NDJSON can hold and infer.
fn plain() -> RecordBatch {
    let seconds = TimestampSecondArray::from(vec![Some(1_357_020_000), None, Some(0)]);
    RecordBatch::try_from_iter_with_nullable([
        ("whole", Arc::new(Int64Array::from(vec![Some(-1), None, Some(i64::MAX)])) as ArrayRef, true),
        ("real", Arc::new(Float64Array::from(vec![Some(0.1), Some(-2.5e-300), None])), true),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])), true),
        ("text", Arc::new(StringArray::from(vec![Some("a \"b\", c\nd\r\n e"), None, Some("Ä€😀")])), true),
        ("day", Arc::new(Date32Array::from(vec![Some(15_706), None, Some(-1)])), true),
        ("moment", Arc::new(seconds), true),
    ])
    .expect("batch")
}

/// Types that only Arrow and Parquet keep.
fn rich() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let keyed: DictionaryArray<Int8Type> = [Some("x"), None, Some("y")].into_iter().collect();
    let moment = TimestampNanosecondArray::from(vec![Some(1), None, Some(-1)]).with_timezone("Europe/Berlin");
    let decimal = Decimal128Array::from(vec![Some(12_345), None, Some(-1)]).with_precision_and_scale(38, 3);
    let structure = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef),
        (Arc::new(Field::new("b", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["p", "q", "r"])) as ArrayRef),
    ]);
    RecordBatch::try_from_iter_with_nullable([
        ("list", Arc::new(list) as ArrayRef, true),
        ("keyed", Arc::new(keyed), true),
        ("moment", Arc::new(moment), true),
        ("decimal", Arc::new(decimal.expect("precision")), true),
        ("structure", Arc::new(structure), false),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None, Some(b"")])), true),
        ("view", Arc::new(StringViewArray::from(vec![Some("longer than twelve bytes"), None, Some("s")])), true),
        ("half", Arc::new(UInt16Array::from(vec![Some(1), None, Some(u16::MAX)])), true),
    ])
    .expect("batch")
}

#[test]
fn every_format_gives_back_what_it_can_hold() {
    let plain = plain();
    let with_metadata = {
        let rich = rich();
        let schema = Schema::new_with_metadata(rich.schema().fields().clone(), [("owner".into(), "ops".into())].into());
        RecordBatch::try_new(Arc::new(schema), rich.columns().to_vec()).expect("batch")
    };
    for (format, batch) in [
        (Format::Csv, &plain),
        (Format::Parquet, &plain),
        (Format::Parquet, &with_metadata),
        (Format::ArrowFile, &with_metadata),
        (Format::ArrowStream, &with_metadata),
    ] {
        let batches = [batch.clone(), batch.slice(1, 1), batch.slice(0, 0)];
        let bytes = write(format, &batch.schema(), &batches).expect("write");
        for asked in [Some(format), None] {
            let (schema, back) = read(&bytes, asked).expect("read");
            assert_eq!(schema, batch.schema(), "{format}");
            let expected = concat(&batches[..2]);
            assert_eq!(concat(&back), expected, "{format}");
        }
    }
}

#[test]
fn json_gives_back_json_types_and_text_for_the_rest() {
    for format in [Format::Ndjson, Format::Json] {
        json_types_come_back(format);
    }
}

fn json_types_come_back(format: Format) {
    let batch = plain();
    let bytes = write(format, &batch.schema(), std::slice::from_ref(&batch)).expect("write");
    let (schema, back) = read(&bytes, None).expect("read");
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().to_owned()).collect();
    let expected: Vec<_> = batch.schema().fields().iter().map(|field| field.name().to_owned()).collect();
    assert_eq!(names, expected);
    for name in ["whole", "real", "flag", "text"] {
        assert_eq!(back[0].column_by_name(name), batch.column_by_name(name), "{name}");
    }
    let days = arrow_cast::cast(back[0].column_by_name("day").expect("day"), &DataType::Date32).expect("cast");
    assert_eq!(&days, batch.column_by_name("day").expect("day"));
}

fn concat(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    use arrow_cast::display::{ArrayFormatter, FormatOptions};
    let options = FormatOptions::default().with_null("∅");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("printable")).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
    }
    rows
}

#[test]
fn a_table_without_rows_keeps_its_columns() {
    for format in [Format::Csv, Format::Parquet, Format::ArrowFile, Format::ArrowStream] {
        let schema = plain().schema();
        let bytes = write(format, &schema, &[]).expect("write");
        let (back, batches) = read(&bytes, Some(format)).expect("read");
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0, "{format}");
        let names = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        assert_eq!(names(&back), names(&schema), "{format}");
        if format != Format::Csv {
            assert_eq!(back, schema, "{format}");
        }
    }
}

#[test]
fn what_a_format_does_not_have_is_refused_with_the_column() {
    let error = write(Format::Csv, &rich().schema(), &[rich()]).expect_err("nested");
    assert_eq!(error.code(), codes::FILE_INVALID);
    assert!(error.place().expect("place").contains("column \"list\""), "{error}");
    let interval = Arc::new(IntervalMonthDayNanoArray::from(vec![None])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("span", interval)]).expect("batch");
    let error = write(Format::Parquet, &batch.schema(), &[batch]).expect_err("no such type in Parquet");
    assert_eq!(error.code(), codes::FILE_INVALID);
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let folder = tempfile::tempdir().expect("folder");
    let missing = folder.path().join("missing.csv");
    let error = read_path(&missing, &ReadOptions::default()).err().expect("missing");
    assert_eq!(error.code(), codes::FILE_FAILED);
    assert_eq!(error.place(), Some(missing.display().to_string().as_str()));
    let error = read_path(folder.path(), &ReadOptions::default()).err().expect("a folder");
    assert_eq!(error.code(), codes::FILE_INVALID);
    for (bytes, word) in
        [(&b""[..], "empty"), (b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip"), (b"\x89PNG\r\n", "format")]
    {
        let error = read(bytes, None).expect_err(word);
        assert_eq!(error.code(), codes::FILE_INVALID);
        assert!(error.message().contains(word), "{error}");
    }
}

/// Cut anywhere, or with any byte changed, a file gives an error or batches, and never a panic.
#[test]
fn damaged_files_give_errors() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !guard::is_active() {
            previous(info);
        }
    }));
    for format in [Format::Parquet, Format::ArrowFile, Format::ArrowStream] {
        let batch = rich();
        let bytes = write(format, &batch.schema(), std::slice::from_ref(&batch)).expect("write");
        let mut refused = 0;
        for end in (0..bytes.len()).step_by(7) {
            let result = collect(read_stream("input", Box::new(Cursor::new(bytes[..end].to_vec())), &only(format)));
            refused += usize::from(result.is_err());
        }
        assert!(refused * 7 >= bytes.len() / 2, "{format}: {refused} of {} cuts refused", bytes.len() / 7);
        for (at, flip) in (0..bytes.len()).zip([0xff, 0x01, 0x80].into_iter().cycle()) {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            if let Err(error) = collect(read_stream("input", Box::new(Cursor::new(bytes)), &only(format))) {
                assert_eq!(error.code(), codes::FILE_INVALID, "{format} at {at}: {error}");
            }
        }
    }
}

fn only(format: Format) -> ReadOptions {
    ReadOptions { format: Some(format), ..ReadOptions::default() }
}

#[test]
fn moments_with_an_offset_are_in_utc() {
    let (schema, batches) = read(b"t\n2013-01-01T05:00:00+02:00\n2013-01-01T05:00:00Z\n", None).expect("read");
    assert_eq!(schema.field(0).data_type(), &DataType::Timestamp(TimeUnit::Second, Some("UTC".into())));
    let expected = TimestampSecondArray::from(vec![1_357_009_200, 1_357_016_400]).with_timezone("UTC");
    assert_eq!(batches[0].column(0).as_ref(), &expected as &dyn Array);
}

/// Is interrupted before each piece, as a pipe is by a signal.
struct Interrupted(Cursor<Vec<u8>>, bool);

impl Read for Interrupted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let most = into.len().min(7);
        self.0.read(&mut into[..most])
    }
}

#[test]
fn a_signal_between_two_pieces_changes_nothing() {
    let csv: String = (0..100).map(|row| format!("{row},text {row}\n")).collect();
    let csv = format!("n,t\n{csv}");
    let utf16 = [0xfeff].into_iter().chain(csv.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let ndjson: String = (0..100).map(|row| format!("{{\"n\":{row},\"t\":\"text {row}\"}}\n")).collect();
    for (format, bytes) in [
        (Format::Csv, csv.into_bytes()),
        (Format::Csv, utf16),
        (Format::Ndjson, ndjson.clone().into_bytes()),
        (Format::Json, format!("[{}]", ndjson.trim_end().replace('\n', ",")).into_bytes()),
    ] {
        let options = ReadOptions { format: Some(format), sample: ByteSize::bytes(64), ..ReadOptions::default() };
        let input = Interrupted(Cursor::new(bytes), false);
        let reader = read_stream("input", Box::new(input), &options).expect("open");
        let rows: usize = reader.map(|batch| batch.expect("a batch").num_rows()).sum();
        assert_eq!(rows, 100, "{format}");
    }
}
