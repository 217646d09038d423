//! A step of the gate: a heading, its output as it comes, what it counted, and how long it took.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use crate::workspace::Result;

/// A test that could not run says so on a line that begins with this.
pub(crate) const SKIPPED: &str = "SKIPPED: ";

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// How the output of a command is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// The command is one check.
    Command,
    /// The totals that `cargo test` prints for each binary.
    CargoTest,
    /// The last line of pytest.
    Pytest,
}

/// Runs steps one after another and keeps the totals.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    total: Tally,
    failed: Vec<String>,
}

impl Steps {
    /// A step that is a command.
    pub(crate) fn command(&mut self, name: &str, count: Count, command: &mut Command) -> bool {
        self.step(name, || {
            let (lines, success) = stream(command)?;
            Ok(tally(count, &lines, success))
        })
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

fn tally(count: Count, lines: &[String], success: bool) -> Tally {
    let skips = lines.iter().filter(|line| line.starts_with(SKIPPED)).count() as u64;
    let mut tally = match count {
        Count::Command => Tally { passed: u64::from(success), failed: u64::from(!success), skipped: 0 },
        Count::CargoTest => lines.iter().filter_map(|line| line.strip_prefix("test result: ")).map(words).sum(),
        Count::Pytest => {
            lines.iter().rev().map(|line| words(line)).find(|found| *found != Tally::default()).unwrap_or_default()
        }
    };
    // A test that printed a skip returned without a failure and was counted as passed.
    tally.passed = tally.passed.saturating_sub(skips);
    tally.skipped += skips;
    let nothing_ran = tally == Tally::default();
    if tally.failed == 0 && (!success || nothing_ran) {
        tally.failed = 1;
    }
    tally
}

/// Reads `12 passed; 1 failed; 2 ignored` and `3 failed, 12 passed, 2 skipped in 1.2s`.
///
/// What cargo calls ignored is no skip: those are the children that other tests start, and writers of fixtures.
fn words(line: &str) -> Tally {
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || ",;=".contains(c)).filter(|w| !w.is_empty()).collect();
    let mut tally = Tally::default();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else { continue };
        match pair[1] {
            "passed" => tally.passed += number,
            "failed" | "error" | "errors" => tally.failed += number,
            "skipped" | "xfailed" => tally.skipped += number,
            _ => {}
        }
    }
    tally
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), |mut total, item| {
            total += item;
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn counts_what_cargo_test_prints() {
        let output = lines(
            "test a ... ok\nSKIPPED: pyarrow: no Python\ntest result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        assert_eq!(tally(Count::CargoTest, &output, false), Tally { passed: 13, failed: 1, skipped: 1 });
    }

    #[test]
    fn counts_what_pytest_prints() {
        let output = lines("....F\n===== 1 failed, 53 passed, 2 skipped, 1 error in 3.21s =====\n");
        assert_eq!(tally(Count::Pytest, &output, false), Tally { passed: 53, failed: 2, skipped: 2 });
    }

    #[test]
    fn a_command_that_fails_without_a_failed_test_is_a_failure() {
        assert_eq!(tally(Count::CargoTest, &lines("error: could not compile"), false).failed, 1);
        assert_eq!(tally(Count::Command, &[], false).failed, 1);
        assert_eq!(tally(Count::Pytest, &lines("no tests ran in 0.01s"), true).failed, 1, "nothing ran");
    }

    #[test]
    fn a_skip_inside_a_passing_test_is_shown_and_the_rest_is_not() {
        let mut shown = Shown::default();
        let output = ["test a ... ok", "successes:", "noise", "SKIPPED: a: no Python", "test result: ok. 1 passed"];
        let seen: Vec<&str> = output.into_iter().filter(|line| shown.shows(line)).collect();
        assert_eq!(seen, ["test a ... ok", "SKIPPED: a: no Python", "test result: ok. 1 passed"]);
    }
}
