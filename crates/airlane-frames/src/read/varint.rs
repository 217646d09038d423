//! A protobuf varint that may come in pieces.

use airlane_model::{Error, Result, codes};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Varint {
    value: u64,
    bytes: u32,
}

impl Varint {
    pub(super) const EMPTY: Self = Self { value: 0, bytes: 0 };

    pub(super) fn is_empty(self) -> bool {
        self.bytes == 0
    }

    /// Takes the next byte; the number when it was the last one.
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<u64>> {
        const BYTES_MAX: u32 = 10;
        let bits = u64::from(byte & 0x7F);
        // The tenth byte has room for one bit of 64.
        if self.bytes + 1 == BYTES_MAX && byte > 1 {
            return Err(Error::new(codes::MESSAGE_INVALID, "a protobuf varint is longer than 64 bits"));
        }
        self.value |= bits << (7 * self.bytes);
        self.bytes += 1;
        Ok((byte < 0x80).then_some(self.value))
    }
}
