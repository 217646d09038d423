//! The crate as its users see it.

mod builtin;
mod docs;
mod infer;
mod never_panics;
mod types;
