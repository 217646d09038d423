//! Errors, as the user sees them.

use std::error::Error as _;
use std::io::{self, Write};

use airlane_model::Error;

/// Prints an error to stderr: `error: …` with `at:` and `hint:` on lines of their own, or as a JSON object.
pub(crate) fn print(error: &Error, json: bool) {
    let text = if json { format!("{}\n", as_json(error)) } else { as_text(error) };
    // Nothing is left to tell an error of stderr to.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn as_text(error: &Error) -> String {
    let mut lines = error.to_string();
    lines.insert_str(0, "error: ");
    lines.push('\n');
    lines
}

fn as_json(error: &Error) -> serde_json::Value {
    serde_json::json!({
        "error": {
            "code": error.code().name(),
            "message": error.message(),
            "at": error.place(),
            "hint": error.hint_text(),
            "retryable": error.code().is_retryable(),
            "exit_code": error.kind().exit_code(),
        }
    })
}

/// Whether the error says that the reader of stdout went away, as `head` does when it has seen enough.
pub(crate) fn is_broken_pipe(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use airlane_model::codes;

    use super::*;

    #[test]
    fn errors_have_their_parts_on_lines() {
        let error = Error::new(codes::FILE_INVALID, "\"x\" is no number").at("a.csv, row 7").hint("mend it");
        assert_eq!(as_text(&error), "error: \"x\" is no number\nat: a.csv, row 7\nhint: mend it\n");
        let json = as_json(&error);
        assert_eq!(json["error"]["code"], "file_invalid");
        assert_eq!(json["error"]["retryable"], false);
        let stopping = as_json(&Error::new(codes::SHUTTING_DOWN, "the server is stopping"));
        assert_eq!(stopping["error"]["retryable"], true);
        assert_eq!((&json["error"]["at"], &json["error"]["exit_code"]), (&"a.csv, row 7".into(), &10.into()));
    }

    #[test]
    fn a_broken_pipe_is_known_at_any_depth() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&Error::new(codes::FILE_FAILED, "x").source(broken())));
        assert!(!is_broken_pipe(&Error::new(codes::FILE_FAILED, "x").source(io::Error::other("y"))));
    }
}
