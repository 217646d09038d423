//! Data contracts: documents of the Open Data Contract Standard, read, compared, and enforced on record batches as they
//! stream.
//!
//! Pure: no I/O, no clock. The time and the place where keys spill are handed in.

mod condition;
mod format;
mod infer;
mod model;
mod parse;
mod types;
mod value;
mod yaml;

pub use condition::Condition;
pub use model::{Column, Contract, NotChecked, Table};
pub use types::write as type_name;
