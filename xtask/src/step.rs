//! A step of the gate: a heading, its output as it comes, what it counted, and how long it took.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use crate::tally::{Count, SKIPPED, Tally, failures, tally};
use crate::workspace::Result;

/// Runs steps one after another and keeps the totals.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    total: Tally,
    failed: Vec<String>,
    /// What is to be said of them at the end.
    told: Vec<String>,
}

impl Steps {
    /// A step that is a command.
    pub(crate) fn command(&mut self, name: &str, count: Count, command: &mut Command) -> bool {
        let mut told = Vec::new();
        let passed = self.step(name, || {
            let (lines, success) = stream(command)?;
            let tally = tally(count, &lines, success);
            if tally.failed > 0 {
                told.push(format!("\n== {name}: what failed"));
                told.extend(failures(count, &lines));
            }
            Ok(tally)
        });
        self.told.append(&mut told);
        passed
    }

    /// A step that is a check of our own: it names every problem it finds.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<Vec<String>>) -> bool {
        self.step(name, || {
            let problems = check()?;
            problems.iter().for_each(|problem| println!("error: {problem}"));
            let failed = u64::from(!problems.is_empty());
            Ok(Tally { passed: 1 - failed, failed, skipped: 0 })
        })
    }

    /// A step that cannot run here.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("\n== {name}\n{SKIPPED}{name}: {reason}");
        self.total.skipped += 1;
    }

    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Tally>) -> bool {
        println!("\n== {name}");
        let started = Instant::now();
        let tally = work().unwrap_or_else(|error| {
            println!("error: {error}");
            Tally { failed: 1, ..Tally::default() }
        });
        println!("== {name}: {tally} in {:.1} s", started.elapsed().as_secs_f64());
        if tally.failed > 0 {
            self.failed.push(name.to_owned());
        }
        self.total += tally;
        tally.failed == 0
    }

    /// Prints the totals; the last line is the one that programs read.
    pub(crate) fn finish(self, skips_denied: bool) -> bool {
        self.told.iter().for_each(|line| println!("{line}"));
        println!();
        for name in &self.failed {
            println!("failed: {name}");
        }
        let skips_fail = skips_denied && self.total.skipped > 0;
        if skips_fail {
            println!("failed: something was skipped, and skips are denied");
        }
        println!("{}", self.total);
        self.failed.is_empty() && !skips_fail
    }
}

/// Runs a command, shows what it prints as it comes, and returns it.
fn stream(command: &mut Command) -> Result<(Vec<String>, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{:?} cannot be run: {error}", command.get_program()))?;
    let (sender, receiver) = channel();
    let readers = [
        child.stdout.take().map(|pipe| forward(pipe, sender.clone())),
        child.stderr.take().map(|pipe| forward(pipe, sender)),
    ];
    let mut lines = Vec::new();
    let mut shown = Shown::default();
    for line in receiver {
        if shown.shows(&line) {
            println!("{line}");
            std::io::stdout().flush()?;
        }
        lines.push(line);
    }
    for reader in readers.into_iter().flatten() {
        reader.join().map_err(|_| "a reader of the output stopped")?;
    }
    Ok((lines, child.wait()?.success()))
}

fn forward(pipe: impl Read + Send + 'static, sender: Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        // Lines need not be UTF-8: a test may print anything.
        while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    })
}

/// `cargo test -- --show-output` lets skips be seen, and with them all else that passing tests print: that is left out.
#[derive(Default)]
struct Shown {
    inside_successes: bool,
}

impl Shown {
    fn shows(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.inside_successes = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.inside_successes = false;
        }
        !self.inside_successes || line.starts_with(SKIPPED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_inside_a_passing_test_is_shown_and_the_rest_is_not() {
        let mut shown = Shown::default();
        let output = ["test a ... ok", "successes:", "noise", "SKIPPED: a: no Python", "test result: ok. 1 passed"];
        let seen: Vec<&str> = output.into_iter().filter(|line| shown.shows(line)).collect();
        assert_eq!(seen, ["test a ... ok", "SKIPPED: a: no Python", "test result: ok. 1 passed"]);
    }
}
