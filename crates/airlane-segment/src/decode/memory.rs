//! Memory that may not be there.

use airlane_model::error::codes::STORAGE_FULL;
use airlane_model::{ByteSize, Error, Result};
use arrow_buffer::MutableBuffer;

/// An empty buffer with room for so many bytes. A failed allocation of arrow-buffer's own would end the process.
///
/// It is aligned to 16, which is what the widest number of a buffer needs.
///
/// # Errors
/// `storage_full`.
pub(crate) fn reserve(bytes: usize) -> Result<MutableBuffer> {
    let mut words: Vec<i128> = Vec::new();
    words.try_reserve_exact(bytes.div_ceil(size_of::<i128>())).map_err(|error| {
        let bytes = ByteSize::bytes(bytes as u64);
        Error::new(STORAGE_FULL, format!("there is no memory for a message body of {bytes}")).source(error)
    })?;
    Ok(MutableBuffer::from(words))
}
