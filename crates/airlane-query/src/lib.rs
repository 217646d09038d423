//! SQL over the tables of the store: planned within bounds, computed where the segments lie, streamed.
//!
//! ```text
//! text → statement (size, form) → tables (names to pinned versions) → plan (what may be in it) → rows
//! ```
//!
//! DataFusion plans and computes. What is here is what stands around it: bounds that hold before it plans ([`statement`]),
//! tables as it scans them ([`tables`], [`scan`]), memory as the server counts it ([`memory`]), and threads of its own
//! ([`engine`]), so that a query that computes takes no time from connections. Nothing in here knows who asks: [`Tables`]
//! answers what may be read.

mod bounded;
mod engine;
mod error;
mod limits;
mod memory;
mod name;
mod plan;
mod rows;
mod scan;
mod statement;
mod tables;
mod yielding;

pub use engine::Engine;
pub use limits::QueryLimits;
pub use name::{CATALOG, TableRef};
pub use plan::Planned;
pub use rows::Rows;
pub use statement::{Change, Inserted, Select, Statement};
pub use tables::Tables;
