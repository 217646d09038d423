//! Runs the files of `cases/cli`: shell lines and what they answer.
//!
//! ```text
//! # a comment
//! $ airlane put prices prices.csv        a line for `sh`; further lines of it begin with `> `
//! | prices@1                             its stdout
//! ! put 2 rows into prices in [TIME]     its stderr
//! [10]                                   its exit code, when it is not 0
//! ```
//!
//! Each file runs in a folder of its own against a server of its own; `$DIR` is that folder, `$PORT` the server's
//! port. What differs from run to run stands in brackets: `[TIME]`, `[ID]`, `[MOMENT]`, `[MICROS]`, `[PORT]`, `[DIR]`.
//! With `UPDATE_EXPECT=1` the files are rewritten with what the lines answer now.

use std::path::Path;
use std::process::Command;

use airlane_testkit::{ServerProcess, process, workspace};
use regex::Regex;

use super::binary;

#[test]
fn every_case_answers_as_it_is_written() {
    let folder = workspace().join("cases/cli");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("cases/cli")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 5, "only {} cases in {}", paths.len(), folder.display());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut failures = Vec::new();
    for path in paths {
        let written = std::fs::read_to_string(&path).expect("a case");
        let answered = run(&written);
        if answered == written {
            continue;
        }
        if update {
            std::fs::write(&path, answered).expect("write");
        } else {
            failures.push(format!("{}:\n{}", path.display(), difference(&written, &answered)));
        }
    }
    assert!(failures.is_empty(), "{}\nUPDATE_EXPECT=1 accepts what is answered now", failures.join("\n"));
}

/// The case with the answers of this run.
fn run(case: &str) -> String {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().canonicalize().expect("folder");
    let bin = path.join("bin");
    std::fs::create_dir(&bin).expect("bin");
    std::os::unix::fs::symlink(binary(), bin.join("airlane")).expect("link");
    let work = path.join("work");
    std::fs::create_dir(&work).expect("work");
    let server = ServerProcess::start(binary(), &path.join("data"), [] as [&str; 0]);
    let shell = Shell { bin: &bin, work: &work, server: &server };
    let mut text = String::new();
    let mut lines = case.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            text.push_str(&format!("{line}\n"));
            continue;
        }
        let Some(first) = line.strip_prefix("$ ") else { continue };
        text.push_str(&format!("{line}\n"));
        let mut command = first.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("> ") || *line == ">") {
            text.push_str(&format!("{more}\n"));
            command.push('\n');
            command.push_str(more.strip_prefix("> ").unwrap_or_default());
        }
        text.push_str(&shell.answer(&command));
    }
    text
}

struct Shell<'a> {
    bin: &'a Path,
    work: &'a Path,
    server: &'a ServerProcess,
}

impl Shell<'_> {
    fn answer(&self, line: &str) -> String {
        let path = std::env::join_paths(
            [self.bin.to_owned()]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let mut command: Command = process::command(Path::new("sh"), self.work);
        command
            .args(["-c", line])
            .env("PATH", path.expect("path"))
            .env("AIRLANE_URL", self.server.url())
            .env("DIR", self.work)
            .env("PORT", self.server.port().to_string());
        let output = command.output().expect("sh");
        let mut text = self.normalize(&String::from_utf8_lossy(&output.stdout), "| ");
        text.push_str(&self.normalize(&String::from_utf8_lossy(&output.stderr), "! "));
        match output.status.code() {
            Some(0) => {}
            code => text.push_str(&format!("[{}]\n", code.unwrap_or(-1))),
        }
        text
    }

    fn normalize(&self, text: &str, prefix: &str) -> String {
        let text =
            text.replace(&self.work.display().to_string(), "[DIR]").replace(&self.server.port().to_string(), "[PORT]");
        let mut text = text;
        for (pattern, shown) in [
            (r"\b[0-9a-f]{32}\b", "[ID]"),
            (r"\b\d+(\.\d+)? (µs|ms|s)\b", "[TIME]"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[MOMENT]"),
            (r#"("(created|committed|expires)": )\d+"#, "$1[MICROS]"),
        ] {
            text = Regex::new(pattern).expect("a pattern").replace_all(&text, shown).into_owned();
        }
        // A last line without an end would join what follows it.
        text.lines().map(|line| format!("{prefix}{line}").trim_end().to_owned() + "\n").collect()
    }
}

/// The lines of which only one text has them.
pub(crate) fn difference(written: &str, answered: &str) -> String {
    let mut text = String::new();
    let (mut left, mut right) = (written.lines(), answered.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return text,
            (left, right) if left == right => {}
            (left, right) => {
                text.extend(left.map(|line| format!("- {line}\n")));
                text.extend(right.map(|line| format!("+ {line}\n")));
            }
        }
    }
}
