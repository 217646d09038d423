//! Judges a record batch against the layout of its schema.

use airlane_model::error::codes::{LIMIT_EXCEEDED, MESSAGE_INVALID};
use airlane_model::{Error, Result};
use arrow_ipc::{BodyCompressionMethod, CompressionType, FieldNode, MetadataVersion, RecordBatch};

use super::DecodeLimits;
use super::layout::{Kind, Layout, Node, Role, Rows};
use crate::encode::Codec;

/// A record batch whose nodes and buffers fit its schema and its body.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) rows: u64,
    pub(crate) codec: Option<Codec>,
    /// In the order of the layout: length and null count.
    pub(crate) nodes: Vec<(u64, u64)>,
    /// In the order of the layout.
    pub(crate) buffers: Vec<Extent>,
    /// Whether each buffer begins at a multiple of 8.
    pub(crate) is_aligned: bool,
}

/// Where a buffer lies in the body, and what it must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// The bytes it must have at least once it is decompressed.
    pub(crate) bytes_min: u64,
    pub(crate) role: Role,
    /// The index of its node in the layout.
    pub(crate) node: usize,
}

impl Extent {
    /// Judges the length of the buffer without compression.
    pub(crate) fn judge_bytes(&self, bytes: u64, layout: &Layout) -> Result<()> {
        if bytes < self.bytes_min {
            let message = format!("a buffer of {bytes} bytes is too short, its rows need {}", self.bytes_min);
            return Err(Error::new(MESSAGE_INVALID, message).at(layout.place(self.node)));
        }
        let multiple = self.role.multiple();
        if !bytes.is_multiple_of(multiple) {
            let message = format!("the length of {bytes} bytes of a buffer is no multiple of {multiple}");
            return Err(Error::new(MESSAGE_INVALID, message).at(layout.place(self.node)));
        }
        Ok(())
    }
}

/// Judges a record batch whose body has `body_bytes`.
///
/// # Errors
/// `message_invalid`, `limit_exceeded`.
pub(crate) fn judge(
    layout: &Layout,
    limits: &DecodeLimits,
    version: MetadataVersion,
    batch: RecordBatch<'_>,
    body_bytes: u64,
) -> Result<Judged> {
    let invalid = |message: String| Error::new(MESSAGE_INVALID, message);
    let rows =
        u64::try_from(batch.length()).map_err(|_| invalid(format!("a record batch with {} rows", batch.length())))?;
    if layout.columns == 0 {
        judge_free_rows(rows, limits)?;
    }
    let codec = codec(batch)?;
    let nodes = batch.nodes().unwrap_or_default();
    if nodes.len() != layout.nodes.len() {
        let (got, expected) = (nodes.len(), layout.nodes.len());
        return Err(invalid(format!("the record batch has {got} field nodes, its schema {expected}")));
    }
    let mut variadic = batch.variadicBufferCounts().into_iter().flatten();
    let mut buffers = batch.buffers().unwrap_or_default().iter();
    let mut judged = Judged {
        rows,
        codec,
        nodes: Vec::with_capacity(nodes.len()),
        buffers: Vec::with_capacity(buffers.len()),
        is_aligned: true,
    };
    for (index, (node, field_node)) in layout.nodes.iter().zip(nodes).enumerate() {
        let (length, null_count) =
            judge_node(node, field_node, &judged, limits).map_err(|error| error.at(layout.place(index)))?;
        if version == MetadataVersion::V4 && null_count > 0 && node.roles.contains(&Role::UnionValidity) {
            let message = format!("a union of metadata version 4 with {null_count} nulls of its own");
            let error = Error::new(MESSAGE_INVALID, message).at(layout.place(index));
            return Err(error.hint("write the stream with Arrow 1.0 or newer"));
        }
        judged.nodes.push((length, null_count));
        let data = match node.kind {
            Kind::View => variadic
                .next()
                .and_then(|count| usize::try_from(count).ok())
                .filter(|count| *count <= buffers.len())
                .ok_or_else(|| invalid("the variadic buffer counts do not fit".to_owned()).at(layout.place(index)))?,
            _ => 0,
        };
        let own = node.roles.iter().copied();
        let own = own.filter(|role| *role != Role::UnionValidity || version == MetadataVersion::V4);
        for role in own.chain(std::iter::repeat_n(Role::Data, data)) {
            let Some(buffer) = buffers.next() else {
                return Err(invalid("the record batch has fewer buffers than its schema needs".to_owned()));
            };
            let extent = judge_buffer(buffer, role, (length, null_count), index, body_bytes)
                .map_err(|error| error.at(layout.place(index)))?;
            if codec.is_none() {
                extent.judge_bytes(extent.bytes, layout)?;
            }
            judged.is_aligned &= extent.bytes == 0 || extent.offset.is_multiple_of(8);
            judged.buffers.push(extent);
        }
    }
    if buffers.next().is_some() || variadic.next().is_some() {
        return Err(invalid("the record batch has more buffers than its schema needs".to_owned()));
    }
    judge_overlap(&judged, body_bytes)?;
    Ok(judged)
}

