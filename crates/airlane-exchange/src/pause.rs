//! What a stream says while its next message takes long, so that nobody between takes it for dead.
//!
//! Proxies end streams that are quiet, and HTTP/2 pings do not pass them. A record batch without rows is something to
//! say that changes nothing. Readers want every dictionary before the first batch, so those that were not sent yet come
//! before it without values; the ones that are sent later take their places.

use airlane_segment::TableSchema;
use airlane_segment::encode::{empty_batch, empty_dictionary};

use crate::StreamMessage;

/// The pause before the next message of a stream.
#[derive(Clone, Debug)]
pub struct Pause {
    schema: TableSchema,
    /// The position of the row after the pause.
    row_offset: u64,
    /// The dictionaries that the reader has none of.
    dictionaries_missing: Vec<i64>,
}

impl Pause {
    pub(crate) fn new(schema: TableSchema, row_offset: u64, dictionaries_missing: Vec<i64>) -> Self {
        Self { schema, row_offset, dictionaries_missing }
    }

    /// Messages that give no row: a batch, and before the first one the missing dictionaries.
    pub fn fill(&mut self) -> Vec<StreamMessage> {
        let missing = std::mem::take(&mut self.dictionaries_missing);
        let dictionaries = missing.into_iter().filter_map(|id| empty_dictionary(&self.schema, id));
        let mut messages: Vec<_> = dictionaries.map(StreamMessage::Dictionary).collect();
        let message = empty_batch(&self.schema);
        messages.push(StreamMessage::Batch { message, row_offset: self.row_offset, rows: 0 });
        messages
    }
}
