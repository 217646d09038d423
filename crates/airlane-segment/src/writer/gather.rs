//! Small batches wait here until they make one message.

use std::sync::Arc;

use airlane_model::Result;
use arrow_array::{Array, ArrayRef};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Schema, SchemaRef, UnionMode};
use arrow_select::concat::concat;

use super::fault;
use super::slices::Part;
use crate::decode;
use crate::encode::Encoded;

/// Batches that wait. Their dictionaries are indices already.
#[derive(Debug)]
pub(super) struct Gather {
    waiting: Vec<Vec<ArrayRef>>,
    /// As the waiting batches came.
    schema: Option<SchemaRef>,
    rows: usize,
    buffer_bytes: u64,
    elements: usize,
    elements_max: usize,
    is_open: bool,
}

/// Batches that wait at most; then they become one that waits on, so that a flood of single rows does not cost many
/// times its bytes.
const WAITING_MAX: usize = 1024;

/// What a batch that waits may keep in memory beyond twice its body. All that wait together keep 8 MiB.
const HELD_BYTES_FREE: u64 = 8 << 10;

/// Elements on any level that gathered batches may have together. Bytes do not bound them (a list of nulls has none),
/// and 32-bit offsets would overflow.
const ELEMENTS_MAX: usize = 1 << 30;

impl Gather {
    pub(super) fn new(schema: &Schema) -> Self {
        let fields = schema.flattened_fields();
        let any = |is: fn(&DataType) -> bool| fields.iter().any(|field| is(field.data_type()));
        let elements_max = if any(has_short_runs) { i16::MAX as usize } else { ELEMENTS_MAX };
        Self {
            waiting: Vec::new(),
            schema: None,
            rows: 0,
            buffer_bytes: 0,
            elements: 0,
            elements_max,
            is_open: !any(is_shared),
        }
    }

    pub(super) fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a part can be joined to those that wait.
    pub(super) fn takes(&self, part: &Part) -> bool {
        let Some(schema) = &self.schema else { return true };
        self.is_open
            && is_alike(schema, part.batch.schema_ref())
            && self.elements.saturating_add(part.elements_max) <= self.elements_max
    }

    pub(super) fn push(&mut self, part: &Part, columns: Vec<ArrayRef>) -> Result<()> {
        // A few rows would keep the body that they came in, however large it is.
        let columns = match held_bytes(&columns) > part.body_bytes.saturating_mul(2).saturating_add(HELD_BYTES_FREE) {
            true => copy(part.batch.num_rows(), &columns)?,
            false => columns,
        };
        if self.waiting.len() >= WAITING_MAX {
            let joined = join(&self.waiting)?;
            self.waiting = vec![joined];
        }
        self.waiting.push(columns);
        self.schema = Some(part.batch.schema());
        self.rows += part.batch.num_rows();
        self.buffer_bytes += part.buffer_bytes;
        self.elements += part.elements_max;
        Ok(())
    }

    /// All that waits as one batch: its rows and columns.
    pub(super) fn take(&mut self) -> Result<Option<(usize, Vec<ArrayRef>)>> {
        let waiting = std::mem::take(&mut self.waiting);
        let rows = std::mem::take(&mut self.rows);
        (self.buffer_bytes, self.elements, self.schema) = (0, 0, None);
        if waiting.is_empty() {
            return Ok(None);
        }
        Ok(Some((rows, join(&waiting)?)))
    }
}

/// The memory that the arrays keep from being freed.
fn held_bytes(columns: &[ArrayRef]) -> u64 {
    fn visit(data: &ArrayData, found: &mut Vec<(usize, usize)>) {
        let nulls = data.nulls().map(|nulls| nulls.inner().inner());
        found.extend(data.buffers().iter().chain(nulls).map(|it| (it.data_ptr().as_ptr() as usize, it.capacity())));
        data.child_data().iter().for_each(|child| visit(child, found));
    }
    let mut found = Vec::new();
    columns.iter().for_each(|column| visit(&column.to_data(), &mut found));
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, capacity)| capacity as u64).sum()
}

/// The same values in memory of their own.
fn copy(rows: usize, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let fields: Vec<Field> = columns.iter().map(|column| Field::new("", column.data_type().clone(), true)).collect();
    let encoded = Encoded::columns(rows, columns);
    decode::again(&Arc::new(Schema::new(fields)), &encoded.batch_header(), &encoded.body())
}

fn join(batches: &[Vec<ArrayRef>]) -> Result<Vec<ArrayRef>> {
    if let [only] = batches {
        return Ok(only.clone());
    }
    let columns = batches.first().map_or(0, Vec::len);
    let join = |column: usize| {
        let arrays: Vec<_> = batches.iter().filter_map(|batch| batch.get(column)).map(AsRef::as_ref).collect();
        concat(&arrays).map_err(fault)
    };
    (0..columns).map(join).collect()
}

/// Whether the arrays can be joined; the names inside lists and maps may differ between writers.
fn is_alike(left: &SchemaRef, right: &SchemaRef) -> bool {
    let types = |schema: &SchemaRef| schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
    Arc::ptr_eq(left, right) || types(left) == types(right)
}

fn has_short_runs(data_type: &DataType) -> bool {
    matches!(data_type, DataType::RunEndEncoded(run_ends, _) if run_ends.data_type() == &DataType::Int16)
}

/// Whether rows may share values. Joining such arrays would write a shared value once for each row that has it, so
/// they are not gathered.
fn is_shared(data_type: &DataType) -> bool {
    matches!(data_type, DataType::ListView(_) | DataType::LargeListView(_) | DataType::Union(_, UnionMode::Dense))
}
