//! Which format an input has: as asked for, by the extension of its name, or by its first bytes.

use airlane_model::Result;

use crate::Format;
use crate::error::invalid;
use crate::source::Source;

/// Chooses the format of a source.
pub(crate) fn choose(source: &Source, asked: Option<Format>, by_name: Option<Format>) -> Result<Format> {
    if let Some(format) = asked {
        return Ok(format);
    }
    let head = source.head();
    refuse_archive(head, source.name())?;
    match (by_name, by_bytes(head)) {
        // `.arrow` names both Arrow formats in practice, and `.json` both of JSON; the bytes decide which one it is.
        (Some(Format::ArrowFile | Format::ArrowStream), Some(found @ (Format::ArrowFile | Format::ArrowStream)))
        | (Some(Format::Json | Format::Ndjson), Some(found @ (Format::Json | Format::Ndjson))) => Ok(found),
        (Some(format), _) => Ok(format),
        (None, Some(format)) => Ok(format),
        (None, None) if head.is_empty() => Err(invalid("the input is empty", source.name())),
        (None, None) => Err(invalid("the format cannot be told from the name or the first bytes", source.name())
            .hint("name it: `--format csv`, `ndjson`, `json`, `parquet`, `arrow` or `arrows`")),
    }
}

/// The format whose first bytes these are. Text that is no JSON is taken for CSV.
fn by_bytes(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"PAR1") {
        return Some(Format::Parquet);
    }
    if head.starts_with(b"ARROW1") {
        return Some(Format::ArrowFile);
    }
    // A stream begins with the continuation marker and the length of its schema message.
    if head.starts_with(&[0xff; 4]) {
        return Some(Format::ArrowStream);
    }
    // A byte order mark of UTF-16.
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some(Format::Csv);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.starts_with(b"{") {
        return Some(Format::Ndjson);
    }
    if text.starts_with(b"[") {
        return Some(Format::Json);
    }
    is_text(text).then_some(Format::Csv)
}

fn is_text(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // The head may end inside a character.
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    valid && !bytes.is_empty() && !bytes.contains(&0)
}

/// Packings that are not undone here.
fn refuse_archive(head: &[u8], name: &str) -> Result<()> {
    let (packing, command) = match head {
        [b'P', b'K', 3, 4, ..] => ("zip", "unzip -p"),
        [b'B', b'Z', b'h', ..] => ("bzip2", "bzip2 -dc"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("xz", "xz -dc"),
        _ => return Ok(()),
    };
    Err(invalid(format!("the file is packed with {packing}"), name)
        .hint(format!("unpack it on the way: `{command} FILE | airlane put NAME -`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_format() {
        for (head, format) in [
            (&b"PAR1\x15\x04"[..], Some(Format::Parquet)),
            (b"ARROW1\0\0", Some(Format::ArrowFile)),
            (b"\xff\xff\xff\xff\x78\0\0\0", Some(Format::ArrowStream)),
            (b"\xef\xbb\xbf {\"a\":1}", Some(Format::Ndjson)),
            (b" [\n{\"a\":1}", Some(Format::Json)),
            (b"a,b\n1,2\n", Some(Format::Csv)),
            (b"\xff\xfea\0", Some(Format::Csv)),
            (b"\xfe\xff\0a", Some(Format::Csv)),
            (b"name\nJ\xc3", Some(Format::Csv)),
            (b"a,b\n\0", None),
            (b"", None),
            (b"\x89PNG", None),
        ] {
            assert_eq!(by_bytes(head), format, "{head:?}");
        }
    }
}
