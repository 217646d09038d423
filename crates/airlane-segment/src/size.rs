//! What rows take in memory.

use arrow_array::{Array, ArrayRef, RecordBatch};

/// The bytes of a batch's own rows. Columns that came in one message, or that point into a segment, share its memory, which
/// `RecordBatch::get_array_memory_size` counts for each of them, and whole.
pub fn memory_bytes(batch: &RecordBatch) -> u64 {
    let of = |column: &ArrayRef| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()) as u64
    };
    batch.columns().iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn a_slice_takes_what_its_rows_take() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let batch = RecordBatch::try_from_iter([("a", column.clone()), ("b", column)]).expect("a batch");
        assert_eq!(memory_bytes(&batch), 2 * 8 * 1000);
        assert_eq!(memory_bytes(&batch.slice(10, 7)), 2 * 8 * 7);
    }
}
