//! The values of one dictionary in one segment.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, PrimitiveArray, UInt32Array, downcast_integer_array, new_empty_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::comparable;
use super::index::Index;
use super::{Refusal, is_same};
use crate::encode::Encoded;

/// The union of what the batches of a segment brought under one id.
///
/// Two ways in. While the incoming values are those of the union, or an extension of them, they *are* the union and
/// indices stay as they are: the way of a stream with one dictionary, or with deltas. Otherwise the values that a batch
/// uses, and only those, are looked up and added, and its indices are rewritten.
#[derive(Debug)]
pub(super) struct Union {
    value_type: DataType,
    /// Values that the index type can tell apart.
    len_max: usize,
    /// Up to which values that no index uses are taken along.
    adopted_bytes_max: u64,
    chunks: Vec<ArrayRef>,
    len: usize,
    bytes: u64,
    index: Option<Index>,
    source: Option<Source>,
    /// Whether values can be looked up, see [`comparable`].
    is_comparable: bool,
}

/// The dictionary that came last.
#[derive(Debug)]
struct Source {
    /// As it came.
    raw: ArrayRef,
    /// With the dictionaries inside it rewritten.
    values: ArrayRef,
    targets: Targets,
}

/// Where the values of a source are in the union.
#[derive(Debug)]
enum Targets {
    /// At the same positions.
    Same,
    /// Looked up one by one as they are used.
    Mapped(Vec<u32>),
}

const UNKNOWN: u32 = u32::MAX;

impl Union {
    pub(super) fn new(index_type: &DataType, value_type: DataType, adopted_bytes_max: u64) -> Self {
        let bits = 8 * index_type.primitive_width().unwrap_or(1) as u32 - u32::from(index_type.is_signed_integer());
        // Positions are counted in 32 bits, of which the last value marks the unknown.
        let len_max = 1usize.checked_shl(bits).unwrap_or(usize::MAX).min(UNKNOWN as usize);
        Self {
            value_type,
            len_max,
            adopted_bytes_max,
            chunks: Vec::new(),
            len: 0,
            bytes: 0,
            index: None,
            source: None,
            is_comparable: true,
        }
    }

    pub(super) fn knows(&self, raw: &ArrayRef) -> bool {
        self.source.as_ref().is_some_and(|source| is_same(&source.raw, raw))
    }

    /// Takes the values that the next indices refer to.
    pub(super) fn enter(&mut self, raw: &ArrayRef, values: ArrayRef) -> Result<(), Refusal> {
        let is_comparable = comparable::is_comparable(&values);
        let targets = if self.chunks.is_empty() && !is_comparable {
            // No index reaches further, whatever else the dictionary holds.
            self.begin(values.slice(0, values.len().min(self.len_max)));
            Targets::Same
        } else if !self.fits(&values, is_comparable) {
            return Err(Refusal::Apart);
        } else if self.adopt(&values) {
            Targets::Same
        } else {
            Targets::Mapped(vec![UNKNOWN; values.len()])
        };
        self.is_comparable = is_comparable;
        self.source = Some(Source { raw: raw.clone(), values, targets });
        Ok(())
    }

    /// Whether values can be joined to those that are there.
    fn fits(&self, values: &ArrayRef, is_comparable: bool) -> bool {
        let is_alike = |first: &ArrayRef| first.data_type() == values.data_type();
        self.chunks.first().is_none_or(|first| is_comparable && self.is_comparable && is_alike(first))
    }

    /// Makes the values the union, if that changes no index.
    fn adopt(&mut self, values: &ArrayRef) -> bool {
        if let Some(first) = self.chunks.first() {
            let common = first.len().min(values.len());
            if first.slice(0, common).to_data() != values.slice(0, common).to_data() {
                return false;
            }
            if values.len() <= first.len() {
                return true;
            }
            if self.chunks.len() > 1 {
                return false;
            }
        }
        if values.len() > self.len_max || values_bytes(values) > self.adopted_bytes_max {
            return false;
        }
        self.begin(values.clone());
        true
    }

    fn begin(&mut self, values: ArrayRef) {
        (self.len, self.bytes, self.index) = (values.len(), values_bytes(&values), None);
        self.chunks = vec![values];
    }

