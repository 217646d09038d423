//! Valid tables of every type, and the streams that stock Arrow writes of them.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray,
    FixedSizeListArray, Int16Array, Int32Array, LargeBinaryArray, LargeListArray, LargeListViewArray, LargeStringArray,
    ListArray, ListViewArray, MapArray, NullArray, RecordBatch, RecordBatchOptions, RunArray, StringArray,
    StringViewArray, StructArray, UnionArray, make_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryHandling, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Fields, IntervalUnit, Schema, TimeUnit, UnionFields};

/// How a body is compressed.
pub(crate) const CODECS: [Option<CompressionType>; 3] =
    [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)];

/// A column of each type, with nulls where it can hold some.
pub(crate) fn columns(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let texts = || (0..rows).map(|row| (row % 5 != 3).then(|| format!("{}-{row}", "text ".repeat(row % 4))));
    let bytes = || texts().map(|text| text.map(String::into_bytes));
    let numbers = Int32Array::from_iter((0..rows).map(|row| (row % 7 != 2).then_some(row as i32)));
    let lists = || (0..rows).map(|row| (row % 5 != 1).then(|| (0..row % 4).map(|item| Some(item as i32))));
    let item = |data_type| Arc::new(Field::new("item", data_type, true));
    let nulls = || NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| row % 5 != 4));

    let mut columns: Vec<(&'static str, ArrayRef)> = fixed_widths()
        .into_iter()
        .map(|(name, data_type, width)| (name, fixed_width(data_type, width, rows)))
        .collect();
    columns.extend::<Vec<(&'static str, ArrayRef)>>(vec![
        ("null", Arc::new(NullArray::new(rows))),
        ("bool", Arc::new(BooleanArray::from_iter((0..rows).map(|row| (row % 5 != 3).then_some(row % 3 == 0))))),
        ("utf8", Arc::new(StringArray::from_iter(texts()))),
        ("large_utf8", Arc::new(LargeStringArray::from_iter(texts()))),
        ("utf8_view", Arc::new(StringViewArray::from_iter(texts()))),
        ("binary", Arc::new(BinaryArray::from_iter(bytes()))),
        ("large_binary", Arc::new(LargeBinaryArray::from_iter(bytes()))),
        ("binary_view", Arc::new(BinaryViewArray::from_iter(bytes()))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists()))),
        ("large_list", Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists()))),
        ("list_view", list_view(rows, nulls())),
        ("large_list_view", large_list_view(rows, nulls())),
        (
            "fixed_size_list",
            Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
                (0..rows).map(|row| (row % 5 != 1).then_some([Some(row as i32), None, Some(7)])),
                3,
            )),
        ),
        (
            "struct",
            Arc::new(StructArray::new(
                Fields::from(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]),
                vec![Arc::new(numbers.clone()), Arc::new(StringArray::from_iter(texts()))],
                Some(nulls()),
            )),
        ),
        ("struct_empty", Arc::new(StructArray::new_empty_fields(rows, Some(nulls())))),
        ("map", map(rows)),
        ("union_sparse", union(rows, false)),
        ("union_dense", union(rows, true)),
        ("run_end", run_end(rows)),
        ("dictionary", Arc::new(DictionaryArray::<Int8Type>::from_iter(words(rows)))),
        ("dictionary_u8", Arc::new(DictionaryArray::<UInt8Type>::from_iter(words(rows)))),
        ("dictionary_struct", dictionary_of_structs(rows)),
        ("list_dictionary", list_of_dictionaries(rows, item)),
    ]);
    columns
}

fn words(rows: usize) -> impl Iterator<Item = Option<&'static str>> {
    (0..rows).map(|row| (row % 5 != 2).then(|| ["red", "green", "blue", "a longer colour name"][row % 4]))
}

