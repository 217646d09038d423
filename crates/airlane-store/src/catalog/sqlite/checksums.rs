//! The checksum of a row: over every column of it that its reader takes over, and over the id of its table, so that a
//! row which came to stand under another table does not match either.
//!
//! Numbers go in as 8 bytes, little-endian, texts and blobs after their length. The bytes of a segment have a checksum
//! of their own, which is one of the columns here; of them only says where they are.

use xxhash_rust::xxh3::Xxh3;

/// A row of `tables`.
#[derive(Clone, Debug)]
pub(super) struct TableRow {
    pub(super) key: i64,
    pub(super) id: Vec<u8>,
    pub(super) name: Vec<u8>,
    pub(super) created: i64,
    /// The current version; 0 before the first.
    pub(super) version: i64,
    /// Rows of `versions` that belong to it.
    pub(super) versions: i64,
    /// Rows of `segments` that belong to it.
    pub(super) segments: i64,
    pub(super) schema: Vec<u8>,
    /// As [`write_retention`](super::retention::write_retention) has it; empty in layouts that had none.
    pub(super) retention: Vec<u8>,
    /// Empty for nobody, and in layouts that had none.
    pub(super) owner: Vec<u8>,
}

impl TableRow {
    pub(super) fn checksum(&self) -> i64 {
        // Not over the key: rows of the other two that are no longer found by it are missed by their number.
        let mut sum = Sum::new(1, &self.id);
        sum.blob(&self.name);
        sum.numbers(&[self.created, self.version, self.versions, self.segments]);
        sum.blob(&self.schema);
        sum.later_blob(&self.retention);
        if !self.owner.is_empty() {
            // Not to be taken for a retention.
            sum.numbers(&[i64::MIN]);
            sum.blob(&self.owner);
        }
        sum.value()
    }
}

/// A row of `versions`.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionRow {
    pub(super) version: i64,
    pub(super) rows: i64,
    pub(super) bytes: i64,
    pub(super) committed: i64,
    /// 0 in layouts that had none.
    pub(super) uptime: i64,
    /// 0 when it is a put itself.
    pub(super) put: i64,
}

impl VersionRow {
    pub(super) fn checksum(&self, table: &[u8]) -> i64 {
        let mut sum = Sum::new(2, table);
        sum.numbers(&[self.version, self.rows, self.bytes, self.committed]);
        sum.later_number(self.uptime);
        sum.later_number(self.put);
        sum.value()
    }
}

/// A row of `segments`, without its body.
#[derive(Clone, Debug)]
pub(super) struct SegmentRow {
    pub(super) position: i64,
    pub(super) id: Vec<u8>,
    pub(super) rows: i64,
    pub(super) payload_bytes: i64,
    pub(super) file_bytes: i64,
    pub(super) checksum: i64,
    pub(super) dictionaries: Vec<u8>,
    pub(super) has_body: bool,
    /// 0 in layouts that had none.
    pub(super) uptime: i64,
}

impl SegmentRow {
    pub(super) fn row_checksum(&self, table: &[u8]) -> i64 {
        let mut sum = Sum::new(3, table);
        sum.blob(&self.id);
        sum.numbers(&[self.position, self.rows, self.payload_bytes, self.file_bytes, self.checksum]);
        sum.blob(&self.dictionaries);
        sum.numbers(&[self.has_body.into()]);
        sum.later_number(self.uptime);
        sum.value()
    }
}

/// The checksum of the row of `uptime`.
pub(super) fn uptime_checksum(micros: i64) -> i64 {
    let mut sum = Sum::new(4, &[]);
    sum.numbers(&[micros]);
    sum.value()
}

/// The checksum of the row of `upgraded`.
pub(super) fn upgraded_checksum(micros: i64) -> i64 {
    let mut sum = Sum::new(6, &[]);
    sum.numbers(&[micros]);
    sum.value()
}

/// The checksum of a row of `counts`.
pub(super) fn count_checksum(id: &[u8], numbers: &[i64]) -> i64 {
    let mut sum = Sum::new(5, id);
    sum.numbers(numbers);
    sum.value()
}

/// xxh3-64 of the columns of a row.
pub(super) struct Sum(Xxh3);

impl Sum {
    /// Begins with which kind of row it is, and with the id of its table.
    pub(super) fn new(kind: i64, table: &[u8]) -> Self {
        let mut sum = Self(Xxh3::new());
        sum.numbers(&[kind]);
        sum.blob(table);
        sum
    }

    pub(super) fn numbers(&mut self, numbers: &[i64]) {
        numbers.iter().for_each(|number| self.0.update(&number.to_le_bytes()));
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// A column that layouts before did not have. With the value that it has in their rows it does not count, so that
    /// the checksums of these rows stay what they are.
    fn later_blob(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.blob(bytes);
        }
    }

    /// As [`later_blob`](Self::later_blob).
    fn later_number(&mut self, number: i64) {
        if number != 0 {
            self.numbers(&[number]);
        }
    }

    pub(super) fn value(&self) -> i64 {
        self.0.digest().cast_signed()
    }
}
