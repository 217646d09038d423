//! `cargo xtask test`: every check there is, cheap ones first. It ends with `N passed, N failed, N skipped`.

use std::process::Command;

use crate::step::Steps;
use crate::tally::Count;
use crate::workspace::{Result, Workspace};
use crate::{bench, check, fuzz, generate, packages, python, wheel};

/// Set by machines that must not skip anything.
const DENY_SKIPS: &str = "AIRLANE_DENY_SKIPS";
/// Where tests find the Python that has pyarrow.
const PYTHON: &str = "AIRLANE_PYTHON";
/// Where the conformance tests find the server.
const SERVER: &str = "AIRLANE_BIN";
/// Where the tests of the Python package find programs that start a worker of it.
const EXAMPLES: &str = "AIRLANE_EXAMPLES";
/// Where the tests of the Python package find its wheel, to install it elsewhere.
const WHEEL: &str = "AIRLANE_WHEEL";
/// The sources of the package, which tests and type checkers read.
const PACKAGE: &str = "clients/python";

/// How the gate is run.
#[derive(Debug)]
pub(crate) struct Options {
    skips_denied: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut skips_denied = std::env::var_os(DENY_SKIPS).is_some_and(|value| value == "1");
        for argument in arguments {
            match argument.as_str() {
                "--deny-skips" => skips_denied = true,
                unknown => return Err(format!("`{unknown}` is no option of `test`").into()),
            }
        }
        Ok(Self { skips_denied })
    }
}

pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<bool> {
    packages::install();
    let mut steps = Steps::default();
    steps.check("architecture", || check::architecture::problems(workspace));
    steps.check("dependencies: versions and licences", || check::dependencies::problems(workspace));
    format(workspace, &mut steps);
    lint(workspace, &mut steps);
    let python = environment(workspace, &mut steps);
    let built =
        steps.command("build", Count::Command, workspace.cargo().args(["build", "--workspace", "--all-targets"]));
    if built {
        generated(workspace, &mut steps);
        steps.command("tests", Count::CargoTest, with_python(&mut test_command(workspace), python.as_ref()));
        // The examples of the documentation use the package, so it is there before they run.
        package(workspace, python.as_ref(), &mut steps);
        conformance(workspace, python.as_ref(), &mut steps);
        fuzz::short(workspace, &mut steps);
        benchmarks(workspace, python.as_ref(), &mut steps);
    }
    if check::dependencies::cargo_deny_is_installed() {
        steps.command("cargo deny", Count::Command, workspace.cargo().args(["deny", "check"]));
    }
    Ok(steps.finish(options.skips_denied))
}

fn format(workspace: &Workspace, steps: &mut Steps) {
    if !has_component(workspace, "fmt") {
        return steps.skip("format", "the toolchain has no rustfmt");
    }
    let fuzz = ["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"];
    steps.command("format", Count::Command, workspace.cargo().args(["fmt", "--all", "--check"]));
    steps.command("format: fuzz", Count::Command, workspace.cargo().args(fuzz));
}

fn generated(workspace: &Workspace, steps: &mut Steps) {
    if !has_component(workspace, "fmt") {
        return steps.skip("generated files", "the toolchain has no rustfmt");
    }
    steps.check("generated files", || generate::stale(workspace));
}

fn lint(workspace: &Workspace, steps: &mut Steps) {
    if !has_component(workspace, "clippy") {
        return steps.skip("clippy", "the toolchain has no clippy");
    }
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    steps.command("clippy", Count::Command, workspace.cargo().args(arguments));
}

fn has_component(workspace: &Workspace, name: &str) -> bool {
    let found = workspace.cargo().args([name, "--version"]).output();
    found.is_ok_and(|output| output.status.success())
}

fn environment(workspace: &Workspace, steps: &mut Steps) -> Option<python::Python> {
    match python::environment(workspace) {
        Ok(python) => Some(python),
        Err(error) => {
            steps.skip("python environment", &error.to_string());
            None
        }
    }
}

fn test_command(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    command
}

fn conformance(workspace: &Workspace, python: Option<&python::Python>, steps: &mut Steps) {
    let Some(python) = python else {
        return steps.skip("conformance: python", "there is no Python environment");
    };
    let mut command = python.command();
    command.args(["-m", "pytest", "-q", "-rs", "--no-header", "-p", "no:cacheprovider", "conformance/python"]);
    command.current_dir(&workspace.root).env(SERVER, workspace.binary("airlane"));
    steps.command("conformance: python", Count::Pytest, &mut command);
}

/// Builds the wheel of the Python package, installs it, and tests what was installed.
fn package(workspace: &Workspace, python: Option<&python::Python>, steps: &mut Steps) {
    let Some(python) = python else {
        return steps.skip("python package", "there is no Python environment");
    };
    let mut folder = None;
    let bundled = steps.check("python package: server", || {
        folder = Some(wheel::bundle(workspace, wheel::Profile::Dev)?);
        Ok(Vec::new())
    });
    let Some(folder) = folder.filter(|_| bundled) else { return };
    let mut build = wheel::command(workspace, python, wheel::Profile::Dev);
    if !steps.command("python package: wheel", Count::Command, &mut build) {
        return;
    }
    let installed = steps.check("python package: install", || {
        python::install(python, &wheel::wheel(&folder)?)?;
        Ok(Vec::new())
    });
    let Ok(file) = wheel::wheel(&folder) else { return };
    if installed {
        let mut command = python.command();
        command
            .args(["-m", "pytest", "-q", "-rs", "--no-header", "-p", "no:cacheprovider"])
            .arg(format!("{PACKAGE}/tests"));
        command.current_dir(&workspace.root).env(WHEEL, file).env_remove(SERVER);
        command.env(EXAMPLES, workspace.binary("examples"));
        steps.command("python package: tests", Count::Pytest, &mut command);
    }
}

fn benchmarks(workspace: &Workspace, python: Option<&python::Python>, steps: &mut Steps) {
    if python.is_none() {
        return steps.skip("bench", "there is no Python environment");
    }
    for name in bench::NAMES {
        let mut command = Command::new(workspace.binary("airlane-bench"));
        command.args([name, "--smoke"]).current_dir(&workspace.root).env(SERVER, workspace.binary("airlane"));
        steps.command(&format!("bench: {name}, smoke"), Count::Command, with_python(&mut command, python));
    }
}

fn with_python<'a>(command: &'a mut Command, python: Option<&python::Python>) -> &'a mut Command {
    if let Some(python) = python {
        command.env(PYTHON, python.path());
    }
    command
}
