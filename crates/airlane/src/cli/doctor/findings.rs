//! What was found, as lines for people as it comes, and as a report for programs.

use std::future::Future;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// One check.
    pub(super) each: Duration,
    /// How long a stream is left quiet.
    pub(super) idle: Duration,
}

impl Patience {
    /// Waits for something, and no longer than a check may take.
    pub(super) async fn wait<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.each, work).await.ok()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Findings {
    address: String,
    is_shown: bool,
    all: Vec<Finding>,
}

#[derive(Serialize)]
pub(super) struct Report<'a> {
    address: &'a str,
    verdict: Verdict,
    checks: &'a [Finding],
}

impl Findings {
    /// Nothing yet; each finding is shown at once if asked for.
    pub(super) fn new(address: String, is_shown: bool) -> Self {
        Self { address, is_shown, all: Vec::new() }
    }

    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(Finding { check, verdict: Verdict::Ok, message: message.into(), hint: None });
    }

    pub(super) fn warn(&mut self, check: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Finding { check, verdict: Verdict::Warn, message: message.into(), hint: Some(hint.into()) });
    }

    pub(super) fn fail(&mut self, check: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Finding { check, verdict: Verdict::Fail, message: message.into(), hint: Some(hint.into()) });
    }

    fn add(&mut self, finding: Finding) {
        if self.is_shown {
            let word = match finding.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            let mut text = format!("{word}  {:<13} {}\n", finding.check, finding.message);
            if let Some(hint) = &finding.hint {
                text.push_str(&format!("{:<20}→ {hint}\n", ""));
            }
            // The end of the command tells an error of stdout.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
        self.all.push(finding);
    }

    fn worst(&self) -> Verdict {
        let has = |verdict| self.all.iter().any(|finding| finding.verdict == verdict);
        if has(Verdict::Fail) {
            Verdict::Fail
        } else if has(Verdict::Warn) {
            Verdict::Warn
        } else {
            Verdict::Ok
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.worst() == Verdict::Fail
    }

    pub(super) fn report(&self) -> Report<'_> {
        Report { address: &self.address, verdict: self.worst(), checks: &self.all }
    }

    /// The last line for people.
    pub(super) fn summary(&self) -> String {
        let count = |verdict| self.all.iter().filter(|finding| finding.verdict == verdict).count();
        let (ok, warn, fail) = (count(Verdict::Ok), count(Verdict::Warn), count(Verdict::Fail));
        format!("{}: {ok} ok, {warn} to look at, {fail} failed\n", self.address)
    }
}
