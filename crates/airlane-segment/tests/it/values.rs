//! Values of strangers that are not what the schema promises: full validation, with column and row (A6).

use airlane_model::Error;
use airlane_model::error::codes::DATA_INVALID;
use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::{StreamDecoder, decode_panics};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::CompressionType;
use arrow_schema::{Field, Schema};

use crate::corpus;
use crate::forge::Forged;
use crate::stream;

/// Decodes two batches of 17 rows: a valid column, and a column of which the second batch is changed.
fn decode(name: &str, codec: Option<CompressionType>, change: &dyn Fn(&mut Forged)) -> Result<RecordBatch, Error> {
    let mut columns = corpus::columns(17);
    columns.retain(|(column, _)| *column == name);
    columns.insert(0, ("first", corpus::columns(17)[0].1.clone()));
    decode_batch(&corpus::batch(columns), codec, change)
}

fn decode_batch(
    batch: &RecordBatch,
    codec: Option<CompressionType>,
    change: &dyn Fn(&mut Forged),
) -> Result<RecordBatch, Error> {
    let mut pieces = stream::split(&corpus::stream(std::slice::from_ref(batch), None));
    let mut decoder = StreamDecoder::new(&pieces.remove(0).header, DecodeLimits::default()).expect("a schema");
    let last = pieces.pop().expect("a batch");
    for piece in pieces.iter().chain([&last]) {
        decoder.decode(&piece.header, Buffer::from(piece.body.as_slice())).expect("valid");
    }
    let mut last = Forged::of(&last);
    change(&mut last);
    if let Some(codec) = codec {
        compress(&mut last, codec);
    }
    let piece = last.piece();
    decoder.decode(&piece.header, Buffer::from(piece.body)).map(|batch| batch.expect("a record batch"))
}

fn compress(message: &mut Forged, codec: CompressionType) {
    for index in 0..message.buffers.len() {
        let bytes = message.buffer(index).to_vec();
        if !bytes.is_empty() {
            let frame = match codec {
                CompressionType::ZSTD => zstd::bulk::compress(&bytes, 1).expect("compresses"),
                _ => {
                    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                    std::io::Write::write_all(&mut encoder, &bytes).expect("writes to memory");
                    encoder.finish().expect("writes to memory")
                }
            };
            message.set_buffer(index, &[&(bytes.len() as i64).to_le_bytes()[..], &frame].concat());
        }
    }
    message.compression = Some((codec.0, 0));
}

/// The change is refused, at this row of the second batch, with or without compression.
fn refuse(name: &str, row: Option<usize>, change: &dyn Fn(&mut Forged)) -> Error {
    let mut last = None;
    for codec in corpus::CODECS {
        let error = decode(name, codec, change).expect_err(name);
        assert_eq!(error.code(), DATA_INVALID, "{name}: {error:?}");
        let place = match row {
            Some(row) => format!("row {}, column \"{name}\"", 17 + row),
            None => format!("column \"{name}\""),
        };
        assert_eq!(error.place(), Some(place.as_str()), "{name}: {error:?}");
        last = Some(error);
    }
    assert_eq!(decode_panics(), 0, "{name}");
    last.expect("there are codecs")
}

/// Overwrites a number in a buffer. The first column has two buffers.
fn set<const N: usize>(message: &mut Forged, buffer: usize, index: usize, number: [u8; N]) {
    let mut bytes = message.buffer(2 + buffer).to_vec();
    bytes[index * N..][..N].copy_from_slice(&number);
    message.set_buffer(2 + buffer, &bytes);
}

#[test]
fn a6_offsets_out_of_order_or_out_of_bounds_are_refused_at_their_row() {
    for (name, wide) in [("utf8", false), ("binary", false), ("list", false), ("map", false), ("large_utf8", true)] {
        for offset in [-1_i64, i64::from(i32::MIN), 1 << 30] {
            refuse(name, Some(6), &|message| match wide {
                false => set(message, 1, 7, (offset as i32).to_le_bytes()),
                true => set(message, 1, 7, offset.to_le_bytes()),
            });
        }
    }
    refuse("large_binary", Some(9), &|message| set(message, 1, 10, i64::MIN.to_le_bytes()));
    refuse("large_list", Some(9), &|message| set(message, 1, 10, i64::MAX.to_le_bytes()));
}

