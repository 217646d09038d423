//! The messages of a DoGet, from the connection to record batches with one copy.
//!
//! ```text
//! DATA frames ──airlane-frames──▶ header, metadata, body in aligned memory ──airlane-segment──▶ record batch
//!                                                   (the copy)                  (checked, points into the body)
//! ```
//!
//! tonic would copy each message into a buffer of its own, from which the body has to be copied again, since a buffer of
//! Arrow begins at a multiple of 64. So only the channel of tonic is used here, and not its codec. What a server sends is
//! believed no more than what a client sends to a server: the same check and the same validation stand before it.

use airlane_frames::read::{Limits, Parser};
use airlane_model::{ByteSize, Error, Result, codes};
use airlane_segment::DecodeLimits;
use airlane_segment::decode::StreamDecoder;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::body::Body;

use crate::address::Address;
use crate::connect::Service;
use crate::error;

mod call;
mod gather;

use gather::{Gather, Whole};

const SMALLER: &str = "have the server send smaller record batches";

/// What a message says.
#[derive(Debug)]
pub(crate) enum Payload {
    /// The schema, which comes first, and the `app_metadata` beside it.
    Schema { schema: SchemaRef, metadata: Bytes },
    /// Rows, and the `app_metadata` beside them.
    Batch { batch: RecordBatch, metadata: Bytes },
    /// Nothing for the reader: a dictionary, or `app_metadata` alone.
    Other,
}

/// The messages of an answer to DoGet. Dropping it cancels the call.
pub(crate) struct Messages {
    address: Address,
    /// Absent after the end.
    body: Option<Body>,
    parser: Parser,
    gather: Gather,
    /// Absent before the schema.
    decoder: Option<StreamDecoder>,
    /// The messages that were taken out.
    taken: u64,
    /// How the answer ended; reported after the messages that came before.
    end: Result<()>,
}

impl Messages {
    /// Asks for what a ticket names, with further headers.
    ///
    /// # Errors
    /// What the server answers instead, and `connection_broken`.
    pub(crate) async fn open(address: &Address, service: Service, ticket: &str, headers: HeaderMap) -> Result<Self> {
        let body = call::do_get(service, ticket.as_bytes(), headers).await?;
        let body = body.map_err(|status| error::from_status(address, &status))?;
        Ok(Self::of(address.clone(), body))
    }

    fn of(address: Address, body: Body) -> Self {
        let parser = Parser::new(limits());
        Self { address, body: Some(body), parser, gather: Gather::default(), decoder: None, taken: 0, end: Ok(()) }
    }

    /// The next message, or `None` at the end.
    ///
    /// # Errors
    /// What the server answers in the midst, `connection_broken`; `message_invalid`, `limit_exceeded` and `memory_full` for a message
    /// that cannot be taken. Nothing comes after an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Payload>> {
        loop {
            if let Some(whole) = self.gather.pop() {
                self.taken += 1;
                let decoded = self.decode(whole);
                return decoded.map(Some).map_err(|error| {
                    self.close();
                    error::of_message(&self.address, self.taken, &error)
                });
            }
            let Some(body) = &mut self.body else { return std::mem::replace(&mut self.end, Ok(())).map(|()| None) };
            let frame = body.frame().await;
            if let Err(error) = self.take(frame) {
                self.body = None;
                self.end = Err(error);
            }
        }
    }

    fn take(&mut self, frame: Option<std::result::Result<http_body::Frame<Bytes>, tonic::Status>>) -> Result<()> {
        let trailers = match frame {
            None => None,
            Some(Err(status)) => return Err(error::from_status(&self.address, &status)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let fed = self.parser.feed(data, &mut self.gather);
                    return fed.map_err(|error| error::of_message(&self.address, self.parser.messages(), &error));
                }
                Err(frame) => frame.into_trailers().ok(),
            },
        };
        self.body = None;
        call::status_of(trailers.as_ref()).map_err(|status| error::from_status(&self.address, &status))?;
        self.parser.finish().map_err(|error| error::of_message(&self.address, self.parser.messages(), &error))
    }

    fn decode(&mut self, Whole { header, metadata, body }: Whole) -> Result<Payload> {
        if header.is_empty() {
            return match body.is_empty() {
                true => Ok(Payload::Other),
                false => Err(Error::new(codes::MESSAGE_INVALID, "a message has data_body and no data_header")),
            };
        }
        let Some(decoder) = &mut self.decoder else {
            let decoder = StreamDecoder::new(&header, decode_limits())?;
            let schema = decoder.schema().arrow().clone();
            self.decoder = Some(decoder);
            return Ok(Payload::Schema { schema, metadata });
        };
        let batch = decoder.decode(&header, body)?;
        Ok(batch.map_or(Payload::Other, |batch| Payload::Batch { batch, metadata }))
    }

    /// Ends the call.
    fn close(&mut self) {
        self.body = None;
        self.gather = Gather::default();
        self.end = Ok(());
    }
}

/// A reader asked for what comes, so that there is little to refuse: memory grows with what arrives.
fn limits() -> Limits {
    let most = ByteSize::bytes(u32::MAX.into());
    Limits {
        message_bytes_max: most,
        header_bytes_max: ByteSize::mib(16),
        metadata_bytes_max: ByteSize::mib(16),
        body_bytes_max: most,
        hint: SMALLER,
    }
}

/// What a message may become must be bounded nevertheless: a few bytes can unpack to gigabytes.
fn decode_limits() -> DecodeLimits {
    const MANY: u64 = 1 << 60;
    DecodeLimits {
        body_bytes_max: ByteSize::bytes(u32::MAX.into()),
        decompressed_bytes_max: ByteSize::gib(2),
        // Zstandard reaches it with a column of one value.
        decompressed_ratio_max: 1 << 16,
        free_rows_max: u32::MAX.into(),
        put_rows_max: MANY,
        dictionaries_max: MANY,
        dictionary_bytes_max: ByteSize::bytes(MANY),
    }
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").field("address", &self.address).field("taken", &self.taken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
