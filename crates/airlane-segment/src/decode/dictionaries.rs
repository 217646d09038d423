//! The dictionaries of one stream: those that hold now, and what they cost so far.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use airlane_model::error::codes::{
    DATA_INVALID, LIMIT_EXCEEDED, MESSAGE_INVALID, MESSAGE_ORDER_INVALID, SCHEMA_INVALID,
};
use airlane_model::{ByteSize, Error, Result, limits};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::check::DecodeLimits;
use crate::check::layout::Layout;

/// The dictionaries of a stream. A stranger's ids are mapped to ours; several of ours may share one of his.
pub(super) struct Dictionaries {
    slots: HashMap<i64, Slot>,
    /// The values that hold, by our ids, where arrow-ipc's decoder looks for them.
    values: HashMap<i64, ArrayRef>,
    messages: u64,
    bytes_total: u64,
}

/// One dictionary of the stranger.
pub(super) struct Slot {
    own_ids: Vec<i64>,
    /// The values as a record batch of one column, which is how they are sent.
    pub(super) schema: SchemaRef,
    pub(super) layout: Layout,
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
                Slot { own_ids: Vec::new(), schema, layout, bytes: 0 }
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
        Ok(Self { slots, values: HashMap::new(), messages: 0, bytes_total: 0 })
    }

    /// The values that hold, by our ids.
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
        Ok(slot)
    }

    fn is_known(&self, slot: &Slot) -> bool {
        slot.own_ids.first().is_some_and(|own_id| self.values.contains_key(own_id))
    }

    /// Takes the validated values of a message that was judged.
    pub(super) fn take(&mut self, id: i64, is_delta: bool, values: ArrayRef, limits: &DecodeLimits) -> Result<()> {
        let resident: u64 = self.slots.iter().filter(|(other, _)| **other != id).map(|(_, slot)| slot.bytes).sum();
        let Some(slot) = self.slots.get_mut(&id) else {
            return Err(Error::new(MESSAGE_INVALID, format!("dictionary {id} is not in the schema")).at(place(id)));
        };
        let added = bytes(&values);
        let bytes = if is_delta { slot.bytes.saturating_add(added) } else { added };
        if resident.saturating_add(bytes) > limits.dictionary_bytes_max.as_u64() {
            let limit = limits.dictionary_bytes_max;
            return Err(Error::new(LIMIT_EXCEEDED, format!("the dictionaries of the stream are larger than {limit}"))
                .at(place(id))
                .hint("send such columns without a dictionary"));
        }
        let total_max = limits.dictionaries_max.saturating_mul(limits::DICTIONARY_BYTES_MAX.as_u64());
        self.messages += 1;
        self.bytes_total = self.bytes_total.saturating_add(bytes);
        if self.bytes_total > total_max {
            let limit = ByteSize::bytes(total_max);
            return Err(Error::new(LIMIT_EXCEEDED, format!("the stream sent dictionaries of more than {limit}"))
                .at(place(id))
                .hint("unify the dictionaries before sending"));
        }
        let before = slot.own_ids.first().and_then(|own_id| self.values.get(own_id));
        let values = match before {
            Some(before) if is_delta => append(before, &values).map_err(|error| error.at(place(id)))?,
            _ => values,
        };
        slot.bytes = bytes;
        for own_id in &slot.own_ids {
            self.values.insert(*own_id, values.clone());
        }
        Ok(())
    }
}

fn place(id: i64) -> String {
    format!("dictionary {id}")
}

/// What the values take, without the slack of the allocations that they point into. A value counts for a byte at least,
/// since there are types whose values take none.
fn bytes(values: &ArrayRef) -> u64 {
    let bytes = values.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
    bytes.max(values.len()) as u64
}

fn append(before: &ArrayRef, added: &ArrayRef) -> Result<ArrayRef> {
    let joined = catch_unwind(AssertUnwindSafe(|| arrow_select::concat::concat(&[before, added])));
    match joined {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(Error::new(DATA_INVALID, "the delta does not fit the dictionary").source(error)),
        Err(_) => Err(Error::new(DATA_INVALID, "the delta does not fit the dictionary")),
    }
}
