//! What the output of test runners says: passed, failed, skipped.

use std::fmt;

/// A test that could not run says so on a line that begins with this.
pub(crate) const SKIPPED: &str = "SKIPPED: ";

/// The reason of an `#[ignore]` for what is no test by itself: a child process of another one, or a tool.
const MANUAL: &str = "manual: ";

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

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), |mut total, item| {
            total += item;
            total
        })
    }
}

/// Counts the output of a command that ended with success or not.
pub(crate) fn tally(count: Count, lines: &[String], success: bool) -> Tally {
    let skips = lines.iter().filter(|line| line.starts_with(SKIPPED)).count() as u64;
    let mut tally = match count {
        Count::Command => Tally { passed: u64::from(success), failed: u64::from(!success), skipped: 0 },
        Count::CargoTest => cargo_test(lines),
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

/// What a command printed of its failures, at most so many lines of it: the end of a long output is all that is left of it
/// elsewhere, so it is said again there.
pub(crate) fn failures(count: Count, lines: &[String]) -> Vec<String> {
    let mut told = match count {
        Count::Command => lines.to_vec(),
        Count::CargoTest => between(lines, |line| line == "failures:", |line| line.starts_with("test result: ")),
        Count::Pytest => between(lines, |line| line.contains("= FAILURES =") || line.contains("= ERRORS ="), |_| false),
    };
    if told.is_empty() {
        told = lines.to_vec();
    }
    told.split_off(told.len().saturating_sub(FAILURE_LINES_MAX))
}

const FAILURE_LINES_MAX: usize = 60;

/// The lines of all sections with their first line and without their last.
fn between(lines: &[String], begins: impl Fn(&str) -> bool, ends: impl Fn(&str) -> bool) -> Vec<String> {
    let mut is_inside = false;
    let mut told = Vec::new();
    for line in lines {
        is_inside = (is_inside || begins(line)) && !ends(line);
        if is_inside {
            told.push(line.clone());
        }
    }
    told
}

fn cargo_test(lines: &[String]) -> Tally {
    let mut tally: Tally = lines.iter().filter_map(|line| line.strip_prefix("test result: ")).map(words).sum();
    let manual = |line: &&String| ignored(line).is_some_and(|reason| reason.starts_with(MANUAL));
    let left_out = lines.iter().filter(manual).count();
    tally.skipped = tally.skipped.saturating_sub(left_out as u64);
    tally
}

/// The reason of `test NAME ... ignored, REASON`.
fn ignored(line: &str) -> Option<&str> {
    let (_, reason) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some(reason.trim_start_matches(", "))
}

/// Reads `12 passed; 1 failed; 2 ignored` and `3 failed, 12 passed, 2 skipped in 1.2s`.
fn words(line: &str) -> Tally {
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || ",;=".contains(c)).filter(|w| !w.is_empty()).collect();
    let mut tally = Tally::default();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else { continue };
        match pair[1] {
            "passed" => tally.passed += number,
            "failed" | "error" | "errors" => tally.failed += number,
            "ignored" | "skipped" | "xfailed" => tally.skipped += number,
            _ => {}
        }
    }
    tally
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
        assert_eq!(tally(Count::CargoTest, &output, false), Tally { passed: 13, failed: 1, skipped: 2 });
    }

    #[test]
    fn of_the_ignored_tests_only_those_without_a_good_reason_are_skips() {
        let output = lines(
            "test a ... ignored, manual: the child of b\n\
             test d ... ignored, broken\ntest e ... ignored\n\
             test result: ok. 3 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        assert_eq!(tally(Count::CargoTest, &output, true), Tally { passed: 3, failed: 0, skipped: 2 });
    }

    #[test]
    fn counts_what_pytest_prints() {
        let output = lines("....F\n===== 1 failed, 53 passed, 2 skipped, 1 error in 3.21s =====\n");
        assert_eq!(tally(Count::Pytest, &output, false), Tally { passed: 53, failed: 2, skipped: 2 });
    }

    #[test]
    fn failures_are_told_again_without_what_passed() {
        let output = lines(
            "test a ... ok\ntest b ... FAILED\nfailures:\n---- b stdout ----\npanicked: 1 is not 2\nfailures:\n    b\n\
             test result: FAILED. 1 passed; 1 failed\ntest c ... ok\ntest result: ok. 1 passed; 0 failed",
        );
        let told = ["failures:", "---- b stdout ----", "panicked: 1 is not 2", "failures:", "    b"];
        assert_eq!(failures(Count::CargoTest, &output), told);
        let output = lines("..F\n=== FAILURES ===\nE  assert 1 == 2\n=== 1 failed in 1s ===");
        assert_eq!(failures(Count::Pytest, &output).len(), 3);
        let output: Vec<String> = (0..100).map(|line| line.to_string()).collect();
        assert_eq!(failures(Count::Command, &output)[0], "40");
        assert_eq!(failures(Count::CargoTest, &output).len(), 60, "it did not compile");
    }

    #[test]
    fn a_command_that_fails_without_a_failed_test_is_a_failure() {
        assert_eq!(tally(Count::CargoTest, &lines("error: could not compile"), false).failed, 1);
        assert_eq!(tally(Count::Command, &[], false).failed, 1);
        assert_eq!(tally(Count::Pytest, &lines("no tests ran in 0.01s"), true).failed, 1, "nothing ran");
    }
}
