//! The dictionaries of one stream: those that hold now, and what they cost so far.
//!
//! A delta is put aside until a batch needs the values in one piece: joining them for every delta would copy the whole
//! dictionary each time. What is copied in all is bounded by what arrived.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use airlane_model::error::codes::{
    DATA_INVALID, LIMIT_EXCEEDED, MESSAGE_INVALID, MESSAGE_ORDER_INVALID, SCHEMA_INVALID,
};
use airlane_model::{ByteSize, Error, Result};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Schema, SchemaRef, UnionMode};

use crate::check::DecodeLimits;
use crate::check::layout::Layout;
use crate::schema::canonical::children;

/// The dictionaries of a stream. A stranger's ids are mapped to ours; several of ours may share one of his.
pub(super) struct Dictionaries {
    slots: HashMap<i64, Slot>,
    /// The values that hold, by our ids, where arrow-ipc's decoder looks for them.
    values: HashMap<i64, ArrayRef>,
    messages: u64,
    /// The bodies of all messages as they arrived.
    received_bytes: u64,
    copied_bytes: u64,
}

/// What joining deltas may copy in all: so many bytes, and so many times what arrived.
const COPIED_BYTES_FREE: ByteSize = ByteSize::gib(1);
const COPIED_RATIO_MAX: u64 = 256;

/// Deltas that are put aside at most; then they become one, so that tiny ones do not cost many times their bytes.
const DELTAS_MAX: usize = 1024;

/// One dictionary of the stranger.
pub(super) struct Slot {
    own_ids: Vec<i64>,
    /// The values as a record batch of one column, which is how they are sent.
    pub(super) schema: SchemaRef,
    pub(super) layout: Layout,
    /// Whether the values hold dictionaries themselves.
    pub(super) is_nested: bool,
    /// Deltas that are not joined to the values yet.
    deltas: Vec<ArrayRef>,
    /// What the values and deltas keep in memory.
    bytes: u64,
}

impl Dictionaries {
    /// `stranger_ids` holds for each of our ids the one that the stranger uses.
    ///
    /// # Errors
    /// `schema_invalid` for two fields of different types that share a dictionary.
    pub(super) fn new(types: &[DataType], stranger_ids: &[i64]) -> Result<Self> {
        let mut slots: HashMap<i64, Slot> = HashMap::new();
        for (own_id, (data_type, stranger_id)) in types.iter().zip(stranger_ids).enumerate() {
            let slot = slots.entry(*stranger_id).or_insert_with(|| {
                let column = Field::new("", data_type.clone(), true);
                let layout = Layout::of([&column]);
                let schema = Arc::new(Schema::new(vec![column]));
                let is_dictionary = |field: &&Field| matches!(field.data_type(), DataType::Dictionary(_, _));
                let is_nested = schema.flattened_fields().iter().any(is_dictionary);
                Slot { own_ids: Vec::new(), schema, layout, is_nested, deltas: Vec::new(), bytes: 0 }
            });
            if slot.schema.field(0).data_type() != data_type {
                let expected = slot.schema.field(0).data_type();
                return Err(Error::new(
                    SCHEMA_INVALID,
                    format!(
                        "two columns share dictionary {stranger_id}, with values of type {expected} and {data_type}"
                    ),
                ));
            }
            slot.own_ids.push(own_id as i64);
        }
        Ok(Self { slots, values: HashMap::new(), messages: 0, received_bytes: 0, copied_bytes: 0 })
    }

    /// Counts the body of a message.
    pub(super) fn receive(&mut self, body_bytes: u64) {
        self.received_bytes = self.received_bytes.saturating_add(body_bytes);
    }

    /// Joins the deltas to the values: there are [`values`](Self::values) in one piece from here on.
    pub(super) fn settle(&mut self) -> Result<()> {
        let copied_max = self.copied_bytes_max();
        for (id, slot) in self.slots.iter_mut().filter(|(_, slot)| !slot.deltas.is_empty()) {
            let before = slot.own_ids.first().and_then(|own_id| self.values.get(own_id));
            let deltas = std::mem::take(&mut slot.deltas);
            self.copied_bytes = judge_copied(self.copied_bytes, slot.bytes, copied_max, *id)?;
            let all: Vec<&dyn Array> = before.into_iter().chain(&deltas).map(AsRef::as_ref).collect();
            let values = join(&all).map_err(|error| error.at(place(*id)))?;
            for own_id in &slot.own_ids {
                self.values.insert(*own_id, values.clone());
            }
        }
        Ok(())
    }

    fn copied_bytes_max(&self) -> u64 {
        self.received_bytes.saturating_mul(COPIED_RATIO_MAX).max(COPIED_BYTES_FREE.as_u64())
    }

    /// The values that hold, by our ids, without the deltas that came after the last [`settle`](Self::settle).
    pub(super) fn values(&self) -> &HashMap<i64, ArrayRef> {
        &self.values
    }

