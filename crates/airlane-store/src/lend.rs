//! Descriptors of segments, for readers on this machine.
//!
//! A reader that has one can read every byte behind it, for as long as it likes. So a descriptor is lent of what holds one
//! segment and nothing else: its memfd, or its file. Bytes on the heap, in the catalog or in a file that several tables
//! share have none.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use airlane_model::Result;
use airlane_segment::Segment;
use airlane_segment::home::{HomeKind, storage_error};

use crate::catalog::Place;
use crate::slot::SegmentRef;

/// How a reader on this machine gets at a segment.
#[derive(Debug)]
pub enum Lent {
    /// By the memfd that holds it, which nobody can change any more.
    Memfd(OwnedFd),
    /// By the file that holds it, which is never written again.
    File(OwnedFd),
    /// There is no descriptor for it: its bytes have to be copied.
    Bytes(Arc<Segment>),
}

impl SegmentRef {
    /// A descriptor of the segment, or its bytes (blocking when it was not [open](Self::is_open)).
    ///
    /// # Errors
    /// `data_damaged`; `storage_failed`.
    pub fn lend(&self) -> Result<Lent> {
        let segment = self.open()?;
        match (segment.home_kind(), self.facts().place) {
            (HomeKind::Memfd, _) => {
                let failed = |error| storage_error("lend a memfd", error);
                let fd = segment.lend_memfd().map_err(failed)?.map(|fd| fd.try_clone_to_owned());
                fd.transpose().map_err(failed).map(|fd| fd.map_or(Lent::Bytes(segment), Lent::Memfd))
            }
            (HomeKind::File, Place::File) => match self.open_file()? {
                Some(file) => Ok(Lent::File(file)),
                None => Ok(Lent::Bytes(segment)),
            },
            (HomeKind::File | HomeKind::Heap, _) => Ok(Lent::Bytes(segment)),
        }
    }
}
