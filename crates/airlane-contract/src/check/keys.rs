//! Whether a key comes twice, exact, in bounded memory.
//!
//! Every row's key is written in the form of arrow-row, which is equal where the values are, and goes to one of 64
//! partitions by its hash. Partitions stay in memory up to a budget, then what they hold is appended to the spill. At the
//! end each partition is read in the order of its rows, so that the first row that repeats another one is found; a
//! partition that is itself above the budget is read several times, each time for a share of its hashes.
//!
//! ```text
//! record: row u64 | length u32 | key
//! ```
//!
//! The hash is xxh3-128 with a seed that nobody outside knows, and equal hashes are compared by their keys.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use airlane_model::{ByteSize, Error, Result, codes};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_cast::display::array_value_to_string;
use arrow_row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::yaml::shorten;

const PARTITIONS: u32 = 64;
const HEAD_BYTES: usize = 12;
/// What the table of hashes has for each key, about.
const ENTRY_BYTES: usize = 64;

/// A place outside memory for keys: 64 partitions for each key of a contract, numbered from 0 on.
pub trait Spill: Send {
    /// Appends bytes to a partition.
    ///
    /// # Errors
    /// What the place has; the put ends with it.
    fn append(&mut self, partition: u32, bytes: &[u8]) -> Result<()>;

    /// Gives back all bytes of a partition in the order in which they were appended, in pieces of any size.
    ///
    /// # Errors
    /// Those of the place, and those of `take`.
    fn read(&mut self, partition: u32, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;
}

/// The keys of the rows so far.
pub(super) struct Keys {
    columns: Vec<usize>,
    names: Vec<String>,
    converter: RowConverter,
    partitions: Vec<Partition>,
    partition_first: u32,
    bytes: usize,
    budget: ByteSize,
    hash: fn(&[u8], u64) -> u128,
    seed: u64,
}

#[derive(Default)]
struct Partition {
    memory: Vec<u8>,
    spilled: u64,
    records: u64,
}

/// What the keys were.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Repeats {
    /// Rows that repeat an earlier one.
    pub(super) count: u64,
    pub(super) first: Option<Repeat>,
}

/// The first row that repeats another.
#[derive(Debug, PartialEq)]
pub(super) struct Repeat {
    pub(super) row: u64,
    pub(super) earlier: u64,
    /// The key, for people.
    pub(super) value: String,
}

impl Keys {
    /// Keys of some columns; the `index` of the key among those of the contract says which partitions are its own.
    pub(super) fn new(
        index: usize,
        columns: Vec<(usize, String)>,
        batch: &arrow_schema::Schema,
        budget: ByteSize,
        seed: u64,
    ) -> Result<Self> {
        let fields = columns.iter().map(|(column, _)| SortField::new(batch.field(*column).data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(internal)?;
        let (columns, names) = columns.into_iter().unzip();
        let mut partitions = Vec::new();
        partitions.resize_with(PARTITIONS as usize, Partition::default);
        let partition_first = index as u32 * PARTITIONS;
        Ok(Self {
            columns,
            names,
            converter,
            partitions,
            partition_first,
            bytes: 0,
            budget,
            hash: xxh3_128_with_seed,
            seed,
        })
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the keys of good rows; `rows` are their numbers in the stream.
    pub(super) fn add(
        &mut self,
        batch: &RecordBatch,
        rows: impl Fn(usize) -> u64,
        spill: &mut Option<Box<dyn Spill>>,
    ) -> Result<()> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|column| batch.column(*column).clone()).collect();
        // As in SQL, a null equals nothing.
        let nulls = columns.iter().fold(None, |nulls: Option<NullBuffer>, column| {
            NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
        });
        let keys = self.converter.convert_columns(&columns).map_err(internal)?;
        for (row, key) in keys.iter().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let key = key.data();
            let length = u32::try_from(key.len()).map_err(internal)?;
            let partition = ((self.hash)(key, self.seed) >> 122) as usize;
            let partition = &mut self.partitions[partition];
            let before = partition.memory.capacity();
            partition.memory.extend_from_slice(&rows(row).to_le_bytes());
            partition.memory.extend_from_slice(&length.to_le_bytes());
            partition.memory.extend_from_slice(key);
            partition.records += 1;
            self.bytes += partition.memory.capacity() - before;
        }
        if self.bytes > self.budget.as_usize() { self.spill(spill) } else { Ok(()) }
    }

