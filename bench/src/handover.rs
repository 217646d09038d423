//! `handover`: a table from one process of this machine to another.
//!
//! | part | what is measured |
//! | --- | --- |
//! | `latency` | in Rust: from the end of a put to the first value in another process |
//! | `tables` | in Python: 100,000 rows as Arrow table and as pandas frame, beside JSON through a pipe and stock pyarrow Flight |
//! | `large` | the same with 10,000,000 rows, beside Flight |
//! | `download` | a read over TCP with shared memory refused, beside the stock client at the same server |
//! | `copies` | what a read of shared memory adds to the memory of its processes |

mod consumer;
mod copies;
mod download;
mod effort;
mod latency;
mod tables;
mod worker;

use std::path::PathBuf;

use tokio::runtime::Runtime;

pub(crate) use consumer::run as consume;
pub(crate) use effort::{Effort, USAGE};

use crate::Result;
use crate::machine::{alone, touch_memory};
use crate::peer::Peer;
use crate::report::Report;
use effort::Part;
use worker::Worker;

/// Touched before anything is measured, in a full run.
const TOUCH_BYTES: usize = 12 << 30;

/// What measures a part.
type Run = fn(&mut Report, &Setting) -> Result<()>;

/// What all parts use.
struct Setting {
    effort: Effort,
    runtime: Runtime,
    /// A server of ours that shares memory.
    server: Peer,
    socket: String,
    folder: PathBuf,
}

impl Setting {
    /// A Python process, with nothing but what users install.
    fn worker(&self) -> Result<Worker> {
        Worker::spawn(&self.socket)
    }
}

pub(crate) fn run(effort: &Effort) -> Result<()> {
    let _alone = if effort.is_smoke { None } else { Some(alone()?) };
    let mut report = Report::new("Hand-over", &effort.results_name(), format!("{effort:?}"), effort.is_smoke);
    let folder = std::env::current_exe()?.with_file_name(format!("airlane-handover-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&mut report, effort, folder.clone());
    std::fs::remove_dir_all(&folder)?;
    measured?;
    report.finish()
}

fn measure(report: &mut Report, effort: &Effort, folder: PathBuf) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let socket = folder.join("local.sock").display().to_string();
    // A GiB too large for a segment, and several of them at once.
    let server = Peer::airlane(&["--local-socket", &socket, "--memory", "16GiB"])?;
    let setting = Setting { effort: effort.clone(), runtime, server, socket, folder };
    installed(report, &setting)?;
    if !effort.is_smoke {
        touch_memory(TOUCH_BYTES);
    }
    let parts: [(Part, Run); 5] = [
        (Part::Latency, latency::run),
        (Part::Tables, tables::run),
        (Part::Large, tables::run_large),
        (Part::Download, download::run),
        (Part::Copies, copies::run),
    ];
    for (_, run) in parts.iter().filter(|(part, _)| effort.has(*part)) {
        run(report, &setting)?;
        report.save()?;
    }
    Ok(())
}

/// Notes what Python has. A build for debugging is several times slower, and would pass for the package.
fn installed(report: &mut Report, setting: &Setting) -> Result<()> {
    let hello = setting.worker()?.hello()?;
    report.versions.push(format!("Python {}, pandas {}", hello.python, hello.pandas));
    match hello.build.as_str() {
        "release" => Ok(()),
        _ if setting.effort.is_smoke => Ok(()),
        build => Err(format!(
            "the Python package that is installed is a {build} build: install the one of `cargo xtask wheel`, as \
             `cargo xtask bench handover` does"
        )
        .into()),
    }
}
