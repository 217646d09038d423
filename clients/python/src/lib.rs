//! The native half of the Python package `airlane`: calls of `airlane-client`, and Arrow data across the C data interface.
//!
//! ```text
//! Python object ──C stream──▶ input ──▶ connection.put ──▶ airlane-client
//! Python object ◀──C stream── table ◀── stream         ◀── airlane-client
//! ```
//!
//! No call holds the interpreter's lock while it waits or copies ([`wait`]), and none touches a connection in a process that was
//! forked from the one that made it ([`process`]). What users see is written in Python, beside this; nothing here is public.

mod columns;
mod connection;
mod error;
mod input;
mod process;
mod stream;
mod table;
mod wait;

use pyo3::prelude::*;

/// What `import airlane._native` gives. It keeps no state that a lock of the interpreter would have to guard.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::columns::Values;
    #[pymodule_export]
    use crate::connection::Connection;
    #[pymodule_export]
    use crate::input::Input;
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::table::{Batch, Schema, Table};
    #[pymodule_export]
    use crate::wait::Call;

    /// How this was built: a build for debugging is several times slower.
    #[pymodule_export]
    const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
}
