//! The layout of a schema as one table: a row for each field node, in the order of the format.
//!
//! The [columnar format](https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message) writes the nodes and
//! the buffers of a record batch in pre-order. Whatever walks a record batch (the check, decompression, the search for
//! the place of an error) walks this table and knows nothing of types.

use arrow_schema::{DataType, Field, IntervalUnit, UnionMode};

use crate::schema::canonical::children;
use crate::schema::policy;

/// The nodes of a schema's record batches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) nodes: Vec<Node>,
    /// The number of columns.
    pub(crate) columns: usize,
}

/// One field node and its buffers.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    name: String,
    /// The column that the node belongs to.
    pub(crate) column: usize,
    /// The node of which this one is a child.
    pub(crate) parent: Option<usize>,
    pub(crate) rows: Rows,
    pub(crate) kind: Kind,
    pub(crate) roles: Vec<Role>,
}

/// How many rows a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// As many as the batch.
    Batch,
    /// As many as its parent.
    Parent,
    /// At least this many for each row of its parent.
    PerParent(u64),
    /// As many as the node before it.
    Sibling,
    /// What its parent's offsets say, which validation looks at.
    Own,
}

/// What is special about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each row costs a bit or more.
    Plain,
    /// Rows cost nothing.
    Free,
    /// Rows cost nothing, and all are null.
    Null,
    /// Views, followed by as many data buffers as the variadic count says.
    View,
}

/// What a buffer holds, and thereby how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A bit for each row; may be left out when there are no nulls.
    Validity,
    /// The validity of a union, which metadata version 4 has and version 5 has not. It must not hold nulls, which are
    /// lost with it.
    UnionValidity,
    /// A bit for each row.
    Bits,
    /// So many bytes for each row, read as numbers of that width.
    Numbers(u64),
    /// So many bytes for each row.
    Blobs(u64),
    /// One more number of that width than there are rows; none where there are no rows.
    Offsets(u64),
    /// As large as it likes.
    Data,
}

impl Role {
    /// The bytes that a buffer must have at least; `None` when no body can hold so much.
    pub(crate) fn bytes_min(self, rows: u64, null_count: u64) -> Option<u64> {
        match self {
            Role::Validity | Role::UnionValidity if null_count == 0 => Some(0),
            Role::Validity | Role::UnionValidity | Role::Bits => Some(rows.div_ceil(8)),
            Role::Numbers(width) | Role::Blobs(width) => rows.checked_mul(width),
            Role::Offsets(_) if rows == 0 => Some(0),
            Role::Offsets(width) => rows.checked_add(1)?.checked_mul(width),
            Role::Data => Some(0),
        }
    }

    /// The length of a buffer is a multiple of this: readers cast it to a slice of numbers.
    pub(crate) fn multiple(self) -> u64 {
        match self {
            Role::Numbers(width) | Role::Offsets(width) => width,
            _ => 1,
        }
    }
}

impl Layout {
    /// Of record batches with these columns.
    pub(crate) fn of<'a>(columns: impl IntoIterator<Item = &'a Field>) -> Self {
        let mut layout = Self::default();
        for column in columns {
            layout.push(column, None, Rows::Batch);
            layout.columns += 1;
        }
        layout
    }

    /// The place of a node for an error.
    pub(crate) fn place(&self, node: usize) -> String {
        let mut names = Vec::new();
        let mut next = Some(node);
        while let Some(node) = next.and_then(|index| self.nodes.get(index)) {
            names.push(node.name.as_str());
            next = node.parent;
        }
        names.reverse();
        policy::place(&names)
    }

    fn push(&mut self, field: &Field, parent: Option<usize>, rows: Rows) {
        let index = self.nodes.len();
        let data_type = field.data_type();
        let (kind, roles) = own(data_type);
        let name = policy::shorten(field.name());
        self.nodes.push(Node { name, column: self.columns, parent, rows, kind, roles });
        for (position, child) in children(data_type).into_iter().enumerate() {
            self.push(child, Some(index), child_rows(data_type, position));
        }
    }
}

/// The kind of a node and its buffers. The values of a dictionary lie in a message of their own, so that a dictionary
/// column is a column of indices.
fn own(data_type: &DataType) -> (Kind, Vec<Role>) {
    use Role::{Bits, Blobs, Data, Numbers, Offsets, UnionValidity, Validity};
    let plain = |role| (Kind::Plain, vec![Validity, role]);
    match data_type {
        DataType::Null => (Kind::Null, vec![]),
        DataType::Boolean => plain(Bits),
        DataType::Int8 | DataType::UInt8 => plain(Numbers(1)),
        DataType::Int16 | DataType::UInt16 | DataType::Float16 => plain(Numbers(2)),
        DataType::Int32
        | DataType::UInt32
        | DataType::Float32
        | DataType::Date32
        | DataType::Time32(_)
        | DataType::Decimal32(_, _)
        | DataType::Interval(IntervalUnit::YearMonth) => plain(Numbers(4)),
        DataType::Int64
        | DataType::UInt64
        | DataType::Float64
        | DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(_, _)
        | DataType::Duration(_)
        | DataType::Decimal64(_, _)
        | DataType::Interval(IntervalUnit::DayTime) => plain(Numbers(8)),
        DataType::Decimal128(_, _) | DataType::Interval(IntervalUnit::MonthDayNano) => plain(Numbers(16)),
        DataType::Decimal256(_, _) => plain(Numbers(32)),
        DataType::FixedSizeBinary(0) => (Kind::Free, vec![Validity, Blobs(0)]),
        DataType::FixedSizeBinary(width) => plain(Blobs(width.unsigned_abs().into())),
        DataType::Utf8 | DataType::Binary => (Kind::Plain, vec![Validity, Offsets(4), Data]),
        DataType::LargeUtf8 | DataType::LargeBinary => (Kind::Plain, vec![Validity, Offsets(8), Data]),
        DataType::Utf8View | DataType::BinaryView => (Kind::View, vec![Validity, Numbers(16)]),
        DataType::List(_) | DataType::Map(_, _) => plain(Offsets(4)),
        DataType::LargeList(_) => plain(Offsets(8)),
        DataType::ListView(_) => (Kind::Plain, vec![Validity, Numbers(4), Numbers(4)]),
        DataType::LargeListView(_) => (Kind::Plain, vec![Validity, Numbers(8), Numbers(8)]),
        DataType::FixedSizeList(_, 0) => (Kind::Free, vec![Validity]),
        DataType::FixedSizeList(_, _) => (Kind::Plain, vec![Validity]),
        DataType::Struct(fields) if fields.is_empty() => (Kind::Free, vec![Validity]),
        DataType::Struct(_) => (Kind::Plain, vec![Validity]),
        DataType::RunEndEncoded(_, _) => (Kind::Free, vec![]),
        DataType::Union(_, UnionMode::Sparse) => (Kind::Plain, vec![UnionValidity, Numbers(1)]),
        DataType::Union(_, UnionMode::Dense) => (Kind::Plain, vec![UnionValidity, Numbers(1), Numbers(4)]),
        DataType::Dictionary(index, _) => own(index),
    }
}

fn child_rows(parent: &DataType, position: usize) -> Rows {
    match parent {
        DataType::Struct(_) | DataType::Union(_, UnionMode::Sparse) => Rows::Parent,
        DataType::FixedSizeList(_, size) => Rows::PerParent(size.unsigned_abs().into()),
        DataType::RunEndEncoded(_, _) if position == 1 => Rows::Sibling,
        _ => Rows::Own,
    }
}
