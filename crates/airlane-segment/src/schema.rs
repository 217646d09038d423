//! A table's schema, as Arrow knows it and as the message that is stored and sent first.
//!
//! 1. [`message`] verifies the flatbuffer, and writes our own.
//! 2. [`policy`] judges the schema in the flatbuffer, before anything is converted.
//! 3. [`index_type`] fills in what may be left out.
//! 4. [`canonical`] numbers the dictionaries.
//! 5. [`accept`] compares two schemas for an append.
//! 6. [`projection`] takes some of the columns.

use airlane_model::{Error, Result, codes};
use arrow_schema::{DataType, Schema, SchemaRef};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

use crate::budget::{Charge, MemoryBudget, MemoryUse};

mod accept;
pub(crate) mod canonical;
mod index_type;
mod known;
pub(crate) mod message;
pub(crate) mod policy;
mod projection;

pub use known::KnownSchemas;
pub use projection::Projection;

/// What a schema takes beside its columns and its message: measured, since allocators round.
const SCHEMA_BYTES: usize = 400;
/// What an entry of a map of texts takes beside them.
const METADATA_BYTES: usize = 64;

/// A schema that the type policy allows, with dictionary ids numbered from 0 in depth-first order: the dictionaries
/// inside a field come before the field's own.
///
/// The policy takes every type of the Arrow columnar format 1.5 in little-endian order, within the bounds of
/// [`policy`]. Extension types are fields with metadata, which is carried and never interpreted.
#[derive(Clone, Debug)]
pub struct TableSchema(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    arrow: SchemaRef,
    message: Bytes,
    dictionaries: Box<[DataType]>,
    charge: OnceLock<Charge>,
}

impl TableSchema {
    /// From an Arrow schema made by this process.
    ///
    /// # Errors
    /// `schema_invalid` for what the policy refuses.
    pub fn from_arrow(schema: &Schema) -> Result<Self> {
        canonical::judge(schema)?;
        let (canonical, _) = canonical::number(schema);
        Self::assemble(canonical)
    }

    /// From the schema message of a stranger: the flatbuffer of an IPC `Message`, without continuation and length.
    /// It is verified and judged before it is converted.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn from_message(header: &[u8]) -> Result<Self> {
        Self::from_message_with_ids(header).map(|(schema, _)| schema)
    }

    /// As [`from_message`](Self::from_message), and the stranger's dictionary ids: at position `id` the one that
    /// became `id` here. Several may be equal, since fields may share a dictionary.
    pub(crate) fn from_message_with_ids(header: &[u8]) -> Result<(Self, Vec<i64>)> {
        let judged = message::verify_schema(header)?;
        policy::judge(&judged)?;
        let missing = index_type::missing(&judged);
        let converted = match missing.is_empty() {
            true => message::convert(judged)?,
            false => {
                // Tables of a stranger may overlap, so what was filled in may have changed anything else.
                let filled = index_type::fill(header, &missing);
                let judged = message::verify_schema(&filled)?;
                policy::judge(&judged)?;
                if !index_type::missing(&judged).is_empty() {
                    return Err(Error::new(
                        codes::SCHEMA_INVALID,
                        "a dictionary has no index type, and shares its bytes",
                    ));
                }
                message::convert(judged)?
            }
        };
        let (canonical, ids) = canonical::number(&converted);
        Ok((Self::assemble(canonical)?, ids))
    }

    /// Every schema there is can be read back from its message: a table whose schema could not would be lost with the
    /// next start of the server. That is so although a stranger's flatbuffer may hold one text for many fields, and be
    /// much smaller than ours.
    fn assemble(canonical: Schema) -> Result<Self> {
        let message = message::encode(&canonical)?;
        policy::judge(&message::verify_schema(&message)?)?;
        let dictionaries = canonical::dictionaries(&canonical).into();
        Ok(Self(Arc::new(Inner { arrow: Arc::new(canonical), message, dictionaries, charge: OnceLock::new() })))
    }

    /// The Arrow schema.
    pub fn arrow(&self) -> &SchemaRef {
        &self.0.arrow
    }

    /// The schema message: the flatbuffer of an IPC `Message`, without continuation and length. Its length is a
    /// multiple of 8.
    pub fn message(&self) -> &Bytes {
        &self.0.message
    }

    /// Whether each column has values of its own and nothing below it: numbers, moments, truth values, text, bytes.
    pub fn is_flat(&self) -> bool {
        self.arrow().fields().iter().all(|field| match field.data_type() {
            DataType::Null | DataType::Boolean | DataType::FixedSizeBinary(_) => true,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => true,
            other => other.is_primitive(),
        })
    }

    /// The value types of the dictionaries, in the order of their ids.
    pub fn dictionaries(&self) -> &[DataType] {
        &self.0.dictionaries
    }

    /// Has the memory of the schema counted, once for all clones, until the last of them is gone.
    pub fn charge(&self, budget: &MemoryBudget) {
        self.0.charge.get_or_init(|| budget.overdraw(MemoryUse::Facts, self.bytes()));
    }

    /// About what it takes in memory.
    fn bytes(&self) -> u64 {
        let metadata = self.0.arrow.metadata().iter().map(|(key, value)| METADATA_BYTES + key.len() + value.len());
        let arrow = self.0.arrow.fields().size() + metadata.sum::<usize>();
        (SCHEMA_BYTES + arrow + self.0.message.len()) as u64
    }

    /// Whether batches of `other` can be appended to a table of this schema: same names, order and types; a column
    /// that may hold nulls here need not in `other`; metadata is not compared, and neither are the names inside lists,
    /// maps and run-end encoded columns, which differ between writers and mean nothing.
    ///
    /// # Errors
    /// `schema_mismatch`, naming the first column that differs with expected and got.
    pub fn accept(&self, other: &TableSchema) -> Result<()> {
        accept::compare(&self.0.arrow, &other.0.arrow)
    }
}

#[cfg(test)]
mod tests;
