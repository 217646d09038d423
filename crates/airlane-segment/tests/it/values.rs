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
fn a6_the_only_offset_of_no_rows_is_looked_at() {
    let empty = |message: &mut Forged, node: usize, buffer: usize, offset: i64, is_wide: bool| {
        message.rows = 0;
        message.nodes.iter_mut().for_each(|node| *node = (0, 0));
        assert_eq!(message.nodes.len(), node + 1);
        match is_wide {
            true => message.set_buffer(buffer, &offset.to_le_bytes()),
            false => message.set_buffer(buffer, &(offset as i32).to_le_bytes()),
        }
    };
    for (name, is_wide) in [("utf8", false), ("binary", false), ("large_utf8", true), ("large_binary", true)] {
        for offset in [1_000_000, -1, i64::from(i32::MIN)] {
            for codec in corpus::CODECS {
                let error = decode(name, codec, &|message| empty(message, 1, 3, offset, is_wide)).expect_err(name);
                assert_eq!(error.code(), DATA_INVALID, "{name} {offset}: {error:?}");
                assert_eq!(error.place(), Some(format!("column \"{name}\"").as_str()), "{error:?}");
            }
        }
        for offset in [0, 1] {
            let batch = decode(name, None, &|message| empty(message, 1, 3, offset, is_wide)).expect("inside the data");
            assert_eq!(batch.num_rows(), 0);
        }
        let none = decode(name, None, &|message| {
            empty(message, 1, 3, 0, is_wide);
            message.buffers[3].1 = 0;
        });
        assert_eq!(none.expect("no offset at all").num_rows(), 0);
    }

    // The values of a dictionary.
    let mut columns = corpus::columns(17);
    columns.retain(|(column, _)| *column == "dictionary");
    let pieces = stream::split(&corpus::stream(&[corpus::batch(columns)], None));
    for (offset, is_valid) in [(1_000_000, false), (-1, false), (0, true)] {
        let mut decoder = StreamDecoder::new(&pieces[0].header, DecodeLimits::default()).expect("a schema");
        let mut values = Forged::of(&pieces[1]);
        empty(&mut values, 0, 1, offset, false);
        let piece = values.piece();
        let outcome = decoder.decode(&piece.header, Buffer::from(piece.body));
        assert_eq!(outcome.map_err(|error| error.code()).err(), (!is_valid).then_some(DATA_INVALID), "{offset}");
    }
    assert_eq!(decode_panics(), 0);
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
fn a6_the_search_for_a_row_ends_where_it_costs_too_much() {
    const ROWS: usize = 1 << 19;
    let place = |buffers: usize| {
        let mut columns = corpus::columns(1);
        columns.retain(|(column, _)| *column == "utf8_view");
        let pieces = stream::split(&corpus::stream(&[corpus::batch(columns)], None));
        let mut decoder = StreamDecoder::new(&pieces[0].header, DecodeLimits::default()).expect("a schema");
        let mut message = Forged::empty(ROWS as i64);
        message.nodes = vec![(ROWS as i64, 0)];
        message.buffers = vec![(0, 0); 2 + buffers];
        message.variadic = Some(vec![buffers as i64]);
        let mut views = vec![0; ROWS * 16];
        views[7 * 16 + 8] = 1;
        message.set_buffer(1, &views);
        let piece = message.piece();
        let error = decoder.decode(&piece.header, Buffer::from(piece.body)).expect_err("a byte behind an empty text");
        assert_eq!(error.code(), DATA_INVALID, "{error:?}");
        error.place().map(str::to_owned)
    };
    assert_eq!(place(2).as_deref(), Some("row 7, column \"utf8_view\""));
    assert_eq!(place(900_000).as_deref(), Some("column \"utf8_view\""));
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
fn a6_the_offsets_of_a_union_never_go_back() {
    // Rows 0, 2, 4 … are numbers, the others texts; each has the offset of half its row.
    refuse("union_dense", Some(6), &|message| set(message, 1, 6, 1_i32.to_le_bytes()));
    refuse("union_dense", Some(5), &|message| set(message, 1, 3, 3_i32.to_le_bytes()));
    decode("union_dense", None, &|message| set(message, 1, 6, 2_i32.to_le_bytes())).expect("a value may be shared");
    let two = |offsets: [i32; 2]| {
        let mut columns = corpus::columns(2);
        columns.retain(|(column, _)| *column == "union_dense");
        decode_batch(&corpus::batch(columns), None, &|message| {
            message.set_buffer(0, &[3, 3]);
            message.set_buffer(1, &offsets.map(i32::to_le_bytes).concat());
            message.nodes[1].0 = 2;
            message.nodes[1].1 = 0;
            message.set_buffer(2, &[]);
            message.set_buffer(3, &[0; 8]);
        })
    };
    assert_eq!(two([1, 0]).expect_err("goes back").code(), DATA_INVALID);
    for offsets in [[0, 0], [1, 1], [0, 1]] {
        two(offsets).expect("does not go back");
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

/// The columns that hold `values` in a field that may not be null, by name, each once with a parent that shows the
/// second value, which is null, and once with one that does not.
fn around(values: &arrow_array::ArrayRef) -> Vec<(&'static str, arrow_schema::DataType, bool, arrow_array::ArrayRef)> {
    use arrow_array::types::Int32Type;
    use arrow_array::{
        ArrayRef, FixedSizeListArray, Int32Array, LargeListArray, LargeListViewArray, ListArray, ListViewArray,
        MapArray, RunArray, StructArray, UnionArray,
    };
    use arrow_buffer::{NullBuffer, OffsetBuffer};
    use arrow_schema::{DataType, Fields, UnionFields, UnionMode};
    use std::sync::Arc;

    assert_eq!(values.len(), 3);
    let item = |nullable| Arc::new(Field::new("item", values.data_type().clone(), nullable));
    let mut found: Vec<(&'static str, DataType, bool, ArrayRef)> = Vec::new();
    let mut push = |name, data_type, is_shown, array| found.push((name, data_type, is_shown, array));
    let offsets = || OffsetBuffer::from_lengths([2, 1]);

    let list = ListArray::new(item(true), offsets(), values.clone(), None);
    push("list", DataType::List(item(false)), true, Arc::new(list));
    let lengths = OffsetBuffer::from_lengths([2, 1]);
    let list = LargeListArray::new(item(true), lengths, values.clone(), None);
    push("large_list", DataType::LargeList(item(false)), true, Arc::new(list));
    let list = ListViewArray::new(item(true), vec![0, 1].into(), vec![1, 2].into(), values.clone(), None);
    push("list_view", DataType::ListView(item(false)), true, Arc::new(list));
    let list = LargeListViewArray::new(item(true), vec![0, 1].into(), vec![1, 2].into(), values.clone(), None);
    push("large_list_view", DataType::LargeListView(item(false)), true, Arc::new(list));

    let pair = |nullable| Fields::from(vec![Arc::new(Field::new("key", DataType::Int32, false)), item(nullable)]);
    let entries = |nullable| Arc::new(Field::new("entries", DataType::Struct(pair(nullable)), false));
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let structs = StructArray::new(pair(true), vec![keys.clone(), values.clone()], None);
    let map = MapArray::new(entries(true), offsets(), structs, None, false);
    push("map", DataType::Map(entries(false), false), true, Arc::new(map));

    for (is_shown, valid) in [(true, vec![true, true, false]), (false, vec![true, false, true])] {
        let nulls = Some(NullBuffer::from(valid));
        let fields = |nullable| Fields::from(vec![item(nullable)]);
        let array = StructArray::new(fields(true), vec![values.clone()], nulls.clone());
        push("struct", DataType::Struct(fields(false)), is_shown, Arc::new(array));
        let array = FixedSizeListArray::new(item(true), 1, values.clone(), nulls);
        push("fixed_size_list", DataType::FixedSizeList(item(false), 1), is_shown, Arc::new(array));

        let fields = |nullable| {
            let number = Arc::new(Field::new("number", DataType::Int32, false));
            UnionFields::try_new([4, 2], [number, item(nullable)]).expect("type ids")
        };
        let type_ids = if is_shown { vec![2, 2, 4] } else { vec![2, 4, 2] };
        let array = UnionArray::try_new(fields(true), type_ids.into(), None, vec![keys.clone(), values.clone()]);
        let data_type = DataType::Union(fields(false), UnionMode::Sparse);
        push("union_sparse", data_type, is_shown, Arc::new(array.expect("valid")));
        let offsets = if is_shown { vec![0, 1, 1] } else { vec![0, 0, 2] };
        let children = vec![keys.clone(), values.clone()];
        let array = UnionArray::try_new(fields(true), vec![2, 4, 2].into(), Some(offsets.into()), children);
        let data_type = DataType::Union(fields(false), UnionMode::Dense);
        push("union_dense", data_type, is_shown, Arc::new(array.expect("valid")));
    }

    let run_ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
    let run_type = DataType::RunEndEncoded(run_ends, Arc::new(Field::new("values", values.data_type().clone(), false)));
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2, 3]), values.as_ref()).expect("valid");
    push("run_end", run_type, true, Arc::new(runs));
    found
}

#[test]
fn a6_nulls_of_dictionaries_and_runs_are_seen_inside_every_type() {
    use arrow_array::types::{Int8Type, Int32Type};
    use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RunArray, StringArray};
    use std::sync::Arc;

    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let indices = arrow_array::Int8Array::from(vec![0, 1, 0]);
    let dictionary = DictionaryArray::<Int8Type>::try_new(indices, texts).expect("valid");
    let numbers = Int32Array::from(vec![Some(7), None, Some(9)]);
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2, 3]), &numbers).expect("valid");
    for values in [Arc::new(dictionary) as ArrayRef, Arc::new(runs)] {
        for (name, data_type, is_shown, column) in around(&values) {
            let pieces = stream::split(&corpus::stream(&[corpus::batch(vec![("c", column)])], None));
            let schema = Schema::new(vec![Field::new("c", data_type.clone(), true)]);
            let schema = airlane_segment::TableSchema::from_arrow(&schema).expect("a schema");
            let mut decoder = StreamDecoder::new(schema.message(), DecodeLimits::default()).expect("a schema");
            let outcomes: Result<Vec<_>, Error> = pieces[1..]
                .iter()
                .map(|piece| decoder.decode(&piece.header, Buffer::from(piece.body.as_slice())))
                .collect();
            match outcomes {
                Ok(_) => assert!(!is_shown, "{name} of {}", values.data_type()),
                Err(error) => {
                    assert!(is_shown, "{name} of {}: {error:?}", values.data_type());
                    assert_eq!(error.code(), DATA_INVALID, "{name}: {error:?}");
                    assert!(error.message().contains("null"), "{name}: {error:?}");
                }
            }
        }
    }
    assert_eq!(decode_panics(), 0);
}
