//! What is asked of a store, with everything ready but the commit.

use std::sync::Arc;

use airlane_model::{Chance, Durability, PutMode, RetentionChange, SegmentId, TableId, TableName};
use airlane_segment::segment::Dictionary;
use airlane_segment::{Segment, TableSchema};

use crate::catalog::{NewSegment, Place, StoredDictionary, StoredSegment};
use crate::keys::RequestKey;
use crate::slot::SegmentRef;
use crate::uptime::Uptime;

/// A segment that is written, sealed and, where that is asked for, synced.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) new: NewSegment,
    pub(crate) segment: Arc<Segment>,
}

impl Written {
    /// Names a segment, and says where its bytes are kept: in the file they are in, in the catalog when they are few,
    /// or in memory for an ephemeral table.
    pub(crate) fn new(segment: Segment, durability: Durability, chance: &dyn Chance) -> Self {
        let file = segment.label().map(|label| SegmentId::from_bytes(label.to_be_bytes()));
        let place = match (durability, file) {
            (Durability::Ephemeral, _) => Place::Memory,
            (Durability::Durable, Some(_)) => Place::File,
            (Durability::Durable, None) => Place::Catalog,
        };
        let bytes = segment.file_bytes();
        let dictionary = |dictionary: &Dictionary| StoredDictionary {
            hash: dictionary.hash,
            bytes: dictionary.message.body.len() as u64,
        };
        let facts = StoredSegment {
            // What memory had no room for lies in a file that it shares with others.
            id: file.filter(|_| place == Place::File).unwrap_or_else(|| SegmentId::random(chance)),
            rows: segment.rows(),
            payload_bytes: segment.payload_bytes(),
            file_bytes: bytes.len() as u64,
            // What never leaves this process needs none.
            checksum: if place == Place::Memory { 0 } else { segment.checksum() },
            place,
            dictionaries: segment.dictionaries().iter().map(dictionary).collect(),
            // Its commit knows.
            uptime: Uptime::default(),
        };
        let body = (place == Place::Catalog).then_some(bytes);
        Self { new: NewSegment { facts, body }, segment: Arc::new(segment) }
    }
}

/// A put whose segments are ready.
#[derive(Debug)]
pub(crate) struct PutRequest {
    pub(crate) table: TableName,
    pub(crate) mode: PutMode,
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) retention: RetentionChange,
    pub(crate) schema: TableSchema,
    pub(crate) rows: u64,
    pub(crate) segments: Vec<Written>,
    pub(crate) key: Option<Box<RequestKey>>,
}

/// A merge whose segments are ready.
#[derive(Debug)]
pub(crate) struct MergeRequest {
    pub(crate) table: TableName,
    pub(crate) id: TableId,
    pub(crate) old: Vec<SegmentRef>,
    pub(crate) new: Vec<Written>,
}
