//! Cuts a batch that is too large for one message by rows.

use arrow_array::RecordBatch;

use super::WriterOptions;
use crate::encode::Encoded;

/// Some rows of a batch.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) batch: RecordBatch,
    /// The length of the body when written.
    pub(super) body_bytes: u64,
    /// The same without paddings.
    pub(super) buffer_bytes: u64,
    /// The length of the longest array at any depth.
    pub(super) elements_max: usize,
}

/// Parts begin at multiples of this many rows where they can: their bitmaps need no shifting.
const ROWS_STEP: usize = 64;

impl Part {
    fn new(batch: RecordBatch) -> Self {
        let encoded = Encoded::batch(&batch);
        Self {
            batch,
            body_bytes: encoded.body_bytes(),
            buffer_bytes: encoded.buffer_bytes(),
            elements_max: encoded.elements_max(),
        }
    }
}

/// The batch in parts of about the target size, none above the maximum but single rows.
///
/// Values can be shared between rows (views, list views, unions), and then parts together are larger than the whole.
/// A batch that cutting would blow up stays in one part.
pub(super) fn cut(batch: &RecordBatch, options: &WriterOptions) -> Vec<Part> {
    let whole = Part::new(batch.clone());
    if whole.body_bytes <= options.batch_bytes_max.as_u64() {
        return vec![whole];
    }
    let allowed = whole.body_bytes.saturating_mul(2);
    let mut parts = Vec::new();
    match cut_part(&whole, options, allowed, &mut parts) {
        Some(_) => parts,
        None => vec![whole],
    }
}

/// Adds the parts of a part that is too large, and answers how many bytes of `allowed` they leave; `None` when they
/// need more.
fn cut_part(whole: &Part, options: &WriterOptions, mut allowed: u64, parts: &mut Vec<Part>) -> Option<u64> {
    let rows = whole.batch.num_rows();
    let step = rows_per_part(rows, whole.body_bytes, options);
    for start in (0..rows).step_by(step) {
        let part = Part::new(whole.batch.slice(start, step.min(rows - start)));
        let is_small = part.body_bytes <= options.batch_bytes_max.as_u64() || part.batch.num_rows() == 1;
        allowed = if is_small {
            let left = allowed.checked_sub(part.body_bytes)?;
            parts.push(part);
            left
        } else {
            cut_part(&part, options, allowed, parts)?
        };
    }
    Some(allowed)
}

/// Rows for as few parts as there can be, if rows are alike; always fewer than there are.
fn rows_per_part(rows: usize, body_bytes: u64, options: &WriterOptions) -> usize {
    // A little less than the maximum, since rows are never quite alike.
    let part_bytes_max = options.batch_bytes_max.as_u64() / 16 * 15;
    let parts = body_bytes.div_ceil(part_bytes_max.max(1)).max(2);
    let even = (rows as u64).div_ceil(parts).max(1) as usize;
    let stepped = even.next_multiple_of(ROWS_STEP);
    if stepped < rows { stepped } else { even.min(rows.div_ceil(2)) }
}
