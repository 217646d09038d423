//! `GET` of a table or a ticket: a window of it in a format.
//!
//! | header of the answer | what |
//! | --- | --- |
//! | `airlane-table-id`, `airlane-version` | what was read |
//! | `airlane-rows`, `airlane-row-offset` | rows of the answer, and the position of the first in the version |
//! | `airlane-ticket`, `content-location` | read the same of the same version: with `offset` a download that broke goes on |
//! | `etag` | the same as long as the version is |
//! | `content-encoding` | text is packed where `Accept-Encoding` asks for it |
//!
//! An answer that breaks off has no end: an Arrow stream lacks its end of stream, and the connection is cut.

mod arrow;
mod encoded;
pub(crate) mod query;

use airlane_exchange::{Description, ReadOptions, ReadStream, Window, words};
use airlane_format::{Format, Packing};
use airlane_model::{Caller, Error, TableInfo, Ticket, codes};
use airlane_segment::Codec;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::encoding;
use crate::media;
use crate::problem::Problem;
use crate::request::{From, Named, Options, Redeemed};
use crate::state::HttpState;

/// What needs no escape in a part of a path (RFC 3986, section 2.3), and the slash of names.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

const TABLE_ID: HeaderName = HeaderName::from_static("airlane-table-id");
const VERSION: HeaderName = HeaderName::from_static("airlane-version");
const ROWS: HeaderName = HeaderName::from_static("airlane-rows");
const ROW_OFFSET: HeaderName = HeaderName::from_static("airlane-row-offset");
const TICKET: HeaderName = HeaderName::from_static("airlane-ticket");

/// What a download is asked for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DownloadOptions {
    /// `arrows`, `arrow`, `csv`, `ndjson`, `json` or `parquet`; absent: by `Accept`, else an Arrow stream.
    format: Option<String>,
    /// The columns, with commas between them, in the order of the answer.
    columns: Option<String>,
    /// Rows that are left out before.
    offset: u64,
    /// Rows at most.
    limit: Option<u64>,
    /// How the buffers of an Arrow stream are compressed: `lz4`, `zstd` or `none`.
    compression: Option<String>,
    /// `plain` for types that every Arrow reader knows.
    types: Option<String>,
}

/// What the bytes of an answer are.
#[derive(Clone, Copy)]
struct Form {
    format: Format,
    packing: Option<Packing>,
}

/// A request to read, but for what it is to read.
pub(crate) struct Asked {
    state: HttpState,
    caller: Caller,
    options: DownloadOptions,
    headers: HeaderMap,
}

impl FromRequestParts<HttpState> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        let Ok(From(caller)) = From::from_request_parts(parts, state).await;
        let Options(options) = Options::from_request_parts(parts, state).await?;
        Ok(Self { state: state.clone(), caller, options, headers: parts.headers.clone() })
    }
}

pub(crate) async fn table(Named(table): Named, asked: Asked) -> Result<Response, Problem> {
    asked.answer(&Ticket::current(table)).await
}

pub(crate) async fn ticket(Redeemed(ticket): Redeemed, asked: Asked) -> Result<Response, Problem> {
    asked.answer(&ticket).await
}

pub(crate) async fn head_of_table(Named(table): Named, asked: Asked) -> Result<Response, Problem> {
    asked.look(&Ticket::current(table))
}

pub(crate) async fn head_of_ticket(Redeemed(ticket): Redeemed, asked: Asked) -> Result<Response, Problem> {
    asked.look(&ticket)
}

impl Asked {
    fn form(&self) -> Result<Form, Error> {
        let format = media::of_answer(self.options.format.as_deref(), &self.headers)?;
        Ok(Form { format, packing: encoding::of_answer(&self.headers, format) })
    }

    /// The headers of an answer without reading it.
    fn look(&self, ticket: &Ticket) -> Result<Response, Problem> {
        let form = self.form()?;
        let Description { info, .. } = self.state.exchange.look(&self.caller, ticket)?;
        let mut response = Body::empty().into_response();
        response.headers_mut().extend(facts(&info, form, &self.options));
        Ok(response)
    }