fn fixed_widths() -> Vec<(&'static str, DataType, usize)> {
    use DataType::*;
    vec![
        ("int8", Int8, 1),
        ("int16", Int16, 2),
        ("int32", Int32, 4),
        ("int64", Int64, 8),
        ("uint8", UInt8, 1),
        ("uint16", UInt16, 2),
        ("uint32", UInt32, 4),
        ("uint64", UInt64, 8),
        ("float16", Float16, 2),
        ("float32", Float32, 4),
        ("float64", Float64, 8),
        ("date32", Date32, 4),
        ("date64", Date64, 8),
        ("time32", Time32(TimeUnit::Second), 4),
        ("time64", Time64(TimeUnit::Nanosecond), 8),
        ("timestamp", Timestamp(TimeUnit::Microsecond, None), 8),
        ("timestamp_zone", Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())), 8),
        ("duration", Duration(TimeUnit::Millisecond), 8),
        ("interval_months", Interval(IntervalUnit::YearMonth), 4),
        ("interval_days", Interval(IntervalUnit::DayTime), 8),
        ("interval_nanos", Interval(IntervalUnit::MonthDayNano), 16),
        ("decimal32", Decimal32(7, 2), 4),
        ("decimal64", Decimal64(16, -2), 8),
        ("decimal128", Decimal128(30, 10), 16),
        ("decimal256", Decimal256(60, 20), 32),
        ("fixed_binary", FixedSizeBinary(5), 5),
        ("fixed_binary_empty", FixedSizeBinary(0), 0),
    ]
}

fn fixed_width(data_type: DataType, width: usize, rows: usize) -> ArrayRef {
    if matches!(data_type, DataType::FixedSizeBinary(0)) {
        return Arc::new(FixedSizeBinaryArray::new_null(0, rows));
    }
    let mut bytes = vec![0_u8; rows * width];
    for (row, value) in bytes.chunks_mut(width).enumerate() {
        value[0] = row as u8;
    }
    let validity = BooleanBuffer::collect_bool(rows, |row| row % 5 != 3);
    let data = ArrayData::builder(data_type).len(rows).add_buffer(Buffer::from(bytes));
    make_array(data.nulls(Some(NullBuffer::new(validity))).align_buffers(true).build().expect("a valid column"))
}

fn list_view(rows: usize, nulls: NullBuffer) -> ArrayRef {
    let values = Arc::new(Int32Array::from_iter_values(0..8));
    let field = Arc::new(Field::new("item", DataType::Int32, true));
    let offsets: Vec<i32> = (0..rows).map(|row| (row % 5) as i32).collect();
    let sizes: Vec<i32> = (0..rows).map(|row| (row % 3) as i32).collect();
    Arc::new(ListViewArray::new(field, offsets.into(), sizes.into(), values, Some(nulls)))
}

fn large_list_view(rows: usize, nulls: NullBuffer) -> ArrayRef {
    let values = Arc::new(Int32Array::from_iter_values(0..8));
    let field = Arc::new(Field::new("item", DataType::Int32, true));
    let offsets: Vec<i64> = (0..rows).map(|row| 5 - (row % 5) as i64).collect();
    let sizes: Vec<i64> = (0..rows).map(|row| (row % 3) as i64).collect();
    Arc::new(LargeListViewArray::new(field, offsets.into(), sizes.into(), values, Some(nulls)))
}

fn map(rows: usize) -> ArrayRef {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..rows {
        for entry in 0..row % 3 {
            map.keys().append_value(format!("key {entry}"));
            map.values().append_option((entry > 0).then_some(row as i32));
        }
        map.append(row % 5 != 3).expect("as many keys as values");
    }
    Arc::new(map.finish())
}

fn union(rows: usize, is_dense: bool) -> ArrayRef {
    let fields = [Field::new("number", DataType::Int32, true), Field::new("text", DataType::Utf8, true)];
    let fields = UnionFields::try_new([3, 9], fields).expect("type ids");
    let type_ids: Vec<i8> = (0..rows).map(|row| if row % 2 == 0 { 3 } else { 9 }).collect();
    let offsets = is_dense.then(|| (0..rows).map(|row| (row / 2) as i32).collect::<Vec<_>>().into());
    let child_rows = if is_dense { rows.div_ceil(2) } else { rows };
    let children: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter((0..child_rows).map(|row| (row % 3 != 1).then_some(row as i32)))),
        Arc::new(StringArray::from_iter_values((0..child_rows).map(|row| format!("text {row}")))),
    ];
    Arc::new(UnionArray::try_new(fields, type_ids.into(), offsets, children).expect("a valid union"))
}

