//! Panics of the libraries that parse files, turned into errors.
//!
//! The Arrow and Parquet readers answer some malformed input by a panic. [`guarded`] catches it; since a panic hook
//! runs before, a program that does not want the report of a caught panic on its terminal asks [`is_active`] in its
//! hook.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use airlane_model::Result;

use crate::error::invalid;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether a panic of this thread would be caught and answered as an error about the file being read.
pub fn is_active() -> bool {
    DEPTH.get() > 0
}

/// Runs `work`, whose panic becomes `file_invalid` at the place that `place` tells.
pub(crate) fn guarded<T>(place: impl FnOnce() -> String, work: impl FnOnce() -> Result<T>) -> Result<T> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let leave = Leave;
    // Whatever `work` touched is dropped by its owner after an error, never used again.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    drop(leave);
    outcome.unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown");
        Err(invalid(format!("the bytes contradict themselves: {reason}"), place()))
    })
}
