//! What happens in the child.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use airlane_model::{ByteSize, Error, Result, codes};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::report;
use crate::source::Source;
use crate::{BatchReader, BatchWriter, Spooling, arrow_stream, parquet};

const BUFFER_BYTES: usize = 256 << 10;
/// Descriptors that a child may have open: its three, and copies of the file.
const DESCRIPTORS_MAX: u64 = 32;

/// What a child may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory, beyond what the process has when it begins.
    pub memory: ByteSize,
    /// Processor time.
    pub time: Duration,
}

impl Limits {
    /// As arguments of a program, with what errors call the file.
    pub(super) fn arguments(&self, name: &str) -> [String; 3] {
        let seconds = self.time.as_secs().max(1);
        [format!("--memory={}", self.memory.as_u64()), format!("--seconds={seconds}"), format!("--name={name}")]
    }

    /// Takes them for this process, for good.
    fn set(&self) -> Result<()> {
        // When the machine has no memory left, this process is the one to end.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        let seconds = self.time.as_secs().max(1);
        let addresses = addresses_bytes().map(|has| has.saturating_add(self.memory.as_u64()));
        let failed =
            |error: io::Error| Error::new(codes::INTERNAL, format!("a child cannot be limited: {error}")).source(error);
        for (resource, soft, hard) in [
            (Resource::Core, 0, 0),
            (Resource::Fsize, 0, 0),
            (Resource::Nofile, DESCRIPTORS_MAX, DESCRIPTORS_MAX),
            // At the first it is told, at the second it ends.
            (Resource::Cpu, seconds, seconds + 1),
        ] {
            set(resource, soft, hard).map_err(failed)?;
        }
        let addresses = addresses.map_err(failed)?;
        set(Resource::As, addresses, addresses).map_err(failed)
    }
}

fn set(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}

/// What the process has of addresses, as `RLIMIT_AS` counts them.
fn addresses_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Parses the Parquet file that is stdin, which errors call `name`, and writes its batches to stdout as an Arrow stream.
///
/// The process takes the limits first, and for good. An error is told on stderr, and answered as well: the process is to end
/// with another code than 0.
///
/// # Errors
/// `file_invalid`, `file_failed`, `limit_exceeded`, `internal`.
pub fn parse(name: &str, limits: Limits) -> Result<()> {
    let parsed = limits.set().and_then(|()| parse_stdin(name));
    if let Err(error) = &parsed {
        // Whoever would hear of a failure has gone.
        let _ = writeln!(io::stderr(), "{}", report::write(error));
    }
    parsed
}

fn parse_stdin(name: &str) -> Result<()> {
    let place = |error| crate::error::failed(error, name);
    let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(place)?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(place)?);
    let reader = parquet::Reader::open(Source::from_file(name, input), &Spooling::default())?;
    let output = Box::new(BufWriter::with_capacity(BUFFER_BYTES, output));
    let mut writer = Box::new(arrow_stream::Writer::new(output, reader.schema())?);
    for batch in reader {
        writer.write(&batch?)?;
    }
    writer.finish()
}
