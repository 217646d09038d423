//! How a child tells an error: one line of JSON, the last of its stderr.

use airlane_model::error::Code;
use airlane_model::{Error, codes};
use serde::{Deserialize, Serialize};

/// What a child may be believed to have met.
const CODES: [Code; 3] = [codes::FILE_INVALID, codes::FILE_FAILED, codes::LIMIT_EXCEEDED];
const TEXT_CHARS_MAX: usize = 1_000;

#[derive(Deserialize, Serialize)]
struct Report {
    code: String,
    message: String,
    #[serde(default)]
    place: Option<String>,
    #[serde(default)]
    hint: Option<String>,
}

/// The line.
pub(super) fn write(error: &Error) -> String {
    let owned = |text: &str| text.to_owned();
    let report = Report {
        code: owned(error.code().name()),
        message: owned(error.message()),
        place: error.place().map(owned),
        hint: error.hint_text().map(owned),
    };
    serde_json::to_string(&report).unwrap_or_default()
}

/// The error that a child has told, if it has told one that it can have met.
pub(super) fn read(said: &[u8]) -> Option<Error> {
    let line = said.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?;
    let report: Report = serde_json::from_slice(line).ok()?;
    let code = CODES.into_iter().find(|code| code.name() == report.code)?;
    let short = |text: String| text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect::<String>();
    let mut error = Error::new(code, short(report.message));
    if let Some(place) = report.place {
        error = error.at(short(place));
    }
    if let Some(hint) = report.hint {
        error = error.hint(short(hint));
    }
    Some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_back_and_no_other_is_believed() {
        let error = Error::new(codes::FILE_INVALID, "corrupt\nfooter").at("the upload, footer").hint("mend it");
        let said = format!("warning: x\n{}\n", write(&error));
        let back = read(said.as_bytes()).expect("a report");
        assert_eq!((back.code(), back.message()), (codes::FILE_INVALID, "corruptfooter"));
        assert_eq!((back.place(), back.hint_text()), (error.place(), error.hint_text()));
        let other = write(&Error::new(codes::PERMISSION_DENIED, "x"));
        for said in ["", "\n", "thread 'main' panicked", &other, "{\"code\":\"file_invalid\"}"] {
            assert!(read(said.as_bytes()).is_none(), "{said}");
        }
        let long = write(&Error::new(codes::FILE_INVALID, "x".repeat(100_000)));
        assert_eq!(read(long.as_bytes()).expect("a report").message().len(), TEXT_CHARS_MAX);
    }
}
