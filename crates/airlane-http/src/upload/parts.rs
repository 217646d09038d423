//! Uploads that can be gone on with, as draft-ietf-httpbis-resumable-upload has them.
//!
//! ```text
//! PUT   /v1/tables/{name}   upload-complete: ?0            ─▶ 201, location: /v1/uploads/{id}, upload-offset: 0
//! PATCH /v1/uploads/{id}    upload-offset: 0, upload-complete: ?0   ─▶ 204, upload-offset: 1048576      … breaks
//! HEAD  /v1/uploads/{id}                                   ─▶ 204, upload-offset: 1572864
//! PATCH /v1/uploads/{id}    upload-offset: 1572864, upload-complete: ?1   ─▶ 201, the receipt
//! ```
//!
//! The table is parsed while its parts come, and nobody sees any of it before the last one is committed. An upload lives in memory,
//! belongs to the caller who began it, and is given up when nothing comes for ten minutes, or the server ends.

use std::collections::HashMap;
use std::sync::Arc;

use airlane_model::{Caller, Error, Result, TableId, codes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, Notify};
use tokio::time::Instant;

use super::pieces::Whole;
use super::running::Running;
use super::{COMPLETE, is_complete};
use crate::encoding;
use crate::problem::Problem;
use crate::request::From;
use crate::state::HttpState;

const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Each has a thread and what its parser holds.
const UPLOADS_MAX: usize = 64;

/// The uploads that are not complete. Clones are of the same.
#[derive(Clone, Default)]
pub struct Uploads(Arc<Mutex<HashMap<String, Arc<Upload>>>>);

/// One that is not complete.
struct Upload {
    caller: String,
    /// Taken by the request that brings a part; empty when the upload has ended.
    running: Turn<Option<Running>>,
    /// Ends the request that has it: its client has come back by another connection.
    interrupt: Notify,
    last_used: Mutex<Instant>,
}

impl Uploads {
    fn add(&self, id: String, upload: Arc<Upload>) -> Result<()> {
        let mut uploads = self.0.lock();
        if uploads.len() >= UPLOADS_MAX {
            let message = format!("there are {UPLOADS_MAX} uploads that are not complete, and there can be no more");
            return Err(
                Error::new(codes::STREAMS_FULL, message).hint("send the file in one request, or try again later")
            );
        }
        uploads.insert(id, upload);
        Ok(())
    }

    fn find(&self, id: &str, caller: &Caller) -> Result<Arc<Upload>> {
        // That of somebody else looks like none.
        let found = self.0.lock().get(id).filter(|upload| upload.caller == caller.name()).cloned();
        found.ok_or_else(|| {
            Error::new(codes::UPLOAD_NOT_FOUND, "there is no such upload").hint("it has ended: begin another")
        })
    }

    fn remove(&self, id: &str) {
        self.0.lock().remove(id);
    }
}

impl std::fmt::Debug for Uploads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").field("open", &self.0.lock().len()).finish()
    }
}

