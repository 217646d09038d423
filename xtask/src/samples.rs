//! `cargo xtask samples`: makes the files of `samples/` again from their source.

use crate::python;
use crate::workspace::{Result, Workspace};

pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let python = python::environment(workspace)?;
    Ok(python.command().arg(workspace.path("samples/make.py")).status()?.success())
}
