//! Byte counts with units.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result, codes};

/// A number of bytes. Reads `64MiB`, `1 GB`, `512`; prints binary units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// From bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// From KiB (1024 bytes).
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// From MiB.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// From GiB.
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// As bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// As bytes; Airlane runs on 64-bit machines, where the two are the same.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let (number, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .unwrap_or_else(|| (text.strip_suffix('B').unwrap_or(text), 1));
        let parsed = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
        parsed.map(Self).ok_or_else(|| {
            Error::new(codes::CONFIG_INVALID, format!("`{}` is no size in bytes", text.escape_debug()))
                .hint("write a whole number and a unit, such as 512MiB or 2GB")
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS[..4].iter().rev().find(|(_, factor)| self.0 >= *factor);
        match unit {
            None => write!(f, "{} B", self.0),
            Some((name, factor)) if self.0.is_multiple_of(*factor) => write!(f, "{} {name}", self.0 / factor),
            Some((name, factor)) => write!(f, "{:.1} {name}", self.0 as f64 / *factor as f64),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(bytes) => Ok(Self(bytes)),
            Raw::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_units() {
        for (text, bytes, printed) in [
            ("0", 0, "0 B"),
            ("512", 512, "512 B"),
            ("64MiB", 64 << 20, "64 MiB"),
            ("1 GB", 1_000_000_000, "953.7 MiB"),
            ("3 KiB", 3 << 10, "3 KiB"),
        ] {
            let size: ByteSize = text.parse().expect(text);
            assert_eq!(size.as_u64(), bytes, "{text}");
            assert_eq!(size.to_string(), printed, "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GB", "99999999999TiB", "1 XB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
