//! Finds values by their content.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use arrow_array::ArrayRef;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{ArrowError, DataType};

/// The values of a union in arrow's row format, which is equal exactly where the values are, for any type.
#[derive(Debug)]
pub(super) struct Index {
    converter: RowConverter,
    rows: Vec<u8>,
    ends: Vec<usize>,
    /// The last position with this hash; `before` leads to the earlier ones. The hash is keyed by chance, so that
    /// nobody can choose values that collide.
    last: HashMap<u64, u32>,
    before: Vec<Option<u32>>,
    hasher: RandomState,
}

impl Index {
    pub(super) fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(Self {
            converter: RowConverter::new(vec![SortField::new(data_type.clone())])?,
            rows: Vec::new(),
            ends: Vec::new(),
            last: HashMap::new(),
            before: Vec::new(),
            hasher: RandomState::new(),
        })
    }

    pub(super) fn rows(&self, values: &ArrayRef) -> Result<Rows, ArrowError> {
        self.converter.convert_columns(std::slice::from_ref(values))
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The first position that holds this row.
    pub(super) fn find(&self, row: &[u8]) -> Option<u32> {
        let mut found = None;
        let mut next = self.last.get(&self.hasher.hash_one(row)).copied();
        while let Some(position) = next {
            if self.row(position) == row {
                found = Some(position);
            }
            next = self.before.get(position as usize).copied().flatten();
        }
        found
    }

    /// Adds a row at the next position.
    pub(super) fn push(&mut self, row: &[u8]) {
        let position = self.len() as u32;
        self.rows.extend_from_slice(row);
        self.ends.push(self.rows.len());
        self.before.push(self.last.insert(self.hasher.hash_one(row), position));
    }

    fn row(&self, position: u32) -> &[u8] {
        let position = position as usize;
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.rows[start..self.ends[position]]
    }
}