    /// Rewrites indices into the source to indices into the union.
    ///
    /// The union takes values up to `bytes_max`, and the first of a segment whatever they are.
    pub(super) fn rewrite(&mut self, indices: &dyn Array, bytes_max: u64) -> Result<ArrayRef, Refusal> {
        let Some(mut source) = self.source.take() else {
            return Err(ArrowError::InvalidArgumentError("indices before values".to_owned()).into());
        };
        let rewritten = match &mut source.targets {
            Targets::Same => indices.slice(0, indices.len()),
            Targets::Mapped(targets) => downcast_integer_array! {
                indices => {
                    let fresh = unknown(indices, targets);
                    if !fresh.is_empty() {
                        self.place(&source.values, fresh, targets, bytes_max)?;
                    }
                    Arc::new(mapped(indices, targets)) as ArrayRef
                },
                other => Err(ArrowError::InvalidArgumentError(format!("`{other}` is no index type")))?,
            },
        };
        self.source = Some(source);
        Ok(rewritten)
    }

    /// Looks up the values at `fresh`, and adds those that the union does not have.
    fn place(
        &mut self,
        values: &ArrayRef,
        fresh: Vec<u32>,
        targets: &mut [u32],
        bytes_max: u64,
    ) -> Result<(), Refusal> {
        if self.bytes > bytes_max {
            return Err(Refusal::Full);
        }
        let taken = take(values, &UInt32Array::from(fresh.clone()), None)?;
        if self.len == 0 && values_bytes(&taken) > bytes_max {
            // Nothing will be added to these, so that they need not be found again: that would take twice their bytes.
            fresh.iter().zip(0..).for_each(|(position, target)| targets[*position as usize] = target);
            self.begin(taken);
            return Ok(());
        }
        let mut index = match self.index.take() {
            Some(index) => index,
            None => {
                let mut index = Index::new(taken.data_type())?;
                for chunk in self.chunks.iter().flat_map(slices) {
                    index.rows(&chunk)?.iter().for_each(|row| index.push(row.data()));
                }
                index
            }
        };
        let mut added = Vec::new();
        let mut positions = 0..;
        for slice in slices(&taken) {
            for (row, position) in index.rows(&slice)?.iter().zip(&mut positions) {
                let target = index.find(row.data()).unwrap_or_else(|| {
                    added.push(position);
                    index.push(row.data());
                    index.len() as u32 - 1
                });
                targets[fresh[position as usize] as usize] = target;
            }
        }
        if added.is_empty() {
            self.index = Some(index);
            return Ok(());
        }
        let chunk = match added.len() == taken.len() {
            true => taken,
            false => take(&taken, &UInt32Array::from(added), None)?,
        };
        let (len, bytes) = (self.len + chunk.len(), self.bytes + values_bytes(&chunk));
        if self.len > 0 && len > self.len_max {
            return Err(Refusal::Apart);
        }
        if self.len > 0 && bytes > bytes_max {
            return Err(Refusal::Full);
        }
        self.chunks.push(chunk);
        (self.len, self.bytes, self.index) = (len, bytes, Some(index));
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn values(&self) -> Result<ArrayRef, ArrowError> {
        match self.chunks.as_slice() {
            [] => Ok(new_empty_array(&self.value_type)),
            [chunk] => Ok(chunk.clone()),
            chunks => concat(&chunks.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
        }
    }

    /// Forgets the values.
    pub(super) fn reset(&mut self) {
        (self.chunks, self.len, self.bytes) = (Vec::new(), 0, 0);
        (self.index, self.source, self.is_comparable) = (None, None, true);
    }
}

/// Values that are brought into comparable form at a time.
const SLICE_ROWS: usize = 1024;

fn slices(values: &ArrayRef) -> impl Iterator<Item = ArrayRef> {
    let slice = |start| values.slice(start, SLICE_ROWS.min(values.len() - start));
    (0..values.len()).step_by(SLICE_ROWS).map(slice)
}

/// The bytes of the values when written.
fn values_bytes(values: &ArrayRef) -> u64 {
    Encoded::columns(values.len(), std::slice::from_ref(values)).body_bytes()
}

/// The positions in the source, each once, that are used and not placed yet.
fn unknown<K: ArrowPrimitiveType<Native: ArrowNativeType>>(
    indices: &PrimitiveArray<K>,
    targets: &mut [u32],
) -> Vec<u32> {
    let mut fresh = Vec::new();
    for position in indices.iter().flatten().map(ArrowNativeType::as_usize) {
        if targets[position] == UNKNOWN {
            // Anything known, until `place` says where it is.
            targets[position] = 0;
            fresh.push(position as u32);
        }
    }
    fresh
}

fn mapped<K: ArrowPrimitiveType<Native: ArrowNativeType>>(
    indices: &PrimitiveArray<K>,
    targets: &[u32],
) -> PrimitiveArray<K> {
    let target = |index: Option<K::Native>| {
        let target = index.map_or(0, |index| targets[index.as_usize()]);
        // A union never has more values than its index type can tell apart.
        K::Native::from_usize(target as usize).unwrap_or_default()
    };
    PrimitiveArray::new(indices.iter().map(target).collect(), indices.nulls().cloned())
}
