//! The Python environment of the tests: pinned packages in a folder that git ignores.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{Result, Workspace};

const FOLDER: &str = ".tools/python";
const REQUIREMENTS: &str = "conformance/python/requirements.txt";
/// Holds the requirements that the environment was made from, and is written last.
const STAMP: &str = "made-from.txt";

/// An interpreter that has what the requirements list.
#[derive(Debug)]
pub(crate) struct Python {
    path: PathBuf,
}

impl Python {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// The environment, made first where it is missing or was made from other requirements.
pub(crate) fn environment(workspace: &Workspace) -> Result<Python> {
    let folder = workspace.path(FOLDER);
    let requirements = workspace.read(REQUIREMENTS)?;
    let python = Python { path: folder.join("bin/python") };
    let stamp = folder.join(STAMP);
    let fresh = std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == requirements);
    if fresh && python.command().arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    println!("\nmaking the Python environment in {FOLDER}");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut install = python.command();
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    succeed(install.arg(workspace.path(REQUIREMENTS)))?;
    std::fs::write(stamp, requirements)?;
    Ok(python)
}

/// Installs a wheel alone, in place of the one that was there.
pub(crate) fn install(python: &Python, wheel: &Path) -> Result<()> {
    let mut install = python.command();
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps"]);
    succeed(install.arg("--no-index").arg(wheel))
}

pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}
