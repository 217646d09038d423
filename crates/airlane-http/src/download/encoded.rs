//! The body of every other format: batches encoded as they are read, one piece at a time.

use airlane_exchange::ReadStream;
use airlane_format::{BatchWriter, Format, Packing, SharedBytes};
use airlane_model::Result;
use axum::body::Body;
use bytes::Bytes;
use futures::stream;

use airlane_exchange::blocking;

/// A piece has so many bytes at least, but for the last.
const PIECE_BYTES_MIN: usize = 64 << 10;

struct Encoding {
    stream: ReadStream,
    writer: Box<dyn BatchWriter>,
    sink: SharedBytes,
}

/// The body of a read.
///
/// # Errors
/// `file_invalid` for a type that the format does not have.
pub(super) fn body(stream: ReadStream, format: Format, packing: Option<Packing>) -> Result<Body> {
    let sink = SharedBytes::default();
    let (output, schema) = (Box::new(sink.clone()), stream.schema().arrow().clone());
    let writer = airlane_format::packed_writer(output, schema, format, packing)?;
    let state = Some(Encoding { stream, writer, sink });
    Ok(Body::from_stream(stream::try_unfold(state, |state| async move {
        let Some(mut encoding) = state else { return Ok::<_, airlane_model::Error>(None) };
        // What is still computed blocks no thread.
        encoding.stream.ready().await;
        let (piece, rest) = blocking::run(move || encoding.next()).await?;
        Ok(Some((piece, rest)))
    })))
}

impl Encoding {
    fn next(mut self) -> Result<(Bytes, Option<Self>)> {
        while self.sink.len() < PIECE_BYTES_MIN {
            match self.stream.next_batch()? {
                Some(batch) => self.writer.write(&batch)?,
                None => {
                    self.writer.finish()?;
                    return Ok((Bytes::from(self.sink.take()), None));
                }
            }
        }
        let piece = self.sink.take();
        Ok((Bytes::from(piece), Some(self)))
    }
}