#[test]
fn a6_text_that_is_no_utf8_is_refused_at_its_row() {
    for name in ["utf8", "large_utf8"] {
        // Row 5 is "text 5" and begins where its offset says.
        let error = refuse(name, Some(5), &|message| {
            let offsets = message.buffer(3).to_vec();
            let width = if name == "utf8" { 4 } else { 8 };
            let start = offsets[5 * width] as usize;
            let mut bytes = message.buffer(4).to_vec();
            bytes[start] = 0xFF;
            message.set_buffer(4, &bytes);
        });
        assert!(error.message().to_lowercase().contains("utf"), "{error:?}");
    }
    refuse("utf8_view", Some(4), &|message| {
        let mut views = message.buffer(3).to_vec();
        views[4 * 16 + 4] = 0xFF;
        message.set_buffer(3, &views);
    });
}

#[test]
fn a6_views_outside_their_buffers_are_refused_at_their_row() {
    let view = |bytes: u32, prefix: [u8; 4], buffer: u32, offset: u32| {
        [bytes.to_le_bytes(), prefix, buffer.to_le_bytes(), offset.to_le_bytes()].concat()
    };
    for view in [
        view(100, *b"text", 9, 0),
        view(100, *b"text", 0, 1 << 30),
        view(u32::MAX, *b"text", 0, 0),
        view(13, *b"XXXX", 0, 0),
        view(3, *b"abcd", 0, 0),
    ] {
        for name in ["utf8_view", "binary_view"] {
            refuse(name, Some(11), &|message| {
                let mut views = message.buffer(3).to_vec();
                views[11 * 16..12 * 16].copy_from_slice(&view);
                message.set_buffer(3, &views);
            });
        }
    }
}

#[test]
fn a6_dictionary_indices_without_a_value_are_refused_at_their_row() {
    for index in [4_i8, 127, -1, -128] {
        refuse("dictionary", Some(8), &|message| set(message, 1, 8, index.to_le_bytes()));
    }
    refuse("dictionary_u8", Some(16), &|message| set(message, 1, 16, [255]));
    refuse("dictionary_struct", Some(0), &|message| set(message, 1, 0, i64::MIN.to_le_bytes()));
    refuse("list_dictionary", None, &|message| {
        set(message, 3, 4, i16::MAX.to_le_bytes());
    });
}

#[test]
fn a6_list_views_outside_their_values_are_refused_at_their_row() {
    refuse("list_view", Some(3), &|message| set(message, 1, 3, 9_i32.to_le_bytes()));
    refuse("list_view", Some(3), &|message| set(message, 2, 3, (-1_i32).to_le_bytes()));
    refuse("large_list_view", Some(3), &|message| set(message, 1, 3, i64::MAX.to_le_bytes()));
    refuse("large_list_view", Some(3), &|message| {
        set(message, 1, 3, i64::MAX.to_le_bytes());
        set(message, 2, 3, i64::MAX.to_le_bytes());
    });
}

#[test]
fn a6_unions_point_to_a_value_of_a_type_they_have() {
    for type_id in [0_i8, 4, 127, -1, -128] {
        refuse("union_dense", Some(5), &|message| set(message, 0, 5, type_id.to_le_bytes()));
        refuse("union_sparse", Some(5), &|message| set(message, 0, 5, type_id.to_le_bytes()));
    }
    for offset in [9_i32, i32::MAX, -1, i32::MIN] {
        refuse("union_dense", Some(5), &|message| set(message, 1, 5, offset.to_le_bytes()));
    }
}

#[test]
fn a6_run_ends_grow_and_reach_the_last_row() {
    refuse("run_end", None, &|message| set(message, 1, 1, 4_i16.to_le_bytes()));
    refuse("run_end", None, &|message| set(message, 1, 0, 0_i16.to_le_bytes()));
    refuse("run_end", None, &|message| set(message, 1, 0, (-4_i16).to_le_bytes()));
    refuse("run_end", Some(16), &|message| {
        message.nodes[2] = (4, 0);
        message.nodes[3] = (4, 1);
    });
}