    pub(crate) async fn answer(&self, ticket: &Ticket) -> Result<Response, Problem> {
        let Self { state, caller, options, headers } = self;
        let form = self.form()?;
        if headers.contains_key(header::IF_NONE_MATCH) && !matches!(ticket, Ticket::Query(_)) {
            // A read that is counted is not begun for what the reader has already.
            let Description { info, .. } = state.exchange.look(caller, ticket)?;
            if is_known(&etag(&info, form, options), headers) {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                response.headers_mut().extend(facts(&info, form, options));
                return Ok(response);
            }
        }
        let window = Window {
            columns: options.columns.as_deref().map(|names| names.split(',').map(str::to_owned).collect()),
            offset: options.offset,
            limit: options.limit,
        };
        let (codec, is_plain) = (codec(options, form.format)?, is_plain(options)?);
        let resumable = ReadOptions { is_resumable: true, ..ReadOptions::default() };
        let mut stream = state.exchange.open_read(caller, ticket, &window, resumable).await?;
        stream.begin().await?;
        let stream = if is_plain { stream.in_plain_types()? } else { stream };
        let mut response = Response::new(Body::empty());
        let into = response.headers_mut();
        match stream.info() {
            Some(info) => into.extend(facts(info, form, options)),
            None => into.extend(facts_of_query(form)),
        }
        into.extend(stream.rows().map(|rows| (ROWS, HeaderValue::from(rows))));
        into.insert(ROW_OFFSET, stream.position().into());
        if let Some(ticket) = stream.resume_ticket().map(ToString::to_string) {
            let location = format!("/v1/tickets/{}", utf8_percent_encode(&ticket, PART));
            into.extend(HeaderValue::from_str(&location).ok().map(|location| (header::CONTENT_LOCATION, location)));
            into.extend(HeaderValue::from_str(&ticket).ok().map(|ticket| (TICKET, ticket)));
        }
        *response.body_mut() = body(stream, form, codec)?;
        Ok(response)
    }
}

fn body(stream: ReadStream, form: Form, codec: Option<Codec>) -> Result<Body, Error> {
    match form.format {
        Format::ArrowStream => Ok(arrow::body(stream.compressed(codec))),
        other => encoded::body(stream, other, form.packing),
    }
}

/// What is computed is not kept by anybody between.
fn facts_of_query(form: Form) -> HeaderMap {
    let mut headers = facts_of_form(form);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

fn facts_of_form(form: Form) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media::type_of(form.format));
    if let Some(packing) = form.packing {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(packing.name()));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers
}

fn facts(info: &TableInfo, form: Form, options: &DownloadOptions) -> HeaderMap {
    let mut headers = facts_of_form(form);
    let mut insert = |name, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    insert(TABLE_ID, info.table_id.to_string());
    insert(VERSION, info.version.to_string());
    insert(header::ETAG, etag(info, form, options));
    // It may be kept, and must be asked for again: another version may be there, or the caller's rights gone.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers
}

/// Weak, since a merge may cut the same rows into other messages.
fn etag(info: &TableInfo, form: Form, options: &DownloadOptions) -> String {
    let Form { format, packing } = form;
    let packing = packing.map(|packing| format!(".{packing}")).unwrap_or_default();
    let types = options.types.as_deref().unwrap_or("own");
    let compression = options.compression.as_deref().unwrap_or("none");
    format!("W/\"{}.{}.{format}.{types}.{compression}{packing}\"", info.table_id, info.version)
}

fn is_known(etag: &str, headers: &HeaderMap) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

fn codec(options: &DownloadOptions, format: Format) -> Result<Option<Codec>, Error> {
    let Some(text) = options.compression.as_deref() else { return Ok(None) };
    let codec = words::codec(text.as_bytes()).map_err(|hint| {
        Error::new(codes::OPTION_INVALID, format!("there is no compression `{}`", text.escape_debug())).hint(hint)
    })?;
    if codec.is_none() || format == Format::ArrowStream {
        return Ok(codec);
    }
    Err(Error::new(codes::OPTION_INVALID, format!("the buffers of `{format}` are not compressed so"))
        .hint("`compression` is for `format=arrows`"))
}

fn is_plain(options: &DownloadOptions) -> Result<bool, Error> {
    let Some(text) = options.types.as_deref() else { return Ok(false) };
    words::is_plain(text.as_bytes()).map_err(|hint| {
        Error::new(codes::OPTION_INVALID, format!("there are no types `{}`", text.escape_debug())).hint(hint)
    })
}
