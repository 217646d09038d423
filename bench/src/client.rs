//! The clients: stock pyarrow in a process of its own, and raw HTTP/2 in Rust where the client must cost little.

pub(crate) mod pyarrow;
pub(crate) mod raw;