fn codec(batch: RecordBatch<'_>) -> Result<Option<Codec>> {
    let Some(compression) = batch.compression() else { return Ok(None) };
    let (method, codec) = (compression.method(), compression.codec());
    match (method, codec) {
        (BodyCompressionMethod::BUFFER, CompressionType::LZ4_FRAME) => Ok(Some(Codec::Lz4Frame)),
        (BodyCompressionMethod::BUFFER, CompressionType::ZSTD) => Ok(Some(Codec::Zstd)),
        _ => {
            let message = format!("unknown compression (method {}, codec {})", method.0, codec.0);
            Err(Error::new(MESSAGE_INVALID, message).hint("compress with LZ4_FRAME or ZSTD, or not at all"))
        }
    }
}

/// Length and null count of a node, judged by what came before it.
fn judge_node(node: &Node, got: &FieldNode, before: &Judged, limits: &DecodeLimits) -> Result<(u64, u64)> {
    let invalid = |message: String| Err(Error::new(MESSAGE_INVALID, message));
    let (Ok(length), Ok(null_count)) = (u64::try_from(got.length()), u64::try_from(got.null_count())) else {
        return invalid(format!("a field node with {} rows and {} nulls", got.length(), got.null_count()));
    };
    if null_count > length {
        return invalid(format!("a field node with more nulls ({null_count}) than rows ({length})"));
    }
    let parent = || node.parent.and_then(|parent| before.nodes.get(parent)).map_or(0, |parent| parent.0);
    let (fits, expected) = match node.rows {
        Rows::Batch => (length == before.rows, before.rows),
        Rows::Parent => (length == parent(), parent()),
        Rows::PerParent(size) => {
            let least = parent().checked_mul(size);
            (least.is_some_and(|least| length >= least), least.unwrap_or(u64::MAX))
        }
        Rows::Sibling => {
            let sibling = before.nodes.last().map_or(0, |sibling| sibling.0);
            (length == sibling, sibling)
        }
        Rows::Own => (true, length),
    };
    if !fits {
        return invalid(format!("a field node has {length} rows instead of {expected}"));
    }
    match node.kind {
        Kind::Null if null_count != length => {
            return invalid(format!("a field node of the null type counts {null_count} nulls in {length} rows"));
        }
        Kind::Null | Kind::Free => judge_free_rows(length, limits)?,
        Kind::Plain | Kind::View => {}
    }
    Ok((length, null_count))
}

/// Rows that cost no byte are bounded by this alone.
fn judge_free_rows(rows: u64, limits: &DecodeLimits) -> Result<()> {
    if rows <= limits.free_rows_max {
        return Ok(());
    }
    let limit = limits.free_rows_max;
    let message = format!("a batch of {rows} rows that take no space has more than the limit of {limit}");
    Err(Error::new(LIMIT_EXCEEDED, message).hint("send smaller record batches"))
}

fn judge_buffer(
    buffer: &arrow_ipc::Buffer,
    role: Role,
    (length, null_count): (u64, u64),
    node: usize,
    body_bytes: u64,
) -> Result<Extent> {
    let extent = u64::try_from(buffer.offset()).ok().zip(u64::try_from(buffer.length()).ok());
    let inside = extent.filter(|(offset, bytes)| offset.checked_add(*bytes).is_some_and(|end| end <= body_bytes));
    let bytes_min = role.bytes_min(length, null_count);
    match (inside, bytes_min) {
        (Some((offset, bytes)), Some(bytes_min)) => Ok(Extent { offset, bytes, bytes_min, role, node }),
        (None, _) => {
            let (offset, bytes) = (buffer.offset(), buffer.length());
            let message = format!("a buffer of {bytes} bytes at {offset} is not inside the body of {body_bytes} bytes");
            Err(Error::new(MESSAGE_INVALID, message))
        }
        (_, None) => Err(Error::new(MESSAGE_INVALID, format!("a field node with {length} rows"))),
    }
}

/// Buffers may share bytes: a writer may point two columns at one validity bitmap. A body that is used over and over
/// would be laid out as a table much larger than itself.
fn judge_overlap(judged: &Judged, body_bytes: u64) -> Result<()> {
    let used = judged.buffers.iter().try_fold(0_u64, |sum, buffer| sum.checked_add(buffer.bytes));
    if used.is_some_and(|used| used <= body_bytes.saturating_mul(2)) {
        return Ok(());
    }
    Err(Error::new(
        MESSAGE_INVALID,
        format!("the buffers overlap: together they are over twice the body of {body_bytes} bytes"),
    ))
}
