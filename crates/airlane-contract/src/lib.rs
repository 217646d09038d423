//! Data contracts: documents of the Open Data Contract Standard, read, compared, and enforced on record batches as they
//! stream.
//!
//! Pure: no I/O, no clock. The time and the place where keys spill are handed in.

mod builtin;
mod check;
mod coerce;
mod compare;
mod condition;
mod format;
mod infer;
mod model;
mod parse;
mod report;
mod types;
mod value;
mod yaml;

pub use airlane_model::contract::{Change, Compatibility, Mode};
pub use builtin::{builtin, builtin_names};
pub use check::{Broken, CheckOptions, Checked, Checker, REASON_COLUMNS, SchemaBreak, SchemaBreaks, Spill, Verdict};
pub use compare::{compare, diff};
pub use model::{Column, Contract, NotChecked, Table};
pub use report::{CastReport, Report, RuleReport};
pub use types::write as type_name;
