use std::sync::Arc;

use arrow_array::builder::StringViewBuilder;
use arrow_array::{
    BooleanArray, Int32Array, Int64Array, ListArray, ListViewArray, NullArray, StringArray, StringViewArray,
};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{Field, UnionFields, UnionMode};

use super::*;

fn encode(array: &ArrayRef) -> Encoded {
    Encoded::columns(array.len(), std::slice::from_ref(array))
}

/// Nodes, buffers and variadic counts of a message.
fn metadata(header: &[u8]) -> (i64, Vec<FieldNode>, Vec<arrow_ipc::Buffer>, Vec<i64>) {
    let batch = arrow_ipc::root_as_message(header).unwrap().header_as_record_batch().unwrap();
    (
        batch.length(),
        batch.nodes().unwrap().iter().copied().collect(),
        batch.buffers().unwrap().iter().copied().collect(),
        batch.variadicBufferCounts().into_iter().flatten().collect(),
    )
}

fn check_like_stock(array: ArrayRef) {
    let batch = RecordBatch::try_from_iter_with_nullable([("column", array, true)]).unwrap();
    let encoded = Encoded::batch(&batch);
    let (_, stock) = IpcDataGenerator::default()
        .encode(
            &batch,
            &mut DictionaryTracker::new(false),
            &IpcWriteOptions::default(),
            &mut IpcWriteContext::default(),
        )
        .unwrap();
    assert_eq!(metadata(&encoded.batch_header()), metadata(&stock.ipc_message));
    assert_eq!(encoded.body().as_slice(), stock.arrow_data.as_slice());
    assert_eq!(encoded.body_bytes() as usize, stock.arrow_data.len());
}

fn texts() -> Vec<Option<&'static str>> {
    vec![Some("a"), None, Some("a text too long for a view of its own"), Some(""), Some("and one more of that kind")]
}

#[test]
fn whole_arrays_are_encoded_as_stock_arrow_does() {
    check_like_stock(Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])));
    check_like_stock(Arc::new(Int64Array::from(vec![1, 2, 3])));
    check_like_stock(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])));
    check_like_stock(Arc::new(StringArray::from(texts())));
    check_like_stock(Arc::new(StringViewArray::from(texts())));
    check_like_stock(Arc::new(NullArray::new(7)));
    check_like_stock(Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ])));
    let fields =
        UnionFields::try_new([3, 5], [Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
    let children: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1, 2])), Arc::new(StringArray::from(vec!["x"]))];
    let offsets = Some(vec![0, 0, 1].into());
    let union = UnionArray::try_new(fields.unwrap(), vec![3, 5, 3].into(), offsets, children).unwrap();
    assert!(matches!(union.data_type(), DataType::Union(_, UnionMode::Dense)));
    check_like_stock(Arc::new(union));
}

#[test]
fn a_whole_batch_is_not_copied() {
    let values = Int64Array::from_iter_values(0..1000);
    let address = values.values().inner().as_ptr();
    let encoded = encode(&(Arc::new(values) as ArrayRef));
    assert_eq!(encoded.pieces().len(), 1);
    assert_eq!(encoded.pieces()[0].as_ptr(), address);
}

#[test]
fn slices_at_multiples_of_eight_rows_share_their_bitmaps() {
    let values = BooleanArray::from_iter((0..512).map(|row| (row % 3 != 0).then_some(row % 2 == 0)));
    let address = values.values().inner().as_ptr();
    let encoded = encode(&(Arc::new(values.slice(64, 128)) as ArrayRef));
    assert_eq!(encoded.pieces()[1].as_ptr(), address.wrapping_add(8));
}

#[test]
fn a13_bits_beyond_the_length_are_zero() {
    let all = BooleanArray::from(vec![true; 16]);
    let encoded = encode(&(Arc::new(all.slice(0, 11)) as ArrayRef));
    assert_eq!(encoded.pieces()[0].as_slice(), [0xff, 0b111]);
    let encoded = encode(&(Arc::new(all.slice(3, 9)) as ArrayRef));
    assert_eq!(encoded.pieces()[0].as_slice(), [0xff, 0b1]);
}

#[test]
fn a_slice_of_texts_begins_at_zero_and_holds_only_its_bytes() {
    let texts = StringArray::from(vec!["before", "one", "two", "after"]);
    let encoded = encode(&(Arc::new(texts.slice(1, 2)) as ArrayRef));
    assert_eq!(encoded.pieces()[0].typed_data::<i32>(), [0, 3, 6]);
    assert_eq!(encoded.pieces()[1].as_slice(), b"onetwo");
}

#[test]
fn an_empty_slice_of_texts_has_one_offset() {
    let encoded = encode(&(Arc::new(StringArray::from(vec!["before", "after"]).slice(1, 0)) as ArrayRef));
    assert_eq!(encoded.pieces()[0].typed_data::<i32>(), [0]);
    assert_eq!(encoded.body_bytes(), 64);
}

