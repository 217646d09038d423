//! Files that are packed as a whole, with gzip (RFC 1952) or zstd (RFC 8878).
//!
//! ```text
//! packed bytes → unpacked, within bounds → a format          batches → a format → packed bytes
//! ```
//!
//! What packs a file is told by its first bytes. Gzip members and zstd frames that follow one another are one content; one
//! that is cut off is an error.

use std::fmt;
use std::path::{Path, PathBuf};

use airlane_model::ByteSize;

mod pack;
mod unpack;

pub(crate) use pack::PackedWriter;
pub(crate) use unpack::Unpacked;

/// What a file is packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Packing {
    /// All there are, with the extension of their files.
    pub const TABLE: [(Packing, &'static str); 2] = [(Packing::Gzip, "gz"), (Packing::Zstd, "zst")];

    /// Its name, which is that of the content coding of HTTP too (RFC 9110, section 8.4.1; RFC 8878, section 7.2).
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// By the name of a content coding, in any case.
    pub fn of_coding(name: &str) -> Option<Self> {
        // A recipient takes `x-gzip` for `gzip`.
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::TABLE.map(|row| row.0).into_iter().find(|packing| packing.name().eq_ignore_ascii_case(name))
    }

    /// The name of a file without the extension of a packing, and that packing.
    pub fn split(path: &Path) -> (PathBuf, Option<Self>) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let found = Self::TABLE.iter().find(|row| extension.is_some_and(|text| text.eq_ignore_ascii_case(row.1)));
        match found {
            Some((packing, _)) => (path.with_extension(""), Some(*packing)),
            None => (path.to_owned(), None),
        }
    }

    /// By the first bytes of a file.
    pub(crate) fn of_head(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much a packed input may unpack to. A few bytes can stand for many terabytes.
#[derive(Clone, Copy, Debug)]
pub struct ExpansionLimits {
    /// Unpacked bytes.
    pub bytes_max: ByteSize,
    /// Unpacked bytes for each packed byte, which are too many, of what unpacks to more than [`EXPANSION_FREE`].
    pub ratio_max: u64,
}

/// What may come of any input whatever the ratio: a small file of equal rows is no attack.
pub const EXPANSION_FREE: ByteSize = ByteSize::mib(64);

impl Default for ExpansionLimits {
    /// As many bytes as there are, with fewer than 500 for each packed one.
    fn default() -> Self {
        Self { bytes_max: ByteSize::bytes(u64::MAX), ratio_max: 500 }
    }
}

#[cfg(test)]
mod tests;
