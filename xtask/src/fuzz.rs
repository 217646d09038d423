//! `cargo xtask fuzz`: the libFuzzer targets of `fuzz/`.
//!
//! Coverage feedback works with any toolchain; the address sanitizer needs a nightly one and is used where there is one.
//! Each target begins with the committed seeds of `fuzz/corpus/<target>` and keeps what it finds in the target folder.
//! A crash is written to `fuzz/artifacts/<target>/`; add it to the seeds together with the fix.
//!
//! The gate makes the same few runs on every machine and keeps nothing: it shows that the targets work, and that what was
//! found stays found. To find more is this command's work.
//!
//! The target `canary` must fail: a harness that finds nothing even there checks nothing.

use std::path::PathBuf;
use std::process::Command;

use crate::step::Steps;
use crate::tally::Count;
use crate::workspace::{Result, Workspace};

const FOLDER: &str = "fuzz";
const CANARY: &str = "canary";
const COVERAGE_FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=yes";
const SANITIZER_FLAGS: &str = "-Zsanitizer=address";

/// What the gate gives each target: a few seconds.
const RUNS: u64 = 20_000;

/// How long the targets run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    seconds: u64,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        match arguments {
            [] => Ok(Self { seconds: 60 }),
            [option, seconds] if option == "--seconds" => {
                let seconds = seconds.parse().map_err(|_| format!("`{seconds}` is no number of seconds"))?;
                Ok(Self { seconds })
            }
            _ => Err(format!("`fuzz` takes `--seconds N` only, not {arguments:?}").into()),
        }
    }
}

pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<bool> {
    let mut steps = Steps::default();
    let build = Build::new(workspace, nightly_is_installed())?;
    all(workspace, &build, &Budget::Seconds(options.seconds), &mut steps);
    Ok(steps.finish(false))
}

/// The same runs every time, with the toolchain that is there, for the gate.
pub(crate) fn short(workspace: &Workspace, steps: &mut Steps) {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if Command::new(compiler).arg("--version").output().is_err() {
        return steps.skip("fuzz", "libFuzzer needs a C++ compiler");
    }
    match Build::new(workspace, false) {
        Ok(build) => all(workspace, &build, &Budget::Runs(RUNS), steps),
        Err(error) => steps.skip("fuzz", &error.to_string()),
    }
}

fn all(workspace: &Workspace, build: &Build, budget: &Budget, steps: &mut Steps) {
    if !steps.command("fuzz: build", Count::Command, &mut build.command(workspace)) {
        return;
    }
    for target in &build.targets {
        let name = format!("fuzz: {target}");
        let command = build.fuzz(workspace, target, budget);
        if target == CANARY {
            steps.check(&name, || must_fail(command?));
        } else {
            match command {
                Ok(mut command) => drop(steps.command(&name, Count::Command, &mut command)),
                Err(error) => steps.skip(&name, &error.to_string()),
            }
        }
    }
}

fn must_fail(mut command: Command) -> Result<Vec<String>> {
    let output = command.output()?;
    // A harness that cannot even start fails too; only a crash that libFuzzer reports counts.
    let reported = String::from_utf8_lossy(&output.stderr).contains("SUMMARY: ");
    let found = !output.status.success() && reported;
    Ok(if found { Vec::new() } else { vec!["the canary was not caught: the harness checks nothing".to_owned()] })
}

/// How much a target does.
enum Budget {
    /// Whatever chance brings in that time.
    Seconds(u64),
    /// So many inputs, from the seeds alone and by the same dice.
    Runs(u64),
}

impl Budget {
    fn is_repeatable(&self) -> bool {
        matches!(self, Self::Runs(_))
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Seconds(seconds) => vec![format!("-max_total_time={seconds}")],
            Self::Runs(runs) => vec![format!("-runs={runs}"), "-seed=1".to_owned(), "-verbosity=0".to_owned()],
        }
    }
}

/// How the targets are built.
#[derive(Debug)]
struct Build {
    sanitized: bool,
    triple: String,
    folder: PathBuf,
    targets: Vec<String>,
}

impl Build {
    fn new(workspace: &Workspace, sanitized: bool) -> Result<Self> {
        let version = Command::new("rustc").arg("-vV").output()?;
        let version = String::from_utf8(version.stdout)?;
        let triple = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
        let kind = if sanitized { "fuzz-sanitized" } else { "fuzz" };
        let folder = workspace.target.join(kind);
        Ok(Self { sanitized, triple: triple.to_owned(), folder, targets: targets(workspace)? })
    }

    fn command(&self, workspace: &Workspace) -> Command {
        let mut command = if self.sanitized { nightly() } else { workspace.cargo() };
        let flags =
            if self.sanitized { format!("{COVERAGE_FLAGS} {SANITIZER_FLAGS}") } else { COVERAGE_FLAGS.to_owned() };
        // A target triple keeps the flags away from build scripts and procedural macros.
        command
            .args(["build", "--locked", "--release", "--bins", "--target", &self.triple, "--target-dir"])
            .arg(&self.folder);
        command.args(["--manifest-path"]).arg(workspace.path(FOLDER).join("Cargo.toml"));
        command.env("RUSTFLAGS", flags).env_remove("CARGO_ENCODED_RUSTFLAGS").current_dir(&workspace.root);
        command
    }

    fn fuzz(&self, workspace: &Workspace, target: &str, budget: &Budget) -> Result<Command> {
        let found = self.folder.join(if budget.is_repeatable() { "corpus-of-gate" } else { "corpus" }).join(target);
        if budget.is_repeatable() && found.is_dir() {
            std::fs::remove_dir_all(&found)?;
        }
        let artifacts = workspace.path(FOLDER).join("artifacts").join(target);
        for folder in [&found, &artifacts] {
            std::fs::create_dir_all(folder)?;
        }
        let mut command = Command::new(self.folder.join(&self.triple).join("release").join(target));
        command.arg(found);
        let seeds = workspace.path(FOLDER).join("corpus").join(target);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.args(budget.arguments());
        command.args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        Ok(command)
    }
}

/// The targets are the files of `fuzz/fuzz_targets`, as cargo-fuzz has it.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.path(FOLDER).join("fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a fuzz target has no name")?;
        names.push(name.to_owned());
    }
    names.sort();
    Ok(names)
}

fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command
}

fn nightly_is_installed() -> bool {
    nightly().arg("--version").output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_options() {
        let parse = |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&["--seconds", "5"]).expect("parses"), Options { seconds: 5 });
        assert!(parse(&["--seconds", "many"]).is_err());
        assert!(parse(&["--minutes", "5"]).is_err());
    }
}
