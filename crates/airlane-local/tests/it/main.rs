//! The local door as a client meets it, good or bad.

mod bad;
mod support;
mod tables;
mod tcp;
