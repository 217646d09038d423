//! Table names: `namespace/…/name`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result, codes};
use crate::limits::{NAME_BYTES_MAX, NAME_PARTS_MAX};

/// The namespace of a name that has only one part.
pub const NAMESPACE_DEFAULT: &str = "default";

/// A checked table name.
///
/// Parts of `[A-Za-z0-9_][A-Za-z0-9_.-]*` joined by `/`, at most 8 parts and 255 bytes. The first part is the
/// namespace; a bare `prices` lives in the namespace `default`, so `default/prices` is the same name and prints as
/// `prices`. The form `PLAN-123` is reserved for runs. A name is never used as a path of the file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName(Arc<str>);

impl TableName {
    /// Checks a name.
    ///
    /// # Errors
    /// `table_name_invalid` with the offending part.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |message: String| {
            Err(Error::new(codes::TABLE_NAME_INVALID, message)
                .hint("use letters, digits, `_`, `.` and `-` in parts joined by `/`, for example `eu/prices-2026`"))
        };
        if text.is_empty() {
            return invalid("a table name is empty".into());
        }
        if text.len() > NAME_BYTES_MAX {
            return invalid(format!("a table name has {} bytes, the most is {NAME_BYTES_MAX}", text.len()));
        }
        let shown = text.escape_debug();
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > NAME_PARTS_MAX {
            return invalid(format!("table name `{shown}` has {} parts, the most is {NAME_PARTS_MAX}", parts.len()));
        }
        for part in &parts {
            if !is_part(part) {
                return invalid(format!(
                    "table name `{shown}` has the part `{}`, which is not allowed",
                    part.escape_debug()
                ));
            }
        }
        let canonical = match parts.as_slice() {
            [NAMESPACE_DEFAULT, name] => name,
            _ => text,
        };
        if is_run(canonical) {
            return invalid(format!("`{canonical}` names a run, not a table"));
        }
        Ok(Self(canonical.into()))
    }

    /// The unit of access and quota: the first part, or `default`.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or(NAMESPACE_DEFAULT, |(namespace, _)| namespace)
    }

    /// What stands behind the namespace: the name in it.
    pub fn in_namespace(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The name as users write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn is_part(part: &str) -> bool {
    let mut bytes = part.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Whether a text has the form of a run's id, `PLAN-123`.
pub(crate) fn is_run(text: &str) -> bool {
    text.strip_prefix("PLAN-").is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

impl FromStr for TableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl AsRef<str> for TableName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for TableName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_grammar() {
        for (text, namespace, printed) in [
            ("prices", "default", "prices"),
            ("default/prices", "default", "prices"),
            ("default/eu/prices", "default", "default/eu/prices"),
            ("eu/prices-2026.v1", "eu", "eu/prices-2026.v1"),
            ("_x/9", "_x", "_x/9"),
            ("PLAN-", "default", "PLAN-"),
            ("a/b/c/d/e/f/g/h", "a", "a/b/c/d/e/f/g/h"),
        ] {
            let name = TableName::parse(text).expect(text);
            assert_eq!(name.namespace(), namespace, "{text}");
            assert_eq!(name.to_string(), printed, "{text}");
        }
        assert!(TableName::parse(&"x".repeat(NAME_BYTES_MAX)).is_ok());
    }

    #[test]
    fn s7_refuses_names_that_are_paths_or_tricks() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "../x",
            "a/../b",
            ".",
            ".hidden",
            "-rf",
            "a b",
            "a\0b",
            "%2e%2e",
            "a\\b",
            "C:",
            "a@7",
            "~abc",
            "preis\u{e4}",
            "\u{202e}txt",
            "a/b/c/d/e/f/g/h/i",
            "PLAN-1",
            "default/PLAN-12",
            &long,
        ] {
            let error = TableName::parse(text).expect_err(text);
            assert_eq!(error.code(), codes::TABLE_NAME_INVALID, "{text}");
        }
    }
}