fn run_end(rows: usize) -> ArrayRef {
    let run_ends: Int16Array = (1..=rows).filter(|end| end % 4 == 0 || *end == rows).map(|end| end as i16).collect();
    let values = StringArray::from_iter((0..run_ends.len()).map(|run| (run % 3 != 1).then(|| format!("run {run}"))));
    Arc::new(RunArray::<Int16Type>::try_new(&run_ends, &values).expect("valid runs"))
}

fn dictionary_of_structs(rows: usize) -> ArrayRef {
    let inner: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::from_iter(words(4)));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..4));
    let fields =
        vec![Field::new("word", inner.data_type().clone(), true), Field::new("number", DataType::Int32, false)];
    let values = StructArray::new(Fields::from(fields), vec![inner, numbers], None);
    let keys = arrow_array::Int64Array::from_iter((0..rows).map(|row| (row % 5 != 3).then_some((row % 4) as i64)));
    Arc::new(DictionaryArray::<Int64Type>::try_new(keys, Arc::new(values)).expect("valid keys"))
}

fn list_of_dictionaries(rows: usize, item: impl Fn(DataType) -> Arc<Field>) -> ArrayRef {
    let values: ArrayRef = Arc::new(DictionaryArray::<Int16Type>::from_iter(words(rows * 2)));
    let offsets = OffsetBuffer::from_lengths((0..rows).map(|_| 2));
    Arc::new(ListArray::new(item(values.data_type().clone()), offsets, values, None))
}

/// A way to put a column inside another type.
pub(crate) type Wrap = fn(ArrayRef) -> ArrayRef;

/// Every type that holds another, by name.
pub(crate) const WRAPS: [(&str, Wrap); 10] = [
    ("list", |values| {
        let offsets = OffsetBuffer::from_lengths(two_by_two(values.len()));
        Arc::new(ListArray::new(item(&values), offsets, values, None))
    }),
    ("large_list", |values| {
        let offsets = OffsetBuffer::from_lengths(two_by_two(values.len()));
        Arc::new(LargeListArray::new(item(&values), offsets, values, None))
    }),
    ("list_view", |values| {
        let offsets: Vec<i32> = (0..values.len() as i32).rev().collect();
        let sizes = vec![1; values.len()];
        Arc::new(ListViewArray::new(item(&values), offsets.into(), sizes.into(), values, None))
    }),
    ("fixed_size_list", |values| {
        let rows = values.len() / 2;
        let nulls = NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| row % 3 != 1));
        Arc::new(FixedSizeListArray::new(item(&values), 2, values.slice(0, rows * 2), Some(nulls)))
    }),
    ("struct", |values| {
        let nulls = NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |row| row % 3 != 1));
        Arc::new(StructArray::new(Fields::from(vec![item(&values)]), vec![values], Some(nulls)))
    }),
    ("map", |values| {
        let keys: ArrayRef = Arc::new(Int32Array::from_iter_values(0..values.len() as i32));
        let offsets = OffsetBuffer::from_lengths(two_by_two(values.len()));
        let pair = Fields::from(vec![Arc::new(Field::new("key", DataType::Int32, false)), item(&values)]);
        let entries = StructArray::new(pair.clone(), vec![keys, values], None);
        let field = Arc::new(Field::new("entries", DataType::Struct(pair), false));
        Arc::new(MapArray::new(field, offsets, entries, None, false))
    }),
    ("union_dense", |values| {
        let fields = UnionFields::try_new([7], [item(&values)]).expect("a type id");
        // Values are left out, and shared.
        let offsets: Vec<i32> = (0..values.len() as i32).map(|row| row / 2 * 2).collect();
        let type_ids = vec![7; values.len()];
        Arc::new(UnionArray::try_new(fields, type_ids.into(), Some(offsets.into()), vec![values]).expect("valid"))
    }),
    ("union_sparse", |values| {
        let fields = UnionFields::try_new([0, 1], [item(&values), item(&values)]).expect("type ids");
        let type_ids: Vec<i8> = (0..values.len()).map(|row| (row % 2) as i8).collect();
        let children = vec![values.clone(), values];
        Arc::new(UnionArray::try_new(fields, type_ids.into(), None, children).expect("valid"))
    }),
    ("run_end", |values| {
        let run_ends: Int32Array = (1..=values.len() as i32).map(|run| run * 3).collect();
        Arc::new(RunArray::<Int32Type>::try_new(&run_ends, &values).expect("valid runs"))
    }),
    ("dictionary", |values| {
        if matches!(values.data_type(), DataType::Dictionary(_, _)) {
            return values;
        }
        let keys = Int16Array::from_iter_values((0..values.len() as i16).rev());
        Arc::new(DictionaryArray::<Int16Type>::try_new(keys, values).expect("valid keys"))
    }),
];

