//! Values of a query's parameters, as its ticket carries them: an Arrow IPC stream of one row, in base64.

use std::io::Cursor;

use airlane_format::{Format, ReadOptions, SharedBytes};
use airlane_model::{ByteSize, Error, Result, codes};
use arrow_array::RecordBatch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the values of one statement may take as text.
const VALUES_BYTES_MAX: ByteSize = ByteSize::kib(64);

/// Writes one row of values.
///
/// # Errors
/// `limit_exceeded` when they are too large for a ticket; `schema_invalid`.
pub fn write(values: &RecordBatch) -> Result<String> {
    let bytes = SharedBytes::default();
    let mut writer = airlane_format::writer(Box::new(bytes.clone()), values.schema(), Format::ArrowStream)?;
    writer.write(values)?;
    writer.finish()?;
    let text = STANDARD.encode(bytes.take());
    judge(&text)?;
    Ok(text)
}

/// Reads them. The text is a stranger's.
///
/// # Errors
/// `ticket_invalid`, `limit_exceeded`, and what is wrong with a stream.
pub(crate) fn read(text: &str) -> Result<RecordBatch> {
    judge(text)?;
    let invalid = || {
        Error::new(codes::TICKET_INVALID, "the values of a query are no row in an Arrow stream, as base64")
            .hint("pass the ticket on as it was given")
    };
    let bytes = STANDARD.decode(text).map_err(|error| invalid().source(error))?;
    let options = ReadOptions { format: Some(Format::ArrowStream), ..ReadOptions::default() };
    let mut batches = airlane_format::read_stream("the values of a query", Box::new(Cursor::new(bytes)), &options)?;
    match (batches.next().transpose()?, batches.next().transpose()?) {
        (Some(values), None) => Ok(values),
        _ => Err(invalid()),
    }
}

fn judge(text: &str) -> Result<()> {
    if text.len() <= VALUES_BYTES_MAX.as_usize() {
        return Ok(());
    }
    let message = format!("the values of a query take {} bytes, the most is {VALUES_BYTES_MAX}", text.len());
    Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("put them as a table, and join it"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a13_values_are_read_as_they_were_written_and_rubbish_is_refused() {
        let columns: [(&str, arrow_array::ArrayRef); 2] =
            [("$1", Arc::new(Int64Array::from(vec![7]))), ("$2", Arc::new(StringArray::from(vec!["eu"])))];
        let values = RecordBatch::try_from_iter(columns).expect("a row");
        let text = write(&values).expect("text");
        assert_eq!(read(&text).expect("a row"), values);
        for text in ["", "?", "AAAA", &text[..text.len() - 40], &"A".repeat(70_000)] {
            assert!(read(text).is_err(), "{text:.20}");
        }
    }
}
