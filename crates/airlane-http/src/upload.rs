//! `PUT` and `POST` of a table: a file of any format becomes a table while it arrives.
//!
//! ```text
//! connection ─ pieces ─▶ pipe ─▶ a thread: format → batches → put ─▶ commit ─▶ receipt
//!                          ◀── back-pressure: few pieces wait, and the put waits for memory
//! ```
//!
//! With `upload-complete: ?0` it becomes an upload that can be gone on with: see [`parts`].

mod options;
pub(crate) mod parts;
mod pieces;
mod pipe;
pub(crate) mod running;

use airlane_model::{Error, PutKey, PutMode, Result, codes};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::response::Response;

use crate::encoding;
use crate::media;
use crate::problem::Problem;
use crate::request::{From, Named, Options};
use crate::state::HttpState;
use options::UploadOptions;
use pieces::{FilePart, Whole, boundary};
use running::{Content, Running};

/// Whether a request brings the last of an upload (draft-ietf-httpbis-resumable-upload).
const COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

pub(crate) async fn put(
    State(state): State<HttpState>,
    From(caller): From,
    Named(table): Named,
    Options(options): Options<UploadOptions>,
    request: Request,
) -> std::result::Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let mode = if head.method == Method::POST { PutMode::Append } else { PutMode::Replace };
    let put = options.of_put(&head.headers, mode)?;
    // Whoever may not put uploads nothing.
    state.exchange.check_put(&caller, &table)?;
    let key = put.key.map(|key| PutKey::new(&caller, key));
    let (durability, retention) = (put.durability, put.retention);
    let (csv, sample) = (options.csv()?, options.sample()?);
    let contract = state.exchange.contract_types(&table)?;
    let spec = airlane_exchange::PutSpec { table, mode, durability, retention, key, caller: None };
    let packing = encoding::of_body(&head.headers)?;
    let content = |headers: &HeaderMap| {
        let format = media::of_body(options.format(), headers)?;
        Ok::<_, Error>(Content { format, packing, csv: csv.clone(), sample, contract: contract.clone() })
    };
    if !is_complete(&head.headers)? {
        let running = Running::begin(&state, caller.clone(), spec, content(&head.headers)?)?;
        let whole = Whole::new(body, head.version);
        return Ok(parts::begin(&state, &caller, running, whole).await?);
    }
    match boundary(&head.headers)? {
        None => {
            let running = Running::begin(&state, caller, spec, content(&head.headers)?)?;
            Ok(running.take(&mut Whole::new(body, head.version)).await?)
        }
        Some(boundary) => {
            encoding::refuse(&head.headers, "a form", "pack the file in it, and not the form")?;
            let (mut file, media) = open_form(body, &head, boundary, &state).await?;
            // What the form says of the file, not what the request says of the form.
            let typed = media.and_then(|media| media.parse().ok());
            let headers = HeaderMap::from_iter(typed.map(|media| (axum::http::header::CONTENT_TYPE, media)));
            let running = Running::begin(&state, caller, spec, content(&headers)?)?;
            Ok(running.take(&mut file).await?)
        }
    }
}

async fn open_form(
    body: Body,
    head: &Parts,
    boundary: String,
    state: &HttpState,
) -> Result<(FilePart, Option<String>)> {
    let opened = FilePart::open(Whole::new(body, head.version), boundary);
    state.patience.for_request(opened).await
}

fn is_complete(headers: &HeaderMap) -> Result<bool> {
    match headers.get(COMPLETE).map(|value| value.as_bytes()) {
        None | Some(b"?1") => Ok(true),
        Some(b"?0") => Ok(false),
        Some(_) => Err(Error::new(codes::OPTION_INVALID, "this is neither true nor false")
            .at("header `upload-complete`")
            .hint("write ?1 when this is the last of the upload, ?0 when more will come")),
    }
}
