//! A table's schema, as Arrow knows it and as the message that is stored and sent first.

use airlane_model::Result;
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;

/// A schema that the type policy allows, with dictionary ids numbered from 0 in depth-first order.
#[derive(Clone, Debug)]
pub struct TableSchema {
    arrow: SchemaRef,
    message: Bytes,
}

impl TableSchema {
    /// From an Arrow schema made by this process.
    ///
    /// # Errors
    /// `schema_invalid` for what the policy refuses.
    pub fn from_arrow(schema: &Schema) -> Result<Self> {
        let _ = schema;
        todo!()
    }

    /// From the schema message of a stranger: the flatbuffer of an IPC `Message`, without continuation and length.
    /// It is verified and judged before it is converted.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn from_message(header: &[u8]) -> Result<Self> {
        let _ = header;
        todo!()
    }

    /// The Arrow schema.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The schema message: the flatbuffer of an IPC `Message`, without continuation and length. Its length is a
    /// multiple of 8.
    pub fn message(&self) -> &Bytes {
        &self.message
    }

    /// Whether batches of `other` can be appended to a table of this schema: same names, order and types; a column
    /// that may hold nulls here need not in `other`; metadata is not compared.
    ///
    /// # Errors
    /// `schema_mismatch`, naming the first column that differs with expected and got.
    pub fn accept(&self, other: &TableSchema) -> Result<()> {
        let _ = other;
        todo!()
    }
}
