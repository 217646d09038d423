//! Log lines, written together by a thread.
//!
//! ```text
//! request ─ line ─▶ waiting ──the thread, a moment after the first line──▶ one write to stderr
//! ```
//!
//! A write to stderr is a system call, of which a small read would pay a tenth. A line that waits costs a lock and a copy.
//! Lines wait for [`GATHER`] at most, so a process that is killed loses what came in that time; one that ends in order
//! loses none. When stderr takes nothing, such as a pipe that nobody reads, and [`WAITING_BYTES_MAX`] have gathered, whoever
//! logs waits: an access log with holes is none.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// How long a first line waits for others.
const GATHER: Duration = Duration::from_millis(5);
/// What may wait.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Takes lines. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Something was taken, or written.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread holds lines that it has not written yet.
    is_writing: bool,
    /// Somebody waits until all is written.
    flushing: usize,
}

impl Lines {
    /// Has a thread write lines to `out`.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn begin(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new() });
        let writing = shared.clone();
        thread::Builder::new().name("airlane-log".into()).spawn(move || writing.run(out))?;
        Ok(Self(shared))
    }

    /// Waits until all lines before are written.
    pub(super) fn flush(&self) {
        let Shared { state, filled, drained } = &*self.0;
        let mut state = state.lock();
        state.flushing += 1;
        filled.notify_one();
        while !state.waiting.is_empty() || state.is_writing {
            drained.wait(&mut state);
        }
        state.flushing -= 1;
    }
}

impl Shared {
    /// Writes until the process ends.
    fn run(&self, mut out: impl Write) {
        let mut taken = Vec::new();
        loop {
            let mut state = self.state.lock();
            while state.waiting.is_empty() {
                self.filled.wait(&mut state);
            }
            if state.flushing == 0 && state.waiting.len() < WAITING_BYTES_MAX / 2 {
                // Woken by a flush, and by nothing else: whoever finds lines waiting wakes nobody.
                self.filled.wait_for(&mut state, GATHER);
            }
            mem::swap(&mut state.waiting, &mut taken);
            state.is_writing = true;
            self.drained.notify_all();
            drop(state);
            // There is nowhere to tell it.
            let _ = out.write_all(&taken);
            let _ = out.flush();
            taken.clear();
            self.state.lock().is_writing = false;
            self.drained.notify_all();
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Shared { state, filled, drained } = &*self.0;
        let mut state = state.lock();
        while !state.waiting.is_empty() && state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            drained.wait(&mut state);
        }
        if state.waiting.is_empty() {
            filled.notify_one();
        }
        state.waiting.extend_from_slice(line);
        Ok(line.len())
    }

    /// Lines leave by themselves.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes a write when it is let, and passes it on.
    struct Held {
        let_go: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody holds it any more.
            let _ = self.let_go.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn held() -> (Lines, Sender<()>, Receiver<Vec<u8>>) {
        let ((let_go, wait), (written, received)) = (channel(), channel());
        (Lines::begin(Held { let_go: wait, written }).expect("a thread"), let_go, received)
    }

    #[test]
    fn lines_of_many_threads_arrive_whole_and_each_thread_s_in_order() {
        let (lines, let_go, received) = held();
        drop(let_go);
        thread::scope(|scope| {
            for name in 0..8 {
                let mut lines = lines.clone();
                scope.spawn(move || {
                    for number in 0..1_000 {
                        writeln_whole(&mut lines, &format!("{name} {number}\n"));
                    }
                });
            }
        });
        lines.flush();
        let text: Vec<u8> = received.try_iter().flatten().collect();
        let text = String::from_utf8(text).expect("text");
        assert_eq!(text.lines().count(), 8_000);
        for name in 0..8 {
            let numbers = text.lines().filter_map(|line| line.strip_prefix(&format!("{name} ")));
            assert!(numbers.map(|number| number.parse::<u32>().expect("a number")).eq(0..1_000), "{name}");
        }
    }

    fn writeln_whole(lines: &mut Lines, line: &str) {
        lines.write_all(line.as_bytes()).expect("taken");
    }

    #[test]
    fn a_log_that_nobody_takes_makes_its_writers_wait_and_loses_nothing() {
        let (lines, let_go, received) = held();
        let line = vec![b'x'; WAITING_BYTES_MAX / 4];
        let writing = thread::spawn({
            let (mut lines, line) = (lines.clone(), line.clone());
            move || (0..20).for_each(|_| lines.write_all(&line).expect("taken"))
        });
        // What is on its way is one buffer at most, and another one waits.
        while lines.0.state.lock().waiting.len() + line.len() <= WAITING_BYTES_MAX {
            thread::yield_now();
        }
        assert!(!writing.is_finished());
        drop(let_go);
        writing.join().expect("no panic");
        lines.flush();
        assert_eq!(received.try_iter().map(|bytes| bytes.len()).sum::<usize>(), 20 * line.len());
    }

    #[test]
    fn a_line_that_is_larger_than_what_may_wait_is_taken() {
        let (mut lines, let_go, received) = held();
        drop(let_go);
        lines.write_all(&vec![b'x'; 3 * WAITING_BYTES_MAX]).expect("taken");
        lines.flush();
        assert_eq!(received.try_iter().map(|bytes| bytes.len()).sum::<usize>(), 3 * WAITING_BYTES_MAX);
    }
}
