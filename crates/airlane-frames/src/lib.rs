//! The messages of DoGet and DoPut as they lie on the wire, for both ends: [`write`](mod@write) makes them, [`read`] takes them apart.
//!
//! ```text
//! gRPC        00 | length u32 BE | payload
//! payload     FlightData, in protobuf
//!   0A        flight_descriptor   first message of a put only
//!   12        data_header         the flatbuffer of an Arrow IPC message
//!   1A        app_metadata
//!   C2 3E     data_body           field 1000, so that it comes last
//! ```
//!
//! A body is most of a message, and is why this is done by hand: it is never copied to be framed, and the reader gets it
//! piece by piece as it comes.

pub mod read;
pub mod write;

/// The prefix of a gRPC message: a flag for compression and the length.
pub const PREFIX_BYTES: usize = 5;

/// Field 1, `flight_descriptor`, with its wire type.
pub const TAG_DESCRIPTOR: u64 = 1 << 3 | 2;
/// Field 2, `data_header`.
pub const TAG_HEADER: u64 = 2 << 3 | 2;
/// Field 3, `app_metadata`.
pub const TAG_METADATA: u64 = 3 << 3 | 2;
/// Field 1000, `data_body`; `C2 3E` on the wire.
pub const TAG_BODY: u64 = 1000 << 3 | 2;
