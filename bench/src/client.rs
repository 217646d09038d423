//! The clients: stock pyarrow in a process of its own, the Rust client of Airlane, stock arrow-flight, and HTTP/2
//! by hand where the client must cost little.

pub(crate) mod bare;
pub(crate) mod ours;
pub(crate) mod pyarrow;
pub(crate) mod raw;
pub(crate) mod stock;

/// What a transfer moved and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
}
