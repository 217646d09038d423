//! The wheel of the Python package, with the server inside.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::{self, Python, succeed};
use crate::workspace::{Result, Workspace};

const MANIFEST: &str = "clients/python/Cargo.toml";
/// Where the package carries the server; git ignores it.
const BUNDLED: &str = "clients/python/python/airlane/_bin/airlane";

/// How a wheel is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As the tests are built.
    Dev,
    /// As users get it.
    Release,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// `cargo xtask wheel`: the one for users; with `--dev` the one of the tests, installed where they run.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let profile = match arguments {
        [] => Profile::Release,
        [flag] if flag == "--dev" => Profile::Dev,
        _ => return Err("the only option of `wheel` is `--dev`".into()),
    };
    let python = python::environment(workspace)?;
    let wheel = build(workspace, &python, profile)?;
    println!("{}", wheel.display());
    if profile == Profile::Dev {
        python::install(&python, &wheel)?;
    }
    Ok(true)
}

/// Builds the server and the wheel around it.
pub(crate) fn build(workspace: &Workspace, python: &Python, profile: Profile) -> Result<PathBuf> {
    let build = ["build", "--locked", "--package", "airlane", "--profile", profile.name()];
    succeed(workspace.cargo().args(build))?;
    let folder = bundle(workspace, profile)?;
    succeed(&mut command(workspace, python, profile))?;
    wheel(&folder)
}

/// Puts the server, as cargo left it, into the package, and empties the folder of the wheel, whose name it answers.
pub(crate) fn bundle(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let folder = folder(workspace, profile);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let bundled = workspace.path(BUNDLED);
    std::fs::create_dir_all(bundled.parent().ok_or("a file has no folder")?)?;
    std::fs::copy(workspace.target.join(profile.folder()).join("airlane"), &bundled)?;
    Ok(folder)
}

/// Builds the wheel.
pub(crate) fn command(workspace: &Workspace, python: &Python, profile: Profile) -> Command {
    let mut command = python.command();
    command.args(["-m", "maturin", "build", "--locked", "--manifest-path", MANIFEST, "--profile", profile.name()]);
    command.arg("--out").arg(folder(workspace, profile)).current_dir(&workspace.root);
    command.env("CARGO_TARGET_DIR", &workspace.target);
    if profile == Profile::Dev {
        // Where its system libraries come from matters to those who get it.
        command.args(["--compatibility", "linux"]);
    }
    command
}

/// The wheel in a folder.
pub(crate) fn wheel(folder: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(format!("there is no wheel in {}", folder.display()).into())
}

fn folder(workspace: &Workspace, profile: Profile) -> PathBuf {
    workspace.target.join("wheels").join(profile.name())
}
