//! Bounds that are part of the design, each with its unit in the type.

use crate::size::ByteSize;

/// What small record batches are gathered to.
pub const BATCH_BYTES_TARGET: ByteSize = ByteSize::mib(1);
/// An incoming record batch below this is gathered with its neighbours.
pub const BATCH_BYTES_MIN: ByteSize = ByteSize::kib(256);
/// An incoming record batch above this is sliced by rows into as few as there can be.
pub const BATCH_BYTES_MAX: ByteSize = ByteSize::mib(2);
/// The size at which a segment is sealed and the next one begun.
pub const SEGMENT_BYTES_TARGET: ByteSize = ByteSize::mib(64);
/// A segment up to this size stays in ordinary memory, or in the catalog when it is durable.
pub const SEGMENT_SMALL_BYTES_MAX: ByteSize = ByteSize::kib(256);
/// The dictionaries of a segment: when their union would pass this, the segment ends.
pub const DICTIONARY_BYTES_MAX: ByteSize = ByteSize::mib(8);
/// Every buffer of a segment begins at a multiple of this many bytes.
pub const ALIGNMENT_BYTES: usize = 64;
/// The segments that a table holds when the background merge is done.
pub const TABLE_SEGMENTS_SMALL_MAX: usize = 64;
/// A table name in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The parts of a table name.
pub const NAME_PARTS_MAX: usize = 8;
/// The command of a flight descriptor, and the metadata of an application in one message.
pub const COMMAND_BYTES_MAX: ByteSize = ByteSize::kib(64);
