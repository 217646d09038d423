//! Tables with dictionaries in a store of small sizes, and the stream that a reader receives.

use std::sync::Arc;

use airlane_exchange::{Exchange, PutSpec, ReadStream, StreamMessage};
use airlane_model::{ByteSize, Caller, PlainTicket, PutMode, Receipt, RetentionChange, TableName, Ticket};
use airlane_segment::{Message, TableSchema, WriterOptions};
use airlane_store::{Store, StoreOptions};
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_schema::Schema;

pub(crate) fn exchange() -> Exchange {
    exchange_of(StoreOptions::new(None))
}

/// With the small sizes.
pub(crate) fn exchange_of(options: StoreOptions) -> Exchange {
    exchange_over(options).0
}

/// The same, with its store.
pub(crate) fn exchange_over(options: StoreOptions) -> (Exchange, Store) {
    let writer = WriterOptions {
        batch_bytes_target: ByteSize::kib(4),
        batch_bytes_min: ByteSize::kib(1),
        batch_bytes_max: ByteSize::kib(8),
        segment_bytes_target: ByteSize::kib(16),
        segment_small_bytes_max: ByteSize::kib(2),
        dictionary_bytes_max: ByteSize::kib(64),
    };
    let options = StoreOptions { writer, ..options };
    let store = Store::open(options).expect("a store").0;
    (Exchange::open(store.clone()).expect("keys"), store)
}

/// Keys, and their names in a dictionary that holds `names`.
pub(crate) fn batch(keys: std::ops::Range<i64>, names: &[&str]) -> RecordBatch {
    let indices = keys.clone().map(|key| (key % 5 != 4).then_some((key % names.len() as i64) as i32));
    let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    let names = DictionaryArray::<Int32Type>::try_new(indices.collect(), names).expect("a dictionary");
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
    RecordBatch::try_from_iter_with_nullable([("key", keys, false), ("name", Arc::new(names), true)]).expect("a batch")
}

pub(crate) async fn put(exchange: &Exchange, table: &str, mode: PutMode, batches: &[RecordBatch]) -> Receipt {
    let schema = TableSchema::from_arrow(&batches[0].schema()).expect("a schema");
    let spec = PutSpec {
        table: TableName::parse(table).expect("a name"),
        mode,
        durability: None,
        retention: RetentionChange::default(),
        key: None,
        caller: None,
    };
    let mut put = exchange.put_batches(&Caller::local(), spec, schema).expect("a put");
    for batch in batches {
        put.append(batch).expect("rows");
    }
    put.commit().await.expect("a commit")
}

pub(crate) fn ticket(text: &str) -> Ticket {
    text.parse().expect("a ticket")
}

pub(crate) fn plain(text: &str) -> PlainTicket {
    text.parse().expect("a plain ticket")
}

/// All messages of a read after the schema, and the bytes of their bodies.
pub(crate) fn messages(stream: &mut ReadStream) -> (Vec<StreamMessage>, u64) {
    let (mut all, mut bytes) = (Vec::new(), 0);
    while let Some(message) = stream.next_message().expect("a message") {
        let (StreamMessage::Dictionary(inner) | StreamMessage::Batch { message: inner, .. }) = &message;
        bytes += inner.body.len() as u64;
        all.push(message);
    }
    (all, bytes)
}

/// What arrow reads from the messages as an IPC stream.
pub(crate) fn decode(schema: &TableSchema, messages: &[StreamMessage]) -> Vec<RecordBatch> {
    let mut stream = Vec::new();
    let mut frame = |header: &[u8], body: &[u8]| {
        stream.extend_from_slice(&[0xff; 4]);
        stream.extend_from_slice(&u32::try_from(header.len()).expect("a short header").to_le_bytes());
        stream.extend_from_slice(header);
        stream.extend_from_slice(body);
    };
    frame(schema.message(), &[]);
    for message in messages {
        let (StreamMessage::Dictionary(Message { header, body })
        | StreamMessage::Batch { message: Message { header, body }, .. }) = message;
        frame(header, body);
    }
    stream.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let reader = StreamReader::try_new(stream.as_slice(), None).expect("a stream");
    reader.map(|batch| batch.expect("a batch")).collect()
}

/// Each row as text, whatever the batches and dictionaries are.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let row = |batch: &RecordBatch, index: usize| {
        let value = |column: &ArrayRef| {
            let formatter = arrow_cast::display::ArrayFormatter::try_new(column, &Default::default());
            formatter.expect("a printable column").value(index).to_string()
        };
        batch.columns().iter().map(value).collect::<Vec<_>>().join("|")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|index| row(batch, index)).collect::<Vec<_>>()).collect()
}

pub(crate) fn same_columns(schema: &Schema, batches: &[RecordBatch]) -> bool {
    batches.iter().all(|batch| {
        let typed =
            |(index, field): (usize, &Arc<arrow_schema::Field>)| batch.column(index).data_type() == field.data_type();
        batch.schema().as_ref() == schema && schema.fields().iter().enumerate().all(typed)
    })
}