#[test]
fn a13_views_keep_only_what_their_rows_show_and_shared_texts_once() {
    let mut builder = StringViewBuilder::new().with_fixed_block_size(64).with_deduplicate_strings();
    let long = "a text too long for a view";
    for text in
        ["another text that is long as well", long, "short", long, "the last text of this column, not in the slice"]
    {
        builder.append_value(text);
    }
    builder.append_null();
    let array = builder.finish();
    assert!(array.data_buffers().len() > 1);
    let slice = array.slice(1, 3);
    let encoded = encode(&(Arc::new(slice.clone()) as ArrayRef));
    let written: Vec<&[u8]> = encoded.pieces()[1..].iter().map(|piece| piece.as_slice()).collect();
    assert_eq!(written, [long.as_bytes()]);
    assert_eq!(encoded.variadic_counts, [1]);
    let (views, buffers) = compact::views(&slice);
    assert_eq!(StringViewArray::new(views, buffers, None), slice);
}

#[test]
fn views_of_null_rows_are_cleared_when_their_texts_go() {
    let long = "a text too long for a view of its own";
    let whole = StringViewArray::from(vec![long, "another text that is too long", long]);
    let (views, buffers, _) = whole.into_parts();
    let nulls = Some(vec![true, false, true].into());
    let array = StringViewArray::new(views, buffers, nulls).slice(0, 2);
    let (views, buffers) = compact::views(&array);
    assert_eq!(views[1], 0);
    assert_eq!(buffers.iter().map(Buffer::len).sum::<usize>(), long.len());
    assert_eq!(StringViewArray::new(views, buffers, array.nulls().cloned()), array);
}

#[test]
fn list_views_keep_only_the_values_in_use() {
    let field = Arc::new(Field::new("item", DataType::Int32, true));
    let values: ArrayRef = Arc::new(Int32Array::from_iter_values(0..10));
    let array = ListViewArray::new(field.clone(), vec![7, 2, 2, 9].into(), vec![2, 2, 1, 0].into(), values, None);
    let parts = list_view(&array);
    assert_eq!(parts.values.as_ref(), &Int32Array::from(vec![2, 3, 7, 8]) as &dyn Array);
    assert_eq!(parts.offsets.to_vec(), [2, 0, 0, 0]);
    assert_eq!(ListViewArray::new(field, parts.offsets, parts.sizes, parts.values, None), array);
}

#[test]
fn unions_keep_only_the_values_in_use() {
    let fields =
        UnionFields::try_new([0, 9], [Field::new("a", DataType::Int32, true), Field::new("b", DataType::Int32, true)]);
    let child = |from: i32| -> ArrayRef { Arc::new(Int32Array::from_iter_values(from..from + 10)) };
    let array = UnionArray::try_new(
        fields.unwrap(),
        vec![0, 9, 9, 0].into(),
        Some(vec![4, 1, 1, 6].into()),
        vec![child(0), child(100)],
    );
    let parts = dense_union(&array.unwrap()).unwrap();
    assert_eq!(parts.offsets.to_vec(), [0, 0, 0, 1]);
    assert_eq!(parts.children[0].as_ref(), &Int32Array::from(vec![4, 6]) as &dyn Array);
    assert_eq!(parts.children[1].as_ref(), &Int32Array::from(vec![101]) as &dyn Array);
}

#[test]
fn a10_what_rows_share_is_not_multiplied() {
    // A thousand rows of the same thousand values, in lists of lists: written out they would be a million.
    let field = |data_type: DataType| Arc::new(Field::new("item", data_type, true));
    let values: ArrayRef = Arc::new(Int32Array::from_iter_values(0..1001));
    let inner = ListViewArray::new(field(DataType::Int32), vec![0; 1000].into(), vec![1000; 1000].into(), values, None);
    let inner_type = inner.data_type().clone();
    let outer = ListViewArray::new(field(inner_type), vec![0, 10].into(), vec![5, 900].into(), Arc::new(inner), None);
    let bytes = encode(&(Arc::new(outer) as ArrayRef)).body_bytes();
    assert!(bytes < 16 << 10, "{bytes}");
}

#[test]
fn metadata_ends_where_a_body_may_begin() {
    for columns in 0..40 {
        let arrays = vec![Arc::new(Int32Array::from(vec![1])) as ArrayRef; columns];
        let header = Encoded::columns(1, &arrays).batch_header();
        let framed = framed(&header).unwrap();
        assert_eq!(framed.len() % 64, 0);
        assert_eq!(framed[..4], [0xff; 4]);
        assert_eq!(u32::from_le_bytes(framed[4..8].try_into().unwrap()) as usize, framed.len() - 8);
        assert!(framed[8 + header.len()..].iter().all(|byte| *byte == 0));
    }
}

