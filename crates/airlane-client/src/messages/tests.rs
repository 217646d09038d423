use std::sync::Arc;

use airlane_segment::decode::decode_panics;
use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int16Type;
use arrow_array::{Array, ArrayRef, BooleanArray, DictionaryArray, Int64Array, StringArray};
use arrow_data::ArrayData;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::HeaderValue;
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;
use prost::Message as _;
use tonic::Status;

use super::*;

type Frames = Vec<std::result::Result<Frame<Bytes>, Status>>;

fn address() -> Address {
    "localhost:1".parse().expect("an address")
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(status),
    )]))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// What a reader gets of an answer, up to its end or an error, after which nothing may come.
fn read_frames(frames: Frames) -> (Vec<Payload>, Result<()>) {
    run(async {
        let mut messages = Messages::of(address(), Body::new(StreamBody::new(stream::iter(frames))));
        let mut all = Vec::new();
        let end = loop {
            match messages.next().await {
                Ok(Some(payload)) => all.push(payload),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert!(messages.next().await.expect("nothing after the end").is_none());
        (all, end)
    })
}

/// The same for chunks of an answer that ends well.
fn read(chunks: impl IntoIterator<Item = Bytes>) -> (Vec<Payload>, Result<()>) {
    let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)));
    read_frames(frames.chain([Ok(trailers("0"))]).collect())
}

fn batches(payloads: &[Payload]) -> Vec<&RecordBatch> {
    let mut batches = Vec::new();
    for payload in payloads {
        if let Payload::Batch { batch, .. } = payload {
            batches.push(batch);
        }
    }
    batches
}

fn grpc(payload: &[u8]) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.into()
}

/// As a stock server sends it.
fn stock(batches: &[RecordBatch]) -> Vec<FlightData> {
    let encoder = FlightDataEncoderBuilder::new().with_dictionary_handling(DictionaryHandling::Resend);
    let messages = encoder.build(stream::iter(batches.to_vec()).map(Ok));
    run(messages.try_collect()).expect("encoded")
}

fn wire(messages: &[FlightData]) -> Bytes {
    messages.iter().flat_map(|message| grpc(&message.encode_to_vec())).collect::<Vec<u8>>().into()
}

fn stock_read(messages: Vec<FlightData>) -> Vec<RecordBatch> {
    let messages = stream::iter(messages).map(Ok::<_, FlightError>);
    run(FlightRecordBatchStream::new_from_flight_data(messages).try_collect()).expect("decoded")
}

fn batch(rows: &[Option<i64>]) -> RecordBatch {
    let texts: StringArray = rows.iter().map(|row| row.map(|n| "ä".repeat((n.unsigned_abs() % 20) as usize))).collect();
    let keyed: DictionaryArray<Int16Type> =
        rows.iter().map(|row| row.map(|n| ["x", "yy", "zzz"][(n.unsigned_abs() % 3) as usize])).collect();
    let bits: BooleanArray = rows.iter().map(|row| row.map(|n| n % 2 == 0)).collect();
    let mut lists = ListBuilder::new(Int32Builder::new());
    for row in rows {
        lists.append_option(row.map(|n| vec![Some(n as i32), None].into_iter().take((n.unsigned_abs() % 3) as usize)));
    }
    let numbers: Int64Array = rows.iter().copied().collect();
    RecordBatch::try_from_iter_with_nullable([
        ("number", Arc::new(numbers) as ArrayRef, true),
        ("text", Arc::new(texts), true),
        ("keyed", Arc::new(keyed), true),
        ("bits", Arc::new(bits), true),
        ("lists", Arc::new(lists.finish()), true),
    ])
    .expect("columns of one length")
}

fn two_batches() -> Vec<RecordBatch> {
    vec![batch(&[Some(1), None, Some(-7)]), batch(&[Some(40), Some(2)])]
}

/// The addresses at which the buffers of arrays begin, without those of dictionaries, which came in other messages.
fn places(data: &ArrayData, places: &mut Vec<(usize, usize)>) {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let filled = data.buffers().iter().chain(nulls).filter(|buffer| !buffer.is_empty());
    places.extend(filled.map(|buffer| (buffer.as_ptr().addr(), buffer.len())));
    let is_keyed = matches!(data.data_type(), arrow_schema::DataType::Dictionary(_, _));
    data.child_data().iter().filter(|_| !is_keyed).for_each(|child| self::places(child, places));
}

