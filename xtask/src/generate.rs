//! `cargo xtask generate`: what is written by machine and committed, so that readers and diffs see it.

mod errors;

use std::process::{Command, Stdio};

use crate::workspace::{Result, Workspace};

/// Whether files are written or only compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

impl Mode {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        match arguments {
            [] => Ok(Self::Write),
            [option] if option == "--check" => Ok(Self::Check),
            _ => Err(format!("`generate` takes `--check` only, not {arguments:?}").into()),
        }
    }
}

/// A file and what it must hold.
struct Generated {
    path: &'static str,
    text: String,
}

pub(crate) fn run(workspace: &Workspace, mode: Mode) -> Result<bool> {
    // First what the program is built from.
    if mode == Mode::Write {
        write(workspace, of_specification(workspace)?)?;
    }
    if !workspace.cargo().args(["build", "--quiet", "--package", "airlane"]).status()?.success() {
        return Ok(false);
    }
    if mode == Mode::Write {
        write(workspace, of_program(workspace)?)?;
        return Ok(true);
    }
    let stale = stale(workspace)?;
    stale.iter().for_each(|problem| eprintln!("error: {problem}"));
    Ok(stale.is_empty())
}

fn write(workspace: &Workspace, files: Vec<Generated>) -> Result<()> {
    for file in files {
        let path = workspace.path(file.path);
        if std::fs::read_to_string(&path).is_ok_and(|present| present == file.text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, file.text)?;
        println!("wrote {}", file.path);
    }
    Ok(())
}

/// The generated files that do not hold what they must.
pub(crate) fn stale(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in of_specification(workspace)?.into_iter().chain(of_program(workspace)?) {
        if std::fs::read_to_string(workspace.path(file.path)).ok() != Some(file.text) {
            problems.push(format!("{} is stale: run `cargo xtask generate`", file.path));
        }
    }
    Ok(problems)
}

fn of_specification(workspace: &Workspace) -> Result<Vec<Generated>> {
    let errors = errors::Codes::parse(&workspace.read("spec/errors.toml")?)?;
    Ok(vec![
        Generated { path: "crates/airlane-model/src/error/codes.rs", text: rustfmt(workspace, &errors.rust())? },
        Generated { path: "docs/reference/errors.md", text: errors.page(&errors::Kinds::of_model(workspace)?)? },
    ])
}

/// Pages that the program prints about itself.
fn of_program(workspace: &Workspace) -> Result<Vec<Generated>> {
    Ok(vec![
        Generated { path: "docs/reference/command-line.md", text: reference(workspace, "cli")? },
        Generated { path: "docs/reference/settings.md", text: reference(workspace, "settings")? },
        Generated { path: "docs/reference/metrics.md", text: reference(workspace, "metrics")? },
    ])
}

/// A page that the program prints about itself.
fn reference(workspace: &Workspace, page: &str) -> Result<String> {
    let output = Command::new(workspace.binary("airlane")).args(["reference", page]).output()?;
    if !output.status.success() {
        return Err(format!("`airlane reference {page}` ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Formats Rust with the settings of the project.
fn rustfmt(workspace: &Workspace, text: &str) -> Result<String> {
    use std::io::Write;
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(workspace.path("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("rustfmt has no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("rustfmt cannot read what was generated".into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
