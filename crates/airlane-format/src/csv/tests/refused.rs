//! Files that are no table: each is refused with its place, and never taken for something else.

use super::*;

fn refuse(text: &[u8]) -> (String, String) {
    refuse_with(text, csv())
}

fn refuse_with(text: &[u8], options: ReadOptions) -> (String, String) {
    let error = read_with(text, options).expect_err("refused");
    assert_eq!(error.code(), codes::FILE_INVALID);
    (error.message().to_owned(), error.place().unwrap_or_default().replace("input, ", ""))
}

/// A file whose bad line comes long after the sample, in a chunk of its own.
fn late(header: &str, row: &str, bad: &[u8]) -> (Vec<u8>, usize) {
    let rows = (3 << 20) / (row.len() + 1);
    let mut text = format!("{header}\n{}", format!("{row}\n").repeat(rows)).into_bytes();
    text.extend(bad);
    (text, rows + 2)
}

#[test]
fn a17_rows_of_another_width() {
    assert_eq!(refuse(b"a,b\n1,2\n3\n"), ("1 field where the header has 2".into(), "line 3".into()));
    assert_eq!(refuse(b"a,b\n1,2\n\n3,4,5\n"), ("3 fields where the header has 2".into(), "line 4".into()));
    assert_eq!(refuse(b"a,b\n\"x\ny\",2\n3,4,5,6\n").1, "line 4");
    let (text, line) = late("a,b", "1,2", b"3\n5,6\n");
    assert_eq!(refuse(&text), ("1 field where the header has 2".into(), format!("line {line}")));
}

#[test]
fn a17_a_quote_that_is_never_closed() {
    assert_eq!(refuse(b"a,b\n1,\"x\n2,y\n"), ("a quote that opens here is never closed".into(), "line 2".into()));
    let (text, line) = late("a,b", "1,x", b"1,\"y\n2,z\n");
    assert_eq!(refuse(&text), ("a quote that opens here is never closed".into(), format!("line {line}")));
    let (_, batches) =
        read(b"a,b\n1,5\" pipe\n2,\"y\"\n", Some(Format::Csv)).expect("a quote inside a field opens nothing");
    assert_eq!(batches[0].num_rows(), 2);
}

#[test]
fn a17_records_without_an_end_are_refused_in_bounded_memory() {
    struct Counted(std::sync::Arc<std::sync::atomic::AtomicUsize>, &'static [u8]);
    impl Read for Counted {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let at = self.0.fetch_add(into.len(), std::sync::atomic::Ordering::Relaxed);
            for (place, byte) in into.iter_mut().enumerate() {
                *byte = self.1.get(at + place).copied().unwrap_or(b'x');
            }
            Ok(into.len())
        }
    }
    for (start, message, line) in [
        (&b"a\n"[..], "the record has more than 16 MiB, the most that one may have", "line 2"),
        (b"", "the record has more than 16 MiB, the most that one may have", "line 1"),
        (
            b"a\n1\n2\n\"",
            "a quote that opens here is not closed within 16 MiB, the most that a record may have",
            "line 4",
        ),
    ] {
        let taken = std::sync::Arc::default();
        let input = Box::new(Counted(std::sync::Arc::clone(&taken), start));
        let read = crate::read_stream("input", input, &csv()).and_then(|reader| reader.collect::<Result<Vec<_>>>());
        let error = read.expect_err("endless");
        assert_eq!((error.message(), error.place()), (message, Some(format!("input, {line}").as_str())));
        let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
        assert!(taken < chunks::RECORD_BYTES_MAX + (2 << 20), "{taken} bytes were taken");
    }
}

#[test]
fn bytes_that_are_no_text() {
    assert_eq!(refuse(b"a,b\n1,x\0\n"), ("a text has no byte of zero".into(), "line 2, byte 4".into()));
    assert_eq!(refuse(b"name\nJos\xe9\n"), ("the text is not UTF-8".into(), "line 2, byte 4".into()));
    // Two halves of a character in two fields are no character.
    assert_eq!(refuse(b"a,b\n\xc3,\xa9\n"), ("the text is not UTF-8".into(), "line 2, byte 1".into()));
    let (text, line) = late("name", "x", b"Jos\xe9\n");
    assert_eq!(refuse(&text), ("the text is not UTF-8".into(), format!("line {line}, byte 4")));
    let half = b"\xff\xfea\0\n\0\x00\xd8b\0\n\0";
    let error = read(half, None).expect_err("half a pair");
    assert_eq!((error.code(), error.message()), (codes::FILE_INVALID, "the text is not UTF-16"));
    assert!(error.place().expect("a place").contains("byte"), "{error}");
    assert!(refuse(b"\xff\xfe\0\0a\0\0\0").0.contains("UTF-32"));
}

#[test]
fn numbers_that_their_column_cannot_hold() {
    let (text, line) = late("n", "1", b"9223372036854775808\n");
    let expected = ("\"9223372036854775808\" is not of type Int64".into(), format!("line {line}, column \"n\""));
    assert_eq!(refuse(&text), expected);
    let (text, line) = late("n", "1.5", b"1e999\n");
    assert_eq!(refuse(&text), ("\"1e999\" is not of type Float64".into(), format!("line {line}, column \"n\"")));
    let given = Schema::new(vec![Field::new("n", DataType::Int8, true)]);
    let options = ReadOptions { schema: Some(Arc::new(given)), ..csv() };
    let expected = ("\"128\" is not of type Int8".into(), "line 3, column \"n\"".into());
    assert_eq!(refuse_with(b"n\n127\n128\n", options), expected);
}

/// What arrow-csv reads with a loss.
#[test]
fn moments_that_would_change() {
    for (first, bad, data_type) in [
        ("2013-01-01T05:00:00", "2013-13-01T05:00:00", "Timestamp(s)"),
        ("2013-01-01T05:00:00", "2013-01-01T05:00:00.5", "Timestamp(s)"),
        ("2013-01-01T05:00:00", "2013-01-01T05:00:00Z", "Timestamp(s)"),
        ("2013-01-01T05:00:00Z", "2013-01-01T05:00:00", "Timestamp(s, \"UTC\")"),
    ] {
        let (text, line) = late("t", first, format!("{bad}\n").as_bytes());
        let expected = (format!("\"{}\" is not of type {data_type}", bad), format!("line {line}, column \"t\""));
        assert_eq!(refuse(&text), expected);
    }
}

#[test]
fn the_first_line_that_is_wrong_is_told() {
    let text = b"a,b\n1,1\n2,x\ny,3\n4\n";
    let options = ReadOptions { sample: ByteSize::bytes(8), ..csv() };
    assert_eq!(refuse_with(text, options).1, "line 3, column \"b\"");
}

#[test]
fn headers_that_are_none() {
    assert_eq!(refuse(b"").0, "the file is empty");
    assert_eq!(refuse(b"\n\r\n").0, "the file is empty");
    assert_eq!(refuse(b"a,b,a\n1,2,3\n"), ("columns 1 and 3 have one name".into(), "line 1, column \"a\"".into()));
    let header = vec!["c"; 50_000].join(",");
    assert_eq!(refuse(header.as_bytes()).0, "there are 50000 columns, and a table has at most 10000");
    let (schema, batches) = read(b"a,b\n", Some(Format::Csv)).expect("a header alone");
    assert_eq!((schema.fields().len(), batches.len()), (2, 0));
}
