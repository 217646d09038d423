use arrow_array::types::Int8Type;
use arrow_array::{BinaryArray, DictionaryArray, Int64Array, LargeListArray, StringViewArray};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_schema::Schema;
use futures::{StreamExt, stream};

use super::*;

fn encode(batches: &[RecordBatch]) -> Vec<FlightData> {
    let mut encoder = Encoder::new(batches[0].schema(), FlightDescriptor::new_path(vec!["t".into()]));
    for batch in batches {
        encoder.push(batch).expect("encode");
    }
    std::iter::from_fn(|| encoder.pop()).collect()
}

fn decode(messages: Vec<FlightData>) -> Vec<RecordBatch> {
    let mut decoder = FlightDataDecoder::new(stream::iter(messages.into_iter().map(Ok)));
    let mut batches = Vec::new();
    while let Some(message) = futures::executor::block_on(decoder.next()) {
        if let DecodedPayload::RecordBatch(batch) = message.expect("decode").payload {
            batches.push(batch);
        }
    }
    batches
}

fn batch(column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("a", column)]).expect("batch")
}

fn rows(batches: &[RecordBatch]) -> RecordBatch {
    let columns: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
    let mut values = Vec::new();
    for column in columns {
        values.push(column.to_data());
    }
    let mut all = arrow_data::transform::MutableArrayData::new(values.iter().collect(), false, 0);
    for (index, data) in values.iter().enumerate() {
        all.try_extend(index, 0, data.len()).expect("extend");
    }
    batch(arrow_array::make_array(all.freeze()))
}

#[test]
fn the_descriptor_stands_on_the_schema_message_only() {
    let messages = encode(&[batch(Arc::new(Int64Array::from(vec![1, 2])))]);
    let described: Vec<bool> = messages.iter().map(|message| message.flight_descriptor.is_some()).collect();
    assert_eq!(described, [true, false]);
}

#[test]
fn messages_are_about_a_mebibyte_also_when_rows_differ_in_size() {
    let even = batch(Arc::new(Int64Array::from_iter_values(0..1 << 20)));
    let small = vec![0u8; 10];
    let large = vec![0u8; 3 << 20];
    let values = (0..4000).map(|row| if row % 1000 == 7 { &large } else { &small });
    let skewed = batch(Arc::new(BinaryArray::from_iter_values(values)));
    for (batch, one_row_bytes) in [(even, 8), (skewed, 3 << 20)] {
        let messages = encode(std::slice::from_ref(&batch));
        for message in &messages {
            assert!(message.data_body.len() <= BATCH_BYTES_MAX.as_usize() + one_row_bytes + 4096);
        }
        assert_eq!(rows(&decode(messages)), batch);
    }
}

#[test]
fn slices_of_views_bring_their_own_texts_only() {
    let texts = (0..40_000).map(|row| format!("{row:0>100}"));
    let batch = batch(Arc::new(StringViewArray::from_iter_values(texts)));
    let messages = encode(std::slice::from_ref(&batch));
    let sent: usize = messages.iter().map(|message| message.data_body.len()).sum();
    assert!(sent < 2 * 40_000 * 116, "{sent} bytes for {} of payload", 40_000 * 116);
    assert_eq!(rows(&decode(messages)), batch);
}

#[test]
fn a_dictionary_is_sent_once_and_again_when_it_changes() {
    let keyed = |values: &[&str]| batch(Arc::new(values.iter().copied().collect::<DictionaryArray<Int8Type>>()));
    let first = keyed(&["x", "y", "x"]);
    let batches = [first.slice(0, 2), first.slice(2, 1), keyed(&["z"]), keyed(&["z", "x"])];
    let messages = encode(&batches);
    let dictionaries = messages.iter().filter(|message| {
        let header = arrow_ipc::root_as_message(&message.data_header).expect("message");
        header.header_type() == arrow_ipc::MessageHeader::DictionaryBatch
    });
    assert_eq!(dictionaries.count(), 3);
    assert_eq!(decode(messages), batches);
}

#[test]
fn large_lists_stay_large_and_another_schema_is_refused() {
    let list = LargeListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([Some(vec![Some(1)]), None]);
    let list = batch(Arc::new(list));
    assert_eq!(decode(encode(std::slice::from_ref(&list))), std::slice::from_ref(&list));
    let mut encoder = Encoder::new(Arc::new(Schema::empty()), FlightDescriptor::default());
    assert_eq!(encoder.push(&list).expect_err("another schema").code(), codes::SCHEMA_MISMATCH);
}
