//! In what form a read is wanted, as options say it. What is no value is answered the hint.

use airlane_segment::Codec;

/// How buffers are compressed: `lz4`, `zstd`, or `none`.
///
/// # Errors
/// What there is.
pub fn codec(text: &[u8]) -> Result<Option<Codec>, &'static str> {
    match text {
        b"none" => Ok(None),
        b"lz4" => Ok(Some(Codec::Lz4Frame)),
        b"zstd" => Ok(Some(Codec::Zstd)),
        _ => Err("valid compressions: lz4, zstd, none"),
    }
}

/// Whether types are wanted that every reader knows, `plain`, and not the table's `own`.
///
/// # Errors
/// What there is.
pub fn is_plain(text: &[u8]) -> Result<bool, &'static str> {
    match text {
        b"plain" => Ok(true),
        b"own" => Ok(false),
        _ => Err("valid types: plain, own"),
    }
}
