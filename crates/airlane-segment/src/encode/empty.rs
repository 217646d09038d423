//! Messages without rows: what a stream says while it has nothing to say.

use arrow_array::{RecordBatch, new_empty_array};

use super::Encoded;
use super::message::sent;
use crate::home::shared;
use crate::schema::TableSchema;
use crate::segment::Message;

/// A record batch of no rows.
pub fn empty_batch(schema: &TableSchema) -> Message {
    let encoded = Encoded::batch(&RecordBatch::new_empty(schema.arrow().clone()));
    sent(encoded.batch_header(), shared(&encoded.body()))
}

/// The dictionary of that id without values; `None` when the schema has no such dictionary.
///
/// Readers want one of each dictionary before the first batch. The one that is sent later takes its place.
pub fn empty_dictionary(schema: &TableSchema, id: i64) -> Option<Message> {
    let value_type = schema.dictionaries().get(usize::try_from(id).ok()?)?;
    let encoded = Encoded::columns(0, &[new_empty_array(value_type)]);
    Some(sent(encoded.dictionary_header(id), shared(&encoded.body())))
}
