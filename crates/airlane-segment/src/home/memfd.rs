//! Segments in a memfd: memory with a descriptor that another process can map, sealed so that neither side can
//! change it.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use airlane_model::Result;
use rustix::fs::{MemfdFlags, SealFlags};

use super::vectored::write_all_at;
use super::{Home, HomeFactory, Target, storage_error};

/// Makes memfds.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemfdFactory;

impl HomeFactory for MemfdFactory {
    fn create(&mut self) -> Result<Box<dyn Target>> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // NOEXEC_SEAL came with Linux 6.3; older kernels refuse flags that they do not know.
        let created = match rustix::fs::memfd_create(c"airlane-segment", flags | MemfdFlags::NOEXEC_SEAL) {
            Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(c"airlane-segment", flags),
            other => other,
        };
        let fd = created.map_err(|error| storage_error("make a memfd", error.into()))?;
        Ok(Box::new(MemfdTarget { fd }))
    }
}

#[derive(Debug)]
struct MemfdTarget {
    fd: OwnedFd,
}

impl Target for MemfdTarget {
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        write_all_at(offset, pieces, |pieces, offset| Ok(rustix::io::pwritev(&self.fd, pieces, offset)?))
    }

    fn seal(self: Box<Self>, len: u64) -> Result<Home> {
        rustix::fs::ftruncate(&self.fd, len).map_err(|error| storage_error("size a memfd", error.into()))?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&self.fd, seals).map_err(|error| storage_error("seal a memfd", error.into()))?;
        Home::sealed_memfd(self.fd, len).map_err(|error| storage_error("map a memfd", error))
    }
}
