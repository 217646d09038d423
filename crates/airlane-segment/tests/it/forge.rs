//! Messages made by hand, which no library would write.

use std::rc::Rc;

use arrow_ipc::{
    BodyCompressionBuilder, BodyCompressionMethod, Buffer, CompressionType, DictionaryBatchBuilder,
    DictionaryEncodingBuilder, Endianness, FieldBuilder, FieldNode, IntBuilder, KeyValueBuilder, Message,
    MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder, SchemaBuilder, Type, root_as_message,
};
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

use crate::stream::Piece;

/// The parts of a record batch or dictionary message, each free to be wrong.
#[derive(Clone, Debug)]
pub(crate) struct Forged {
    pub(crate) version: MetadataVersion,
    pub(crate) rows: i64,
    /// Length and null count.
    pub(crate) nodes: Vec<(i64, i64)>,
    /// Offset and length.
    pub(crate) buffers: Vec<(i64, i64)>,
    pub(crate) variadic: Option<Vec<i64>>,
    /// Codec and method.
    pub(crate) compression: Option<(i8, i8)>,
    /// Id and delta flag.
    pub(crate) dictionary: Option<(i64, bool)>,
    pub(crate) body_length: Option<i64>,
    pub(crate) metadata: Option<(&'static str, &'static str)>,
    pub(crate) body: Vec<u8>,
}

impl Forged {
    /// A batch without anything.
    pub(crate) fn empty(rows: i64) -> Self {
        Self {
            version: MetadataVersion::V5,
            rows,
            nodes: vec![],
            buffers: vec![],
            variadic: None,
            compression: None,
            dictionary: None,
            body_length: None,
            metadata: None,
            body: vec![],
        }
    }

    /// The parts of a valid message.
    pub(crate) fn of(piece: &Piece) -> Self {
        let message = root_as_message(&piece.header).expect("a valid message");
        let (batch, dictionary) = match message.header_as_dictionary_batch() {
            Some(batch) => (batch.data(), Some((batch.id(), batch.isDelta()))),
            None => (message.header_as_record_batch(), None),
        };
        let batch = batch.expect("a batch");
        let compression = batch.compression().map(|compression| (compression.codec().0, compression.method().0));
        Self {
            version: message.version(),
            rows: batch.length(),
            nodes: batch.nodes().expect("nodes").iter().map(|node| (node.length(), node.null_count())).collect(),
            buffers: batch.buffers().expect("buffers").iter().map(|it| (it.offset(), it.length())).collect(),
            variadic: batch.variadicBufferCounts().map(|counts| counts.iter().collect()),
            compression,
            dictionary,
            body_length: None,
            metadata: None,
            body: piece.body.clone(),
        }
    }

    /// Puts the bytes of a buffer at the end of the body.
    pub(crate) fn set_buffer(&mut self, index: usize, bytes: &[u8]) {
        self.body.resize(self.body.len().next_multiple_of(8), 0);
        self.buffers[index] = (self.body.len() as i64, bytes.len() as i64);
        self.body.extend_from_slice(bytes);
        self.body.resize(self.body.len().next_multiple_of(8), 0);
    }

    /// The bytes of a buffer.
    pub(crate) fn buffer(&self, index: usize) -> &[u8] {
        let (offset, bytes) = self.buffers[index];
        &self.body[offset as usize..(offset + bytes) as usize]
    }

    /// Writes the message.
    pub(crate) fn piece(&self) -> Piece {
        let mut builder = FlatBufferBuilder::new();
        let nodes: Vec<_> = self.nodes.iter().map(|(length, nulls)| FieldNode::new(*length, *nulls)).collect();
        let buffers: Vec<_> = self.buffers.iter().map(|(offset, bytes)| Buffer::new(*offset, *bytes)).collect();
        let nodes = builder.create_vector(&nodes);
        let buffers = builder.create_vector(&buffers);
        let variadic = self.variadic.as_ref().map(|counts| builder.create_vector(counts));
        let compression = self.compression.map(|(codec, method)| {
            let mut compression = BodyCompressionBuilder::new(&mut builder);
            compression.add_codec(CompressionType(codec));
            compression.add_method(BodyCompressionMethod(method));
            compression.finish()
        });
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(self.rows);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        if let Some(variadic) = variadic {
            batch.add_variadicBufferCounts(variadic);
        }
        if let Some(compression) = compression {
            batch.add_compression(compression);
        }
        let batch = batch.finish();
        let (kind, header) = match self.dictionary {
            None => (MessageHeader::RecordBatch, batch.as_union_value()),
            Some((id, is_delta)) => {
                let mut dictionary = DictionaryBatchBuilder::new(&mut builder);
                dictionary.add_id(id);
                dictionary.add_isDelta(is_delta);
                dictionary.add_data(batch);
                (MessageHeader::DictionaryBatch, dictionary.finish().as_union_value())
            }
        };
        let body_length = self.body_length.unwrap_or(self.body.len() as i64);
        let header = finish(&mut builder, self.version, kind, header, body_length, self.metadata);
        Piece { header, body: self.body.clone() }
    }
}

/// A message of any kind, with an empty table for a header.
pub(crate) fn message(kind: MessageHeader) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let table = arrow_ipc::NullBuilder::new(&mut builder).finish().as_union_value();
    finish(&mut builder, MetadataVersion::V5, kind, table, 0, None)
}

