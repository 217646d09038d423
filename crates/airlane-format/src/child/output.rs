//! What a child writes, as it comes, and how it ended.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, ExitStatus};
use std::time::Duration;

use airlane_model::{Error, Result, TimeSpan, codes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::slots::Slot;
use super::{ChildParser, report};
use crate::error::{failed, invalid};

/// How often it is looked whether anybody waits still.
const TICK: Duration = Duration::from_millis(100);
/// What is kept of stderr: its end.
const SAID_BYTES_MAX: usize = 16 << 10;
/// What may be said there: a child with more to say is not one of ours.
const HEARD_BYTES_MAX: u64 = 1 << 20;
/// The pipe of batches: fewer turns of the two processes.
const PIPE_BYTES: usize = 1 << 20;

/// Signals by which a child may end, with the numbers of Linux.
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// The stdout of a child. At its end the child has ended well, or there is an error, which carries an [`Error`].
pub(super) struct Output {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
    heard_bytes: u64,
    parser: ChildParser,
    name: String,
    ended: bool,
    _slot: Slot,
}

impl Output {
    pub(super) fn new(mut child: Child, parser: ChildParser, name: String, slot: Slot) -> Self {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        if let Some(stdout) = &stdout {
            // A smaller pipe is as good, and slower.
            let _ = rustix::pipe::fcntl_setpipe_size(stdout, PIPE_BYTES);
        }
        Self { child, stdout, stderr, said: Vec::new(), heard_bytes: 0, parser, name, ended: false, _slot: slot }
    }

    /// Nothing more is read: waits for the end of the child.
    ///
    /// # Errors
    /// `file_invalid`, `limit_exceeded`, `internal`: how the child ended. `call_cancelled`.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        self.stdout = None;
        while self.stderr.is_some() {
            self.wait()?;
        }
        let status = self.status()?;
        if status.success() { Ok(()) } else { Err(self.explain(status)) }
    }

    /// Waits until there is something on stdout, or, where that is over, until stderr is. What is said there is kept.
    fn wait(&mut self) -> Result<()> {
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as _ };
        let mut waited = Duration::ZERO;
        self.parser.is_wanted()?;
        loop {
            let mut streams = Vec::with_capacity(2);
            streams.extend(self.stderr.as_ref().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
            streams.extend(self.stdout.as_ref().map(|stdout| PollFd::new(stdout, PollFlags::IN)));
            let ready = match poll(&mut streams, Some(&tick)) {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(failed(error.into(), &*self.name)),
            };
            let is_ready: Vec<bool> = streams.iter().map(|stream| !stream.revents().is_empty()).collect();
            if self.stderr.is_some() && is_ready[0] {
                self.hear()?;
            }
            if (self.stdout.is_some() && is_ready.last() == Some(&true))
                || self.stdout.is_none() && self.stderr.is_none()
            {
                return Ok(());
            }
            if ready == 0 {
                self.look(&mut waited)?;
            }
        }
    }

    /// Whether a child that says nothing is to be waited for still.
    fn look(&self, waited: &mut Duration) -> Result<()> {
        self.parser.is_wanted()?;
        *waited += TICK;
        match *waited > self.parser.time + TICK {
            true => Err(self.too_long()),
            false => Ok(()),
        }
    }

    fn hear(&mut self) -> Result<()> {
        let Some(stderr) = &mut self.stderr else { return Ok(()) };
        let mut piece = [0; 4096];
        let count = stderr.read(&mut piece).map_err(|error| failed(error, &*self.name))?;
        if count == 0 {
            self.stderr = None;
        }
        self.heard_bytes += count as u64;
        if self.heard_bytes > HEARD_BYTES_MAX {
            return Err(Error::new(codes::INTERNAL, "the program that reads Parquet files says too much"));
        }
        self.said.extend_from_slice(&piece[..count]);
        let excess = self.said.len().saturating_sub(SAID_BYTES_MAX);
        self.said.drain(..excess);
        Ok(())
    }

    fn status(&mut self) -> Result<ExitStatus> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|error| failed(error, &*self.name))? {
                return Ok(status);
            }
            self.look(&mut waited)?;
            std::thread::sleep(TICK);
        }
    }

    fn needs_more(&self, than: String) -> Error {
        Error::new(codes::LIMIT_EXCEEDED, format!("reading this Parquet file needs more than {than}")).at(&*self.name)
    }

    fn too_long(&self) -> Error {
        let time = TimeSpan::new(self.parser.time);
        self.needs_more(format!("{time} of processor time")).hint("send it in parts, or have `parquet_time_max` raised")
    }

    fn explain(&self, status: ExitStatus) -> Error {
        let said = String::from_utf8_lossy(&self.said);
        let memory = || {
            self.needs_more(format!("{} of memory", self.parser.memory)).hint(
                "write it with smaller row groups and pages, send an Arrow stream, or have `parquet_memory_max` raised",
            )
        };
        match status.signal() {
            // So the standard library says it before it aborts.
            Some(SIGABRT) if said.contains("memory allocation of") => memory(),
            Some(SIGABRT) if said.contains("overflowed its stack") => {
                invalid("the Parquet file is nested too deep to be read", &*self.name)
            }
            Some(SIGXCPU) => self.too_long(),
            // By its limit of time, or by the system, which had no memory left.
            Some(SIGKILL) => memory(),
            Some(signal) => {
                let message = format!("the Parquet file makes its reader end (signal {signal})");
                invalid(message, &*self.name).hint("write it again with a current library, or send an Arrow stream")
            }
            None => report::read(&self.said).unwrap_or_else(|| {
                let said = said.lines().last().unwrap_or_default().escape_debug().to_string();
                let program = self.parser.program.display().to_string();
                Error::new(codes::INTERNAL, format!("the program that reads Parquet files ended with {status}"))
                    .at(program)
                    .source(said)
            }),
        }
    }
}

impl Read for Output {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stdout.is_some() {
            self.wait().map_err(io::Error::other)?;
        }
        let Some(stdout) = &mut self.stdout else { return Ok(0) };
        let count = stdout.read(into)?;
        if count == 0 && !into.is_empty() {
            self.end().map_err(io::Error::other)?;
        }
        Ok(count)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // It may have ended by itself; either way nobody is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
