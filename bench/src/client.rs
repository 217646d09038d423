//! The clients: stock pyarrow in a process of its own, stock arrow-flight, and raw HTTP/2 where the client must cost little.

pub(crate) mod pyarrow;
pub(crate) mod raw;
pub(crate) mod stock;

/// What a transfer moved and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
}
