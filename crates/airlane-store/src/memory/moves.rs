//! Segments of ephemeral tables in files.
//!
//! Several segments share a file, each at a multiple of 64; those of a table with a `window` have files of their own. The file
//! is written, mapped and unlinked at once: nobody opens it again, its room comes back when the last of its segments goes, and
//! nothing of it is left when the process ends. A process that is killed between writing and unlinking leaves a name that the
//! next start removes.

use std::io::{self, IoSlice};
use std::ops::Range;

use airlane_model::{ByteSize, Error, Result, SegmentId, codes, limits};
use airlane_segment::home::write_all_at;
use airlane_segment::{Home, MemoryUse, Segment};

use crate::error::storage;
use crate::failpoint::failpoint;
use crate::folder::{Paths, label_of};
use crate::shared::Shared;

/// A file is written when it has so many bytes.
pub(super) const PACK_BYTES: u64 = 64 << 20;

/// Writes segments to one file, and gives them back in their homes there.
///
/// # Errors
/// `storage_full` where that is not allowed or would leave too little room, `storage_failed`.
pub(crate) fn to_disk(shared: &Shared, segments: &[&Segment]) -> Result<Vec<Segment>> {
    let memory = &shared.memory;
    let Some(paths) = &shared.paths else { return Err(refused("the server has no data folder")) };
    let ranges = ranges(segments);
    let bytes = ranges.last().map_or(0, |range| range.end);
    let on_disk = memory.disk.charge(MemoryUse::Tables, bytes);
    let on_disk = on_disk.map_err(|_| refused(format!("`spill_bytes_max` is {}", memory.disk.limit())))?;
    judge_room(shared, paths, bytes)?;
    let id = SegmentId::random(shared.chance.as_ref());
    let path = paths.spill(id);
    let failed = |error: io::Error| storage("move tables to disk", &path, error);
    let file = shared.disk.create(&path).map_err(failed)?;
    failpoint!("spill.made");
    let written = ranges.iter().zip(segments).try_for_each(|(range, segment)| {
        let bytes = segment.file_bytes();
        write_all_at(range.start, &[IoSlice::new(&bytes)], |pieces, offset| file.write_vectored_at(pieces, offset))
    });
    failpoint!("spill.written");
    let mapped = written.and_then(|()| Home::map_parts(file.as_file(), &ranges, label_of(id), on_disk));
    let unlinked = shared.disk.unlink(&path);
    if let Err(error) = unlinked {
        tracing::warn!(path = %path.display(), %error, "a file in use could not be unlinked; the next start does");
    }
    let homes = mapped.map_err(failed)?;
    homes.into_iter().zip(segments).map(|(home, segment)| segment.moved_to(home)).collect()
}

fn ranges(segments: &[&Segment]) -> Vec<Range<u64>> {
    let mut start = 0_u64;
    let range = segments.iter().map(|segment| {
        let range = start..start + segment.file_bytes().len() as u64;
        start = range.end.next_multiple_of(limits::ALIGNMENT_BYTES as u64);
        range
    });
    range.collect()
}

/// Durable puts, and the catalog, need the disk too.
fn judge_room(shared: &Shared, paths: &Paths, bytes: u64) -> Result<()> {
    let folder = paths.segments();
    let space = shared.disk.space(&folder).map_err(|error| storage("ask for free space", &folder, error))?;
    let floor = (space.total / 20).min(shared.memory.options.disk_free_min.as_u64());
    if space.available.saturating_sub(bytes) >= floor {
        return Ok(());
    }
    let (available, floor) = (ByteSize::bytes(space.available), ByteSize::bytes(floor));
    Err(refused(format!("its disk has {available} left, of which {floor} are kept free")))
}

fn refused(reason: impl Into<String>) -> Error {
    Error::new(codes::STORAGE_FULL, reason)
}
