//! The project's own commands. `cargo xtask` lists them; each is a file of its own.
//!
//! | command | file |
//! | --- | --- |
//! | `test` | `gate.rs`: every check there is, in the order of their cost |
//! | `generate` | `generate.rs`: what is written by machine and committed |
//! | `fuzz` | `fuzz.rs`: the fuzz targets at length |
//! | `bench` | `bench.rs`: the benchmarks against peers |
//! | `proxy` | `proxy.rs`: large tables and long silence through a proxy |
//! | `samples` | `samples.rs`: the sample tables |
//! | `wheel` | `wheel.rs`: the Python package with the server inside |

mod bench;
mod check;
mod fuzz;
mod gate;
mod generate;
mod packages;
mod proxy;
mod python;
mod samples;
mod step;
mod tally;
mod wheel;
mod workspace;

use std::process::ExitCode;

use workspace::{Result, Workspace};

const USAGE: &str = "\
Usage: cargo xtask <command>

  test [--deny-skips]          every check there is; ends with a line of totals
                               (AIRLANE_DENY_SKIPS=1 does what --deny-skips does)
  generate [--check]           write the generated files, or fail when one is stale
  fuzz [--seconds N]           run the fuzz targets, each for N seconds (default 60)
  bench <name> [--smoke | …]   run a benchmark; `--smoke` only shows that it works
  proxy                        a GB and ten quiet minutes through nginx
  samples                      make the files of samples/ again
  wheel [--dev]                build the Python package with the server inside, for users or for the tests
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<bool> {
    let Some((command, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return Ok(false);
    };
    let workspace = Workspace::find()?;
    match command.as_str() {
        "test" => gate::run(&workspace, gate::Options::parse(rest)?),
        "generate" => generate::run(&workspace, generate::Mode::parse(rest)?),
        "fuzz" => fuzz::run(&workspace, fuzz::Options::parse(rest)?),
        "bench" => bench::run(&workspace, rest),
        "proxy" => proxy::run(&workspace),
        "samples" => samples::run(&workspace),
        "wheel" => wheel::run(&workspace, rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(true)
        }
        unknown => Err(format!("`{unknown}` is no command\n\n{USAGE}").into()),
    }
}