    fn spill(&mut self, spill: &mut Option<Box<dyn Spill>>) -> Result<()> {
        let Some(spill) = spill else {
            let message = format!("the keys of {} are larger than {}", self.names.join(", "), self.budget);
            return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("put fewer rows at once"));
        };
        for (number, partition) in (self.partition_first..).zip(&mut self.partitions) {
            let memory = std::mem::take(&mut partition.memory);
            if !memory.is_empty() {
                spill.append(number, &memory)?;
                partition.spilled += memory.len() as u64;
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// Looks all keys through.
    pub(super) fn finish(&mut self, spill: &mut Option<Box<dyn Spill>>) -> Result<Repeats> {
        let mut found = Repeats::default();
        let mut first: Option<(u64, u64, Vec<u8>)> = None;
        let partitions = std::mem::take(&mut self.partitions);
        for (number, partition) in (self.partition_first..).zip(partitions) {
            let size = partition.spilled + partition.memory.len() as u64 + partition.records * ENTRY_BYTES as u64;
            let passes = match partition.spilled {
                0 => 1,
                _ => size.div_ceil(self.budget.as_u64().max(1)).max(1),
            };
            for pass in 0..passes {
                let mut seen = Seen::new(self.hash, self.seed, pass, passes);
                if partition.spilled > 0 {
                    let spill = spill.as_mut().ok_or_else(|| internal("the spill is gone"))?;
                    let mut records = Records::default();
                    spill.read(number, &mut |bytes| records.take(bytes, &mut |row, key| seen.add(row, key)))?;
                    if !records.rest.is_empty() {
                        return Err(internal("a record of the spill is cut off"));
                    }
                }
                let mut records = Records::default();
                records.take(&partition.memory, &mut |row, key| seen.add(row, key))?;
                found.count += seen.repeats;
                if let Some(repeat) = seen.first
                    && first.as_ref().is_none_or(|(row, _, _)| repeat.0 < *row)
                {
                    first = Some(repeat);
                }
            }
        }
        self.bytes = 0;
        found.first = match first {
            None => None,
            Some((row, earlier, key)) => Some(Repeat { row, earlier, value: self.show(&key)? }),
        };
        Ok(found)
    }

    fn show(&self, key: &[u8]) -> Result<String> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows([parser.parse(key)]).map_err(internal)?;
        let values: Result<Vec<String>> =
            columns.iter().map(|column| Ok(shorten(&array_value_to_string(column, 0).map_err(internal)?))).collect();
        Ok(values?.join(", "))
    }

    /// With a hash that collides, for tests of what then happens.
    #[cfg(test)]
    pub(super) fn with_hash(mut self, hash: fn(&[u8], u64) -> u128) -> Self {
        self.hash = hash;
        self
    }
}

fn internal(error: impl ToString) -> Error {
    Error::new(codes::INTERNAL, format!("keys of a contract: {}", error.to_string()))
}

/// Cuts a stream of bytes into records.
#[derive(Default)]
struct Records {
    rest: Vec<u8>,
}

impl Records {
    fn take(&mut self, bytes: &[u8], one: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let joined;
        let mut left = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            &joined[..]
        };
        while let Some((head, after)) = left.split_at_checked(HEAD_BYTES) {
            let mut row = [0; 8];
            let mut length = [0; 4];
            row.copy_from_slice(&head[..8]);
            length.copy_from_slice(&head[8..]);
            let Some((key, after)) = after.split_at_checked(u32::from_le_bytes(length) as usize) else { break };
            one(u64::from_le_bytes(row), key)?;
            left = after;
        }
        self.rest = left.to_vec();
        Ok(())
    }
}

/// The keys of one pass over one partition.
struct Seen {
    passes: u64,
    pass: u64,
    hash: fn(&[u8], u64) -> u128,
    seed: u64,
    /// Hash to row and key; what else has the same hash is in `others`.
    by_hash: HashMap<u128, (u64, Span), BuildHasherDefault<Folded>>,
    others: HashMap<Vec<u8>, u64>,
    keys: Vec<u8>,
    repeats: u64,
    first: Option<(u64, u64, Vec<u8>)>,
}

type Span = (usize, usize);

impl Seen {
    fn new(hash: fn(&[u8], u64) -> u128, seed: u64, pass: u64, passes: u64) -> Self {
        Self {
            passes,
            pass,
            hash,
            seed,
            by_hash: HashMap::default(),
            others: HashMap::new(),
            keys: Vec::new(),
            repeats: 0,
            first: None,
        }
    }

    fn add(&mut self, row: u64, key: &[u8]) -> Result<()> {
        let hash = (self.hash)(key, self.seed);
        // Neither the bits that chose the partition nor those that the table of hashes goes by.
        if self.passes > 1 && ((hash >> 64) as u64 & (u64::MAX >> 6)) % self.passes != self.pass {
            return Ok(());
        }
        let earlier = match self.by_hash.get(&hash) {
            None => {
                let from = self.keys.len();
                self.keys.extend_from_slice(key);
                self.by_hash.insert(hash, (row, (from, self.keys.len())));
                None
            }
            Some((earlier, (from, to))) if &self.keys[*from..*to] == key => Some(*earlier),
            Some(_) => match self.others.get(key) {
                Some(earlier) => Some(*earlier),
                None => {
                    self.others.insert(key.to_vec(), row);
                    None
                }
            },
        };
        if let Some(earlier) = earlier {
            self.repeats += 1;
            if self.first.as_ref().is_none_or(|(first, _, _)| row < *first) {
                self.first = Some((row, earlier, key.to_vec()));
            }
        }
        Ok(())
    }
}

/// What is hashed already needs no more than its lower half.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

#[cfg(test)]
mod tests;
