//! Judged messages to validated arrays.
//!
//! The decoder of arrow-ipc does the work, with its validation on: offsets, UTF-8, views, dictionary indices, type ids,
//! run ends, null counts. [`nulls`](super::nulls) adds what it leaves out. What [`flat`](super::flat) found valid is
//! not looked at again, and [`views`](super::views) are validated here.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::UnsafeFlag;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_schema::SchemaRef;

use super::views::Views;
use super::{header, nulls};

/// Panics of decoding that were caught since the process began.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics of decoding that were caught since the process began. The check exists to keep this at zero.
pub fn decode_panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Why a message is refused.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The values are not what they should be.
    Data(String),
    /// The decoder met something that it does not expect.
    Panic,
    /// There is no memory to look at them.
    Memory(airlane_model::Error),
}

/// A validated record batch.
pub(crate) struct Decoded {
    pub(crate) batch: RecordBatch,
    /// Whether it is what the message says, byte by byte. Else views under nulls, which nobody could read, were zeroed.
    pub(crate) is_verbatim: bool,
}

/// Decodes one record batch of an uncompressed, judged message, and validates it.
pub(crate) fn decode(
    schema: &SchemaRef,
    version: MetadataVersion,
    batch: arrow_ipc::RecordBatch<'_>,
    body: &Buffer,
    dictionaries: &HashMap<i64, ArrayRef>,
) -> Result<Decoded, Fault> {
    let Some(views) = Views::of(schema, version, batch) else {
        let batch = decode_with(schema, version, batch, body, dictionaries, UnsafeFlag::new())?;
        return Ok(Decoded { batch, is_verbatim: true });
    };
    let dirty = views.validate(body).map_err(Fault::Data)?;
    let (disguised, parts) = views.disguised();
    let header = header::encode(parts, version);
    decode_with(disguised, version, reopen(&header)?, body, dictionaries, UnsafeFlag::new())?;
    #[expect(unsafe_code, reason = "arrow would look at each byte once for every view that shows it")]
    let batch = if dirty.is_empty() {
        // SAFETY: the views were validated, and everything else of the same message by arrow a line ago.
        unsafe { decode_validated(schema, version, batch, body, dictionaries) }
    } else {
        let (parts, body) = views.clean(&dirty, body).map_err(Fault::Memory)?;
        let header = header::encode(&parts, version);
        // SAFETY: as above; the views under nulls are zero now, which is the view of nothing.
        unsafe { decode_validated(schema, version, reopen(&header)?, &body, dictionaries) }
    }?;
    Ok(Decoded { batch, is_verbatim: dirty.is_empty() })
}

fn reopen(header: &[u8]) -> Result<arrow_ipc::RecordBatch<'_>, Fault> {
    let message = header::open(header).map_err(|error| Fault::Data(error.message().to_owned()))?;
    message.header_as_record_batch().ok_or_else(|| Fault::Data("the message has no record batch".to_owned()))
}

/// Decodes one record batch that was validated, by [`flat`](super::flat) or as [`decode`] does it.
///
/// # Safety
/// Every buffer is what [`decode`] would have accepted.
#[expect(unsafe_code, reason = "validation by arrow takes longer than a copy of the data")]
pub(crate) unsafe fn decode_validated(
    schema: &SchemaRef,
    version: MetadataVersion,
    batch: arrow_ipc::RecordBatch<'_>,
    body: &Buffer,
    dictionaries: &HashMap<i64, ArrayRef>,
) -> Result<RecordBatch, Fault> {
    let mut is_validated = UnsafeFlag::new();
    // SAFETY: the caller says so.
    unsafe { is_validated.set(true) };
    decode_with(schema, version, batch, body, dictionaries, is_validated)
}

fn decode_with(
    schema: &SchemaRef,
    version: MetadataVersion,
    batch: arrow_ipc::RecordBatch<'_>,
    body: &Buffer,
    dictionaries: &HashMap<i64, ArrayRef>,
    is_validated: UnsafeFlag,
) -> Result<RecordBatch, Fault> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let decoder = RecordBatchDecoder::try_new(body, batch, schema.clone(), dictionaries, &version)?;
        let batch = decoder.with_skip_validation(is_validated).read_record_batch()?;
        nulls::validate(&batch)?;
        Ok(batch)
    }));
    match decoded {
        Ok(Ok(batch)) => Ok(batch),
        Ok(Err(error)) => Err(Fault::Data(describe(&error))),
        Err(_) => {
            PANICS.fetch_add(1, Ordering::Relaxed);
            Err(Fault::Panic)
        }
    }
}

/// The text of an error of arrow without the name of its variant, in the form of our messages.
fn describe(error: &arrow_schema::ArrowError) -> String {
    let text = error.to_string();
    let text = text.split_once(" error: ").map_or(text.as_str(), |(_, what)| what).trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).take(240).collect())
}