fn item(values: &ArrayRef) -> Arc<Field> {
    Arc::new(Field::new("item", values.data_type().clone(), true))
}

/// Lengths of 2 and 0 in turn, and the rest.
fn two_by_two(values: usize) -> Vec<usize> {
    (0..values / 2).flat_map(|_| [2, 0]).chain([values % 2]).collect()
}

/// A batch of these columns, each of which may hold nulls.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).expect("a valid batch")
}

/// One batch with every column there is.
pub(crate) fn every_column(rows: usize) -> RecordBatch {
    batch(columns(rows))
}

/// A batch without columns.
pub(crate) fn no_columns(rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).expect("a valid batch")
}

/// The stream that arrow-ipc writes: dictionaries grow by deltas.
pub(crate) fn stream(batches: &[RecordBatch], codec: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(codec).expect("the codec is built in");
    let options = options.with_dictionary_handling(DictionaryHandling::Delta);
    let schema = batches.first().expect("a batch").schema();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).expect("writes to memory");
    for batch in batches {
        writer.write(batch).expect("writes to memory");
    }
    writer.into_inner().expect("writes to memory")
}

/// Streams to begin fuzzing with: each type by itself in each codec, and all types together.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for codec in CODECS {
        let suffix = codec.and_then(|codec| codec.variant_name()).unwrap_or("PLAIN").to_lowercase();
        for (name, column) in columns(17) {
            seeds.push((format!("{name}-{suffix}"), stream(&[batch(vec![(name, column)])], codec)));
        }
        for (name, wrap) in WRAPS {
            let column = wrap(columns(8).swap_remove(4).1);
            seeds.push((format!("in_{name}-{suffix}"), stream(&[batch(vec![(name, column)])], codec)));
        }
        seeds.push((format!("every_column-{suffix}"), stream(&[every_column(9), every_column(3)], codec)));
        seeds.push((format!("no_columns-{suffix}"), stream(&[no_columns(5)], codec)));
        seeds.push((format!("no_rows-{suffix}"), stream(&[every_column(0)], codec)));
        seeds.push((format!("deltas-{suffix}"), stream(&deltas(), codec)));
    }
    seeds
}

/// Batches whose dictionaries grow, and then are replaced.
pub(crate) fn deltas() -> Vec<RecordBatch> {
    let values = [vec!["a", "b"], vec!["a", "b", "c"], vec!["z"]];
    let column = |values: &Vec<&str>| {
        let keys = Int32Array::from_iter_values((0..6).map(|row| row % values.len() as i32));
        let values = Arc::new(StringArray::from_iter_values(values.iter()));
        DictionaryArray::<Int32Type>::try_new(keys, values).expect("valid keys")
    };
    values.iter().map(|values| batch(vec![("d", Arc::new(column(values)))])).collect()
}