#[test]
fn a6_null_counts_are_counted() {
    refuse("utf8", None, &|message| message.nodes[1].1 = 1);
    refuse("int64", None, &|message| message.nodes[1].1 = 17);
    refuse("struct", None, &|message| message.nodes[1].1 = 2);
}

/// The batch of one column, whose fields hold no nulls from `depth` on.
fn required(name: &str) -> RecordBatch {
    let mut columns = corpus::columns(17);
    columns.retain(|(column, _)| *column == name);
    corpus::batch(columns)
}

#[test]
fn a6_a_null_in_a_column_that_may_hold_none_is_refused_at_its_row() {
    for (name, row) in [("int64", 3), ("utf8", 3), ("struct", 4), ("list", 1), ("dictionary", 2), ("run_end", 4)] {
        let batch = required(name);
        let strict = Schema::new(vec![batch.schema().field(0).clone().with_nullable(false)]);
        let mut pieces = stream::split(&corpus::stream(&[batch], None));
        let schema = airlane_segment::TableSchema::from_arrow(&strict).expect("a schema");
        pieces.remove(0);
        let mut decoder = StreamDecoder::new(schema.message(), DecodeLimits::default()).expect("a schema");
        let outcomes: Vec<_> =
            pieces.iter().map(|piece| decoder.decode(&piece.header, Buffer::from(piece.body.as_slice()))).collect();
        let error = outcomes.into_iter().find_map(Result::err).expect(name);
        assert_eq!(error.code(), DATA_INVALID, "{error:?}");
        assert_eq!(error.place(), Some(format!("row {row}, column \"{name}\"").as_str()), "{error:?}");
    }
}

#[test]
fn a6_nulls_inside_list_views_unions_and_runs_are_seen() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int16Type;
    use arrow_array::{ArrayRef, Int32Array, ListViewArray, RunArray, UnionArray};
    use arrow_schema::{DataType, UnionFields};
    use std::sync::Arc;

    let strict = |name: &str, data_type: &DataType| Field::new(name, data_type.clone(), false);
    let with_null: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let list = ListViewArray::new(item, vec![0, 1].into(), vec![1, 2].into(), with_null.clone(), None);
    let fields = UnionFields::try_new([0], [Field::new("number", DataType::Int32, true)]).expect("type ids");
    let union = UnionArray::try_new(fields, vec![0, 0].into(), Some(vec![0, 1].into()), vec![with_null.clone()]);
    let runs = RunArray::<Int16Type>::try_new(
        &vec![1_i16, 2, 3].into(),
        with_null.as_primitive::<arrow_array::types::Int32Type>(),
    );
    let list_type = DataType::ListView(Arc::new(strict("item", &DataType::Int32)));
    let union_type = DataType::Union(
        UnionFields::try_new([0], [strict("number", &DataType::Int32)]).expect("type ids"),
        arrow_schema::UnionMode::Dense,
    );
    let run_type = DataType::RunEndEncoded(
        Arc::new(strict("run_ends", &DataType::Int16)),
        Arc::new(strict("values", &DataType::Int32)),
    );
    let columns: [(ArrayRef, DataType); 3] = [
        (Arc::new(list), list_type),
        (Arc::new(union.expect("valid")), union_type),
        (Arc::new(runs.expect("valid")), run_type),
    ];
    for (column, data_type) in columns {
        let pieces = stream::split(&corpus::stream(&[corpus::batch(vec![("c", column)])], None));
        let schema = Schema::new(vec![Field::new("c", data_type.clone(), true)]);
        let schema = airlane_segment::TableSchema::from_arrow(&schema).expect("a schema");
        let mut decoder = StreamDecoder::new(schema.message(), DecodeLimits::default()).expect("a schema");
        let error = decoder
            .decode(&pieces[1].header, Buffer::from(pieces[1].body.as_slice()))
            .expect_err("a null where none may be");
        assert_eq!(error.code(), DATA_INVALID, "{data_type}: {error:?}");
        assert!(error.message().contains("null"), "{data_type}: {error:?}");
    }
}
