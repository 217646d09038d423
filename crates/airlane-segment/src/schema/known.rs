//! Schemas that strangers have sent before.
//!
//! The same programs send the same schemas again and again, and to verify, judge, convert and number one takes longer
//! than the rows of a small put. What was found of one is kept by the very bytes of its message.

use std::sync::{Arc, Mutex, PoisonError};

use airlane_model::Result;

use super::TableSchema;
use crate::check::DecodeLimits;
use crate::decode::StreamDecoder;

/// Messages that are kept, the last used ones.
const ENTRIES_MAX: usize = 64;
/// Larger messages are not kept; with what they become they would take megabytes.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// What the last schema messages became. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct KnownSchemas(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone, Debug)]
struct Entry {
    message: Arc<[u8]>,
    schema: TableSchema,
    stranger_ids: Arc<[i64]>,
}

impl KnownSchemas {
    /// A decoder for the messages after `schema_header`, as [`StreamDecoder::new`] makes it.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn decoder(&self, schema_header: &[u8], limits: DecodeLimits) -> Result<StreamDecoder> {
        if let Some(Entry { schema, stranger_ids, .. }) = self.find(schema_header) {
            return StreamDecoder::of_schema(schema, &stranger_ids, limits);
        }
        let (schema, stranger_ids) = TableSchema::from_message_with_ids(schema_header)?;
        let decoder = StreamDecoder::of_schema(schema.clone(), &stranger_ids, limits)?;
        if schema_header.len() <= MESSAGE_BYTES_MAX {
            self.keep(Entry { message: schema_header.into(), schema, stranger_ids: stranger_ids.into() });
        }
        Ok(decoder)
    }

    fn find(&self, message: &[u8]) -> Option<Entry> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.iter().position(|entry| *entry.message == *message)?;
        entries[..=found].rotate_right(1);
        entries.first().cloned()
    }

    fn keep(&self, entry: Entry) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Two puts may have met the same new schema at once.
        entries.retain(|kept| kept.message != entry.message);
        entries.truncate(ENTRIES_MAX - 1);
        entries.insert(0, entry);
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn message(columns: usize) -> Vec<u8> {
        let fields: Vec<_> = (0..columns).map(|index| Field::new(format!("c{index}"), DataType::Int32, true)).collect();
        let schema = TableSchema::from_arrow(&Schema::new(fields)).expect("a schema");
        schema.message().to_vec()
    }

    #[test]
    fn a_known_schema_is_the_one_that_its_message_gives() {
        let known = KnownSchemas::default();
        let messages: Vec<_> = (1..=3).map(message).collect();
        for _ in 0..2 {
            for message in &messages {
                let found = known.decoder(message, DecodeLimits::default()).expect("a decoder");
                let alone = TableSchema::from_message(message).expect("a schema");
                assert_eq!(found.schema().message(), alone.message());
            }
        }
        assert_eq!(known.0.lock().expect("not poisoned").len(), 3);
        let first = known.decoder(&messages[0], DecodeLimits::default()).expect("a decoder");
        let again = known.decoder(&messages[0], DecodeLimits::default()).expect("a decoder");
        assert!(Arc::ptr_eq(first.schema().arrow(), again.schema().arrow()), "it was not made anew");
    }

    #[test]
    fn bad_ones_are_refused_each_time_and_only_the_last_good_ones_are_kept() {
        let known = KnownSchemas::default();
        for _ in 0..2 {
            assert!(known.decoder(b"no flatbuffer", DecodeLimits::default()).is_err());
        }
        assert!(known.0.lock().expect("not poisoned").is_empty());
        let large = message(1_000);
        assert!(large.len() > MESSAGE_BYTES_MAX);
        known.decoder(&large, DecodeLimits::default()).expect("a decoder");
        assert!(known.0.lock().expect("not poisoned").is_empty(), "large ones are not kept");
        for columns in 1..=ENTRIES_MAX + 10 {
            known.decoder(&message(columns), DecodeLimits::default()).expect("a decoder");
        }
        let entries = known.0.lock().expect("not poisoned");
        assert_eq!(entries.len(), ENTRIES_MAX);
        assert_eq!(*entries[0].message, message(ENTRIES_MAX + 10)[..]);
    }
}
