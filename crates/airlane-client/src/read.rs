//! The rows of a read, which goes on where it broke.

use std::fmt;
use std::time::Duration;

use airlane_model::{Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::address::Address;
use crate::connect::Service;
use crate::messages::{Messages, Payload};

const ROW_OFFSET_HEADER: HeaderName = HeaderName::from_static("airlane-row-offset");
const RESUMABLE_HEADER: HeaderName = HeaderName::from_static("airlane-resumable");

/// The waits before attempts to go on begin and end with these.
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_LAST: Duration = Duration::from_secs(2);

/// Where rows are read from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) address: Address,
    pub(crate) service: Service,
    /// How long it is tried to go on with a read that broke.
    pub(crate) resume_for: Duration,
}

/// The rows of a read over Flight.
pub(crate) struct FlightRows {
    source: Source,
    schema: SchemaRef,
    messages: Messages,
    /// What names just this version, and where reads are counted this read.
    resume_ticket: Option<String>,
    /// The row of the version after the last one that arrived.
    row_offset: Option<u64>,
    resumptions: u64,
}

/// The `app_metadata` of a schema.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SchemaMetadata {
    ticket: Option<String>,
}

/// The `app_metadata` of a record batch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BatchMetadata {
    row_offset: Option<u64>,
}

impl FlightRows {
    /// Waits for the schema, which is the first message.
    pub(crate) async fn open(source: Source, ticket: &str, row_offset: Option<u64>) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(RESUMABLE_HEADER, HeaderValue::from_static("true"));
        if let Some(row_offset) = row_offset {
            headers.insert(ROW_OFFSET_HEADER, row_offset.into());
        }
        let mut messages = Messages::open(&source.address, source.service.clone(), ticket, headers).await?;
        match messages.next().await? {
            Some(Payload::Schema { schema, metadata }) => {
                // Other servers say nothing here, or something else.
                let SchemaMetadata { ticket } = serde_json::from_slice(&metadata).unwrap_or_default();
                Ok(Self { source, schema, messages, resume_ticket: ticket, row_offset, resumptions: 0 })
            }
            _ => Err(Error::new(codes::MESSAGE_INVALID, "the first message is no schema")
                .at(format!("an answer of {}", source.address))),
        }
    }

    /// The schema.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How often the read broke and went on.
    pub(crate) fn resumptions(&self) -> u64 {
        self.resumptions
    }

    /// The next batch, or `None` at the end. Batches without rows, which a server sends while it has nothing to say,
    /// are passed over.
    ///
    /// # Errors
    /// What the server answers in the midst, and `connection_broken` when the read could not go on. Nothing comes after an
    /// error.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match self.messages.next().await {
                Ok(None) => return Ok(None),
                Ok(Some(Payload::Batch { batch, metadata })) if batch.num_rows() > 0 => {
                    let metadata = serde_json::from_slice(&metadata).unwrap_or_default();
                    let BatchMetadata { row_offset } = metadata;
                    // Without positions nobody knows where to go on.
                    self.row_offset = row_offset.and_then(|offset| offset.checked_add(batch.num_rows() as u64));
                    if self.row_offset.is_none() {
                        self.resume_ticket = None;
                    }
                    return Ok(Some(batch));
                }
                Ok(Some(_)) => {}
                Err(error) => self.resume(error).await?,
            }
        }
    }

    /// Goes on after an error, where that is of use.
    async fn resume(&mut self, broken: Error) -> Result<()> {
        let Some(ticket) = self.resume_ticket.clone().filter(|_| is_broken(&broken)) else { return Err(broken) };
        let end = Instant::now() + self.source.resume_for;
        let mut wait = WAIT_FIRST;
        let mut last = broken;
        while Instant::now() + wait <= end {
            sleep(wait).await;
            wait = (2 * wait).min(WAIT_LAST);
            last = match Self::open(self.source.clone(), &ticket, self.row_offset).await {
                Ok(next) if next.schema == self.schema => {
                    *self = Self { resumptions: self.resumptions + 1, ..next };
                    return Ok(());
                }
                Ok(_) => {
                    return Err(
                        Error::new(codes::MESSAGE_INVALID, "the read went on with another schema").at(self.place())
                    );
                }
                Err(error) if is_broken(&error) || error.code().is_retryable() => error,
                Err(error) => {
                    let message = format!("the read broke and cannot go on: {}", error.message());
                    let hint = error.hint_text().unwrap_or("read the table again from its beginning").to_owned();
                    return Err(Error::new(error.code(), message).at(self.place()).hint(hint));
                }
            };
        }
        Err(last)
    }

    fn place(&self) -> String {
        format!("row {} of an answer of {}", self.row_offset.unwrap_or(0), self.source.address)
    }
}

/// Whether the way to the server is at fault, and not the read.
fn is_broken(error: &Error) -> bool {
    [codes::CONNECTION_BROKEN, codes::SERVER_UNREACHABLE, codes::SHUTTING_DOWN].contains(&error.code())
}

impl fmt::Debug for FlightRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, schema) = (&self.source.address, &self.schema);
        f.debug_struct("FlightRows").field("address", address).field("schema", schema).finish_non_exhaustive()
    }
}
