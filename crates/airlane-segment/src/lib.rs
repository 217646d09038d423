//! The layout: one byte form for wire, memory, shared memory and disk.
//!
//! A **segment** is a complete, immutable, uncompressed Arrow IPC file whose buffers are aligned to 64 bytes:
//!
//! ```text
//! "ARROW1" padding to 64
//! schema message
//! record batch message 0:  continuation, length, metadata (padded so that the body starts at 64) | body
//! record batch message 1 …
//! dictionary messages (one for each id; they come last, since they grow while batches arrive)
//! end of stream, footer, footer length, "ARROW1"
//! ```
//!
//! What comes from outside goes through [`check`] (nothing is believed before it is checked), [`decode`] (full
//! validation, once) and [`writer`] (laid out once); [`intake`] joins the three. A sealed [`Segment`] hands out its
//! messages as they lie in memory, so that sending is re-framing and never re-encoding; [`encode::compress`] is for
//! readers that ask for it.
//!
//! All `unsafe` code of the workspace is in this crate, in [`home`], [`segment`] and [`decode`].

mod budget;
pub mod check;
pub mod decode;
mod dictionary;
pub mod encode;
mod fingerprint;
pub mod home;
pub mod intake;
pub mod schema;
pub mod segment;
mod size;
pub mod writer;

pub use budget::{Charge, MemoryBudget, MemoryUse};
pub use check::DecodeLimits;
pub use encode::Codec;
pub use home::{Home, HomeFactory, MemfdPool, SealedMemfds, Sealing, Target};
pub use intake::Intake;
pub use schema::{KnownSchemas, Projection, TableSchema};
pub use segment::{GradualSegment, Message, Segment, Trust};
pub use size::memory_bytes;
pub use writer::{Cut, TableWriter, WriterOptions};
