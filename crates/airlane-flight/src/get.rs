//! The answer to DoGet: the stored messages of a read, framed and sent as they lie in memory.
//!
//! ```text
//! schema │ dictionaries … │ batch {"row_offset":0} │ batch {"row_offset":8192} │ … │ trailers
//! ```
//!
//! Messages are asked for one at a time, when HTTP/2 has room: a stalled reader costs one message that is not copied
//! (or one that was compressed for it).
//! Small ones are joined into one DATA frame, so that a table of ten rows is one frame and one write.

mod options;
mod pull;

use std::io::Write as _;
use std::task::{Context, Poll, ready};

use airlane_exchange::{Exchange, ReadStream, StreamMessage, Window};
use airlane_frames::write::put_flight_data;
use airlane_model::{Caller, Result, Ticket};
use airlane_segment::Message;
use bytes::{Bytes, BytesMut};
use http_body::Frame;

use crate::metrics::Traffic;
use crate::rope::{INLINE_BYTES_MAX, Rope};
use crate::sql;
use crate::status;

pub(crate) use options::{GetOptions, asks_plain_types};
pub(crate) use pull::{Pull, Readers};

/// Small messages are joined up to about this size.
const JOINED_BYTES_TARGET: usize = 64 << 10;

/// The room that the first frame of a small table takes beside its schema.
const FIRST_FRAME_BYTES: usize = 2 << 10;

/// A read as its options ask for it.
///
/// # Errors
/// Those of [`Exchange::open_read`], and `schema_invalid`.
pub(crate) async fn read(
    exchange: &Exchange,
    caller: &Caller,
    ticket: &[u8],
    options: GetOptions,
) -> Result<ReadStream> {
    let read = match sql::command(ticket)? {
        Some(command) => sql::answer(exchange, caller, command)?,
        None => {
            let ticket = Ticket::parse_bytes(ticket)?;
            exchange.open_read(caller, &ticket, &Window::default(), options.read).await?
        }
    };
    let read = read.compressed(options.codec);
    if options.is_plain { read.in_plain_types() } else { Ok(read) }
}

/// The body of an answer to DoGet.
#[derive(Debug)]
pub(crate) struct GetBody {
    state: State,
    /// The schema message, and its `app_metadata`.
    schema: Option<(Bytes, Vec<u8>)>,
    traffic: Traffic,
}

#[derive(Debug)]
enum State {
    Reading(Pull),
    Ended(Result<()>),
    Done,
}

impl GetBody {
    /// The body that sends a stream.
    pub(crate) fn new(stream: ReadStream, readers: Readers, traffic: Traffic) -> Self {
        let schema = Some((stream.schema().message().clone(), schema_metadata(&stream)));
        Self { state: State::Reading(Pull::new(stream, readers)), schema, traffic }
    }

    /// The next frame: bytes, and at last the trailers.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Rope>>> {
        let mut out = BytesMut::new();
        loop {
            let pulled = match &mut self.state {
                State::Reading(pull) if pull.will_wait() && !out.is_empty() => {
                    return Poll::Ready(Some(self.data(out, Bytes::new())));
                }
                State::Reading(pull) => ready!(pull.poll_next(cx)),
                State::Ended(_) if !out.is_empty() => return Poll::Ready(Some(self.data(out, Bytes::new()))),
                State::Ended(_) => {
                    let State::Ended(end) = std::mem::replace(&mut self.state, State::Done) else { continue };
                    let trailers = match end {
                        Ok(()) => status::ok_trailers(),
                        Err(error) => status::trailers(&status::from_error(&error)),
                    };
                    return Poll::Ready(Some(Frame::trailers(trailers)));
                }
                State::Done => return Poll::Ready(None),
            };
            match self.put_schema(&mut out).and(pulled).and_then(|message| self.put_message(&mut out, message)) {
                Ok(Some(body)) => return Poll::Ready(Some(self.data(out, body))),
                Ok(None) => {}
                Err(error) => self.state = State::Ended(Err(error)),
            }
        }
    }

    fn put_schema(&mut self, out: &mut BytesMut) -> Result<()> {
        let Some((schema, metadata)) = self.schema.take() else { return Ok(()) };
        out.reserve(schema.len() + FIRST_FRAME_BYTES);
        put_flight_data(out, &schema, &metadata, 0)
    }

    /// Frames a message; answers the body that ends the frame when it is time to send it.
    fn put_message(&mut self, out: &mut BytesMut, message: Option<StreamMessage>) -> Result<Option<Bytes>> {
        let Some(message) = message else {
            self.state = State::Ended(Ok(()));
            return Ok(None);
        };
        let mut metadata = [0; METADATA_BYTES_MAX];
        let (Message { header, body }, metadata) = match message {
            StreamMessage::Dictionary(message) => (message, &[][..]),
            StreamMessage::Batch { message, row_offset, rows } => {
                self.traffic.add_rows(rows);
                (message, row_offset_metadata(row_offset, &mut metadata))
            }
        };
        put_flight_data(out, &header, metadata, body.len())?;
        if body.len() >= INLINE_BYTES_MAX {
            return Ok(Some(body));
        }
        out.extend_from_slice(&body);
        Ok((out.len() >= JOINED_BYTES_TARGET).then(Bytes::new))
    }

    fn data(&self, head: BytesMut, body: Bytes) -> Frame<Rope> {
        self.traffic.add_bytes((head.len() + body.len()) as u64);
        Frame::data(Rope::new(head.freeze(), body))
    }
}

/// The `app_metadata` of the schema: the ticket by which the read can be gone on with, where it was asked for.
pub(crate) fn schema_metadata(stream: &ReadStream) -> Vec<u8> {
    let ticket = stream.resume_ticket().map(|ticket| serde_json::json!({ "ticket": ticket.to_string() }));
    ticket.map(|ticket| ticket.to_string().into_bytes()).unwrap_or_default()
}

/// The longest: `{"row_offset":18446744073709551615}`.
pub(crate) const METADATA_BYTES_MAX: usize = 35;

/// The `app_metadata` of a record batch: where its first row stands in the table.
pub(crate) fn row_offset_metadata(row_offset: u64, buffer: &mut [u8; METADATA_BYTES_MAX]) -> &[u8] {
    let mut rest = &mut buffer[..];
    // The buffer is as long as the longest text.
    let _ = write!(rest, "{{\"row_offset\":{row_offset}}}");
    let written = METADATA_BYTES_MAX - rest.len();
    &buffer[..written]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_offsets_are_json_of_any_length() {
        for row_offset in [0, 7, 1 << 40, u64::MAX] {
            let mut buffer = [0; METADATA_BYTES_MAX];
            let text = row_offset_metadata(row_offset, &mut buffer);
            let json: serde_json::Value = serde_json::from_slice(text).expect("JSON");
            assert_eq!(json, serde_json::json!({ "row_offset": row_offset }));
        }
    }
}
