//! The IPC check: a message is judged from its flatbuffer alone, before anything is decoded or allocated for it.

use airlane_model::ByteSize;

/// What a stream from outside may ask for. The defaults are those of the server's settings.
#[derive(Clone, Debug)]
pub struct DecodeLimits {
    /// The body of one message, as it arrives.
    pub body_bytes_max: ByteSize,
    /// The body of one message after decompression.
    pub decompressed_bytes_max: ByteSize,
    /// Decompressed bytes per compressed byte.
    pub decompressed_ratio_max: u64,
    /// Rows of one batch in which a row costs no byte (null type, no columns, zero width, run-end encoded).
    pub free_rows_max: u64,
    /// Rows of one put.
    pub put_rows_max: u64,
    /// Dictionary messages of one stream; and, times the segment's dictionary bound, their bytes.
    pub dictionaries_max: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: ByteSize::gib(1),
            decompressed_bytes_max: ByteSize::mib(256),
            decompressed_ratio_max: 1_000,
            free_rows_max: 16 << 20,
            put_rows_max: 1 << 40,
            dictionaries_max: 65_536,
        }
    }
}
