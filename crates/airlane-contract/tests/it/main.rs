//! The crate as its users see it.

mod builtin;
mod infer;
mod never_panics;
mod types;
