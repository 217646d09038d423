//! Parquet parsed in a child process, which may run out of memory or of stack without anybody else noticing.
//!
//! ```text
//! upload → spooled file ═ stdin ═▶ child: limits itself → Parquet → batches ─ stdout: Arrow stream ─▶ parent: judged, decoded
//!                                                       └ an error ─ stderr: one line of JSON ──▶ parent: an error
//! ```
//!
//! The child has no environment, no file but that one, and no more memory and time than it is given. It ends with 0 when the
//! stream is whole. What it says is believed as little as what the file says: it may be in the hands of whoever made the file.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use airlane_model::{ByteSize, Error, Result, codes};
use airlane_segment::DecodeLimits;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::source::Source;
use crate::{BatchReader, Spooling, arrow_stream};

mod inside;
mod output;
mod report;
mod slots;

pub use inside::{Limits, parse};
use output::Output;
use slots::Slots;

/// The memory of a child, unless it is said otherwise.
pub const MEMORY_DEFAULT: ByteSize = ByteSize::mib(512);
/// The processor time of a child, unless it is said otherwise.
pub const TIME_DEFAULT: Duration = Duration::from_secs(300);

/// Starts children that parse Parquet files. Clones share how many there are at a time.
#[derive(Clone, Debug)]
pub struct ChildParser {
    program: PathBuf,
    arguments: Vec<OsString>,
    memory: ByteSize,
    time: Duration,
    slots: Arc<Slots>,
    waiting: Option<Weak<()>>,
}

impl ChildParser {
    /// `program` is an absolute path, and does with `arguments` what [`parse`] does; `airlane parse-parquet` is one. A child
    /// may have so much memory beyond what it has when it begins, and so much processor time; it may also let its reader wait
    /// for that time.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, memory: ByteSize, time: Duration) -> Self {
        Self { program, arguments, memory, time, slots: Arc::default(), waiting: None }
    }

    /// The program that runs now, with its own command for it. It is found also when its file has been replaced since.
    pub fn of_this_program(command: &str, memory: ByteSize, time: Duration) -> Self {
        Self::new(PathBuf::from("/proc/self/exe"), vec![command.into()], memory, time)
    }

    /// As this, and its children end when nobody holds `waiting` any more.
    #[must_use]
    pub fn for_whom(&self, waiting: &Arc<()>) -> Self {
        Self { waiting: Some(Arc::downgrade(waiting)), ..self.clone() }
    }

    fn is_wanted(&self) -> Result<()> {
        match self.waiting.as_ref().is_none_or(|waiting| waiting.strong_count() > 0) {
            true => Ok(()),
            false => Err(Error::new(codes::CALL_CANCELLED, "nobody waits for the file any more")),
        }
    }

    /// Reads a Parquet file in a child.
    ///
    /// # Errors
    /// `file_invalid`; `limit_exceeded` for a file that needs more than a child has; `internal` when there is no child;
    /// `call_cancelled` when nobody waits for it.
    pub(crate) fn open(&self, source: Source, limits: DecodeLimits, spooling: &Spooling) -> Result<Reader> {
        let name = source.name().to_owned();
        let file = source.into_file(spooling)?;
        let slot = self.slots.take(|| self.is_wanted())?;
        let output = BufReader::new(Output::new(self.start(file, &name)?, self.clone(), name.clone(), slot));
        Ok(Reader { stream: arrow_stream::Reader::open(output, &name, limits)?, done: false })
    }

    fn start(&self, file: File, name: &str) -> Result<std::process::Child> {
        let limits = Limits { memory: self.memory, time: self.time };
        let mut command = Command::new(&self.program);
        command.arg0("airlane").args(&self.arguments).args(limits.arguments(name));
        // Secrets stand in variables. The one that is given keeps the allocator of `airlane` from setting a gigabyte of
        // addresses aside, which would count as memory.
        command.env_clear().env("MIMALLOC_ARENA_RESERVE", "0").current_dir("/");
        // What a terminal sends to the server is not for the child, whose upload may end.
        command.process_group(0);
        command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| {
            let message = format!("the program that reads Parquet files cannot be started: {error}");
            Error::new(codes::INTERNAL, message).at(self.program.display().to_string()).source(error)
        })
    }
}

/// The batches that a child has parsed. Dropping it ends the child.
pub(crate) struct Reader {
    stream: arrow_stream::Reader<BufReader<Output>>,
    done: bool,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = match self.stream.next() {
            // The end of the stream is one when the child says so, too.
            None => self.stream.input_mut().get_mut().end().err().map(Err),
            item => item,
        };
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl BatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

#[cfg(test)]
mod tests;
