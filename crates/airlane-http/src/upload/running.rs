//! An upload that is being taken: the thread that parses it, and what it is answered at its end.

use std::sync::Arc;

use airlane_exchange::words::FieldInfo;
use airlane_exchange::{ContractTypes, Exchange, PutSpec, PutStream};
use airlane_format::{BatchReader, CsvOptions, Format, Inference, Packing, ParquetParsing, ReadOptions};
use airlane_model::{ByteSize, Caller, Error, Receipt, Result, Version, codes};
use airlane_segment::{TableSchema, memory_bytes};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::pieces::Pieces;
use super::pipe::{Inlet, pipe};
use crate::state::HttpState;

/// What errors of the content call it.
const NAME: &str = "the upload";

/// How the content is to be read.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Absent: by its first bytes.
    pub(super) format: Option<Format>,
    /// What it is said to be packed with; absent: by its first bytes.
    pub(super) packing: Option<Packing>,
    /// How CSV is written.
    pub(super) csv: CsvOptions,
    /// How much decides the types of columns.
    pub(super) sample: ByteSize,
    /// What the types are where the contract of the table says it.
    pub(super) contract: Option<ContractTypes>,
}

impl Content {
    /// How it is read for whoever holds `waiting`.
    fn reading(&self, reading: &ReadOptions, waiting: &Arc<()>) -> ReadOptions {
        let parquet = match &reading.parquet {
            ParquetParsing::InChild(parser) => ParquetParsing::InChild(parser.for_whom(waiting)),
            other => other.clone(),
        };
        ReadOptions {
            format: self.format,
            packing: self.packing,
            parquet,
            csv: self.csv.clone(),
            sample: self.sample,
            casts_texts: self.contract.as_ref().is_some_and(|contract| contract.casts_texts),
            schema: self.contract.as_ref().map(|contract| contract.schema.clone()),
            ..reading.clone()
        }
    }
}

/// An upload on its way.
pub(super) struct Running {
    inlet: Inlet,
    parsed: oneshot::Receiver<Result<Parsed>>,
    /// What came of it, where that was before all was sent. Nothing is told twice.
    ended: Option<Result<Parsed>>,
    content: Content,
    /// Held as long as somebody waits for it: a child that parses it ends without.
    _waiting: Arc<()>,
}

/// What has become of the content.
struct Parsed {
    put: PutStream,
    inferred: Option<Inference>,
}

/// What an upload is answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Uploaded {
    #[serde(flatten)]
    receipt: Receipt,
    /// What the content was, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    /// The columns of the table.
    fields: Vec<FieldInfo>,
    /// What decided the types of the columns, of CSV and JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    inferred: Option<Inference>,
}

impl Running {
    /// Starts the thread. It is of its own, since it waits for the client, and the threads for short work are few.
    ///
    /// # Errors
    /// `internal` when there is no thread.
    pub(super) fn begin(state: &HttpState, caller: Caller, spec: PutSpec, content: Content) -> Result<Self> {
        let (inlet, outlet) = pipe(state.patience);
        let (answer, parsed) = oneshot::channel();
        let (exchange, runtime) = (state.exchange.clone(), Handle::current());
        let waiting = Arc::new(());
        let options = content.reading(&state.reading, &waiting);
        let parse = move || {
            let reader = airlane_format::read_stream(NAME, Box::new(outlet), &options);
            // Whoever does not wait any more has gone, and the put with it.
            let _ = answer.send(reader.and_then(|reader| take(&exchange, &caller, spec, reader, &runtime)));
        };
        let spawned = std::thread::Builder::new().name("airlane-upload".into()).spawn(parse);
        spawned.map_err(|error| Error::new(codes::INTERNAL, format!("there is no thread: {error}")).source(error))?;
        Ok(Self { inlet, parsed, ended: None, content, _waiting: waiting })
    }

    /// The bytes that were taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.inlet.bytes()
    }

    /// Takes some pieces, behind those that came before.
    ///
    /// # Errors
    /// `request_stalled`, `connection_broken`, `message_invalid`: what came before that was taken.
    pub(super) async fn fill(&mut self, pieces: &mut impl Pieces) -> Result<()> {
        tokio::select! {
            filled = self.inlet.fill(pieces) => filled,
            // Whoever is refused hears of it before the next piece: threads may wait for that one.
            ended = &mut self.parsed, if self.ended.is_none() => {
                self.ended = Some(outcome(ended));
                Ok(())
            }
        }
    }

    /// Takes all pieces, and commits.
    ///
    /// # Errors
    /// As [`fill`](Self::fill) and [`finish`](Self::finish): nothing is kept.
    pub(super) async fn take(mut self, pieces: &mut impl Pieces) -> Result<Response> {
        match self.fill(pieces).await {
            Ok(()) => self.finish().await,
            Err(error) => {
                self.inlet.break_off();
                Err(error)
            }
        }
    }

    /// Nothing more comes, and nothing is kept.
    pub(super) fn give_up(self) {
        self.inlet.break_off();
    }

    /// The content is whole: commits it, and answers the receipt.
    ///
    /// # Errors
    /// What the content is refused for, and those of the commit.
    pub(super) async fn finish(self) -> Result<Response> {
        drop(self.inlet);
        let Parsed { put, inferred } = match self.ended {
            Some(ended) => ended?,
            None => outcome(self.parsed.await)?,
        };
        let fields = FieldInfo::all(put.schema());
        let receipt = put.commit().await?;
        let status = if receipt.version == Version::FIRST { StatusCode::CREATED } else { StatusCode::OK };
        let format = self.content.format.map(Format::name);
        Ok((status, Json(Uploaded { receipt, format, fields, inferred })).into_response())
    }
}

/// What the thread tells, which ends without a word only by a fault of this server.
fn outcome(told: std::result::Result<Result<Parsed>, oneshot::error::RecvError>) -> Result<Parsed> {
    told.unwrap_or_else(|_| Err(Error::new(codes::INTERNAL, "the thread that takes an upload has ended")))
}

/// Takes all batches of a reader into a put.
fn take(
    exchange: &Exchange,
    caller: &Caller,
    spec: PutSpec,
    reader: Box<dyn BatchReader>,
    runtime: &Handle,
) -> Result<Parsed> {
    let inferred = reader.inference().cloned();
    let mut put = exchange.put_batches(caller, spec, TableSchema::from_arrow(&reader.schema())?)?;
    for batch in reader {
        let batch = batch?;
        runtime.block_on(put.room(memory_bytes(&batch)))?;
        put.append(&batch)?;
    }
    Ok(Parsed { put, inferred })
}
