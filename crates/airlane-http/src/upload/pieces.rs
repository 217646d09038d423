//! Where the bytes of an upload come from: a body as it is, or the file in a form that a browser sends.

use std::future::Future;

use airlane_model::{Error, Result, codes};
use axum::body::Body;
use axum::http::{HeaderMap, Version, header};
use bytes::Bytes;
use futures::StreamExt;
use http_body::Body as _;
use http_body_util::BodyExt;
use multer::Multipart;

/// Bytes that come one piece after the other.
pub(super) trait Pieces: Send {
    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// `connection_broken`, `message_invalid`.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// A body as it is.
pub(super) struct Whole {
    body: Body,
    is_http_2: bool,
}

impl Whole {
    pub(super) fn new(body: Body, version: Version) -> Self {
        Self { body, is_http_2: version == Version::HTTP_2 }
    }
}

impl Pieces for Whole {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.body.frame().await {
            // Some resets of HTTP/2 look like an end. Only the flag of an end is one.
            None if self.is_http_2 && !self.body.is_end_stream() => Err(broken("its client went away")),
            None => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(broken(&format!("it broke off: {error}"))),
        }
    }
}

/// The boundary of a form, if a body is one (RFC 7578).
///
/// # Errors
/// `message_invalid` for a form without one.
pub(super) fn boundary(headers: &HeaderMap) -> Result<Option<String>> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(content_type) = content_type.filter(|text| text.to_ascii_lowercase().starts_with("multipart/")) else {
        return Ok(None);
    };
    multer::parse_boundary(content_type).map(Some).map_err(|error| garbled(&error))
}

/// The first file of a form; other fields of it are passed over.
pub(super) struct FilePart {
    form: Multipart<'static>,
    file: Option<multer::Field<'static>>,
}

impl FilePart {
    /// Opens the file, and answers the media type that the form says it has.
    ///
    /// # Errors
    /// `message_invalid`, `connection_broken`.
    pub(super) async fn open(whole: Whole, boundary: String) -> Result<(Self, Option<String>)> {
        let pieces = futures::stream::try_unfold(whole, |mut whole| async move {
            let piece = whole.next().await?;
            Ok::<_, Error>(piece.map(|piece| (piece, whole)))
        });
        let mut form = Multipart::new(pieces, boundary);
        while let Some(field) = form.next_field().await.map_err(|error| garbled(&error))? {
            if field.file_name().is_some() {
                let media = field.content_type().map(ToString::to_string);
                return Ok((Self { form, file: Some(field) }, media));
            }
        }
        Err(Error::new(codes::MESSAGE_INVALID, "the form has no file")
            .hint("send one file: curl -F file=@prices.csv, or <input type=\"file\">"))
    }
}

impl Pieces for FilePart {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        match file.next().await {
            Some(Ok(piece)) => Ok(Some(piece)),
            Some(Err(error)) => Err(garbled(&error)),
            None => {
                self.file = None;
                // A form that is cut off behind the file may have lost some of it.
                while self.form.next_field().await.map_err(|error| garbled(&error))?.is_some() {}
                Ok(None)
            }
        }
    }
}

fn garbled(error: &multer::Error) -> Error {
    if let multer::Error::StreamReadFailed(source) = error
        && let Some(error) = source.downcast_ref::<Error>()
    {
        return broken(error.message());
    }
    Error::new(codes::MESSAGE_INVALID, format!("the form cannot be taken apart: {error}")).at("the body")
}

fn broken(why: &str) -> Error {
    Error::new(codes::CONNECTION_BROKEN, format!("the upload did not come to its end: {why}")).hint("send it again")
}