    /// Judges the id of the next dictionary message, before its values are looked at.
    pub(super) fn judge(&self, id: i64, is_delta: bool, limits: &DecodeLimits) -> Result<&Slot> {
        let Some(slot) = self.slots.get(&id) else {
            return Err(Error::new(MESSAGE_INVALID, format!("dictionary {id} is not in the schema")).at(place(id)));
        };
        if self.messages >= limits.dictionaries_max {
            let limit = limits.dictionaries_max;
            return Err(Error::new(LIMIT_EXCEEDED, format!("more than {limit} dictionary messages in one stream"))
                .hint("unify the dictionaries before sending, or send deltas of more values at a time"));
        }
        if is_delta && !self.is_known(slot) {
            return Err(
                Error::new(MESSAGE_ORDER_INVALID, "a delta of a dictionary that was not sent yet").at(place(id))
            );
        }
        if is_delta && is_shared(slot.schema.field(0)) {
            let message = "deltas of values that may share their memory (list views, dense unions) are not taken";
            return Err(Error::new(LIMIT_EXCEEDED, message).at(place(id)).hint("send the whole dictionary again"));
        }
        Ok(slot)
    }

    fn is_known(&self, slot: &Slot) -> bool {
        slot.own_ids.first().is_some_and(|own_id| self.values.contains_key(own_id))
    }

    /// Takes the validated values of a message that was judged, which keep `held_bytes` in memory.
    pub(super) fn take(
        &mut self,
        id: i64,
        is_delta: bool,
        values: ArrayRef,
        held_bytes: u64,
        limits: &DecodeLimits,
    ) -> Result<()> {
        let copied_max = self.copied_bytes_max();
        let resident: u64 = self.slots.iter().filter(|(other, _)| **other != id).map(|(_, slot)| slot.bytes()).sum();
        let Some(slot) = self.slots.get_mut(&id) else {
            return Err(Error::new(MESSAGE_INVALID, format!("dictionary {id} is not in the schema")).at(place(id)));
        };
        // A value counts for a byte at least, since there are types whose values take none.
        let added = held_bytes.max(values.len() as u64);
        let before = std::mem::replace(&mut slot.bytes, added);
        if is_delta {
            slot.bytes = slot.bytes.saturating_add(before);
        }
        if resident.saturating_add(slot.bytes()) > limits.dictionary_bytes_max.as_u64() {
            slot.bytes = before;
            let limit = limits.dictionary_bytes_max;
            return Err(Error::new(LIMIT_EXCEEDED, format!("the dictionaries of the stream are larger than {limit}"))
                .at(place(id))
                .hint("send such columns without a dictionary"));
        }
        self.messages += 1;
        if !is_delta {
            slot.deltas.clear();
            for own_id in &slot.own_ids {
                self.values.insert(*own_id, values.clone());
            }
            return Ok(());
        }
        slot.deltas.push(values);
        if slot.deltas.len() >= DELTAS_MAX {
            let all: Vec<&dyn Array> = slot.deltas.iter().map(AsRef::as_ref).collect();
            let bytes = all.iter().map(|delta| delta.get_buffer_memory_size() as u64).sum();
            self.copied_bytes = judge_copied(self.copied_bytes, bytes, copied_max, id)?;
            slot.deltas = vec![join(&all).map_err(|error| error.at(place(id)))?];
        }
        Ok(())
    }
}

impl Slot {
    /// What the dictionary takes: each of our ids gets values of its own where they are laid out.
    fn bytes(&self) -> u64 {
        self.bytes.saturating_mul(self.own_ids.len() as u64)
    }
}

/// The bytes that were copied with these.
fn judge_copied(so_far: u64, bytes: u64, bytes_max: u64, id: i64) -> Result<u64> {
    let copied = so_far.saturating_add(bytes);
    if copied <= bytes_max {
        return Ok(copied);
    }
    let message = "the deltas of the stream are too small for the dictionaries that they extend";
    Err(Error::new(LIMIT_EXCEEDED, message).at(place(id)).hint("send deltas of more values at a time"))
}

fn place(id: i64) -> String {
    format!("dictionary {id}")
}

/// Whether values may share memory on any level: joining them would write what is shared once for each of them.
fn is_shared(field: &Field) -> bool {
    let shares = |data_type: &DataType| {
        matches!(data_type, DataType::ListView(_) | DataType::LargeListView(_) | DataType::Union(_, UnionMode::Dense))
    };
    shares(field.data_type()) || children(field.data_type()).into_iter().any(is_shared)
}

fn join(parts: &[&dyn Array]) -> Result<ArrayRef> {
    let joined = catch_unwind(AssertUnwindSafe(|| arrow_select::concat::concat(parts)));
    match joined {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(Error::new(DATA_INVALID, "the delta does not fit the dictionary").source(error)),
        Err(_) => Err(Error::new(DATA_INVALID, "the delta does not fit the dictionary")),
    }
}
