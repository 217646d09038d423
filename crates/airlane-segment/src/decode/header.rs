//! Writes the flatbuffer of a record batch whose body was laid out anew.

use airlane_model::Result;
use arrow_ipc::{Buffer, FieldNode, Message, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder};
use flatbuffers::FlatBufferBuilder;

use crate::schema::message;

/// The parts of a record batch message without compression.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) rows: u64,
    /// Length and null count.
    pub(crate) nodes: Vec<(u64, u64)>,
    /// Offset and length.
    pub(crate) buffers: Vec<(u64, u64)>,
    pub(crate) variadic_counts: Vec<i64>,
}

impl Parts {
    /// The parts of a message that was judged.
    pub(crate) fn of(batch: arrow_ipc::RecordBatch<'_>) -> Self {
        Self {
            rows: batch.length() as u64,
            nodes: batch.nodes().into_iter().flatten().map(|it| (it.length() as u64, it.null_count() as u64)).collect(),
            buffers: batch.buffers().into_iter().flatten().map(|it| (it.offset() as u64, it.length() as u64)).collect(),
            variadic_counts: batch.variadicBufferCounts().into_iter().flatten().collect(),
        }
    }
}

/// Writes the message. Every number was judged, so none is above `i64::MAX`.
pub(crate) fn encode(parts: &Parts, version: MetadataVersion) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let nodes: Vec<_> =
        parts.nodes.iter().map(|(length, nulls)| FieldNode::new(*length as i64, *nulls as i64)).collect();
    let buffers: Vec<_> =
        parts.buffers.iter().map(|(offset, bytes)| Buffer::new(*offset as i64, *bytes as i64)).collect();
    let nodes = builder.create_vector(&nodes);
    let buffers = builder.create_vector(&buffers);
    let variadic = (!parts.variadic_counts.is_empty()).then(|| builder.create_vector(&parts.variadic_counts));
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(parts.rows as i64);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    if let Some(variadic) = variadic {
        batch.add_variadicBufferCounts(variadic);
    }
    let batch = batch.finish().as_union_value();
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(version);
    message.add_header_type(MessageHeader::RecordBatch);
    message.add_header(batch);
    let root = message.finish();
    builder.finish(root, None);
    builder.finished_data().to_vec()
}

/// Reads the message back.
pub(crate) fn open(header: &[u8]) -> Result<Message<'_>> {
    message::verify(header)
}
