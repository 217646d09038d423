//! The words of the local door, for both of its ends: how processes on one machine hand each other tables.
//!
//! ```text
//! client ── HELLO ──────────────▶ server      who asks; what each can do
//!        ── BEGIN, SEGMENT + fd … COMMIT ──▶  a put: sealed memfds, one for each segment
//!        ◀── COMMITTED ──                     an ordinary ticket
//!        ── OPEN ticket ────────▶
//!        ◀── TABLE + fds ──                   what to map
//!        ── RELEASE ────────────▶             the reader is through
//! ```
//!
//! No byte of a table crosses the socket. `spec/handover.md` says what each message means, so that any language can speak
//! it; [`message`] has their fields, [`frame`] how they are written, [`packets`] passes them with descriptors over a Unix
//! socket, [`bytes`] without over TCP, and [`channel`] is either.

pub mod bytes;
pub mod channel;
pub mod frame;
pub mod message;
pub mod packets;

use std::path::{Path, PathBuf};

pub use channel::{Channel, Received};
pub use message::Message;

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

/// Where clients look for the local door: in the folder of the user's session, else in one of the user's under /tmp.
pub fn socket_default() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Path::new(&folder).join("airlane/local.sock"),
        None => PathBuf::from(format!("/tmp/airlane-{}/local.sock", rustix::process::geteuid().as_raw())),
    }
}

/// Descriptors in one message, at most: what the kernel passes at once is 253.
pub const DESCRIPTORS_MAX: usize = 128;
