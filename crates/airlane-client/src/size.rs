//! What rows weigh.

use arrow_array::{Array, RecordBatch};
use arrow_data::ArrayData;
use arrow_schema::DataType;

/// The bytes that a message of these rows has on the wire, dictionaries aside: those are sent once for many rows.
///
/// Unlike `RecordBatch::get_array_memory_size`, which counts a buffer for each column that points into it, this is
/// right for slices and for batches that were received.
pub fn payload_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| of_array(&column.to_data()) as u64).sum()
}

fn of_array(data: &ArrayData) -> usize {
    match data.data_type() {
        DataType::Dictionary(key, _) => data.len() * key.primitive_width().unwrap_or(8),
        DataType::Utf8View | DataType::BinaryView => {
            let views = data.buffers().first().map(|buffer| buffer.typed_data::<u128>()).unwrap_or_default();
            let views = views.iter().skip(data.offset()).take(data.len());
            // The lower 32 bits of a view are the length of its text; up to 12 bytes are in the view itself.
            views.map(|view| 16 + (*view as u32 as usize)).sum()
        }
        _ => data.get_slice_memory_size().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int8Type;
    use arrow_array::{ArrayRef, DictionaryArray, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn a_slice_weighs_its_rows() {
        let text = "longer than twelve bytes";
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from_iter_values(0..1000)) as ArrayRef),
            ("view", Arc::new(StringViewArray::from_iter_values(vec![text; 1000]))),
            ("keyed", Arc::new(vec![text; 1000].into_iter().collect::<DictionaryArray<Int8Type>>())),
        ])
        .expect("batch");
        let row_bytes = (8 + 16 + text.len() + 1) as u64;
        assert_eq!(payload_bytes(&batch), 1000 * row_bytes);
        assert_eq!(payload_bytes(&batch.slice(10, 7)), 7 * row_bytes);
    }
}