/// Begins an upload with its first part, which may be empty.
pub(super) async fn begin(state: &HttpState, caller: &Caller, running: Running, first: Whole) -> Result<Response> {
    let id = TableId::random(state.exchange.chance()).to_string();
    let upload = Arc::new(Upload {
        caller: caller.name().to_owned(),
        running: Turn::new(Some(running)),
        interrupt: Notify::new(),
        last_used: Mutex::new(Instant::now()),
    });
    state.uploads.add(id.clone(), upload.clone())?;
    tokio::spawn(watch(state.clone(), id.clone(), upload.clone()));
    let offset = upload.write(first).await?;
    let mut response = (StatusCode::CREATED, facts(offset)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/uploads/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Gives an upload up for which nothing comes.
async fn watch(state: HttpState, id: String, upload: Arc<Upload>) {
    loop {
        let end = *upload.last_used.lock() + state.patience.between_messages;
        tokio::time::sleep_until(end).await;
        if let Ok(mut running) = upload.running.try_lock()
            && *upload.last_used.lock() + state.patience.between_messages <= Instant::now()
        {
            running.take().into_iter().for_each(Running::give_up);
            return state.uploads.remove(&id);
        }
        // Somebody is at it.
        upload.used();
    }
}

impl Upload {
    fn used(&self) {
        *self.last_used.lock() = Instant::now();
    }

    /// Takes a part, and answers how many bytes there are.
    async fn write(&self, part: Whole) -> Result<u64> {
        let mut turn = self.turn().await;
        let running = turn.as_mut().ok_or_else(ended)?;
        self.fill(running, part).await.map(|()| running.bytes())
    }

    /// Has the turn. Whoever has it already is a connection that has broken and not noticed.
    async fn turn(&self) -> tokio::sync::MutexGuard<'_, Option<Running>> {
        if let Ok(turn) = self.running.try_lock() {
            return turn;
        }
        self.interrupt.notify_waiters();
        self.running.lock().await
    }

    async fn fill(&self, running: &mut Running, mut part: Whole) -> Result<()> {
        let filled = tokio::select! {
            filled = running.fill(&mut part) => filled,
            () = self.interrupt.notified() => {
                Err(Error::new(codes::CONNECTION_BROKEN, "the upload goes on by another connection"))
            }
        };
        self.used();
        filled
    }
}

fn ended() -> Error {
    Error::new(codes::UPLOAD_NOT_FOUND, "the upload has ended").hint("begin another")
}

fn facts(offset: u64) -> HeaderMap {
    HeaderMap::from_iter([
        (OFFSET, offset.into()),
        (COMPLETE, HeaderValue::from_static("?0")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ])
}

/// How much of an upload is there.
pub(crate) async fn look(
    State(state): State<HttpState>,
    From(caller): From,
    Path(id): Path<String>,
) -> std::result::Result<Response, Problem> {
    let upload = state.uploads.find(&id, &caller)?;
    let turn = upload.turn().await;
    let offset = turn.as_ref().ok_or_else(ended)?.bytes();
    upload.used();
    Ok((StatusCode::NO_CONTENT, facts(offset)).into_response())
}

/// Takes the next part of an upload.
pub(crate) async fn part(
    State(state): State<HttpState>,
    From(caller): From,
    Path(id): Path<String>,
    request: Request,
) -> std::result::Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let upload = state.uploads.find(&id, &caller)?;
    encoding::refuse(&head.headers, "a part", "say how the whole is packed when the upload begins")?;
    let (complete, said) = (is_complete(&head.headers)?, offset_of(&head.headers)?);
    let mut turn = upload.turn().await;
    let running = turn.as_mut().ok_or_else(ended)?;
    let has = running.bytes();
    if said != has {
        let message = format!("the part begins at byte {said}, and the upload has {has}");
        let error = Error::new(codes::UPLOAD_CONFLICT, message).hint(format!("go on at byte {has}"));
        let mut response = Problem(error).into_response();
        response.headers_mut().extend(facts(has));
        return Ok(response);
    }
    upload.fill(running, Whole::new(body, head.version)).await?;
    if !complete {
        return Ok((StatusCode::NO_CONTENT, facts(running.bytes())).into_response());
    }
    let running = turn.take().ok_or_else(ended)?;
    state.uploads.remove(&id);
    Ok(running.finish().await?)
}

/// Gives an upload up.
pub(crate) async fn cancel(
    State(state): State<HttpState>,
    From(caller): From,
    Path(id): Path<String>,
) -> std::result::Result<StatusCode, Problem> {
    let upload = state.uploads.find(&id, &caller)?;
    upload.turn().await.take().into_iter().for_each(Running::give_up);
    state.uploads.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

fn offset_of(headers: &HeaderMap) -> Result<u64> {
    let text = headers.get(OFFSET).and_then(|value| value.to_str().ok());
    let number = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok());
    number.ok_or_else(|| {
        Error::new(codes::OPTION_INVALID, "a part says at what byte of the upload it begins")
            .at("header `upload-offset`")
            .hint("HEAD tells how many bytes there are")
    })
}