/// Every buffer begins at a multiple of 64, and all lie where one body can lie: nothing was copied column by column.
fn assert_in_place(batch: &RecordBatch, body_bytes_max: usize) {
    let mut all = Vec::new();
    batch.columns().iter().for_each(|column| places(&column.to_data(), &mut all));
    for (address, _) in &all {
        assert_eq!(address % 64, 0, "a buffer is not aligned");
    }
    let begin = all.iter().map(|(address, _)| *address).min().unwrap_or_default();
    let end = all.iter().map(|(address, bytes)| address + bytes).max().unwrap_or_default();
    assert!(end - begin <= body_bytes_max, "the buffers are {} bytes apart", end - begin);
}

#[test]
fn every_cut_of_an_answer_gives_the_same_batches_in_aligned_memory() {
    let (sent, expected) = (stock(&two_batches()), two_batches());
    let bytes = wire(&sent);
    let body_bytes_max = sent.iter().map(|message| message.data_body.len()).max().expect("messages");
    let check = |chunks: Vec<Bytes>, cut: &str| {
        let (payloads, end) = read(chunks);
        end.expect(cut);
        assert!(matches!(payloads[0], Payload::Schema { .. }), "{cut}");
        let batches = batches(&payloads);
        assert!(batches.iter().copied().eq(&expected), "{cut}");
        batches.into_iter().for_each(|batch| assert_in_place(batch, body_bytes_max));
    };
    for cut in 0..=bytes.len() {
        check(vec![bytes.slice(..cut), bytes.slice(cut..)], &format!("cut at {cut}"));
    }
    for size in [1, 2, 3, 5, 8, 64, 1000] {
        check(bytes.chunks(size).map(|chunk| bytes.slice_ref(chunk)).collect(), &format!("in chunks of {size}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_table_in_any_chunks_is_what_the_stock_decoder_reads(
        tables in prop::collection::vec(prop::collection::vec(any::<Option<i64>>(), 0..200), 1..4),
        sizes in prop::collection::vec(1_usize..5000, 1..20),
    ) {
        let sent = stock(&tables.iter().map(|rows| batch(rows)).collect::<Vec<_>>());
        let (mut rest, mut chunks) = (wire(&sent), Vec::new());
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            chunks.push(rest.split_to((*size).min(rest.len())));
        }
        let (payloads, end) = read(chunks);
        end.expect("valid");
        let expected = stock_read(sent);
        prop_assert!(batches(&payloads).into_iter().eq(&expected));
    }
}

#[test]
fn metadata_comes_with_its_message_and_alone() {
    let mut sent = stock(&two_batches());
    sent[0].app_metadata = "schema".into();
    let last = sent.last_mut().expect("a batch");
    last.app_metadata = "rows".into();
    sent.insert(1, FlightData::new().with_app_metadata("alone"));
    let (payloads, end) = read([wire(&sent)]);
    end.expect("valid");
    assert!(matches!(&payloads[0], Payload::Schema { metadata, .. } if metadata == "schema"));
    assert!(matches!(&payloads[1], Payload::Other));
    assert!(matches!(payloads.last(), Some(Payload::Batch { metadata, .. }) if metadata == "rows"));
}

#[test]
fn f1_an_answer_that_stops_anywhere_is_an_error() {
    let bytes = wire(&stock(&two_batches()));
    let whole: Vec<usize> = {
        let mut ends = vec![0];
        while let Some(prefix) = bytes.get(ends[ends.len() - 1]..).filter(|rest| !rest.is_empty()) {
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            ends.push(ends[ends.len() - 1] + 5 + length);
        }
        ends
    };
    for cut in 0..bytes.len() {
        let (payloads, end) = read([bytes.slice(..cut)]);
        match end {
            Ok(()) => assert!(whole.contains(&cut), "cut at {cut}"),
            Err(error) => {
                assert!(!whole.contains(&cut), "cut at {cut}: {error}");
                assert_eq!(error.code(), codes::MESSAGE_INVALID);
                assert!(error.place().is_some_and(|place| place.ends_with(" of an answer of grpc://localhost:1")));
                assert!(error.hint_text().is_some());
            }
        }
        // What came whole is there, whatever came after it.
        assert_eq!(payloads.len(), whole.iter().filter(|end| **end <= cut).count() - 1, "cut at {cut}");
    }
}

#[test]
fn f1_an_answer_that_lies_is_an_error_and_no_panic() {
    let sent = stock(&two_batches());
    let [schema, rest @ ..] = &sent[..] else { panic!("a schema") };
    let schema = grpc(&schema.encode_to_vec());
    let batch = rest.last().expect("a batch").clone();
    let short = FlightData { data_body: batch.data_body.slice(..batch.data_body.len() - 64), ..batch.clone() };
    let no_header = FlightData { data_header: Bytes::new(), ..batch.clone() };
    let garbage = FlightData { data_header: vec![0xAB; 64].into(), ..batch.clone() };
    let no_schema = [grpc(&batch.encode_to_vec())].concat();
    let after = |message: &[u8]| [&schema[..], message].concat();
    let of = |message: FlightData| after(&grpc(&message.encode_to_vec()));
    for (name, bytes) in [
        ("a batch before the schema", no_schema),
        ("a second schema", after(&schema)),
        ("a body shorter than its header says", of(short)),
        ("a body without a header", of(no_header)),
        ("a header that is no flatbuffer", of(garbage)),
        ("a body of 2^63 bytes", after(&grpc(&[&[0xC2, 0x3E][..], &[0xFF; 8], &[0x7F]].concat()))),
        ("a body that is a number", after(&grpc(&[0xC0, 0x3E, 1]))),
        ("a length of 65 bits", after(&grpc(&[&[0x12][..], &[0xFF; 9], &[0x02]].concat()))),
        ("a flag of 7", after(&[7, 0, 0, 0, 0])),
        ("compressed, and nobody said how", after(&[1, 0, 0, 0, 0])),
        ("HTML", b"<html><body>a proxy</body></html>".to_vec()),
    ] {
        let error = read([bytes.into()]).1.expect_err(name);
        assert_eq!(error.code(), codes::MESSAGE_INVALID, "{name}: {error}");
        assert!(error.place().is_some_and(|place| place.starts_with("message ")), "{name}");
    }
}

#[test]
fn f1_bytes_that_are_changed_are_data_or_an_error() {
    let bytes = wire(&stock(&two_batches()));
    let (mut refused, panics) = (0, decode_panics());
    for position in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[position] ^= [0x01, 0x80, 0xFF][position % 3];
        let (payloads, end) = read([changed.into()]);
        for batch in batches(&payloads) {
            batch.columns().iter().for_each(|column| column.to_data().validate_full().expect("valid"));
        }
        refused += usize::from(end.is_err());
    }
    assert!(refused > bytes.len() / 10, "{refused} of {} were refused", bytes.len());
    assert_eq!(decode_panics(), panics);
}

#[test]
fn an_answer_ends_as_its_trailers_say() {
    let bytes = || Ok(Frame::data(wire(&stock(&two_batches()))));
    let failed = |frames: Frames| {
        let (payloads, end) = read_frames(frames);
        (batches(&payloads).len(), end.expect_err("an error").code())
    };
    assert_eq!(failed(vec![bytes(), Ok(trailers("5"))]), (2, codes::TABLE_NOT_FOUND));
    // The status explains more than the message that did not come.
    let half = |frame: Frame<Bytes>| frame.into_data().map(|data| Frame::data(data.slice(..data.len() - 1)));
    let half = || Ok(half(bytes().expect("data")).expect("data"));
    assert_eq!(failed(vec![half(), Ok(trailers("4"))]), (1, codes::DEADLINE_EXCEEDED));
    assert_eq!(failed(vec![half(), Ok(trailers("0"))]), (1, codes::MESSAGE_INVALID));
    // Nobody knows whether it is all.
    assert_eq!(failed(vec![bytes()]), (2, codes::INTERNAL));
    let broken = Status::from_error(Box::new(std::io::Error::other("reset")));
    assert_eq!(failed(vec![bytes(), Err(broken)]), (2, codes::CONNECTION_BROKEN));
}
