//! Tables of segments: names, versions, durability, merging and recovery.
//!
//! ```text
//! put      begin → Intake (segments written and synced as they fill) → commit → committer → catalog → publish
//! read     snapshot: one version's segments, pinned by reference counts, opened when first read
//! drop     catalog → unpublish → unlink
//! expiry   a deadline that is over → as a drop
//! memory   the least recently used tables leave it → files without names
//! merge    runs of small segments → larger ones, in one catalog transaction
//! ```
//!
//! A durable put, step by step. Whatever step it dies at, a restart finds it whole or not at all:
//!
//! 1. Segments fill up; each full one is a file of its own, synced (`fdatasync`) while the next one fills. What stays
//!    below 256 KiB gets no file.
//! 2. The tail is sealed, and the folder of segments synced once, if files were made.
//! 3. The committer writes the version, the facts of its segments and the bytes of the small ones in one transaction
//!    of the catalog; puts that wait at the same time share it, and its one sync.
//! 4. The new content is swapped in, and the put is answered.
//! 5. Files that no version has any more are removed; readers that hold them keep their mappings.
//!
//! Ephemeral tables go the same way over a catalog in memory, and never wait for a disk.
//!
//! This crate knows nothing of protocols. The clock, chance and the disk are handed in.

mod blocking;
pub mod catalog;
mod changes;
mod check;
mod commit;
mod content;
mod counts;
pub mod disk;
mod error;
mod expiry;
mod facts;
mod failpoint;
mod folder;
mod frames;
mod index;
mod keys;
mod lend;
mod memory;
mod merge;
mod options;
mod plan;
mod put;
mod quota;
mod reads;
mod recovery;
mod request;
mod retention;
mod shared;
mod slot;
mod staging;
mod store;
mod sweeper;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod uptime;
mod usage;
mod window;

pub use catalog::StoredDictionary;
pub use changes::{Changes, SomeChanges};
pub use content::{ReaderDictionaries, Snapshot};
pub use counts::{CountedRead, LEASE, ReadSpec, TicketCount};
pub use disk::{Disk, SystemDisk};
pub use expiry::{ExpiredRows, ExpiryReason};
pub use folder::KeptFile;
pub use frames::{Asked, Frame, FrameCounts, FrameForm, FramePart, Frames, Making};
pub use index::{Totals, table_not_found};
pub use keys::KeyLimits;
pub use lend::Lent;
pub use memory::MemoryState;
pub use options::{MemoryOptions, Merging, PutSpec, StoreOptions};
pub use put::Put;
pub use recovery::Recovery;
pub use slot::SegmentRef;
pub use store::Store;
pub use uptime::Uptime;