/// The flatbuffer of a message with this header.
pub(crate) fn finish(
    builder: &mut FlatBufferBuilder<'_>,
    version: MetadataVersion,
    kind: MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    body_length: i64,
    metadata: Option<(&str, &str)>,
) -> Vec<u8> {
    let metadata = metadata.map(|(key, value)| {
        let (key, value) = (builder.create_string(key), builder.create_string(value));
        let mut pair = KeyValueBuilder::new(builder);
        pair.add_key(key);
        pair.add_value(value);
        let pair = pair.finish();
        builder.create_vector(&[pair])
    });
    let mut message = MessageBuilder::new(builder);
    message.add_version(version);
    message.add_header_type(kind);
    message.add_header(header);
    message.add_bodyLength(body_length);
    if let Some(metadata) = metadata {
        message.add_custom_metadata(metadata);
    }
    let root: WIPOffset<Message<'_>> = message.finish();
    builder.finish(root, None);
    builder.finished_data().to_vec()
}

/// Writes the parameters of a type.
pub(crate) type Parameters = Rc<dyn Fn(&mut FlatBufferBuilder<'_>) -> WIPOffset<UnionWIPOffset>>;

/// A field of a schema message, free to be wrong.
#[derive(Clone)]
pub(crate) struct ForgedField {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) parameters: Parameters,
    /// `None` leaves the list of children out.
    pub(crate) children: Option<Vec<ForgedField>>,
    /// Width and sign of the index of a dictionary; `Some(None)` leaves the index type out.
    pub(crate) dictionary: Option<Option<(i32, bool)>>,
    pub(crate) metadata: Vec<(String, String)>,
}

impl ForgedField {
    pub(crate) fn new(
        kind: Type,
        parameters: impl Fn(&mut FlatBufferBuilder<'_>) -> WIPOffset<UnionWIPOffset> + 'static,
    ) -> Self {
        let (name, parameters) = ("f".to_owned(), Rc::new(parameters));
        Self { name, kind, parameters, children: Some(vec![]), dictionary: None, metadata: vec![] }
    }

    /// An int32, which is valid.
    pub(crate) fn int32() -> Self {
        Self::new(Type::Int, |builder| int(builder, 32, true))
    }

    /// A list of `child`.
    pub(crate) fn list(child: ForgedField) -> Self {
        Self::new(Type::List, empty).with_children(vec![child])
    }

    pub(crate) fn with_children(mut self, children: Vec<ForgedField>) -> Self {
        self.children = Some(children);
        self
    }

    fn write<'a>(&self, builder: &mut FlatBufferBuilder<'a>) -> WIPOffset<arrow_ipc::Field<'a>> {
        let children: Option<Vec<_>> =
            self.children.as_ref().map(|children| children.iter().map(|child| child.write(builder)).collect());
        let children = children.map(|children| builder.create_vector(&children));
        let name = builder.create_string(&self.name);
        let parameters = (self.parameters)(builder);
        let metadata = write_metadata(builder, &self.metadata);
        let dictionary = self.dictionary.map(|index| {
            let index = index.map(|(bits, is_signed)| {
                let mut int = IntBuilder::new(builder);
                int.add_bitWidth(bits);
                int.add_is_signed(is_signed);
                int.finish()
            });
            let mut dictionary = DictionaryEncodingBuilder::new(builder);
            if let Some(index) = index {
                dictionary.add_indexType(index);
            }
            dictionary.finish()
        });
        let mut field = FieldBuilder::new(builder);
        field.add_name(name);
        field.add_nullable(true);
        if self.kind != Type::NONE {
            field.add_type_type(self.kind);
            field.add_type_(parameters);
        }
        if let Some(children) = children {
            field.add_children(children);
        }
        if let Some(dictionary) = dictionary {
            field.add_dictionary(dictionary);
        }
        if let Some(metadata) = metadata {
            field.add_custom_metadata(metadata);
        }
        field.finish()
    }
}

type Metadata<'a> = WIPOffset<flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<arrow_ipc::KeyValue<'a>>>>;

fn write_metadata<'a>(builder: &mut FlatBufferBuilder<'a>, metadata: &[(String, String)]) -> Option<Metadata<'a>> {
    let pairs: Vec<_> = metadata
        .iter()
        .map(|(key, value)| {
            let (key, value) = (builder.create_string(key), builder.create_string(value));
            let mut pair = KeyValueBuilder::new(builder);
            pair.add_key(key);
            pair.add_value(value);
            pair.finish()
        })
        .collect();
    (!pairs.is_empty()).then(|| builder.create_vector(&pairs))
}

/// A schema message of these fields.
pub(crate) fn schema(fields: &[ForgedField]) -> Vec<u8> {
    schema_with(fields, Endianness::Little, &[])
}

/// A schema message with a byte order and metadata.
pub(crate) fn schema_with(fields: &[ForgedField], endianness: Endianness, metadata: &[(String, String)]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let fields: Vec<_> = fields.iter().map(|field| field.write(&mut builder)).collect();
    let fields = builder.create_vector(&fields);
    let metadata = write_metadata(&mut builder, metadata);
    let mut schema = SchemaBuilder::new(&mut builder);
    schema.add_endianness(endianness);
    schema.add_fields(fields);
    if let Some(metadata) = metadata {
        schema.add_custom_metadata(metadata);
    }
    let schema = schema.finish().as_union_value();
    finish(&mut builder, MetadataVersion::V5, MessageHeader::Schema, schema, 0, None)
}

/// A type without parameters.
pub(crate) fn empty(builder: &mut FlatBufferBuilder<'_>) -> WIPOffset<UnionWIPOffset> {
    arrow_ipc::NullBuilder::new(builder).finish().as_union_value()
}

/// The parameters of an integer.
pub(crate) fn int(builder: &mut FlatBufferBuilder<'_>, bits: i32, is_signed: bool) -> WIPOffset<UnionWIPOffset> {
    let mut int = IntBuilder::new(builder);
    int.add_bitWidth(bits);
    int.add_is_signed(is_signed);
    int.finish().as_union_value()
}
