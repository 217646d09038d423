//! Whole writes of many pieces.

use std::io::{self, IoSlice};

/// The pieces that one `pwritev` takes (`IOV_MAX` of Linux).
const PIECES_MAX: usize = 1024;

/// Writes all pieces with as few calls of `write` as it takes, going on after short and interrupted writes.
///
/// # Errors
/// What `write` answers; `WriteZero` when it takes nothing.
pub fn write_all_at(
    mut offset: u64,
    pieces: &[IoSlice<'_>],
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize>,
) -> io::Result<()> {
    for chunk in pieces.chunks(PIECES_MAX) {
        let mut copies = chunk.to_vec();
        let mut rest = copies.as_mut_slice();
        // Empty pieces at the end would look like a write that takes nothing.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match write(rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
