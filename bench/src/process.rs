//! What the kernel says of a process: CPU time, anonymous memory, memfd blocks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::Result;

/// CPU seconds of all threads of a process, in the kernel's ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuSeconds {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl CpuSeconds {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit_once(')').ok_or("no command in stat")?.1;
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
        let mut next = || -> Result<f64> { Ok(ticks.next().ok_or("stat is short")?? / 100.0) };
        Ok(Self { user: next()?, system: next()? })
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }

    pub(crate) fn sum(self) -> f64 {
        self.user + self.system
    }
}

/// The time that the host has taken from this machine's processors, in ticks of 10 ms.
pub(crate) fn stolen_ticks() -> Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    Ok(line.split_whitespace().nth(8).ok_or("no steal in /proc/stat")?.parse()?)
}

/// Anonymous resident memory of a process, in bytes: what it has that is no page of a file or of shared memory.
pub(crate) fn anonymous_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.split_whitespace().nth(1).ok_or("no RssAnon")?.parse::<u64>()? * 1024)
}

/// The bytes of memfds that a process has mapped, by inode: two processes with the same inode have the same pages.
pub(crate) fn memfds_mapped(pid: u32) -> Result<BTreeMap<u64, u64>> {
    let mut mapped = BTreeMap::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(inode), Some(path)) = (fields.next(), fields.nth(3), fields.next()) else { continue };
        if !path.starts_with("/memfd:") {
            continue;
        }
        let (start, end) = range.split_once('-').ok_or("no range in maps")?;
        let bytes = u64::from_str_radix(end, 16)? - u64::from_str_radix(start, 16)?;
        *mapped.entry(inode.parse()?).or_default() += bytes;
    }
    Ok(mapped)
}

/// Anonymous resident memory and the allocated blocks of the memfds that a process has open, in bytes.
pub(crate) fn memory_bytes(pid: u32) -> Result<u64> {
    let mut memfds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        let Ok(target) = fs::read_link(&path) else { continue };
        if target.to_string_lossy().starts_with("/memfd:")
            && let Ok(metadata) = fs::metadata(&path)
        {
            memfds.insert(metadata.ino(), metadata.blocks() * 512);
        }
    }
    Ok(anonymous_bytes(pid)? + memfds.values().sum::<u64>())
}

/// How many descriptors a process has open.
pub(crate) fn open_descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
