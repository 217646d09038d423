//! Uploads and answers that are packed, and JSON arrays.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use airlane_format::{Format, Packing, ReadOptions, packed_writer, read_stream};
use airlane_model::ByteSize;
use arrow_array::{Int64Array, RecordBatch, StringArray};

use super::harness::*;
use super::rest::ask;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn pack(batch: &RecordBatch, format: Format, packing: Packing) -> Vec<u8> {
    let sink = Sink::default();
    let mut writer = packed_writer(Box::new(sink.clone()), batch.schema(), format, Some(packing)).expect("a writer");
    writer.write(batch).expect("written");
    writer.finish().expect("finished");
    std::mem::take(&mut *sink.0.lock().expect("a lock"))
}

fn numbers() -> RecordBatch {
    let column = Arc::new(Int64Array::from_iter_values(0..1_000)) as _;
    RecordBatch::try_from_iter_with_nullable([("n", column, true)]).expect("a batch")
}

fn rows(bytes: Vec<u8>) -> usize {
    let reader = read_stream("an answer", Box::new(Cursor::new(bytes)), &ReadOptions::default()).expect("read");
    reader.map(|batch| batch.expect("a batch").num_rows()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_be_packed_and_says_so_or_not() {
    let server = TestServer::start().await;
    let at = server.address();
    for (packing, _) in Packing::TABLE {
        for format in [Format::Csv, Format::Ndjson, Format::Json, Format::ArrowStream, Format::Parquet] {
            let body = pack(&numbers(), format, packing);
            let media = format.media_types()[0];
            for headers in [
                String::new(),
                format!("content-encoding: {packing}\r\n"),
                format!("content-encoding: {packing}\r\ncontent-type: {media}\r\n"),
                format!("content-type: {media}\r\n"),
                format!("content-type: application/{packing}\r\n"),
            ] {
                let put = ask(&at, "PUT", "/v1/tables/t?durability=ephemeral", &headers, &body).await;
                assert_eq!(put.json()["rows"], 1_000, "{format}, {packing}, {headers}: {}", put.text());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_packed_where_that_is_asked_for() {
    let server = TestServer::start().await;
    let at = server.address();
    server.put_here("t", &[numbers()]).await;
    for format in ["csv", "ndjson", "json"] {
        let path = format!("/v1/tables/t?format={format}");
        let plain = ask(&at, "GET", &path, "", b"").await;
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept, accept-encoding")));
        let mut tags = vec![plain.header("etag").expect("a tag").to_owned()];
        for coding in ["gzip", "zstd"] {
            let asked = format!("accept-encoding: {coding}\r\n");
            let packed = ask(&at, "GET", &path, &asked, b"").await;
            assert_eq!(packed.header("content-encoding"), Some(coding), "{}", packed.head);
            assert!(packed.body.len() < plain.body.len());
            assert_eq!(rows(packed.body.clone()), 1_000, "{format}, {coding}");
            let tag = packed.header("etag").expect("a tag").to_owned();
            assert!(!tags.contains(&tag), "{tag}: other bytes");
            let again = ask(&at, "GET", &path, &format!("{asked}if-none-match: {tag}\r\n"), b"").await;
            assert_eq!((again.status, again.body.len()), (304, 0));
            let other = ask(&at, "GET", &path, &format!("if-none-match: {tag}\r\n"), b"").await;
            assert_eq!(other.status, 200, "what is known is packed");
            assert_eq!(ask(&at, "HEAD", &path, &asked, b"").await.header("content-encoding"), Some(coding));
            tags.push(tag);
        }
    }
    for format in ["arrows", "arrow", "parquet"] {
        let answer =
            ask(&at, "GET", &format!("/v1/tables/t?format={format}"), "accept-encoding: gzip, zstd\r\n", b"").await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_that_is_not_undone_is_named() {
    let server = TestServer::start().await;
    let at = server.address();
    for headers in [
        "content-encoding: br\r\n",
        "content-encoding: gzip, gzip\r\n",
        "content-encoding: gzip\r\ncontent-encoding: zstd\r\n",
        "content-encoding: gzip\r\ncontent-type: multipart/form-data; boundary=x\r\n",
    ] {
        let refused = ask(&at, "PUT", "/v1/tables/t", headers, b"a\n1\n").await;
        assert_eq!((refused.status, refused.json()["code"].clone()), (415, "encoding_unsupported".into()), "{headers}");
        assert_eq!(refused.header("accept-encoding"), Some("gzip, zstd"));
    }
    let begun = ask(&at, "PUT", "/v1/tables/t", "upload-complete: ?0\r\ncontent-encoding: gzip\r\n", b"").await;
    let upload = begun.header("location").expect("a location").to_owned();
    let part = "upload-offset: 0\r\nupload-complete: ?1\r\ncontent-encoding: gzip\r\n";
    assert_eq!(ask(&at, "PATCH", &upload, part, b"x").await.status, 415);
    let body = pack(&numbers(), Format::Csv, Packing::Gzip);
    let done = ask(&at, "PATCH", &upload, "upload-offset: 0\r\nupload-complete: ?1\r\n", &body).await;
    assert_eq!(done.json()["rows"], 1_000, "{}", done.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_a_bomb_or_a_body_that_is_cut_off_leaves_nothing() {
    let server = TestServer::start_with(|_, options| options.upload_expanded_bytes_max = ByteSize::gib(1)).await;
    let at = server.address();
    let text = "x".repeat(1 << 10);
    let column = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text.as_str(), 1 << 10))) as _;
    let mib = pack(&RecordBatch::try_from_iter([("a", column)]).expect("a batch"), Format::Csv, Packing::Zstd);
    let refused = ask(&at, "PUT", "/v1/tables/t", "content-encoding: zstd\r\n", &mib.repeat(10_000)).await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (429, "limit_exceeded".into()), "{}", refused.text());

    let small = TestServer::start_with(|_, options| options.upload_expanded_bytes_max = ByteSize::kib(1)).await;
    for (packing, _) in Packing::TABLE {
        let body = pack(&numbers(), Format::Csv, packing);
        for (what, headers, body) in [
            ("cut off", "", body[..body.len() - 5].to_vec()),
            ("said to be packed", "content-encoding: gzip\r\n", b"a\n1\n".to_vec()),
        ] {
            let refused = ask(&at, "PUT", "/v1/tables/t", headers, &body).await;
            assert_eq!(refused.json()["code"], "file_invalid", "{what}: {}", refused.text());
        }
        let refused = ask(&small.address(), "PUT", "/v1/tables/t", "", &body).await;
        assert_eq!(refused.json()["code"], "limit_exceeded", "{}", refused.text());
    }
    assert!(server.tables().is_empty() && small.tables().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_of_objects_is_a_table() {
    let server = TestServer::start().await;
    let at = server.address();
    let json = "content-type: application/json\r\n";
    let put = ask(&at, "PUT", "/v1/tables/t", json, br#"[{"a": 1, "b": "x"}, {"a": 2, "b": null}]"#).await;
    assert_eq!((put.status, put.json()["format"].clone()), (201, "json".into()), "{}", put.text());
    let read = ask(&at, "GET", "/v1/tables/t", "accept: application/json\r\n", b"").await;
    assert_eq!(read.header("content-type"), Some("application/json"));
    assert_eq!(read.json(), serde_json::json!([{"a": 1, "b": "x"}, {"a": 2, "b": null}]));
    for (body, place) in [
        ("[{\"a\":1},7]", "the upload, element 2"),
        ("[{\"a\":1}", "the upload, after element 1"),
        ("{\"a\":1}", "the upload"),
    ] {
        let refused = ask(&at, "PUT", "/v1/tables/u", json, body.as_bytes()).await;
        assert_eq!((refused.status, refused.json()["place"].clone()), (400, place.into()), "{}", refused.text());
    }
    // Nested as deep as it likes, in a value that is no value of the table: the parser would follow it to the end of its stack.
    for form in ["json", "ndjson"] {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let body = if form == "json" { format!("[{{\"a\":1}},{deep}]") } else { format!("{{\"a\":1}}\n{deep}\n") };
        let refused = ask(&at, "PUT", &format!("/v1/tables/u?format={form}"), "", body.as_bytes()).await;
        assert_eq!((refused.status, refused.json()["code"].clone()), (429, "limit_exceeded".into()));
    }
    assert_eq!(server.tables(), ["t"]);
}
