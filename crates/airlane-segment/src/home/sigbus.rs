//! What happens when a mapped file cannot be read: a bad sector, or a truncation from outside.
//!
//! The kernel answers such an access with SIGBUS in the thread that made it; there is no error to return. The handler
//! looks up whose mapping it was, writes the label of that segment to a file opened beforehand, and ends the process
//! with [`EXIT_CODE`]. At the next start the server reads the report and checks those segments first.
//!
//! ```text
//! report: one line for each fault, the label as 32 hex digits and a newline
//! ```
//!
//! A fault anywhere else is not ours: it ends the process by the signal, as without the handler.
#![expect(unsafe_code, reason = "installing a signal handler, and what it may call, is unsafe")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::IntoRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

/// The exit code of a process that could not read a mapped segment.
pub const EXIT_CODE: i32 = 86;

/// Mappings that are looked up; Linux allows a process 65,530 by default. One more than that is not looked up.
const SLOTS: usize = 1 << 16;

/// One registered mapping. `start` is 0 while the slot is free or being filled.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    label_high: AtomicU64,
    label_low: AtomicU64,
}

// Two mebibytes of zeroes, of which only the used pages become memory.
static REGISTRY: [Slot; SLOTS] = [const {
    Slot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        label_high: AtomicU64::new(0),
        label_low: AtomicU64::new(0),
    }
}; SLOTS];

/// Slots that were ever used: the handler reads no further.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Used slots that are free again. The handler never takes this lock.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

static REPORT: AtomicI32 = AtomicI32::new(-1);

/// A mapping that the handler knows, until dropped.
#[derive(Debug)]
pub(super) struct Registration {
    slot: Option<usize>,
}

impl Registration {
    pub(super) fn new(addresses: Range<usize>, label: u128) -> Self {
        let mut free = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let slot = free.pop().or_else(|| {
            let next = USED.load(Ordering::Relaxed);
            (next < SLOTS).then(|| {
                USED.store(next + 1, Ordering::Release);
                next
            })
        });
        drop(free);
        if let Some(entry) = slot.and_then(|slot| REGISTRY.get(slot)) {
            entry.label_high.store((label >> 64) as u64, Ordering::Relaxed);
            entry.label_low.store(label as u64, Ordering::Relaxed);
            entry.end.store(addresses.end, Ordering::Relaxed);
            entry.start.store(addresses.start, Ordering::Release);
        }
        Self { slot }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        if let Some(entry) = REGISTRY.get(slot) {
            entry.start.store(0, Ordering::Release);
        }
        FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(slot);
    }
}

/// The label of the mapping that holds `address`. Takes no lock and allocates nothing.
///
/// The slot of an address that is being read does not change meanwhile, because its mapping is alive; the others may,
/// so a slot counts only if its start is the same before and after.
fn label_of(address: usize) -> Option<u128> {
    let used = USED.load(Ordering::Acquire).min(SLOTS);
    REGISTRY.iter().take(used).find_map(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Acquire);
        let high = slot.label_high.load(Ordering::Acquire);
        let low = slot.label_low.load(Ordering::Acquire);
        let holds = start != 0 && start <= address && address < end && slot.start.load(Ordering::Acquire) == start;
        holds.then_some((u128::from(high) << 64) | u128::from(low))
    })
}

/// Installs the handler for the whole process. `report` is opened for appending and stays open until the process
/// ends; a later call replaces it.
///
/// # Errors
/// What `sigaction` answers.
pub fn install(report: File) -> io::Result<()> {
    REPORT.store(report.into_raw_fd(), Ordering::Release);
    // SAFETY: `sigaction` is plain data for which zeroes are valid; `handle` has the signature that SA_SIGINFO asks
    // for and calls only what signal-safety(7) allows; SA_ONSTACK uses the alternative stack where the thread has one.
    let answer = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut())
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn handle(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid `info`; a positive code says that the kernel raised the signal
    // for an access, so that the address is set.
    let address = unsafe { if (*info).si_code > 0 { (*info).si_addr() as usize } else { 0 } };
    match label_of(address) {
        Some(label) => {
            let line = report_line(label);
            write_all(REPORT.load(Ordering::Acquire), &line);
            write_all(2, b"airlane: a segment file cannot be read any more, segment ");
            write_all(2, &line);
            // SAFETY: `_exit` is async-signal-safe and ends the process.
            unsafe { libc::_exit(EXIT_CODE) }
        }
        // SAFETY: both are async-signal-safe. The signal is blocked while its handler runs, so the raised one ends the
        // process by the default action as soon as this returns.
        None => unsafe {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
            libc::raise(libc::SIGBUS);
        },
    }
}

/// The label as 32 hex digits and a newline, without allocating.
fn report_line(label: u128) -> [u8; 33] {
    let mut line = [b'\n'; 33];
    for (digit, byte) in line.iter_mut().take(32).enumerate() {
        let nibble = (label >> (4 * (31 - digit))) as u8 & 0xf;
        *byte = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
    line
}

fn write_all(fd: libc::c_int, bytes: &[u8]) {
    write_with(bytes, |bytes| {
        // SAFETY: `write` is async-signal-safe and reads `len` bytes of a live slice.
        let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        // Reads `errno` and allocates nothing.
        usize::try_from(written).map_err(|_| io::Error::last_os_error().raw_os_error().unwrap_or_default())
    });
}

/// Goes on after short and interrupted writes.
fn write_with(mut bytes: &[u8], mut write: impl FnMut(&[u8]) -> Result<usize, i32>) {
    while !bytes.is_empty() {
        match write(bytes) {
            Ok(written) if written > 0 => bytes = &bytes[written.min(bytes.len())..],
            Err(libc::EINTR) => {}
            // Nobody is left to tell.
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests;
