//! `cargo xtask bench <name>`: builds server and benchmark as users get them, then measures.

use crate::python;
use crate::wheel::{self, Profile};
use crate::workspace::{Result, Workspace};

/// The benchmarks there are.
pub(crate) const NAMES: &[&str] = &["flight", "handover", "server"];

/// That which measures the Python package.
const WITH_PACKAGE: &str = "handover";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let name = arguments.first().ok_or_else(|| format!("name a benchmark: {}", NAMES.join(", ")))?;
    if !NAMES.contains(&name.as_str()) {
        return Err(format!("`{name}` is no benchmark; there are: {}", NAMES.join(", ")).into());
    }
    let python = python::environment(workspace)?;
    // A smoke run shows that the benchmark works, so the build that tests use is enough.
    let is_smoke = arguments.iter().any(|argument| argument == "--smoke");
    let profile: &[&str] = if is_smoke { &[] } else { &["--release"] };
    if name == WITH_PACKAGE {
        let wheel = wheel::build(workspace, &python, if is_smoke { Profile::Dev } else { Profile::Release })?;
        python::install(&python, &wheel)?;
    }
    let packages = ["--package", "airlane", "--package", "airlane-bench"];
    if !workspace.cargo().arg("build").args(profile).args(packages).status()?.success() {
        return Ok(false);
    }
    let mut command = workspace.cargo();
    command.args(["run", "--quiet"]).args(profile).args(["--package", "airlane-bench", "--bin", "airlane-bench", "--"]);
    Ok(command.args(arguments).env("AIRLANE_PYTHON", python.path()).status()?.success())
}
