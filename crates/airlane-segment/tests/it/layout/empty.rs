//! Messages without rows: a stream of them is read by us and by stock readers, for every type.

use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::StreamDecoder;
use airlane_segment::encode::{empty_batch, empty_dictionary};
use airlane_segment::{Message, Segment};
use arrow_buffer::Buffer;
use proptest::prelude::*;

use super::arbitrary::{Table, tables};
use super::homes::{HOMES, small, write};
use super::property::{read_stream, rows};

/// A batch without rows, and the dictionaries before it.
pub(super) fn empty(segment: &Segment) -> Vec<Message> {
    let ids = 0..segment.schema().dictionaries().len() as i64;
    let dictionaries = ids.map(|id| empty_dictionary(segment.schema(), id).expect("a dictionary of the schema"));
    dictionaries.chain([empty_batch(segment.schema())]).collect()
}

/// Whatever comes afterwards replaces the dictionaries without values.
fn check(table: &Table) {
    for segment in write(table, small(), HOMES[0]) {
        let stored: Vec<_> = (0..segment.batch_count()).map(|index| segment.batch(index).unwrap()).collect();
        let mut messages = empty(&segment);
        assert!(messages.iter().all(|message| message.header.len() % 8 == 0 && message.body.len() % 64 == 0));
        messages.extend(segment.dictionaries().iter().map(|dictionary| dictionary.message.clone()));
        messages.extend((0..segment.batch_count()).map(|index| segment.message(index)));

        let read = read_stream(&segment, &messages);
        assert_eq!((read.len(), read[0].num_rows()), (1 + stored.len(), 0));
        assert_eq!(rows(&read), rows(&stored), "decoded by arrow");
        let mut decoder = StreamDecoder::new(segment.schema().message(), DecodeLimits::default()).unwrap();
        let decode = |message: &Message| decoder.decode(&message.header, Buffer::from(&message.body[..])).unwrap();
        let read: Vec<_> = messages.iter().filter_map(decode).collect();
        assert_eq!(rows(&read), rows(&stored), "decoded by us");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_type_has_messages_without_rows(table in tables()) {
        check(&table);
    }
}

#[test]
fn there_are_no_dictionaries_beyond_those_of_the_schema() {
    let schema = std::sync::Arc::new(arrow_schema::Schema::empty());
    let table = Table { schema, batches: vec![] };
    let segment = &write(&table, small(), HOMES[0])[0];
    for id in [i64::MIN, -1, 0, 1, i64::MAX] {
        assert!(empty_dictionary(segment.schema(), id).is_none(), "{id}");
    }
    assert_eq!(empty_batch(segment.schema()).body.len(), 0);
}
