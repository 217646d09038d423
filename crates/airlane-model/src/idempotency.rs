//! Keys that make a put safe to repeat.

use std::fmt;
use std::str::FromStr;

use crate::caller::Caller;
use crate::error::{Error, Result, codes};

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// What a caller names a put with, so that repeating it does nothing twice: 1 to 255 printable characters of ASCII,
/// with no space at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |message: String| {
            Err(Error::new(codes::OPTION_INVALID, message)
                .hint("a key has 1 to 255 printable characters of ASCII, such as a UUID or `orders-2026-11-26`"))
        };
        if text.is_empty() {
            return refuse("an idempotency key is empty".into());
        }
        if text.len() > KEY_BYTES_MAX {
            return refuse(format!("an idempotency key has {} bytes, the most is {KEY_BYTES_MAX}", text.len()));
        }
        if let Some(place) = text.bytes().position(|byte| !byte.is_ascii_graphic() && byte != b' ') {
            return refuse(format!("an idempotency key is not printable ASCII at byte {place}"));
        }
        // Headers lose them on the way.
        if text.trim() != text {
            return refuse("an idempotency key begins or ends with a space".into());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key and whose it is: keys of different callers never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PutKey {
    /// The name of who puts.
    pub caller: Box<str>,
    /// The key.
    pub key: IdempotencyKey,
}

impl PutKey {
    /// The key of a caller.
    pub fn new(caller: &Caller, key: IdempotencyKey) -> Self {
        Self { caller: caller.name().into(), key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_printable_texts() {
        for text in ["x", "a key of words", "6f1b0d0e-7a0f-4b52-9a53-2d0c3c1e6b11", "!~\"{}%/\\", &"k".repeat(255)] {
            assert_eq!(text.parse::<IdempotencyKey>().expect(text).as_str(), text);
        }
        for text in [
            "",
            " ",
            " x",
            "x ",
            "a\tb",
            "a\0",
            "a\n",
            "\x7f",
            "\x1b[31m",
            "schlüssel",
            &"k".repeat(256),
            &"k".repeat(10_000),
        ] {
            let error = text.parse::<IdempotencyKey>().expect_err("no key");
            assert_eq!(error.code(), codes::OPTION_INVALID);
            assert!(error.hint_text().is_some() && error.message().len() < 100, "{error}");
        }
    }
}