/// Two runs of a child, with one value between them that no row shows.
fn with_a_gap(values: ArrayRef) -> ListViewArray {
    let (len, half) = (values.len() as i32, values.len() as i32 / 2);
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    ListViewArray::new(field, vec![0, half + 1].into(), vec![half, len - half - 1].into(), values, None)
}

#[test]
fn a13_what_no_row_shows_goes_from_any_type() {
    for values in parted() {
        let array = with_a_gap(values);
        let parts = list_view(&array);
        assert_eq!(parts.values.len(), array.values().len() - 1, "{}", array.data_type());
        parts.values.to_data().validate_full().unwrap();
        let DataType::ListView(field) = array.data_type() else { panic!("a list view") };
        let compact = ListViewArray::new(field.clone(), parts.offsets, parts.sizes, parts.values, None);
        assert_eq!(compact, array);
    }
}

/// Seven values of every type that is copied in a way of its own.
fn parted() -> Vec<ArrayRef> {
    let field = |data_type: &DataType| Arc::new(Field::new("item", data_type.clone(), true));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter((0..7).map(|row| (row % 3 != 1).then_some(row))));
    let item = field(&DataType::Int32);
    let nulls = || Some(NullBuffer::from(vec![true, true, false, true, true, false, true]));
    let lengths = OffsetBuffer::from_lengths([0, 2, 0, 1, 3, 0, 1]);
    let list = ListArray::new(item.clone(), lengths.clone(), numbers.clone(), nulls());
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("key", DataType::Int32, false)), Arc::new(Int32Array::from_iter_values(0..7)) as ArrayRef),
        (item.clone(), numbers.clone()),
    ]);
    let entries = Arc::new(Field::new("entries", pair.data_type().clone(), false));
    let map = arrow_array::MapArray::new(entries, lengths, pair.clone(), nulls(), false);
    let view = ListViewArray::new(
        item.clone(),
        vec![3, 0, 0, 5, 0, 0, 1].into(),
        vec![4, 7, 0, 2, 1, 0, 1].into(),
        numbers.clone(),
        nulls(),
    );
    let twice: ArrayRef = Arc::new(Int64Array::from_iter_values(0..14));
    let fixed = FixedSizeListArray::new(field(&DataType::Int64), 2, twice, nulls());
    let no_lists = FixedSizeListArray::try_new_with_length(item.clone(), 0, numbers.slice(0, 0), None, 7).unwrap();
    let blobs = |nulls| {
        let data = arrow_data::ArrayData::builder(DataType::FixedSizeBinary(0)).len(7).nulls(nulls);
        arrow_array::make_array(data.add_buffer(Buffer::default()).build().unwrap())
    };
    let fields =
        UnionFields::try_new([2, 4], [Field::new("a", DataType::Int32, true), Field::new("b", DataType::Int32, true)])
            .unwrap();
    let type_ids: ScalarBuffer<i8> = vec![2, 4, 4, 2, 2, 4, 2].into();
    let offsets = Some(vec![0, 1, 1, 6, 6, 0, 3].into());
    let children = || vec![numbers.clone(), numbers.clone()];
    let dense = UnionArray::try_new(fields.clone(), type_ids.clone(), offsets, children()).unwrap();
    let sparse = UnionArray::try_new(fields, type_ids, None, children()).unwrap();
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3, 7]), &numbers.slice(0, 3)).unwrap();
    vec![
        numbers.clone(),
        Arc::new(NullArray::new(7)),
        Arc::new(BooleanArray::from_iter((0..7).map(|row| (row % 4 != 2).then_some(row % 2 == 0)))),
        Arc::new(StringViewArray::from_iter_values((0..7).map(|row| "a longer text ".repeat(row)))),
        Arc::new(list),
        Arc::new(map),
        Arc::new(view),
        Arc::new(fixed),
        Arc::new(no_lists),
        blobs(None),
        blobs(nulls()),
        Arc::new(pair),
        Arc::new(StructArray::new_empty_fields(7, nulls())),
        Arc::new(dense),
        Arc::new(sparse),
        Arc::new(runs),
    ]
}

#[test]
fn a10_lists_of_lists_that_share_are_not_multiplied_by_the_lists_between_them() {
    let field = |data_type: &DataType| Arc::new(Field::new("item", data_type.clone(), true));
    let values: ArrayRef = Arc::new(Int32Array::from_iter_values(0..1001));
    let shared =
        ListViewArray::new(field(&DataType::Int32), vec![0; 1000].into(), vec![1000; 1000].into(), values, None);
    let lists =
        ListArray::new(field(shared.data_type()), OffsetBuffer::from_lengths([1; 1000]), Arc::new(shared), None);
    let bytes = encode(&(Arc::new(with_a_gap(Arc::new(lists))) as ArrayRef)).body_bytes();
    assert!(bytes < 20 << 10, "{bytes}");
}
