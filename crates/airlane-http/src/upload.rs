//! `PUT` and `POST` of a table: a file of any format becomes a table while it arrives.
//!
//! ```text
//! connection ─ pieces ─▶ pipe ─▶ a thread: format → batches → put ─▶ commit ─▶ receipt
//!                          ◀── back-pressure: few pieces wait, and the put waits for memory
//! ```

mod options;
mod pipe;

use airlane_exchange::{Exchange, PutSpec, PutStream};
use airlane_format::{Format, ReadOptions};
use airlane_model::{Caller, PutKey, PutMode, Receipt, Result};
use airlane_segment::TableSchema;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::blocking;
use crate::media;
use crate::problem::Problem;
use crate::request::{From, Named, Options};
use crate::state::HttpState;
use options::UploadOptions;
use pipe::pipe;

/// What an upload is answered.
#[derive(Debug, Serialize)]
struct Uploaded {
    #[serde(flatten)]
    receipt: Receipt,
    /// What the body was.
    format: &'static str,
    /// The columns of the table.
    fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: String,
    r#type: String,
    nullable: bool,
}

pub(crate) async fn put(
    State(state): State<HttpState>,
    From(caller): From,
    Named(table): Named,
    Options(options): Options<UploadOptions>,
    request: Request,
) -> std::result::Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let mode = if head.method == Method::POST { PutMode::Append } else { PutMode::Replace };
    let format = media::of_body(options.format(), &head.headers)?;
    let options = options.of_put(&head.headers, mode)?;
    // Whoever may not put uploads nothing.
    state.exchange.check_put(&caller, &table)?;
    let key = options.key.map(|key| PutKey::new(&caller, key));
    let spec = PutSpec { table, mode, durability: options.durability, retention: options.retention, key, caller: None };
    let (inlet, outlet, breakage) = pipe(state.patience);
    let runtime = Handle::current();
    let name = "the upload";
    let parse = blocking::run(move || {
        let options = ReadOptions { format, ..ReadOptions::default() };
        let reader = airlane_format::read_stream(name, Box::new(outlet), &options)?;
        let put = take(&state.exchange, &caller, spec, reader, &runtime)?;
        Ok(put)
    });
    // Whichever ends first: a parser that refuses the content does not wait for the rest of it.
    let mut filling = tokio::spawn(inlet.fill(body, head.version == Version::HTTP_2));
    let parsed = parse.await;
    if parsed.is_err() {
        filling.abort();
    } else {
        let _ = (&mut filling).await;
    }
    // Why it broke off explains what the parser says of half of a file.
    breakage.take()?;
    let put = parsed?;
    let fields = put.schema().arrow().fields().iter().map(|field| Field {
        name: field.name().clone(),
        r#type: field.data_type().to_string(),
        nullable: field.is_nullable(),
    });
    let fields = fields.collect();
    let receipt = put.commit().await?;
    let status = if receipt.version == airlane_model::Version::FIRST { StatusCode::CREATED } else { StatusCode::OK };
    let format = format.map_or("by its bytes", Format::name);
    Ok((status, Json(Uploaded { receipt, format, fields })).into_response())
}

/// Takes all batches of a reader into a put.
fn take(
    exchange: &Exchange,
    caller: &Caller,
    spec: PutSpec,
    reader: Box<dyn airlane_format::BatchReader>,
    runtime: &Handle,
) -> Result<PutStream> {
    let mut put = exchange.put_batches(caller, spec, TableSchema::from_arrow(&reader.schema())?)?;
    for batch in reader {
        let batch = batch?;
        runtime.block_on(put.room(batch.get_array_memory_size() as u64))?;
        put.append(&batch)?;
    }
    Ok(put)
}
